//! Great Expectations' own definition tests: those for pandas over frames, those for Postgres over tables of a real
//! one. Success, and all that a case says of the result: observed value, unexpected values and their places, counts,
//! percents, details.
//!
//! The files are read where they are; they are no part of this project. Each case that ends otherwise than Great
//! Expectations says must stand in [`exceptions`] with its reason, and each entry there must still be needed. The table
//! in `CONFORMANCE.md` is written by this test, and kept: `SLUICE_WRITE_GENERATED=1` writes it anew.

mod compare;
mod exceptions;
mod fixtures;
mod frames;
mod report;
mod tables;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use fixtures::{Case, Dataset, Target};
use quality::{Evaluation, Suite};

/// What came of the cases of one expectation on one engine.
#[derive(Debug, Default)]
struct Tally {
    agree: usize,
    /// Title and reason.
    excepted: Vec<(String, &'static str)>,
    /// Data that no typed column can hold.
    untyped: usize,
    differ: Vec<String>,
}

impl Tally {
    fn cases(&self) -> usize {
        self.agree + self.excepted.len() + self.differ.len()
    }
}

type Tallies = BTreeMap<(String, Target), Tally>;

#[tokio::test]
async fn checks_agree_with_great_expectations() {
    let Some(folder) = fixtures::folder() else {
        eprintln!("gx-fixtures are not in shared/data above this project: conformance checks nothing here");
        return;
    };
    let mut tallies = Tallies::new();
    let database = testkit::database().await;
    for dataset in fixtures::datasets(&folder) {
        let (dataset, frames) = tokio::task::spawn_blocking(move || {
            let found = frames::run(&dataset);
            (dataset, found)
        })
        .await
        .expect("the cases over frames");
        let tables = tables::run(&dataset, &database.pool).await;
        for (target, found) in [(Target::Frames, frames), (Target::Tables, tables)] {
            for (case, judged) in found {
                count(&mut tallies, target, case, judged);
            }
        }
    }
    let differ: Vec<_> = tallies
        .iter()
        .flat_map(|((name, target), tally)| tally.differ.iter().map(move |text| format!("{target}: {name}: {text}")))
        .collect();
    assert!(differ.is_empty(), "{} cases differ\n{}", differ.len(), differ.join("\n"));
    for target in [Target::Frames, Target::Tables] {
        let of = || tallies.iter().filter(move |((_, of), _)| *of == target).map(|(_, tally)| tally);
        let (cases, excepted) = (of().map(Tally::cases).sum::<usize>(), of().map(|t| t.excepted.len()).sum::<usize>());
        assert!(excepted * 50 <= cases, "{target}: {excepted} of {cases} cases are exceptions, more than 2 %");
        assert!(cases > 350, "{target}: only {cases} cases were found");
    }
    report::keep(&tallies);
}

/// How a case ended: as it says or not; nothing where its data cannot be had.
type Judged = Option<Result<(), String>>;

fn count(tallies: &mut Tallies, target: Target, case: Case, judged: Judged) {
    let tally = tallies.entry((case.expectation.clone(), target)).or_default();
    let reason = exceptions::reason(target, &case.expectation, &case.title);
    match (judged, reason) {
        (None, _) => tally.untyped += 1,
        (Some(Ok(())), None) => tally.agree += 1,
        (Some(Ok(())), Some(_)) => tally.differ.push(format!("{}: agrees by now, so it is no exception", case.title)),
        (Some(Err(_)), Some(reason)) => tally.excepted.push((case.title, reason)),
        (Some(Err(difference)), None) => tally.differ.push(format!("{}: {difference}", case.title)),
    }
}

/// The case as Great Expectations would store it: a suite of one check, in JSON. `extra` are arguments of ours.
fn suite(case: &Case, extra: &Value) -> Result<Suite, String> {
    let mut arguments = case.arguments.clone();
    if let (Some(arguments), Some(extra)) = (arguments.as_object_mut(), extra.as_object()) {
        arguments.extend(extra.clone());
    }
    let expectation = json!({ "expectation_type": case.expectation, "kwargs": arguments, "meta": {} });
    let text = json!({ "expectation_suite_name": "case", "expectations": [expectation], "meta": {} }).to_string();
    Suite::parse("quality/case.json", &text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Whether it ended as the case says.
fn judge(case: &Case, target: Target, found: Result<Evaluation, String>) -> Result<(), String> {
    match found {
        Ok(evaluation) => compare::result(case, target, &evaluation.checks[0]),
        Err(_) if case.fails() => Ok(()),
        Err(fault) => Err(format!("refused: {fault}")),
    }
}

/// The cases of a dataset that are meant for `target`.
fn meant(dataset: &Dataset, target: Target) -> impl Iterator<Item = &Case> {
    dataset.cases.iter().filter(move |case| case.is_for(target))
}

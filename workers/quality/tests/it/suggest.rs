//! What is proposed loads, and passes on all that it was held to.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series};
use quality::{Evaluation, Outcome, Suggestion, Verdict, evaluate_table, profile_frame, profile_table};

use crate::{
    agreement::{self, Chance},
    postgres::{cases, in_frame, table},
};

const ROUNDS: u64 = 150;

const NAMES: [&str; 8] = ["id", "a b", "it's", "\"q\"", "*", "line\nbreak", "null", "Ünder {x: [1]} # y"];
const TEXTS: [&str; 10] =
    ["yes", "~", "it's", "a\"b\\c", "line\nbreak", "tab\t\u{85}\u{2028}", "# no: {x}", "\u{feff}1", "", "🦀 A-17"];

/// Holds a suggestion to batches as the command does.
async fn settle(suggestion: &mut Suggestion, batches: &[(&str, DataFrame)]) -> Vec<Evaluation> {
    loop {
        let suite = suggestion.suite().unwrap_or_else(|faults| panic!("{faults:#?}\n{}", suggestion.yaml()));
        let mut found = Vec::new();
        for (name, frame) in batches {
            found.push(((*name).to_owned(), in_frame(suite.clone(), frame.clone()).await));
        }
        if !suggestion.learn(&found) {
            return found.into_iter().map(|(_, evaluation)| evaluation).collect();
        }
    }
}

async fn suggest(batches: &[(&str, DataFrame)]) -> (Suggestion, Vec<Evaluation>) {
    let frame = batches[0].1.clone();
    let profile = tokio::task::spawn_blocking(move || profile_frame(&frame)).await.expect("a profile");
    let mut suggestion = Suggestion::new("proposed", batches[0].0, &profile);
    let found = settle(&mut suggestion, batches).await;
    (suggestion, found)
}

/// Columns of all types, with names and texts that want quoting, few values or many, with nulls or without.
fn random_frame(chance: &mut Chance) -> DataFrame {
    let height = usize::try_from(chance.below(90)).expect("a height");
    let rows: Vec<_> = (0..height).map(|place| agreement::row(chance, place)).collect();
    let mut columns: Vec<Column> =
        agreement::frame(&rows).columns().iter().filter(|column| column.name() != "id").cloned().collect();
    for name in NAMES {
        let (few, nulls) = (1 + chance.below(12), 1 + chance.below(40));
        let is_text = chance.one_in(2);
        let form = chance.below(3);
        let texts = (0..height).map(|place| {
            let text = match form {
                0 => (*chance.of(&TEXTS)).to_owned(),
                1 => format!("AB-{:03}", 100 + place),
                _ => format!("{}{}", chance.below(few), chance.of(&["", "x", "C "])),
            };
            (nulls < 3 || !chance.one_in(nulls)).then_some(text)
        });
        let texts: Vec<Option<String>> = texts.collect();
        let number =
            |_| (nulls < 3 || !chance.one_in(nulls)).then(|| chance.below(few).wrapping_pow(5 + u32::from(few > 9)));
        let column = if is_text {
            Series::new(name.into(), texts)
        } else {
            Series::new(name.into(), (0..height).map(number).collect::<Vec<Option<u64>>>())
        };
        columns.push(column.into_column());
    }
    DataFrame::new(height, columns).expect("a frame")
}

#[tokio::test]
async fn what_is_proposed_loads_and_passes_on_its_own_data() {
    for seed in 0..ROUNDS {
        let frame = random_frame(&mut Chance(seed));
        let (suggestion, found) = suggest(&[("random", frame)]).await;
        let all_passed = found[0].checks.iter().all(|check| check.outcome == Outcome::Passed);
        assert!(
            all_passed && found[0].verdict == Verdict::Passed,
            "seed {seed}: {:#?}\n{}",
            found[0],
            suggestion.yaml()
        );
        assert!(suggestion.checks() >= 15, "seed {seed}: types of all columns are known\n{}", suggestion.yaml());
    }
}

fn orders(ids: std::ops::Range<i64>, odd: Option<i64>) -> DataFrame {
    let column = |value: &dyn Fn(i64) -> Option<String>| ids.clone().map(value).collect::<Vec<_>>();
    let height = usize::try_from(ids.end - ids.start).expect("a height");
    let columns = vec![
        Column::new("id".into(), ids.clone().collect::<Vec<_>>()),
        Column::new("number".into(), column(&|id| Some(format!("SO-{id:05}")))),
        Column::new(
            "status".into(),
            column(&|id| {
                Some(if odd == Some(id) { "lost" } else { ["open", "paid"][usize::from(id % 2 == 0)] }.to_owned())
            }),
        ),
        Column::new(
            "city".into(),
            column(&|id| {
                (odd != Some(id))
                    .then(|| format!("City {}", ["A", "Bb", "Ccc"][usize::try_from(id % 3).expect("small")]))
            }),
        ),
        Column::new(
            "price".into(),
            ids.clone().map(|id| if odd == Some(id) { -1.0 } else { (id % 50) as f64 + 0.5 }).collect::<Vec<_>>(),
        ),
    ];
    DataFrame::new(height, columns).expect("a frame")
}

#[tokio::test]
async fn the_evidence_stands_beside_each_check() {
    let (suggestion, _) = suggest(&[("orders.csv", orders(1..301, None))]).await;
    insta::assert_snapshot!(suggestion.yaml());
}

#[tokio::test]
async fn what_fails_in_another_batch_is_weakened_or_left_out() {
    let batches = [("may.csv", orders(1..301, None)), ("june.csv", orders(301..1301, Some(700)))];
    let (suggestion, found) = suggest(&batches).await;
    assert!(found.iter().all(|evaluation| evaluation.verdict == Verdict::Passed), "{found:#?}");
    insta::assert_snapshot!(suggestion.yaml());
}

#[tokio::test]
async fn a_table_gets_a_suite_that_it_passes() {
    let pool = cases().await;
    let mut connection = pool.acquire().await.expect("a connection");
    let cases = table("public.cases");
    let profile = profile_table(&mut connection, &cases).await.expect("a profile");
    let mut suggestion = Suggestion::new("cases", "public.cases", &profile);
    let found = loop {
        let suite = suggestion.suite().unwrap_or_else(|faults| panic!("{faults:#?}\n{}", suggestion.yaml()));
        let found = evaluate_table(&mut connection, &suite, &cases).await.expect("an evaluation");
        if !suggestion.learn(&[("public.cases".to_owned(), found.clone())]) {
            break found;
        }
    };
    assert!(found.checks.iter().all(|check| check.outcome == Outcome::Passed), "{found:#?}");
    assert!(found.checks.iter().any(|check| check.id == "line_total.between"), "{}", suggestion.yaml());
}

/// Rows as a shop has them once a spreadsheet and a data frame library had them.
fn odd_rows() -> DataFrame {
    let rows = 0..400_i64;
    let column = |value: &dyn Fn(i64) -> Option<String>| rows.clone().map(value).collect::<Vec<_>>();
    let columns = vec![
        Column::new(
            "quantity".into(),
            rows.clone().map(|row| if row == 7 { 80_995 } else { 1 + row % 30 }).collect::<Vec<_>>(),
        ),
        Column::new(
            "balance".into(),
            rows.clone().map(|row| if row == 9 { -1e9 } else { (row % 40 - 9) as f64 / 4.0 }).collect::<Vec<_>>(),
        ),
        Column::new(
            "customer".into(),
            rows.clone().map(|row| (row % 4 > 0).then_some(17_850.0 + row as f64)).collect::<Vec<_>>(),
        ),
        Column::new("account".into(), column(&|row| (row % 4 > 0).then(|| format!("{}.0", 12_346 + row)))),
        Column::new("article".into(), column(&|row| Some(format!("{:05}", row * 251)))),
        Column::new("Postal Code".into(), rows.clone().map(|row| 1_040 + row * 240).collect::<Vec<_>>()),
        Column::new(
            "city".into(),
            column(&|row| Some(if row % 7 == 0 { "null".to_owned() } else { format!("City {}", row % 60) })),
        ),
        Column::new("country".into(), column(&|_| Some("Brasil".to_owned()))),
    ];
    DataFrame::new(400, columns).expect("a frame")
}

#[tokio::test]
async fn what_a_tool_did_to_the_data_is_noted_and_bounds_keep_clear_of_values_far_off() {
    let (suggestion, found) = suggest(&[("rows.csv", odd_rows())]).await;
    assert!(found.iter().all(|evaluation| evaluation.verdict == Verdict::Passed), "{found:#?}");
    insta::assert_snapshot!(suggestion.yaml());
}

//! The gate of a load: a suite judges the batch before anyone can read it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use chrono::Utc;
use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray, PlSmallStr};
use quality::{Beside, Evaluation, OnFail, RunRef, Suite};
use serde::Deserialize;
use serde_json::json;
use warehouse::{
    WarehouseError,
    alerts::{Alert, Severity},
    lake::Lake,
    load::{Audit, LoadRequest, RecordChecks, SOURCE_FILE, SOURCE_LINE, Staged, Verdict},
};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Target, TaskContext},
};

use crate::watching::{LookedAt, Watching};

/// What the rows of a batch must meet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// A suite of `quality/`.
    pub suite: String,
    /// What a failed check does that does not say so itself.
    #[serde(default = "fail")]
    pub on_fail: OnFail,
    /// The most rows that may be held back, in percent of the batch; more refuse it. Held back are rows that a check
    /// quarantines, rows that could not be read or have no key, and rows with values that the target cannot hold.
    #[serde(default)]
    pub max_failed_percent: Option<f64>,
    /// The most rows that may be held back; more refuse the batch.
    #[serde(default)]
    pub max_failed_rows: Option<usize>,
    /// Whether nothing behind the load runs where a check failed or rows are held back: what may be published is, and the
    /// task fails. Once the rows are replayed or dismissed a retry goes on; past a check that only warns, a mark does.
    #[serde(default)]
    pub block_downstream: bool,
    /// Channels that are told when the batch is refused, when what is behind it is blocked, and of each anomaly.
    #[serde(default)]
    pub notify: Vec<String>,
}

fn fail() -> OnFail {
    OnFail::Fail
}

impl Gate {
    pub(crate) fn check(&self) -> Vec<Problem> {
        match self.max_failed_percent {
            Some(percent) if !(0.0..=100.0).contains(&percent) => {
                vec![Problem::new("gate.max_failed_percent", format!("{percent} is not between 0 and 100"))]
            }
            _ => Vec::new(),
        }
    }

    /// A limit that can never matter: only rows that a check quarantines are counted against it one by one. With any
    /// other policy the first row that fails refuses the batch, or none does.
    pub(crate) fn check_limits(&self, suite: &Suite) -> Option<Problem> {
        let field = match (self.max_failed_rows, self.max_failed_percent) {
            (Some(_), _) => "gate.max_failed_rows",
            (None, Some(_)) => "gate.max_failed_percent",
            (None, None) => return None,
        };
        let suite = suite.clone().with_default(self.on_fail);
        if suite.checks.iter().any(|check| suite.policy(check) == OnFail::Quarantine) {
            return None;
        }
        let message = format!("no check of the suite `{}` quarantines rows, so there is nothing to limit", suite.name);
        Some(
            Problem::new(field, message)
                .hint("say `on_fail: quarantine` in the gate or at a check, or remove the limit"),
        )
    }

    pub(crate) fn references(&self) -> Vec<Reference> {
        let mut references = vec![Reference::new("gate.suite", Target::Suite(self.suite.clone()))];
        references.extend(
            self.notify.iter().enumerate().map(|(index, channel)| {
                Reference::new(format!("gate.notify[{index}]"), Target::Channel(channel.clone()))
            }),
        );
        references
    }

    /// The suite as the project has it now, with this gate's `on_fail` where it has none.
    pub(crate) async fn read_suite(&self, project: &Path) -> Result<Suite, TaskError> {
        let file = format!("quality/{}.yaml", self.suite);
        let text = tokio::fs::read_to_string(project.join(&file))
            .await
            .map_err(|error| TaskError::user(format!("the suite `{}` is not in {file}", self.suite)).because(error))?;
        let suite = Suite::parse(&file, &text).map_err(|faults| {
            let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
            TaskError::user(all.join("; "))
        })?;
        match self.check_limits(&suite) {
            Some(problem) => Err(TaskError::user(format!("`{}`: {}", problem.field, problem.message))),
            None => Ok(suite.with_default(self.on_fail)),
        }
    }

    /// Judges the batch, its duplicates aside. Gives the audit, and what stops the batch, or what is behind it, if
    /// something does.
    pub(crate) async fn audit(
        &self,
        suite: Suite,
        beside: Beside,
        lake: &Lake,
        staged: &Staged,
        request: &LoadRequest,
        task: &TaskContext,
    ) -> Result<(Audit, String), TaskError> {
        let (lake, files, dropped) = (lake.clone(), request.manifest.files.clone(), staged.dropped().to_vec());
        let suite = Arc::new(suite);
        let beside = beside.with_batch(staged.relation()?);
        let judge = suite.clone();
        let is_repair = staged.is_repair();
        let (mut evaluation, places, profile) = tokio::task::spawn_blocking(move || {
            let paths: Vec<String> = files.into_iter().map(|file| file.path).collect();
            let (frame, places) = batch_frame(&lake, &paths, &dropped)?;
            let profile = if is_repair { None } else { judge.watched.profile_frame(&frame) };
            Ok::<_, WarehouseError>((quality::evaluate_frame_beside(&judge, &frame, &beside), places, profile))
        })
        .await
        .map_err(WarehouseError::from)??;
        // The rows of a repair are no batch that could be compared with others.
        let watched = if is_repair {
            None
        } else {
            let looked_at = LookedAt {
                dataset: request.target.to_string(),
                rows: Some(staged.rows_sql()),
                profile,
                notify: &self.notify,
            };
            Some(Watching::begin(staged.pool(), &suite, task, looked_at, &mut evaluation).await?)
        };
        for check in &evaluation.checks {
            if check.verdict() != quality::Verdict::Passed {
                task.log.warn(check.summary());
            }
        }
        task.log.info(format!("suite {}: {}", suite.name, evaluation.summary()));

        let failed: Vec<(i64, Vec<String>)> = evaluation
            .failed_rows
            .iter()
            .map(|(row, rules)| (places.place(*row), rules.iter().map(ToString::to_string).collect()))
            .collect();
        let rejected = usize::try_from(request.manifest.rejected_rows()).unwrap_or(usize::MAX);
        let held: BTreeSet<i64> = failed.iter().map(|(place, _)| *place).chain(staged.held().iter().copied()).collect();
        let held = held.len() + rejected;
        let (verdict, refusal) = self.judge(&evaluation, held, evaluation.rows + rejected);
        let refused = verdict == Verdict::Failed;
        let stops = refused || (self.block_downstream && (verdict != Verdict::Passed || held > 0));
        let refusal = match (refused, stops) {
            (false, true) => because(&evaluation, held),
            _ => refusal,
        };
        let alert = stops.then(|| (self.alert(request, task, refused, &refusal), self.notify.clone()));
        let run = RunRef { run_id: Some(task.run_id), task: Some(task.task.clone()), load_id: None };
        let (dataset, judged) = (request.target.to_string(), suite.clone());
        let record: RecordChecks = Box::new(move |connection, load_id| {
            Box::pin(async move {
                let run = RunRef { load_id: Some(load_id), ..run };
                quality::record(connection, &run, &dataset, &judged, &evaluation).await?;
                match watched {
                    Some(watched) => watched.keep(connection, &run, &judged).await,
                    None => Ok(()),
                }
            })
        });
        let audit = Audit {
            verdict,
            suite: Some((suite.name.clone(), suite.hash.clone())),
            on_fail: Some(self.on_fail.as_str()),
            failed,
            record: Some(record),
            alert,
        };
        Ok((audit, refusal))
    }

    /// The verdict, and why it is that the batch is refused. `held` of `rows` are held back, for whichever reason.
    fn judge(&self, evaluation: &Evaluation, held: usize, rows: usize) -> (Verdict, String) {
        let percent = if rows == 0 { 0.0 } else { held as f64 * 100.0 / rows as f64 };
        if let Some(most) = self.max_failed_rows
            && held > most
        {
            return (Verdict::Failed, format!("more than {most}: {}", because(evaluation, held)));
        }
        if let Some(most) = self.max_failed_percent
            && percent > most
        {
            return (Verdict::Failed, format!("{percent:.2} %, more than {most} %: {}", because(evaluation, held)));
        }
        match evaluation.verdict {
            quality::Verdict::Passed => (Verdict::Passed, String::new()),
            quality::Verdict::Warned => (Verdict::Warned, String::new()),
            quality::Verdict::Quarantined => (Verdict::Quarantined, String::new()),
            quality::Verdict::Failed => (Verdict::Failed, summaries(evaluation, quality::Verdict::Failed).join("; ")),
        }
    }

    fn alert(&self, request: &LoadRequest, task: &TaskContext, refused: bool, refusal: &str) -> Alert {
        let dataset = request.target.to_string();
        Alert {
            dedupe_key: format!("gate:{dataset}:{}:{}", task.run_id, request.manifest.batch_id),
            source: task.dag.clone(),
            rule: self.suite.clone(),
            severity: Severity::High,
            key: dataset.clone(),
            event_time: Utc::now(),
            message: if refused {
                format!("the gate of {dataset} refused a batch")
            } else {
                format!("the gate of {dataset} lets nothing behind it run")
            },
            detail: json!({ "run_id": task.run_id, "task": task.task, "reason": refusal }),
            fields: vec![("Run".to_owned(), task.run_id.to_string()), ("Suite".to_owned(), self.suite.clone())],
            link: None,
        }
    }
}

/// The checks of that verdict or a worse one, with the numbers that matter.
fn summaries(evaluation: &Evaluation, verdict: quality::Verdict) -> Vec<String> {
    let stopped = evaluation.checks.iter().filter(|check| check.verdict() >= verdict);
    stopped.map(quality::CheckOutcome::summary).collect()
}

/// How many rows are held back, and which checks were broken. Rows are held back for other reasons, too.
fn because(evaluation: &Evaluation, held: usize) -> String {
    let (rows, are) = if held == 1 { ("row", "is") } else { ("rows", "are") };
    let mut all = vec![format!("{held} {rows} {are} held back")];
    all.extend(summaries(evaluation, quality::Verdict::Warned));
    all.join("; ")
}

/// From rows of the frame that was judged to places in the batch.
struct Places {
    /// Places that are not in the frame, in order.
    dropped: Vec<i64>,
}

impl Places {
    fn place(&self, row: usize) -> i64 {
        let row = i64::try_from(row).unwrap_or(i64::MAX);
        // The nth row that was dropped stands before `row` if no more than `row` rows that stay precede it.
        let mut lower = 0;
        let mut upper = self.dropped.len();
        while lower < upper {
            let middle = lower.midpoint(upper);
            if self.dropped[middle] - i64::try_from(middle).unwrap_or(i64::MAX) <= row {
                lower = middle + 1;
            } else {
                upper = middle;
            }
        }
        row + i64::try_from(lower).unwrap_or(i64::MAX)
    }
}

/// The batch in memory without its duplicates. Blocks.
fn batch_frame(lake: &Lake, paths: &[String], dropped: &[i64]) -> Result<(DataFrame, Places), WarehouseError> {
    let mut whole = DataFrame::empty();
    for path in paths {
        let part = lake.open_parquet(path)?.rows(None)?;
        if whole.width() == 0 {
            whole = part;
        } else {
            whole.vstack_mut(&part).map_err(WarehouseError::frame("the files of the batch differ in their columns"))?;
        }
    }
    let mut frame = whole.drop_many([SOURCE_FILE, SOURCE_LINE]);
    if !dropped.is_empty() {
        let mut next = dropped.iter().peekable();
        let keep = (0..frame.height()).map(|row| {
            let out = next.next_if(|place| usize::try_from(**place) == Ok(row)).is_some();
            !out
        });
        let mask = BooleanChunked::from_iter_values(PlSmallStr::EMPTY, keep);
        frame = frame.filter(&mask).map_err(WarehouseError::frame("cannot set duplicates aside"))?;
    }
    frame.rechunk_mut();
    Ok((frame, Places { dropped: dropped.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_frame_are_found_again_in_the_batch() {
        let places = Places { dropped: vec![0, 3, 4] };
        let all: Vec<i64> = (0..4).map(|row| places.place(row)).collect();
        assert_eq!(all, [1, 2, 5, 6]);
    }
}

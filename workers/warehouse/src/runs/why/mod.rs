//! Why a run or a task stands as it does, in words.
//!
//! What is known is read in a few queries; the sentences are made from it by code that asks nothing more, so the
//! terminal, the API and the web page say the same.

mod dag;
mod task;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgPool, types::Json};
use workflow::state::{RunState, TaskState};

pub use self::dag::why_next;

use super::{RunError, RunRow, archive::Shelf, cause_words, read};

/// An answer about a run or one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The task; `None` for the run itself.
    pub task: Option<String>,
    /// Its state.
    pub state: String,
    /// The reason, a sentence.
    pub because: String,
    /// What else helps, a sentence each.
    pub facts: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "as the column is called")]
struct Task {
    task: String,
    kind: String,
    queue: String,
    labels: Vec<String>,
    state: String,
    reason: Option<String>,
    attempts: i32,
    max_attempts: i32,
    pool: Option<String>,
    wants_slot: bool,
    not_before: Option<DateTime<Utc>>,
    queued_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    deadline_at: Option<DateTime<Utc>>,
    late: bool,
    needs: Vec<String>,
    worker: Option<String>,
    attempt_at: Option<DateTime<Utc>>,
    lease_until: Option<DateTime<Utc>>,
    error_domain: Option<String>,
    gate: bool,
    last_line: Option<String>,
    last_line_at: Option<DateTime<Utc>>,
    usual: Option<f64>,
    items: Option<Json<BTreeMap<String, i64>>>,
    looks: i32,
}

impl Task {
    /// How many of its items are in a state.
    fn items_in(&self, state: TaskState) -> i64 {
        self.items.as_ref().and_then(|items| items.get(state.as_str())).copied().unwrap_or(0)
    }

    /// How its items stand, those that matter most first.
    fn items_text(&self) -> Option<String> {
        let items = self.items.as_ref()?;
        let states = TaskState::ALL.iter().rev().filter_map(|state| Some((*items.get(state.as_str())?, state)));
        Some(states.map(|(n, state)| format!("{n} {state}")).collect::<Vec<_>>().join(", "))
    }
}

/// Causes of a run that an answer names; a run of many publications may have thousands.
const MOST_CAUSES: usize = 5;

/// Why a run stands as it does, or one of its tasks. For a run: the run itself, then each task that has something to
/// say, what it waits for before what waits.
pub async fn why(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<Why>, RunError> {
    let (run, shelf) = read::find(pool, run_id).await?;
    let tasks: Vec<Task> = sqlx::query_as(shelf.statement(include_str!("../../../../../sql/runs/why_tasks.sql")))
        .bind(run_id)
        .bind(task)
        .fetch_all(pool)
        .await?;
    let asker =
        Asker { pool, run: &run, shelf, tasks: tasks.iter().map(|t| (t.task.as_str(), t)).collect(), now: Utc::now() };
    if let Some(name) = task {
        let task =
            asker.tasks.get(name).ok_or_else(|| RunError::NoTask { dag: run.dag.clone(), task: name.to_owned() })?;
        return Ok(told(vec![asker.task(task).await?], shelf));
    }
    let mut answers = vec![asker.run(&tasks).await?];
    for task in &tasks {
        // A task that waits for its needs only, or that nothing is wrong with, adds nothing to what they say.
        let speaks = match task.state.parse()? {
            TaskState::Queued | TaskState::Running | TaskState::Failed => true,
            TaskState::Skipped => task.attempts > 0,
            TaskState::Success => asker.is_slow(task),
            TaskState::Waiting => task.late || task.items.is_some(),
            TaskState::UpstreamFailed | TaskState::Cancelled => task.late,
        };
        if speaks {
            answers.push(asker.task(task).await?);
        }
    }
    Ok(told(answers, shelf))
}

/// What is archived is not changed any more, so nothing that can be done about it helps.
fn told(mut answers: Vec<Why>, shelf: Shelf) -> Vec<Why> {
    if shelf == Shelf::Archive {
        for why in &mut answers {
            why.hint = None;
        }
        if let Some(first) = answers.first_mut() {
            first.facts.push("its run is archived: it can be read, and is not changed any more".to_owned());
        }
    }
    answers
}

struct Asker<'a> {
    pool: &'a PgPool,
    run: &'a RunRow,
    shelf: Shelf,
    tasks: BTreeMap<&'a str, &'a Task>,
    now: DateTime<Utc>,
}

impl Asker<'_> {
    async fn run(&self, tasks: &[Task]) -> Result<Why, RunError> {
        let run = self.run;
        let mut why =
            Why { task: None, state: run.state.clone(), because: String::new(), facts: Vec::new(), hint: None };
        let own = |state: TaskState| tasks.iter().filter(|t| t.state == state.as_str()).count();
        let items = |state: TaskState| tasks.iter().map(|t| t.items_in(state)).sum::<i64>();
        let count = |state: TaskState| own(state) + usize::try_from(items(state)).unwrap_or(0);
        match run.state.parse()? {
            RunState::Queued => self.queued_run(&mut why).await?,
            RunState::Running if run.cancel_requested => {
                why.because = "someone cancelled it, and it waits for its running tasks to stop".into();
            }
            RunState::Running => {
                let open = [TaskState::Running, TaskState::Queued, TaskState::Waiting]
                    .map(|state| (count(state), state.as_str()))
                    .into_iter()
                    .filter(|(n, _)| *n > 0)
                    .map(|(n, state)| format!("{n} {state}"))
                    .collect::<Vec<_>>();
                why.because = format!(
                    "{} of its {} have not ended: {}",
                    run.tasks - run.ended,
                    n_tasks(usize::try_from(run.tasks).unwrap_or(0)),
                    open.join(", ")
                );
            }
            RunState::Success => why.because = "every task succeeded or was skipped".into(),
            RunState::Failed => {
                let behind = count(TaskState::UpstreamFailed);
                why.because = format!("{} failed", n_tasks(own(TaskState::Failed)));
                if behind > 0 {
                    why.facts.push(format!("{} behind it could not run", n_tasks(behind)));
                }
                why.hint =
                    Some(format!("`sluice retry {}` runs again what failed, once its cause is mended", run.run_id));
            }
            RunState::Cancelled => {
                why.because = "someone cancelled it".into();
                why.hint = Some(format!("`sluice retry {}` takes it up again", run.run_id));
            }
            RunState::Skipped => {
                why.because = run.reason.clone().unwrap_or_else(|| "it was left out".to_owned());
                why.hint = Some("`overlap: queue` lets a run wait for its turn instead".to_owned());
            }
        }
        let causes = run.cause.as_ref().and_then(Value::as_array).into_iter().flatten();
        why.facts.extend(causes.take(MOST_CAUSES).map(|cause| format!("it follows from this: {}", cause_words(cause))));
        if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
            let slowest =
                tasks.iter().filter_map(|t| Some((t.finished_at? - t.started_at?, t))).max_by_key(|(took, _)| *took);
            let took = finished - started;
            why.facts.push(format!(
                "it waited {} for its first task and took {}",
                span(started - run.created_at),
                span(took)
            ));
            if let Some((longest, task)) = slowest.filter(|_| tasks.len() > 1) {
                why.facts.push(format!("the longest task was {} with {}", task.task, span(longest)));
            }
        }
        Ok(why)
    }

    async fn queued_run(&self, why: &mut Why) -> Result<(), RunError> {
        let run = self.run;
        let backfill: Option<(i64, i32)> = sqlx::query_as(
            "select b.backfill_id, b.parallel from sluice.dag_run r join sluice.backfill b using (backfill_id)
             where r.run_id = $1",
        )
        .bind(run.run_id)
        .fetch_optional(self.pool)
        .await?;
        if let Some((backfill_id, parallel)) = backfill {
            let runs = if parallel == 1 { "one run" } else { &format!("{parallel} runs") };
            why.because = format!("backfill {backfill_id} has {runs} under way at once, and comes to it in turn");
            why.hint = Some(format!("`sluice backfill stop {backfill_id}` ends what is left of it"));
            return Ok(());
        }
        let before: Vec<(i64, String, DateTime<Utc>)> =
            sqlx::query_as(include_str!("../../../../../sql/runs/why_before.sql"))
                .bind(&run.dag)
                .bind(run.run_id)
                .bind(run.logical_time)
                .fetch_all(self.pool)
                .await?;
        why.because = "as many runs of its DAG are under way as `max_active_runs` allows".into();
        why.facts.extend(before.iter().map(|(run_id, state, _)| format!("run {run_id} is before it ({state})")));
        why.hint = Some("it begins by itself when one of them ends; `sluice cancel RUN` ends one now".to_owned());
        Ok(())
    }
}

fn n_tasks(n: usize) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") }
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn span(time: chrono::TimeDelta) -> String {
    seconds(time.as_seconds_f64())
}

fn seconds(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

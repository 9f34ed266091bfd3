//! Why a run or a task stands as it does, in words.
//!
//! What is known is read in a few queries; the sentences are made from it by code that asks nothing more, so the
//! terminal, the API and the web page say the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgPool, types::Json};
use workflow::state::{RunState, TaskState};

use super::{
    RunError, RunRow,
    admit::{is_items_pool, key_of},
    read,
};

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

#[derive(Debug, sqlx::FromRow)]
struct Holder {
    slots: i32,
    run_id: i64,
    dag: String,
    task: String,
    state: String,
    since: Option<DateTime<Utc>>,
}

#[derive(Debug, sqlx::FromRow)]
struct Serving {
    slots: i32,
    queues: Vec<String>,
    labels: Vec<String>,
    kinds: Vec<String>,
    busy: i64,
}

#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "as the column is called")]
struct Check {
    check_id: String,
    dataset: String,
    on_fail: String,
    observed: Value,
}

/// Why a run stands as it does, or one of its tasks. For a run: the run itself, then each task that has something to
/// say, what it waits for before what waits.
pub async fn why(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<Why>, RunError> {
    let run = read::run(pool, run_id).await?;
    let tasks: Vec<Task> = sqlx::query_as(include_str!("../../../../sql/runs/why_tasks.sql"))
        .bind(run_id)
        .bind(task)
        .fetch_all(pool)
        .await?;
    let asker = Asker { pool, run: &run, tasks: tasks.iter().map(|t| (t.task.as_str(), t)).collect(), now: Utc::now() };
    if let Some(name) = task {
        let task =
            asker.tasks.get(name).ok_or_else(|| RunError::NoTask { dag: run.dag.clone(), task: name.to_owned() })?;
        return Ok(vec![asker.task(task).await?]);
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
    Ok(answers)
}

struct Asker<'a> {
    pool: &'a PgPool,
    run: &'a RunRow,
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
            sqlx::query_as(include_str!("../../../../sql/runs/why_before.sql"))
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

    async fn task(&self, task: &Task) -> Result<Why, RunError> {
        let mut why = Why {
            task: Some(task.task.clone()),
            state: task.state.clone(),
            because: String::new(),
            facts: Vec::new(),
            hint: None,
        };
        match task.state.parse()? {
            TaskState::Waiting => self.waiting(task, &mut why)?,
            TaskState::Queued => self.queued(task, &mut why).await?,
            TaskState::Running => self.running(task, &mut why),
            TaskState::Success => succeeded(task, &mut why),
            TaskState::Failed => self.failed(task, &mut why).await?,
            TaskState::UpstreamFailed => self.upstream_failed(task, &mut why),
            TaskState::Skipped | TaskState::Cancelled => {
                why.because = task.reason.clone().unwrap_or_else(|| format!("it was {}", task.state));
            }
        }
        if let (Some(at), true) = (task.deadline_at, task.late) {
            why.facts.push(format!("it missed its deadline of {}", clock(at)));
        }
        Ok(why)
    }

    fn waiting(&self, task: &Task, why: &mut Why) -> Result<(), RunError> {
        if let Some(items) = task.items_text() {
            why.because = format!("it waits for its items: {items}");
            return Ok(());
        }
        let mut open = Vec::new();
        for need in &task.needs {
            if let Some(need) = self.tasks.get(need.as_str())
                && !need.state.parse::<TaskState>()?.is_final()
            {
                open.push(format!("{} ({})", need.task, need.state));
            }
        }
        why.because = if open.is_empty() {
            "its run has not begun".to_owned()
        } else {
            format!("it waits for {}", open.join(", "))
        };
        Ok(())
    }

    async fn queued(&self, task: &Task, why: &mut Why) -> Result<(), RunError> {
        if let Some(at) = task.not_before.filter(|at| *at > self.now) {
            if task.looks > 0 {
                why.because = task.reason.clone().unwrap_or_else(|| "what it waits for is not there".to_owned());
                why.facts.push(format!(
                    "it {}; the next look comes in {}, at {}",
                    looked(task.looks),
                    span(at - self.now),
                    clock(at)
                ));
                return Ok(());
            }
            let attempt = task.attempts + 1;
            why.because = format!(
                "attempt {attempt} of {} comes in {}, at {}",
                task.max_attempts,
                span(at - self.now),
                clock(at)
            );
            why.facts.extend(task.reason.iter().map(|reason| format!("the last attempt failed: {reason}")));
            return Ok(());
        }
        if task.wants_slot
            && let Some(pool) = &task.pool
        {
            let holders: Vec<Holder> = sqlx::query_as(include_str!("../../../../sql/runs/why_pool.sql"))
                .bind(pool)
                .fetch_all(self.pool)
                .await?;
            let slots = holders.first().map_or(1, |holder| holder.slots);
            let key = key_of(pool);
            why.because = match key {
                _ if is_items_pool(pool) => {
                    format!("{} of {slots} items of its list are under way", holders.len())
                }
                Some(key) => format!("{} of {slots} tasks of the key `{key}` are under way", holders.len()),
                None => format!("the pool `{pool}` is full: {} of {slots} slots are taken", holders.len()),
            };
            why.facts.extend(holders.iter().take(5).map(|h| {
                let since = h.since.map(|t| format!(" since {}", clock(t))).unwrap_or_default();
                format!("{}.{} of run {} has one ({}{since})", h.dag, h.task, h.run_id, h.state)
            }));
            let size = match key {
                _ if is_items_pool(pool) => "`for_each: { max_parallel: N }` allows more".to_owned(),
                Some(_) => "`concurrency: { limit: N }` allows more".to_owned(),
                None => format!("`pools: {{ {pool}: N }}` in sluice.yaml sizes the pool"),
            };
            why.hint = Some(format!("it follows when one of them ends; {size}"));
            return Ok(());
        }
        self.for_a_worker(task, why).await
    }

    /// A task that could be claimed, and is not.
    async fn for_a_worker(&self, task: &Task, why: &mut Why) -> Result<(), RunError> {
        let workers: Vec<Serving> =
            sqlx::query_as(include_str!("../../../../sql/runs/why_workers.sql")).fetch_all(self.pool).await?;
        let start = || Some("`sluice work` starts a worker".to_owned());
        if workers.is_empty() {
            (why.because, why.hint) = ("no worker is alive".to_owned(), start());
            return Ok(());
        }
        let serving: Vec<_> =
            workers.iter().filter(|w| w.queues.is_empty() || w.queues.contains(&task.queue)).collect();
        if serving.is_empty() {
            why.because = format!("no worker serves the queue `{}`", task.queue);
            why.hint = Some(format!("`sluice work --queue {}` starts one that does", task.queue));
            return Ok(());
        }
        let has_labels = |w: &&&Serving| task.labels.iter().all(|label| w.labels.contains(label));
        let serving: Vec<_> = serving.iter().filter(has_labels).collect();
        if serving.is_empty() {
            let labels = task.labels.join("`, `");
            why.because = format!("no worker of its queue has the label `{labels}`");
            let flags: Vec<_> = task.labels.iter().map(|label| format!("--label {label}")).collect();
            why.hint = Some(format!("`sluice work {}` starts one that has", flags.join(" ")));
            return Ok(());
        }
        let able: Vec<_> = serving.iter().filter(|w| w.kinds.is_empty() || w.kinds.contains(&task.kind)).collect();
        if able.is_empty() {
            why.because = format!("no worker knows the kind `{}`", task.kind);
            why.hint = Some("they may be of an older version: start a worker of this one".to_owned());
            return Ok(());
        }
        let (slots, busy) = able.iter().fold((0, 0), |(slots, busy), w| (slots + i64::from(w.slots), busy + w.busy));
        let ahead: i64 = sqlx::query_scalar(include_str!("../../../../sql/runs/why_ahead.sql"))
            .bind(self.run.run_id)
            .bind(&task.task)
            .fetch_one(self.pool)
            .await?;
        if busy >= slots {
            why.because = format!("every worker is busy: {busy} of {slots} slots are taken");
            why.hint = Some("`sluice work --slots N` starts another worker".to_owned());
        } else {
            why.because = "a worker is about to take it".into();
        }
        if ahead > 0 {
            why.facts.push(format!(
                "{} more urgent or older {} taken first",
                n_tasks(usize::try_from(ahead).unwrap_or(0)),
                if ahead == 1 { "is" } else { "are" }
            ));
        }
        why.facts.extend(task.queued_at.map(|at| format!("it has been in the queue for {}", span(self.now - at))));
        Ok(())
    }

    fn running(&self, task: &Task, why: &mut Why) {
        let worker = task.worker.as_deref().unwrap_or("a worker");
        let since = task.attempt_at.unwrap_or(self.now);
        why.because = format!("worker {worker} has been at it for {}", span(self.now - since));
        if let Some(until) = task.lease_until.filter(|until| *until < self.now) {
            why.because = format!("worker {worker} gave no sign of life for {}", span(self.now - until));
            why.hint =
                Some("its lease is over: a worker or the scheduler takes the task back within seconds".to_owned());
        }
        if task.attempts > 1 {
            why.facts.push(format!("it is attempt {} of {}", task.attempts, task.max_attempts));
        }
        if let Some(usual) = task.usual {
            why.facts.push(format!("it usually takes {}", seconds(usual)));
        }
        if let (Some(line), Some(at)) = (&task.last_line, task.last_line_at) {
            why.facts.push(format!("its log said {} ago: {line}", span(self.now - at)));
        }
    }

    /// Took, or has taken so far, more than twice as long as usual, and seconds more.
    fn is_slow(&self, task: &Task) -> bool {
        let Some((usual, from)) = task.usual.zip(task.started_at) else { return false };
        let took = (task.finished_at.unwrap_or(self.now) - from).as_seconds_f64();
        took > 2.0 * usual && took > usual + 5.0
    }

    async fn failed(&self, task: &Task, why: &mut Why) -> Result<(), RunError> {
        let reason = task.reason.clone().unwrap_or_else(|| "it failed".to_owned());
        let run_id = self.run.run_id;
        if task.gate {
            why.because = format!("a gate stopped it: {reason}");
            let checks: Vec<Check> = sqlx::query_as(include_str!("../../../../sql/runs/why_checks.sql"))
                .bind(run_id)
                .bind(&task.task)
                .fetch_all(self.pool)
                .await?;
            why.facts.extend(checks.iter().map(Check::words));
            why.hint = Some(format!("mend the data or the suite, then `sluice retry {run_id}`"));
            return Ok(());
        }
        why.because = reason;
        if task.items_in(TaskState::Failed) > 0 {
            let failed: Vec<(String, Option<String>)> =
                sqlx::query_as(include_str!("../../../../sql/runs/why_items.sql"))
                    .bind(run_id)
                    .bind(&task.task)
                    .fetch_all(self.pool)
                    .await?;
            let words = |(item, reason): &(String, Option<String>)| {
                format!("{item}: {}", reason.as_deref().unwrap_or("it failed"))
            };
            why.facts.extend(failed.iter().map(words));
            why.facts.extend(task.items_text());
            let name = &task.task;
            why.hint = Some(format!(
                "`sluice show {run_id}.{name}` lists them; `sluice retry {run_id}.{name}` runs again those that failed"
            ));
            return Ok(());
        }
        why.facts.extend((task.looks > 0).then(|| format!("before that it {} in vain", looked(task.looks))));
        if task.attempts > 1 || task.max_attempts > 1 {
            why.facts.push(format!("that was attempt {} of {}", task.attempts, task.max_attempts));
        }
        let (fact, hint) = match task.error_domain.as_deref() {
            Some("user") => ("a fault of the project's files or data: no retry mends it", "mend it, then"),
            Some("external") => ("a fault of something outside Sluice", "once that is back,"),
            _ => ("a fault of Sluice itself, or of its worker", "look into the log, then"),
        };
        why.facts.push(fact.to_owned());
        why.hint = Some(format!("`sluice logs {run_id}.{}` has all of it; {hint} `sluice retry {run_id}`", task.task));
        Ok(())
    }

    fn upstream_failed(&self, task: &Task, why: &mut Why) {
        let mut causes = Vec::new();
        let mut look: Vec<&str> = task.needs.iter().map(String::as_str).collect();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(name) = look.pop() {
            let Some(need) = self.tasks.get(name).filter(|_| seen.insert(name)) else { continue };
            match need.state.as_str() {
                "failed" | "cancelled" => causes.push(format!("{} ({})", need.task, need.state)),
                "upstream_failed" => look.extend(need.needs.iter().map(String::as_str)),
                _ => {}
            }
        }
        causes.sort();
        why.because = format!("it stands behind {}", causes.join(", "));
        why.hint = Some(format!("`sluice why {}` tells what happened there", self.run.run_id));
    }
}

impl Check {
    fn words(&self) -> String {
        let rows = match (self.observed["unexpected_count"].as_u64(), self.observed["element_count"].as_u64()) {
            (Some(failed), Some(of)) => format!(": {failed} of {of} rows"),
            _ => self.observed.get("observed_value").map(|value| format!(": found {value}")).unwrap_or_default(),
        };
        format!("check {} of {} failed (on_fail: {}){rows}", self.check_id, self.dataset, self.on_fail)
    }
}

fn succeeded(task: &Task, why: &mut Why) {
    let took = task.started_at.zip(task.finished_at).map(|(from, to)| to - from);
    why.because = took.map_or_else(|| "it succeeded".to_owned(), |took| format!("it succeeded after {}", span(took)));
    if let Some(usual) = task.usual {
        why.facts.push(format!("it usually takes {}", seconds(usual)));
    }
    why.facts.extend((task.looks > 0).then(|| format!("before that it {} in vain", looked(task.looks))));
    why.facts.extend(task.items_text().map(|items| format!("its items: {items}")));
    if task.attempts > 1 && task.items.is_none() {
        why.facts.push(format!("it took {} attempts", task.attempts));
    }
}

fn looked(times: i32) -> String {
    if times == 1 { "looked once".to_owned() } else { format!("looked {times} times") }
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

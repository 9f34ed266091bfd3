//! Why one task stands as it does.

use chrono::{DateTime, Utc};
use serde_json::Value;
use workflow::state::TaskState;

use super::{Asker, Task, Why, clock, n_tasks, seconds, span};
use crate::runs::{
    RunError,
    admit::{is_items_pool, key_of},
    deploy,
};

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

impl Asker<'_> {
    pub(super) async fn task(&self, task: &Task) -> Result<Why, RunError> {
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
                let plan = deploy::plan(self.pool, &self.run.dag, &self.run.version).await?;
                let patience = plan.task_of_row(&task.task).and_then(|planned| planned.total_timeout);
                if let Some((began, patience)) = task.started_at.zip(patience) {
                    why.facts
                        .push(format!("it gives up {patience} after its first look, at {}", clock(began + patience.0)));
                }
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
            let holders: Vec<Holder> = sqlx::query_as(include_str!("../../../../../sql/runs/why_pool.sql"))
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
            sqlx::query_as(include_str!("../../../../../sql/runs/why_workers.sql")).fetch_all(self.pool).await?;
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
        let ahead: i64 = sqlx::query_scalar(include_str!("../../../../../sql/runs/why_ahead.sql"))
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
    pub(super) fn is_slow(&self, task: &Task) -> bool {
        let Some((usual, from)) = task.usual.zip(task.started_at) else { return false };
        let took = (task.finished_at.unwrap_or(self.now) - from).as_seconds_f64();
        took > 2.0 * usual && took > usual + 5.0
    }

    async fn failed(&self, task: &Task, why: &mut Why) -> Result<(), RunError> {
        let reason = task.reason.clone().unwrap_or_else(|| "it failed".to_owned());
        let run_id = self.run.run_id;
        if task.gate {
            why.because = format!("a gate stopped it: {reason}");
            let checks: Vec<Check> = sqlx::query_as(include_str!("../../../../../sql/runs/why_checks.sql"))
                .bind(run_id)
                .bind(&task.task)
                .fetch_all(self.pool)
                .await?;
            why.facts.extend(checks.iter().map(Check::words));
            let held: Option<String> = sqlx::query_scalar(include_str!("../../../../../sql/runs/why_held.sql"))
                .bind(run_id)
                .bind(&task.task)
                .fetch_optional(self.pool)
                .await?;
            why.hint = Some(match held {
                Some(dataset) => format!(
                    "`sluice quality quarantine --run {run_id}` shows the rows; `sluice quality replay {dataset}` or \
                     `dismiss` settles them, then `sluice retry {run_id}`"
                ),
                None => format!("mend the data or the suite, then `sluice retry {run_id}`"),
            });
            return Ok(());
        }
        why.because = reason;
        if task.items_in(TaskState::Failed) > 0 {
            let failed: Vec<(String, Option<String>)> =
                sqlx::query_as(self.shelf.statement(include_str!("../../../../../sql/runs/why_items.sql")))
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
        if let Some(reason) = self.observed["reason"].as_str() {
            return format!(
                "{} of {} is an anomaly (on_fail: {}): {reason}",
                self.check_id, self.dataset, self.on_fail
            );
        }
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

//! Moving runs on: what the end of some tasks means for those behind them and for their runs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use workflow::{
    plan::parent_of,
    state::{NeedsEnded, RunEvent, RunState, TaskEvent, TaskState, TriggerRule, items_ended},
};

use super::{
    RunError,
    admit::{admit_runs, admit_tasks, items_pool},
};
use crate::outbox::{self, Message, Notice, Payload};

/// A task that has ended, in a transaction that holds its run's lock.
pub(super) struct EndedTask {
    pub(super) run_id: i64,
    pub(super) task: String,
    pub(super) state: TaskState,
}

#[derive(sqlx::FromRow)]
struct Ready {
    task_run_id: i64,
    run_id: i64,
    task: String,
    pool: Option<String>,
    trigger_rule: String,
    needs_total: i32,
    needs_failed: i32,
    needs_skipped: i32,
    /// How many items it waited for, where that is what it did.
    mapped: Option<i32>,
}

#[derive(Default)]
struct Decisions {
    task_run_id: Vec<i64>,
    state: Vec<&'static str>,
    reason: Vec<Option<String>>,
}

/// Moves runs on as [`move_on`] does, and lets those in that waited for any of it. `pools` are those of the tasks that
/// ended.
pub(super) async fn advance(
    connection: &mut PgConnection,
    ended: Vec<EndedTask>,
    mut pools: BTreeSet<String>,
) -> Result<(), RunError> {
    if !ended.is_empty() {
        pools.extend(move_on(connection, ended).await?);
    }
    admit_tasks(connection, &pools).await
}

/// Counts down the successors of `ended`, decides about those whose needs have all ended, goes on with those that
/// will not run, and closes runs that have nothing open. Gives the pools of tasks that are ready now.
pub(super) async fn move_on(
    connection: &mut PgConnection,
    ended: Vec<EndedTask>,
) -> Result<BTreeSet<String>, RunError> {
    let mut counts: BTreeMap<i64, i32> = BTreeMap::new();
    let mut decisions = Decisions::default();
    let mut pools = BTreeSet::new();
    let (mut wave, mut spent) = (ended, Vec::new());
    while !wave.is_empty() {
        for task in &wave {
            *counts.entry(task.run_id).or_default() += 1;
        }
        let mut next = Vec::new();
        for ready in count_down(connection, &wave).await? {
            let (event, reason) = ready.decide()?;
            let state = TaskState::Waiting.on(event).expect("a trigger rule decides for a waiting task");
            decisions.task_run_id.push(ready.task_run_id);
            decisions.state.push(state.as_str());
            decisions.reason.push(reason);
            if ready.mapped.is_some() {
                spent.push(items_pool(ready.run_id, &ready.task));
            }
            if state == TaskState::Queued {
                pools.extend(ready.pool);
            }
            if state.is_final() {
                next.push(EndedTask { run_id: ready.run_id, task: ready.task, state });
            }
        }
        wave = next;
    }
    pools.extend(settle(connection, &decisions, &counts).await?);
    forget_pools(connection, &spent).await?;
    Ok(pools)
}

impl Ready {
    /// What becomes of it, and why.
    fn decide(&self) -> Result<(TaskEvent, Option<String>), RunError> {
        let Self { needs_total: total, needs_failed: failed, needs_skipped: skipped, .. } = *self;
        if let Some(items) = self.mapped {
            return Ok(items_ended(items, failed));
        }
        let rule: TriggerRule = self.trigger_rule.parse()?;
        let event = rule.decide(NeedsEnded { total, failed, skipped });
        Ok((event, rule.reason(event).map(str::to_owned)))
    }
}

async fn count_down(connection: &mut PgConnection, ended: &[EndedTask]) -> Result<Vec<Ready>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/runs/count_down.sql"))
        .bind(ended.iter().map(|t| t.run_id).collect::<Vec<_>>())
        .bind(ended.iter().map(|t| t.task.clone()).collect::<Vec<_>>())
        .bind(ended.iter().map(|t| t.state.as_str()).collect::<Vec<_>>())
        .bind(ended.iter().map(|t| parent_of(&t.task)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?)
}

/// Ends a run of which no task is open.
pub(super) async fn end_where_over(connection: &mut PgConnection, run_id: i64) -> Result<(), RunError> {
    let pools = settle(connection, &Decisions::default(), &BTreeMap::from([(run_id, 0)])).await?;
    admit_tasks(connection, &pools).await
}

async fn settle(
    connection: &mut PgConnection,
    decisions: &Decisions,
    counts: &BTreeMap<i64, i32>,
) -> Result<BTreeSet<String>, RunError> {
    let runs: Vec<(i64, i32, bool, i64)> = sqlx::query_as(include_str!("../../../../sql/runs/settle.sql"))
        .bind(&decisions.task_run_id)
        .bind(&decisions.state)
        .bind(&decisions.reason)
        .bind(counts.keys().copied().collect::<Vec<_>>())
        .bind(counts.values().copied().collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let cancelled: BTreeSet<i64> = runs.iter().filter(|run| run.2).map(|run| run.0).collect();
    let over: Vec<i64> = runs.iter().filter(|run| run.1 == 0).map(|run| run.0).collect();
    if over.is_empty() { Ok(BTreeSet::new()) } else { close(connection, &over, &cancelled).await }
}

#[derive(sqlx::FromRow)]
struct Over {
    run_id: i64,
    dag: String,
    logical_time: DateTime<Utc>,
    state: String,
    max_active_runs: Option<i32>,
    on_failure: Option<Value>,
    timezone: Option<String>,
    /// Of tasks that failed: name and reason.
    faults: Value,
    /// One of them decides about the run, which is to say that it is no teardown.
    fatal: bool,
    stopped: bool,
    attempts: Option<i64>,
    /// Pools of the items of its mapped tasks. Where the run was cancelled no mapped task saw its items end.
    items: Vec<String>,
}

impl Over {
    fn faults(&self) -> Vec<(String, String)> {
        let text =
            |fault: &Value, index: usize| fault.get(index).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.faults.as_array().into_iter().flatten().map(|fault| (text(fault, 0), text(fault, 1))).collect()
    }

    /// What to say of a run that a teardown's fault does not decide about.
    fn untidy(&self) -> Option<String> {
        let faults = if self.fatal { Vec::new() } else { self.faults() };
        let names: Vec<String> = faults.into_iter().map(|(task, _)| task).collect();
        (!names.is_empty()).then(|| format!("{} failed to take down what was set up", names.join(", ")))
    }
}

/// Ends runs, and lets in those of their DAGs that waited for it.
async fn close(
    connection: &mut PgConnection,
    runs: &[i64],
    cancelled: &BTreeSet<i64>,
) -> Result<BTreeSet<String>, RunError> {
    let runs: Vec<Over> = sqlx::query_as(include_str!("../../../../sql/runs/close_runs.sql"))
        .bind(runs)
        .fetch_all(&mut *connection)
        .await?;
    let (mut limited, mut spent) = (BTreeMap::new(), Vec::new());
    for mut run in runs {
        let event = match (cancelled.contains(&run.run_id), run.fatal) {
            (true, _) => RunEvent::Stopped,
            (false, true) => RunEvent::SomeFailed,
            // A retry of a part of a cancelled run leaves the rest of it undone.
            (false, false) if run.stopped => RunEvent::Stopped,
            (false, false) => RunEvent::AllWell,
        };
        let was: RunState = run.state.parse()?;
        let state = was.on(event).expect("a running run can end in every way, and one that waits can be stopped");
        sqlx::query(include_str!("../../../../sql/runs/close_run.sql"))
            .bind(run.run_id)
            .bind(state.as_str())
            .bind(run.untidy())
            .execute(&mut *connection)
            .await?;
        if state == RunState::Failed || !run.faults().is_empty() {
            tell(connection, &run).await?;
        }
        spent.append(&mut run.items);
        if let Some(most) = run.max_active_runs {
            limited.insert(run.dag, most);
        }
    }
    let pools = admit_runs(connection, &limited).await?;
    forget_pools(connection, &spent).await?;
    Ok(pools)
}

/// Deletes the pools of items that have all ended. Pools are locked last.
async fn forget_pools(connection: &mut PgConnection, spent: &[String]) -> Result<(), RunError> {
    if !spent.is_empty() {
        sqlx::query("delete from sluice.pool where pool = any ($1)").bind(spent).execute(connection).await?;
    }
    Ok(())
}

/// Queues one notice a channel. A retried run that fails again has more attempts, so it is told again.
async fn tell(connection: &mut PgConnection, run: &Over) -> Result<(), RunError> {
    let channels: Vec<&str> =
        run.on_failure.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let zone = run.timezone.as_deref().and_then(|name| name.parse::<chrono_tz::Tz>().ok()).unwrap_or_default();
    let at = run.logical_time.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string();
    let faults = run.faults();
    let text = match faults.as_slice() {
        [(task, _)] => format!("Task {task} failed in the run of {at}."),
        faults => format!("{} tasks failed in the run of {at}.", faults.len()),
    };
    let mut fields = vec![("Run".to_owned(), run.run_id.to_string()), ("Logical time".to_owned(), at)];
    fields.extend(faults);
    fields.push(("Look".to_owned(), format!("sluice show {0}; sluice logs {0}", run.run_id)));
    let title = if run.fatal { format!("{} failed", run.dag) } else { format!("{}: a teardown failed", run.dag) };
    for channel in channels {
        let notice = Notice {
            severity: "high".to_owned(),
            title: title.clone(),
            text: text.clone(),
            fields: fields.clone(),
            brief: true,
            ..Notice::default()
        };
        let message = Message {
            dedupe_key: format!("run:{}:failed:{}:{channel}", run.run_id, run.attempts.unwrap_or(0)),
            channel: channel.to_owned(),
            alert_id: None,
            subject: notice.title.clone(),
            payload: Payload::Notice(notice),
        };
        outbox::enqueue(connection, &message).await?;
    }
    Ok(())
}

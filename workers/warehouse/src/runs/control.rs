//! What people do to a run: cancel it, or run parts of it again.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};
use workflow::{
    plan::Plan,
    state::{RunEvent, RunState, TaskEvent, TaskState},
};

use super::{RunError, admit::admit_tasks, advance::settle_counts, deploy::read_plan};

/// What came of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It had ended before, in this state.
    AlreadyOver(RunState),
    /// It is cancelled.
    Now,
    /// So many of its tasks are still running and have been told to stop.
    Stopping(i64),
}

/// Cancels a run: what has not started never will, what runs is told to stop.
pub async fn cancel(pool: &PgPool, run_id: i64) -> Result<Cancelled, RunError> {
    let mut transaction = pool.begin().await?;
    let Locked { state, plan, .. } = lock(&mut transaction, run_id).await?;
    if state.is_final() {
        return Ok(Cancelled::AlreadyOver(state));
    }
    let request = "update sluice.dag_run set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
                   where run_id = $1 returning pg_notify('sluice_run', run_id || ' cancel')::text";
    sqlx::query(request).bind(run_id).execute(&mut *transaction).await?;
    let stopped = sqlx::query(include_str!("../../../../sql/runs/cancel_tasks.sql"))
        .bind(run_id)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    let mut pools = settle_counts(&mut transaction, run_id, i32::try_from(stopped).unwrap_or(i32::MAX)).await?;
    pools.extend(plan_pools(&plan));
    admit_tasks(&mut transaction, &pools).await?;
    let running: i64 =
        sqlx::query_scalar("select count(*) from sluice.task_run where run_id = $1 and state = 'running'")
            .bind(run_id)
            .fetch_one(&mut *transaction)
            .await?;
    transaction.commit().await?;
    Ok(if running == 0 { Cancelled::Now } else { Cancelled::Stopping(running) })
}

/// Runs again what failed in a run, or `task` whatever its state, with everything behind it. Each task has its
/// plan's attempts anew; earlier attempts stay. Gives the names of the tasks that run again.
pub async fn retry(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<String>, RunError> {
    let mut transaction = pool.begin().await?;
    let run = lock(&mut transaction, run_id).await?;
    if run.stopping && !run.state.is_final() {
        return Err(RunError::Stopping(run_id));
    }
    if run.state.on(RunEvent::Retried).is_none() {
        return Err(RunError::NotStarted(run_id));
    }
    let rows: Vec<(String, String)> = sqlx::query_as("select task, state from sluice.task_run where run_id = $1")
        .bind(run_id)
        .fetch_all(&mut *transaction)
        .await?;
    let mut states: BTreeMap<String, TaskState> = BTreeMap::new();
    for (task, state) in rows {
        states.insert(task, state.parse()?);
    }
    let chosen = choose(&run.plan, run_id, &states, task)?;
    let again = rewind(&run.plan, &states, &chosen);
    if let Some((task, state)) = again
        .iter()
        .map(|t| (t.task, states[t.task]))
        .find(|(_, s)| matches!(s, TaskState::Running | TaskState::Queued))
    {
        return Err(RunError::StillOpen { run_id, task: task.to_owned(), state: state.to_string() });
    }
    let reopened = again.iter().filter(|t| states[t.task].is_final()).count();
    sqlx::query(include_str!("../../../../sql/runs/retry_tasks.sql"))
        .bind(run_id)
        .bind(again.iter().map(|t| t.task).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.state.as_str()).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.open).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.failed).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.skipped).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.attempts).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(include_str!("../../../../sql/runs/reopen_run.sql"))
        .bind(run_id)
        .bind(i32::try_from(reopened).unwrap_or(i32::MAX))
        .execute(&mut *transaction)
        .await?;
    admit_tasks(&mut transaction, &plan_pools(&run.plan)).await?;
    transaction.commit().await?;
    Ok(again.iter().map(|t| t.task.to_owned()).collect())
}

/// Every pool that a plan's tasks take slots of.
pub(super) fn plan_pools(plan: &Plan) -> BTreeSet<String> {
    plan.tasks.iter().filter_map(|task| task.pool.clone()).collect()
}

struct Locked {
    state: RunState,
    stopping: bool,
    plan: Plan,
}

async fn lock(connection: &mut PgConnection, run_id: i64) -> Result<Locked, RunError> {
    let row: Option<(String, bool, serde_json::Value)> = sqlx::query_as(
        "select r.state, r.cancel_requested_at is not null, v.plan
         from sluice.dag_run r join sluice.dag_version v using (dag, version)
         where r.run_id = $1 for update of r",
    )
    .bind(run_id)
    .fetch_optional(connection)
    .await?;
    let (state, stopping, plan) = row.ok_or(RunError::NoRun(run_id))?;
    Ok(Locked { state: state.parse()?, stopping, plan: read_plan(plan)? })
}

/// The tasks that a person means, before those behind them are added.
fn choose(
    plan: &Plan,
    run_id: i64,
    states: &BTreeMap<String, TaskState>,
    task: Option<&str>,
) -> Result<BTreeSet<String>, RunError> {
    if let Some(task) = task {
        if !states.contains_key(task) {
            return Err(RunError::NoTask { dag: plan.dag.clone(), task: task.to_owned() });
        }
        return Ok(BTreeSet::from([task.to_owned()]));
    }
    let failed: BTreeSet<String> = states
        .iter()
        .filter(|(_, state)| state.is_fault() || **state == TaskState::Cancelled)
        .map(|(task, _)| task.clone())
        .collect();
    if failed.is_empty() { Err(RunError::NothingFailed(run_id)) } else { Ok(failed) }
}

/// A task as a retry leaves it.
#[derive(Debug, PartialEq, Eq)]
struct Again<'a> {
    task: &'a str,
    state: TaskState,
    open: i32,
    failed: i32,
    skipped: i32,
    attempts: i32,
}

/// The chosen tasks and all behind them: those with an open need wait, the others are ready.
fn rewind<'a>(plan: &'a Plan, states: &BTreeMap<String, TaskState>, chosen: &BTreeSet<String>) -> Vec<Again<'a>> {
    let behind: BTreeSet<&str> = chosen
        .iter()
        .flat_map(|task| plan.with_downstream(task))
        .map(|task| task.name.as_str())
        .filter(|task| states.contains_key(*task))
        .collect();
    plan.tasks
        .iter()
        .filter(|task| behind.contains(task.name.as_str()))
        .map(|task| {
            let (mut open, mut failed, mut skipped) = (0, 0, 0);
            for need in &task.needs {
                match states.get(need) {
                    Some(state) if behind.contains(need.as_str()) || !state.is_final() => open += 1,
                    Some(state) if state.is_fault() || *state == TaskState::Cancelled => failed += 1,
                    Some(TaskState::Skipped) => skipped += 1,
                    _ => {}
                }
            }
            let event = if open == 0 { TaskEvent::Retried } else { TaskEvent::Rewound };
            let was = states[&task.name];
            let state = was.on(event).unwrap_or(was);
            Again { task: &task.name, state, open, failed, skipped, attempts: i32::from(task.attempts) }
        })
        .collect()
}

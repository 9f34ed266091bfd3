//! What people do to a run: cancel it, or run parts of it again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use workflow::{
    kind::DataInterval,
    plan::{Plan, PlanDiff, PlannedTask, diff},
    state::{RunEvent, RunState, TaskState},
};

use super::{
    RunError,
    admit::admit_tasks,
    adopt::adopt,
    advance::{EndedTask, end_where_over, move_on},
    archive::is_archived,
    audit::{Act, Actor, record},
    deploy::read_plan,
    items,
    rewind::{Again, choose, put_back, rewind},
};

/// What came of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It had ended before, in this state.
    AlreadyOver(RunState),
    /// It is cancelled.
    Now,
    /// So many of its tasks are still open: they run and have been told to stop, or clean up behind the others.
    Stopping(i64),
}

/// Cancels a run: what has not started never will, what runs is told to stop.
pub async fn cancel(pool: &PgPool, run_id: i64) -> Result<Cancelled, RunError> {
    cancel_by(pool, run_id, None, None).await
}

/// As [`cancel`]; where a person asked for it, their act is written down with it.
pub(super) async fn cancel_by(
    pool: &PgPool,
    run_id: i64,
    by: Option<&Actor>,
    reason: Option<&str>,
) -> Result<Cancelled, RunError> {
    let mut transaction = pool.begin().await?;
    let (cancelled, pools) = cancel_in(&mut transaction, run_id).await?;
    if matches!(cancelled, Cancelled::AlreadyOver(_)) {
        return Ok(cancelled);
    }
    admit_tasks(&mut transaction, &pools).await?;
    if let Some(actor) = by {
        let dag = dag_of(&mut transaction, run_id).await?;
        record(&mut transaction, actor, Act { run_id: Some(run_id), dag: Some(&dag), reason, ..Act::of("cancel") })
            .await?;
    }
    transaction.commit().await?;
    Ok(cancelled)
}

/// Cancels a run within a transaction. Gives the pools that it may have left room in.
pub(super) async fn cancel_in(
    connection: &mut PgConnection,
    run_id: i64,
) -> Result<(Cancelled, BTreeSet<String>), RunError> {
    let Locked { state, plan, .. } = lock(connection, run_id).await?;
    if state.is_final() {
        return Ok((Cancelled::AlreadyOver(state), BTreeSet::new()));
    }
    let request = "update sluice.dag_run set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
                   where run_id = $1 returning pg_notify('sluice_run', run_id || ' cancel')::text";
    sqlx::query(request).bind(run_id).execute(&mut *connection).await?;
    let stopped: Vec<String> = sqlx::query_scalar(include_str!("../../../../sql/runs/cancel_tasks.sql"))
        .bind(run_id)
        .bind(state == RunState::Queued)
        .fetch_all(&mut *connection)
        .await?;
    let ended = |task| EndedTask { run_id, task, state: TaskState::Cancelled };
    let mut pools = move_on(connection, stopped.into_iter().map(ended).collect()).await?;
    pools.extend(pools_of(connection, &plan, run_id).await?);
    let open = "select count(*) from sluice.task_run where run_id = $1 and state in ('waiting', 'queued', 'running')";
    let running: i64 = sqlx::query_scalar(open).bind(run_id).fetch_one(connection).await?;
    Ok((if running == 0 { Cancelled::Now } else { Cancelled::Stopping(running) }, pools))
}

async fn dag_of(connection: &mut PgConnection, run_id: i64) -> Result<String, RunError> {
    let dag = sqlx::query_scalar("select dag from sluice.dag_run where run_id = $1").bind(run_id);
    Ok(dag.fetch_one(connection).await?)
}

/// How far a retry reaches from the tasks that it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// To all that need them, near or far.
    #[default]
    Downstream,
    /// No further: what stands behind them stays as it is.
    Only,
}

/// What to run again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry<'a> {
    /// This task or group, whatever its state; where absent, all that failed or was cancelled.
    pub task: Option<&'a str>,
    /// How far it reaches.
    pub reach: Reach,
    /// The plan to go on with; the run's own where absent.
    pub on: Option<&'a Plan>,
}

/// What a retry comes to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Retried {
    /// The tasks that run again.
    pub tasks: Vec<String>,
    /// What the new plan changes, where the run goes on with another one.
    pub diff: Option<PlanDiff>,
}

/// Runs again what failed in a run, or `task` whatever its state, with everything behind it. Each task has its
/// plan's attempts anew; earlier attempts stay. Gives the names of the tasks that run again.
pub async fn retry(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<String>, RunError> {
    Ok(retry_by(pool, run_id, &Retry { task, ..Retry::default() }, None, false).await?.tasks)
}

/// As [`retry`], as far as `wish` says. A preview does all of it and takes it back.
pub(super) async fn retry_by(
    pool: &PgPool,
    run_id: i64,
    wish: &Retry<'_>,
    by: Option<&Actor>,
    preview: bool,
) -> Result<Retried, RunError> {
    let mut transaction = pool.begin().await?;
    let mut run = lock(&mut transaction, run_id).await?;
    run.may_change(run_id)?;
    let mut states = states(&mut transaction, run_id).await?;
    let was = run.plan.version.clone();
    let mut added = BTreeSet::new();
    let mut changes = None;
    if let Some(new) = wish.on {
        changes = Some(diff(&run.plan, new));
        added = adopt(&mut transaction, run_id, &run, new, &mut states).await?;
        run.plan = new.clone();
    }
    let mut chosen = choose(&run.plan, run_id, &states, wish, &added)?;
    // What is new runs where its rule says so.
    let again = loop {
        let again = rewind(&run.plan, &states, &chosen, wish.reach);
        let against: Vec<&str> =
            again.iter().filter(|t| added.contains(t.task) && t.is_refused(&run.plan)).map(|t| t.task).collect();
        if against.is_empty() {
            break again;
        }
        chosen.retain(|task| !against.contains(&task.as_str()));
    };
    // Whose list is made anew must not have items under way.
    let anew = again.iter().filter(|t| t.mapped.is_none()).flat_map(|t| items::of(&states, t.task));
    if let Some((task, state)) = again
        .iter()
        .map(|t| (t.task, states[t.task]))
        .chain(anew)
        .find(|(_, s)| matches!(s, TaskState::Running | TaskState::Queued))
    {
        return Err(RunError::StillOpen { run_id, task: task.to_owned(), state: state.to_string() });
    }
    let reopened = again.iter().filter(|t| states[t.task].is_final()).count();
    let goes_on = run.state.on(RunEvent::Retried).ok_or(RunError::NotStarted(run_id))?;
    put_back(&mut transaction, run_id, &again, reopened, goes_on).await?;
    items::size(&mut transaction, &run.plan, run_id, &again).await?;
    if again.is_empty() {
        // Nothing that had failed is left in the new version.
        end_where_over(&mut transaction, run_id).await?;
    }
    // A task that only waits anew, since one that it needs runs again alone, is none of those.
    let runs_again = |t: &&Again<'_>| wish.reach == Reach::Downstream || states[t.task].is_final();
    let tasks: Vec<String> = again.iter().filter(runs_again).map(|t| t.task.to_owned()).collect();
    if let Some(actor) = by {
        let detail = json!({ "tasks": tasks, "from_version": was, "version": run.plan.version });
        let (dag, task) = (Some(run.plan.dag.as_str()), wish.task);
        let act = Act { run_id: Some(run_id), dag, task, detail, ..Act::of("retry") };
        record(&mut transaction, actor, act).await?;
    }
    if preview {
        transaction.rollback().await?;
    } else {
        let pools = pools_of(&mut transaction, &run.plan, run_id).await?;
        admit_tasks(&mut transaction, &pools).await?;
        transaction.commit().await?;
    }
    Ok(Retried { tasks, diff: changes })
}

/// Every pool that a run's tasks take slots of; its plan says whether there are any.
pub(super) async fn pools_of(
    connection: &mut PgConnection,
    plan: &Plan,
    run_id: i64,
) -> Result<BTreeSet<String>, RunError> {
    if !plan.tasks.iter().any(PlannedTask::takes_slot) {
        return Ok(BTreeSet::new());
    }
    let pools = "select distinct pool from sluice.task_run where run_id = $1 and pool is not null";
    Ok(sqlx::query_scalar(pools).bind(run_id).fetch_all(connection).await?.into_iter().collect())
}

pub(super) struct Locked {
    pub(super) state: RunState,
    stopping: bool,
    pub(super) plan: Plan,
    pub(super) params: Map<String, Value>,
    pub(super) logical_time: DateTime<Utc>,
    pub(super) interval: DataInterval,
}

impl Locked {
    /// Refuses what a person cannot do to a run that is being cancelled, or that has not begun.
    pub(super) fn may_change(&self, run_id: i64) -> Result<(), RunError> {
        if self.stopping && !self.state.is_final() {
            return Err(RunError::Stopping(run_id));
        }
        if self.state.on(RunEvent::Retried).is_none() {
            return Err(RunError::NotStarted(run_id));
        }
        Ok(())
    }
}

pub(super) async fn lock(connection: &mut PgConnection, run_id: i64) -> Result<Locked, RunError> {
    type Row = (String, bool, Value, Value, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);
    let row: Option<Row> = sqlx::query_as(
        "select r.state, r.cancel_requested_at is not null, v.plan, r.params, r.logical_time, r.interval_start, r.interval_end
         from sluice.dag_run r join sluice.dag_version v using (dag, version)
         where r.run_id = $1 for update of r",
    )
    .bind(run_id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((state, stopping, plan, params, logical_time, start, end)) = row else {
        let archived = is_archived(connection, run_id).await?;
        return Err(if archived { RunError::Archived(run_id) } else { RunError::NoRun(run_id) });
    };
    let params = params.as_object().cloned().unwrap_or_default();
    let interval = DataInterval { start, end };
    Ok(Locked { state: state.parse()?, stopping, plan: read_plan(plan)?, params, logical_time, interval })
}

/// Every task of a run and how it stands, with the items of lists that are in force.
pub(super) async fn states(
    connection: &mut PgConnection,
    run_id: i64,
) -> Result<BTreeMap<String, TaskState>, RunError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select t.task, t.state from sluice.task_run t
         where t.run_id = $1 and (t.parent is null or exists (
             select from sluice.task_run p where p.run_id = $1 and p.task = t.parent and t.place < p.mapped))",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|(task, state)| Ok((task, state.parse()?))).collect()
}

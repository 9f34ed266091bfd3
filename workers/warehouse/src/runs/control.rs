//! What people do to a run: cancel it, or run parts of it again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use workflow::{
    kind::DataInterval,
    plan::{Plan, PlanDiff, PlannedTask, diff, parent_of},
    state::{NeedsEnded, RunEvent, RunState, TaskEvent, TaskState},
};

use super::{
    RunError,
    admit::{admit_tasks, size_keys},
    advance::{EndedTask, end_where_over, move_on},
    audit::{Act, Actor, record},
    deploy::{self, read_plan},
    items,
    keys::{Keyed, sizes},
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

/// Lets a run that has ended go on with another plan. What succeeded stays; what the plan no longer has is left out;
/// what it has anew comes in as if it had been left out. Gives the names of those.
async fn adopt(
    connection: &mut PgConnection,
    run_id: i64,
    run: &Locked,
    new: &Plan,
    states: &mut BTreeMap<String, TaskState>,
) -> Result<BTreeSet<String>, RunError> {
    if !run.state.is_final() {
        return Err(RunError::UnderWay(run_id));
    }
    if new.dag != run.plan.dag {
        return Err(RunError::NoVersion { dag: run.plan.dag.clone(), version: new.version.clone() });
    }
    deploy::store_version(connection, new).await?;
    let given = run.params.iter().filter(|(name, _)| new.params.contains_key(*name));
    let params = new.params(&given.map(|(name, value)| (name.clone(), value.clone())).collect())?;
    let params = Value::Object(params);
    // A run of one task alone stays one.
    let whole = run.plan.tasks.iter().all(|task| states.contains_key(&task.name));
    let is_in = |name: &str, states: &BTreeMap<String, TaskState>| states.contains_key(name);
    let added: BTreeSet<String> =
        new.tasks.iter().map(|t| t.name.clone()).filter(|name| whole && !is_in(name, states)).collect();
    let kept: Vec<_> = new.tasks.iter().filter(|t| is_in(&t.name, states) || added.contains(&t.name)).collect();
    let present: BTreeSet<&str> = kept.iter().map(|task| task.name.as_str()).collect();
    let edges: Vec<(&str, &str)> = kept
        .iter()
        .flat_map(|task| task.needs.iter().map(|need| (task.name.as_str(), need.as_str())))
        .filter(|(_, need)| present.contains(need))
        .collect();
    let dropped: Vec<&str> = states
        .iter()
        .filter(|(name, state)| new.task_of_row(name).is_none() && state.on(TaskEvent::Dropped).is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let keyed = Keyed { plan: new, logical_time: run.logical_time, interval: run.interval, params: &params };
    let pools = kept.iter().map(|task| keyed.pool(task)).collect::<Result<Vec<_>, _>>()?;
    size_keys(connection, &sizes(kept.iter().copied().zip(pools.iter().map(Option::as_deref)))).await?;
    sqlx::query("delete from sluice.task_edge where run_id = $1").bind(run_id).execute(&mut *connection).await?;
    sqlx::query(include_str!("../../../../sql/runs/adopt_version.sql"))
        .bind(run_id)
        .bind(&new.version)
        .bind(&params)
        .bind(kept.iter().map(|t| t.name.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.kind.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.queue.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.priority).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.trigger_rule.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| i32::from(t.attempts)).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.repeatable).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| i32::try_from(t.needs.len()).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(&pools)
        .bind(edges.iter().map(|(task, _)| *task).collect::<Vec<_>>())
        .bind(edges.iter().map(|(_, need)| *need).collect::<Vec<_>>())
        .bind(&dropped)
        .bind(kept.iter().map(|t| t.labels.join(" ")).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    // Lists are made anew, as the new plan makes them.
    sqlx::query(
        "update sluice.task_run set mapped = null where run_id = $1 and mapped is not null and state <> 'success'",
    )
    .bind(run_id)
    .execute(&mut *connection)
    .await?;
    let dropped: Vec<String> = dropped.into_iter().map(str::to_owned).collect();
    states.retain(|name, _| parent_of(name).is_none());
    for name in dropped {
        states.insert(name, TaskState::Skipped);
    }
    states.extend(added.iter().map(|name| (name.clone(), TaskState::Skipped)));
    Ok(added)
}

/// Writes tasks as a retry, a mark or a clear leaves them, and counts those that it `reopened` as open.
pub(super) async fn put_back(
    connection: &mut PgConnection,
    run_id: i64,
    again: &[Again<'_>],
    reopened: usize,
    goes_on: RunState,
) -> Result<(), RunError> {
    sqlx::query(include_str!("../../../../sql/runs/retry_tasks.sql"))
        .bind(run_id)
        .bind(again.iter().map(|t| t.task).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.state.as_str()).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.open).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.failed).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.skipped).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.attempts).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.total).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.mapped).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query(include_str!("../../../../sql/runs/reopen_run.sql"))
        .bind(run_id)
        .bind(i32::try_from(reopened).unwrap_or(i32::MAX))
        .bind(goes_on.as_str())
        .execute(connection)
        .await?;
    Ok(())
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
    params: Map<String, Value>,
    logical_time: DateTime<Utc>,
    interval: DataInterval,
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
    .fetch_optional(connection)
    .await?;
    let (state, stopping, plan, params, logical_time, start, end) = row.ok_or(RunError::NoRun(run_id))?;
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

/// The tasks that a person means, before those behind them are added.
fn choose(
    plan: &Plan,
    run_id: i64,
    states: &BTreeMap<String, TaskState>,
    wish: &Retry<'_>,
    added: &BTreeSet<String>,
) -> Result<BTreeSet<String>, RunError> {
    if let Some(task) = wish.task {
        let group: BTreeSet<String> = plan.group(task).filter(|t| states.contains_key(*t)).map(str::to_owned).collect();
        if !group.is_empty() {
            return Ok(group);
        }
        if !states.contains_key(task) || plan.task_of_row(task).is_none() {
            return Err(RunError::NoTask { dag: plan.dag.clone(), task: task.to_owned() });
        }
        // What a new version puts before it, a gate perhaps, comes first.
        let comes_first = |name: &&String| plan.with_downstream(name).iter().any(|behind| behind.name == task);
        return Ok(added.iter().filter(comes_first).cloned().chain([task.to_owned()]).collect());
    }
    let failed: BTreeSet<String> = states
        .iter()
        .filter(|(_, state)| state.is_fault() || **state == TaskState::Cancelled)
        .map(|(task, _)| task.clone())
        .chain(added.iter().cloned())
        .collect();
    if failed.is_empty() && wish.on.is_none() { Err(RunError::NothingFailed(run_id)) } else { Ok(failed) }
}

/// How the tasks that a task needs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    pub(super) open: i32,
    failed: i32,
    skipped: i32,
}

impl Needs {
    pub(super) fn count(&mut self, state: TaskState, open: bool) {
        match state {
            state if open || !state.is_final() => self.open += 1,
            state if state.is_fault() || state == TaskState::Cancelled => self.failed += 1,
            TaskState::Skipped => self.skipped += 1,
            _ => {}
        }
    }
}

/// A task as a retry, a mark or a clear leaves it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again<'a> {
    pub(super) task: &'a str,
    pub(super) state: TaskState,
    needs: Needs,
    attempts: i32,
    /// How many it waits for, where that is not what it was.
    pub(super) total: Option<i32>,
    /// How many items it has, where its list is kept.
    pub(super) mapped: Option<i32>,
}

impl<'a> Again<'a> {
    /// Whether its rule decides against it, all that it needs having ended.
    fn is_refused(&self, plan: &Plan) -> bool {
        let Some(task) = plan.task(self.task).filter(|_| self.needs.open == 0) else { return false };
        let total = i32::try_from(task.needs.len()).unwrap_or(i32::MAX);
        let needs = NeedsEnded { total, failed: self.needs.failed, skipped: self.needs.skipped };
        task.trigger_rule.decide(needs) != TaskEvent::Ready
    }

    pub(super) fn new(task: &'a PlannedTask, state: TaskState, needs: Needs) -> Self {
        // Whose list is made anew waits for what it needs first.
        let total = task.for_each.as_ref().map(|_| i32::try_from(task.needs.len()).unwrap_or(i32::MAX));
        Self { task: &task.name, state, needs, attempts: i32::from(task.attempts), total, mapped: None }
    }

    /// An item of a mapped task.
    pub(super) fn of_item(item: &'a str, state: TaskState, task: &PlannedTask) -> Self {
        let attempts = i32::from(task.attempts);
        Self { task: item, state, needs: Needs::default(), attempts, total: None, mapped: None }
    }
}

/// Counts a task's needs; those in `open` count as open whatever their state.
pub(super) fn tally(task: &PlannedTask, states: &BTreeMap<String, TaskState>, open: &BTreeSet<&str>) -> Needs {
    let mut needs = Needs::default();
    for need in &task.needs {
        if let Some(state) = states.get(need) {
            needs.count(*state, open.contains(need.as_str()));
        }
    }
    needs
}

/// The chosen tasks, and as far as the retry reaches those behind them, with what sets up what was taken down behind
/// them: those with an open need wait, the others are ready. Where it reaches no further, tasks that wait for a chosen one wait for it anew.
pub(super) fn rewind<'a>(
    plan: &'a Plan,
    states: &'a BTreeMap<String, TaskState>,
    chosen: &BTreeSet<String>,
    reach: Reach,
) -> Vec<Again<'a>> {
    // An item runs again as part of its task.
    let begin: BTreeSet<&str> = chosen.iter().map(|name| parent_of(name).unwrap_or(name)).collect();
    let mut behind: BTreeSet<&str> = match reach {
        Reach::Downstream => begin.iter().flat_map(|task| plan.with_downstream(task)).collect::<Vec<_>>(),
        Reach::Only => plan.tasks.iter().filter(|task| begin.contains(task.name.as_str())).collect::<Vec<_>>(),
    }
    .into_iter()
    .map(|task| task.name.as_str())
    .filter(|task| states.contains_key(*task))
    .collect();
    // What was taken down is set up again, without what else needs it.
    let taken_down =
        |task: &&PlannedTask| matches!(states.get(&task.name), Some(TaskState::Success | TaskState::Failed));
    for task in plan.tasks.iter().filter(taken_down) {
        if behind.contains(task.name.as_str()) && reach == Reach::Downstream {
            behind.extend(task.teardown.iter().map(String::as_str).filter(|setup| states.contains_key(*setup)));
        }
    }
    let waits_anew = |task: &PlannedTask| {
        states.get(&task.name) == Some(&TaskState::Waiting)
            && items::of(states, &task.name).next().is_none()
            && task.needs.iter().any(|need| behind.contains(need.as_str()))
    };
    plan.tasks
        .iter()
        .filter(|task| behind.contains(task.name.as_str()) || waits_anew(task))
        .flat_map(|task| {
            let needs = tally(task, states, &behind);
            if needs.open == 0
                && let Some(again) = items::again(task, states, chosen)
            {
                return again;
            }
            let event = if needs.open == 0 { TaskEvent::Retried } else { TaskEvent::Rewound };
            let was = states[&task.name];
            vec![Again::new(task, was.on(event).unwrap_or(was), needs)]
        })
        .collect()
}

//! The runs of a span of the past, held by the store to an order and to so many at once.
//!
//! All runs of a backfill are made in one transaction, queued. Whoever ends one of them lets the next in, and so does
//! every process that looks for work (`admit`); nobody has to wait beside it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use workflow::{
    kind::DataInterval,
    plan::Plan,
    state::{RunEvent, RunState, TaskEvent, TaskState},
};

use super::{
    RunError,
    admit::{admit_runs, admit_tasks, lock_dag},
    audit::{Act, Actor, record},
    control::{Cancelled, cancel_in},
    create::{Created, NewRun, Trigger, make},
};

/// Most runs of one backfill.
pub const MOST_RUNS: usize = 5000;

/// A backfill to be made.
#[derive(Debug, Clone)]
pub struct NewBackfill<'a> {
    /// The plan that its runs keep.
    pub plan: &'a Plan,
    /// The first day.
    pub from: NaiveDate,
    /// The last day, included.
    pub to: NaiveDate,
    /// Parameters of every run that differ from the defaults.
    pub params: Map<String, Value>,
    /// How many of its runs may be under way at once.
    pub parallel: i32,
    /// The newest logical time first.
    pub newest_first: bool,
}

/// A run of a backfill, made or to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The instant that it stands for.
    pub logical_time: DateTime<Utc>,
    /// Its data.
    pub interval: DataInterval,
    /// Its number, where it exists.
    pub run_id: Option<i64>,
    /// `new`, or the state that it is in.
    pub state: String,
    /// Whether this backfill made it.
    pub made: bool,
}

/// The runs of a span in the order in which they are to go, as they stand. Changes nothing.
pub async fn plan_backfill(pool: &PgPool, new: &NewBackfill<'_>) -> Result<Vec<Planned>, RunError> {
    plan_in(&mut *pool.acquire().await?, new).await
}

async fn plan_in(connection: &mut PgConnection, new: &NewBackfill<'_>) -> Result<Vec<Planned>, RunError> {
    let plan = new.plan;
    plan.params(&new.params)?;
    if new.to < new.from {
        return Err(RunError::Backwards { from: new.from, to: new.to });
    }
    let mut times = plan.logical_times(new.from, new.to, MOST_RUNS);
    if times.len() > MOST_RUNS {
        return Err(RunError::TooMany(times.len()));
    }
    // What is still to come is for the schedule to make, once its data is there.
    let now = Utc::now();
    times.retain(|time| *time <= now);
    if times.is_empty() {
        return Err(RunError::NotDue(plan.dag.clone()));
    }
    if new.newest_first {
        times.reverse();
    }
    let known: Vec<(DateTime<Utc>, i64, String)> = sqlx::query_as(
        "select logical_time, run_id, state from sluice.every_dag_run where dag = $1 and logical_time = any ($2)",
    )
    .bind(&plan.dag)
    .bind(&times)
    .fetch_all(connection)
    .await?;
    let known: BTreeMap<_, _> = known.into_iter().map(|(at, run_id, state)| (at, (run_id, state))).collect();
    Ok(times
        .into_iter()
        .map(|logical_time| {
            let (run_id, state) = match known.get(&logical_time) {
                Some((run_id, state)) => (Some(*run_id), state.clone()),
                None => (None, "new".to_owned()),
            };
            Planned { logical_time, interval: plan.interval(logical_time), run_id, state, made: false }
        })
        .collect())
}

pub(super) async fn create(
    pool: &PgPool,
    new: &NewBackfill<'_>,
    actor: &Actor,
) -> Result<(i64, Vec<Planned>), RunError> {
    let plan = new.plan;
    let mut transaction = pool.begin().await?;
    // Before the first of its runs: whoever makes some of the same takes turns, and holds none of them meanwhile.
    lock_dag(&mut transaction, &plan.dag).await?;
    let mut planned = plan_in(&mut transaction, new).await?;
    let mut made = Vec::new();
    for line in planned.iter_mut().filter(|line| line.run_id.is_none()) {
        let trigger = Trigger::Backfill;
        let run = NewRun { plan, logical_time: line.logical_time, trigger, params: new.params.clone(), only: None };
        match make(&mut transaction, &run, Some(RunState::Queued), None).await?.created {
            Created::New(run_id) => {
                made.push(run_id);
                (line.run_id, line.made) = (Some(run_id), true);
                RunState::Queued.as_str().clone_into(&mut line.state);
            }
            Created::Existing(run_id) => line.run_id = Some(run_id),
        }
    }
    if made.is_empty() {
        return Err(RunError::NothingToMake);
    }
    let span = Span {
        kind: "backfill",
        dag: &plan.dag,
        from: new.from,
        to: new.to,
        newest_first: new.newest_first,
        parallel: new.parallel,
    };
    let backfill_id = open(&mut transaction, &span, &made, actor).await?;
    let detail = json!({
        "backfill_id": backfill_id, "from": new.from, "to": new.to, "runs": made.len(), "parallel": new.parallel,
        "version": plan.version, "params": new.params,
    });
    record(&mut transaction, actor, Act { dag: Some(&plan.dag), detail, ..Act::of("backfill") }).await?;
    let pools = admit_runs(&mut transaction, &BTreeMap::from([(plan.dag.clone(), most(plan))])).await?;
    admit_tasks(&mut transaction, &pools).await?;
    transaction.commit().await?;
    Ok((backfill_id, planned))
}

/// How many runs of a DAG may be under way.
pub(super) fn most(plan: &Plan) -> i32 {
    plan.max_active_runs.and_then(|most| i32::try_from(most).ok()).unwrap_or(i32::MAX)
}

/// What a row of `sluice.backfill` says.
pub(super) struct Span<'a> {
    pub(super) kind: &'static str,
    pub(super) dag: &'a str,
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    pub(super) newest_first: bool,
    pub(super) parallel: i32,
}

/// Writes a backfill over queued runs.
pub(super) async fn open(
    connection: &mut PgConnection,
    span: &Span<'_>,
    runs: &[i64],
    actor: &Actor,
) -> Result<i64, RunError> {
    let backfill_id: i64 = sqlx::query_scalar(
        "insert into sluice.backfill (kind, dag, from_day, to_day, newest_first, parallel, actor)
         values ($1, $2, $3, $4, $5, $6, $7) returning backfill_id",
    )
    .bind(span.kind)
    .bind(span.dag)
    .bind(span.from)
    .bind(span.to)
    .bind(span.newest_first)
    .bind(span.parallel.max(1))
    .bind(&actor.name)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(include_str!("../../../../sql/runs/open_backfill.sql"))
        .bind(backfill_id)
        .bind(runs)
        .execute(connection)
        .await?;
    Ok(backfill_id)
}

/// What a stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoppedBackfill {
    /// Runs that waited and never start.
    pub cancelled: i64,
    /// Runs that were under way and have been told to end.
    pub stopping: i64,
}

pub(super) async fn stop(pool: &PgPool, backfill_id: i64, actor: &Actor) -> Result<StoppedBackfill, RunError> {
    let mut transaction = pool.begin().await?;
    let open: Vec<(i64, String)> = sqlx::query_as(
        "select run_id, state from sluice.dag_run
         where backfill_id = $1 and state in ('queued', 'running') order by run_id for update",
    )
    .bind(backfill_id)
    .fetch_all(&mut *transaction)
    .await?;
    let dag: Option<String> = sqlx::query_scalar(
        "update sluice.backfill set stopped_at = coalesce(stopped_at, clock_timestamp()),
                stopped_by = coalesce(stopped_by, $2)
         where backfill_id = $1 returning dag",
    )
    .bind(backfill_id)
    .bind(&actor.name)
    .fetch_optional(&mut *transaction)
    .await?;
    let dag = dag.ok_or(RunError::NoBackfill(backfill_id))?;
    if open.is_empty() {
        return Err(RunError::NothingToStop(backfill_id));
    }
    let (queued, running): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, state)| state == "queued");
    let queued: Vec<i64> = queued.into_iter().map(|(run_id, _)| run_id).collect();
    // Those that wait go first, so that no room made by the others lets them in.
    let run = RunState::Queued.on(RunEvent::Stopped).expect("what waits can be stopped");
    let task = TaskState::Waiting.on(TaskEvent::Cancel).expect("what waits can be cancelled");
    let stopped: Vec<i64> = sqlx::query_scalar(include_str!("../../../../sql/runs/stop_queued.sql"))
        .bind(&queued)
        .bind(run.as_str())
        .bind(task.as_str())
        .fetch_all(&mut *transaction)
        .await?;
    let mut stopping = 0;
    let mut pools = BTreeSet::new();
    for (run_id, _) in running {
        let (cancelled, freed) = cancel_in(&mut transaction, run_id).await?;
        pools.extend(freed);
        stopping += i64::from(!matches!(cancelled, Cancelled::AlreadyOver(_)));
    }
    admit_tasks(&mut transaction, &pools).await?;
    let answer = StoppedBackfill { cancelled: i64::try_from(stopped.len()).unwrap_or(i64::MAX), stopping };
    let detail = json!({ "backfill_id": backfill_id, "cancelled": answer.cancelled, "stopping": stopping });
    record(&mut transaction, actor, Act { dag: Some(&dag), detail, ..Act::of("backfill_stop") }).await?;
    transaction.commit().await?;
    Ok(answer)
}

/// A backfill, as `sluice backfill list --json` shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct BackfillRow {
    /// Its number.
    pub backfill_id: i64,
    /// `backfill` or `clear`.
    pub kind: String,
    /// The DAG.
    pub dag: String,
    /// The first day.
    pub from_day: NaiveDate,
    /// The last day, included.
    pub to_day: NaiveDate,
    /// The newest run first.
    pub newest_first: bool,
    /// How many of its runs may be under way at once.
    pub parallel: i32,
    /// Who asked for it.
    pub actor: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When someone stopped it.
    pub stopped_at: Option<DateTime<Utc>>,
    /// Who did.
    pub stopped_by: Option<String>,
    /// `running`, `stopped` or `done`.
    pub state: String,
    /// Its runs.
    pub runs: i64,
    /// Those that wait.
    pub queued: i64,
    /// Those that are under way.
    pub running: i64,
    /// Those that succeeded.
    pub success: i64,
    /// Those that failed.
    pub failed: i64,
}

/// The latest backfills, newest first: those numbered below `before`.
pub async fn backfills(
    pool: &PgPool,
    dag: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<BackfillRow>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../../sql/runs/list_backfills.sql"))
        .bind(dag)
        .bind(before)
        .bind(limit)
        .fetch_all(pool)
        .await
}

//! Spans of days that a person has made, or run again; the list of them, and their end.

use axum::{Json, extract::State as Extract};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warehouse::runs::{self as store, Clear, NewBackfill, Person, RunError};

use super::{
    extract::{ApiJson, ApiPath, ApiQuery, DagQuery, cursor, in_time, limit},
    runs::no_dag,
};
use crate::{
    access::By,
    actions::refused,
    error::{ApiError, Problem},
    state::State,
    store::Page,
};

/// Which run of a span goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    #[default]
    Oldest,
    Newest,
}

fn parallel() -> u16 {
    4
}

/// A span of runs to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackfillWish {
    /// First day, in the DAG's time zone.
    from: NaiveDate,
    /// Last day, included.
    to: NaiveDate,
    /// What the DAG's templates read as `params`.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
    /// How many of the runs may be under way at once.
    #[serde(default = "parallel")]
    #[schema(minimum = 1, default = 4)]
    parallel: u16,
    /// Which run goes first.
    #[serde(default)]
    #[schema(inline, default = "oldest")]
    order: Order,
    /// Show what would be made, and make nothing.
    #[serde(default)]
    preview: bool,
}

/// A run of a backfill.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackfillRun {
    /// The instant that it stands for.
    logical_time: DateTime<Utc>,
    /// First instant of its data.
    interval_start: DateTime<Utc>,
    /// First instant after its data.
    interval_end: DateTime<Utc>,
    /// Null where it does not exist.
    run_id: Option<i64>,
    /// `new`, or the state that it is in.
    state: String,
    /// Whether this backfill made it.
    made: bool,
}

/// A backfill, made or previewed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackfillDone {
    /// Null for a preview.
    backfill_id: Option<i64>,
    /// In the order in which they go.
    runs: Vec<BackfillRun>,
}

/// Makes the runs of a span of days that do not exist yet, or shows them.
#[utoipa::path(post, path = "/api/v1/dags/{dag}/backfill", tag = "runs", request_body = BackfillWish,
    params(("dag" = String, Path)),
    responses(
        (status = 200, body = BackfillDone),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn backfill(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(dag): ApiPath<String>,
    ApiJson(wish): ApiJson<BackfillWish>,
) -> Result<Json<BackfillDone>, ApiError> {
    let plan = current(&state, &dag).await?;
    let new = NewBackfill {
        plan: &plan,
        from: in_time("from", wish.from)?,
        to: in_time("to", wish.to)?,
        params: wish.params,
        parallel: at_least_one(wish.parallel)?,
        newest_first: wish.order == Order::Newest,
    };
    let (backfill_id, planned) = if wish.preview {
        (None, store::plan_backfill(state.pool(), &new).await.map_err(refused)?)
    } else {
        let (id, planned) = Person::new(state.pool(), &actor).backfill(&new).await.map_err(refused)?;
        (Some(id), planned)
    };
    let runs = planned.into_iter().map(|line| BackfillRun {
        logical_time: line.logical_time,
        interval_start: line.interval.start,
        interval_end: line.interval.end,
        run_id: line.run_id,
        state: line.state,
        made: line.made,
    });
    Ok(Json(BackfillDone { backfill_id, runs: runs.collect() }))
}

async fn current(state: &State, dag: &str) -> Result<workflow::plan::Plan, ApiError> {
    store::current_plan(state.pool(), dag).await.map_err(refused)?.ok_or_else(|| no_dag(dag))
}

fn at_least_one(parallel: u16) -> Result<i32, ApiError> {
    if parallel == 0 { Err(ApiError::BadRequest("parallel must be 1 or more".to_owned())) } else { Ok(parallel.into()) }
}

/// A span of runs to run again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearWish {
    /// First day, in the DAG's time zone.
    from: NaiveDate,
    /// Last day, included.
    to: NaiveDate,
    /// Only this task and those behind it; all of them where absent.
    task: Option<String>,
    /// How many of the runs may be under way at once.
    #[serde(default = "parallel")]
    #[schema(minimum = 1, default = 4)]
    parallel: u16,
    /// Which run goes first.
    #[serde(default)]
    #[schema(inline, default = "oldest")]
    order: Order,
    /// Show what would run again, and change nothing.
    #[serde(default)]
    preview: bool,
}

/// A run of a clear.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClearRun {
    run_id: i64,
    /// The instant that it stands for.
    logical_time: DateTime<Utc>,
    /// How it stood.
    state: String,
    /// The tasks that run again; none where the run is under way.
    tasks: Vec<String>,
}

/// A clear, done or previewed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClearDone {
    /// Stops it, as it stops a backfill; null for a preview, and where nothing runs again.
    backfill_id: Option<i64>,
    /// Oldest first.
    runs: Vec<ClearRun>,
}

/// Runs again what was done in a span of days, or shows it.
#[utoipa::path(post, path = "/api/v1/dags/{dag}/clear", tag = "runs", request_body = ClearWish,
    params(("dag" = String, Path)),
    responses(
        (status = 200, body = ClearDone),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn clear(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(dag): ApiPath<String>,
    ApiJson(wish): ApiJson<ClearWish>,
) -> Result<Json<ClearDone>, ApiError> {
    let plan = current(&state, &dag).await?;
    let (from, to) = (in_time("from", wish.from)?, in_time("to", wish.to)?);
    if to < from {
        return Err(refused(RunError::Backwards { from, to }));
    }
    let clear = Clear {
        plan: &plan,
        from,
        to,
        task: wish.task.as_deref(),
        parallel: at_least_one(wish.parallel)?,
        newest_first: wish.order == Order::Newest,
    };
    let done = Person::new(state.pool(), &actor).clear(&clear, wish.preview).await.map_err(refused)?;
    let runs = done.runs.into_iter().map(|run| ClearRun {
        run_id: run.run_id,
        logical_time: run.logical_time,
        state: run.state,
        tasks: run.tasks,
    });
    Ok(Json(ClearDone { backfill_id: done.backfill_id, runs: runs.collect() }))
}

/// A backfill, or a clear.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API names it as the view does")]
pub(super) struct Backfill {
    backfill_id: i64,
    /// `backfill` or `clear`.
    kind: String,
    dag: String,
    /// First day.
    from: NaiveDate,
    /// Last day, included.
    to: NaiveDate,
    /// Whether the newest run goes first.
    newest_first: bool,
    /// How many of its runs may be under way at once.
    parallel: i32,
    /// Who asked for it.
    actor: String,
    created_at: DateTime<Utc>,
    stopped_at: Option<DateTime<Utc>>,
    /// `running`, `stopped` or `done`.
    state: String,
    /// How many runs it has.
    runs: i64,
    /// How many of them wait.
    queued: i64,
    /// How many are under way.
    running: i64,
    /// How many succeeded.
    success: i64,
    /// How many failed.
    failed: i64,
}

/// Backfills and clears, newest first.
#[utoipa::path(get, path = "/api/v1/backfills", tag = "runs", params(DagQuery),
    responses((status = 200, body = Page<Backfill>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_backfills(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<DagQuery>,
) -> Result<Json<Page<Backfill>>, ApiError> {
    let (before, limit) = (cursor(query.cursor.as_deref())?, limit(query.limit)?);
    let rows = store::backfills(state.pool(), query.dag.as_deref(), before, limit + 1).await?;
    let rows = rows.into_iter().map(|row| Backfill {
        backfill_id: row.backfill_id,
        kind: row.kind,
        dag: row.dag,
        from: row.from_day,
        to: row.to_day,
        newest_first: row.newest_first,
        parallel: row.parallel,
        actor: row.actor,
        created_at: row.created_at,
        stopped_at: row.stopped_at,
        state: row.state,
        runs: row.runs,
        queued: row.queued,
        running: row.running,
        success: row.success,
        failed: row.failed,
    });
    Ok(Json(Page::cut(rows.collect(), limit, |row| row.backfill_id.to_string())))
}

/// What a stop came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackfillStopped {
    backfill_id: i64,
    /// Runs that waited and never start.
    cancelled: i64,
    /// Runs that were under way and have been told to end.
    stopping: i64,
}

/// Stops a backfill or a clear: what waits is cancelled, what runs is told to end, nothing of it starts any more.
#[utoipa::path(post, path = "/api/v1/backfills/{backfill_id}/stop", tag = "runs", params(("backfill_id" = i64, Path)),
    responses(
        (status = 200, body = BackfillStopped),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn stop_backfill(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(backfill_id): ApiPath<i64>,
) -> Result<Json<BackfillStopped>, ApiError> {
    let stopped = Person::new(state.pool(), &actor).stop_backfill(backfill_id).await.map_err(refused)?;
    Ok(Json(BackfillStopped { backfill_id, cancelled: stopped.cancelled, stopping: stopped.stopping }))
}

//! DAGs, runs, tasks and logs; starting, cancelling and retrying a run.

use axum::{
    Json,
    extract::State as Extract,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{ApiJson, ApiOptional, ApiPath, ApiQuery, cursor, in_time, limit},
    versions::Diff,
};
use crate::{
    access::By,
    actions::{self, Again},
    error::{ApiError, Problem},
    state::State,
    store::{
        Page,
        dags::{self, Dag, GridRun},
        runs::{self, Attempt, LogLine, Run, RunFilter, RunSummary, Task},
    },
};

/// The deployed DAGs.
#[utoipa::path(get, path = "/api/v1/dags", tag = "runs", responses((status = 200, body = Vec<Dag>)))]
pub(super) async fn list_dags(Extract(state): Extract<State>) -> Result<Json<Vec<Dag>>, ApiError> {
    Ok(Json(dags::list(state.pool()).await?))
}

/// A DAG and its last runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DagDetail {
    #[serde(flatten)]
    dag: Dag,
    /// The last 50 by logical time, oldest first.
    runs: Vec<GridRun>,
}

/// One DAG with its last runs.
#[utoipa::path(get, path = "/api/v1/dags/{dag}", tag = "runs", params(("dag" = String, Path, description = "Its name")),
    responses((status = 200, body = DagDetail), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_dag(
    Extract(state): Extract<State>,
    ApiPath(dag): ApiPath<String>,
) -> Result<Json<DagDetail>, ApiError> {
    let found = dags::get(state.pool(), &dag).await?.ok_or_else(|| no_dag(&dag))?;
    Ok(Json(DagDetail { dag: found, runs: dags::grid(state.pool(), Some(&dag), 50).await? }))
}

/// What to list runs by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunQuery {
    /// Runs of this DAG only.
    dag: Option<String>,
    /// Runs in this state only.
    #[param(inline)]
    state: Option<RunState>,
    /// Runs started this way only: `schedule`, `manual` or `backfill`.
    trigger: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// State of a run.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RunState {
    Queued,
    Running,
    Success,
    Failed,
    Cancelled,
    Skipped,
}

impl RunState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(RunQuery),
    responses((status = 200, body = Page<RunSummary>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_runs(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<RunQuery>,
) -> Result<Json<Page<RunSummary>>, ApiError> {
    let filter = RunFilter {
        dag: query.dag,
        state: query.state.map(|state| state.as_str().to_owned()),
        trigger: query.trigger,
        before: cursor(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(Json(runs::list(state.pool(), &filter).await?))
}

/// A run with its tasks, each with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunDetail {
    #[serde(flatten)]
    run: Run,
    tasks: Vec<TaskDetail>,
}

/// A task with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskDetail {
    #[serde(flatten)]
    task: Task,
    /// Every attempt, first to last.
    #[serde(rename = "history")]
    attempts: Vec<Attempt>,
}

/// One run with its tasks and their attempts.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}", tag = "runs", params(("run_id" = i64, Path)),
    responses((status = 200, body = RunDetail), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_run(
    Extract(state): Extract<State>,
    ApiPath(run_id): ApiPath<i64>,
) -> Result<Json<RunDetail>, ApiError> {
    let run = runs::get(state.pool(), run_id).await?.ok_or_else(|| no_run(run_id))?;
    let mut attempts = runs::attempts(state.pool(), run_id, None).await?;
    let tasks = runs::tasks(state.pool(), run_id, None)
        .await?
        .into_iter()
        .map(|task| {
            let (own, rest) = std::mem::take(&mut attempts).into_iter().partition(|a| a.task == task.task);
            attempts = rest;
            TaskDetail { task, attempts: own }
        })
        .collect();
    Ok(Json(RunDetail { run, tasks }))
}

/// Which lines of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Which attempt; the latest where absent.
    attempt: Option<i32>,
    /// Lines after this `seq` only.
    after: Option<i64>,
    /// How many lines, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Lines of one attempt's log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Log {
    /// The attempt; null where none was made.
    attempt: Option<i32>,
    items: Vec<LogLine>,
    /// Hand it back as `after` for the lines that follow, also those written later.
    next_after: i64,
}

/// The log of a task's attempt.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}/tasks/{task}/logs", tag = "runs",
    params(("run_id" = i64, Path), ("task" = String, Path), LogQuery),
    responses((status = 200, body = Log), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_logs(
    Extract(state): Extract<State>,
    ApiPath((run_id, task)): ApiPath<(i64, String)>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<Log>, ApiError> {
    let limit = limit(query.limit)?;
    let after = query.after.unwrap_or(-1);
    let attempts = runs::attempts(state.pool(), run_id, Some(&task)).await?;
    if attempts.is_empty() && !runs::tasks(state.pool(), run_id, Some(&task)).await?.iter().any(|t| t.task == task) {
        return Err(ApiError::NotFound(format!("run {run_id} has no task `{task}`")));
    }
    let Some(attempt) = query.attempt.or_else(|| attempts.last().map(|a| a.attempt)) else {
        return Ok(Json(Log { attempt: None, items: Vec::new(), next_after: after }));
    };
    let items = runs::logs(state.pool(), (run_id, &task, attempt), after, limit).await?;
    let next_after = items.last().map_or(after, |line| line.seq);
    Ok(Json(Log { attempt: Some(attempt), items, next_after }))
}

/// A run to start by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trigger {
    /// The DAG.
    dag: String,
    /// The instant that the run stands for; now where absent.
    logical_time: Option<DateTime<Utc>>,
    /// What the DAG's templates read as `params`.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    run_id: i64,
    /// What the run's state is now.
    state: String,
}

/// Starts a run by hand.
#[utoipa::path(post, path = "/api/v1/runs", tag = "runs", request_body = Trigger,
    responses(
        (status = 201, body = Done, headers(("location" = String, description = "The run"))),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn trigger(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiJson(trigger): ApiJson<Trigger>,
) -> Result<Response, ApiError> {
    let logical_time = trigger.logical_time.map(|time| in_time("logical_time", time)).transpose()?;
    let run_id = actions::trigger(state.pool(), &actor, &trigger.dag, logical_time, trigger.params).await?;
    let location = format!("/api/v1/runs/{run_id}");
    let state = warehouse::runs::run(state.pool(), run_id).await.map_err(actions::refused)?.state;
    let done = Done { run_id, state };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(done)).into_response())
}

/// Why a run is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CancelWish {
    /// It is kept in the audit log.
    reason: Option<String>,
}

/// Cancels a run: what waits is not started, what runs is told to stop.
#[utoipa::path(post, path = "/api/v1/runs/{run_id}/cancel", tag = "runs", params(("run_id" = i64, Path)),
    request_body = Option<CancelWish>,
    responses(
        (status = 200, body = Done),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn cancel(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(run_id): ApiPath<i64>,
    ApiOptional(wish): ApiOptional<CancelWish>,
) -> Result<Json<Done>, ApiError> {
    actions::cancel(state.pool(), &actor, run_id, wish.reason.as_deref()).await?;
    done(&state, run_id).await
}

/// What to run again. An empty body means all that failed or was cancelled, with what stands behind it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetryWish {
    /// This task, whatever its state.
    task: Option<String>,
    /// Not those behind it.
    only: bool,
    /// The version of the DAG to go on with: `old` (the run's own), `new` (the deployed one), or how a version begins.
    on: Option<String>,
    /// Show what would run again and what the other version changes, and change nothing.
    preview: bool,
}

/// What a retry came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetryDone {
    run_id: i64,
    /// What the run's state is now.
    state: String,
    /// The tasks that run again.
    tasks: Vec<String>,
    /// What the other version changes; null where the run keeps its own.
    diff: Option<Diff>,
}

/// Runs what failed again, and what did not run because of it; or one task, alone or with those behind it.
#[utoipa::path(post, path = "/api/v1/runs/{run_id}/retry", tag = "runs", params(("run_id" = i64, Path)),
    request_body = Option<RetryWish>,
    responses(
        (status = 200, body = RetryDone),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn retry(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(run_id): ApiPath<i64>,
    ApiOptional(wish): ApiOptional<RetryWish>,
) -> Result<Json<RetryDone>, ApiError> {
    let again = Again { task: wish.task.as_deref(), only: wish.only, on: wish.on.as_deref(), preview: wish.preview };
    let retried = actions::retry(state.pool(), &actor, run_id, &again).await?;
    let Json(Done { state, .. }) = done(&state, run_id).await?;
    Ok(Json(RetryDone { run_id, state, tasks: retried.tasks, diff: retried.diff.map(Diff::from) }))
}

async fn done(state: &State, run_id: i64) -> Result<Json<Done>, ApiError> {
    let run = runs::get(state.pool(), run_id).await?.ok_or_else(|| no_run(run_id))?;
    Ok(Json(Done { run_id, state: run.state }))
}

pub(crate) fn no_run(run_id: i64) -> ApiError {
    ApiError::NotFound(format!("there is no run {run_id}"))
}

pub(crate) fn no_dag(dag: &str) -> ApiError {
    ApiError::NotFound(format!("no DAG `{dag}` is deployed"))
}

//! Why things stand as they do, in words.

use axum::{Json, extract::State as Extract};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{ApiPath, ApiQuery},
    runs::no_dag,
};
use crate::{
    actions,
    error::{ApiError, Problem},
    state::State,
};

/// Whom to ask about.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// Only about this task.
    task: Option<String>,
}

/// Why a DAG, a run or a task stands as it does.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Why {
    /// The task; null for the run or the DAG itself.
    task: Option<String>,
    /// Its state.
    state: String,
    /// The reason, a sentence.
    because: String,
    /// What else helps, a sentence each.
    facts: Vec<String>,
    /// What to do about it.
    hint: Option<String>,
}

impl From<warehouse::runs::Why> for Why {
    fn from(why: warehouse::runs::Why) -> Self {
        let warehouse::runs::Why { task, state, because, facts, hint } = why;
        Self { task, state, because, facts, hint }
    }
}

/// Why a run, and each of its tasks that has something to say, has not run, is slow, failed or was skipped.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}/why", tag = "runs", params(("run_id" = i64, Path), WhyQuery),
    responses((status = 200, body = Vec<Why>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn why(
    Extract(state): Extract<State>,
    ApiPath(run_id): ApiPath<i64>,
    ApiQuery(query): ApiQuery<WhyQuery>,
) -> Result<Json<Vec<Why>>, ApiError> {
    let answers = actions::why(state.pool(), run_id, query.task.as_deref()).await?;
    Ok(Json(answers.into_iter().map(Why::from).collect()))
}

/// What starts a DAG next, or what keeps it from being started: its state is `scheduled`, `due`, `waiting` (for its
/// triggers or for a scheduler), `paused`, `retired` or `by hand`.
#[utoipa::path(get, path = "/api/v1/dags/{dag}/why", tag = "runs", params(("dag" = String, Path)),
    responses((status = 200, body = Why), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn why_next(
    Extract(state): Extract<State>,
    ApiPath(dag): ApiPath<String>,
) -> Result<Json<Why>, ApiError> {
    let answer = warehouse::runs::why_next(state.pool(), &dag).await.map_err(actions::refused)?;
    Ok(Json(answer.ok_or_else(|| no_dag(&dag))?.into()))
}

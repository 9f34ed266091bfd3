//! Tasks that a person puts into a state.

use axum::{Json, extract::State as Extract};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warehouse::runs::{self as store, Mark, Person};

use super::extract::{ApiJson, ApiPath};
use crate::{
    access::By,
    actions::refused,
    error::{ApiError, Problem},
    state::State,
};

/// A state to put a task into.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MarkState {
    Success,
    Failed,
    Skipped,
}

/// A task put into a state by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkWish {
    /// The state.
    state: MarkState,
    /// Why; it is kept with the task and in the audit log.
    #[schema(min_length = 1)]
    reason: String,
}

/// What a mark came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Marked {
    run_id: i64,
    task: String,
    /// What the run's state is now.
    state: String,
    /// The tasks behind it that were decided anew.
    decided_anew: Vec<String>,
}

/// Lets a task count as succeeded, failed or skipped. What stands behind it goes on.
#[utoipa::path(post, path = "/api/v1/runs/{run_id}/tasks/{task}/mark", tag = "runs", request_body = MarkWish,
    params(("run_id" = i64, Path), ("task" = String, Path)),
    responses(
        (status = 200, body = Marked),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn mark(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath((run_id, task)): ApiPath<(i64, String)>,
    ApiJson(wish): ApiJson<MarkWish>,
) -> Result<Json<Marked>, ApiError> {
    let mark = match wish.state {
        MarkState::Success => Mark::Success,
        MarkState::Failed => Mark::Failed,
        MarkState::Skipped => Mark::Skipped,
    };
    let person = Person::new(state.pool(), &actor);
    let decided_anew = person.mark(run_id, &task, mark, &wish.reason).await.map_err(refused)?;
    let run = store::run(state.pool(), run_id).await.map_err(refused)?;
    Ok(Json(Marked { run_id, task, state: run.state, decided_anew }))
}

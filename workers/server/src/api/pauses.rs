//! Schedules that a person lets rest.

use axum::{Json, extract::State as Extract};
use serde::Serialize;
use utoipa::ToSchema;
use warehouse::runs::Actor;

use super::extract::ApiPath;
use crate::{
    access::By,
    error::{ApiError, Problem},
    state::State,
};

/// Whether a DAG's schedule rests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Resting {
    dag: String,
    paused: bool,
}

/// Lets a DAG's schedule rest.
#[utoipa::path(post, path = "/api/v1/dags/{dag}/pause", tag = "runs", params(("dag" = String, Path)),
    responses((status = 200, body = Resting), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn pause(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(dag): ApiPath<String>,
) -> Result<Json<Resting>, ApiError> {
    rest(&state, &actor, dag, true).await
}

/// Takes a DAG's schedule up again.
#[utoipa::path(post, path = "/api/v1/dags/{dag}/resume", tag = "runs", params(("dag" = String, Path)),
    responses((status = 200, body = Resting), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resume(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiPath(dag): ApiPath<String>,
) -> Result<Json<Resting>, ApiError> {
    rest(&state, &actor, dag, false).await
}

async fn rest(state: &State, actor: &Actor, dag: String, paused: bool) -> Result<Json<Resting>, ApiError> {
    crate::actions::rest(state.pool(), actor, &dag, paused).await?;
    Ok(Json(Resting { dag, paused }))
}

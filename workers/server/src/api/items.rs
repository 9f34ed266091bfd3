//! The items of mapped tasks.

use axum::{Json, extract::State as Extract};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{ApiPath, ApiQuery, cursor, limit},
    runs::no_run,
};
use crate::{
    error::{ApiError, Problem},
    state::State,
    store::{Page, runs},
};

/// An item of a mapped task.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API names it as the store does")]
pub(super) struct Item {
    /// Its name, which logs and retries are asked for by: `load[3]`.
    task: String,
    /// Its place in the list, from 0.
    place: i32,
    /// The item.
    #[schema(value_type = Value)]
    item: Option<Value>,
    /// As a task's.
    state: String,
    /// How many attempts were made.
    attempts: i32,
    /// How many are allowed.
    max_attempts: i32,
    /// A retry is not made before this.
    not_before: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Why it stands where it stands, where that needs words.
    reason: Option<String>,
    /// What it left.
    #[schema(value_type = Value)]
    output: Option<Value>,
}

/// Which items.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemQuery {
    /// Those in this state only.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// The items of a mapped task, in the list's order; none where its list is not known, and where it is not mapped.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}/tasks/{task}/items", tag = "runs",
    params(("run_id" = i64, Path), ("task" = String, Path), ItemQuery),
    responses((status = 200, body = Page<Item>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_items(
    Extract(state): Extract<State>,
    ApiPath((run_id, task)): ApiPath<(i64, String)>,
    ApiQuery(query): ApiQuery<ItemQuery>,
) -> Result<Json<Page<Item>>, ApiError> {
    let (after, limit) = (cursor(query.cursor.as_deref())?, limit(query.limit)?);
    runs::get(state.pool(), run_id).await?.ok_or_else(|| no_run(run_id))?;
    if !runs::tasks(state.pool(), run_id, None).await?.iter().any(|found| found.task == task) {
        return Err(ApiError::NotFound(format!("run {run_id} has no task `{task}`")));
    }
    let rows: Vec<Item> = sqlx::query_as(include_str!("../../../../sql/web/run_items.sql"))
        .bind(run_id)
        .bind(&task)
        .bind(query.state)
        .bind(after)
        .bind(limit + 1)
        .fetch_all(state.pool())
        .await?;
    Ok(Json(Page::cut(rows, limit, |item| item.place.to_string())))
}

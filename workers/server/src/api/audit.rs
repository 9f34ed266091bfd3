//! What people did.

use axum::{Json, extract::State as Extract};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use warehouse::runs as store;

use super::extract::{ApiQuery, DagQuery, cursor, limit};
use crate::{
    error::{ApiError, Problem},
    state::State,
    store::Page,
};

/// An act of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntry {
    audit_id: i64,
    at: DateTime<Utc>,
    /// A user of the system, a token's name, or `anonymous` on an open server.
    actor: String,
    /// `cli`, `api` or `web`.
    via: String,
    /// What they did.
    act: String,
    run_id: Option<i64>,
    dag: Option<String>,
    task: Option<String>,
    /// Why, in their words.
    reason: Option<String>,
    /// What else there is to know.
    #[schema(value_type = Object)]
    detail: Value,
}

/// What people did, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "runs", params(DagQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_audit(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<DagQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let (before, limit) = (cursor(query.cursor.as_deref())?, limit(query.limit)?);
    let rows = store::audit(state.pool(), query.dag.as_deref(), before, limit + 1).await?;
    let rows = rows.into_iter().map(|row| AuditEntry {
        audit_id: row.audit_id,
        at: row.at,
        actor: row.actor,
        via: row.via,
        act: row.act,
        run_id: row.run_id,
        dag: row.dag,
        task: row.task,
        reason: row.reason,
        detail: row.detail,
    });
    Ok(Json(Page::cut(rows.collect(), limit, |row| row.audit_id.to_string())))
}

//! Loads, check results and held-back rows.

use axum::{Json, extract::State as Extract};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{ApiQuery, cursor, cursor_pair, limit};
use crate::{
    error::{ApiError, Problem},
    state::State,
    store::{
        Page,
        data::{self, CheckFilter, CheckResult, Load, LoadFilter, QuarantineFilter, QuarantinedRow},
    },
};

/// What to list loads by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LoadQuery {
    /// Loads into this dataset only.
    dataset: Option<String>,
    /// Loads of this run only.
    run_id: Option<i64>,
    /// Loads with this verdict only: `passed`, `warned`, `quarantined`, `failed` or `unchecked`.
    verdict: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Loads, newest first.
#[utoipa::path(get, path = "/api/v1/loads", tag = "data", params(LoadQuery),
    responses((status = 200, body = Page<Load>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_loads(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<LoadQuery>,
) -> Result<Json<Page<Load>>, ApiError> {
    let filter = LoadFilter {
        dataset: query.dataset,
        run_id: query.run_id,
        verdict: query.verdict,
        before: cursor(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(Json(data::loads(state.pool(), &filter).await?))
}

/// What to list check results by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckQuery {
    /// Results of this suite only.
    suite: Option<String>,
    /// Results of this run only.
    run_id: Option<i64>,
    /// Results with this outcome only: `passed`, `failed`, `errored` or `vacuous`.
    outcome: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Results of quality checks, newest first.
#[utoipa::path(get, path = "/api/v1/checks", tag = "data", params(CheckQuery),
    responses((status = 200, body = Page<CheckResult>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_checks(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<CheckQuery>,
) -> Result<Json<Page<CheckResult>>, ApiError> {
    let filter = CheckFilter {
        suite: query.suite,
        run_id: query.run_id,
        outcome: query.outcome,
        before: cursor(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(Json(data::checks(state.pool(), &filter).await?))
}

/// What to list held-back rows by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QuarantineQuery {
    /// Rows of this dataset only.
    dataset: Option<String>,
    /// Rows of this load only.
    load_id: Option<i64>,
    /// Rows that broke this rule only.
    rule: Option<String>,
    /// Rows in this state only: `open`, `replayed` or `dismissed`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Rows that gates held back, newest load first, each with every rule that it broke and what became of it.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "data", params(QuarantineQuery),
    responses((status = 200, body = Page<QuarantinedRow>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_quarantine(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<QuarantineQuery>,
) -> Result<Json<Page<QuarantinedRow>>, ApiError> {
    let filter = QuarantineFilter {
        dataset: query.dataset,
        load_id: query.load_id,
        rule: query.rule,
        state: query.state,
        after: cursor_pair(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(Json(data::quarantine(state.pool(), &filter).await?))
}

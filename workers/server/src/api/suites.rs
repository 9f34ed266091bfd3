//! Versions of suites, who changed them, and what changed between them.

use axum::{Json, extract::State as Extract};
use chrono::{DateTime, Utc};
use quality::versions;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{ApiPath, ApiQuery},
    versions::KeyChange,
};
use crate::{
    error::{ApiError, Problem},
    state::State,
};

/// A version of a suite.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuiteVersion {
    /// The hash of its content: `suite_hash` of loads and checks.
    hash: String,
    /// When it was first seen.
    seen_at: DateTime<Utc>,
    /// Who deployed it first.
    actor: Option<String>,
    /// Whether it is the one that was deployed last.
    current: bool,
    /// How many loads it has judged.
    loads: i64,
    /// When it judged last.
    judged_at: Option<DateTime<Utc>>,
}

/// The versions of a suite that were ever deployed or used, newest first.
#[utoipa::path(get, path = "/api/v1/suites/{suite}/versions", tag = "data", params(("suite" = String, Path)),
    responses((status = 200, body = Vec<SuiteVersion>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_suite_versions(
    Extract(state): Extract<State>,
    ApiPath(suite): ApiPath<String>,
) -> Result<Json<Vec<SuiteVersion>>, ApiError> {
    let mut connection = state.pool().acquire().await?;
    let rows = versions::versions(&mut connection, &suite).await?;
    if rows.is_empty() {
        return Err(ApiError::NotFound(format!("no version of the suite `{suite}` was ever deployed or used")));
    }
    let versions = rows.into_iter().map(|row| SuiteVersion {
        hash: row.hash,
        seen_at: row.seen_at,
        actor: row.actor,
        current: row.current,
        loads: row.loads,
        judged_at: row.judged_at,
    });
    Ok(Json(versions.collect()))
}

/// Which versions to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SuiteDiffQuery {
    /// The old version, or how it begins.
    old: String,
    /// The new version, or how it begins; the deployed one where absent.
    new: Option<String>,
}

/// A check that both versions have and that differs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckChange {
    check: String,
    changes: Vec<KeyChange>,
}

/// What changed between two versions of a suite.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuiteDiff {
    suite: String,
    old: String,
    new: String,
    /// Keys of the suite itself.
    changes: Vec<KeyChange>,
    /// Checks that only the new version has.
    added: Vec<String>,
    /// Checks that only the old version has.
    removed: Vec<String>,
    /// Checks that differ.
    changed: Vec<CheckChange>,
}

/// What changed between two versions of a suite, check by check.
#[utoipa::path(get, path = "/api/v1/suites/{suite}/diff", tag = "data", params(("suite" = String, Path), SuiteDiffQuery),
    responses(
        (status = 200, body = SuiteDiff),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn suite_diff(
    Extract(state): Extract<State>,
    ApiPath(suite): ApiPath<String>,
    ApiQuery(query): ApiQuery<SuiteDiffQuery>,
) -> Result<Json<SuiteDiff>, ApiError> {
    let mut connection = state.pool().acquire().await?;
    let missing = |text: &str| ApiError::NotFound(format!("the suite `{suite}` has no version `{text}`"));
    let old = versions::find(&mut connection, &suite, &query.old).await?.ok_or_else(|| missing(&query.old))?;
    let new = match &query.new {
        Some(text) => versions::find(&mut connection, &suite, text).await?.ok_or_else(|| missing(text))?,
        None => versions::current(&mut connection, &suite)
            .await?
            .ok_or_else(|| ApiError::NotFound(format!("no version of the suite `{suite}` is deployed")))?,
    };
    let found = versions::diff(&suite, &old, &new);
    let keys = |changes: Vec<_>| changes.into_iter().map(KeyChange::from).collect();
    let changed = found.changed.into_iter().map(|c| CheckChange { check: c.check, changes: keys(c.changes) }).collect();
    Ok(Json(SuiteDiff {
        suite: found.suite,
        old: found.old,
        new: found.new,
        changes: keys(found.changes),
        added: found.added,
        removed: found.removed,
        changed,
    }))
}

//! Loads, checks and the rows that gates held back.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use super::Page;
use crate::error::StoreError;

/// One published, or refused, batch. `read = loaded + quarantined + deduplicated`.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Load {
    pub(crate) load_id: i64,
    pub(crate) run_id: Option<i64>,
    pub(crate) task: Option<String>,
    pub(crate) dataset: String,
    pub(crate) interval_start: DateTime<Utc>,
    pub(crate) interval_end: DateTime<Utc>,
    pub(crate) suite: Option<String>,
    /// The version of the suite that judged it.
    pub(crate) suite_hash: Option<String>,
    /// `passed`, `warned`, `quarantined`, `failed` or `unchecked`.
    pub(crate) verdict: String,
    pub(crate) read: i64,
    pub(crate) loaded: i64,
    pub(crate) quarantined: i64,
    pub(crate) deduplicated: i64,
    /// Sums that the load was asked to keep, balanced in the same way as the rows.
    #[schema(value_type = Object)]
    pub(crate) sums: Value,
    pub(crate) published_at: DateTime<Utc>,
}

impl Load {
    /// Whether every row that was read is accounted for.
    pub(crate) fn balances(&self) -> bool {
        self.read == self.loaded + self.quarantined + self.deduplicated
    }
}

/// One check of one evaluation of a suite.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct CheckResult {
    pub(crate) result_id: i64,
    pub(crate) run_id: Option<i64>,
    pub(crate) task: Option<String>,
    pub(crate) load_id: Option<i64>,
    pub(crate) suite: String,
    /// The version of the suite.
    pub(crate) suite_hash: String,
    pub(crate) check_id: String,
    pub(crate) dataset: String,
    /// `passed`, `failed`, `errored` or `vacuous`.
    pub(crate) outcome: String,
    /// What a failure does: `warn`, `quarantine` or `fail`.
    pub(crate) on_fail: String,
    /// What was seen.
    #[schema(value_type = Object)]
    pub(crate) observed: Value,
    pub(crate) duration_ms: f64,
    pub(crate) at: DateTime<Utc>,
}

/// A row that a gate held back.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct QuarantinedRow {
    pub(crate) load_id: i64,
    /// Its place among the rows that the load held back.
    pub(crate) seq: i64,
    pub(crate) dataset: String,
    #[schema(value_type = Object)]
    pub(crate) row: Value,
    /// Every rule that it broke when it last stood at its gate.
    pub(crate) rules: Vec<String>,
    /// `open`, `replayed` or `dismissed`.
    pub(crate) state: String,
    /// The load that a replay of it was, which published it.
    pub(crate) settled_by: Option<i64>,
    /// Why it was dismissed.
    pub(crate) reason: Option<String>,
    /// The row as it last went through the gate, where it was corrected.
    #[schema(value_type = Object)]
    pub(crate) corrected: Option<Value>,
    pub(crate) source_file: Option<String>,
    pub(crate) source_line: Option<i64>,
}

/// The latest evaluation of a suite on a dataset, and how the ones before it went.
#[derive(Debug, FromRow)]
pub(crate) struct SuiteStatus {
    pub(crate) suite: String,
    pub(crate) dataset: String,
    pub(crate) run_id: Option<i64>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) checks: i64,
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) errored: i64,
    pub(crate) vacuous: i64,
    /// `errored`, `failed`, `quarantined`, `warned` or `passed`: what the worst failed check does.
    pub(crate) verdict: String,
    /// The verdicts of the latest evaluations, oldest first.
    pub(crate) history: Vec<String>,
}

/// How many rows a rule held back.
#[derive(Debug, FromRow)]
pub(crate) struct RuleCount {
    pub(crate) dataset: String,
    pub(crate) rule: String,
    pub(crate) rows: i64,
    pub(crate) last_load_id: i64,
}

/// What to list loads by.
#[derive(Debug, Default)]
pub(crate) struct LoadFilter {
    pub(crate) dataset: Option<String>,
    pub(crate) run_id: Option<i64>,
    pub(crate) verdict: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: i64,
}

/// What to list check results by.
#[derive(Debug, Default)]
pub(crate) struct CheckFilter {
    pub(crate) suite: Option<String>,
    pub(crate) run_id: Option<i64>,
    pub(crate) outcome: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: i64,
}

/// What to list held-back rows by.
#[derive(Debug, Default)]
pub(crate) struct QuarantineFilter {
    pub(crate) dataset: Option<String>,
    pub(crate) load_id: Option<i64>,
    pub(crate) rule: Option<String>,
    pub(crate) state: Option<String>,
    /// Load and row after which the page begins.
    pub(crate) after: Option<(i64, i64)>,
    pub(crate) limit: i64,
}

/// A page of loads.
pub(crate) async fn loads(pool: &PgPool, filter: &LoadFilter) -> Result<Page<Load>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/loads.sql"))
        .bind(&filter.dataset)
        .bind(filter.run_id)
        .bind(&filter.verdict)
        .bind(filter.before)
        .bind(filter.limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, filter.limit, |load: &Load| load.load_id.to_string()))
}

/// A page of check results.
pub(crate) async fn checks(pool: &PgPool, filter: &CheckFilter) -> Result<Page<CheckResult>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/checks.sql"))
        .bind(&filter.suite)
        .bind(filter.run_id)
        .bind(&filter.outcome)
        .bind(filter.before)
        .bind(filter.limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, filter.limit, |result: &CheckResult| result.result_id.to_string()))
}

/// A page of held-back rows.
pub(crate) async fn quarantine(pool: &PgPool, filter: &QuarantineFilter) -> Result<Page<QuarantinedRow>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/quarantine.sql"))
        .bind(&filter.dataset)
        .bind(filter.load_id)
        .bind(&filter.rule)
        .bind(filter.after.map(|(load_id, _)| load_id))
        .bind(filter.after.map(|(_, seq)| seq))
        .bind(filter.limit + 1)
        .bind(&filter.state)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, filter.limit, |row: &QuarantinedRow| format!("{}.{}", row.load_id, row.seq)))
}

/// Every suite and dataset of the last 30 days, troubled ones first.
pub(crate) async fn suites(pool: &PgPool) -> Result<Vec<SuiteStatus>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/suites.sql")).fetch_all(pool).await
}

/// The rules that held most rows back.
pub(crate) async fn rules(pool: &PgPool, limit: i64) -> Result<Vec<RuleCount>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/quarantine_rules.sql")).bind(limit).fetch_all(pool).await
}

//! The three writes: start, cancel, retry. Each is one call of the run store, which owns every state change.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::error::ApiError;

/// Starts a run of `dag` by hand.
pub(crate) async fn trigger(
    _pool: &PgPool,
    _dag: &str,
    _logical_time: Option<DateTime<Utc>>,
    _params: Option<Value>,
) -> Result<i64, ApiError> {
    Err(ApiError::Conflict("not wired yet".to_owned()))
}

/// Cancels a run.
pub(crate) async fn cancel(_pool: &PgPool, _run_id: i64) -> Result<(), ApiError> {
    Err(ApiError::Conflict("not wired yet".to_owned()))
}

/// Runs what failed again.
pub(crate) async fn retry(_pool: &PgPool, _run_id: i64) -> Result<(), ApiError> {
    Err(ApiError::Conflict("not wired yet".to_owned()))
}

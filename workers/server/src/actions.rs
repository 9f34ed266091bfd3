//! The three writes: start, cancel, retry. Each is one call of the run store, which owns every state change, as it
//! does the words that explain them.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use warehouse::runs::{self, Cancelled, Created, NewRun, RunError, Trigger, Why};

use crate::{api::runs::no_dag, error::ApiError, store::dags};

/// Starts a run of `dag` by hand, from the version that is deployed.
pub(crate) async fn trigger(
    pool: &PgPool,
    dag: &str,
    logical_time: Option<DateTime<Utc>>,
    params: Map<String, Value>,
) -> Result<i64, ApiError> {
    let deployed = dags::get(pool, dag).await?.ok_or_else(|| no_dag(dag))?;
    let plan = runs::plan(pool, dag, &deployed.version).await.map_err(refused)?;
    let logical_time = logical_time.unwrap_or_else(|| Utc::now().trunc_subsecs(6));
    let new = NewRun { plan: &plan, logical_time, trigger: Trigger::Manual, params, only: None };
    match runs::create(pool, &new).await.map_err(refused)? {
        Created::New(run_id) => Ok(run_id),
        Created::Existing(run_id) => Err(ApiError::Conflict(format!(
            "`{dag}` has a run for {} already: run {run_id}; retry that one",
            logical_time.to_rfc3339()
        ))),
    }
}

/// Cancels a run: what waits is not started, what runs is told to stop.
pub(crate) async fn cancel(pool: &PgPool, run_id: i64) -> Result<(), ApiError> {
    match runs::cancel(pool, run_id).await.map_err(refused)? {
        Cancelled::Now | Cancelled::Stopping(_) => Ok(()),
        Cancelled::AlreadyOver(state) => {
            Err(ApiError::Conflict(format!("run {run_id} has ended already: {}", state.as_str())))
        }
    }
}

/// Runs what failed again, and what did not run because of it.
pub(crate) async fn retry(pool: &PgPool, run_id: i64) -> Result<(), ApiError> {
    runs::retry(pool, run_id, None).await.map(drop).map_err(refused)
}

/// Why a run, or a task of it, stands as it does.
pub(crate) async fn why(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<Why>, ApiError> {
    runs::why(pool, run_id, task).await.map_err(refused)
}

/// What a client gets to see of the run store's refusal: its words where the request was at fault.
fn refused(error: RunError) -> ApiError {
    match error {
        RunError::NoRun(_) | RunError::NoRunOf(_) | RunError::NoTask { .. } => ApiError::NotFound(error.to_string()),
        RunError::Params(_) => ApiError::BadRequest(error.to_string()),
        RunError::Database(cause) => ApiError::Store(cause),
        error if error.is_usage() => ApiError::Conflict(error.to_string()),
        error => ApiError::Internal(Box::new(error)),
    }
}

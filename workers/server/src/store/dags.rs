//! DAGs and the grid of their last runs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use crate::error::StoreError;

/// A deployed DAG.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Dag {
    pub(crate) dag: String,
    pub(crate) description: String,
    /// A cron expression, `@once`, or null for one that no schedule starts.
    pub(crate) schedule: Option<String>,
    pub(crate) timezone: String,
    /// What else starts it: `dag`, `datasets`, `file` or `webhook`, as its plan holds them.
    #[schema(value_type = Vec<Object>)]
    pub(crate) triggers: Value,
    pub(crate) paused: bool,
    pub(crate) next_run_at: Option<DateTime<Utc>>,
    /// Content hash of its file.
    pub(crate) version: String,
    pub(crate) deployed_at: DateTime<Utc>,
    pub(crate) last_run_id: Option<i64>,
    /// State of the latest run.
    pub(crate) last_state: Option<String>,
    pub(crate) last_run_at: Option<DateTime<Utc>>,
    pub(crate) last_success_at: Option<DateTime<Utc>>,
}

/// A run as one square of a grid.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct GridRun {
    pub(crate) run_id: i64,
    pub(crate) dag: String,
    pub(crate) logical_time: DateTime<Utc>,
    pub(crate) state: String,
    pub(crate) trigger: String,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) seconds: Option<f64>,
}

/// A task of a run as one square of a grid.
#[derive(Debug, FromRow)]
pub(crate) struct GridTask {
    pub(crate) run_id: i64,
    pub(crate) task: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) attempts: i32,
}

/// All deployed DAGs.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<Dag>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/dags.sql")).bind(None::<&str>).fetch_all(pool).await
}

/// One DAG, if it is deployed.
pub(crate) async fn get(pool: &PgPool, dag: &str) -> Result<Option<Dag>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/dags.sql")).bind(dag).fetch_optional(pool).await
}

/// The last `runs` runs of one DAG or of each, by logical time, oldest first.
pub(crate) async fn grid(pool: &PgPool, dag: Option<&str>, runs: i64) -> Result<Vec<GridRun>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/dag_grid.sql")).bind(dag).bind(runs).fetch_all(pool).await
}

/// The tasks of these runs.
pub(crate) async fn task_grid(pool: &PgPool, runs: &[i64]) -> Result<Vec<GridTask>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/dag_task_grid.sql")).bind(runs).fetch_all(pool).await
}

/// Whether a run of the deployed version takes parameters.
pub(crate) async fn has_params(pool: &PgPool, dag: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "select coalesce(v.plan -> 'params', '{}') <> '{}' from sluice.dag d join sluice.dag_version v using (dag, version)
         where d.dag = $1",
    )
    .bind(dag)
    .fetch_one(pool)
    .await
}

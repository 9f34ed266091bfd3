//! Taking tasks from the queue.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use workflow::kind::{DataInterval, Fence};

use super::RunError;

/// Who asks for tasks, and which.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The worker's name, unique for each start of a process.
    pub worker: String,
    /// The queues that it serves.
    pub queues: Vec<String>,
    /// The labels that it has; it takes no task that asks for another one.
    pub labels: Vec<String>,
    /// The kinds that it can run.
    pub kinds: Vec<String>,
    /// At most so many.
    pub limit: usize,
    /// How long a lease holds without renewal.
    pub lease: Duration,
    /// Only tasks of this run.
    pub run_id: Option<i64>,
}

/// A task that a worker holds: an attempt that is under way.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The attempt and its token.
    pub fence: Fence,
    /// 1 for the first.
    pub attempt: i32,
    /// How many the task may have.
    pub max_attempts: i32,
    /// The run.
    pub run_id: i64,
    /// The task in its run.
    pub task_run_id: i64,
    /// The task's name.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// The run is not known to have begun: see [`mark_started`](super::mark_started).
    pub first: bool,
    /// The DAG.
    pub dag: String,
    /// The version that the run keeps.
    pub version: String,
    /// The instant that the run stands for.
    pub logical_time: DateTime<Utc>,
    /// The data that the run is about.
    pub interval: DataInterval,
    /// The run's parameters.
    pub params: Value,
    /// Outputs of the tasks that it needs, by name.
    pub inputs: BTreeMap<String, Value>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    attempt_id: i64,
    token: i64,
    attempt: i32,
    max_attempts: i32,
    run_id: i64,
    task_run_id: i64,
    task: String,
    kind: String,
    dag: String,
    version: String,
    logical_time: DateTime<Utc>,
    interval_start: DateTime<Utc>,
    interval_end: DateTime<Utc>,
    params: Value,
    first: bool,
    inputs: sqlx::types::Json<BTreeMap<String, Value>>,
}

/// What was claimed, the first of the queue first.
pub(super) async fn claim(connection: &mut PgConnection, request: &ClaimRequest) -> Result<Vec<Claimed>, RunError> {
    let rows: Vec<Row> = sqlx::query_as(include_str!("../../../../sql/runs/claim.sql"))
        .bind(&request.queues)
        .bind(&request.kinds)
        .bind(i64::try_from(request.limit).unwrap_or(i64::MAX))
        .bind(&request.worker)
        .bind(request.lease.as_secs_f64())
        .bind(request.run_id)
        .bind(&request.labels)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(Claimed::from).collect())
}

/// Puts tasks whose next attempt is due into the queue, a thousand at most. Gives how many. Any process may call it at any
/// time.
pub async fn release_due(pool: &PgPool) -> Result<i64, RunError> {
    Ok(sqlx::query_scalar(include_str!("../../../../sql/runs/release_due.sql")).fetch_one(pool).await?)
}

/// How long ago a task's first attempt began, or its first since a person retried it.
pub async fn spent(pool: &PgPool, task_run_id: i64) -> Result<Duration, RunError> {
    let spent: f64 = sqlx::query_scalar(
        "select extract(epoch from clock_timestamp() - started_at)::float8 from sluice.task_run where task_run_id = $1",
    )
    .bind(task_run_id)
    .fetch_one(pool)
    .await?;
    Ok(Duration::try_from_secs_f64(spent).unwrap_or_default())
}

impl From<Row> for Claimed {
    fn from(row: Row) -> Self {
        Self {
            fence: Fence { attempt_id: row.attempt_id, token: row.token },
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            run_id: row.run_id,
            task_run_id: row.task_run_id,
            task: row.task,
            kind: row.kind,
            first: row.first,
            dag: row.dag,
            version: row.version,
            logical_time: row.logical_time,
            interval: DataInterval { start: row.interval_start, end: row.interval_end },
            params: row.params,
            inputs: row.inputs.0,
        }
    }
}

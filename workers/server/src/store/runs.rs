//! Runs, their tasks, attempts, edges and logs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use warehouse::runs::wherever;
use workflow::state::TaskState;

use super::Page;
use crate::error::StoreError;

/// A run in a list.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct RunSummary {
    pub(crate) run_id: i64,
    pub(crate) dag: String,
    /// The instant that the run stands for.
    pub(crate) logical_time: DateTime<Utc>,
    /// `running`, `success`, `failed` or `cancelled`.
    pub(crate) state: String,
    /// `schedule`, `manual` or `backfill`.
    pub(crate) trigger: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// From start to end, or to now while it runs.
    pub(crate) seconds: Option<f64>,
    /// How many tasks it has.
    pub(crate) tasks: i64,
    /// How many of them have ended, in whatever state.
    pub(crate) ended: i64,
    /// How many of them have failed.
    pub(crate) failed: i64,
}

/// What to list runs by.
#[derive(Debug, Default)]
pub(crate) struct RunFilter {
    pub(crate) dag: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) trigger: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: i64,
}

/// A page of runs.
pub(crate) async fn list(pool: &PgPool, filter: &RunFilter) -> Result<Page<RunSummary>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/runs.sql"))
        .bind(&filter.dag)
        .bind(&filter.state)
        .bind(&filter.trigger)
        .bind(filter.before)
        .bind(filter.limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, filter.limit, |run: &RunSummary| run.run_id.to_string()))
}

/// A run by itself.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Run {
    pub(crate) run_id: i64,
    pub(crate) dag: String,
    /// The instant that the run stands for.
    pub(crate) logical_time: DateTime<Utc>,
    /// `running`, `success`, `failed` or `cancelled`.
    pub(crate) state: String,
    /// `schedule`, `manual` or `backfill`.
    pub(crate) trigger: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// From start to end, or to now while it runs.
    pub(crate) seconds: Option<f64>,
    /// Content hash of the DAG file that it was planned from.
    pub(crate) version: String,
    /// What it was started with.
    #[schema(value_type = Object)]
    pub(crate) params: Value,
}

/// A task of a run.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Task {
    pub(crate) task: String,
    pub(crate) kind: String,
    pub(crate) queue: String,
    /// `waiting`, `queued`, `running`, `success`, `failed`, `skipped`, `upstream_failed` or `cancelled`.
    pub(crate) state: String,
    /// How many attempts were made.
    pub(crate) attempts: i32,
    pub(crate) queued_at: Option<DateTime<Utc>>,
    /// A retry is not made before this.
    pub(crate) not_before: Option<DateTime<Utc>>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) seconds: Option<f64>,
    /// Why it stands where it stands, where that needs words.
    pub(crate) reason: Option<String>,
    /// What it hands to the tasks after it.
    #[schema(value_type = Option<Object>)]
    pub(crate) output: Option<Value>,
    /// The tasks that it waits for.
    pub(crate) needs: Vec<String>,
    /// Of a mapped task whose list is known: how many items it has (`total`), and how many are in each state.
    #[schema(value_type = Option<Object>)]
    pub(crate) items: Option<Value>,
}

impl Task {
    /// How its items stand, those that matter most first: `2 failed, 998 success`.
    pub(crate) fn items_text(&self) -> Option<String> {
        let items = self.items.as_ref()?;
        let states =
            TaskState::ALL.iter().rev().filter_map(|state| Some((items.get(state.as_str())?.as_i64()?, state)));
        Some(states.map(|(n, state)| format!("{n} {state}")).collect::<Vec<_>>().join(", "))
    }
}

/// One attempt of a task.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Attempt {
    pub(crate) task: String,
    /// From 1.
    pub(crate) attempt: i32,
    pub(crate) worker: String,
    /// `running`, `success`, `failed`, `timed_out`, `lost` or `cancelled`.
    pub(crate) state: String,
    /// Whose side the fault was on: `user`, `external` or `internal`.
    pub(crate) error_domain: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) queued_at: DateTime<Utc>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) seconds: Option<f64>,
}

/// `task` waits for `needs`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Edge {
    pub(crate) task: String,
    pub(crate) needs: String,
}

/// One line of an attempt's log.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct LogLine {
    /// Its place in the attempt's log.
    pub(crate) seq: i64,
    pub(crate) at: DateTime<Utc>,
    /// `info`, `warn` or `error`.
    pub(crate) level: String,
    pub(crate) line: String,
}

/// The run, if there is one.
pub(crate) async fn get(pool: &PgPool, run_id: i64) -> Result<Option<Run>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/run.sql")).bind(run_id).fetch_optional(pool).await
}

/// Its tasks, those that began first in front; of the items of mapped ones only `item`.
pub(crate) async fn tasks(pool: &PgPool, run_id: i64, item: Option<&str>) -> Result<Vec<Task>, StoreError> {
    wherever(pool, run_id, |shelf| {
        let sql = shelf.statement(include_str!("../../../../sql/web/run_tasks.sql"));
        sqlx::query_as(sql).bind(run_id).bind(item).fetch_all(pool)
    })
    .await
}

/// Attempts of all its tasks, or of one.
pub(crate) async fn attempts(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<Attempt>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/run_attempts.sql")).bind(run_id).bind(task).fetch_all(pool).await
}

/// The edges of its graph.
pub(crate) async fn edges(pool: &PgPool, run_id: i64) -> Result<Vec<Edge>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/edges.sql")).bind(run_id).fetch_all(pool).await
}

/// Lines of one attempt after `after`, in order.
pub(crate) async fn logs(
    pool: &PgPool,
    (run_id, task, attempt): (i64, &str, i32),
    after: i64,
    limit: i64,
) -> Result<Vec<LogLine>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/logs.sql"))
        .bind(run_id)
        .bind(task)
        .bind(attempt)
        .bind(after)
        .bind(limit)
        .fetch_all(pool)
        .await
}

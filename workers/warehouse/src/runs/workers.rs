//! The workers, and what each of them does right now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

/// A process that works, as `sluice ps --workers --json` shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct WorkerRow {
    /// Its name, new at each start.
    pub worker: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub pid: i32,
    /// Of Sluice.
    pub version: String,
    /// Tasks at once.
    pub slots: i32,
    /// The queues that it serves; none means all.
    pub queues: Vec<String>,
    /// The labels that it has.
    pub labels: Vec<String>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub seen_at: DateTime<Utc>,
    /// Whether that is recent.
    pub alive: bool,
    /// What it runs.
    #[sqlx(skip)]
    pub tasks: Vec<Busy>,
}

/// A task that a worker runs.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct Busy {
    /// The worker.
    #[serde(skip)]
    worker: String,
    /// The run.
    pub run_id: i64,
    /// Its DAG.
    pub dag: String,
    /// The task.
    pub task: String,
    /// Which attempt.
    pub attempt: i32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when its worker holds it without a further sign of life.
    pub lease_until: DateTime<Utc>,
}

/// The workers that have not stopped, and those that hold a task whatever else is known of them; the oldest first.
pub async fn workers(pool: &PgPool) -> Result<Vec<WorkerRow>, sqlx::Error> {
    let mut workers: Vec<WorkerRow> =
        sqlx::query_as(include_str!("../../../../sql/runs/list_workers.sql")).fetch_all(pool).await?;
    let busy: Vec<Busy> = sqlx::query_as(include_str!("../../../../sql/runs/list_busy.sql")).fetch_all(pool).await?;
    let mut by_worker: BTreeMap<String, Vec<Busy>> = BTreeMap::new();
    for task in busy {
        by_worker.entry(task.worker.clone()).or_default().push(task);
    }
    for worker in &mut workers {
        worker.tasks = by_worker.remove(&worker.worker).unwrap_or_default();
    }
    Ok(workers)
}

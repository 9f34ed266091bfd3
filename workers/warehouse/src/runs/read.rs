//! What people and the scheduler read: DAGs, runs, tasks, attempts, logs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use workflow::plan::Plan;

use super::{
    RunError,
    archive::{Shelf, wherever},
    deploy::read_plan,
};

/// A DAG, as `sluice dag list --json` shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct DagRow {
    /// Its name.
    pub dag: String,
    /// As written; `None` for by hand only.
    pub schedule: Option<String>,
    /// When it runs next.
    pub next: Option<DateTime<Utc>>,
    /// Whether its schedule rests.
    pub paused: bool,
    /// The state of its latest run.
    pub last_state: Option<String>,
    /// The latest run.
    pub last_run: Option<i64>,
    /// Where its times are read.
    pub timezone: String,
    /// For people.
    pub description: String,
    /// The current version.
    pub version: String,
}

/// Every DAG that is deployed, by name.
pub async fn dags(pool: &PgPool) -> Result<Vec<DagRow>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/runs/list_dags.sql")).fetch_all(pool).await?)
}

/// A DAG whose next run is due.
#[derive(Debug, Clone)]
pub struct DueDag {
    /// The fire that is due: when its schedule says that it runs, before any jitter.
    pub next_fire_at: DateTime<Utc>,
    /// Its current plan.
    pub plan: Plan,
}

/// A place in the list of the DAGs that are due.
pub type DueCursor = (DateTime<Utc>, String);

/// The next of the DAGs that are due at `now`, behind `after`, and where the ones behind them begin; `None` where there
/// are no more. A DAG whose plan this build cannot read is passed over: a newer one has it.
pub async fn due(
    pool: &PgPool,
    now: DateTime<Utc>,
    after: Option<DueCursor>,
) -> Result<(Vec<DueDag>, Option<DueCursor>), RunError> {
    let (at, dag) = after.unzip();
    let rows: Vec<(String, DateTime<Utc>, DateTime<Utc>, Value)> =
        sqlx::query_as(include_str!("../../../../sql/runs/due_dags.sql"))
            .bind(now)
            .bind(at)
            .bind(dag)
            .fetch_all(pool)
            .await?;
    let next = rows.last().map(|(dag, next_run_at, ..)| (*next_run_at, dag.clone()));
    let read = |(dag, _, next_fire_at, plan): (String, _, _, Value)| match read_plan(plan) {
        Ok(plan) => Some(DueDag { next_fire_at, plan }),
        Err(error) => {
            tracing::error!(dag, %error, "cannot read the plan of a DAG that is due");
            None
        }
    };
    Ok((rows.into_iter().filter_map(read).collect(), next))
}

/// A run, as `sluice ps --json` shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct RunRow {
    /// Its number.
    pub run_id: i64,
    /// The DAG.
    pub dag: String,
    /// The instant that it stands for.
    pub logical_time: DateTime<Utc>,
    /// See `workflow::state::RunState`.
    pub state: String,
    /// Why it stands as it does, where there is more to say than its tasks do.
    pub reason: Option<String>,
    /// What asked for it: `schedule`, `manual`, `backfill`, `dag`, `dataset`, `file`, `webhook`.
    pub trigger: String,
    /// What a triggered run follows from, a list.
    pub cause: Option<Value>,
    /// The version that it keeps.
    pub version: String,
    /// First instant of its data.
    pub interval_start: DateTime<Utc>,
    /// First instant after its data.
    pub interval_end: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its first task was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last task ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its parameters.
    pub params: Value,
    /// Someone asked to cancel it.
    pub cancel_requested: bool,
    /// How many tasks it has.
    #[serde(rename = "tasks_total")]
    pub tasks: i64,
    /// How many have ended.
    #[serde(rename = "tasks_ended")]
    pub ended: i64,
}

/// The latest runs, newest first.
pub async fn list(pool: &PgPool, dag: Option<&str>, state: Option<&str>, limit: i64) -> Result<Vec<RunRow>, RunError> {
    Ok(sqlx::query_as(Shelf::Every.statement(include_str!("../../../../sql/runs/list_runs.sql")))
        .bind(None::<i64>)
        .bind(dag)
        .bind(state)
        .bind(limit)
        .fetch_all(pool)
        .await?)
}

/// One run.
pub async fn run(pool: &PgPool, run_id: i64) -> Result<RunRow, RunError> {
    Ok(find(pool, run_id).await?.0)
}

/// One run, and where it is.
pub(super) async fn find(pool: &PgPool, run_id: i64) -> Result<(RunRow, Shelf), RunError> {
    for shelf in [Shelf::Hot, Shelf::Archive, Shelf::Hot] {
        let found = sqlx::query_as(shelf.statement(include_str!("../../../../sql/runs/list_runs.sql")))
            .bind(Some(run_id))
            .bind(None::<String>)
            .bind(None::<String>)
            .bind(1_i64)
            .fetch_optional(pool)
            .await?;
        if let Some(run) = found {
            return Ok((run, shelf));
        }
    }
    Err(RunError::NoRun(run_id))
}

/// The run that a person means: a number, or a DAG's name for its latest.
pub async fn find_run(pool: &PgPool, text: &str) -> Result<RunRow, RunError> {
    if let Ok(run_id) = text.parse() {
        return run(pool, run_id).await;
    }
    list(pool, Some(text), None, 1).await?.pop().ok_or_else(|| RunError::NoRunOf(text.to_owned()))
}

/// A task of a run.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct TaskRow {
    /// Its name.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// Where it queues.
    pub queue: String,
    /// See `workflow::state::TaskState`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Not before this.
    pub not_before: Option<DateTime<Utc>>,
    /// When the first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it stands as it does.
    pub reason: Option<String>,
    /// What it left.
    pub output: Option<Value>,
    /// The tasks that it needs, in this run.
    pub needs: Vec<String>,
    /// Whether a gate stopped it.
    pub gate: bool,
    /// The service that it could not reach, where that made it fail.
    pub service: Option<String>,
    /// Of a mapped task whose list is known: how many items it has (`total`), and how many of them are in each state.
    pub items: Option<Value>,
    /// How often it looked in vain for what it waits for.
    pub looks: i32,
}

/// A run's tasks, in the plan's order, without the items of mapped ones.
pub async fn tasks(pool: &PgPool, run_id: i64) -> Result<Vec<TaskRow>, RunError> {
    let ask = |shelf: Shelf| {
        let sql = shelf.statement(include_str!("../../../../sql/runs/list_tasks.sql"));
        sqlx::query_as(sql).bind(run_id).fetch_all(pool)
    };
    Ok(wherever(pool, run_id, ask).await?)
}

/// An attempt.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct AttemptRow {
    /// Its number over all runs.
    pub attempt_id: i64,
    /// The task.
    pub task: String,
    /// 1 for the first.
    pub attempt: i32,
    /// Who ran it.
    pub worker: String,
    /// See `workflow::state::AttemptState`.
    pub state: String,
    /// Whose fault its end is.
    pub error_domain: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// When the task entered the queue.
    pub queued_at: DateTime<Utc>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run's attempts, oldest first.
pub async fn attempts(pool: &PgPool, run_id: i64) -> Result<Vec<AttemptRow>, RunError> {
    let ask = |shelf: Shelf| {
        let sql = shelf.statement(include_str!("../../../../sql/runs/list_attempts.sql"));
        sqlx::query_as(sql).bind(run_id).fetch_all(pool)
    };
    Ok(wherever(pool, run_id, ask).await?)
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct LogRow {
    /// The attempt.
    pub attempt_id: i64,
    /// Its task.
    pub task: String,
    /// Its number.
    pub attempt: i32,
    /// 1 for the first line of the attempt.
    pub seq: i64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// `info`, `warn`, `error`.
    pub level: String,
    /// The text.
    pub line: String,
}

/// The lines of a run, or of one of its tasks, in order of time. A line keeps its place among
/// those of its attempt, so a reader who follows asks by attempt: `after` holds the last line seen of each.
pub async fn log_lines(
    pool: &PgPool,
    run_id: i64,
    task: Option<&str>,
    after: &std::collections::BTreeMap<i64, i64>,
) -> Result<Vec<LogRow>, RunError> {
    let ask = |shelf: Shelf| {
        sqlx::query_as(shelf.statement(include_str!("../../../../sql/runs/log_lines.sql")))
            .bind(run_id)
            .bind(task)
            .bind(after.keys().copied().collect::<Vec<_>>())
            .bind(after.values().copied().collect::<Vec<_>>())
            .fetch_all(pool)
    };
    Ok(wherever(pool, run_id, ask).await?)
}

//! The trail that runs leave: what became of runs and attempts, walked in order by whoever tells others of it.
//!
//! Nothing is written for it where runs are made and tasks end. A walker reads the rows themselves, by their numbers, tells
//! what it read, and then notes how far it has come. It dies in between: the next one reads the same and tells the same
//! again, under the same ids. A place that does not answer holds nothing up, and nothing piles up for it.
//!
//! Numbers become visible out of order, so the walk goes up to a [`Fence`] only.

mod fence;
mod step;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

pub use self::{
    fence::Fence,
    step::{Step, step},
};
use crate::runs::RunError;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// `OpenLineage`.
    Lineage,
    /// OTLP.
    Traces,
}

impl Sink {
    /// As stored, and as the keys of `sluice.yaml` are called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lineage => "lineage",
            Self::Traces => "traces",
        }
    }
}

/// A run, or one of its lives: one that was over and went on has had more than one.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// The run.
    pub run_id: i64,
    /// Its DAG.
    pub dag: String,
    /// The version that it runs.
    pub version: String,
    /// The instant that it stands for.
    pub logical_time: DateTime<Utc>,
    /// Its data, `[start, end)`.
    pub interval: (DateTime<Utc>, DateTime<Utc>),
    /// What made it.
    pub trigger: String,
    /// What it follows from, as its row holds it.
    pub cause: Option<Value>,
    /// Its parameters.
    pub params: Value,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From 0.
    pub life: i32,
    /// When this life began.
    pub began: DateTime<Utc>,
    /// Runs that it follows from, and when they were made.
    pub causes: Vec<(i64, DateTime<Utc>)>,
}

/// An attempt.
#[derive(Debug, Clone)]
pub struct AttemptFacts {
    /// Its row; absent where the task ended before it looked again.
    pub attempt_id: Option<i64>,
    /// The task of the run, as a row.
    pub task_run_id: i64,
    /// From 1.
    pub attempt: i32,
    /// The task; an item as `load[3]`.
    pub task: String,
    /// The mapped task of an item.
    pub parent: Option<String>,
    /// What it is mapped to.
    pub item: Option<Value>,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Who worked on it.
    pub worker: Option<String>,
    /// When its task was ready.
    pub queued_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

/// How a run or an attempt ended.
#[derive(Debug, Clone)]
pub struct EndFacts {
    /// When.
    pub at: DateTime<Utc>,
    /// A state of runs or of attempts.
    pub state: String,
    /// Whose fault it was: `user`, `external`, `internal`.
    pub domain: Option<String>,
    /// Why, where it did not end well.
    pub error: Option<String>,
    /// What it left, where it ended well.
    pub output: Option<Value>,
}

/// Something to tell.
#[derive(Debug, Clone)]
pub enum Event {
    /// A life of a run began.
    RunBegan(RunFacts),
    /// A life of a run ended.
    RunEnded(RunFacts, EndFacts),
    /// An attempt began.
    AttemptBegan(RunFacts, AttemptFacts),
    /// An attempt ended.
    AttemptEnded(RunFacts, AttemptFacts, EndFacts),
}

impl Event {
    /// The run that it is of.
    pub fn run(&self) -> &RunFacts {
        match self {
            Self::RunBegan(run) | Self::RunEnded(run, _) | Self::AttemptBegan(run, _) | Self::AttemptEnded(run, ..) => {
                run
            }
        }
    }
}

/// How far a sink has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Place {
    /// Runs up to this one have been looked at.
    pub last_run: i64,
    /// Attempts likewise.
    pub last_attempt: i64,
}

/// Where a sink stands; it begins with what happens from now on.
pub async fn open(pool: &PgPool, sink: Sink) -> Result<Place, RunError> {
    sqlx::query(include_str!("../../../../sql/trail/open.sql")).bind(sink.as_str()).execute(pool).await?;
    let place = "select last_run, last_attempt from sluice.trail where sink = $1";
    Ok(sqlx::query_as(place).bind(sink.as_str()).fetch_one(pool).await?)
}

/// Notes that a sink cannot be told, and why.
pub async fn failed(pool: &PgPool, sink: Sink, error: &str) -> Result<(), RunError> {
    let error = crate::runs::without_nul(error);
    sqlx::query(include_str!("../../../../sql/trail/failed.sql")).bind(sink.as_str()).bind(error).execute(pool).await?;
    Ok(())
}

/// The name of this database in ids.
pub async fn installation(pool: &PgPool) -> Result<Uuid, RunError> {
    Ok(sqlx::query_scalar("select id from sluice.installation").fetch_one(pool).await?)
}

/// How a sink does, for people.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct TrailRow {
    /// `lineage` or `traces`.
    pub sink: String,
    /// When something was told last.
    pub told_at: Option<DateTime<Utc>>,
    /// Since when it cannot be told.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why.
    pub error: Option<String>,
    /// Events that it refused for good.
    pub refused: i64,
    /// Attempts that it has not been told of.
    pub attempts_behind: i64,
}

/// How the sinks do.
pub async fn rows(pool: &PgPool) -> Result<Vec<TrailRow>, RunError> {
    let rows = "select sink, told_at, failing_since, error, refused, attempts_behind from sluice.trails order by sink";
    Ok(sqlx::query_as(rows).fetch_all(pool).await?)
}

/// What an attempt published, or had refused by its gate.
#[derive(Debug, Clone, FromRow)]
pub struct LoadFacts {
    /// The attempt.
    pub attempt_id: i64,
    /// `schema.table`.
    pub dataset: String,
    /// How the gate judged.
    pub verdict: String,
    /// Rows that readers can see.
    pub loaded: i64,
}

/// What a check found in an attempt.
#[derive(Debug, Clone, FromRow)]
pub struct CheckFacts {
    /// The attempt.
    pub attempt_id: i64,
    /// What it looked at.
    pub dataset: String,
    /// Its suite.
    pub suite: String,
    /// Its id in the suite.
    pub check_id: String,
    /// `passed`, `failed`, `errored` or `vacuous`.
    pub outcome: String,
    /// `warn`, `quarantine` or `fail`.
    pub on_fail: String,
    /// What it saw.
    pub observed: Value,
}

/// What a task left that the task of an attempt needs.
#[derive(Debug, Clone, FromRow)]
pub struct InputFacts {
    /// The attempt.
    pub attempt_id: i64,
    /// The task.
    pub task: String,
    /// Its output.
    pub output: Value,
}

/// A column of a table.
#[derive(Debug, Clone, FromRow)]
pub struct ColumnFacts {
    /// `schema.table`.
    pub relation: String,
    /// Its name.
    pub name: String,
    /// Its type, as Postgres says.
    #[sqlx(rename = "type")]
    pub kind: String,
}

/// What attempts that have ended published.
pub async fn loads(pool: &PgPool, attempts: &[i64]) -> Result<Vec<LoadFacts>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/trail/loads.sql")).bind(attempts).fetch_all(pool).await?)
}

/// What checks found in attempts that have ended.
pub async fn checks(pool: &PgPool, attempts: &[i64]) -> Result<Vec<CheckFacts>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/trail/checks.sql")).bind(attempts).fetch_all(pool).await?)
}

/// What attempts could read of others.
pub async fn inputs(pool: &PgPool, attempts: &[i64]) -> Result<Vec<InputFacts>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/trail/inputs.sql")).bind(attempts).fetch_all(pool).await?)
}

/// The columns of tables, as they are now.
pub async fn columns(pool: &PgPool, relations: &[String]) -> Result<Vec<ColumnFacts>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/trail/columns.sql")).bind(relations).fetch_all(pool).await?)
}

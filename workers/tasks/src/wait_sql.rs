//! `wait_sql`: lets the tasks behind it go on once a query on Postgres gives true.
//!
//! The query cannot write, and has the run's settings as one of an `export` does.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Row as _, query};
use warehouse::WarehouseError;
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
    span::Span,
};

use crate::{
    session,
    wait_file::{half_a_minute, too_often},
};

/// The kind.
pub struct WaitSql {
    pool: PgPool,
}

impl WaitSql {
    /// Asks `pool`.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// One SELECT, without templates, that gives true or false in its first row. No row, and null, are false.
    pub query: String,
    /// How long until it asks again.
    #[serde(default = "half_a_minute")]
    pub every: Span,
}

#[async_trait]
impl TaskKind for WaitSql {
    const NAME: &'static str = "wait_sql";
    const SUMMARY: &'static str = "Waits until a query on Postgres gives true, without a worker's slot";
    const TIMEOUT: Duration = Duration::from_mins(1);
    const PATIENCE: Option<Duration> = Some(Duration::from_hours(24));

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems: Vec<_> = too_often(config.every).into_iter().collect();
        if config.query.trim().is_empty() {
            let problem = Problem::new("query", "nothing is asked");
            problems.push(problem.hint("`select exists (select from shop.orders where …)`"));
        }
        problems
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let answer = tokio::select! {
            () = task.cancel.cancelled() => return Err(TaskError::external("stopped before the query had an answer")),
            answer = self.ask(&config.query, task) => answer?,
        };
        match answer {
            Some(true) => Ok(json!({ "answer": true })),
            Some(false) => Err(TaskError::not_yet(config.every.0, "the query gives false")),
            None => Err(TaskError::not_yet(config.every.0, "the query gives no row, or null")),
        }
    }
}

/// SQLSTATE of a write in a transaction that only reads.
const WRITES: &str = "25006";

fn refused(error: sqlx::Error) -> TaskError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some(WRITES) => TaskError::user("the query writes, and may only read").because(error),
        _ => WarehouseError::from(error).into(),
    }
}

impl WaitSql {
    async fn ask(&self, text: &str, task: &TaskContext) -> Result<Option<bool>, TaskError> {
        let mut tx = self.pool.begin().await.map_err(WarehouseError::from)?;
        session::begin(&mut tx, task).await?;
        query("set transaction read only").execute(&mut *tx).await.map_err(WarehouseError::from)?;
        let row = query(AssertSqlSafe(text.to_owned())).fetch_optional(&mut *tx).await.map_err(refused)?;
        let answer = row.map(|row| row.try_get::<Option<bool>, _>(0)).transpose();
        tx.rollback().await.map_err(WarehouseError::from)?;
        let no_truth = |error| TaskError::user("the query gives neither true nor false").because(error);
        Ok(answer.map_err(no_truth)?.flatten())
    }
}

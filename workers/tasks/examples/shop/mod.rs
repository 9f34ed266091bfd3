//! What the benches of tasks share: a shop's table in MariaDB, and running one task of a kind on its own.

use std::{collections::BTreeMap, time::Instant};

use chrono::{TimeZone, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgPool};
use workflow::{
    error::TaskError,
    kind::{DataInterval, Registry, TaskContext},
    log::TaskLog,
};

/// A database with one table of so many rows. `rows` is the statement that makes them, up to their number.
pub(crate) async fn filled(url: &str, table: &str, rows: &str, count: u64) -> MySqlConnection {
    let mut shop = MySqlConnection::connect(url).await.expect("connect to MariaDB");
    sqlx::raw_sql(AssertSqlSafe(format!("{table}; {rows}{count}"))).execute(&mut shop).await.expect("fill the table");
    shop
}

/// What one attempt of a task comes to, and how many seconds it took.
pub(crate) async fn run(
    registry: &Registry,
    pool: &PgPool,
    kind: &str,
    config: Value,
    inputs: BTreeMap<String, Value>,
) -> (Result<Value, TaskError>, f64) {
    let fence = testkit::attempt(pool).await;
    let day = |d| Utc.with_ymd_and_hms(2026, 1, d, 0, 0, 0).single().expect("a valid time");
    let task = TaskContext {
        dag: "bench".to_owned(),
        run_id: fence.attempt_id,
        task: "t".to_owned(),
        attempt: 1,
        fence,
        logical_time: day(1),
        interval: DataInterval { start: day(1), end: day(2) },
        timezone: chrono_tz::UTC,
        params: json!({}),
        inputs,
        log: TaskLog::discard(),
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    let start = Instant::now();
    let output = registry.get(kind).expect("a kind").run(config, &task).await;
    (output, start.elapsed().as_secs_f64())
}

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

const TABLE: &str = "create table order_items (
    id bigint unsigned primary key, order_id bigint unsigned not null, line_number smallint unsigned not null,
    product_id bigint unsigned not null, quantity int not null, unit_price decimal(12, 2) not null,
    line_total decimal(12, 2) not null, note varchar(60) not null, created_at datetime(6) not null,
    updated_at datetime(6) not null)";
const ROWS: &str = "insert into order_items
    select seq, seq div 3, seq mod 3, seq * 7919 mod 500, 1 + seq mod 5, (seq mod 9973) / 100, (seq mod 49999) / 100,
           concat('line ', seq, ' of an order'), '2026-01-01' + interval seq second,
           '2026-01-01' + interval seq * 1000003 microsecond
    from seq_1_to_";

/// A database with so many rows in its table `order_items`.
pub(crate) async fn filled(url: &str, rows: u64) -> MySqlConnection {
    let mut shop = MySqlConnection::connect(url).await.expect("connect to MariaDB");
    sqlx::raw_sql(AssertSqlSafe(format!("{TABLE}; {ROWS}{rows}"))).execute(&mut shop).await.expect("fill the table");
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

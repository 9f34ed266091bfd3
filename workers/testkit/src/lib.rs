//! What every crate's tests share: real Postgres, MariaDB and Kafka, and names of their own for each test.
//!
//! The servers start with the first test that asks for one, are shared by all test binaries of this checkout,
//! and are stopped by `make test` at its end. A test owns its database, its topics and its consumer groups, so
//! tests run side by side.

pub mod bench;
pub mod cutter;
mod dice;
pub mod grafana;
pub mod prometheus;
pub mod proxy;
pub mod s3;
pub mod tls;

pub use dice::Dice;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, PgPool, postgres::PgPoolOptions};
use url::Url;
use uuid::Uuid;
use workflow::kind::Fence;

/// A Postgres database of its own, dropped by nobody: its server's folder goes with `target/`.
pub struct TestDatabase {
    /// A pool on it.
    pub pool: PgPool,
    /// Where it is, for what connects by itself.
    pub url: String,
}

/// A new Postgres database with Sluice's tables.
pub async fn database() -> TestDatabase {
    let database = empty_database().await;
    warehouse::migrate(&database.pool).await.expect("Sluice's migrations apply to an empty database");
    database
}

/// A new Postgres database with nothing in it.
pub async fn empty_database() -> TestDatabase {
    let server = tokio::task::spawn_blocking(services::testing::postgres).await.expect("start Postgres");
    let name = unique("t");
    let mut admin = PgConnection::connect(&server).await.expect("connect to the test Postgres");
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.expect("create database");
    let url = with_path(&server, &name);
    let pool = PgPoolOptions::new().max_connections(16).connect(&url).await.expect("connect to the new database");
    TestDatabase { pool, url }
}

/// A running attempt, with a lease of an hour, of a run of its own: what may publish in a test.
pub async fn attempt(pool: &PgPool) -> Fence {
    let (attempt_id, token) = sqlx::query_as(
        "with v as (insert into sluice.dag_version (dag, version, plan) values ('d', gen_random_uuid()::text, '{}')
                    returning dag, version),
              r as (insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger,
                                                state, tasks_open)
                    select dag, version, clock_timestamp(), now(), now(), 'manual', 'running', 1 from v
                    returning run_id),
              t as (insert into sluice.task_run (run_id, task, kind, state, needs_open, max_attempts)
                    select run_id, 't', 'load', 'running', 0, 3 from r returning task_run_id)
         insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at)
         select task_run_id, 1, 'test', 'running', now() + interval '1 hour', now() from t
         returning attempt_id, token",
    )
    .fetch_one(pool)
    .await
    .expect("open an attempt");
    Fence { attempt_id, token }
}

/// The URL of a new, empty MariaDB database.
pub async fn mysql_database() -> String {
    let server = tokio::task::spawn_blocking(services::testing::mysql).await.expect("start MariaDB");
    let name = unique("t");
    let mut admin = MySqlConnection::connect(&server).await.expect("connect to the test MariaDB");
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.expect("create database");
    with_path(&server, &name)
}

/// `host:port` of the Kafka broker. Topics are created on first use; take their names from [`unique`].
pub async fn kafka() -> String {
    tokio::task::spawn_blocking(services::testing::kafka).await.expect("start Kafka")
}

/// `prefix_` and letters that no other test has: a name for a topic, a group, a schema.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

fn with_path(server: &str, database: &str) -> String {
    let mut url = Url::parse(server).expect("a service URL");
    url.set_path(database);
    url.into()
}

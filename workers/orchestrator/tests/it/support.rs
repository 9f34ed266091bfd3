//! From YAML to an ended run, and what it left.

use std::time::Duration;

use chrono::{DateTime, Utc};
use orchestrator::WorkerOptions;
use serde_json::Map;
use sqlx::PgPool;
use warehouse::runs::{self, NewRun, Trigger};
use workflow::{
    kind::Registry,
    plan::{self, Known, Plan},
    state::RunState,
    yaml::Document,
};

/// Trigger rules to draw from, the usual one more often.
pub(crate) const RULES: [&str; 10] = [
    "all_success",
    "all_success",
    "all_done",
    "none_failed",
    "one_success",
    "one_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_failed",
    "always",
];

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

/// A plan from YAML. Retries come fast unless the text says otherwise.
pub(crate) fn plan(registry: &Registry, text: &str) -> Plan {
    let document = Document::parse("test.yaml", text).expect("valid YAML");
    let known = Known {
        channels: ["ops".to_owned(), "boss".to_owned()].into(),
        pools: ["narrow".to_owned()].into(),
        ..Known::default()
    };
    plan::check(&document, registry, &known).expect("a good DAG")
}

/// Starts a run by hand.
pub(crate) async fn start(pool: &PgPool, plan: &Plan) -> i64 {
    let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only: None };
    runs::create(pool, &new).await.expect("a new run").run_id()
}

/// Starts a run and works until it has ended.
pub(crate) async fn run(pool: &PgPool, registry: &Registry, text: &str) -> (i64, RunState) {
    let run_id = start(pool, &plan(registry, text)).await;
    (run_id, drain(pool, registry, run_id).await)
}

pub(crate) async fn drain(pool: &PgPool, registry: &Registry, run_id: i64) -> RunState {
    let ended = orchestrator::drain(pool, registry, None, run_id);
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the run ends in time").expect("no error")
}

/// A worker that notices everything fast.
pub(crate) fn fast() -> WorkerOptions {
    WorkerOptions {
        slots: 4,
        lease: Duration::from_millis(600),
        poll: Duration::from_millis(50),
        grace: Duration::from_millis(200),
        drain: Duration::from_millis(100),
        ..WorkerOptions::default()
    }
}

/// `task state attempts` of each task, in the plan's order.
pub(crate) async fn tasks(pool: &PgPool, run_id: i64) -> Vec<String> {
    let tasks = runs::tasks(pool, run_id).await.expect("tasks");
    tasks.iter().map(|t| format!("{} {} {}", t.task, t.state, t.attempts)).collect()
}

/// `task#attempt state` of each attempt, in order.
pub(crate) async fn attempts(pool: &PgPool, run_id: i64) -> Vec<String> {
    let attempts = runs::attempts(pool, run_id).await.expect("attempts");
    attempts.iter().map(|a| format!("{}#{} {}", a.task, a.attempt, a.state)).collect()
}

/// Waits until a query gives true.
pub(crate) async fn eventually(pool: &PgPool, sql: &'static str, run_id: i64) {
    let wait = async {
        while !sqlx::query_scalar::<_, bool>(sql).bind(run_id).fetch_one(pool).await.expect(sql) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never true: {sql}"));
}

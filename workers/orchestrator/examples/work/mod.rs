//! What the benches of the orchestrator share: kinds that do little, DAGs of them, and the time that runs take.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::Utc;
use orchestrator::{Worker, WorkerOptions, run_ended};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, NewRun, Trigger};
use workflow::{
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    plan::{self, Known, Plan},
    state::RunState,
    yaml::Document,
};

/// Every kind that the benches run.
pub(crate) fn registry() -> Registry {
    Registry::new().with(Fibonacci).with(Nothing).with(Sleep)
}

struct Fibonacci;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    of: u32,
}

#[async_trait]
impl TaskKind for Fibonacci {
    const NAME: &'static str = "fibonacci";
    const SUMMARY: &'static str = "a little work";
    type Config = Config;

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        fn fibonacci(n: u32) -> u64 {
            if n < 2 { n.into() } else { fibonacci(n - 1) + fibonacci(n - 2) }
        }
        let value = fibonacci(config.of);
        task.log.info(format!("fibonacci({}) = {value}", config.of));
        Ok(json!(value))
    }
}

struct Nothing;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

#[async_trait]
impl TaskKind for Nothing {
    const NAME: &'static str = "nothing";
    const SUMMARY: &'static str = "no work";
    type Config = NoKeys;

    async fn run(&self, _: NoKeys, _: &TaskContext) -> Result<Value, TaskError> {
        Ok(Value::Null)
    }
}

struct Sleep;

#[async_trait]
impl TaskKind for Sleep {
    const NAME: &'static str = "sleep";
    const SUMMARY: &'static str = "100 ms of waiting";
    type Config = NoKeys;

    async fn run(&self, _: NoKeys, _: &TaskContext) -> Result<Value, TaskError> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Value::Null)
    }
}

/// A worker, and what stops it.
pub(crate) fn worker(pool: &PgPool, registry: &Registry, slots: usize) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let options = WorkerOptions { slots, ..WorkerOptions::default() };
    (tokio::spawn(Worker::new(pool.clone(), registry.clone(), options).run(stop.clone())), stop)
}

/// From the start of a worker to the end of runs that were queued before.
pub(crate) async fn burn_down(
    pool: &PgPool,
    registry: &Registry,
    kind: &str,
    runs: usize,
    tasks: usize,
    slots: usize,
) -> Duration {
    let plan = dag(registry, &format!("burn_{kind}"), kind, tasks, false);
    for _ in 0..runs {
        create(pool, &plan).await;
    }
    sqlx::query("vacuum analyze sluice.task_run").execute(pool).await.expect("statistics");
    let start = Instant::now();
    let (worker, stop) = worker(pool, registry, slots);
    let open = "select exists (select from sluice.dag_run where state = 'running' and dag = $1)";
    while sqlx::query_scalar::<_, bool>(open).bind(&plan.dag).fetch_one(pool).await.expect(open) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = start.elapsed();
    stop.cancel();
    worker.await.expect("the worker stops");
    let failed = "select count(*) from sluice.dag_run where dag = $1 and state <> 'success'";
    let failed: i64 = sqlx::query_scalar(failed).bind(&plan.dag).fetch_one(pool).await.expect(failed);
    assert_eq!(failed, 0, "every run ends well");
    took
}

/// A DAG of so many tasks, in a row or side by side.
pub(crate) fn dag(registry: &Registry, name: &str, kind: &str, tasks: usize, in_a_row: bool) -> Plan {
    let mut text = format!("dag: {name}\ntasks:\n");
    for task in 0..tasks {
        let needs = if in_a_row && task > 0 { format!(", needs: t{}", task - 1) } else { String::new() };
        writeln!(text, "  t{task}: {{ kind: {kind}{needs} }}").expect("strings take all");
    }
    let document = Document::parse("bench.yaml", &text).expect("valid YAML");
    plan::check(&document, registry, &Known::default()).expect("a good DAG")
}

/// From asking for a run to its end.
pub(crate) async fn timed(pool: &PgPool, plan: &Plan) -> Duration {
    let start = Instant::now();
    let run_id = create(pool, plan).await;
    assert_eq!(run_ended(pool, run_id).await.expect("the run ends"), RunState::Success);
    start.elapsed()
}

/// A run by hand.
pub(crate) async fn create(pool: &PgPool, plan: &Plan) -> i64 {
    let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only: None };
    runs::create(pool, &new).await.expect("a run").run_id()
}

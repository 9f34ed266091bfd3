//! How fast tasks run: a chain of them, each against one Postgres commit, and many at once.
//!
//! Nothing is turned off: every attempt is a durable row with its log line, `fsync` and `synchronous_commit` as the
//! server has them. The commit beside it is an insert of one row by one client, in the same run.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;
use orchestrator::{Worker, WorkerOptions, run_ended};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::bench::{Figure, report};
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, NewRun, Trigger};
use workflow::{
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    plan::{self, Known, Plan},
    state::RunState,
    yaml::Document,
};

const CHAIN: usize = 40;
const WIDE: usize = 500;
const ROUNDS: usize = 5;
/// The burn-down: so many runs of so many tasks.
const RUNS: usize = 100;
const TASKS: usize = 1000;
const SLEEPERS: usize = 10_000;

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

#[tokio::main]
async fn main() {
    let db = testkit::database().await;
    let registry = Registry::new().with(Fibonacci).with(Nothing).with(Sleep);
    let commit_ms = commit_ms(&db.pool).await;

    let (worker, stop) = worker(&db.pool, &registry, 64);
    let chain = dag(&registry, "chain", "fibonacci, of: 10", CHAIN, true);
    let wide = dag(&registry, "wide", "nothing", WIDE, false);
    // The first round warms connections, statements and plans.
    timed(&db.pool, &chain).await;
    timed(&db.pool, &wide).await;
    let chain_ms = median(&db.pool, &chain).await.as_secs_f64() * 1000.0 / CHAIN as f64;
    let wide_s = median(&db.pool, &wide).await.as_secs_f64();
    stop.cancel();
    worker.await.expect("the worker stops");

    let burn_down_s = burn_down(&db.pool, &registry, "nothing", RUNS, TASKS, 128).await.as_secs_f64();
    let sleepers_s = burn_down(&db.pool, &registry, "sleep", 10, SLEEPERS / 10, 1000).await.as_secs_f64();

    let note = format!("{CHAIN} fibonacci(10) in a row, median of {ROUNDS} runs; limit: one commit");
    let mut ratio = Figure::new("sequential_task_commit_ratio", chain_ms / commit_ms, "commits", note.clone());
    ratio.limit = Some(1.0);
    ratio.ratio = Some(ratio.value);
    let per_second = 1000.0 / commit_ms;
    report(
        "orchestrator",
        &[
            Figure::new("sequential_task_ms", chain_ms, "ms", note).against(commit_ms),
            ratio,
            Figure::new(
                "parallel_tasks_per_s",
                WIDE as f64 / wide_s,
                "tasks/s",
                format!(
                    "{WIDE} no-ops side by side in one run, 64 slots; limit: one commit a task, one after the other"
                ),
            )
            .against(per_second),
            Figure::new(
                "noop_tasks_per_s",
                (RUNS * TASKS) as f64 / burn_down_s,
                "tasks/s",
                format!(
                    "{RUNS} runs of {TASKS} no-ops, all queued before the worker starts, 128 slots; limit as above"
                ),
            )
            .against(per_second),
            Figure::new(
                "sleepers_tasks_per_s",
                SLEEPERS as f64 / sleepers_s,
                "tasks/s",
                format!("{SLEEPERS} tasks that sleep 100 ms, 1000 slots; limit: 1000 slots that never wait"),
            )
            .against(10_000.0),
        ],
    );
}

fn worker(pool: &PgPool, registry: &Registry, slots: usize) -> (tokio::task::JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let options = WorkerOptions { slots, ..WorkerOptions::default() };
    (tokio::spawn(Worker::new(pool.clone(), registry.clone(), options).run(stop.clone())), stop)
}

/// From the start of a worker to the end of runs that were queued before.
async fn burn_down(
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
fn dag(registry: &Registry, name: &str, kind: &str, tasks: usize, in_a_row: bool) -> Plan {
    use std::fmt::Write as _;
    let mut text = format!("dag: {name}\ntasks:\n");
    for task in 0..tasks {
        let needs = if in_a_row && task > 0 { format!(", needs: t{}", task - 1) } else { String::new() };
        writeln!(text, "  t{task}: {{ kind: {kind}{needs} }}").expect("strings take all");
    }
    let document = Document::parse("bench.yaml", &text).expect("valid YAML");
    plan::check(&document, registry, &Known::default()).expect("a good DAG")
}

/// From asking for a run to its end.
async fn timed(pool: &PgPool, plan: &Plan) -> Duration {
    let start = Instant::now();
    let run_id = create(pool, plan).await;
    assert_eq!(run_ended(pool, run_id).await.expect("the run ends"), RunState::Success);
    start.elapsed()
}

async fn create(pool: &PgPool, plan: &Plan) -> i64 {
    let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only: None };
    runs::create(pool, &new).await.expect("a run").run_id()
}

async fn median(pool: &PgPool, plan: &Plan) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(timed(pool, plan).await);
    }
    times.sort();
    times[ROUNDS / 2]
}

/// Milliseconds of one durable commit: the median of 200.
async fn commit_ms(pool: &PgPool) -> f64 {
    let mut connection = pool.acquire().await.expect("a connection");
    sqlx::query("create table public.bench_commit (n int)").execute(&mut *connection).await.expect("a table");
    let mut times = Vec::new();
    for n in 0..200 {
        let start = Instant::now();
        sqlx::query("insert into public.bench_commit values ($1)")
            .bind(n)
            .execute(&mut *connection)
            .await
            .expect("a commit");
        times.push(start.elapsed());
    }
    times.sort();
    times[100].as_secs_f64() * 1000.0
}

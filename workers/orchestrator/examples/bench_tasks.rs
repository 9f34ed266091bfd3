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

#[tokio::main]
async fn main() {
    let db = testkit::database().await;
    let registry = Registry::new().with(Fibonacci);
    let commit_ms = commit_ms(&db.pool).await;
    let stop = CancellationToken::new();
    let options = WorkerOptions { slots: 64, ..WorkerOptions::default() };
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), options).run(stop.clone()));

    let chain = dag(&registry, "chain", CHAIN, true);
    let wide = dag(&registry, "wide", WIDE, false);
    // The first round warms connections, statements and plans.
    timed(&db.pool, &chain).await;
    let chain_ms = median(&db.pool, &chain).await.as_secs_f64() * 1000.0 / CHAIN as f64;
    let wide_s = median(&db.pool, &wide).await.as_secs_f64();
    stop.cancel();
    worker.await.expect("the worker stops");

    let note = format!("{CHAIN} fibonacci(10) in a row, median of {ROUNDS} runs; limit: one commit");
    let mut ratio = Figure::new("sequential_task_commit_ratio", chain_ms / commit_ms, "commits", note.clone());
    ratio.limit = Some(1.0);
    ratio.ratio = Some(ratio.value);
    report(
        "orchestrator",
        &[
            Figure::new("sequential_task_ms", chain_ms, "ms", note).against(commit_ms),
            ratio,
            Figure::new(
                "noop_tasks_per_s",
                WIDE as f64 / wide_s,
                "tasks/s",
                format!("{WIDE} side by side in one run, 64 slots; limit: one commit a task, one after the other"),
            )
            .against(1000.0 / commit_ms),
        ],
    );
}

/// A DAG of so many tasks, in a row or side by side.
fn dag(registry: &Registry, name: &str, tasks: usize, in_a_row: bool) -> Plan {
    use std::fmt::Write as _;
    let mut text = format!("dag: {name}\ntasks:\n");
    for task in 0..tasks {
        let needs = if in_a_row && task > 0 { format!(", needs: t{}", task - 1) } else { String::new() };
        writeln!(text, "  t{task}: {{ kind: fibonacci, of: 10{needs} }}").expect("strings take all");
    }
    let document = Document::parse("bench.yaml", &text).expect("valid YAML");
    plan::check(&document, registry, &Known::default()).expect("a good DAG")
}

/// From asking for a run to its end.
async fn timed(pool: &PgPool, plan: &Plan) -> Duration {
    let start = Instant::now();
    let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only: None };
    let run_id = runs::create(pool, &new).await.expect("a run").run_id();
    assert_eq!(run_ended(pool, run_id).await.expect("the run ends"), RunState::Success);
    start.elapsed()
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

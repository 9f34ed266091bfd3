//! How fast tasks run: a chain of them, each against one Postgres commit, and many at once.
//!
//! Nothing is turned off: every attempt is a durable row with its log line, `fsync` and `synchronous_commit` as the
//! server has them. The commit beside it is an insert of one row by one client, in the same run.

mod work;

use std::time::Duration;

use sqlx::PgPool;
use testkit::bench::{Figure, commit_ms, percentile, report};
use workflow::plan::Plan;

use work::{burn_down, dag, timed, worker};

const CHAIN: usize = 40;
const WIDE: usize = 500;
const ROUNDS: usize = 5;
/// The burn-down: so many runs of so many tasks.
const RUNS: usize = 100;
const TASKS: usize = 1000;
const SLEEPERS: usize = 10_000;

#[tokio::main]
async fn main() {
    let db = testkit::database().await;
    let registry = work::registry();
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

async fn median(pool: &PgPool, plan: &Plan) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(timed(pool, plan).await);
    }
    percentile(&mut times, 0.5)
}

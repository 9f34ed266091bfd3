//! What a long history costs: the figures of `bench_tasks` in a database that holds a million finished runs and ten
//! thousand scheduled DAGs, beside the same in an empty one; the scheduler's tick there; and the archive.
//!
//! Both databases are on one server. Rounds take turns between them, so that whatever else the machine does meets both.

mod work;

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use orchestrator::{Retention, Scheduler, SchedulerOptions};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::bench::{Figure, commit_ms, percentile, report};
use warehouse::runs;
use workflow::{
    kind::Registry,
    plan::{self, Known},
    yaml::Document,
};

use work::{burn_down, dag, timed, worker};

const CHAIN: usize = 40;
const WIDE: usize = 500;
const ROUNDS: usize = 9;
/// A round of the burn-down: so many runs of so many tasks.
const RUNS: usize = 30;
const TASKS: usize = 1000;
const BURNS: usize = 3;
/// What the history holds.
const DAGS: i64 = 10_000;
const FINISHED: i64 = 1_000_000;
const TICKS: usize = 300;
/// Batches of runs that are moved to the archive.
const BATCHES: usize = 20;

#[tokio::main]
async fn main() {
    let registry = work::registry();
    let (empty, full) = (testkit::database().await, testkit::database().await);
    let commit_ms = commit_ms(&full.pool).await;
    let seeded = seed(&full.pool, &registry).await;
    eprintln!("{FINISHED} runs of {DAGS} DAGs seeded in {seeded:.0} s");

    let pools = [&empty.pool, &full.pool];
    let chain = dag(&registry, "chain", "fibonacci, of: 10", CHAIN, true);
    let wide = dag(&registry, "wide", "nothing", WIDE, false);
    let mut took = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    let workers = pools.map(|pool| worker(pool, &registry, 64));
    for round in 0..=ROUNDS {
        for (pool, (chains, wides)) in pools.iter().zip(&mut took) {
            let (c, w) = (timed(pool, &chain).await, timed(pool, &wide).await);
            // The first round warms connections, statements and plans.
            if round > 0 {
                chains.push(c);
                wides.push(w);
            }
        }
    }
    for (worker, stop) in workers {
        stop.cancel();
        worker.await.expect("the worker stops");
    }
    let mut burns = [Vec::new(), Vec::new()];
    for _ in 0..BURNS {
        for (pool, burns) in pools.iter().zip(&mut burns) {
            burns.push(burn_down(pool, &registry, "nothing", RUNS, TASKS, 128).await);
        }
    }
    let [(chain_empty, wide_empty), (chain_full, wide_full)] =
        took.map(|(mut chains, mut wides)| (median(&mut chains), median(&mut wides)));
    let [burn_empty, burn_full] = burns.map(|mut burns| median(&mut burns));

    let (moved_per_s, chain_meanwhile) = archive(&full.pool, &registry).await;
    let mut ticks = ticks(&full.pool).await;

    let history = format!("{FINISHED} finished runs, {DAGS} scheduled DAGs");
    let per_chain = |seconds: f64| seconds * 1000.0 / CHAIN as f64;
    let ratio = |name, ratio: f64, limit: f64, note: String| {
        let mut figure = Figure::new(name, ratio, "ratio", format!("{history}; {note}"));
        (figure.limit, figure.ratio) = (Some(limit), Some(ratio / limit));
        figure
    };
    report(
        "history",
        &[
            Figure::new(
                "sequential_task_million_runs_ms",
                per_chain(chain_full),
                "ms",
                format!("{history}; {CHAIN} in a row, median of {ROUNDS}; limit: one commit"),
            )
            .against(commit_ms),
            ratio(
                "sequential_task_ms_million_runs_ratio",
                chain_full / chain_empty,
                1.15,
                format!("against {:.3} ms in an empty database; limit: the target", per_chain(chain_empty)),
            ),
            ratio(
                "parallel_tasks_million_runs_ratio",
                wide_full / wide_empty,
                1.15,
                format!("time of {WIDE} side by side against {:.1} ms empty; limit: the target", wide_empty * 1000.0),
            ),
            ratio(
                "noop_tasks_million_runs_ratio",
                burn_full / burn_empty,
                1.15,
                format!(
                    "time of {} no-ops of {RUNS} runs, median of {BURNS}, against {:.0} tasks/s empty; limit: the target",
                    RUNS * TASKS,
                    (RUNS * TASKS) as f64 / burn_empty
                ),
            ),
            tick("scheduler_tick_p50_ms", &mut ticks, 0.5, &history),
            tick("scheduler_tick_p99_ms", &mut ticks, 0.99, &history),
            Figure::new(
                "archived_runs_per_s",
                moved_per_s,
                "runs/s",
                format!(
                    "runs of 3 tasks moved to the archive without a pause, {BATCHES} batches; limit: one commit a run"
                ),
            )
            .against(1000.0 / commit_ms),
            ratio(
                "sequential_task_archiving_ratio",
                chain_meanwhile / chain_full,
                1.15,
                "the chain while the scheduler archives, against the same at rest; limit: the target".to_owned(),
            ),
        ],
    );
    empty.pool.close().await;
    full.pool.close().await;
}

/// A percentile of the ticks, in milliseconds, beside the target.
fn tick(name: &'static str, times: &mut [Duration], part: f64, history: &str) -> Figure {
    let note = format!("{history}; {TICKS} ticks, two or three DAGs due in each; limit: the target");
    Figure::new(name, percentile(times, part).as_secs_f64() * 1000.0, "ms", note).against(100.0)
}

/// The middle one, in seconds.
fn median(times: &mut [Duration]) -> f64 {
    percentile(times, 0.5).as_secs_f64()
}

/// The history: written past foreign keys and without waiting for the disk, as nothing else looks at it yet. Gives how
/// many seconds it took.
async fn seed(pool: &PgPool, registry: &Registry) -> f64 {
    let start = Instant::now();
    let text = "{ dag: hourly, schedule: '@hourly', tasks: { a: { kind: nothing }, b: { kind: nothing, needs: a },
                  c: { kind: nothing, needs: b } } }";
    let document = Document::parse("bench.yaml", text).expect("valid YAML");
    let plan = plan::check(&document, registry, &Known::default()).expect("a good DAG");
    runs::deploy(pool, &plan, Utc::now()).await.expect("deployed");
    let sql = include_str!("../../../sql/bench/history.sql");
    let sql = sql.replace(":dags", &DAGS.to_string()).replace(":runs", &FINISHED.to_string());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("a history");
    for table in ["dag", "dag_version", "dag_run", "task_run", "task_edge", "attempt", "task_log"] {
        sqlx::query(AssertSqlSafe(format!("vacuum analyze sluice.{table}"))).execute(pool).await.expect("statistics");
    }
    sqlx::query("checkpoint").execute(pool).await.expect("on disk");
    start.elapsed().as_secs_f64()
}

/// Moves some batches; then lets the scheduler's own pace do it while a chain runs. Gives runs a second, and the seconds
/// of the chain.
async fn archive(pool: &PgPool, registry: &Registry) -> (f64, f64) {
    let before = Utc::now() - TimeDelta::days(30);
    let (mut from, mut moved) = (None, 0);
    let start = Instant::now();
    for _ in 0..BATCHES {
        let batch = runs::archive(pool, before, from).await.expect("a batch");
        (from, moved) = (batch.next, moved + batch.moved.len());
    }
    let per_s = moved as f64 / start.elapsed().as_secs_f64();

    let chain = dag(registry, "chain", "fibonacci, of: 10", CHAIN, true);
    let retention = Retention { archive_after: Duration::from_hours(30 * 24), runs: None };
    let archiving = tokio::spawn({
        let pool = pool.clone();
        async move { orchestrator::archive(&pool, retention, None, Utc::now()).await }
    });
    let (worker, stop) = worker(pool, registry, 64);
    timed(pool, &chain).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(timed(pool, &chain).await);
    }
    assert!(!archiving.is_finished(), "it archives all the while");
    archiving.abort();
    stop.cancel();
    worker.await.expect("the worker stops");
    (per_s, median(&mut times))
}

/// How long ticks take. A second of the day goes by from each to the next.
async fn ticks(pool: &PgPool) -> Vec<Duration> {
    let scheduler = Scheduler::new(pool.clone(), SchedulerOptions::default());
    let begin = Utc::now();
    let mut times = Vec::new();
    let mut made = 0;
    for second in 0..TICKS {
        let now = begin + TimeDelta::seconds(i64::try_from(second).expect("few"));
        let start = Instant::now();
        made += scheduler.tick(now).await.expect("a tick").len();
        times.push(start.elapsed());
    }
    assert!(made >= TICKS, "ticks make runs: {made}");
    times
}

//! What tells a stream that is alive from one that is dead, where no records come in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use streaming::runtime::{self, Options};
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;

async fn seen(bench: &Bench) -> Option<DateTime<Utc>> {
    sqlx::query_scalar("select min(seen_at) from sluice.stream_progress")
        .fetch_one(&bench.pool)
        .await
        .expect("read progress")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_records_is_seen_for_as_long_as_it_runs() {
    let bench = Bench::new(10).await;
    let options = Options { seen_every: Duration::from_millis(50), ..bench.options("a") };
    let (stop, task) = bench.start(options);
    bench.until("the partitions are claimed", async || bench.generations().await.1 == 4).await;
    let claimed = seen(&bench).await;
    bench.until("it is seen again", async || seen(&bench).await > claimed).await;
    // Somebody else has the partitions now: this process no longer speaks for them.
    sqlx::query("update sluice.stream_offset set generation = generation + 1, seen_at = '2026-01-01'")
        .execute(&bench.pool)
        .await
        .expect("fence");
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    assert_eq!(seen(&bench).await, "2026-01-01T00:00:00Z".parse().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_process_is_among_the_processes_until_it_signs_off() {
    let database = testkit::database().await;
    let stop = CancellationToken::new();
    let announcing = tokio::spawn({
        let (pool, stop) = (database.pool.clone(), stop.clone());
        async move { runtime::announce(&pool, Duration::from_millis(20), &stop).await }
    });
    let alive = async || -> i64 {
        sqlx::query_scalar(
            "select count(*) from sluice.processes
             where role = 'stream' and worker like 'stream-%' and seen_at > started_at and stopped_at is null",
        )
        .fetch_one(&database.pool)
        .await
        .expect("read processes")
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), async { while alive().await != 1 {} });
    waited.await.expect("the process is seen again and again");
    stop.cancel();
    announcing.await.expect("no panic");
    assert_eq!(alive().await, 0);
}

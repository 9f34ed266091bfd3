//! Records that Kafka deletes before they were read, and results that are kept for a while only.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use streaming::runtime::Options;
use url::Url;

use crate::harness::{Bench, ends};

/// Sends records that are no events to partition 0.
async fn send_broken(bench: &Bench, count: usize, bytes: usize) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &bench.brokers).create().expect("a producer");
    let payload = "x".repeat(bytes);
    for _ in 0..count {
        let record = FutureRecord::<str, _>::to(&bench.topic).partition(0).payload(&payload);
        producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error).expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_while_the_stream_was_down_are_counted_as_absent() {
    let bench = Bench::new(11).await;
    send_broken(&bench, 100, 10).await;
    let (stop, task) = bench.start(bench.options("a"));
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    send_broken(&bench, 500, 10).await;
    bench.delete_below(0, 500).await;
    let (stop, task) = bench.start(bench.options("a"));
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    assert_eq!(bench.accounts().await, (0, 600, 0, 200, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_retention_overtakes_goes_on_where_the_log_does() {
    let bench = Bench::new(12).await;
    let options = Options { commit_bytes: 1 << 20, ..bench.options("a") };
    let (stop, task) = bench.start(options);
    bench.until("the partitions are claimed", async || bench.generations().await.1 == 4).await;
    let mut url = Url::parse(&bench.url).expect("a URL");
    let database = url.path().trim_start_matches('/').to_owned();
    url.set_path("postgres");
    let mut admin = PgConnection::connect(url.as_str()).await.expect("connect");
    let allow = |yes: bool| AssertSqlSafe(format!("alter database {database} allow_connections {yes}"));
    sqlx::query(allow(false)).execute(&mut admin).await.expect("shut the database");
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
        .bind(&database)
        .execute(&mut admin)
        .await
        .expect("cut its connections");
    // More than the consumer reads ahead while no commit goes through.
    send_broken(&bench, 80, 900_000).await;
    bench.delete_below(0, 79).await;
    sqlx::query(allow(true)).execute(&mut admin).await.expect("open the database");
    bench.caught_up().await;
    assert_eq!(ends(&bench.brokers, &bench.topic)[0], 80);
    stop.cancel();
    task.await.expect("no panic").expect("it went on");
    let (start, committed, events, malformed, absent) = bench.accounts().await;
    assert_eq!((start, committed, events), (0, 80, 0));
    assert_eq!(malformed + absent, 80, "{malformed} malformed, {absent} absent");
    assert!(malformed > 1 && absent > 1, "{malformed} malformed, {absent} absent: nothing was overtaken");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_older_than_the_retention_are_deleted_and_nothing_else_is() {
    let bench = Bench::new(13).await;
    // Two thousand windows and dead letters past a week, of a rule that is there and of one that is there no longer;
    // dead letters that are not sent, or that a new owner will come across again; and some of yesterday.
    sqlx::raw_sql(
        "insert into sluice.stream_window (stream, agg, partition, key, window_start, window_end, events, updated_at)
         select s, agg, 0, k::text, at - interval '5 seconds', at, 1, at
         from unnest(array['cards', 'other']) s, unnest(array['total', 'long_gone']) agg, generate_series(1, 2500) k,
              unnest(array[now() - interval '8 days', now() - interval '1 day']) at;
         insert into sluice.stream_window (stream, agg, partition, key, window_start, window_end, events, updated_at)
         values ('cards', 'total', 0, 'backfilled', '2020-01-01', '2020-01-01', 1, now());
         insert into sluice.stream_offset (stream, topic, partition, start_offset, committed_offset, restore_offset)
         values ('cards', 'old', 77, 0, 5000, 4000);
         insert into sluice.dead_letter (stream, topic, partition, record_offset, reason, detail, payload, at, produced_at)
         select s, 'old', 77, n, 'late', '', 'x', now() - interval '8 days', case when n >= 10 then now() end
         from unnest(array['cards', 'other']) s, generate_series(0, 4009) n;
         insert into sluice.dead_letter (stream, topic, partition, record_offset, reason, detail, payload, at, produced_at)
         values ('cards', 'new', 0, 1, 'late', '', 'x', now() - interval '1 day', now());",
    )
    .execute(&bench.pool)
    .await
    .expect("old results");
    let (stop, task) = bench.start(bench.options("a"));
    let count =
        async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&bench.pool).await.expect("a count") };
    let windows = "select count(*) from sluice.stream_window where stream = 'cards'";
    let letters = "select count(*) from sluice.dead_letter where stream = 'cards'";
    // Unsent letters are sent as well, and go then; ten are of records that may be read again.
    bench.until("windows are pruned", async || count(windows).await <= 5_001).await;
    bench.until("letters are pruned", async || count(letters).await <= 21).await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    assert_eq!(count(windows).await, 5_001);
    assert!(count(letters).await >= 11);
    assert_eq!(count("select count(*) from sluice.stream_window where stream = 'other'").await, 10_000);
    assert_eq!(count("select count(*) from sluice.dead_letter where stream = 'other'").await, 4_010);
    let least = "select min(record_offset) from sluice.dead_letter where topic = 'old' and stream = 'cards' and record_offset >= 10";
    assert_eq!(count(least).await, 4_000);
}

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

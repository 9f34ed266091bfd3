//! Whole runs: the results of one process, of two, of one that is fenced, of one whose Postgres goes away.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use streaming::spec::Stream;
use url::Url;

use crate::harness::{Bench, yaml};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_what_the_log_says_and_its_dead_letters_reach_their_topic() {
    let bench = Bench::new(1).await;
    let (stop, task) = bench.start(bench.options("a"));
    bench.send(bench.events(4_000), None).await;
    bench.caught_up().await;
    bench
        .until("dead letters are on their topic", async || {
            let waiting: i64 = sqlx::query_scalar("select count(*) from sluice.dead_letter where produced_at is null")
                .fetch_one(&bench.pool)
                .await
                .expect("count");
            waiting == 0
        })
        .await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
    let latency: f64 = sqlx::query_scalar("select max((detail ->> 'latency_ms')::float8) from sluice.alert")
        .fetch_one(&bench.pool)
        .await
        .expect("every alert has its latency");
    assert!(latency > 0.0);
    let one: (String, serde_json::Value) =
        sqlx::query_as("select message, detail from sluice.alert where rule = 'fast' order by alert_id limit 1")
            .fetch_one(&bench.pool)
            .await
            .expect("an alert");
    assert!(one.0.ends_with("count is 4, at least 4"), "{}", one.0);
    assert_eq!(one.1["why"], serde_json::json!(["count is 4, at least 4"]));
    assert_eq!(one.1["thresholds"][0]["limit"], 4.0);
    assert_eq!(one.1["version"].as_str().map(str::len), Some(12), "{}", one.1);
    assert_eq!(one.1["values"]["count"], 4);
    assert_eq!(one.1["events"].as_array().map(Vec::len), Some(4), "{}", one.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_partitions_and_a_rebalance_loses_and_doubles_nothing() {
    let bench = Bench::new(2).await;
    let (stop_first, first) = bench.start(bench.options("a"));
    let mut events = bench.events(9_000);
    let mut middle = events.split_off(3_000);
    let last = middle.split_off(4_000);
    bench.send(events, None).await;
    bench.until("the first process works", async || bench.committed().await > 500).await;
    let (stop_second, second) = bench.start(bench.options("b"));
    bench.send(middle, Some(2_500.0)).await;
    bench.until("the second process has taken partitions over", async || bench.generations().await.1 > 4).await;
    bench.send(last, None).await;
    stop_first.cancel();
    first.await.expect("no panic").expect("a clean end");
    bench.caught_up().await;
    stop_second.cancel();
    second.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_generation_was_superseded_cannot_commit_and_begins_again() {
    let bench = Bench::new(3).await;
    let (stop, task) = bench.start(bench.options("a"));
    let mut events = bench.events(6_000);
    let rest = events.split_off(2_000);
    bench.send(events, None).await;
    bench.until("the process works", async || bench.committed().await > 500).await;
    sqlx::query("update sluice.stream_offset set generation = generation + 1")
        .execute(&bench.pool)
        .await
        .expect("fence");
    bench.send(rest, None).await;
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_nothing_is_lost() {
    let bench = Bench::new(4).await;
    let (stop, task) = bench.start(bench.options("a"));
    let mut events = bench.events(6_000);
    let rest = events.split_off(2_000);
    bench.send(events, None).await;
    bench.until("the process works", async || bench.committed().await > 500).await;
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
    // The events of this time arrive while there is no database.
    bench.send(rest, Some(4_000.0)).await;
    sqlx::query(allow(true)).execute(&mut admin).await.expect("open the database");
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_appears_later_is_read_and_offsets_begin_where_it_does() {
    let bench = Bench::new(5).await;
    bench.send(bench.events(3_000), None).await;
    let (stop, task) = bench.start(bench.options("a"));
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
    // A second start has nothing to do, and changes nothing.
    let (stop, task) = bench.start(bench.options("a"));
    bench.until("partitions are claimed again", async || bench.generations().await.0 == 2).await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_postgres_does_not_take_raises_its_alert_without_what_it_refuses() {
    let mut bench = Bench::new(14).await;
    let text = yaml(&bench.topic).replace("severity: high,", "severity: high, message: \"a\\0b {{ key }}\",");
    bench.stream = Arc::new(Stream::parse("cards.yaml", &text, &["team"]).expect("a valid stream"));
    let (stop, task) = bench.start(bench.options("a"));
    bench.send(bench.events(4_000), None).await;
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
    let message: String = sqlx::query_scalar("select min(message) from sluice.alert where rule = 'fast'")
        .fetch_one(&bench.pool)
        .await
        .expect("an alert");
    assert!(message.starts_with("a\u{fffd}b c_"), "{message}");
}

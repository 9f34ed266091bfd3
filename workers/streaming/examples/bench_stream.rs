//! The stream's figures: windows per customer over a backlog, next to a bare consumer that parses the same JSON
//! in the same run; and how soon after its event an alert is committed.
//!
//! `BENCH_EVENTS` sets the length of the backlog (default 1,000,000), `BENCH_SECONDS` that of the live part.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde::Deserialize;
use sqlx::PgPool;
use streaming::{
    producer::{Outgoing, Pace, create_topics, produce},
    runtime::{self, Options},
    spec::Stream,
};
use testkit::bench::{Figure, report};
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 4;
const CUSTOMERS: u32 = 20_000;
const EVENTS_PER_SECOND: i64 = 5_000;

#[tokio::main]
async fn main() {
    let of = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (events, seconds) = (of("BENCH_EVENTS", 1_000_000), of("BENCH_SECONDS", 20));
    let brokers = testkit::kafka().await;
    let mut figures = backlog(&brokers, events).await;
    figures.extend(latency(&brokers, seconds).await);
    report("stream", &figures);
}

async fn backlog(brokers: &str, count: u64) -> Vec<Figure> {
    let topic = testkit::unique("bench");
    create_topics(brokers, &[&topic], PARTITIONS).await.expect("create the topic");
    let start = DateTime::from_timestamp_micros(1_750_000_000_000_000).expect("in range");
    let made = orders(&topic, start, true).take(usize::try_from(count).expect("fits"));
    produce(brokers, made, Pace::default(), &CancellationToken::new()).await.expect("send the backlog");

    let bare = parse_only(brokers, &topic, count);
    let text = format!(
        "
stream: bench
topic: {topic}
event_time: {{ field: ts, out_of_orderness: 3s, allowed_lateness: 10s, idle_after: 5s }}
aggregates:
  by_customer: {{ key: customer_id, window: 5s, sum: amount }}
"
    );
    let database = testkit::database().await;
    let stream = Arc::new(Stream::parse("bench.yaml", &text, &[]).expect("a valid stream"));
    let stop = CancellationToken::new();
    let options = Options::new(brokers, database.pool.clone(), &topic);
    let running = tokio::spawn(runtime::run(stream, options, stop.clone()));
    while standing(&database.pool).await.0 < i64::from(PARTITIONS) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let began = Instant::now();
    while standing(&database.pool).await.1 < i64::try_from(count).expect("fits") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ours = count as f64 / began.elapsed().as_secs_f64();
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
    let windows: i64 = sqlx::query_scalar("select count(*) from sluice.stream_window")
        .fetch_one(&database.pool)
        .await
        .expect("count windows");
    let note = format!("{count} events, {windows} windows; limit: bare librdkafka consumer that parses the same JSON");
    vec![
        Figure::new("stream_windows_events_per_s", ours, "events/s", note).against(bare),
        Figure::new("stream_windows_ratio", ours / bare, "ratio", "of the bare consumer, wanted: 0.7"),
    ]
}

/// Partitions claimed, and the sum of their committed offsets.
async fn standing(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as("select count(*), coalesce(sum(committed_offset), 0)::bigint from sluice.stream_offset")
        .fetch_one(pool)
        .await
        .expect("read offsets")
}

/// All that the bare consumer parses.
#[derive(Deserialize)]
struct Order<'a> {
    event_id: &'a str,
    ts: &'a str,
    customer_id: u64,
    amount: f64,
}

fn parse_only(brokers: &str, topic: &str, count: u64) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a list");
    }
    consumer.assign(&list).expect("assign");
    let mut began = None;
    let (mut seen, mut total) = (0_u64, 0.0);
    while seen < count {
        let message = consumer.poll(Duration::from_secs(30)).expect("a record").expect("a record");
        began.get_or_insert_with(Instant::now);
        if let Ok(order) = serde_json::from_slice::<Order<'_>>(message.payload().unwrap_or_default()) {
            total +=
                order.amount + (order.customer_id % 2 + order.event_id.len() as u64 + order.ts.len() as u64) as f64;
        }
        seen += 1;
    }
    assert!(total > 0.0);
    count as f64 / began.map_or(1.0, |at| at.elapsed().as_secs_f64())
}

async fn latency(brokers: &str, seconds: u64) -> Vec<Figure> {
    let topic = testkit::unique("bench_live");
    create_topics(brokers, &[&topic], PARTITIONS).await.expect("create the topic");
    let text = format!(
        "
stream: live
topic: {topic}
event_time: {{ field: ts, out_of_orderness: 3s, allowed_lateness: 10s, idle_after: 5s }}
rules:
  velocity: {{ key: card, window: 5s, when: count >= 6, severity: high, notify: [team], cooldown: 1m }}
  burst: {{ key: card, window: 5s, where: \"status = 'approved'\", when: sum(amount) >= 1500, severity: high, cooldown: 1m }}
aggregates:
  total: {{ window: 5s, sum: amount }}
"
    );
    let database = testkit::database().await;
    let stream = Arc::new(Stream::parse("live.yaml", &text, &["team"]).expect("a valid stream"));
    let stop = CancellationToken::new();
    let running =
        tokio::spawn(runtime::run(stream, Options::new(brokers, database.pool.clone(), &topic), stop.clone()));
    while standing(&database.pool).await.0 < i64::from(PARTITIONS) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = EVENTS_PER_SECOND as f64;
    let pace = Pace { rate: Some(rate), duration: Some(Duration::from_secs(seconds)), events: None };
    let sent =
        produce(brokers, orders(&topic, Utc::now(), false), pace, &CancellationToken::new()).await.expect("send");
    while standing(&database.pool).await.1 < i64::try_from(sent.events).expect("fits") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
    let (alerts, p50, p99): (i64, f64, f64) = sqlx::query_as(
        "select count(*), percentile_cont(0.5) within group (order by (detail ->> 'latency_ms')::float8),
                percentile_cont(0.99) within group (order by (detail ->> 'latency_ms')::float8)
         from sluice.alert",
    )
    .fetch_one(&database.pool)
    .await
    .expect("alerts were raised");
    let note = format!("{alerts} alerts at {:.0} events/s", sent.events as f64 / sent.seconds);
    vec![Figure::new("alert_p50_ms", p50, "ms", note.clone()), Figure::new("alert_p99_ms", p99, "ms", note)]
}

/// Orders of about 250 bytes: customers by Zipf's law, 1 % out of order, 0.1 % late, 0.05 % malformed if `dirty`.
fn orders(topic: &str, start: DateTime<Utc>, dirty: bool) -> impl Iterator<Item = Outgoing> + Send {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let topic = topic.to_owned();
    (0_i64..).map(move |id| {
        // The inverse of Zipf's distribution function, by its integral.
        let customer = f64::from(CUSTOMERS).powf(rng.random::<f64>());
        let disorder = match rng.random_range(0..1_000) {
            0 if dirty => 60_000_000,
            1..=10 if dirty => rng.random_range(0..2_500_000),
            _ => 0,
        };
        let at = start.timestamp_micros() + id * 1_000_000 / EVENTS_PER_SECOND - disorder;
        let ts = DateTime::from_timestamp_micros(at).expect("in range").to_rfc3339_opts(SecondsFormat::Micros, true);
        let (euros, cents, quantity) = (rng.random_range(5..150), rng.random_range(10..100), rng.random_range(1..4));
        let key = format!("{customer:.0}");
        let mut payload = format!(
            "{{\"event_id\":\"{id:08x}-0000-4000-8000-000000000000\",\"type\":\"order\",\"ts\":\"{ts}\",\"order_id\":{id},\
             \"customer_id\":{key},\"card\":\"c_{key}\",\"amount\":{euros}.{cents},\"currency\":\"EUR\",\"status\":\"approved\",\
             \"items\":[{{\"product_id\":17,\"quantity\":{quantity}}}],\"country\":\"DE\"}}"
        );
        if dirty && rng.random_range(0..2_000) == 0 {
            payload.truncate(100);
        }
        Outgoing { topic: topic.clone(), key, payload: payload.into_bytes() }
    })
}

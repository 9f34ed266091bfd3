//! A stream of its own for each test: database, topic, group; events to send; the truth to compare with.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use sqlx::PgPool;
use streaming::{
    core::{Counters, Cut, PartitionState, RawRecord, Resume},
    producer::{Outgoing, Pace, create_topics, produce},
    runtime::{self, Options, StreamError},
    spec::Stream,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: i32 = 4;

/// Agg, partition, key, start (µs): events, sum.
pub(crate) type Windows = BTreeMap<(String, i32, String, i64), (i64, String)>;
/// Rule, partition, key, event time (µs).
pub(crate) type Alerts = BTreeSet<(String, i32, String, i64)>;

pub(crate) struct Bench {
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) stream: Arc<Stream>,
    pub(crate) seed: u64,
}

pub(crate) fn yaml(topic: &str) -> String {
    format!(
        "
stream: cards
topic: {topic}
event_time: {{ field: ts, out_of_orderness: 2s, allowed_lateness: 4s, idle_after: 1s }}
required: [card]
rules:
  fast: {{ key: card, window: 5s, when: 'count >= 4', severity: high, cooldown: 20s, notify: [team] }}
  steps:
    key: card
    windows: {{ hour: 1h }}
    when: count(*) over hour >= 5
    sequence: [ {{ where: \"status = 'declined'\" }}, {{ where: \"status = 'approved'\" }} ]
    within: 2s
    severity: low
  rich: {{ key: card, window: 5s, where: \"status = 'approved'\", when: 'sum(amount) > 160', severity: low }}
aggregates:
  total: {{ window: 5s, sum: amount }}
  cards: {{ key: card, window: 10s, every: 5s, sum: amount }}
  visits: {{ key: card, gap: 3s }}
  products: {{ key: product_id, window: 5s, unnest: items, sum: quantity * unit_price }}
lake: {{ path: events, roll_records: 400, roll_after: 1s }}
"
    )
}

impl Bench {
    pub(crate) async fn new(seed: u64) -> Self {
        let database = testkit::database().await;
        let brokers = testkit::kafka().await;
        let topic = testkit::unique("cards");
        create_topics(&brokers, &[&topic], PARTITIONS).await.expect("create the topic");
        Self::on(database.pool, database.url, brokers, topic, seed)
    }

    pub(crate) fn on(pool: PgPool, url: String, brokers: String, topic: String, seed: u64) -> Self {
        let stream = Stream::parse("cards.yaml", &yaml(&topic), &["team"]).expect("a valid stream");
        println!("seed {seed}, topic {topic}");
        Self { pool, url, brokers, topic, stream: Arc::new(stream), seed }
    }

    /// Options of one process. The group's name is the topic's: no other test joins it.
    pub(crate) fn options(&self, instance: &str) -> Options {
        let mut options = Options::new(&self.brokers, self.pool.clone(), &self.topic);
        options.instance = Some(instance.to_owned());
        options
    }

    pub(crate) fn start(&self, options: Options) -> (CancellationToken, JoinHandle<Result<(), StreamError>>) {
        let stop = CancellationToken::new();
        let task = tokio::spawn(runtime::run(Arc::clone(&self.stream), options, stop.clone()));
        (stop, task)
    }

    pub(crate) async fn send(&self, events: Vec<Outgoing>, rate: Option<f64>) {
        let pace = Pace { rate, ..Pace::default() };
        let count = events.len() as u64;
        let sent = produce(&self.brokers, events, pace, &CancellationToken::new()).await.expect("events are sent");
        assert_eq!(sent.events, count);
    }

    /// Events of a few minutes: about in order, some far too late, some twice, some broken.
    pub(crate) fn events(&self, count: u32) -> Vec<Outgoing> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut at = 1_750_000_000_000_000_i64;
        let mut events = Vec::new();
        for id in 0..count {
            at += rng.random_range(0..60_000);
            let late = if rng.random_bool(0.01) { rng.random_range(8_000_000..60_000_000) } else { 0 };
            let ts = DateTime::from_timestamp_micros(at - late - rng.random_range(0..1_500_000)).expect("in range");
            let ts = ts.to_rfc3339_opts(SecondsFormat::Micros, true);
            let card = rng.random_range(0..40);
            let (euros, cents) = (rng.random_range(1..90), rng.random_range(0..100));
            let status = if rng.random_bool(0.9) { "approved" } else { "declined" };
            let product = rng.random_range(0..9);
            let payload = format!(
                "{{\"event_id\":\"{id:032x}\",\"type\":\"order\",\"ts\":\"{ts}\",\"card\":\"c_{card}\",\"amount\":{euros}.{cents:02},\
                 \"status\":\"{status}\",\"items\":[{{\"product_id\":{product},\"quantity\":2,\"unit_price\":3.45}}]}}"
            );
            let broken = rng.random_bool(0.005);
            let payload = if broken { payload[..payload.len() / 2].to_owned() } else { payload };
            let event = Outgoing { topic: self.topic.clone(), key: card.to_string(), payload: payload.into_bytes() };
            if rng.random_bool(0.03) {
                events.push(event.clone());
            }
            events.push(event);
        }
        events
    }

    /// Deletes the records of a partition below `before`, as retention does.
    pub(crate) async fn delete_below(&self, partition: i32, before: i64) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("an admin client");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(before)).expect("a list");
        let deleted = admin.delete_records(&list, &AdminOptions::new()).await.expect("records are deleted");
        deleted.elements().iter().for_each(|one| one.error().expect("deleted"));
    }

    /// The accounts of partition 0: start, committed, counted + deduplicated + late, malformed, absent.
    pub(crate) async fn accounts(&self) -> (i64, i64, i64, i64, i64) {
        sqlx::query_as(
            "select start_offset, committed_offset, counted + deduplicated + late, malformed, absent
             from sluice.stream_offset where partition = 0",
        )
        .fetch_one(&self.pool)
        .await
        .expect("read accounts")
    }

    /// Waits until every record that is in the topic now has been committed.
    pub(crate) async fn caught_up(&self) {
        let ends = ends(&self.brokers, &self.topic);
        let total: i64 = ends.iter().sum();
        self.until("the stream has caught up", async || self.committed().await >= total).await;
    }

    /// Sum of the committed offsets.
    pub(crate) async fn committed(&self) -> i64 {
        sqlx::query_scalar("select coalesce(sum(committed_offset), 0)::bigint from sluice.stream_offset")
            .fetch_one(&self.pool)
            .await
            .expect("read offsets")
    }

    /// The least generation of a partition, and the sum of all.
    pub(crate) async fn generations(&self) -> (i64, i64) {
        sqlx::query_as(
            "select coalesce(min(generation), 0), coalesce(sum(generation), 0)::bigint from sluice.stream_offset",
        )
        .fetch_one(&self.pool)
        .await
        .expect("read generations")
    }

    /// Asks until it is so, for at most a minute.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waited = tokio::time::timeout(Duration::from_mins(1), async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not within a minute: {what}"));
    }

    /// Windows and alerts in Postgres equal those computed offline, and the counts add up to the offsets.
    pub(crate) async fn assert_exact(&self) {
        let (windows, alerts, counters) = self.offline();
        assert!(windows.len() > 50 && alerts.len() > 5, "{} windows, {} alerts: too tame", windows.len(), alerts.len());
        let stored: Vec<(String, i32, String, DateTime<Utc>, i64, String)> = sqlx::query_as(
            "select agg, partition, key, window_start, events, trim_scale(sum)::text from sluice.stream_window",
        )
        .fetch_all(&self.pool)
        .await
        .expect("read windows");
        let stored: Windows =
            stored.into_iter().map(|(a, p, k, s, n, sum)| ((a, p, k, s.timestamp_micros()), (n, sum))).collect();
        assert_same(&stored, &windows);
        let raised: Vec<(String, i32, String, DateTime<Utc>)> =
            sqlx::query_as("select rule, (detail ->> 'partition')::int, key, event_time from sluice.alert")
                .fetch_all(&self.pool)
                .await
                .expect("read alerts");
        assert_eq!(raised.len(), alerts.len(), "alerts");
        let raised: Alerts = raised.into_iter().map(|(r, p, k, t)| (r, p, k, t.timestamp_micros())).collect();
        assert_eq!(raised, alerts);
        let counts: Vec<(i64, i64, i64, i64, i64, i64)> = sqlx::query_as(
            "select committed_offset - start_offset, counted, deduplicated, late, malformed, absent from sluice.stream_offset",
        )
        .fetch_all(&self.pool)
        .await
        .expect("read counts");
        let mut sum = Counters::default();
        for (read, counted, deduplicated, late, malformed, absent) in counts {
            assert_eq!(read, counted + deduplicated + late + malformed + absent, "the counts add up to the offsets");
            sum.counted += counted;
            sum.deduplicated += deduplicated;
            sum.late += late;
            sum.malformed += malformed;
        }
        assert_eq!(sum, counters);
        assert!(counters.deduplicated > 0 && counters.late > 0 && counters.malformed > 0, "{counters:?}: too tame");
        let dead: i64 =
            sqlx::query_scalar("select count(*) from sluice.dead_letter").fetch_one(&self.pool).await.expect("count");
        assert_eq!(dead, counters.late + counters.malformed, "each is a dead letter");
        let told: i64 =
            sqlx::query_scalar("select count(*) from sluice.outbox").fetch_one(&self.pool).await.expect("count");
        let fast = alerts.iter().filter(|a| a.0 == "fast").count();
        assert_eq!(
            told,
            i64::try_from(fast).expect("few"),
            "one message for each alert of the rule that tells somebody"
        );
    }

    /// The truth: the core over the whole log, without batches or restarts.
    fn offline(&self) -> (Windows, Alerts, Counters) {
        let (mut windows, mut alerts, mut sum) = (Windows::new(), Alerts::new(), Counters::default());
        for (partition, records) in read(&self.brokers, &self.topic).into_iter().enumerate() {
            let partition = i32::try_from(partition).expect("few");
            let mut state = PartitionState::new(Arc::clone(&self.stream), Resume::fresh(0), []);
            for (offset, produced_at, payload) in &records {
                let (offset, produced_at) = (*offset, *produced_at);
                state.apply(RawRecord { offset, produced_at, read_at: produced_at, payload: Some(payload) });
            }
            let Some(delta) = state.take_delta(Cut::ALL) else { continue };
            for row in delta.windows {
                let sum = decimal(row.sum);
                let events = i64::try_from(row.events).expect("few");
                windows.insert((row.operator.to_string(), partition, row.key.to_string(), row.start), (events, sum));
            }
            alerts.extend(delta.firings.into_iter().map(|f| (f.rule, partition, f.key, f.event_time)));
            sum.counted += delta.counters.counted;
            sum.deduplicated += delta.counters.deduplicated;
            sum.late += delta.counters.late;
            sum.malformed += delta.counters.malformed;
        }
        (windows, alerts, sum)
    }
}

fn assert_same(stored: &Windows, expected: &Windows) {
    let wrong: Vec<_> = expected.iter().filter(|(key, value)| stored.get(key) != Some(value)).take(5).collect();
    let found: Vec<_> = wrong.iter().map(|(key, _)| stored.get(key)).collect();
    assert!(wrong.is_empty(), "expected {wrong:?}, found {found:?}");
    assert_eq!(stored.len(), expected.len(), "windows that should not be there");
}

fn decimal(millionths: i128) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn consumer(brokers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "offline")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer")
}

/// The end of each partition.
pub(crate) fn ends(brokers: &str, topic: &str) -> Vec<i64> {
    let consumer = consumer(brokers);
    (0..PARTITIONS)
        .map(|p| consumer.fetch_watermarks(topic, p, Duration::from_secs(10)).expect("watermarks").1)
        .collect()
}

/// Offset, timestamp and value of every record, by partition.
pub(crate) fn read(brokers: &str, topic: &str) -> Vec<Vec<(i64, i64, Vec<u8>)>> {
    let ends = ends(brokers, topic);
    let consumer = consumer(brokers);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a list");
    }
    consumer.assign(&list).expect("assign");
    let mut all: Vec<Vec<_>> = vec![Vec::new(); ends.len()];
    let mut left: i64 = ends.iter().sum();
    while left > 0 {
        let message = consumer.poll(Duration::from_secs(20)).expect("a record within 20 s").expect("a record");
        let partition = usize::try_from(message.partition()).expect("not negative");
        let payload = message.payload().unwrap_or_default().to_vec();
        all[partition].push((message.offset(), message.timestamp().to_millis().unwrap_or_default(), payload));
        left -= 1;
    }
    all
}

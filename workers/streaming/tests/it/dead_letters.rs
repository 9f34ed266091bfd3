//! Dead letters on their way to their topic.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    producer::{FutureProducer, FutureRecord},
};

use streaming::{producer::Outgoing, runtime::Options};

use crate::harness::Bench;

/// Each record of `topic`'s partition 0: its headers, and how long its payload is.
fn letters(brokers: &str, topic: &str) -> Vec<(BTreeMap<String, String>, usize)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "letters")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut all = Vec::new();
    let partitions = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).expect("metadata");
    for partition in partitions.topics()[0].partitions() {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition.id(), Duration::from_secs(10)).expect("watermarks");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition.id(), Offset::Offset(low)).expect("a list");
        consumer.assign(&list).expect("assign");
        for _ in low..high {
            let message = consumer.poll(Duration::from_secs(20)).expect("a record within 20 s").expect("a record");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = message.headers().into_iter().flat_map(|all| all.iter());
            let headers = headers.map(|h| (h.key.to_owned(), h.value.map(text).unwrap_or_default())).collect();
            all.push((headers, message.payload().map_or(0, <[u8]>::len)));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_large_records_is_committed_by_bytes() {
    let bench = Bench::new(9).await;
    let broken = |id: u32| Outgoing { topic: bench.topic.clone(), key: id.to_string(), payload: vec![b'x'; 200_000] };
    bench.send((0..60).map(broken).collect(), None).await;
    // Neither the time nor the number of records ends a batch here.
    let options = Options { commit_every: Duration::from_hours(1), commit_bytes: 1 << 20, ..bench.options("a") };
    let (stop, task) = bench.start(options);
    bench.until("most of the backlog is committed", async || bench.committed().await >= 55).await;
    let most: i64 = sqlx::query_scalar(
        "select max(bytes)::bigint from (select sum(octet_length(payload)) as bytes from sluice.dead_letter group by at) b",
    )
    .fetch_one(&bench.pool)
    .await
    .expect("a sum");
    assert!((400_000..=1_200_000).contains(&most), "{most} bytes in one transaction");
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    assert_eq!(bench.committed().await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_too_long_for_its_topic_goes_without_its_payload_and_holds_nobody_up() {
    let bench = Bench::new(8).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &bench.brokers)
        .set("message.max.bytes", "2000000")
        .create()
        .expect("a producer");
    // The broker takes 1,048,588 bytes: the second fits with a letter's headers, the third without them only.
    let sizes = [100, 1_040_000, 1_048_400, 200];
    for size in sizes {
        let payload = "x".repeat(size);
        let record = FutureRecord::to(&bench.topic).partition(0).key("k").payload(&payload);
        producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error).expect("sent");
    }
    let (stop, task) = bench.start(bench.options("a"));
    bench.caught_up().await;
    bench
        .until("dead letters are on their topic", async || {
            let sent: i64 = sqlx::query_scalar("select count(*) from sluice.dead_letter where produced_at is not null")
                .fetch_one(&bench.pool)
                .await
                .expect("count");
            sent == 4
        })
        .await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    let mut letters = letters(&bench.brokers, &bench.stream.dead_topic());
    letters.sort_by(|a, b| a.0["sluice-position"].cmp(&b.0["sluice-position"]));
    let lengths: Vec<_> = letters.iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths, [100, 1_040_000, 0, 200], "each once");
    let omitted: Vec<_> = letters.iter().filter_map(|(headers, _)| headers.get("sluice-payload-omitted")).collect();
    assert_eq!(omitted, ["1048400 bytes, too long for this topic"]);
}

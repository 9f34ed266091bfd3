//! The producer's first records.

use std::time::Duration;

use chrono::Utc;
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
};
use streaming::producer::Producer;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ready_producer_is_handed_leaves_at_once() {
    let brokers = testkit::kafka().await;
    let topic = testkit::unique("ready");
    streaming::producer::create_topics(&brokers, &[&topic], 1).await.expect("create the topic");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", &topic)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, rdkafka::Offset::Beginning).expect("a list");
    consumer.assign(&list).expect("assign");
    // The topic's metadata and the consumer's first fetch are no part of what is measured.
    let first = Producer::connect(&brokers).expect("a producer");
    first.send(&topic, "k", b"first").await.expect("taken");
    first.flush().await.expect("sent");
    consumer.poll(Duration::from_secs(20)).expect("a record within 20 s").expect("a record");
    let producer = Producer::connect(&brokers).expect("a producer");
    producer.ready().await;
    producer.send(&topic, "k", b"second").await.expect("taken");
    let record = consumer.poll(Duration::from_secs(20)).expect("a record within 20 s").expect("a record");
    let waited = Utc::now().timestamp_millis() - record.timestamp().to_millis().expect("a timestamp");
    assert!(waited < 250, "{waited} ms: it waited for the producer's id");
    producer.flush().await.expect("sent");
}

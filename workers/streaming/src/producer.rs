//! Events into Kafka: durable, in order, at a set rate.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio_util::sync::CancellationToken;

/// How long the broker may take to answer for what was sent.
const FLUSH_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the broker may take to make topics.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the first record may wait for the broker to give the producer its id.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the client tells of itself.
const STATISTICS_EVERY: Duration = Duration::from_millis(100);
/// How often a paced sender wakes.
const TICK: Duration = Duration::from_millis(5);

/// Why events did not reach the topic.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The client could not be made, or the broker refused.
    #[error("Kafka at {brokers} failed")]
    Kafka {
        /// Where it was looked for.
        brokers: String,
        /// What librdkafka said.
        #[source]
        source: KafkaError,
    },
    /// The broker took some and refused others.
    #[error("{failed} of {sent} events were not delivered")]
    Undelivered {
        /// How many were given to the client.
        sent: u64,
        /// How many of them failed.
        failed: u64,
        /// The first failure.
        #[source]
        source: KafkaError,
    },
}

impl ProduceError {
    /// Whether the broker was away, and did not refuse.
    pub fn is_lost_connection(&self) -> bool {
        let (Self::Kafka { source, .. } | Self::Undelivered { source, .. }) = self;
        matches!(
            source.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::OperationTimedOut
            )
        )
    }
}

/// A record on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its topic.
    pub topic: String,
    /// Its key: records of one key stay in order.
    pub key: String,
    /// Its value.
    pub payload: Vec<u8>,
}

/// How fast, and how much.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// Events a second; as fast as it goes without it.
    pub rate: Option<f64>,
    /// Ends after this many events.
    pub events: Option<u64>,
    /// Ends after this long.
    pub duration: Option<Duration>,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    /// Events that the broker has acknowledged.
    pub events: u64,
    /// Their bytes, keys included.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    first: Mutex<Option<KafkaError>>,
    ready: AtomicBool,
}

#[derive(Clone, Default)]
struct Answers(Arc<Deliveries>);

impl ClientContext for Answers {
    fn stats(&self, statistics: Statistics) {
        if statistics.eos.is_some_and(|eos| eos.idemp_state == "Assigned") {
            self.0.ready.store(true, Ordering::Release);
        }
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
                self.0.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// A producer whose records are acknowledged by every replica, once each and in order of their keys.
pub struct Producer {
    brokers: String,
    inner: ThreadedProducer<Answers>,
    answers: Answers,
    sent: AtomicU64,
}

impl Producer {
    /// Makes the client, which connects beside it.
    pub fn connect(brokers: &str) -> Result<Self, ProduceError> {
        let answers = Answers::default();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", "60000")
            .set("statistics.interval.ms", STATISTICS_EVERY.as_millis().to_string())
            .set_log_level(RDKafkaLogLevel::Critical);
        let inner = config
            .create_with_context(answers.clone())
            .map_err(|source| ProduceError::Kafka { brokers: brokers.to_owned(), source })?;
        Ok(Self { brokers: brokers.to_owned(), inner, answers, sent: AtomicU64::new(0) })
    }

    /// Waits, for some seconds at most, until records would leave at once. An idempotent producer asks for its id
    /// every half second until it has one, and holds back for so long what it is handed.
    pub async fn ready(&self) {
        let until = Instant::now() + READY_TIMEOUT;
        while !self.answers.0.ready.load(Ordering::Acquire) && Instant::now() < until {
            tokio::time::sleep(TICK).await;
        }
    }

    /// Hands a record to the client; waits while its queue is full.
    pub async fn send(&self, topic: &str, key: &str, payload: &[u8]) -> Result<(), ProduceError> {
        let mut record = BaseRecord::to(topic).key(key).payload(payload);
        loop {
            record = match self.inner.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((source, _)) => return Err(self.failed(source)),
            };
            tokio::time::sleep(TICK).await;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until the broker has answered for everything sent so far; an error if it refused any.
    pub async fn flush(&self) -> Result<u64, ProduceError> {
        self.flush_within(FLUSH_TIMEOUT).await
    }

    /// As [`Self::flush`], for so long at most.
    pub async fn flush_within(&self, patience: Duration) -> Result<u64, ProduceError> {
        let client = self.inner.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(patience)).await;
        if let Ok(Err(source)) = flushed {
            return Err(self.failed(source));
        }
        let failed = self.answers.0.failed.load(Ordering::Relaxed);
        let first = self.answers.0.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some(source) => Err(ProduceError::Undelivered { sent: self.sent.load(Ordering::Relaxed), failed, source }),
            None => Ok(self.answers.0.delivered.load(Ordering::Relaxed)),
        }
    }

    fn failed(&self, source: KafkaError) -> ProduceError {
        ProduceError::Kafka { brokers: self.brokers.clone(), source }
    }
}

/// Makes the topics that do not exist yet, each with `partitions`.
pub async fn create_topics(brokers: &str, topics: &[&str], partitions: i32) -> Result<(), ProduceError> {
    let failed = |source| ProduceError::Kafka { brokers: brokers.to_owned(), source };
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set_log_level(RDKafkaLogLevel::Critical)
        .create()
        .map_err(failed)?;
    let wanted: Vec<_> =
        topics.iter().map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1))).collect();
    let options = AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT));
    for result in admin.create_topics(&wanted, &options).await.map_err(failed)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Sends events at a pace until they end, enough were sent, the time is up or `stop` is set; then waits for the
/// broker's answers.
pub async fn produce(
    brokers: &str,
    events: impl IntoIterator<Item = Outgoing>,
    pace: Pace,
    stop: &CancellationToken,
) -> Result<Sent, ProduceError> {
    let producer = Producer::connect(brokers)?;
    producer.ready().await;
    let start = Instant::now();
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let mut events = events.into_iter();
    while pace.events.is_none_or(|most| count < most)
        && pace.duration.is_none_or(|longest| start.elapsed() < longest)
        && !stop.is_cancelled()
    {
        if let Some(rate) = pace.rate
            && count as f64 > start.elapsed().as_secs_f64() * rate
        {
            tokio::time::sleep(TICK).await;
            continue;
        }
        let Some(event) = events.next() else { break };
        producer.send(&event.topic, &event.key, &event.payload).await?;
        count += 1;
        bytes += (event.key.len() + event.payload.len()) as u64;
    }
    let events = producer.flush().await?;
    Ok(Sent { events, bytes, seconds: start.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_told_from_one_that_refuses() {
        let undelivered =
            |code| ProduceError::Undelivered { sent: 2, failed: 1, source: KafkaError::MessageProduction(code) };
        assert!(undelivered(RDKafkaErrorCode::MessageTimedOut).is_lost_connection());
        assert!(!undelivered(RDKafkaErrorCode::MessageSizeTooLarge).is_lost_connection());
    }
}

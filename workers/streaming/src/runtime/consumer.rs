//! The consumer of one stream: a member of its group whose positions come from Postgres, not from Kafka.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Options,
    commit::chain,
    error::StreamError,
    store::{self, Bounds, Claim},
};
use crate::spec::Stream;

/// How long the broker may take to say where a partition begins and ends.
const BOUNDS_TIMEOUT: Duration = Duration::from_secs(10);

/// What a rebalance did, for the loop that polls.
#[derive(Debug)]
pub(super) enum Move {
    Assigned(Claim),
    Revoked(i32),
    /// The stream cannot go on.
    Failed(StreamError),
}

/// The consumer's callbacks. They run on the thread that polls, inside its call.
pub(super) struct Hooks {
    stream: Arc<Stream>,
    pool: PgPool,
    runtime: Handle,
    stop: CancellationToken,
    moves: Mutex<VecDeque<Move>>,
    moved: AtomicBool,
    ends: Mutex<HashMap<i32, i64>>,
}

pub(super) type StreamConsumer = BaseConsumer<Hooks>;

/// Joins the stream's group.
pub(super) fn join(
    stream: &Arc<Stream>,
    options: &Options,
    runtime: Handle,
    stop: CancellationToken,
) -> KafkaResult<StreamConsumer> {
    let hooks = Hooks {
        stream: Arc::clone(stream),
        pool: options.pool.clone(),
        runtime,
        stop,
        moves: Mutex::default(),
        moved: AtomicBool::new(false),
        ends: Mutex::default(),
    };
    let mut config = settings(&options.brokers);
    config
        .set("group.id", format!("{}.{}", options.group_prefix, stream.name))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", (options.session_timeout.as_millis() / 3).to_string())
        .set("statistics.interval.ms", "1000");
    if let Some(instance) = &options.instance {
        config.set("group.instance.id", format!("{instance}.{}", stream.name));
    }
    let consumer: StreamConsumer = config.create_with_context(hooks)?;
    consumer.subscribe(&[&stream.topic])?;
    Ok(consumer)
}

/// Reads on from another offset. Assigned anew, as a consumer that found its position out of range cannot seek.
pub(super) fn move_to(consumer: &StreamConsumer, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.incremental_unassign(&list)?;
    consumer.incremental_assign(&list)
}

/// What every consumer of ours is made with. The default fetch back-off of a second costs a factor of three.
pub(super) fn settings(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "32768")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("reconnect.backoff.max.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Critical);
    config
}

impl Hooks {
    /// What rebalances did since the last call, in order. Cheap when there was none.
    pub(super) fn take_moves(&self) -> VecDeque<Move> {
        if !self.moved.swap(false, Ordering::AcqRel) {
            return VecDeque::new();
        }
        std::mem::take(&mut self.moves.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The end of each partition, as last heard from the broker.
    pub(super) fn end_of(&self, partition: i32) -> i64 {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied().unwrap_or(0)
    }

    fn push(&self, step: Move) {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
        self.moved.store(true, Ordering::Release);
    }

    /// Takes partitions over, however long Postgres and the broker are away.
    pub(super) fn claim(&self, consumer: &StreamConsumer, partitions: &[i32]) -> Option<Vec<Claim>> {
        let mut backoff = Duration::from_millis(100);
        let mut failing = false;
        while !self.stop.is_cancelled() {
            let cause = match self.try_claim(consumer, partitions) {
                Ok(claims) => return Some(claims),
                Err(ClaimError::Kafka(error)) => error.to_string(),
                Err(ClaimError::Stream(error)) if error.is_transient() => chain(&error),
                Err(ClaimError::Stream(error)) => {
                    self.push(Move::Failed(error));
                    return None;
                }
            };
            if !failing {
                tracing::warn!(stream = self.stream.name, cause, "cannot take partitions over; trying again");
                failing = true;
            }
            std::thread::sleep(backoff);
            backoff = (backoff * 2).min(Duration::from_secs(2));
        }
        None
    }

    fn try_claim(&self, consumer: &StreamConsumer, partitions: &[i32]) -> Result<Vec<Claim>, ClaimError> {
        let bounds = partitions
            .iter()
            .map(|&partition| {
                let (low, high) = consumer.fetch_watermarks(&self.stream.topic, partition, BOUNDS_TIMEOUT)?;
                Ok((partition, Bounds { low, high }))
            })
            .collect::<Result<Vec<_>, KafkaError>>()
            .map_err(ClaimError::Kafka)?;
        self.runtime.block_on(store::claim(&self.pool, &self.stream, &bounds)).map_err(ClaimError::Stream)
    }

    fn assign(&self, consumer: &StreamConsumer, list: &mut TopicPartitionList) {
        let partitions: Vec<_> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let claims = if partitions.is_empty() { Some(Vec::new()) } else { self.claim(consumer, &partitions) };
        // Without a claim there is nothing to read: the process is about to stop.
        let Some(claims) = claims else { return };
        for claim in &claims {
            let position = Offset::Offset(claim.resume.offset);
            if let Err(error) = list.set_partition_offset(&self.stream.topic, claim.partition, position) {
                return self.failed(error);
            }
        }
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) };
        match done {
            Ok(()) => claims.into_iter().for_each(|claim| self.push(Move::Assigned(claim))),
            Err(error) => self.failed(error),
        }
    }

    fn revoke(&self, consumer: &StreamConsumer, list: &TopicPartitionList) {
        for element in list.elements() {
            self.push(Move::Revoked(element.partition()));
        }
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() };
        if let Err(error) = done {
            self.failed(error);
        }
    }

    fn failed(&self, source: KafkaError) {
        self.push(Move::Failed(StreamError::Kafka { stream: self.stream.name.clone(), source }));
    }
}

enum ClaimError {
    Kafka(KafkaError),
    Stream(StreamError),
}

impl ClientContext for Hooks {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.stream.topic) else { return };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, partition) in &topic.partitions {
            if *id >= 0 && partition.hi_offset >= 0 {
                ends.insert(*id, partition.hi_offset);
            }
        }
    }
}

impl ConsumerContext for Hooks {
    /// In place of the default, which would begin at Kafka's own idea of the position.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }
}

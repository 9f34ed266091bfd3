//! The loop of one stream in one process: poll, apply, commit, on a thread of its own.
//!
//! One commit is under way at a time; meanwhile the next is gathered, up to a bound. A partition that is lost
//! takes its uncommitted state with it: its next owner reads those records again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use chrono::Utc;
use rdkafka::{consumer::Consumer, error::KafkaError, message::BorrowedMessage, types::RDKafkaErrorCode};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Options,
    commit::{self, Committed, Part, Rejected},
    consumer::{self, Move, StreamConsumer},
    error::StreamError,
    presence, record,
    references::Tables,
    store::Claim,
};
use crate::{
    core::{Cut, Disposition, PartitionState, SEGMENTS},
    spec::Stream,
};

/// Records taken in one go before the clock is looked at again.
const BURST: usize = 2_048;
/// A partition refused at a commit is claimed again after this long, unless it was revoked by then.
const RECLAIM_AFTER: Duration = Duration::from_secs(1);

/// Reads a stream until told to stop; then the batch is finished, committed, and the group left.
pub(super) fn run(
    stream: &Arc<Stream>,
    options: &Options,
    tables: &Tables,
    runtime: &Handle,
    stop: &CancellationToken,
    owned: impl Fn(Vec<i32>),
) -> Result<(), StreamError> {
    let consumer = consumer::join(stream, options, runtime.clone(), stop.clone())
        .map_err(|source| StreamError::Kafka { stream: stream.name.clone(), source })?;
    let mut book = Book::new(stream, options, tables, runtime, stop);
    while !stop.is_cancelled() {
        book.renew_tables();
        let idle = book.patience();
        for taken in 0..BURST {
            let polled = consumer.poll(if taken == 0 { idle } else { Duration::ZERO });
            // A rebalance inside that call came before the record that it returned.
            let moves = consumer.context().take_moves();
            if !moves.is_empty() {
                book.follow(moves)?;
                owned(book.partitions());
            }
            match polled {
                Some(Ok(message)) => {
                    book.apply(&message);
                    if book.is_full() {
                        break;
                    }
                }
                Some(Err(error)) => book.kafka_failed(error)?,
                None => break,
            }
        }
        book.settle(Duration::ZERO)?;
        book.reclaim(&consumer)?;
        book.commit_if_due(&consumer)?;
        book.say_if_due(&consumer);
    }
    book.finish(&consumer)
}

/// A partition that this process owns.
struct Owned {
    state: PartitionState,
    generation: i64,
    rejected: Vec<Rejected>,
}

/// What is owned, gathered and under way.
struct Book<'a> {
    stream: &'a Arc<Stream>,
    options: &'a Options,
    tables: &'a Tables,
    tables_seen: u64,
    runtime: &'a Handle,
    stop: &'a CancellationToken,
    owned: HashMap<i32, Owned>,
    /// Partitions refused at a commit that the group still says are ours, and when to ask again.
    refused: HashMap<i32, Instant>,
    in_flight: Option<mpsc::Receiver<Result<Committed, StreamError>>>,
    /// Records applied since the last cut.
    gathered: usize,
    /// Their bytes, and those of the rejected among them once more: what a commit may grow to.
    gathered_bytes: usize,
    /// A rule has fired since the last cut.
    urgent: bool,
    last_cut: Instant,
    last_shown: Instant,
    last_kept: Instant,
    /// When the process last said that it is at its partitions, and whether that is still under way.
    last_said: Instant,
    saying: Option<JoinHandle<()>>,
    kafka_failing: bool,
}

impl<'a> Book<'a> {
    fn new(
        stream: &'a Arc<Stream>,
        options: &'a Options,
        tables: &'a Tables,
        runtime: &'a Handle,
        stop: &'a CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            options,
            tables,
            tables_seen: 0,
            runtime,
            stop,
            owned: HashMap::new(),
            refused: HashMap::new(),
            in_flight: None,
            gathered: 0,
            gathered_bytes: 0,
            urgent: false,
            last_cut: now,
            last_shown: now,
            last_kept: now,
            last_said: now,
            saying: None,
            kafka_failing: false,
        }
    }

    fn renew_tables(&mut self) {
        if let Some(references) = self.tables.newer_than(&mut self.tables_seen) {
            for owned in self.owned.values_mut() {
                owned.state.set_references(Arc::clone(&references));
            }
        }
    }

    fn partitions(&self) -> Vec<i32> {
        self.owned.keys().copied().collect()
    }

    /// How long a poll may wait for a record.
    fn patience(&self) -> Duration {
        if self.in_flight.is_some() {
            Duration::from_millis(1)
        } else if self.gathered > 0 {
            self.options.commit_every.saturating_sub(self.last_cut.elapsed()).max(Duration::from_millis(1))
        } else {
            Duration::from_millis(50)
        }
    }

    fn apply(&mut self, message: &BorrowedMessage<'_>) {
        if self.kafka_failing {
            tracing::info!(stream = self.stream.name, "Kafka answers again");
            self.kafka_failing = false;
        }
        let raw = record::raw(message, Utc::now().timestamp_millis());
        // Records of a partition that was refused, or of one revoked in between, are another owner's.
        let Some(owned) = self.owned.get_mut(&rdkafka::Message::partition(message)) else { return };
        let rejected = match owned.state.apply(raw) {
            Disposition::Late(detail) => Some(("late", detail)),
            Disposition::Malformed(detail) => Some(("malformed", detail)),
            Disposition::Rejected(detail) => Some(("rejected", detail)),
            Disposition::Counted | Disposition::Deduplicated | Disposition::Replayed => None,
        };
        if let Some((reason, detail)) = rejected {
            let rejected = record::rejected(message, reason, detail);
            self.gathered_bytes += rejected.bytes();
            owned.rejected.push(rejected);
        }
        self.urgent |= owned.state.is_urgent();
        self.gathered += 1;
        self.gathered_bytes += raw.payload.map_or(0, <[u8]>::len);
    }

    fn kafka_failed(&mut self, error: KafkaError) -> Result<(), StreamError> {
        if let KafkaError::MessageConsumption(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) =
            error
        {
            // It does not say of which partition; those that are in range are read on from where they stand.
            tracing::warn!(stream = self.stream.name, %error, "a position is out of range; taking the partitions over anew");
            let now = Instant::now();
            self.refused.extend(self.owned.keys().map(|partition| (*partition, now)));
            return Ok(());
        }
        let fatal = match &error {
            KafkaError::MessageConsumptionFatal(_) => true,
            KafkaError::MessageConsumption(code) => {
                matches!(code, RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed)
            }
            _ => false,
        };
        if fatal {
            return Err(StreamError::Kafka { stream: self.stream.name.clone(), source: error });
        }
        // librdkafka reconnects by itself; a topic that does not exist yet is found when it does.
        if !self.kafka_failing {
            tracing::warn!(stream = self.stream.name, %error, "Kafka cannot be read; librdkafka goes on trying");
            self.kafka_failing = true;
        }
        Ok(())
    }

    fn follow(&mut self, moves: VecDeque<Move>) -> Result<(), StreamError> {
        for step in moves {
            match step {
                Move::Assigned(claim) => self.take_over(claim)?,
                Move::Revoked(partition) => {
                    self.owned.remove(&partition);
                    self.refused.remove(&partition);
                }
                Move::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_over(&mut self, claim: Claim) -> Result<(), StreamError> {
        tracing::debug!(stream = self.stream.name, partition = claim.partition, resume = ?claim.resume, "partition taken over");
        let (partition, generation) = (claim.partition, claim.generation);
        let mut state = PartitionState::new(Arc::clone(self.stream), claim.resume, claim.alerts)
            .without(claim.put_aside)
            .with_snapshots(claim.snapshots)
            .map_err(|source| StreamError::Snapshot { stream: self.stream.name.clone(), partition, source })?;
        state.set_references(self.tables.now());
        self.owned.insert(partition, Owned { state, generation, rejected: Vec::new() });
        Ok(())
    }

    /// Claims refused partitions again, once all that was read of them is committed. Whoever holds one by mistake
    /// hears of its revocation at its next poll.
    fn reclaim(&mut self, consumer: &StreamConsumer) -> Result<(), StreamError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let due: Vec<_> =
            self.refused.iter().filter(|(_, since)| since.elapsed() >= RECLAIM_AFTER).map(|(p, _)| *p).collect();
        if due.iter().any(|partition| self.owned.contains_key(partition)) && !self.commit_all(consumer)? {
            return Ok(());
        }
        for partition in due {
            self.refused.remove(&partition);
            self.owned.remove(&partition);
            let Some(claims) = consumer.context().claim(consumer, &[partition]) else { continue };
            for claim in claims {
                consumer::move_to(consumer, &self.stream.topic, partition, claim.resume.offset)
                    .map_err(|source| StreamError::Kafka { stream: self.stream.name.clone(), source })?;
                self.take_over(claim)?;
            }
        }
        Ok(())
    }

    /// Commits what was gathered, and waits for it. `false`: the process must stop before that is done.
    fn commit_all(&mut self, consumer: &StreamConsumer) -> Result<bool, StreamError> {
        for cut in [None, Some(Cut::default())] {
            if let Some(cut) = cut {
                self.cut(consumer, cut);
            }
            while !self.settle(Duration::from_millis(20))? {
                if self.stop.is_cancelled() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Hears how the commit under way ended, waiting at most `wait` for it. Whether none is under way any more.
    fn settle(&mut self, wait: Duration) -> Result<bool, StreamError> {
        let Some(commit) = &self.in_flight else { return Ok(true) };
        let ended = match commit.recv_timeout(wait) {
            Ok(ended) => ended?,
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(false),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(StreamError::Thread("the commit ended without an answer".to_owned()));
            }
        };
        self.in_flight = None;
        if let Committed::Done { fenced } = ended {
            for partition in fenced {
                tracing::warn!(stream = self.stream.name, partition, "another process has claimed the partition");
                self.owned.remove(&partition);
                self.refused.insert(partition, Instant::now());
            }
        }
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.gathered >= self.options.commit_records || self.gathered_bytes >= self.options.commit_bytes
    }

    fn commit_if_due(&mut self, consumer: &StreamConsumer) -> Result<(), StreamError> {
        if self.urgent || self.is_full() {
            // An alert does not wait for the next round, and memory stays bounded.
            while !self.settle(Duration::from_millis(20))? {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
            }
        } else if self.in_flight.is_some() || self.last_cut.elapsed() < self.options.commit_every {
            return Ok(());
        }
        let segments = self.snapshots_due();
        self.cut(consumer, Cut { show: self.last_shown.elapsed() >= self.options.show_every, segments });
        Ok(())
    }

    /// From this loop and not from beside it: one that hangs is not seen.
    fn say_if_due(&mut self, consumer: &StreamConsumer) {
        let busy = self.saying.as_ref().is_some_and(|saying| !saying.is_finished());
        if busy || self.owned.is_empty() || self.last_said.elapsed() < self.options.seen_every {
            return;
        }
        self.last_said = Instant::now();
        let place =
            |(&partition, owned): (&i32, &Owned)| (partition, owned.generation, consumer.context().end_of(partition));
        let places: Vec<_> = self.owned.iter().map(place).collect();
        let (pool, stream) = (self.options.pool.clone(), Arc::clone(self.stream));
        self.saying = Some(self.runtime.spawn(async move { presence::seen(&pool, &stream, &places).await }));
    }

    /// How many segments of each partition to keep now, so that one that goes on changing is kept once in a while.
    fn snapshots_due(&mut self) -> usize {
        let due = self.last_kept.elapsed().as_secs_f64() / self.options.keep_every.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few, never negative")]
        let segments = (due * SEGMENTS as f64) as usize;
        if segments > 0 {
            self.last_kept = Instant::now();
        }
        segments
    }

    /// Takes what was gathered and begins to commit it.
    fn cut(&mut self, consumer: &StreamConsumer, cut: Cut) {
        let now = Instant::now();
        self.last_cut = now;
        self.gathered = 0;
        self.gathered_bytes = 0;
        self.urgent = false;
        if cut.show {
            self.last_shown = now;
        }
        let mut parts: Vec<_> = self
            .owned
            .iter_mut()
            .filter_map(|(&partition, owned)| {
                let delta = owned.state.take_delta(cut)?;
                let rejected = std::mem::take(&mut owned.rejected);
                let end = consumer.context().end_of(partition);
                Some(Part { partition, generation: owned.generation, end, delta, rejected })
            })
            .collect();
        if parts.is_empty() {
            return;
        }
        parts.sort_by_key(|part| part.partition);
        let (answer, ended) = mpsc::sync_channel(1);
        let commit = commit::commit(self.options.pool.clone(), Arc::clone(self.stream), parts, self.stop.clone());
        self.runtime.spawn(async move {
            // The loop may have ended with an error of its own; then nobody listens.
            let _ = answer.send(commit.await);
        });
        self.in_flight = Some(ended);
    }

    /// The last commit, with everything shown.
    fn finish(&mut self, consumer: &StreamConsumer) -> Result<(), StreamError> {
        let give_up = Instant::now() + self.options.finish_within;
        let wait = |book: &mut Self| -> Result<bool, StreamError> {
            while !book.settle(Duration::from_millis(20))? {
                if Instant::now() >= give_up {
                    tracing::warn!(
                        stream = book.stream.name,
                        "stopped before the last commit; it is repeated at the next start"
                    );
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if wait(self)? {
            self.cut(consumer, Cut::ALL);
            wait(self)?;
        }
        Ok(())
    }
}

//! Raw records into the lake: `<path>/<topic>/date=…/hour=…/<partition>/<from>-<to>.parquet`.
//!
//! Exact without being part of the stream's commit: the lake has an offset of its own for each partition. A file
//! is planned in Postgres, written, then counted; after a crash the same file is written over itself. Two
//! processes at one partition write the same bytes, and only one of them moves the offset.
//! The columns are the record's own, malformed ones too: `partition`, `offset`, `produced_at`, `key` and `value` as they
//! came, and `headers` as a JSON object of texts, null where there are none. So a back-test sees what the stream saw.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, PolarsResult, Series, TimeUnit, TimeZone};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, DefaultConsumerContext},
    error::KafkaError,
};
use tokio_util::sync::CancellationToken;
use warehouse::{WarehouseError, lake::Lake};

use super::{Options, commit::chain, consumer::settings, record};
use crate::spec::Stream;

/// Records taken in one go.
const BURST: usize = 5_000;
/// How long an idle poll may block the thread it is on.
const PATIENCE: Duration = Duration::from_millis(100);
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error("Postgres failed")]
    Store(#[from] sqlx::Error),
    #[error("Kafka failed")]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Lake(#[from] WarehouseError),
    #[error("the records do not make a frame")]
    Frame(#[from] polars::error::PolarsError),
    #[error("the polling thread failed")]
    Thread(#[from] tokio::task::JoinError),
}

/// Copies the partitions that this process owns until told to stop; failures are retried from the lake's offsets.
pub(super) async fn run(
    stream: &Stream,
    options: &Options,
    lake: &Lake,
    owned: &Mutex<Vec<i32>>,
    stop: &CancellationToken,
) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let mut archive = Archive { stream, options, lake, consumer: None, open: BTreeMap::new() };
        let Err(error) = archive.copy(owned, stop).await else { continue };
        if !failing {
            tracing::warn!(stream = stream.name, error = %chain(&error), "cannot write to the lake; trying again");
            failing = true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The file that is being gathered for one partition.
struct Open {
    /// First offset of the file.
    from: i64,
    /// Set after a crash: the file must end here, as it was planned.
    planned: Option<i64>,
    since: Instant,
    rows: Vec<Row>,
}

struct Row {
    offset: i64,
    produced_at: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<String>,
}

type LakeConsumer = BaseConsumer<DefaultConsumerContext>;

struct Archive<'a> {
    stream: &'a Stream,
    options: &'a Options,
    lake: &'a Lake,
    consumer: Option<LakeConsumer>,
    open: BTreeMap<i32, Open>,
}

impl Archive<'_> {
    async fn copy(&mut self, owned: &Mutex<Vec<i32>>, stop: &CancellationToken) -> Result<(), ArchiveError> {
        loop {
            let mut wanted = owned.lock().unwrap_or_else(PoisonError::into_inner).clone();
            wanted.sort_unstable();
            if !self.open.keys().copied().eq(wanted.iter().copied()) {
                self.reassign(&wanted).await?;
            }
            let stopping = stop.is_cancelled();
            if !stopping {
                self.gather().await?;
            }
            let due: Vec<_> = self.open.keys().copied().collect();
            for partition in due {
                self.roll(partition, stopping).await?;
            }
            if stopping {
                return Ok(());
            }
        }
    }

    /// Reads exactly the partitions in `wanted`, each from where the lake ends.
    async fn reassign(&mut self, wanted: &[i32]) -> Result<(), ArchiveError> {
        self.open.retain(|partition, _| wanted.contains(partition));
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            // A group id is needed to assign by hand; the group itself is never joined.
            None => settings(&self.options.brokers)
                .set("group.id", format!("{}.{}.lake", self.options.group_prefix, self.stream.name))
                .create::<LakeConsumer>()?,
        };
        let (topic, partitions) = (self.stream.topic.clone(), wanted.to_owned());
        let (consumer, lows) = tokio::task::spawn_blocking(move || {
            let low = |p: &i32| Ok((*p, consumer.fetch_watermarks(&topic, *p, METADATA_TIMEOUT)?.0));
            let lows = partitions.iter().map(low).collect::<Result<Vec<_>, KafkaError>>();
            (consumer, lows)
        })
        .await?;
        let mut list = TopicPartitionList::new();
        for (partition, low) in lows? {
            if !self.open.contains_key(&partition) {
                let (next, pending): (i64, Option<i64>) =
                    sqlx::query_as(include_str!("../../../../sql/stream/lake_claim.sql"))
                        .bind(&self.stream.name)
                        .bind(&self.stream.topic)
                        .bind(partition)
                        .bind(low)
                        .fetch_one(&self.options.pool)
                        .await?;
                // A planned file whose records are all gone by retention can never be written.
                let pending = pending.filter(|to| *to > low);
                let fresh = Open { from: next, planned: pending, since: Instant::now(), rows: Vec::new() };
                self.open.insert(partition, fresh);
            }
            let open = &self.open[&partition];
            let position = open.rows.last().map_or(open.from, |row| row.offset + 1).max(low);
            list.add_partition_offset(&self.stream.topic, partition, Offset::Offset(position))?;
        }
        consumer.assign(&list)?;
        self.consumer = Some(consumer);
        Ok(())
    }

    /// Takes what is ready. The consumer goes to a blocking thread and comes back.
    async fn gather(&mut self) -> Result<(), ArchiveError> {
        let Some(consumer) = self.consumer.take() else {
            tokio::time::sleep(PATIENCE).await;
            return Ok(());
        };
        let (consumer, taken) = tokio::task::spawn_blocking(move || {
            let taken = take(&consumer);
            (consumer, taken)
        })
        .await?;
        self.consumer = Some(consumer);
        for (partition, row) in taken? {
            let Some(open) = self.open.get_mut(&partition) else { continue };
            if row.offset < open.from || open.rows.last().is_some_and(|last| row.offset <= last.offset) {
                continue;
            }
            if open.rows.is_empty() {
                open.since = Instant::now();
            }
            open.rows.push(row);
        }
        Ok(())
    }

    /// Writes the partition's file if it is full, old, planned, or of an hour that has passed.
    async fn roll(&mut self, partition: i32, now: bool) -> Result<(), ArchiveError> {
        let (Some(open), Some(lake)) = (self.open.get_mut(&partition), &self.stream.lake) else { return Ok(()) };
        let Some(count) = ready(open, lake.roll_records as usize, lake.roll_after.duration(), now) else {
            return Ok(());
        };
        let rest = open.rows.split_off(count);
        let rows = std::mem::replace(&mut open.rows, rest);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let (from, to) = (open.from, open.planned.unwrap_or(last.offset + 1));
        let hour = super::commit::instant(first.produced_at.saturating_mul(1_000)).format("date=%Y-%m-%d/hour=%H");
        let path = format!("{}/{}/{hour}/{partition}/{from}-{to}.parquet", lake.path, self.stream.topic);
        let planned = sqlx::query(include_str!("../../../../sql/stream/lake_plan.sql"))
            .bind(&self.stream.name)
            .bind(partition)
            .bind(from)
            .bind(to)
            .bind(first.offset)
            .execute(&self.options.pool)
            .await?;
        if planned.rows_affected() == 0 {
            // Another process is further: take up where it stands.
            self.open.remove(&partition);
            return Ok(());
        }
        let mut frame = tokio::task::spawn_blocking(move || frame(partition, &rows)).await??;
        self.lake.write_parquet(&path, &mut frame).await?;
        sqlx::query(include_str!("../../../../sql/stream/lake_done.sql"))
            .bind(&self.stream.name)
            .bind(partition)
            .bind(from)
            .bind(to)
            .execute(&self.options.pool)
            .await?;
        open.from = to;
        open.planned = None;
        open.since = Instant::now();
        Ok(())
    }
}

/// How many of the gathered rows make the next file; `None`: it is too early.
fn ready(open: &Open, most: usize, age: Duration, now: bool) -> Option<usize> {
    let (first, last) = (open.rows.first()?, open.rows.last()?);
    if let Some(planned) = open.planned {
        return (last.offset + 1 >= planned)
            .then(|| open.rows.partition_point(|row| row.offset < planned))
            .filter(|n| *n > 0);
    }
    let hour = |row: &Row| row.produced_at.div_euclid(3_600_000);
    let next_hour = open.rows.iter().position(|row| hour(row) > hour(first));
    if let Some(end) = next_hour.filter(|end| *end <= most) {
        return Some(end);
    }
    if open.rows.len() >= most {
        return Some(most);
    }
    (now || open.since.elapsed() >= age).then_some(open.rows.len())
}

fn take(consumer: &LakeConsumer) -> Result<Vec<(i32, Row)>, KafkaError> {
    let mut taken = Vec::new();
    while taken.len() < BURST {
        match consumer.poll(if taken.is_empty() { PATIENCE } else { Duration::ZERO }) {
            Some(Ok(message)) => taken.push((
                message.partition(),
                Row {
                    offset: message.offset(),
                    produced_at: message.timestamp().to_millis().unwrap_or_default(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: message.headers().map(|_| record::headers(&message).to_string()),
                },
            )),
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    Ok(taken)
}

fn frame(partition: i32, rows: &[Row]) -> PolarsResult<DataFrame> {
    let height = rows.len();
    let offsets: Vec<_> = rows.iter().map(|row| row.offset).collect();
    let times: Vec<_> = rows.iter().map(|row| row.produced_at).collect();
    let keys: Vec<_> = rows.iter().map(|row| row.key.as_deref()).collect();
    let values: Vec<_> = rows.iter().map(|row| row.value.as_deref()).collect();
    let utc = DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC));
    let headers: Vec<_> = rows.iter().map(|row| row.headers.as_deref()).collect();
    let columns: Vec<Column> = vec![
        Series::new("partition".into(), vec![partition; height]).into_column(),
        Series::new("offset".into(), offsets).into_column(),
        Series::new("produced_at".into(), times).cast(&utc)?.into_column(),
        Series::new("key".into(), keys).into_column(),
        Series::new("value".into(), values).into_column(),
        Series::new("headers".into(), headers).into_column(),
    ];
    DataFrame::new(height, columns)
}

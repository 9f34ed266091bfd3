//! A stream's place in Postgres: who owns a partition, from where, and what people may see of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};

use super::error::StreamError;
use crate::{
    core::{Resume, Snapshot},
    spec::{Span, Stream},
};

/// A partition taken over.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) partition: i32,
    /// Every commit names it; a later claim makes it void.
    pub(crate) generation: i64,
    pub(crate) resume: Resume,
    /// Rule, key and time of the alerts whose cooldown may still run.
    pub(crate) alerts: Vec<(String, String, i64)>,
    /// Offsets that the replay leaves out.
    pub(crate) put_aside: Vec<i64>,
    /// The state, as far as it is kept.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// A partition's first offset and its end, as the broker has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// One partition of one stream, as `sluice stream list` shows it.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Progress {
    /// The stream.
    pub stream: String,
    /// Its topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where the stream began.
    pub start_offset: i64,
    /// First offset not yet accounted for.
    pub committed_offset: i64,
    /// Records still to come.
    pub lag: i64,
    /// No more events before this instant are expected.
    pub watermark: Option<DateTime<Utc>>,
    /// Records in windows.
    pub counted: i64,
    /// Records seen twice.
    pub deduplicated: i64,
    /// Records too late.
    pub late: i64,
    /// Records that are no events.
    pub malformed: i64,
    /// Offsets without a record.
    pub absent: i64,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Progress {
    /// Whether every offset read is exactly one of counted, deduplicated, late, malformed, absent.
    pub fn adds_up(&self) -> bool {
        let accounted = self.counted + self.deduplicated + self.late + self.malformed + self.absent;
        accounted == self.committed_offset - self.start_offset
    }

    /// Whether the partition has been silent for so long that it no longer holds back its stream's watermark.
    pub fn is_idle(&self, idle_after: Span, now: DateTime<Utc>) -> bool {
        (now - self.updated_at).num_microseconds().is_none_or(|silent| silent > idle_after.micros())
    }
}

/// The watermark of a whole stream: the least of its partitions', those aside that are idle. Windows are closed by
/// their own partition's watermark, never by this one, which depends on the clock.
pub fn stream_watermark(partitions: &[Progress], idle_after: Span, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let awake = partitions.iter().filter(|p| !p.is_idle(idle_after, now)).map(|p| p.watermark);
    let all = || partitions.iter().filter_map(|p| p.watermark);
    match awake.min() {
        // One that is awake and has seen no event yet holds the stream back.
        Some(least) => least,
        None => all().max(),
    }
}

/// A record that was not counted.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct DeadLetter {
    /// Its number.
    pub dead_letter_id: i64,
    /// The stream.
    pub stream: String,
    /// The topic it was read from.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub record_offset: i64,
    /// `malformed`, `late` or `rejected`.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
    /// When it was put aside.
    pub at: DateTime<Utc>,
    /// When it was put on the dead-letter topic.
    pub produced_at: Option<DateTime<Utc>>,
}

/// Every partition of the streams named; of all where none is.
pub async fn progress(pool: &PgPool, streams: &[String]) -> Result<Vec<Progress>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../../sql/stream/progress.sql")).bind(streams).fetch_all(pool).await
}

/// The latest dead letters, of one stream or of all.
pub async fn dead_letters(pool: &PgPool, stream: Option<&str>, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../../sql/stream/dead_letters.sql"))
        .bind(stream)
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// What a stream's alerts are filed under.
pub(crate) fn source(stream: &Stream) -> String {
    format!("stream:{}", stream.name)
}

/// Takes partitions over, all or none.
pub(crate) async fn claim(
    pool: &PgPool,
    stream: &Arc<Stream>,
    partitions: &[(i32, Bounds)],
) -> Result<Vec<Claim>, StreamError> {
    let mut claims = Vec::with_capacity(partitions.len());
    let mut transaction = pool.begin().await?;
    for &(partition, bounds) in partitions {
        let row: Option<(i64, i64, i64, Option<DateTime<Utc>>)> =
            sqlx::query_as(include_str!("../../../../sql/stream/claim_partition.sql"))
                .bind(&stream.name)
                .bind(&stream.topic)
                .bind(partition)
                .bind(bounds.low)
                .bind(bounds.high)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((generation, committed, offset, watermark)) = row else {
            return Err(StreamError::OtherTopic { stream: stream.name.clone(), topic: stream.topic.clone() });
        };
        if committed > bounds.high {
            return Err(StreamError::Shrunk {
                stream: stream.name.clone(),
                topic: stream.topic.clone(),
                partition,
                end: bounds.high,
                committed,
            });
        }
        if committed < bounds.low {
            tracing::error!(
                stream = stream.name,
                partition,
                committed,
                first = bounds.low,
                "records were deleted by retention before the stream read them; they are counted as absent"
            );
        }
        // From where the log still goes; what the replay misses then is only ids and sums of windows about to close.
        let offset = offset.max(bounds.low);
        let since = watermark
            .and_then(|at| at.checked_sub_signed(chrono::TimeDelta::microseconds(stream.reach())))
            .unwrap_or(DateTime::UNIX_EPOCH);
        let alerts: Vec<(String, String, DateTime<Utc>)> =
            sqlx::query_as(include_str!("../../../../sql/stream/recent_alerts.sql"))
                .bind(source(stream))
                .bind(partition)
                .bind(since)
                .fetch_all(&mut *transaction)
                .await?;
        let put_aside = sqlx::query_scalar(include_str!("../../../../sql/stream/put_aside.sql"))
            .bind(&stream.name)
            .bind(&stream.topic)
            .bind(partition)
            .bind(offset)
            .bind(committed)
            .fetch_all(&mut *transaction)
            .await?;
        let snapshots: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(include_str!("../../../../sql/stream/snapshots.sql"))
            .bind(&stream.name)
            .bind(partition)
            .fetch_all(&mut *transaction)
            .await?;
        claims.push(Claim {
            partition,
            snapshots: snapshots
                .into_iter()
                .map(|(segment, offset, data)| Snapshot { segment, offset, data })
                .collect(),
            generation,
            resume: Resume { committed, offset, watermark: watermark.map(|at| at.timestamp_micros()) },
            alerts: alerts.into_iter().map(|(rule, key, at)| (rule, key, at.timestamp_micros())).collect(),
            put_aside,
        });
    }
    transaction.commit().await?;
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(watermark: Option<i64>, silent: i64) -> Progress {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        Progress {
            stream: "s".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            start_offset: 0,
            committed_offset: 0,
            lag: 0,
            watermark: watermark.and_then(|s| DateTime::from_timestamp(s, 0)),
            counted: 0,
            deduplicated: 0,
            late: 0,
            malformed: 0,
            absent: 0,
            updated_at: now - chrono::TimeDelta::seconds(silent),
        }
    }

    #[test]
    fn an_idle_partition_steps_aside() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let of = |partitions: &[Progress]| stream_watermark(partitions, Span::seconds(5), now).map(|at| at.timestamp());
        assert_eq!(of(&[partition(Some(50), 1), partition(Some(40), 1)]), Some(40));
        assert_eq!(of(&[partition(Some(50), 1), partition(Some(40), 6)]), Some(50), "the slow one is idle");
        assert_eq!(of(&[partition(Some(50), 9), partition(Some(40), 9)]), Some(50), "all are idle");
        assert_eq!(of(&[partition(Some(50), 1), partition(None, 1)]), None, "one has yet to begin");
        assert_eq!(of(&[]), None);
    }
}

//! The commit: offsets, counts, windows, alerts with their messages, and dead letters, in one transaction.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool, types::Json};
use tokio_util::sync::CancellationToken;
use warehouse::alerts::{self, Alert};

use super::{error::StreamError, store::source};
use crate::{
    core::{Delta, Firing, SCALE},
    spec::Stream,
};

/// A record put aside.
#[derive(Debug, Clone)]
pub(crate) struct Rejected {
    pub(crate) offset: i64,
    /// `late`, `malformed` or `rejected`.
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Value,
}

impl Rejected {
    /// About what it takes in a statement.
    pub(crate) fn bytes(&self) -> usize {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.as_object().into_iter().flatten();
        let headers: usize = headers.map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
        of(&self.key) + of(&self.payload) + headers + self.detail.len()
    }
}

/// Most bytes of dead letters in one statement, save where a single one is longer.
const STATEMENT_BYTES: usize = 16 << 20;
/// Most windows in one statement: a key takes a kilobyte at most.
const STATEMENT_WINDOWS: usize = 50_000;

/// One partition's part of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) partition: i32,
    pub(crate) generation: i64,
    /// The end of the partition, as last heard from the broker.
    pub(crate) end: i64,
    pub(crate) delta: Delta,
    pub(crate) rejected: Vec<Rejected>,
}

/// How a commit ended.
#[derive(Debug)]
pub(crate) enum Committed {
    /// It stands, save for partitions that someone else has claimed since.
    Done {
        /// Those partitions.
        fenced: Vec<i32>,
    },
    /// The process must stop before Postgres came back.
    GivenUp,
}

/// Commits, through any outage of Postgres. A failure is logged when it begins and when it ends.
pub(crate) async fn commit(
    pool: PgPool,
    stream: Arc<Stream>,
    mut parts: Vec<Part>,
    stop: CancellationToken,
) -> Result<Committed, StreamError> {
    let mut fenced = Vec::new();
    let mut backoff = Duration::from_millis(50);
    let mut failing = false;
    while !parts.is_empty() {
        match attempt(&pool, &stream, &parts).await {
            Ok(refused) if refused.is_empty() => break,
            Ok(refused) => {
                parts.retain(|part| !refused.contains(&part.partition));
                fenced.extend(refused);
            }
            Err(error) if error.is_transient() => {
                if !failing {
                    tracing::warn!(stream = stream.name, error = %chain(&error), "cannot commit; trying again until it works");
                    failing = true;
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    () = stop.cancelled() => return Ok(Committed::GivenUp),
                }
                backoff = (backoff * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(error),
        }
    }
    if failing {
        tracing::info!(stream = stream.name, "commits again");
    }
    Ok(Committed::Done { fenced })
}

/// One try: the partitions that were refused, in which case nothing was written.
async fn attempt(pool: &PgPool, stream: &Stream, parts: &[Part]) -> Result<Vec<i32>, StreamError> {
    let mut transaction = pool.begin().await?;
    let moved = move_offsets(&mut transaction, stream, parts).await?;
    if moved.len() < parts.len() {
        // Either claimed by another, or the answer to our own earlier commit was lost on the way.
        let mut refused = Vec::new();
        for part in parts.iter().filter(|part| !moved.contains(&part.partition)) {
            let standing: Option<(i64, i64)> =
                sqlx::query_as(include_str!("../../../../sql/stream/partition_standing.sql"))
                    .bind(&stream.name)
                    .bind(part.partition)
                    .fetch_optional(&mut *transaction)
                    .await?;
            if standing != Some((part.generation, part.delta.to)) {
                refused.push(part.partition);
            }
        }
        transaction.rollback().await?;
        return Ok(refused);
    }
    upsert_windows(&mut transaction, stream, parts).await?;
    insert_dead_letters(&mut transaction, stream, parts).await?;
    for part in parts {
        for firing in &part.delta.firings {
            if let Some((alert, channels)) = alert(stream, part, firing) {
                alerts::raise(&mut transaction, &alert, channels).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(Vec::new())
}

async fn move_offsets(connection: &mut PgConnection, stream: &Stream, parts: &[Part]) -> Result<Vec<i32>, sqlx::Error> {
    let column = |of: fn(&Part) -> i64| parts.iter().map(of).collect::<Vec<_>>();
    let times = |of: fn(&Part) -> Option<i64>| parts.iter().map(|p| of(p).map(instant)).collect::<Vec<_>>();
    sqlx::query_scalar(include_str!("../../../../sql/stream/commit_offsets.sql"))
        .bind(&stream.name)
        .bind(parts.iter().map(|p| p.partition).collect::<Vec<_>>())
        .bind(column(|p| p.generation))
        .bind(column(|p| p.delta.from))
        .bind(column(|p| p.delta.to))
        .bind(times(|p| p.delta.watermark))
        .bind(column(|p| p.delta.resume.offset))
        .bind(times(|p| p.delta.resume.watermark))
        .bind(column(|p| p.end))
        .bind(column(|p| p.delta.counters.counted))
        .bind(column(|p| p.delta.counters.deduplicated))
        .bind(column(|p| p.delta.counters.late))
        .bind(column(|p| p.delta.counters.malformed))
        .bind(column(|p| p.delta.counters.absent))
        .fetch_all(connection)
        .await
}

async fn upsert_windows(connection: &mut PgConnection, stream: &Stream, parts: &[Part]) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = parts.iter().flat_map(|p| p.delta.windows.iter().map(|row| (p.partition, row))).collect();
    for rows in rows.chunks(STATEMENT_WINDOWS) {
        sqlx::query(include_str!("../../../../sql/stream/upsert_windows.sql"))
            .bind(&stream.name)
            .bind(rows.iter().map(|(_, row)| &*row.operator).collect::<Vec<_>>())
            .bind(rows.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| &*row.key).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| instant(row.start)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| instant(row.end)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| i64::try_from(row.events).unwrap_or(i64::MAX)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| decimal(row.sum)).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| row.closed).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    let closing: Vec<_> = parts.iter().filter_map(|p| Some((p.partition, instant(p.delta.closed_before?)))).collect();
    if !closing.is_empty() {
        sqlx::query(include_str!("../../../../sql/stream/close_windows.sql"))
            .bind(&stream.name)
            .bind(closing.iter().map(|c| c.0).collect::<Vec<_>>())
            .bind(closing.iter().map(|c| c.1).collect::<Vec<_>>())
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn insert_dead_letters(
    connection: &mut PgConnection,
    stream: &Stream,
    parts: &[Part],
) -> Result<(), sqlx::Error> {
    let rejected: Vec<_> = parts.iter().flat_map(|p| p.rejected.iter().map(move |r| (p.partition, r))).collect();
    for rejected in batches(&rejected, STATEMENT_BYTES, |(_, r)| r.bytes()) {
        sqlx::query(include_str!("../../../../sql/stream/insert_dead_letters.sql"))
            .bind(&stream.name)
            .bind(&stream.topic)
            .bind(rejected.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| r.offset).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| r.reason).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| r.detail.replace('\0', "\u{fffd}")).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| r.key.as_deref()).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| r.payload.as_deref()).collect::<Vec<_>>())
            .bind(rejected.iter().map(|(_, r)| Json(&r.headers)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// `all` in runs of at most `most` bytes each; what is longer by itself stands alone.
fn batches<T>(all: &[T], most: usize, bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut runs, mut from, mut sum) = (Vec::new(), 0, 0_usize);
    for (at, one) in all.iter().enumerate() {
        let bytes = bytes(one);
        if at > from && sum + bytes > most {
            runs.push(&all[from..at]);
            (from, sum) = (at, 0);
        }
        sum += bytes;
    }
    if from < all.len() {
        runs.push(&all[from..]);
    }
    runs
}

/// The alert of a rule that fired, with all that explains it, and whom to tell.
fn alert<'s>(stream: &'s Stream, part: &Part, firing: &Firing) -> Option<(Alert, &'s [String])> {
    let operator = stream.operators.iter().find(|o| o.name == firing.rule)?;
    let rule = operator.rule.as_ref()?;
    let borrowed: Vec<_> = firing.values.iter().map(|(text, value)| (text.as_str(), *value)).collect();
    let message = rule.message.as_ref().and_then(|m| m.render(&firing.key, firing.count, &borrowed));
    let message = message.unwrap_or_else(|| {
        let seconds = operator.window / 1_000_000;
        format!("{}: {} within {seconds} s, {} events, {}", firing.rule, firing.key, firing.count, rule.text)
    });
    // A template may make of a key what Postgres does not take.
    let message = message.replace('\0', "\u{fffd}");
    let now = Utc::now();
    let produced_at = instant(firing.produced_at.saturating_mul(1_000));
    let latency = (now - produced_at).num_microseconds().unwrap_or_default().max(0) as f64 / 1_000.0;
    let mut values = Map::new();
    values.insert("count".to_owned(), json!(firing.count));
    values.extend(firing.values.iter().map(|(text, value)| (text.clone(), json!(value))));
    let span = format!("{} to {}", clock(firing.window_start), clock(firing.window_end));
    let mut fields = vec![
        ("Key".to_owned(), firing.key.clone()),
        ("Window".to_owned(), span),
        ("Condition".to_owned(), rule.text.clone()),
        ("count".to_owned(), firing.count.to_string()),
    ];
    fields.extend(firing.values.iter().map(|(text, value)| (text.clone(), format!("{value:.2}"))));
    let alert = Alert {
        // The window belongs to one partition: raised again after a crash, it is the same alert.
        dedupe_key: format!(
            "stream:{}/{}/{}/{}/{}",
            stream.name, firing.rule, part.partition, firing.key, firing.window_start
        ),
        source: source(stream),
        rule: firing.rule.clone(),
        severity: rule.severity,
        key: firing.key.clone(),
        event_time: instant(firing.event_time),
        message,
        detail: json!({
            "rule": firing.rule,
            "condition": rule.text,
            "values": values,
            "window": { "start": instant(firing.window_start), "end": instant(firing.window_end) },
            "events": firing.events,
            "topic": stream.topic,
            "partition": part.partition,
            "offset": firing.offset,
            "produced_at": produced_at,
            "latency_ms": latency,
        }),
        fields,
        link: None,
    };
    Some((alert, &rule.notify))
}

/// Times in range by construction: the scanner refuses what Postgres cannot hold.
pub(crate) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn clock(micros: i64) -> String {
    instant(micros).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn decimal(millionths: i128) -> Decimal {
    let most = Decimal::MAX.mantissa();
    Decimal::from_i128_with_scale(millionths.clamp(-most, most), SCALE).normalize()
}

/// The error and what lies beneath it, for a log line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn statements_are_split_by_bytes_and_keep_their_order() {
        let split =
            |sizes: &[usize]| batches(sizes, 10, |size| *size).into_iter().map(<[_]>::to_vec).collect::<Vec<_>>();
        assert_eq!(split(&[4, 6, 1, 30, 2, 8, 1]), [vec![4, 6], vec![1], vec![30], vec![2, 8], vec![1]]);
        assert!(split(&[]).is_empty());
    }
}

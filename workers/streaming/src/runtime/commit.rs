//! The commit: offsets, counts, windows, alerts with their messages, and dead letters, in one transaction.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::Value as Shown;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool, types::Json};
use tokio_util::sync::CancellationToken;
use warehouse::alerts::{self, Alert};

use super::{error::StreamError, store::source};
use crate::{
    core::{Datum, Delta, Firing, SCALE, plain, sentences},
    spec::{Mode, Shape, Stream},
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
    withdraw_sessions(&mut transaction, stream, parts).await?;
    upsert_windows(&mut transaction, stream, parts).await?;
    keep_snapshots(&mut transaction, stream, parts).await?;
    insert_dead_letters(&mut transaction, stream, parts).await?;
    for part in parts {
        for firing in &part.delta.firings {
            let rule = &stream.rules[firing.at];
            let alert = alert(stream, part, firing);
            match rule.mode {
                Mode::Live => {
                    alerts::raise(&mut transaction, &alert, &rule.notify).await?;
                }
                Mode::Shadow => keep_shadow(&mut transaction, &alert).await?,
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
            .bind(sessions(stream))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Aggregates whose windows say themselves when they are closed.
fn sessions(stream: &Stream) -> Vec<&str> {
    let sessions = stream.aggregates.iter().filter(|aggregate| matches!(aggregate.shape, Shape::Session { .. }));
    sessions.map(|aggregate| aggregate.name.as_str()).collect()
}

async fn withdraw_sessions(connection: &mut PgConnection, stream: &Stream, parts: &[Part]) -> Result<(), sqlx::Error> {
    let gone: Vec<_> = parts.iter().flat_map(|p| p.delta.withdrawn.iter().map(|one| (p.partition, one))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/stream/withdraw_windows.sql"))
        .bind(&stream.name)
        .bind(gone.iter().map(|(_, one)| &*one.operator).collect::<Vec<_>>())
        .bind(gone.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
        .bind(gone.iter().map(|(_, one)| &*one.key).collect::<Vec<_>>())
        .bind(gone.iter().map(|(_, one)| instant(one.start)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn keep_snapshots(connection: &mut PgConnection, stream: &Stream, parts: &[Part]) -> Result<(), sqlx::Error> {
    let kept: Vec<_> = parts.iter().flat_map(|p| p.delta.snapshots.iter().map(|one| (p.partition, one))).collect();
    for kept in batches(&kept, STATEMENT_BYTES, |(_, one)| one.data.len()) {
        sqlx::query(include_str!("../../../../sql/stream/keep_snapshots.sql"))
            .bind(&stream.name)
            .bind(kept.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, one)| one.segment).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, one)| one.offset).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, one)| one.data.as_slice()).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What a rule that is being tried out would have said.
async fn keep_shadow(connection: &mut PgConnection, alert: &Alert) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../../../../sql/stream/keep_shadow.sql"))
        .bind(&alert.dedupe_key)
        .bind(&alert.source)
        .bind(&alert.rule)
        .bind(alert.severity.as_str())
        .bind(&alert.key)
        .bind(alert.event_time)
        .bind(&alert.message)
        .bind(&alert.detail)
        .execute(connection)
        .await
        .map(|_| ())
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

/// The alert of a rule that fired, with all that explains it.
fn alert(stream: &Stream, part: &Part, firing: &Firing) -> Alert {
    let rule = &stream.rules[firing.at];
    let shown = firing.values.iter().map(|(text, value)| (text.as_str(), shown(value))).collect::<Vec<_>>();
    let message = rule.message.as_ref().and_then(|m| m.render(&firing.key, firing.count, &shown));
    let mut why = sentences(&firing.judged);
    if rule.sequence.is_some() || why.is_empty() {
        why.push(format!("the rule fires when {}", rule.text));
    }
    let message = message.unwrap_or_else(|| format!("{}: {}: {}", firing.rule, firing.key, why.join("; ")));
    // A template may make of a key what Postgres does not take.
    let message = message.replace('\0', "\u{fffd}");
    let now = Utc::now();
    let produced_at = instant(firing.produced_at.saturating_mul(1_000));
    let latency = (now - produced_at).num_microseconds().unwrap_or_default().max(0) as f64 / 1_000.0;
    let mut values = Map::new();
    values.insert("count".to_owned(), json!(firing.count));
    values.extend(firing.values.iter().map(|(text, value)| (text.clone(), value.to_json())));
    let thresholds = firing.judged.iter().map(|one| {
        json!({
            "text": one.text, "value": one.value.to_json(), "op": one.op, "limit": one.limit.to_json(),
            "limit_text": one.limit_text, "holds": one.holds,
        })
    });
    let history = firing.history.iter().map(|(at, count)| json!({ "at": instant(*at), "count": count }));
    let mut fields = vec![
        ("Key".to_owned(), firing.key.clone()),
        ("Window".to_owned(), format!("{} to {}", clock(firing.window_start), clock(firing.window_end))),
        ("Rule".to_owned(), format!("{}, version {}", rule.text, rule.version)),
        ("count".to_owned(), firing.count.to_string()),
    ];
    fields.extend(firing.values.iter().map(|(text, value)| (text.clone(), plain(value))));
    Alert {
        // A pane of a key belongs to one partition: raised again after a crash, it is the same alert.
        dedupe_key: format!("stream:{}/{}/{}/{}/{}", stream.name, firing.rule, part.partition, firing.key, firing.pane),
        source: source(stream),
        rule: firing.rule.clone(),
        severity: rule.severity,
        key: firing.key.clone(),
        event_time: instant(firing.event_time),
        message,
        detail: json!({
            "rule": firing.rule,
            "version": rule.version,
            "condition": rule.text,
            "why": why,
            "values": values,
            "thresholds": thresholds.collect::<Vec<_>>(),
            "window": { "start": instant(firing.window_start), "end": instant(firing.window_end) },
            "events": firing.events,
            "history": history.collect::<Vec<_>>(),
            "history_seconds": firing.history_span / 1_000_000,
            "topic": stream.topic,
            "partition": part.partition,
            "offset": firing.offset,
            "produced_at": produced_at,
            "latency_ms": latency,
        }),
        fields,
        link: None,
    }
}

/// As a template sees it.
fn shown(value: &Datum) -> Shown {
    match value {
        Datum::Null => Shown::from(()),
        Datum::Bool(value) => Shown::from(*value),
        Datum::Number(value) => Shown::from(*value),
        Datum::Text(text) => Shown::from(text.to_string()),
    }
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

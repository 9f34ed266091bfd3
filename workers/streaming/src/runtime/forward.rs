//! Dead letters from the table to their topic.
//!
//! At least once: a crash between the broker's answer and the mark in the table sends a letter again. Its header
//! `sluice-position` (topic/partition/offset) tells a reader which ones are the same.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{FromRow, PgPool};
use tokio_util::sync::CancellationToken;

use super::commit::chain;
use crate::spec::Stream;

/// Letters sent in one transaction.
const BATCH: i64 = 200;
/// How often the table is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long the broker may take for one letter.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(FromRow)]
struct Letter {
    dead_letter_id: i64,
    topic: String,
    partition: i32,
    record_offset: i64,
    reason: String,
    detail: String,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("Postgres failed")]
    Store(#[from] sqlx::Error),
    #[error("Kafka failed")]
    Kafka(#[from] rdkafka::error::KafkaError),
}

/// Sends dead letters until told to stop. Failures wait: the letters stay in the table.
pub(super) async fn run(stream: &Stream, pool: &PgPool, brokers: &str, stop: &CancellationToken) {
    let mut producer = None;
    let mut failing = false;
    while !stop.is_cancelled() {
        match forward(stream, pool, brokers, &mut producer).await {
            Ok(sent) => {
                failing = false;
                if sent == BATCH {
                    continue;
                }
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(stream = stream.name, error = %chain(&error), "dead letters wait in the table");
                    failing = true;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn forward(
    stream: &Stream,
    pool: &PgPool,
    brokers: &str,
    producer: &mut Option<FutureProducer>,
) -> Result<i64, ForwardError> {
    let mut transaction = pool.begin().await?;
    let letters: Vec<Letter> = sqlx::query_as(include_str!("../../../../sql/stream/unsent_dead_letters.sql"))
        .bind(&stream.name)
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await?;
    if letters.is_empty() {
        return Ok(0);
    }
    let producer = match producer {
        Some(producer) => producer,
        none => {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("linger.ms", "5");
            none.insert(config.create()?)
        }
    };
    let producer = &*producer;
    let sends = letters.iter().map(|letter| {
        let position = format!("{}/{}/{}", letter.topic, letter.partition, letter.record_offset);
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("sluice-stream", stream.name.as_str()))
            .insert(header("sluice-position", position.as_str()))
            .insert(header("sluice-reason", letter.reason.as_str()))
            .insert(header("sluice-detail", letter.detail.as_str()));
        let topic = format!("{}.dead", letter.topic);
        async move {
            let mut record = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers);
            record.key = letter.key.as_deref();
            record.payload = letter.payload.as_deref();
            producer.send(record, SEND_TIMEOUT).await.map_err(|(error, _)| error)
        }
    });
    futures::future::try_join_all(sends).await?;
    let ids: Vec<_> = letters.iter().map(|l| l.dead_letter_id).collect();
    sqlx::query("update sluice.dead_letter set produced_at = now() where dead_letter_id = any ($1)")
        .bind(&ids)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(i64::try_from(ids.len()).unwrap_or(BATCH))
}

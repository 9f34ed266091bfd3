//! Dead letters from the table to their topic.
//!
//! At least once: a crash between the broker's answer and the mark in the table sends a letter again. Its header
//! `sluice-position` (topic/partition/offset) tells a reader which ones are the same. A letter that is too long for
//! its topic goes without its payload, and says so in the header `sluice-payload-omitted`.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{FromRow, PgPool};
use tokio_util::sync::CancellationToken;

use super::commit::chain;
use crate::spec::Stream;

/// Letters sent in one transaction …
const BATCH: i64 = 200;
/// … and about the most bytes of payload.
const BATCH_BYTES: i64 = 16 << 20;
/// The longest record that the client hands to the broker, in bytes. What is too long is the topic's to say.
const LONGEST: &str = "1000000000";
/// How often the table is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long the broker may take for one letter: to have room for it, and then to answer for it.
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
    Kafka(#[from] KafkaError),
}

/// Sends dead letters until told to stop. Failures wait: the letters stay in the table.
pub(super) async fn run(stream: &Stream, pool: &PgPool, brokers: &str, stop: &CancellationToken) {
    let mut producer = None;
    let mut failing = false;
    while !stop.is_cancelled() {
        let forwarded = tokio::select! {
            // What was not marked is sent again by the next process.
            () = stop.cancelled() => return,
            forwarded = forward(stream, pool, brokers, &mut producer) => forwarded,
        };
        match forwarded {
            Ok(sent) => {
                failing = false;
                if sent > 0 {
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

/// Sends one batch and marks what the broker took: how many. An error if it did not take them all.
async fn forward(
    stream: &Stream,
    pool: &PgPool,
    brokers: &str,
    producer: &mut Option<FutureProducer>,
) -> Result<usize, ForwardError> {
    let mut transaction = pool.begin().await?;
    let letters: Vec<Letter> = sqlx::query_as(include_str!("../../../../sql/stream/unsent_dead_letters.sql"))
        .bind(&stream.name)
        .bind(BATCH)
        .bind(BATCH_BYTES)
        .fetch_all(&mut *transaction)
        .await?;
    if letters.is_empty() {
        return Ok(0);
    }
    let producer = match producer {
        Some(producer) => producer,
        none => {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", brokers)
                .set("enable.idempotence", "true")
                .set("linger.ms", "5")
                .set("message.max.bytes", LONGEST)
                .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string())
                .set_log_level(RDKafkaLogLevel::Critical);
            none.insert(config.create()?)
        }
    };
    let producer = &*producer;
    let answers = futures::future::join_all(letters.iter().map(|letter| send(stream, producer, letter))).await;
    let (mut sent, mut failed) = (Vec::with_capacity(letters.len()), None);
    for (letter, answer) in letters.iter().zip(answers) {
        match answer {
            Ok(()) => sent.push(letter.dead_letter_id),
            Err(error) => failed = Some(error),
        }
    }
    sqlx::query("update sluice.dead_letter set produced_at = now() where dead_letter_id = any ($1)")
        .bind(&sent)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(sent.len()),
    }
}

/// Sends one letter; once more without its payload if it is too long.
async fn send(stream: &Stream, producer: &FutureProducer, letter: &Letter) -> Result<(), KafkaError> {
    let position = format!("{}/{}/{}", letter.topic, letter.partition, letter.record_offset);
    let header = |key, value| Header { key, value: Some(value) };
    let headers = OwnedHeaders::new()
        .insert(header("sluice-stream", stream.name.as_str()))
        .insert(header("sluice-position", position.as_str()))
        .insert(header("sluice-reason", letter.reason.as_str()))
        .insert(header("sluice-detail", letter.detail.as_str()));
    let topic = format!("{}.dead", letter.topic);
    let mut record = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers.clone());
    record.key = letter.key.as_deref();
    record.payload = letter.payload.as_deref();
    match producer.send(record, SEND_TIMEOUT).await {
        Ok(_) => Ok(()),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
            let omitted = format!("{} bytes, too long for this topic", letter.payload.as_ref().map_or(0, Vec::len));
            let headers = headers.insert(header("sluice-payload-omitted", omitted.as_str()));
            let record = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers);
            producer.send(record, SEND_TIMEOUT).await.map(|_| ()).map_err(|(error, _)| error)
        }
        Err((error, _)) => Err(error),
    }
}

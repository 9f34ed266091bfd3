//! Signs of life: a row of this process in `sluice.worker`, and a time at each partition that it owns. Offsets
//! alone do not tell a stream that is dead from one that has nothing to read.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use warehouse::runs;

use super::commit::chain;
use crate::spec::Stream;

/// Keeps this process among `sluice.processes`, under the role `stream`, until told to stop.
pub async fn announce(pool: &PgPool, every: Duration, stop: &CancellationToken) {
    let name = format!("stream-{}", Uuid::now_v7().simple());
    let mut failing = false;
    while !stop.is_cancelled() {
        match runs::worker_seen(pool, &name, "stream", 0).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                tracing::warn!(error = %chain(&error), "cannot say that the stream process is alive; trying again");
                failing = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Err(error) = runs::worker_stopped(pool, &name).await {
        tracing::warn!(error = %chain(&error), "cannot sign off");
    }
}

/// A partition that this process owns: its number, the generation of the claim, and its end.
pub(super) type Place = (i32, i64, i64);

/// Says that this process is at these partitions.
pub(super) async fn seen(pool: &PgPool, stream: &Stream, places: &[Place]) {
    let updated = sqlx::query(include_str!("../../../../sql/stream/partitions_seen.sql"))
        .bind(&stream.name)
        .bind(places.iter().map(|place| place.0).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.1).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.2).collect::<Vec<_>>())
        .execute(pool)
        .await;
    if let Err(error) = updated {
        // The commits tell of an outage; what is missing here shows as a stream that nobody has seen.
        tracing::debug!(stream = stream.name, error = %chain(&error), "cannot say that the stream is alive");
    }
}

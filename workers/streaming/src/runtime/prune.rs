//! Deletes what a stream no longer keeps, a little at a time, so that commits need not wait.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::commit::chain;
use crate::spec::Stream;

/// Rows deleted in one transaction, of each rule and aggregate.
const BATCH: i64 = 1_000;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds.
const EVERY: Duration = Duration::from_mins(1);

/// Prunes until told to stop. Any number of processes may do so at once; failures wait for the next round.
pub(super) async fn run(stream: &Stream, pool: &PgPool, stop: &CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let wait = match prune(stream, pool).await {
            Ok(0) => EVERY,
            Ok(_) => PAUSE,
            Err(error) => {
                if !failing {
                    tracing::warn!(stream = stream.name, error = %chain(&error), "cannot delete old results; trying again");
                    failing = true;
                }
                EVERY
            }
        };
        failing &= wait == EVERY;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// One batch of each kind: how many rows are gone.
async fn prune(stream: &Stream, pool: &PgPool) -> Result<u64, sqlx::Error> {
    // A retention longer than the calendar keeps everything.
    let Some(before) = Utc::now().checked_sub_signed(TimeDelta::microseconds(stream.retention.micros())) else {
        return Ok(0);
    };
    let mut gone = 0;
    for statement in [
        include_str!("../../../../sql/stream/prune_windows.sql"),
        include_str!("../../../../sql/stream/prune_dead_letters.sql"),
    ] {
        gone += sqlx::query(statement).bind(&stream.name).bind(before).bind(BATCH).execute(pool).await?.rows_affected();
    }
    Ok(gone)
}

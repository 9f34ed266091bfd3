//! Recovery of what dead workers held, and of whom a free place was given to in vain. Any process may run it; two at
//! once do no harm.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::{PATIENCE, answered},
    runs,
};

/// How often it looks for what waits for a place.
const ADMIT: Duration = Duration::from_secs(1);

/// Takes back expired leases every so often, until `done`.
pub async fn reap_until(pool: PgPool, every: Duration, done: CancellationToken) {
    let mut reaped: Option<Instant> = None;
    loop {
        if reaped.is_none_or(|at| at.elapsed() >= every) {
            reaped = Some(Instant::now());
            if let Err(error) = answered(PATIENCE, runs::reap(&pool)).await {
                tracing::warn!(%error, "expired leases cannot be looked for");
            }
        }
        if let Err(error) = answered(PATIENCE, runs::admit(&pool)).await {
            tracing::warn!(%error, "what waits for a place cannot be looked for");
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(every.min(ADMIT)) => {}
        }
    }
}

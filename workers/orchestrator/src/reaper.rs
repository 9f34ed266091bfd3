//! Recovery of what dead workers held. Any process may run it; two at once do no harm.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs;

/// Takes back expired leases every so often, until `done`.
pub async fn reap_until(pool: PgPool, every: Duration, done: CancellationToken) {
    loop {
        if let Err(error) = runs::reap(&pool).await {
            tracing::warn!(%error, "expired leases cannot be looked for");
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

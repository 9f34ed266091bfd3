//! Notifications from Postgres: something may be ready, or a run shall stop. Hints; polls and renewals are the truth.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::{PATIENCE, answered},
    runs::{QUEUE_CHANNEL, RUN_CHANNEL},
};

use crate::{held::Shared, leases};

/// After how long without a word it asks whether anyone is there.
const SILENCE: Duration = Duration::from_secs(15);

/// Listens until `done`, reconnecting as often as it takes.
pub(crate) async fn run(shared: Arc<Shared>, done: CancellationToken) {
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            error = listen(&shared) => {
                tracing::warn!(%error, "notifications are not heard, polling goes on");
            }
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Ends only with an error.
async fn listen(shared: &Shared) -> sqlx::Error {
    let mut listener = match PgListener::connect_with(&shared.pool).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    if let Err(error) = answered(PATIENCE, listener.listen_all([QUEUE_CHANNEL, RUN_CHANNEL])).await {
        return error;
    }
    // What was told before we listened is lost.
    shared.wake.notify_one();
    loop {
        let heard = tokio::select! {
            heard = listener.recv() => heard,
            // Silence may be that of a connection which is dead.
            () = tokio::time::sleep(SILENCE) => match answered(PATIENCE, sqlx::query("select").execute(&mut listener)).await {
                Ok(_) => continue,
                Err(error) => return error,
            },
        };
        match heard {
            Ok(hint) if hint.channel() == QUEUE_CHANNEL => shared.wake.notify_one(),
            Ok(hint) => {
                if let Some(run_id) = hint.payload().strip_suffix(" cancel").and_then(|id| id.parse::<i64>().ok()) {
                    // Whose run is cancelled is asked of the store: what cleans up goes on.
                    if shared.all().iter().any(|held| held.run_id == run_id)
                        && let Err(error) = leases::renew(shared).await
                    {
                        tracing::warn!(%error, run_id, "the next renewal cancels it");
                    }
                }
            }
            Err(error) => return error,
        }
    }
}

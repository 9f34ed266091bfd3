//! Attempts that come later: put into the queue when their time has come, so that claims need not look at them before.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use warehouse::{pool::answered, runs};

use crate::held::Shared;

/// Looks once a poll, until `done`.
pub(crate) async fn run(shared: Arc<Shared>, done: CancellationToken) {
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(shared.options.poll) => {}
        }
        match answered(shared.options.lease, runs::release_due(&shared.pool)).await {
            Ok(0) => {}
            Ok(_) => shared.wake.notify_one(),
            Err(error) => tracing::debug!(%error, "what is due waits for the next look"),
        }
    }
}

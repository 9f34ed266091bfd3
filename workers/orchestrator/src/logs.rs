//! Log lines on their way to the database, in batches, while their attempts run.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::answered,
    runs::{self, Line},
};

use crate::held::Shared;

const EVERY: Duration = Duration::from_millis(200);

/// Writes what attempts have logged, until `done`. An attempt's last lines go with its end.
pub(crate) async fn run(shared: Arc<Shared>, done: CancellationToken) {
    // Lines that could not be written yet: a database that is away costs no line.
    let mut pending: Vec<(i64, Line)> = Vec::new();
    loop {
        let over = tokio::select! {
            () = done.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        for held in shared.all() {
            pending.extend(held.log.take().into_iter().map(|line| (held.fence.attempt_id, line)));
        }
        let lines: Vec<_> = pending.iter().map(|(attempt_id, line)| (*attempt_id, line)).collect();
        match answered(shared.options.lease, runs::write_log(&shared.pool, &lines)).await {
            Ok(()) => pending.clear(),
            Err(error) => tracing::warn!(%error, lines = pending.len(), "log lines cannot be written yet"),
        }
        if over {
            return;
        }
    }
}

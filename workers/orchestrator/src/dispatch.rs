//! The worker's one conversation with the queue: ends go in, claims come out, in one transaction each time.
//!
//! While a transaction is under way, further ends gather for the next, so they are written in batches as soon as
//! there are many, and at once while there are few. A task that the ends made ready can be claimed in the same
//! transaction: a chain of tasks costs one commit a task.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, ClaimRequest, Claimed, End, Ended, RunError};
use workflow::error::ErrorDomain;

use crate::held::Shared;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Claims and completes until `shutdown`, and then until nothing is under way. Outlives the database: it waits for
/// it to return.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut ended: mpsc::UnboundedReceiver<Ended>,
    claimed: mpsc::UnboundedSender<Claimed>,
    shutdown: CancellationToken,
) {
    let kinds: Vec<String> = shared.registry.names().map(str::to_owned).collect();
    let mut backlog: Vec<Ended> = Vec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        while let Ok(end) = ended.try_recv() {
            backlog.push(end);
        }
        let stopping = shutdown.is_cancelled();
        if stopping && backlog.is_empty() && shared.running() == 0 && ended.is_empty() {
            return;
        }
        let free = if stopping { 0 } else { shared.options.slots.saturating_sub(shared.running()) };
        let request = ClaimRequest {
            worker: shared.name.clone(),
            queues: shared.options.queues.clone(),
            kinds: kinds.clone(),
            limit: free,
            lease: shared.options.lease,
            run_id: shared.options.run_id,
        };
        match runs::exchange(&shared.pool, &backlog, Some(&request)).await {
            Ok(exchange) => {
                pause = FIRST_PAUSE;
                for end in backlog.drain(..).filter(|end| !exchange.accepted.contains(&end.fence.attempt_id)) {
                    tracing::warn!(attempt_id = end.fence.attempt_id, "an attempt ended after its lease was lost");
                }
                for task in exchange.claimed {
                    shared.hold(&task);
                    // The receiver lives as long as this sender.
                    let _ = claimed.send(task);
                }
            }
            Err(error) if error.is_transient() || backlog.is_empty() => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the queue cannot be reached");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Err(error) => backlog = one_by_one(&shared, std::mem::take(&mut backlog), &error).await,
        }
        tokio::select! {
            end = ended.recv() => backlog.extend(end),
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(shared.options.poll) => {}
            () = shutdown.cancelled(), if !stopping => {}
        }
    }
}

/// Writes ends apart from each other, after they were refused together: one that cannot be written is a failure of
/// its task, and no reason to hold up the others. Gives those back that could not be tried.
async fn one_by_one(shared: &Shared, backlog: Vec<Ended>, first: &RunError) -> Vec<Ended> {
    tracing::error!(error = %first, cause = ?std::error::Error::source(first), "ends of attempts were refused");
    let mut left = Vec::new();
    for end in backlog {
        let fence = end.fence;
        let Err(error) = runs::exchange(&shared.pool, std::slice::from_ref(&end), None).await else { continue };
        if error.is_transient() {
            left.push(end);
            continue;
        }
        let text = format!("the end of the attempt cannot be written: {error}");
        let end = End::Failed { domain: ErrorDomain::Internal, error: text, gate: false, retry: None };
        if let Err(error) = runs::exchange(&shared.pool, &[Ended { fence, end, lines: Vec::new() }], None).await {
            // Its lease runs out, and the reaper takes it from there.
            tracing::error!(attempt_id = fence.attempt_id, %error, "an attempt cannot be ended");
        }
    }
    left
}

//! Keeping leases alive, and stopping attempts whose lease is gone or whose run is cancelled.

use std::{sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::answered,
    runs::{self, RunError},
};

use crate::held::{Shared, StopReason};

/// Renews every lease three times in its length, until `done`.
pub(crate) async fn run(shared: Arc<Shared>, done: CancellationToken) {
    let every = shared.options.lease / 3;
    let mut last_answer = Instant::now();
    if let Err(error) = answered(every, sign_on(&shared)).await {
        tracing::warn!(%error, "cannot sign on, the next sign of life does");
    }
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        match answered(every, renew(&shared)).await {
            Ok(()) => last_answer = Instant::now(),
            Err(error) => {
                tracing::warn!(%error, "leases cannot be renewed");
                if last_answer.elapsed() >= shared.options.lease {
                    // Others may hold these tasks by now. What cannot be fenced must stop.
                    shared.all().iter().for_each(|held| held.stop(StopReason::LeaseLost));
                }
            }
        }
    }
}

async fn sign_on(shared: &Shared) -> Result<(), RunError> {
    let kinds: Vec<String> = shared.registry.names().map(str::to_owned).collect();
    runs::worker_seen(&shared.pool, &shared.name, "worker", shared.options.slots).await?;
    runs::worker_serves(&shared.pool, &shared.name, &shared.options.queues, &shared.options.labels, &kinds).await
}

/// Renews every lease now, and stops what has lost its own or is to be cancelled.
pub(crate) async fn renew(shared: &Shared) -> Result<(), RunError> {
    runs::worker_seen(&shared.pool, &shared.name, "worker", shared.options.slots).await?;
    let held = shared.all();
    if held.is_empty() {
        return Ok(());
    }
    let fences: Vec<_> = held.iter().map(|held| held.fence).collect();
    let answer = runs::renew(&shared.pool, &fences, shared.options.lease).await?;
    for held in held {
        match answer.iter().find(|answer| answer.attempt_id == held.fence.attempt_id) {
            None => held.stop(StopReason::LeaseLost),
            Some(answer) if answer.cancelled => held.stop(StopReason::RunCancelled),
            Some(_) => {}
        }
    }
    Ok(())
}

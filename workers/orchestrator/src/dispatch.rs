//! The worker's conversation with the queue: ends go in, claims come out, in one transaction each time.
//!
//! A single task that ended well is handed over: its end and the claim of what it made ready are one statement, so a
//! chain of tasks costs one round trip and one commit a task. While a transaction is under way, further ends gather
//! for the next, so they are written in batches as soon as there are many.

use std::{sync::Arc, time::Duration};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, ClaimRequest, Claimed, End, Ended, HandedOver, RunError, WellEnded};
use workflow::error::ErrorDomain;

use crate::held::{Held, Left, Shared};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An end that has not been written yet.
struct Unwritten {
    held: Arc<Held>,
    ended: Ended,
    straight_on: bool,
}

/// Claims and completes until `shutdown`, and then until nothing is under way. Outlives the database: it waits for
/// it to return.
pub(crate) async fn run(
    shared: Arc<Shared>,
    left: mpsc::UnboundedReceiver<Left>,
    claimed: mpsc::UnboundedSender<Claimed>,
    shutdown: CancellationToken,
) {
    let kinds = shared.registry.names().map(str::to_owned).collect();
    let request = ClaimRequest {
        worker: shared.name.clone(),
        queues: shared.options.queues.clone(),
        kinds,
        limit: 0,
        lease: shared.options.lease,
        run_id: shared.options.run_id,
    };
    let desk = Desk { shared, left, claimed, request, backlog: Vec::new(), connection: None };
    desk.work(shutdown).await;
}

struct Desk {
    shared: Arc<Shared>,
    left: mpsc::UnboundedReceiver<Left>,
    claimed: mpsc::UnboundedSender<Claimed>,
    request: ClaimRequest,
    backlog: Vec<Unwritten>,
    /// Kept, so that an exchange need not ask the pool for one and find its statements prepared.
    connection: Option<PoolConnection<Postgres>>,
}

impl Desk {
    async fn work(mut self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            while let Ok(left) = self.left.try_recv() {
                self.take(left);
            }
            let stopping = shutdown.is_cancelled();
            if stopping && self.backlog.is_empty() && self.shared.running() == 0 {
                return;
            }
            self.request.limit =
                if stopping { 0 } else { self.shared.options.slots.saturating_sub(self.shared.running()) };
            match self.exchange().await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) if error.is_transient() || self.backlog.is_empty() => {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the queue cannot be reached");
                    self.hang_up();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => self.one_by_one(&error).await,
            }
            tokio::select! {
                left = self.left.recv() => left.into_iter().for_each(|left| self.take(left)),
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(self.shared.options.poll) => {}
                () = shutdown.cancelled(), if !stopping => {}
            }
        }
    }

    fn take(&mut self, left: Left) {
        let Left { held, ended, straight_on } = left;
        self.shared.release(held.fence.attempt_id);
        self.backlog.extend(ended.map(|ended| Unwritten { held, ended, straight_on }));
    }

    /// One transaction: what has ended, and as many claims as there are free slots.
    async fn exchange(&mut self) -> Result<(), RunError> {
        if self.backlog.is_empty() && self.request.limit == 0 {
            return Ok(());
        }
        let connection = connected(&self.shared, &mut self.connection).await?;
        if let [only] = self.backlog.as_slice()
            && self.request.limit > 0
            && let Some(ended) = only.well_ended()
            && let HandedOver::Done(next) = runs::hand_over(connection, &ended, &self.request).await?
        {
            self.backlog.clear();
            next.into_iter().for_each(|next| self.begin(*next));
            return Ok(());
        }
        let ended: Vec<Ended> = self.backlog.iter().map(|unwritten| unwritten.ended.clone()).collect();
        let exchange = runs::exchange(connection, &ended, Some(&self.request)).await?;
        for end in ended.iter().filter(|end| !exchange.accepted.contains(&end.fence.attempt_id)) {
            tracing::warn!(attempt_id = end.fence.attempt_id, "an attempt ended after its lease was lost");
        }
        self.backlog.clear();
        exchange.claimed.into_iter().for_each(|task| self.begin(task));
        Ok(())
    }

    fn begin(&self, task: Claimed) {
        self.shared.hold(&task);
        // The receiver lives as long as this sender.
        let _ = self.claimed.send(task);
    }

    /// Lets go of a connection that may be broken.
    fn hang_up(&mut self) {
        self.connection.take().into_iter().for_each(|connection| drop(connection.detach()));
    }

    /// Writes ends apart from each other, after they were refused together: one that cannot be written is a failure of
    /// its task, and no reason to hold up the others. Keeps those that could not be tried.
    async fn one_by_one(&mut self, first: &RunError) {
        tracing::error!(error = %first, cause = ?std::error::Error::source(first), "ends of attempts were refused");
        self.hang_up();
        for unwritten in std::mem::take(&mut self.backlog) {
            let fence = unwritten.ended.fence;
            let Err(error) = self.write(&unwritten.ended).await else { continue };
            if error.is_transient() {
                self.backlog.push(unwritten);
                continue;
            }
            let text = format!("the end of the attempt cannot be written: {error}");
            let end = End::Failed { domain: ErrorDomain::Internal, error: text, gate: false, retry: None };
            if let Err(error) = self.write(&Ended { fence, end, lines: Vec::new() }).await {
                // Its lease runs out, and the reaper takes it from there.
                tracing::error!(attempt_id = fence.attempt_id, %error, "an attempt cannot be ended");
            }
        }
    }

    async fn write(&mut self, ended: &Ended) -> Result<(), RunError> {
        let connection = connected(&self.shared, &mut self.connection).await?;
        runs::exchange(connection, std::slice::from_ref(ended), None).await.map(drop)
    }
}

async fn connected<'c>(
    shared: &Shared,
    connection: &'c mut Option<PoolConnection<Postgres>>,
) -> Result<&'c mut PgConnection, RunError> {
    if connection.is_none() {
        *connection = Some(shared.pool.acquire().await?);
    }
    Ok(connection.as_mut().expect("made above"))
}

impl Unwritten {
    /// As the short way wants it, where that is open.
    fn well_ended(&self) -> Option<WellEnded<'_>> {
        match &self.ended.end {
            End::Success { output } if self.straight_on => Some(WellEnded {
                fence: self.ended.fence,
                run_id: self.held.run_id,
                task_run_id: self.held.task_run_id,
                task: &self.held.task,
                output,
                lines: &self.ended.lines,
            }),
            _ => None,
        }
    }
}

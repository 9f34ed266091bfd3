//! The worker's conversation with the queue: ends go in, claims come out, in one transaction each time.
//!
//! A single task that ended well is handed over: its end and the claim of what it made ready are one statement, so a
//! chain of tasks costs one round trip and one commit a task. While a transaction is under way, further ends gather
//! for the next, so they are written in batches as soon as there are many; claims go beside them then, on a connection
//! of their own.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::answered,
    runs::{self, ClaimRequest, Claimed, End, Ended, Exchange, HandedOver, RunError, WellEnded},
};
use workflow::error::ErrorDomain;

use crate::held::{Held, Left, Shared, StraightOn};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// As many ends are written, and as many tasks claimed, in one transaction at most: what is behind them goes on.
const BATCH: usize = 100;

/// For so long the first end of several tasks that began together waits for the others.
const GATHERING: Duration = Duration::from_micros(250);

/// An end that has not been written yet.
struct Unwritten {
    held: Arc<Held>,
    ended: Ended,
    straight_on: Option<StraightOn>,
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
        labels: shared.options.labels.clone(),
        kinds,
        limit: 0,
        lease: shared.options.lease,
        run_id: shared.options.run_id,
    };
    let (backlog, begun, ends, claims) = (Vec::new(), 0, Line::default(), Line::default());
    Desk { shared, left, claimed, request, backlog, begun, ends, claims }.work(shutdown).await;
}

struct Desk {
    shared: Arc<Shared>,
    left: mpsc::UnboundedReceiver<Left>,
    claimed: mpsc::UnboundedSender<Claimed>,
    request: ClaimRequest,
    backlog: Vec<Unwritten>,
    /// How many tasks began together, if none of them has ended.
    begun: usize,
    /// Where ends are written, and claims made along with them.
    ends: Line,
    /// Where claims are made beside the ends.
    claims: Line,
}

/// How the queue's statements are to be planned. Each of them looks for rows by an index, as few as there are tasks in it,
/// but the statistics of a queue are always those of some other moment: of a table that was empty, or was all queue. A
/// plan that reads the table from end to end because of them costs several times as much, and lasts.
const PLANNING: &str = "set enable_seqscan = off; set jit = off";

/// One plan for all values, since planning such a statement takes longer than a small batch of it. Who works for one run
/// only is better off with the index of that run.
const PLANNING_ONCE: &str = "set plan_cache_mode = force_generic_plan";

/// A connection that is kept: an exchange need not ask the pool for it, and finds its statements prepared.
#[derive(Default)]
struct Line(Option<PoolConnection<Postgres>>);

impl Line {
    async fn connected(&mut self, shared: &Shared) -> Result<&mut PgConnection, RunError> {
        if self.0.is_none() {
            let mut connection = shared.pool.acquire().await?;
            sqlx::raw_sql(PLANNING).execute(&mut *connection).await?;
            if shared.options.run_id.is_none() {
                sqlx::raw_sql(PLANNING_ONCE).execute(&mut *connection).await?;
            }
            self.0 = Some(connection);
        }
        Ok(self.0.as_mut().expect("made above"))
    }

    /// Asks the store, and gives up after the length of a lease: what is claimed later than that is lost anyway.
    async fn exchange(
        &mut self,
        shared: &Shared,
        ended: &[Ended],
        request: Option<&ClaimRequest>,
    ) -> Result<Exchange, RunError> {
        let connection = self.connected(shared).await?;
        answered(shared.options.lease, runs::exchange(connection, ended, request)).await
    }

    /// Lets go of a connection that may be broken.
    fn hang_up(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl Desk {
    async fn work(mut self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.gather().await;
            let stopping = shutdown.is_cancelled();
            if stopping && self.backlog.is_empty() && self.shared.running() == 0 {
                return;
            }
            self.request.limit =
                if stopping { 0 } else { self.shared.options.slots.saturating_sub(self.shared.running()) };
            match self.exchange().await {
                Ok(more) => {
                    pause = FIRST_PAUSE;
                    if more {
                        continue;
                    }
                }
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
                Some(left) = self.left.recv() => self.take(left),
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(self.shared.options.poll) => {}
                () = shutdown.cancelled(), if !stopping => {}
            }
        }
    }

    /// Takes in what has ended, and what is about to: tasks that began together tend to end together, and one exchange
    /// for all of them costs hardly more than one for the first.
    async fn gather(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        let since = Instant::now();
        loop {
            while let Ok(left) = self.left.try_recv() {
                self.take(left);
            }
            if self.backlog.is_empty() || self.backlog.len() >= begun || since.elapsed() >= GATHERING {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self, left: Left) {
        let Left { held, ended, straight_on } = left;
        self.shared.release(held.fence.attempt_id);
        self.backlog.extend(ended.map(|ended| Unwritten { held, ended, straight_on }));
    }

    /// What has ended, and claims for the free slots. Whether there is more to do at once.
    async fn exchange(&mut self) -> Result<bool, RunError> {
        let limit = self.request.limit.min(BATCH);
        self.request.limit = limit;
        let ended: Vec<Ended> = self.backlog.iter().take(BATCH).map(|unwritten| unwritten.ended.clone()).collect();
        let (accepted, claimed) = match (ended.as_slice(), limit) {
            ([], 0) => return Ok(false),
            ([], _) => (BTreeSet::new(), self.claims.exchange(&self.shared, &[], Some(&self.request)).await?.claimed),
            ([_], 1..) if self.hand_over().await? => return Ok(false),
            ([_], _) => {
                let exchange = self.ends.exchange(&self.shared, &ended, Some(&self.request)).await?;
                (exchange.accepted, exchange.claimed)
            }
            _ => self.side_by_side(&ended).await?,
        };
        for end in ended.iter().filter(|end| !accepted.contains(&end.fence.attempt_id)) {
            tracing::warn!(attempt_id = end.fence.attempt_id, "an attempt ended after its lease was lost");
        }
        self.backlog.drain(..ended.len());
        let more = !self.backlog.is_empty() || claimed.len() == BATCH;
        self.begin(claimed);
        Ok(more)
    }

    /// Ends on one connection and claims on another. Tasks that the ends make ready are for the next claims.
    async fn side_by_side(&mut self, ended: &[Ended]) -> Result<(BTreeSet<i64>, Vec<Claimed>), RunError> {
        let (ends, claims) = tokio::join!(
            self.ends.exchange(&self.shared, ended, None),
            self.claims.exchange(&self.shared, &[], Some(&self.request)),
        );
        // What was claimed is ours, whatever became of the ends.
        let (claimed, lost) = match claims {
            Ok(claims) => (claims.claimed, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        match (ends, lost) {
            (Ok(ends), None) => Ok((ends.accepted, claimed)),
            (Ok(ends), Some(error)) => {
                // The ends are written; the next exchange meets the error again, if it lasts.
                tracing::warn!(%error, "nothing can be claimed for now");
                self.claims.hang_up();
                Ok((ends.accepted, claimed))
            }
            (Err(error), _) => {
                self.begin(claimed);
                Err(error)
            }
        }
    }

    /// Goes the short way with the one end there is, where that is open.
    async fn hand_over(&mut self) -> Result<bool, RunError> {
        let Some(ended) = self.backlog[0].well_ended() else { return Ok(false) };
        let connection = self.ends.connected(&self.shared).await?;
        let handed_over = runs::hand_over(connection, &ended, &self.request);
        let HandedOver::Done(next) = answered(self.shared.options.lease, handed_over).await? else {
            return Ok(false);
        };
        self.backlog.clear();
        self.begin(next.map(|next| *next));
        Ok(true)
    }

    /// Tasks first, and then what is said of their runs: nobody waits for that.
    fn begin(&mut self, claimed: impl IntoIterator<Item = Claimed>) {
        let mut fresh = BTreeSet::new();
        self.begun = 0;
        for task in claimed {
            self.begun += 1;
            fresh.extend(task.first.then_some(task.run_id));
            self.shared.hold(&task);
            // The receiver lives as long as this sender.
            let _ = self.claimed.send(task);
        }
        if !fresh.is_empty() {
            let (shared, runs) = (Arc::clone(&self.shared), Vec::from_iter(fresh));
            tokio::spawn(async move {
                if let Err(error) = answered(shared.options.lease, runs::mark_started(&shared.pool, &runs)).await {
                    tracing::debug!(%error, ?runs, "runs are not marked as begun yet");
                }
            });
        }
    }

    fn hang_up(&mut self) {
        self.ends.hang_up();
        self.claims.hang_up();
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
            let end =
                End::Failed { domain: ErrorDomain::Internal, error: text, gate: false, service: None, retry: None };
            if let Err(error) = self.write(&Ended { fence, end, lines: Vec::new() }).await {
                // Its lease runs out, and the reaper takes it from there.
                tracing::error!(attempt_id = fence.attempt_id, %error, "an attempt cannot be ended");
            }
        }
    }

    async fn write(&mut self, ended: &Ended) -> Result<(), RunError> {
        self.ends.exchange(&self.shared, std::slice::from_ref(ended), None).await.map(drop)
    }
}

impl Unwritten {
    /// As the short way wants it, where that is open.
    fn well_ended(&self) -> Option<WellEnded<'_>> {
        match (&self.ended.end, &self.straight_on) {
            (End::Success { output }, Some(next)) => Some(WellEnded {
                fence: self.ended.fence,
                run_id: self.held.run_id,
                task_run_id: self.held.task_run_id,
                task: &self.held.task,
                output,
                lines: &self.ended.lines,
                only_successor: next.only_successor.as_deref(),
            }),
            _ => None,
        }
    }
}

//! What a worker holds: the attempts under way, and what all its parts share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, Claimed, Ended, Line, RunError};
use workflow::{
    kind::{Fence, Registry},
    log::{LogLine, TaskLog},
    plan::Plan,
};

use crate::worker::WorkerOptions;

/// Why an attempt was told to stop. The first reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    RunCancelled,
    LeaseLost,
    TimedOut,
    WorkerStops,
}

/// An attempt under way.
pub(crate) struct Held {
    pub(crate) fence: Fence,
    pub(crate) run_id: i64,
    pub(crate) log: Arc<AttemptLog>,
    /// The kind's own token: it should come to an end.
    pub(crate) cancel: CancellationToken,
    reason: OnceLock<StopReason>,
}

impl Held {
    fn new(claimed: &Claimed) -> Self {
        Self {
            fence: claimed.fence,
            run_id: claimed.run_id,
            log: Arc::default(),
            cancel: CancellationToken::new(),
            reason: OnceLock::new(),
        }
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        // A later reason changes nothing: what stopped the attempt is what came first.
        let _ = self.reason.set(reason);
        self.cancel.cancel();
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }
}

/// The lines of an attempt that have not reached the database yet.
#[derive(Default)]
pub(crate) struct AttemptLog {
    written: AtomicI64,
    lines: Mutex<Vec<Line>>,
}

impl AttemptLog {
    pub(crate) fn sink(self: &Arc<Self>) -> TaskLog {
        let log = Arc::clone(self);
        TaskLog::new(move |line| log.push(line))
    }

    fn push(&self, line: LogLine) {
        let mut lines = lock(&self.lines);
        let seq = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        lines.push(Line { seq, line });
    }

    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *lock(&self.lines))
    }
}

/// What the parts of one worker share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) pool: PgPool,
    pub(crate) registry: Registry,
    pub(crate) options: WorkerOptions,
    /// Rung when there may be something to claim.
    pub(crate) wake: Notify,
    held: Mutex<BTreeMap<i64, Arc<Held>>>,
    plans: Mutex<HashMap<(String, String), Arc<Plan>>>,
    ended: mpsc::UnboundedSender<Ended>,
}

impl Shared {
    pub(crate) fn new(
        name: String,
        pool: PgPool,
        registry: Registry,
        options: WorkerOptions,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Self {
        let (wake, held, plans) = (Notify::new(), Mutex::default(), Mutex::default());
        Self { name, pool, registry, options, wake, held, plans, ended }
    }

    /// Notes a claimed attempt as under way.
    pub(crate) fn hold(&self, claimed: &Claimed) {
        lock(&self.held).insert(claimed.fence.attempt_id, Arc::new(Held::new(claimed)));
    }

    pub(crate) fn get(&self, attempt_id: i64) -> Option<Arc<Held>> {
        lock(&self.held).get(&attempt_id).cloned()
    }

    /// Every attempt under way.
    pub(crate) fn all(&self) -> Vec<Arc<Held>> {
        lock(&self.held).values().cloned().collect()
    }

    pub(crate) fn running(&self) -> usize {
        lock(&self.held).len()
    }

    /// Lets go of an attempt and hands its end to the dispatcher. Without an end there is nothing to write: the
    /// lease is lost and belongs to someone else.
    pub(crate) fn release(&self, held: &Held, ended: Option<Ended>) {
        if let Some(ended) = ended {
            // The dispatcher outlives every attempt, so the channel is open.
            let _ = self.ended.send(ended);
        }
        // Only then: a dispatcher that stops when nothing is under way has the end by now.
        lock(&self.held).remove(&held.fence.attempt_id);
        self.wake.notify_one();
    }

    /// The plan of a version, read once.
    pub(crate) async fn plan(&self, dag: &str, version: &str) -> Result<Arc<Plan>, RunError> {
        let key = (dag.to_owned(), version.to_owned());
        if let Some(plan) = lock(&self.plans).get(&key) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(runs::plan(&self.pool, dag, version).await?);
        lock(&self.plans).insert(key, Arc::clone(&plan));
        Ok(plan)
    }
}

/// A panic while the lock was held leaves plain collections, which are good to use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

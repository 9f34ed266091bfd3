//! What a worker holds: the attempts under way, and what all its parts share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use sqlx::PgPool;
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::answered,
    runs::{self, Claimed, Ended, Line, RunError},
};
use workflow::{
    kind::{Fence, Registry},
    log::{LogLine, TaskLog},
    plan::{Plan, PlannedTask, parent_of},
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
    pub(crate) task_run_id: i64,
    pub(crate) task: String,
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
            task_run_id: claimed.task_run_id,
            task: claimed.task.clone(),
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

/// An attempt that this process is done with, on its way to the dispatcher, which lets go of it.
pub(crate) struct Left {
    pub(crate) held: Arc<Held>,
    /// `None` where there is nothing to write: the lease is lost and belongs to someone else.
    pub(crate) ended: Option<Ended>,
    /// The task's plan says that what follows is plain: [`Plan::straight_on`].
    pub(crate) straight_on: Option<StraightOn>,
}

/// The plan of a version, with what is looked up for each attempt.
pub(crate) struct KnownPlan {
    pub(crate) plan: Plan,
    places: HashMap<String, usize>,
    straight_on: HashMap<String, StraightOn>,
}

/// What follows on a task that [`Plan::straight_on`] names.
#[derive(Debug, Clone)]
pub(crate) struct StraightOn {
    /// The task behind it, where that is just one.
    pub(crate) only_successor: Option<Arc<str>>,
}

impl KnownPlan {
    fn new(plan: Plan) -> Self {
        let places: HashMap<_, _> = plan.tasks.iter().enumerate().map(|(place, t)| (t.name.clone(), place)).collect();
        let straight_on = plan
            .straight_on()
            .into_iter()
            .map(|(name, behind)| (name.to_owned(), StraightOn { only_successor: behind.map(Arc::from) }))
            .collect();
        Self { plan, places, straight_on }
    }

    /// The task that a row of a run is planned as.
    pub(crate) fn task(&self, name: &str) -> Option<&PlannedTask> {
        let place = self.places.get(name).or_else(|| self.places.get(parent_of(name)?))?;
        Some(&self.plan.tasks[*place])
    }

    pub(crate) fn straight_on(&self, name: &str) -> Option<StraightOn> {
        self.straight_on.get(name).cloned()
    }
}

/// Where a plan is, or will be once someone has read it.
type PlanCell = Arc<OnceCell<Arc<KnownPlan>>>;

/// What the parts of one worker share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) pool: PgPool,
    pub(crate) registry: Registry,
    pub(crate) options: WorkerOptions,
    /// Rung when there may be something to claim.
    pub(crate) wake: Notify,
    held: Mutex<BTreeMap<i64, Arc<Held>>>,
    plans: Mutex<HashMap<(String, String), PlanCell>>,
    left: mpsc::UnboundedSender<Left>,
}

impl Shared {
    pub(crate) fn new(
        name: String,
        pool: PgPool,
        registry: Registry,
        options: WorkerOptions,
        left: mpsc::UnboundedSender<Left>,
    ) -> Self {
        let (wake, held, plans) = (Notify::new(), Mutex::default(), Mutex::default());
        Self { name, pool, registry, options, wake, held, plans, left }
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

    /// Hands what has ended to the dispatcher.
    pub(crate) fn leave(&self, left: Left) {
        // The dispatcher outlives every attempt, so the channel is open.
        let _ = self.left.send(left);
    }

    /// Lets go of an attempt: its slot is free. The dispatcher's to call, once it has the end in hand.
    pub(crate) fn release(&self, attempt_id: i64) {
        lock(&self.held).remove(&attempt_id);
    }

    /// The plan of a version, read once, however many ask for it at once.
    pub(crate) async fn plan(&self, dag: &str, version: &str) -> Result<Arc<KnownPlan>, RunError> {
        let cell = Arc::clone(lock(&self.plans).entry((dag.to_owned(), version.to_owned())).or_default());
        let read = async {
            let plan = answered(self.options.lease, runs::plan(&self.pool, dag, version)).await?;
            Ok(Arc::new(KnownPlan::new(plan)))
        };
        cell.get_or_try_init(|| read).await.cloned()
    }
}

/// A panic while the lock was held leaves plain collections, which are good to use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A worker: slots, a registry of kinds, and the loops that keep them busy and honest.

use std::{sync::Arc, time::Duration};

use apalis_core::{
    error::WorkerError,
    task::data::Data,
    worker::{builder::WorkerBuilder, ext::parallelize::ParallelizeExt},
};
use futures::future::BoxFuture;
use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use warehouse::{
    lake::Lake,
    pool::{PATIENCE, answered},
    runs::{self, Claimed, RUN_CHANNEL, RunError},
};
use workflow::{kind::Registry, state::RunState};

use crate::{
    attempt,
    backend::ClaimedTasks,
    dispatch, due,
    held::{Shared, StopReason},
    hints, leases, logs, reaper,
};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The queues that it serves; empty for all.
    pub queues: Vec<String>,
    /// The labels that it has; it takes no task that asks for another one.
    pub labels: Vec<String>,
    /// How many tasks it runs at once.
    pub slots: usize,
    /// How long a lease holds without renewal: how soon a dead worker's tasks return.
    pub lease: Duration,
    /// How often it looks into the queue though nobody told it to.
    pub poll: Duration,
    /// How long a task that was told to stop may take before it is aborted.
    pub grace: Duration,
    /// How long running tasks may go on once the worker shall stop.
    pub drain: Duration,
    /// Only tasks of this run.
    pub run_id: Option<i64>,
    /// Where outputs go that are too long for a row; without one they are faults.
    pub lake: Option<Lake>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            labels: Vec::new(),
            slots: 8,
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            run_id: None,
            lake: None,
        }
    }
}

/// Runs tasks until it is told to stop.
pub struct Worker {
    name: String,
    pool: PgPool,
    registry: Registry,
    options: WorkerOptions,
}

impl Worker {
    /// A worker under a name of its own: one that starts again is another worker.
    pub fn new(pool: PgPool, registry: Registry, options: WorkerOptions) -> Self {
        Self { name: format!("{}-{}", host(), Uuid::now_v7().simple()), pool, registry, options }
    }

    /// The name that attempts are recorded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Works until `cancel`, then lets running tasks end within [`WorkerOptions::drain`] and puts back those that
    /// do not. A database that goes away is waited for.
    pub async fn run(self, cancel: CancellationToken) {
        let (left_in, left_out) = mpsc::unbounded_channel();
        let (claimed_in, claimed_out) = mpsc::unbounded_channel();
        let Self { name, pool, registry, options } = self;
        let shared = Arc::new(Shared::new(name, pool, registry, options, left_in));
        tracing::info!(worker = shared.name, slots = shared.options.slots, "worker started");

        let done = CancellationToken::new();
        let helpers = TaskTracker::new();
        helpers.spawn(hints::run(Arc::clone(&shared), done.clone()));
        helpers.spawn(leases::run(Arc::clone(&shared), done.clone()));
        helpers.spawn(due::run(Arc::clone(&shared), done.clone()));
        helpers.spawn(logs::run(Arc::clone(&shared), done.clone()));
        helpers.spawn(reaper::reap_until(shared.pool.clone(), shared.options.lease / 3, done.clone()));
        helpers.spawn(stop_late_ones(Arc::clone(&shared), cancel.clone(), done.clone()));
        helpers.close();

        let dispatcher = tokio::spawn(dispatch::run(Arc::clone(&shared), left_out, claimed_in, cancel));
        // The backend ends when the dispatcher does, which is when nothing is under way any more.
        if let Err(error) = worker_loop(&shared, ClaimedTasks(claimed_out)).await {
            tracing::error!(%error, "the worker loop ended with an error");
        }
        if dispatcher.await.is_err() {
            tracing::error!("the dispatcher panicked");
        }
        done.cancel();
        helpers.wait().await;
        if let Err(error) = answered(PATIENCE, runs::worker_stopped(&shared.pool, &shared.name)).await {
            tracing::warn!(%error, "cannot sign off");
        }
        tracing::info!(worker = shared.name, "worker stopped");
    }
}

/// apalis' loop over our backend; each task runs in a task of its own.
fn worker_loop(shared: &Arc<Shared>, tasks: ClaimedTasks) -> BoxFuture<'static, Result<(), WorkerError>> {
    let worker = WorkerBuilder::new(shared.name.as_str())
        .backend(tasks)
        .data(Arc::clone(shared))
        .parallelize(tokio::spawn)
        .build(handle);
    Box::pin(worker.run())
}

async fn handle(task: Claimed, shared: Data<Arc<Shared>>) {
    attempt::run(Arc::clone(&shared), task).await;
}

/// Once the worker shall stop, gives running tasks their time and then tells them.
async fn stop_late_ones(shared: Arc<Shared>, cancel: CancellationToken, done: CancellationToken) {
    let over = async {
        cancel.cancelled().await;
        tokio::time::sleep(shared.options.drain).await;
    };
    tokio::select! {
        () = done.cancelled() => {}
        () = over => shared.all().iter().for_each(|held| held.stop(StopReason::WorkerStops)),
    }
}

/// Runs every task of one run in this process, until the run has ended. Other workers may help.
pub async fn drain(pool: &PgPool, registry: &Registry, lake: Option<Lake>, run_id: i64) -> Result<RunState, RunError> {
    let poll = Duration::from_millis(100);
    let options = WorkerOptions { run_id: Some(run_id), poll, lake, ..WorkerOptions::default() };
    let cancel = CancellationToken::new();
    // Stops the worker also where the caller gives up waiting.
    let guard = cancel.clone().drop_guard();
    let worker = tokio::spawn(Worker::new(pool.clone(), registry.clone(), options).run(cancel));
    let ended = run_ended(pool, run_id).await;
    drop(guard);
    // A panic of the worker shows in its tasks, which the reaper takes back.
    let _ = worker.await;
    ended
}

/// Waits for a run to end.
pub async fn run_ended(pool: &PgPool, run_id: i64) -> Result<RunState, RunError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(RUN_CHANNEL).await?;
    loop {
        let state: RunState = answered(PATIENCE, runs::run(pool, run_id)).await?.state.parse()?;
        if state.is_final() {
            return Ok(state);
        }
        // Whether told or not, the next look is the truth.
        let _ = tokio::time::timeout(Duration::from_millis(500), listener.recv()).await;
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "worker".to_owned() } else { name.to_owned() }
}

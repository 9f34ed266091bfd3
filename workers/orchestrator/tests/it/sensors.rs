//! Tasks that wait for something: they look, and have no slot between two looks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use orchestrator::{Worker, WorkerOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, Cancelled, ClaimRequest, End, Ended};
use workflow::{
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    span::Span,
    state::RunState,
};

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, run, start, tasks},
};

/// Finds what it waits for at the look of this number, over all tasks of a test.
#[derive(Clone, Default)]
pub(crate) struct Arrives(pub(crate) Arc<AtomicUsize>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrivesConfig {
    at: usize,
    every: Span,
    /// The look of this number fails.
    #[serde(default)]
    fails: usize,
}

#[async_trait]
impl TaskKind for Arrives {
    const NAME: &'static str = "arrives";
    const SUMMARY: &'static str = "waits for a look of some number";
    const PATIENCE: Option<Duration> = Some(Duration::from_mins(10));
    type Config = ArrivesConfig;

    async fn run(&self, config: ArrivesConfig, task: &TaskContext) -> Result<Value, TaskError> {
        let look = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        task.log.info(format!("look {look}"));
        if look == config.fails {
            return Err(TaskError::external("it is too dark to look"));
        }
        if look >= config.at { Ok(json!(look)) } else { Err(TaskError::not_yet(config.every.0, "nothing is there")) }
    }
}

fn registry() -> Registry {
    Hands::default().registry().with(Arrives::default())
}

async fn row(pool: &PgPool, run_id: i64, task: &str) -> runs::TaskRow {
    let rows = runs::tasks(pool, run_id).await.expect("tasks");
    rows.into_iter().find(|row| row.task == task).expect("the task")
}

#[tokio::test]
async fn looks_in_vain_cost_no_attempt_and_leave_no_row() {
    let (db, registry) = (testkit::database().await, registry());
    let text = "{ dag: d, tasks: { a: { kind: arrives, at: 6, every: 5ms }, b: { kind: echo, needs: a } } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 1", "b success 1"]);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 success", "b#1 success"]);
    let a = row(&db.pool, run_id, "a").await;
    assert_eq!((a.looks, a.max_attempts, a.output), (5, 1, Some(json!(6))));
    let logs = runs::log_lines(&db.pool, run_id, Some("a"), &std::collections::BTreeMap::new()).await.expect("lines");
    assert_eq!(logs.iter().map(|line| line.line.as_str()).collect::<Vec<_>>(), ["look 6"]);
    let orphans: i64 = sqlx::query_scalar(
        "select count(*) from sluice.task_log l where not exists (select from sluice.attempt a where a.attempt_id = l.attempt_id)",
    )
    .fetch_one(&db.pool)
    .await
    .expect("a count");
    assert_eq!(orphans, 0);
    let why = runs::why(&db.pool, run_id, Some("a")).await.expect("an answer").remove(0);
    assert!(why.facts.contains(&"before that it looked 5 times in vain".to_owned()), "{why:?}");
}

#[tokio::test]
async fn a_look_that_fails_is_an_attempt_like_any_other() {
    let (db, registry) = (testkit::database().await, registry());
    let text =
        "{ dag: d, tasks: { a: { kind: arrives, at: 5, fails: 3, every: 5ms, attempts: 2, backoff: { from: 5ms } } } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 failed", "a#2 success"]);
    assert_eq!(row(&db.pool, run_id, "a").await.looks, 3);
}

#[tokio::test]
async fn what_does_not_come_in_time_is_a_failure() {
    let (db, registry) = (testkit::database().await, registry());
    // The next look would come too late, so the last one comes when the time is up.
    let text = "{ dag: d, tasks: { a: { kind: arrives, at: 99, every: 1h, total_timeout: 300ms, attempts: 5 } } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    let a = row(&db.pool, run_id, "a").await;
    assert_eq!(a.reason.as_deref(), Some("timed out: what it waits for did not come within 300ms"));
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 timed_out"]);
    assert_eq!(a.looks, 1);
    // A retry has its time anew.
    runs::retry(&db.pool, run_id, None).await.expect("retried");
    assert_eq!(row(&db.pool, run_id, "a").await.looks, 0);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Failed);
}

#[tokio::test]
async fn who_waits_has_no_slot_and_can_be_cancelled_at_once() {
    let (db, registry) = (testkit::database().await, registry());
    let pool = &db.pool;
    let text = "
        dag: d
        defaults: { pool: narrow }
        tasks:
          a: { kind: arrives, at: 99, every: 5m, priority: 9 }
          b: { kind: echo }
          c: { kind: echo, needs: b }";
    let run_id = start(pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    // One slot of the worker, and one of the pool.
    let options = WorkerOptions { slots: 1, ..fast() };
    let worker = tokio::spawn(Worker::new(pool.clone(), registry.clone(), options).run(stop.clone()));
    let done = "select count(*) = 1 from sluice.tasks where run_id = $1 and task = 'c' and state = 'success'";
    eventually(pool, done, run_id).await;
    assert_eq!(tasks(pool, run_id).await, ["a queued 0", "b success 1", "c success 1"]);
    let why = runs::why(pool, run_id, Some("a")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "nothing is there");
    assert!(why.facts[0].starts_with("it looked once; the next look comes in 5 min, at "), "{why:?}");
    assert!(why.facts[1].starts_with("it gives up "), "{why:?}");
    assert_eq!(runs::cancel(pool, run_id).await.expect("cancelled"), Cancelled::Now);
    stop.cancel();
    worker.await.expect("no panic");
}

#[tokio::test]
async fn a_look_is_counted_once_however_often_it_is_told() {
    let (db, registry) = (testkit::database().await, registry());
    let pool = &db.pool;
    let run_id = start(pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: arrives, at: 99, every: 1h } } }")).await;
    let request = ClaimRequest {
        worker: "w".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: vec!["arrives".to_owned()],
        limit: 1,
        lease: Duration::from_mins(1),
        run_id: None,
    };
    let mut connection = pool.acquire().await.expect("a connection");
    let claimed = runs::exchange(&mut connection, &[], Some(&request)).await.expect("a claim").claimed.remove(0);
    let end = End::NotYet { reason: "nothing is there".to_owned(), wait: Duration::from_mins(1) };
    let ended = Ended { fence: claimed.fence, end, lines: Vec::new() };
    for told in [1, 0] {
        let exchange = runs::exchange(&mut connection, std::slice::from_ref(&ended), None).await.expect("an exchange");
        assert_eq!(exchange.accepted.len(), told);
    }
    let a = row(pool, run_id, "a").await;
    assert_eq!((a.looks, a.attempts, a.state.as_str()), (1, 0, "queued"));
    assert!(attempts(pool, run_id).await.is_empty());
}

//! Why something stands as it does, in words.

use std::time::Duration;

use orchestrator::Worker;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, ClaimRequest, RunError, Why};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{drain, eventually, fast, plan, run, start},
};

/// `because`, then the facts and the hint.
async fn ask(pool: &PgPool, run_id: i64, task: &str) -> Why {
    runs::why(pool, run_id, Some(task)).await.expect("an answer").remove(0)
}

#[tokio::test]
async fn what_nobody_takes_says_whom_it_lacks() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: echo, queue: heavy }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    assert_eq!(ask(&db.pool, run_id, "a").await.because, "no worker is alive");
    assert_eq!(ask(&db.pool, run_id, "b").await.because, "it waits for a (queued)");
    assert!(matches!(runs::why(&db.pool, run_id, Some("c")).await, Err(RunError::NoTask { .. })));

    let serves = async |queue: &str, kind: &str| {
        runs::worker_seen(&db.pool, "w", "worker", 1).await.expect("seen");
        runs::worker_serves(&db.pool, "w", &[queue.to_owned()], &[], &[kind.to_owned()]).await.expect("serves");
        ask(&db.pool, run_id, "a").await
    };
    let why = serves("light", "echo").await;
    assert_eq!(why.because, "no worker serves the queue `heavy`");
    assert_eq!(why.hint.as_deref(), Some("`sluice work --queue heavy` starts one that does"));
    assert_eq!(serves("heavy", "flaky").await.because, "no worker knows the kind `echo`");
    assert_eq!(serves("heavy", "echo").await.because, "a worker is about to take it");

    // The one slot is taken by a task that began before.
    start(&db.pool, &plan(&registry, "{ dag: e, tasks: { a: { kind: echo, queue: heavy, priority: 5 } } }")).await;
    let request = ClaimRequest {
        worker: "w".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: vec!["echo".to_owned()],
        limit: 1,
        lease: Duration::ZERO,
        run_id: None,
    };
    runs::exchange(&mut db.pool.acquire().await.expect("a connection"), &[], Some(&request)).await.expect("claimed");
    assert_eq!(ask(&db.pool, run_id, "a").await.because, "every worker is busy: 1 of 1 slots are taken");
    // Its worker has said nothing since.
    let why = ask(&db.pool, run_id + 1, "a").await;
    assert!(why.because.starts_with("worker w gave no sign of life for "), "{}", why.because);
}

#[tokio::test]
async fn a_full_pool_names_who_holds_it() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let plan = plan(&registry, "{ dag: d, max_active_runs: 2, tasks: { a: { kind: wait, pool: narrow } } }");
    let first = start(&db.pool, &plan).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    let (second, third) = (start(&db.pool, &plan).await, start(&db.pool, &plan).await);
    let why = ask(&db.pool, second, "a").await;
    assert_eq!(why.because, "the pool `narrow` is full: 1 of 1 slots are taken");
    assert!(why.facts[0].starts_with(&format!("d.a of run {first} has one (running since ")), "{:?}", why.facts);
    let why = runs::why(&db.pool, third, None).await.expect("an answer").remove(0);
    assert_eq!((why.state.as_str(), why.facts.len()), ("queued", 2), "{why:?}");
    assert_eq!(ask(&db.pool, third, "a").await.because, "its run has not begun");
    hands.go_on.add_permits(3);
    for run_id in [first, second, third] {
        eventually(&db.pool, "select state = 'success' from sluice.dag_run where run_id = $1", run_id).await;
    }
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn failures_say_whose_fault_they_are_and_what_stands_behind_them() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        tasks:
          a: { kind: flaky, failures: 9, fault: user }
          b: { kind: echo, needs: a }
          c: { kind: echo, needs: b }
          d: { kind: flaky, failures: 9, fault: gate }
          e: { kind: echo, when: 'false' }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    let answers = runs::why(&db.pool, run_id, None).await.expect("answers");
    let said: Vec<_> = answers.iter().map(|why| (why.task.as_deref(), why.because.as_str())).collect();
    assert_eq!(
        said,
        [
            (None, "2 tasks failed"),
            (Some("a"), "the file is wrong"),
            (Some("d"), "a gate stopped it: 3 rows failed"),
            (Some("e"), "its condition does not hold: false"),
        ]
    );
    assert!(answers[0].facts.contains(&"2 tasks behind it could not run".to_owned()), "{:?}", answers[0].facts);
    assert!(answers[1].facts.iter().any(|fact| fact.contains("no retry mends it")), "{:?}", answers[1].facts);
    assert_eq!(ask(&db.pool, run_id, "c").await.because, "it stands behind a (failed)");
}

#[tokio::test]
async fn a_retry_says_when_it_comes_and_why() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: flaky, failures: 1, attempts: 2, backoff: { from: 1h } } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), fast()).run(stop.clone()));
    eventually(&db.pool, "select state = 'queued' and attempts = 1 from sluice.task_run where run_id = $1", run_id)
        .await;
    let why = ask(&db.pool, run_id, "a").await;
    assert!(why.because.starts_with("attempt 2 of 2 comes in "), "{}", why.because);
    assert!(why.facts[0].starts_with("the last attempt failed: the service is down"), "{:?}", why.facts);
    stop.cancel();
    worker.await.expect("the worker stops");
    runs::cancel(&db.pool, run_id).await.expect("cancelled");
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Cancelled);
    assert_eq!(ask(&db.pool, run_id, "a").await.because, "the run was cancelled");
}

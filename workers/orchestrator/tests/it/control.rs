//! Cancel, retry, and a worker that stops in order.

use std::{sync::atomic::Ordering, time::Duration};

use orchestrator::{Worker, WorkerOptions, run_ended};
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, Cancelled, RunError};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, run, start, tasks},
};

#[tokio::test]
async fn a_cancelled_run_stops_what_runs_and_never_starts_the_rest() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let text = "{ dag: d, tasks: { a: { kind: wait }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    assert_eq!(runs::cancel(&db.pool, run_id).await.expect("cancelled"), Cancelled::Stopping(1));
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Cancelled);
    assert_eq!(tasks(&db.pool, run_id).await, ["a cancelled 1", "b cancelled 0"]);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 cancelled"]);
    let again = runs::cancel(&db.pool, run_id).await.expect("told so");
    assert_eq!(again, Cancelled::AlreadyOver(RunState::Cancelled));
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_task_that_does_not_listen_is_aborted_after_the_grace() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait, stubborn: true } } }")).await;
    let stop = CancellationToken::new();
    let options = WorkerOptions { grace: Duration::from_secs(2), ..fast() };
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, options).run(stop.clone()));
    hands.wait_has_begun().await;
    runs::cancel(&db.pool, run_id).await.expect("cancelled");
    let refused = runs::retry(&db.pool, run_id, None).await.expect_err("it is still stopping");
    assert!(matches!(refused, RunError::Stopping(_)), "{refused}");
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Cancelled);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_run_that_nobody_works_on_is_cancelled_at_once() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    assert_eq!(runs::cancel(&db.pool, run_id).await.expect("cancelled"), Cancelled::Now);
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "cancelled");
    assert!(matches!(runs::cancel(&db.pool, 999).await, Err(RunError::NoRun(999))));
}

#[tokio::test]
async fn a_retry_runs_what_failed_and_what_stands_behind_it() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    hands.broken.store(true, Ordering::SeqCst);
    let text = "
        dag: d
        defaults: { on_failure: [ops] }
        tasks:
          a: { kind: echo }
          b: { kind: fragile, needs: a }
          c: { kind: echo, needs: b }
          tidy: { kind: echo, needs: c, trigger_rule: all_done }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    hands.broken.store(false, Ordering::SeqCst);
    assert_eq!(runs::retry(&db.pool, run_id, None).await.expect("retried"), ["b", "c", "tidy"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 1", "b success 2", "c success 1", "tidy success 2"]);
    assert!(matches!(runs::retry(&db.pool, run_id, None).await, Err(RunError::NothingFailed(_))));
    // A task by name runs again whatever its state, and all behind it.
    assert_eq!(runs::retry(&db.pool, run_id, Some("c")).await.expect("retried"), ["c", "tidy"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    let notices: i64 =
        sqlx::query_scalar("select count(*) from sluice.outbox").fetch_one(&db.pool).await.expect("count");
    assert_eq!(notices, 1);
}

#[tokio::test]
async fn a_cancelled_run_can_be_taken_up_again() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: echo }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    runs::cancel(&db.pool, run_id).await.expect("cancelled");
    assert_eq!(runs::retry(&db.pool, run_id, None).await.expect("retried"), ["a", "b"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
}

#[tokio::test]
async fn a_worker_that_stops_puts_back_what_does_not_end_in_time() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    stop.cancel();
    worker.await.expect("the worker stops");
    // One attempt is allowed, and that one did not count.
    assert_eq!(tasks(&db.pool, run_id).await, ["a queued 1"]);
    hands.go_on.add_permits(1);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 cancelled", "a#2 success"]);
}

#[tokio::test]
async fn a_worker_outlives_its_connections() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let text = "{ dag: d, tasks: { a: { kind: wait }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let own = sqlx::postgres::PgPoolOptions::new().max_connections(6).connect(&db.url).await.expect("a pool");
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(own, registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .execute(&db.pool)
    .await
    .expect("connections cut");
    hands.go_on.add_permits(2);
    eventually(&db.pool, "select state = 'success' from sluice.dag_run where run_id = $1", run_id).await;
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_worker_that_stops_does_not_run_again_what_must_not_be_repeated() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let text = "{ dag: d, tasks: { a: { kind: wait_once, attempts: 3 }, b: { kind: wait, attempts: 3 } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    hands.wait_has_begun().await;
    stop.cancel();
    worker.await.expect("the worker stops");
    assert_eq!(tasks(&db.pool, run_id).await, ["a failed 1", "b queued 1"]);
    let reason = runs::tasks(&db.pool, run_id).await.expect("tasks").remove(0).reason;
    assert_eq!(reason.as_deref(), Some("its worker stopped in the middle, and its kind must not be repeated"));
}

#[tokio::test]
async fn a_part_of_a_cancelled_run_that_runs_again_does_not_stand_for_the_rest() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        tasks:
          one: { kind: echo }
          two: { kind: echo }
          both: { kind: echo, needs: [one, two] }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    runs::cancel(&db.pool, run_id).await.expect("cancelled");
    runs::retry(&db.pool, run_id, Some("one")).await.expect("retried");
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Cancelled);
    assert_eq!(tasks(&db.pool, run_id).await, ["one success 1", "two cancelled 0", "both upstream_failed 0"]);
    runs::retry(&db.pool, run_id, None).await.expect("retried");
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
}

//! What runs however the rest ended, and what takes down what was set up.

use std::sync::atomic::Ordering;

use orchestrator::{Worker, run_ended};
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, Cancelled};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{drain, fast, plan, run, start, tasks},
};

const CLUSTER: &str = "
    dag: d
    defaults: { on_failure: [ops] }
    tasks:
      network: { kind: echo }
      cluster: { kind: fragile, needs: network }
      load: { kind: echo, needs: cluster }
      crunch: { kind: flaky, failures: 1, fault: user, needs: cluster }
      no_cluster: { kind: echo, needs: [load, crunch], teardown: cluster }
      no_network: { kind: echo, needs: no_cluster, teardown: network }";

#[tokio::test]
async fn what_was_set_up_is_taken_down_however_the_rest_ended() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (run_id, state) = run(&db.pool, &hands.registry(), CLUSTER).await;
    assert_eq!(state, RunState::Failed);
    let ended = ["network success 1", "cluster success 1", "load success 1", "crunch failed 1"];
    assert_eq!(tasks(&db.pool, run_id).await, [&ended[..], &["no_cluster success 1", "no_network success 1"]].concat());
}

#[tokio::test]
async fn what_was_not_set_up_is_not_taken_down() {
    let (db, hands) = (testkit::database().await, Hands::default());
    hands.broken.store(true, Ordering::SeqCst);
    let (run_id, state) = run(&db.pool, &hands.registry(), CLUSTER).await;
    assert_eq!(state, RunState::Failed);
    assert_eq!(
        tasks(&db.pool, run_id).await[2..],
        ["load upstream_failed 0", "crunch upstream_failed 0", "no_cluster skipped 1", "no_network success 1"]
    );
    let why = runs::why(&db.pool, run_id, Some("no_cluster")).await.expect("an answer");
    assert_eq!(why[0].because, "there is nothing to take down: `cluster` did not succeed");
}

#[tokio::test]
async fn a_retry_sets_up_again_what_was_taken_down() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let (run_id, _) = run(&db.pool, &registry, CLUSTER).await;
    let again = runs::retry(&db.pool, run_id, None).await.expect("retried");
    assert_eq!(again, ["network", "cluster", "crunch", "no_cluster", "no_network"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(
        tasks(&db.pool, run_id).await,
        [
            "network success 2",
            "cluster success 2",
            "load success 1",
            "crunch success 2",
            "no_cluster success 2",
            "no_network success 2"
        ]
    );
}

#[tokio::test]
async fn a_teardown_that_fails_is_told_and_decides_nothing() {
    let (db, hands) = (testkit::database().await, Hands::default());
    hands.broken.store(true, Ordering::SeqCst);
    let text = "
        dag: d
        defaults: { on_failure: [ops] }
        tasks: { up: { kind: echo }, down: { kind: fragile, teardown: up } }";
    let (run_id, state) = run(&db.pool, &hands.registry(), text).await;
    assert_eq!(state, RunState::Success);
    let reason = runs::run(&db.pool, run_id).await.expect("the run").reason;
    assert_eq!(reason.as_deref(), Some("down failed to take down what was set up"));
    let told: Vec<String> =
        sqlx::query_scalar("select subject from sluice.outbox").fetch_all(&db.pool).await.expect("notices");
    assert_eq!(told, ["d: a teardown failed"]);
}

#[tokio::test]
async fn a_cancelled_run_cleans_up_behind_itself() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let text = "
        dag: d
        tasks:
          up: { kind: echo }
          work: { kind: wait, needs: up }
          more: { kind: echo, needs: work }
          down: { kind: flaky, failures: 1, needs: more, teardown: up, attempts: 3, backoff: { from: 10ms } }
          after: { kind: echo, needs: more, trigger_rule: always }
          next: { kind: echo, needs: after }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    assert_eq!(runs::cancel(&db.pool, run_id).await.expect("cancelled"), Cancelled::Stopping(3));
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Cancelled);
    let ended = tasks(&db.pool, run_id).await;
    // The first attempt of `down` fails, and the next comes though the run is cancelled.
    assert_eq!(
        ended,
        [
            "up success 1",
            "work cancelled 1",
            "more cancelled 0",
            "down success 2",
            "after success 1",
            "next cancelled 0"
        ]
    );
    stop.cancel();
    worker.await.expect("the worker stops");
}

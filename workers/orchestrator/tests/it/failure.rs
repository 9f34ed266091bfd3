//! Errors, retries, timeouts, panics, and what they mean for the tasks behind.

use warehouse::runs;
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, run, tasks},
};

#[tokio::test]
async fn a_fault_outside_is_retried_until_it_passes() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        defaults: { attempts: 3, backoff: { from: 20ms, to: 50ms } }
        tasks:
          a: { kind: flaky, failures: 2 }
          b: { kind: flaky, failures: 1, fault: busy }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 3", "b success 2"]);
    let rows = runs::attempts(&db.pool, run_id).await.expect("attempts");
    let first = rows.iter().find(|a| a.task == "a").expect("an attempt of a");
    assert_eq!(first.error.as_deref(), Some("the service is down: connection refused\u{fffd}"));
    assert_eq!(first.error_domain.as_deref(), Some("external"));
}

#[tokio::test]
async fn a_fault_of_the_user_is_not_retried_and_marks_what_depends_on_it() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        defaults: { attempts: 5, backoff: { from: 10ms }, on_failure: [ops, boss] }
        tasks:
          a: { kind: flaky, failures: 9, fault: user }
          b: { kind: echo, needs: a }
          c: { kind: echo, needs: b }
          tidy: { kind: echo, needs: c, trigger_rule: all_done }
          tell: { kind: echo, needs: a, trigger_rule: one_failed }
          calm: { kind: echo, needs: tidy, trigger_rule: one_failed }
          other: { kind: echo }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    let mut found = tasks(&db.pool, run_id).await;
    found.sort();
    assert_eq!(
        found,
        [
            "a failed 1",
            "b upstream_failed 0",
            "c upstream_failed 0",
            "calm skipped 0",
            "other success 1",
            "tell success 1",
            "tidy success 1",
        ]
    );
    let notices: Vec<(String, String)> =
        sqlx::query_as("select channel, payload::text from sluice.outbox order by channel")
            .fetch_all(&db.pool)
            .await
            .expect("notices");
    assert_eq!(notices.iter().map(|n| n.0.as_str()).collect::<Vec<_>>(), ["boss", "ops"]);
    assert!(notices.iter().all(|n| n.1.contains("the file is wrong")), "{notices:?}");
}

#[tokio::test]
async fn a_gate_that_stops_a_task_is_told_apart_from_a_fault() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: flaky, failures: 9, fault: gate }, b: { kind: flaky, failures: 9 } } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    let gates: Vec<_> = runs::tasks(&db.pool, run_id).await.expect("tasks").iter().map(|t| t.gate).collect();
    assert_eq!(gates, [true, false]);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_stopped_and_counts() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        defaults: { timeout: 100ms, attempts: 2, backoff: { from: 10ms } }
        tasks: { a: { kind: wait } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 timed_out", "a#2 timed_out"]);
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    assert_eq!(rows[0].reason.as_deref(), Some("timed out after 100ms"));
}

#[tokio::test]
async fn a_panic_is_an_error_of_the_task_and_of_nothing_else() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let (run_id, state) =
        run(&db.pool, &registry, "{ dag: d, tasks: { a: { kind: panics }, b: { kind: echo } } }").await;
    assert_eq!(state, RunState::Failed);
    assert_eq!(tasks(&db.pool, run_id).await, ["a failed 1", "b success 1"]);
    let rows = runs::attempts(&db.pool, run_id).await.expect("attempts");
    let panicked = rows.iter().find(|a| a.task == "a").expect("an attempt of a");
    assert_eq!(panicked.error.as_deref(), Some("the task panicked: attempt 1 broke a promise"));
    assert_eq!(panicked.error_domain.as_deref(), Some("internal"));
}

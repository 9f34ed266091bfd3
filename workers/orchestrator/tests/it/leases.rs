//! Leases that run out, and workers that come too late.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use warehouse::{
    fence,
    runs::{self, ClaimRequest, Claimed, End, Ended},
};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, plan, start, tasks},
};

/// Claims as a worker that then says nothing more.
async fn claim(pool: &PgPool, lease: Duration) -> Claimed {
    let request = ClaimRequest {
        worker: "silent".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: vec!["echo".to_owned()],
        limit: 1,
        lease,
        run_id: None,
    };
    runs::exchange(&mut pool.acquire().await.expect("a connection"), &[], Some(&request))
        .await
        .expect("claimed")
        .claimed
        .pop()
        .expect("a task")
}

fn success(claimed: &Claimed) -> Ended {
    Ended { fence: claimed.fence, end: End::Success { output: json!("late") }, lines: Vec::new() }
}

#[tokio::test]
async fn a_lost_lease_is_taken_back_and_its_late_worker_refused() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: echo, say: now } } }")).await;
    let late = claim(&db.pool, Duration::ZERO).await;
    assert_eq!(runs::reap(&db.pool).await.expect("reaped"), 1);
    assert_eq!(runs::reap(&db.pool).await.expect("nothing left"), 0);
    assert_eq!(tasks(&db.pool, run_id).await, ["a queued 1"]);

    let mut transaction = db.pool.begin().await.expect("a transaction");
    assert!(fence::check(&mut transaction, late.fence).await.is_err(), "the late worker may not publish");
    drop(transaction);
    let refused = runs::exchange(&mut db.pool.acquire().await.expect("a connection"), &[success(&late)], None)
        .await
        .expect("no error");
    assert!(refused.accepted.is_empty(), "nor end the attempt");
    assert!(runs::renew(&db.pool, &[late.fence], Duration::from_secs(9)).await.expect("no error").is_empty());

    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 lost", "a#2 success"]);
    let output = runs::tasks(&db.pool, run_id).await.expect("tasks").remove(0).output.expect("an output");
    assert_eq!(output["say"], json!("now"));
}

#[tokio::test]
async fn a_lease_that_holds_is_not_taken() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }")).await;
    let claimed = claim(&db.pool, Duration::from_mins(1)).await;
    assert_eq!(runs::reap(&db.pool).await.expect("reaped"), 0);
    let end = runs::exchange(&mut db.pool.acquire().await.expect("a connection"), &[success(&claimed)], None)
        .await
        .expect("no error");
    assert!(end.accepted.contains(&claimed.fence.attempt_id));
    let again = runs::exchange(&mut db.pool.acquire().await.expect("a connection"), &[success(&claimed)], None)
        .await
        .expect("no error");
    assert!(again.accepted.is_empty(), "the same end a second time changes nothing");
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "success");
}

#[tokio::test]
async fn a_task_that_loses_every_worker_fails_in_the_end() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }")).await;
    for _ in 0..4 {
        claim(&db.pool, Duration::ZERO).await;
        assert_eq!(runs::reap(&db.pool).await.expect("reaped"), 1);
    }
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "failed");
    assert_eq!(tasks(&db.pool, run_id).await, ["a failed 4"]);
}

#[tokio::test]
async fn a_run_that_someone_holds_keeps_no_other_from_recovery() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let plan = plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }");
    let (held, free) = (start(&db.pool, &plan).await, start(&db.pool, &plan).await);
    for _ in 0..2 {
        claim(&db.pool, Duration::ZERO).await;
    }
    // A process that was stopped in the middle of a transaction.
    let mut holder = db.pool.begin().await.expect("begin");
    sqlx::query("select from sluice.dag_run where run_id = $1 for update")
        .bind(held)
        .execute(&mut *holder)
        .await
        .expect("held");
    let reaped =
        tokio::time::timeout(Duration::from_secs(10), runs::reap(&db.pool)).await.expect("nobody waits for it");
    assert!(reaped.expect_err("one is left").is_transient());
    assert_eq!(tasks(&db.pool, free).await, ["a queued 1"]);
    holder.rollback().await.expect("released");
    assert_eq!(runs::reap(&db.pool).await.expect("reaped"), 1);
    assert_eq!(tasks(&db.pool, held).await, ["a queued 1"]);
}

#[tokio::test]
async fn many_claims_at_once_never_share_a_task() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let rows: String = (0..40).map(|n| format!("  t{n}: {{ kind: echo }}\n")).collect();
    let run_id = start(&db.pool, &plan(&registry, &format!("dag: d\ntasks:\n{rows}"))).await;
    let claims = (0..40).map(|_| claim(&db.pool, Duration::from_mins(1)));
    let claimed: std::collections::BTreeSet<_> =
        futures::future::join_all(claims).await.into_iter().map(|claimed| claimed.task).collect();
    assert_eq!(claimed.len(), 40);
    eventually(&db.pool, "select count(*) = 40 from sluice.tasks where run_id = $1 and state = 'running'", run_id)
        .await;
}

#[tokio::test]
async fn one_process_leads_until_it_gives_up_or_falls_silent() {
    let db = testkit::database().await;
    let lead = async |who: &str, lease| runs::lead(&db.pool, "r", who, lease).await.expect("no error");
    let long = Duration::from_mins(1);
    let first = lead("a", long).await.expect("a leads");
    assert_eq!(lead("b", long).await, None);
    assert_eq!(lead("a", Duration::ZERO).await, Some(first), "renewal keeps the token");
    let second = lead("b", long).await.expect("b takes over");
    assert!(second > first);
    assert_eq!(lead("a", long).await, None);
    runs::release_lead(&db.pool, "r", "b").await.expect("released");
    assert!(lead("a", long).await.expect("a leads again") > second);
}

#[tokio::test]
async fn a_long_publication_keeps_its_lease_and_holds_up_nobody() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: echo }, b: { kind: echo } } }")).await;
    let (publisher, other) =
        (claim(&db.pool, Duration::from_mins(1)).await, claim(&db.pool, Duration::from_mins(1)).await);
    let mut publication = db.pool.begin().await.expect("a transaction");
    fence::check(&mut publication, publisher.fence).await.expect("it holds its lease");
    // None of these may wait for the publication.
    let soon = async {
        let held = runs::renew(&db.pool, &[publisher.fence, other.fence], Duration::ZERO).await.expect("renewed");
        assert_eq!(held.len(), 2);
        runs::exchange(&mut db.pool.acquire().await.expect("a connection"), &[success(&other)], None)
            .await
            .expect("the other one ends");
    };
    tokio::time::timeout(Duration::from_secs(10), soon).await.expect("nobody waits");
    // The lease has run out by now, yet the attempt is closed only after its publication.
    let reaping = tokio::spawn({
        let pool = db.pool.clone();
        async move { runs::reap(&pool).await.expect("reaped") }
    });
    let waits = "select count(*) = 1 from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and $1 > 0";
    eventually(&db.pool, waits, run_id).await;
    publication.commit().await.expect("published");
    assert_eq!(reaping.await.expect("no panic"), 1);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 lost", "b#1 success"]);
}

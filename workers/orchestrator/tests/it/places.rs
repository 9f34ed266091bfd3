//! Who may go next: runs of one DAG, and tasks of one pool.

use std::collections::BTreeMap;

use orchestrator::Worker;
use serde_json::Map;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, NewRun, RunError, Trigger};
use workflow::{kind::Registry, plan::Plan, state::RunState};

use crate::{
    kinds::Hands,
    support::{drain, eventually, fast, plan, run, start, tasks, utc},
};

fn limited(registry: &Registry, rule: &str) -> Plan {
    plan(registry, &format!("{{ dag: d, {rule}, tasks: {{ a: {{ kind: wait }}, b: {{ kind: echo, needs: a }} }} }}"))
}

async fn state(pool: &PgPool, run_id: i64) -> (RunState, Option<String>) {
    let run = runs::run(pool, run_id).await.expect("the run");
    (run.state.parse().expect("a state"), run.reason)
}

#[tokio::test]
async fn no_overlap_when_overlap_is_refused() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let plan = limited(&registry, "max_active_runs: 1");
    let (first, second, third) = (start(pool, &plan).await, start(pool, &plan).await, start(pool, &plan).await);
    assert_eq!(state(pool, first).await, (RunState::Running, None));
    assert_eq!(state(pool, second).await, (RunState::Queued, Some("1 other run is before it".to_owned())));
    assert!(matches!(runs::retry(pool, second, None).await, Err(RunError::NotStarted(_))));

    hands.go_on.add_permits(1);
    assert_eq!(drain(pool, &registry, first).await, RunState::Success);
    assert_eq!(state(pool, second).await, (RunState::Running, None), "the end of the first lets the second in");
    assert_eq!(state(pool, third).await.0, RunState::Queued);
    // A cancelled run frees its place, also one that nobody has begun.
    runs::cancel(pool, third).await.expect("cancelled");
    assert_eq!(state(pool, third).await.0, RunState::Cancelled);
    hands.go_on.add_permits(1);
    assert_eq!(drain(pool, &registry, second).await, RunState::Success);
}

#[tokio::test]
async fn of_many_that_start_at_once_as_many_run_as_may() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let plan = limited(&registry, "max_active_runs: 2");
    let made = futures::future::join_all((0..6).map(|hour| {
        let logical_time = utc("2026-01-01T00:00:00Z") + chrono::TimeDelta::hours(hour);
        let new = NewRun { plan: &plan, logical_time, trigger: Trigger::Backfill, params: Map::new(), only: None };
        async move { runs::create(pool, &new).await.expect("a run").run_id() }
    }))
    .await;
    let open = "select count(*) = 2 from sluice.dag_run where state = 'running' and run_id > $1";
    assert!(sqlx::query_scalar::<_, bool>(open).bind(0_i64).fetch_one(pool).await.expect("a count"));
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(pool.clone(), registry, fast()).run(stop.clone()));
    for left in (0..6).rev() {
        hands.wait_has_begun().await;
        let running: i64 = sqlx::query_scalar("select count(*) from sluice.dag_run where state = 'running'")
            .fetch_one(pool)
            .await
            .expect("a count");
        assert!(running <= 2, "{running} at once");
        hands.go_on.add_permits(1);
        if left == 0 {
            eventually(pool, "select count(*) = 6 from sluice.dag_run where state = 'success' and run_id > $1", 0)
                .await;
        }
    }
    stop.cancel();
    worker.await.expect("the worker stops");
    assert_eq!(made.len(), 6);
}

#[tokio::test]
async fn a_run_that_finds_no_room_is_skipped_or_takes_the_place() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let skipping = limited(&registry, "overlap: skip");
    let (first, second) = (start(pool, &skipping).await, start(pool, &skipping).await);
    let reason = "1 other run is under way, and the DAG says `overlap: skip`";
    assert_eq!(state(pool, second).await, (RunState::Skipped, Some(reason.to_owned())));
    assert_eq!(tasks(pool, second).await, ["a skipped 0", "b skipped 0"]);
    assert_eq!(state(pool, first).await.0, RunState::Running);

    let cancelling = limited(&registry, "overlap: cancel");
    let third = start(pool, &cancelling).await;
    assert_eq!(state(pool, first).await.0, RunState::Cancelled);
    assert_eq!(state(pool, third).await.0, RunState::Running);
}

#[tokio::test]
async fn a_pool_gives_out_no_more_slots_than_it_has() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    runs::set_pools(pool, &BTreeMap::from([("narrow".to_owned(), 2)])).await.expect("sized");
    let rows: String = (0..6).map(|n| format!("t{n}: {{ kind: wait, pool: narrow }}, ")).collect();
    let plan = plan(&registry, &format!("{{ dag: d, tasks: {{ {rows} free: {{ kind: echo, priority: -1 }} }} }}"));
    let stop = CancellationToken::new();
    let options = orchestrator::WorkerOptions { slots: 8, ..fast() };
    let worker = tokio::spawn(Worker::new(pool.clone(), registry, options).run(stop.clone()));
    let run_id = start(pool, &plan).await;
    // Tasks that wait for a slot starve nobody, whatever their priority.
    eventually(pool, "select state = 'success' from sluice.task_run where task = 'free' and run_id = $1", run_id).await;
    for ended in 0..6 {
        hands.wait_has_begun().await;
        let taken: i64 = sqlx::query_scalar(
            "select count(*) from sluice.task_run where pool = 'narrow' and admitted and state in ('queued', 'running')",
        )
        .fetch_one(pool)
        .await
        .expect("a count");
        assert!(taken <= 2 && taken >= i64::from(ended < 5), "{taken} slots taken after {ended}");
        hands.go_on.add_permits(1);
    }
    assert_eq!(orchestrator::run_ended(pool, run_id).await.expect("it ends"), RunState::Success);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_cancelled_run_frees_its_pool_slot() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    // Nobody has sized the pool, so it has one slot.
    let plan = plan(&registry, "{ dag: d, tasks: { a: { kind: echo, pool: narrow } } }");
    let (first, second) = (start(pool, &plan).await, start(pool, &plan).await);
    let admitted = "select admitted from sluice.task_run where run_id = $1";
    let admitted =
        async |run_id: i64| sqlx::query_scalar::<_, bool>(admitted).bind(run_id).fetch_one(pool).await.expect("a task");
    assert_eq!((admitted(first).await, admitted(second).await), (true, false));
    runs::cancel(pool, first).await.expect("cancelled");
    assert!(admitted(second).await);
    assert_eq!(drain(pool, &registry, second).await, RunState::Success);
}

#[tokio::test]
async fn a_task_whose_condition_does_not_hold_is_skipped_and_says_why() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        params: { full: false }
        tasks:
          count: { kind: echo, say: 3 }
          whole: { kind: echo, when: params.full }
          some: { kind: echo, needs: count, when: outputs.count.say > 2, say: '{{ outputs.count.say * 2 }}' }
          after: { kind: echo, needs: [whole, some], trigger_rule: none_failed }
          never: { kind: echo, needs: whole }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    assert_eq!(
        tasks(&db.pool, run_id).await,
        ["count success 1", "whole skipped 1", "some success 1", "never skipped 0", "after success 1"]
    );
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    assert_eq!(rows[1].reason.as_deref(), Some("its condition does not hold: params.full"));
    assert_eq!(rows[2].output.as_ref().map(|output| output["say"].clone()), Some(6.into()));
}

//! What a retry or a backfill must not do: step over a gate, overrule a rule, raise old alarms, make what is to come.

use std::sync::atomic::Ordering;

use chrono::{Days, NaiveDate, Utc};
use serde_json::Map;
use sqlx::PgPool;
use warehouse::runs::{self, Actor, Clear, Mark, NewBackfill, NewRun, Person, Retry, RunError, Trigger, Via};
use workflow::{plan::Plan, state::RunState};

use crate::{
    kinds::Hands,
    support::{drain, plan, run, start, tasks, utc},
};

fn ada() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

/// A run of `load`, which fails, behind `read`.
async fn failed(hands: &Hands, pool: &PgPool) -> i64 {
    hands.broken.store(true, Ordering::SeqCst);
    let text = "{ dag: d, tasks: { read: { kind: echo }, load: { kind: fragile, needs: read } } }";
    let (run_id, state) = run(pool, &hands.registry(), text).await;
    assert_eq!(state, RunState::Failed);
    hands.broken.store(false, Ordering::SeqCst);
    run_id
}

async fn on(pool: &PgPool, run_id: i64, task: Option<&str>, new: &Plan) -> Vec<String> {
    let wish = Retry { task, on: Some(new), ..Retry::default() };
    Person::new(pool, &ada()).retry(run_id, &wish, false).await.expect("retried").tasks
}

#[tokio::test]
async fn a_gate_that_a_new_version_puts_before_a_task_is_not_stepped_over() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = failed(&hands, &db.pool).await;
    let new = plan(
        &registry,
        "{ dag: d, tasks: { read: { kind: echo }, check: { kind: flaky, failures: 9, fault: gate, needs: read },
           load: { kind: echo, needs: check } } }",
    );
    assert_eq!(on(&db.pool, run_id, Some("load"), &new).await, ["check", "load"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Failed);
    assert_eq!(tasks(&db.pool, run_id).await, ["read success 1", "load upstream_failed 1", "check failed 1"]);
}

#[tokio::test]
async fn what_a_new_version_brings_runs_where_its_rule_says_so() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = failed(&hands, &db.pool).await;
    let new = plan(
        &registry,
        "{ dag: d, tasks: { read: { kind: echo }, load: { kind: echo, needs: read },
           mourn: { kind: echo, needs: read, trigger_rule: one_failed }, after: { kind: echo, needs: mourn } } }",
    );
    assert_eq!(on(&db.pool, run_id, None, &new).await, ["load"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(
        tasks(&db.pool, run_id).await,
        ["read success 1", "load success 2", "mourn skipped 0", "after skipped 0"]
    );
}

#[tokio::test]
async fn a_run_whose_failed_task_is_gone_ends_well_on_the_new_version() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = failed(&hands, &db.pool).await;
    let new = plan(&registry, "{ dag: d, tasks: { read: { kind: echo } } }");
    assert!(on(&db.pool, run_id, None, &new).await.is_empty());
    let run = runs::run(&db.pool, run_id).await.expect("the run");
    assert_eq!((run.state.as_str(), run.version), ("success", new.version));
}

#[tokio::test]
async fn what_runs_again_is_not_late_for_what_is_over() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let text = "
        dag: d
        schedule: { cron: '0 2 * * *', deadline: '08:00' }
        tasks: { a: { kind: echo, deadline: 1h } }";
    let daily = plan(&registry, text);
    let new = NewRun {
        plan: &daily,
        logical_time: utc("2026-01-05T02:00:00Z"),
        trigger: Trigger::Schedule,
        params: Map::new(),
        only: None,
    };
    let run_id = runs::create(pool, &new).await.expect("a run").run_id();
    drain(pool, &registry, run_id).await;
    runs::retry(pool, run_id, Some("a")).await.expect("retried");
    // The run's deadline is over; the task's is still to come.
    assert_eq!(runs::miss_deadlines(pool, Utc::now()).await.expect("looked"), 0);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
}

fn span(plan: &Plan, from: NaiveDate, to: NaiveDate, newest_first: bool) -> NewBackfill<'_> {
    NewBackfill { plan, from, to, params: Map::new(), parallel: 1, newest_first }
}

#[tokio::test]
async fn a_backfill_makes_nothing_that_is_still_to_come() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let hourly = plan(&registry, "{ dag: d, schedule: '@hourly', tasks: { a: { kind: echo } } }");
    let today = Utc::now().date_naive();
    let planned =
        runs::plan_backfill(&db.pool, &span(&hourly, today - Days::new(1), today + Days::new(2), false)).await;
    let planned = planned.expect("planned");
    assert!(planned.len() >= 24 && planned.iter().all(|line| line.logical_time <= Utc::now()), "{}", planned.len());
    let later = today + Days::new(1);
    let refused = runs::plan_backfill(&db.pool, &span(&hourly, later, later, false)).await;
    assert!(matches!(refused, Err(RunError::NotDue(_))), "{refused:?}");
    // A schedule that does not fire in a span has no runs in it.
    let monthly = plan(&registry, "{ dag: m, schedule: '@monthly', tasks: { a: { kind: echo } } }");
    let days = ["2026-03-10", "2026-03-12"].map(|day| day.parse().expect(day));
    let refused = runs::plan_backfill(&db.pool, &span(&monthly, days[0], days[1], false)).await;
    assert!(matches!(refused, Err(RunError::NotDue(_))), "{refused:?}");
}

#[tokio::test]
async fn two_backfills_of_the_same_days_take_turns() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let hourly = plan(&registry, "{ dag: d, schedule: '@hourly', tasks: { a: { kind: echo } } }");
    let days = ["2026-01-01", "2026-01-04"].map(|day| day.parse().expect(day));
    let (actor, forth) = (ada(), span(&hourly, days[0], days[1], false));
    let back = NewBackfill { newest_first: true, ..forth.clone() };
    let person = Person::new(&db.pool, &actor);
    let (one, other) = tokio::join!(person.backfill(&forth), person.backfill(&back));
    // One makes them all, and the other finds that out.
    let made = [one, other];
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    assert_eq!(made.iter().filter(|made| matches!(made, Err(RunError::NothingToMake))).count(), 1, "{made:?}");
}

#[tokio::test]
async fn what_a_run_of_one_task_was_given_is_not_cleared_with_it() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let daily = plan(&registry, "{ dag: d, tasks: { read: { kind: echo }, load: { kind: echo, needs: read } } }");
    let whole = start(pool, &daily).await;
    drain(pool, &registry, whole).await;
    let logical_time = utc("2026-01-05T02:00:00Z");
    let new = NewRun { plan: &daily, logical_time, trigger: Trigger::Manual, params: Map::new(), only: Some("load") };
    let alone = runs::create(pool, &new).await.expect("a run").run_id();
    drain(pool, &registry, alone).await;
    let day = logical_time.date_naive();
    let wish = Clear { plan: &daily, from: day, to: day, task: None, parallel: 1, newest_first: false };
    let cleared = Person::new(pool, &ada()).clear(&wish, false).await.expect("cleared");
    assert_eq!(cleared.runs[0].tasks, ["load"]);
    assert_eq!(drain(pool, &registry, alone).await, RunState::Success);
    assert_eq!(tasks(pool, alone).await, ["read success 0", "load success 2"]);
}

#[tokio::test]
async fn a_mark_decides_anew_about_what_ran_in_a_former_life_only() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let text = "{ dag: d, tasks: { a: { kind: fragile }, b: { kind: echo, needs: a } } }";
    let (run_id, _) = run(pool, &registry, text).await;
    hands.broken.store(true, Ordering::SeqCst);
    runs::retry(pool, run_id, Some("a")).await.expect("retried");
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Failed);
    // `b` ran once, and not in this life.
    let anew = Person::new(pool, &ada()).mark(run_id, "a", Mark::Success, "looked").await.expect("marked");
    assert_eq!(anew, ["b"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(tasks(pool, run_id).await, ["a success 2", "b success 2"]);
}

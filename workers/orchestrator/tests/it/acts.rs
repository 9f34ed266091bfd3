//! What people do to runs: marks, retries of a part and on another version, clears, backfills, and the log of it all.

use std::sync::atomic::Ordering;

use chrono::NaiveDate;
use orchestrator::{Worker, run_ended};
use serde_json::Map;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, Actor, Clear, Mark, NewBackfill, Person, Reach, Retry, RunError, Via};
use workflow::{plan::Plan, state::RunState};

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, run, start, tasks},
};

fn someone() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

/// `act dag run task reason` of each act, oldest first.
async fn acts(pool: &PgPool) -> Vec<String> {
    let mut rows = runs::audit(pool, None, None, 100).await.expect("the audit log");
    rows.reverse();
    assert!(rows.iter().all(|row| row.actor == "ada" && row.via == "cli"), "{rows:?}");
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    rows.iter()
        .map(|row| {
            let run = row.run_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            format!("{} {} {run} {} {}", row.act, text(&row.dag), text(&row.task), text(&row.reason))
        })
        .collect()
}

const CHAIN: &str = "
    dag: d
    tasks:
      a: { kind: echo }
      b: { kind: fragile, needs: a }
      c: { kind: echo, needs: b }
      mourn: { kind: echo, needs: b, trigger_rule: one_failed }
      tidy: { kind: echo, needs: c, trigger_rule: all_done }";

async fn broken_chain(hands: &Hands, pool: &PgPool) -> i64 {
    hands.broken.store(true, Ordering::SeqCst);
    let (run_id, state) = run(pool, &hands.registry(), CHAIN).await;
    assert_eq!(state, RunState::Failed);
    run_id
}

#[tokio::test]
async fn a_task_marked_as_succeeded_lets_those_behind_it_go_on() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let run_id = broken_chain(&hands, &db.pool).await;
    let before = tasks(&db.pool, run_id).await;
    assert_eq!(before, ["a success 1", "b failed 1", "c upstream_failed 0", "mourn success 1", "tidy success 1"]);
    let person = Person::new(&db.pool, &ada);
    let anew = person.mark(run_id, "b", Mark::Success, "loaded by hand").await.expect("marked");
    // What ran stays as it is; what was only decided against is decided anew.
    assert_eq!(anew, ["c"]);
    assert_eq!(drain(&db.pool, &hands.registry(), run_id).await, RunState::Success);
    assert_eq!(
        tasks(&db.pool, run_id).await,
        ["a success 1", "b success 1", "c success 1", "mourn success 1", "tidy success 1"]
    );
    assert_eq!(attempts(&db.pool, run_id).await.iter().filter(|a| a.starts_with("b#")).count(), 1);
    let b = runs::tasks(&db.pool, run_id).await.expect("tasks").remove(1);
    assert_eq!(b.reason.as_deref(), Some("marked by ada: loaded by hand"));
    assert_eq!(acts(&db.pool).await, [format!("mark d {run_id} b loaded by hand")]);
}

#[tokio::test]
async fn the_last_mark_of_a_run_ends_it() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let person = Person::new(&db.pool, &ada);
    let text = "{ dag: d, tasks: { a: { kind: wait }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&hands.registry(), text)).await;
    person.mark(run_id, "a", Mark::Skipped, "not today").await.expect("a queued task");
    assert_eq!(tasks(&db.pool, run_id).await, ["a skipped 0", "b skipped 0"]);
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "success");
    // A mark over a mark, on a run that has ended.
    assert_eq!(person.mark(run_id, "a", Mark::Failed, "after all").await.expect("marked"), ["b"]);
    assert_eq!(tasks(&db.pool, run_id).await, ["a failed 0", "b upstream_failed 0"]);
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "failed");
    // What a person marked is not undone by a mark before it.
    person.mark(run_id, "b", Mark::Skipped, "nobody needs it").await.expect("marked");
    assert_eq!(person.mark(run_id, "a", Mark::Success, "now").await.expect("marked"), [""; 0]);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 0", "b skipped 0"]);
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "success");
}

#[tokio::test]
async fn what_cannot_be_marked_is_refused_and_leaves_no_trace() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let person = Person::new(&db.pool, &ada);
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    let refused = person.mark(run_id, "a", Mark::Success, "why not").await.expect_err("it runs");
    assert!(matches!(&refused, RunError::StillOpen { state, .. } if state == "running"), "{refused}");
    assert!(matches!(person.mark(run_id, "z", Mark::Success, "x").await, Err(RunError::NoTask { .. })));
    assert!(matches!(person.mark(run_id, "a", Mark::Success, "  ").await, Err(RunError::NoReason)));
    assert!(matches!(person.mark(999, "a", Mark::Success, "x").await, Err(RunError::NoRun(999))));
    assert_eq!(acts(&db.pool).await, [""; 0]);
    hands.go_on.add_permits(1);
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Success);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_retry_of_a_task_alone_leaves_those_behind_it() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let text = "{ dag: d, tasks: { a: { kind: echo }, b: { kind: echo, needs: a }, c: { kind: echo, needs: b } } }";
    let (run_id, _) = run(&db.pool, &hands.registry(), text).await;
    let person = Person::new(&db.pool, &ada);
    let alone = Retry { task: Some("b"), reach: Reach::Only, on: None };
    assert_eq!(person.retry(run_id, &alone, false).await.expect("retried").tasks, ["b"]);
    assert_eq!(drain(&db.pool, &hands.registry(), run_id).await, RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 1", "b success 2", "c success 1"]);
}

#[tokio::test]
async fn a_task_that_waits_for_one_that_runs_again_alone_waits_anew() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let text = "
        dag: d
        tasks:
          fast: { kind: echo }
          slow: { kind: wait }
          both: { kind: echo, needs: [fast, slow] }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    let ended = "select state = 'success' from sluice.task_run where run_id = $1 and task = 'fast'";
    eventually(&db.pool, ended, run_id).await;
    let alone = Retry { task: Some("fast"), reach: Reach::Only, on: None };
    assert_eq!(Person::new(&db.pool, &ada).retry(run_id, &alone, false).await.expect("retried").tasks, ["fast"]);
    hands.go_on.add_permits(1);
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["fast success 2", "slow success 1", "both success 1"]);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_failed_run_goes_on_with_the_new_version_of_its_dag() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let run_id = broken_chain(&hands, &db.pool).await;
    let new = plan(
        &registry,
        "
        dag: d
        tasks:
          a: { kind: echo }
          b: { kind: echo, needs: a, say: mended }
          b2: { kind: echo, needs: b }
          c: { kind: echo, needs: [b, b2] }
          tidy: { kind: echo, needs: c, trigger_rule: all_done }",
    );
    let person = Person::new(&db.pool, &ada);
    let wish = Retry { on: Some(&new), ..Retry::default() };
    let before = tasks(&db.pool, run_id).await;
    let preview = person.retry(run_id, &wish, true).await.expect("a preview");
    assert_eq!((tasks(&db.pool, run_id).await, acts(&db.pool).await), (before, vec![]), "a preview changes nothing");
    let diff = preview.diff.as_ref().expect("two versions");
    assert_eq!(
        (diff.added.as_slice(), diff.removed.as_slice()),
        (["b2".to_owned()].as_slice(), ["mourn".to_owned()].as_slice())
    );
    let done = person.retry(run_id, &wish, false).await.expect("retried");
    assert_eq!(done, preview, "what was shown is what is done");
    assert_eq!(done.tasks, ["b", "b2", "c", "tidy"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(
        tasks(&db.pool, run_id).await,
        ["a success 1", "b success 2", "c success 1", "mourn success 1", "tidy success 2", "b2 success 1"]
    );
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").version, new.version);
    assert_eq!(acts(&db.pool).await, [format!("retry d {run_id} - -")]);
}

#[tokio::test]
async fn a_run_goes_on_with_another_version_only_once_it_has_ended() {
    let (db, registry, ada) = (testkit::database().await, Hands::default().registry(), someone());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    let new = plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }");
    let wish = Retry { on: Some(&new), ..Retry::default() };
    let refused = Person::new(&db.pool, &ada).retry(run_id, &wish, true).await.expect_err("under way");
    assert!(matches!(refused, RunError::UnderWay(_)), "{refused}");
    let other = plan(&registry, "{ dag: e, tasks: { a: { kind: echo } } }");
    runs::cancel(&db.pool, run_id).await.expect("cancelled");
    let wish = Retry { on: Some(&other), ..Retry::default() };
    let refused = Person::new(&db.pool, &ada).retry(run_id, &wish, true).await.expect_err("another DAG's");
    assert!(matches!(refused, RunError::NoVersion { .. }), "{refused}");
}

const DAILY: &str = "
    dag: daily
    schedule: { cron: '0 2 * * *' }
    tasks: { a: { kind: echo }, b: { kind: wait, needs: a } }";

fn five_days(plan: &Plan, parallel: i32, newest_first: bool) -> NewBackfill<'_> {
    let (from, to) = (day("2026-01-01"), day("2026-01-05"));
    NewBackfill { plan, from, to, params: Map::new(), parallel, newest_first }
}

/// The days of a DAG's runs in this state, in order of time.
async fn days_in(pool: &PgPool, state: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select to_char(logical_time, 'DD') from sluice.dag_run where dag = 'daily' and state = $1 order by logical_time",
    )
    .bind(state)
    .fetch_all(pool)
    .await
    .expect("runs")
}

#[tokio::test]
async fn a_backfill_holds_to_its_order_and_to_so_many_at_once() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let daily = plan(&registry, DAILY);
    let person = Person::new(&db.pool, &ada);
    let (id, planned) = person.backfill(&five_days(&daily, 2, true)).await.expect("made");
    assert_eq!(planned.iter().filter(|line| line.made).count(), 5);
    // Nobody but the store has done anything yet.
    assert_eq!(days_in(&db.pool, "running").await, ["04", "05"]);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    for _ in 0..2 {
        hands.wait_has_begun().await;
    }
    hands.go_on.add_permits(1);
    hands.wait_has_begun().await;
    assert_eq!(days_in(&db.pool, "queued").await, ["01", "02"], "one has ended, and the next newest has begun");
    assert_eq!(days_in(&db.pool, "running").await.len(), 2);
    hands.go_on.add_permits(4);
    let done = "select bool_and(state = 'success') from sluice.dag_run where backfill_id = $1";
    eventually(&db.pool, done, id).await;
    let row = runs::backfills(&db.pool, Some("daily"), None, 10).await.expect("listed").remove(0);
    assert_eq!((row.state.as_str(), row.runs, row.success), ("done", 5, 5));
    assert!(matches!(person.backfill(&five_days(&daily, 2, true)).await, Err(RunError::NothingToMake)));
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_stopped_backfill_starts_nothing_any_more() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let daily = plan(&registry, DAILY);
    let person = Person::new(&db.pool, &ada);
    let (id, _) = person.backfill(&five_days(&daily, 2, false)).await.expect("made");
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    for _ in 0..2 {
        hands.wait_has_begun().await;
    }
    let stopped = person.stop_backfill(id).await.expect("stopped");
    assert_eq!((stopped.cancelled, stopped.stopping), (3, 2));
    let over = "select bool_and(state = 'cancelled') from sluice.dag_run where backfill_id = $1";
    eventually(&db.pool, over, id).await;
    runs::admit(&db.pool).await.expect("looked for");
    let begun: i64 =
        sqlx::query_scalar("select count(*) from sluice.attempts").fetch_one(&db.pool).await.expect("count");
    assert_eq!(begun, 4, "two tasks each of the two that had begun");
    let open: i64 = sqlx::query_scalar("select sum(tasks_open)::bigint from sluice.dag_run")
        .fetch_one(&db.pool)
        .await
        .expect("sum");
    assert_eq!(open, 0);
    let row = runs::backfills(&db.pool, None, None, 10).await.expect("listed").remove(0);
    assert_eq!((row.state.as_str(), row.stopped_by.as_deref()), ("stopped", Some("ada")));
    assert!(matches!(person.stop_backfill(999).await, Err(RunError::NoBackfill(999))));
    assert_eq!(acts(&db.pool).await, ["backfill daily - - -", "backfill_stop daily - - -"]);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_backfill_does_not_stand_in_the_way_of_the_schedule() {
    let (db, registry, ada) = (testkit::database().await, Hands::default().registry(), someone());
    let text = DAILY.replace("tasks:", "max_active_runs: 2\n    overlap: skip\n    tasks:");
    let daily = plan(&registry, &text);
    Person::new(&db.pool, &ada).backfill(&five_days(&daily, 1, false)).await.expect("made");
    let run_id = start(&db.pool, &daily).await;
    assert_eq!(runs::run(&db.pool, run_id).await.expect("the run").state, "running");
    assert_eq!(days_in(&db.pool, "queued").await, ["02", "03", "04", "05"]);
}

#[tokio::test]
async fn a_span_of_backfill_is_checked_first() {
    let (db, registry, ada) = (testkit::database().await, Hands::default().registry(), someone());
    let daily = plan(&registry, DAILY);
    let person = Person::new(&db.pool, &ada);
    let span = |from: &str, to: &str| NewBackfill { from: day(from), to: day(to), ..five_days(&daily, 1, false) };
    let backwards = person.backfill(&span("2026-01-02", "2026-01-01")).await.expect_err("refused");
    assert!(matches!(backwards, RunError::Backwards { .. }), "{backwards}");
    let endless = person.backfill(&span("1900-01-01", "2026-01-01")).await.expect_err("refused");
    assert!(matches!(endless, RunError::TooMany(_)), "{endless}");
    assert_eq!(acts(&db.pool).await, [""; 0]);
}

#[tokio::test]
async fn a_cleared_span_runs_again_in_turn() {
    let (db, hands, ada) = (testkit::database().await, Hands::default(), someone());
    let registry = hands.registry();
    let text = "
        dag: daily
        schedule: { cron: '0 2 * * *', deadline: '08:00' }
        tasks: { a: { kind: echo }, b: { kind: echo, needs: a, deadline: 1s }, c: { kind: echo, needs: b } }";
    let daily = plan(&registry, text);
    let person = Person::new(&db.pool, &ada);
    let (_, planned) = person.backfill(&five_days(&daily, 5, false)).await.expect("made");
    let mut made: Vec<i64> = planned.iter().filter_map(|line| line.run_id).collect();
    let open = made.pop().expect("five runs");
    for run_id in &made {
        assert_eq!(drain(&db.pool, &registry, *run_id).await, RunState::Success);
    }
    let (from, to) = (day("2026-01-02"), day("2026-01-05"));
    let wish = Clear { plan: &daily, from, to, task: Some("b"), parallel: 1, newest_first: false };
    let preview = person.clear(&wish, true).await.expect("a preview");
    assert_eq!(days_in(&db.pool, "success").await, ["01", "02", "03", "04"], "a preview changes nothing");
    let again: Vec<usize> = preview.runs.iter().map(|run| run.tasks.len()).collect();
    assert_eq!(again, [2, 2, 2, 0], "the run that is under way is left alone");
    let done = person.clear(&wish, false).await.expect("cleared");
    assert_eq!(done.runs, preview.runs);
    assert_eq!(
        (days_in(&db.pool, "running").await, days_in(&db.pool, "queued").await.len()),
        (vec!["02".to_owned(), "05".to_owned()], 2)
    );
    for run_id in &made[1..] {
        assert_eq!(drain(&db.pool, &registry, *run_id).await, RunState::Success);
        assert_eq!(tasks(&db.pool, *run_id).await, ["a success 1", "b success 2", "c success 2"]);
    }
    assert_eq!(tasks(&db.pool, open).await, ["a queued 0", "b waiting 0", "c waiting 0"]);
    assert_eq!(acts(&db.pool).await, ["backfill daily - - -", "clear daily - b -"]);
    let late = "select count(*) from sluice.dag_run r join sluice.task_run t using (run_id)
                where r.deadline_at is not null or t.deadline_at is not null";
    let late: i64 = sqlx::query_scalar(late).fetch_one(&db.pool).await.expect("count");
    assert_eq!(late, 0, "what is done again is not late");
    let wish = Clear { task: Some("z"), ..wish };
    assert!(matches!(person.clear(&wish, true).await, Err(RunError::NoTask { .. })));
}

#[tokio::test]
async fn the_audit_log_is_only_added_to() {
    let (db, registry, ada) = (testkit::database().await, Hands::default().registry(), someone());
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    let person = Person::new(&db.pool, &ada);
    person.cancel(run_id, Some("wrong day")).await.expect("cancelled");
    // A second cancel does nothing, so it is no act.
    person.cancel(run_id, None).await.expect("told so");
    assert_eq!(acts(&db.pool).await, [format!("cancel d {run_id} - wrong day")]);
    for sql in ["delete from sluice.audit", "update sluice.audit set actor = 'nobody'"] {
        let refused = sqlx::query(sql).execute(&db.pool).await.expect_err(sql).to_string();
        assert!(refused.contains("only ever added to"), "{refused}");
    }
}

#[tokio::test]
async fn a_worker_shows_what_it_runs() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait } } }")).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    let shown = runs::workers(&db.pool).await.expect("workers");
    let [one] = shown.as_slice() else { panic!("one worker: {shown:?}") };
    assert!(one.alive && one.slots == 4, "{one:?}");
    assert_eq!(
        one.tasks.iter().map(|t| (t.run_id, t.task.as_str(), t.attempt)).collect::<Vec<_>>(),
        [(run_id, "a", 1)]
    );
    hands.go_on.add_permits(1);
    run_ended(&db.pool, run_id).await.expect("ended");
    stop.cancel();
    worker.await.expect("the worker stops");
    assert!(runs::workers(&db.pool).await.expect("workers").is_empty());
}

/// A run whose worker is dead: its lease runs out, and what is taken back from it is cancelled, not run again.
#[tokio::test]
async fn a_run_whose_worker_is_dead_can_be_cancelled() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id = start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait, attempts: 3 } } }")).await;
    let dead = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), fast()).run(CancellationToken::new()));
    hands.wait_has_begun().await;
    dead.abort();
    runs::cancel(&db.pool, run_id).await.expect("asked for");
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, fast()).run(stop.clone()));
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Cancelled);
    assert_eq!(tasks(&db.pool, run_id).await, ["a cancelled 1"]);
    stop.cancel();
    worker.await.expect("the worker stops");
}

//! Tasks in order, side by side, and what they hand on.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};
use warehouse::runs::{self, Created, NewRun, RunError, Trigger};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, drain, plan, run, start, tasks, utc},
};

#[tokio::test]
async fn outputs_reach_the_tasks_that_need_them() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        params: { who: world }
        tasks:
          a: { kind: echo, say: \"hello {{ params.who }} of {{ dag }}\" }
          b: { kind: echo, from: a }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    let heard = rows[1].output.as_ref().expect("an output");
    assert_eq!(heard["heard"]["a"]["say"], json!("hello world of d"));
    let run = runs::run(&db.pool, run_id).await.expect("the run");
    assert!(run.created_at <= run.started_at.expect("started") && run.started_at <= run.finished_at, "{run:?}");
}

#[tokio::test]
async fn branches_run_side_by_side_and_a_fan_in_fires_once() {
    let (db, hands) = (testkit::database().await, Hands::default());
    // Each `meet` ends only while the other one runs.
    let text = "
        dag: d
        tasks:
          left: { kind: meet }
          right: { kind: meet }
          join: { kind: echo, needs: [left, right] }";
    let (run_id, state) = run(&db.pool, &hands.registry(), text).await;
    assert_eq!(state, RunState::Success);
    assert_eq!(tasks(&db.pool, run_id).await, ["left success 1", "right success 1", "join success 1"]);
    assert_eq!(hands.echoes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn fan_in_fires_once() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let names: Vec<_> = (0..60).map(|n| format!("t{n}")).collect();
    let rows: String = names.iter().map(|n| format!("          {n}: {{ kind: fragile }}\n")).collect();
    let text = format!(
        "
        dag: d
        tasks:
{rows}          join: {{ kind: echo, needs: [{}] }}",
        names.join(", ")
    );
    let (run_id, state) = run(&db.pool, &hands.registry(), &text).await;
    assert_eq!((state, hands.echoes.load(Ordering::SeqCst)), (RunState::Success, 1));
    assert_eq!(attempts(&db.pool, run_id).await.len(), 61);
}

#[tokio::test]
async fn a_logical_time_has_one_run() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let plan = plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }");
    let new = NewRun {
        plan: &plan,
        logical_time: utc("2026-01-01T00:00:00Z"),
        trigger: Trigger::Backfill,
        params: Map::new(),
        only: None,
    };
    let first = runs::create(&db.pool, &new).await.expect("a run");
    assert!(matches!(first, Created::New(_)));
    let second = runs::create(&db.pool, &new).await.expect("the same run");
    assert_eq!(second, Created::Existing(first.run_id()));
    assert_eq!(tasks(&db.pool, first.run_id()).await, ["a queued 0"]);
}

#[tokio::test]
async fn one_task_alone_runs_on_the_last_outputs() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let plan = plan(&registry, "{ dag: d, tasks: { a: { kind: echo, say: first }, b: { kind: echo, from: a } } }");
    let alone = |logical_time: &str| NewRun {
        plan: &plan,
        logical_time: utc(logical_time),
        trigger: Trigger::Manual,
        params: Map::new(),
        only: Some("b"),
    };
    let refused = runs::create(&db.pool, &alone("2026-01-01T00:00:00Z")).await.expect_err("nothing to run on");
    assert!(matches!(refused, RunError::NoOutput { .. }), "{refused}");
    let whole = start(&db.pool, &plan).await;
    drain(&db.pool, &registry, whole).await;
    let run_id = runs::create(&db.pool, &alone("2026-01-02T00:00:00Z")).await.expect("a run").run_id();
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["b#1 success"]);
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    assert_eq!(rows[0].reason, Some(format!("output of run {whole}")));
    assert_eq!(rows[1].output.as_ref().expect("an output")["heard"]["a"]["say"], Value::from("first"));
}

#[tokio::test]
async fn a_run_keeps_the_plan_it_started_with() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let before = plan(&registry, "{ dag: d, tasks: { a: { kind: echo, say: old } } }");
    let run_id = start(&db.pool, &before).await;
    let after = plan(&registry, "{ dag: d, tasks: { a: { kind: echo, say: new } } }");
    runs::deploy(&db.pool, &after, utc("2026-01-01T00:00:00Z")).await.expect("deployed");
    drain(&db.pool, &registry, run_id).await;
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    assert_eq!(rows[0].output.as_ref().expect("an output")["say"], Value::from("old"));
}

#[tokio::test]
async fn logs_are_kept_by_attempt_and_in_order() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text =
        "{ dag: d, defaults: { attempts: 2, backoff: { from: 10ms } }, tasks: { a: { kind: flaky, failures: 1 } } }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Success);
    let lines = runs::log_lines(&db.pool, run_id, Some("a"), &[].into()).await.expect("lines");
    let seen: Vec<_> = lines.iter().map(|l| (l.attempt, l.seq, l.level.as_str())).collect();
    assert_eq!(seen, [(1, 1, "error"), (1, 2, "info")]);
    assert_eq!(lines[0].line, "the service is down: connection refused\u{fffd}");
    let after = [(lines[0].attempt_id, 1)].into();
    assert_eq!(runs::log_lines(&db.pool, run_id, None, &after).await.expect("lines").len(), 1);
}

//! How often and how long tasks may try, who may run them, and in which order.

use std::sync::atomic::Ordering;

use orchestrator::{Worker, WorkerOptions};
use serde_json::{Map, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{self, ClaimRequest, NewRun, Trigger};
use workflow::{kind::Registry, state::RunState};

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, run, start, tasks, utc},
};

async fn reason(pool: &PgPool, run_id: i64, task: &str) -> String {
    let rows = runs::tasks(pool, run_id).await.expect("tasks");
    rows.into_iter().find(|row| row.task == task).expect("the task").reason.unwrap_or_default()
}

/// One task of whatever may be claimed now.
async fn claim(pool: &PgPool, registry: &Registry, labels: &[&str]) -> Option<(i64, String)> {
    let request = ClaimRequest {
        worker: "w".to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        queues: Vec::new(),
        kinds: registry.names().map(str::to_owned).collect(),
        limit: 1,
        lease: fast().lease,
        run_id: None,
    };
    let mut connection = pool.acquire().await.expect("a connection");
    let claimed = runs::exchange(&mut connection, &[], Some(&request)).await.expect("a claim").claimed;
    claimed.into_iter().next().map(|claimed| (claimed.run_id, claimed.task))
}

#[tokio::test]
async fn the_retries_of_a_run_have_a_budget() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        retry_budget: 3
        defaults: { attempts: 5, backoff: { from: 10ms } }
        tasks:
          a: { kind: flaky, failures: 2 }
          b: { kind: flaky, failures: 9, needs: a }
          c: { kind: flaky, failures: 1, needs: b, trigger_rule: all_done }";
    let (run_id, state) = run(&db.pool, &registry, text).await;
    assert_eq!(state, RunState::Failed);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 3", "b failed 2", "c failed 1"]);
    assert!(reason(&db.pool, run_id, "b").await.ends_with("no other attempt: the retry budget of its run is spent"));
    // A person's retry brings a new one.
    runs::retry(&db.pool, run_id, None).await.expect("retried");
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Failed);
    assert_eq!(tasks(&db.pool, run_id).await, ["a success 3", "b failed 6", "c success 2"]);
}

#[tokio::test]
async fn many_that_fail_at_once_share_the_budget() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = format!(
        "{{ dag: d, retry_budget: 7, defaults: {{ attempts: 9, backoff: {{ from: 10ms }} }}, tasks: {{ {} }} }}",
        (0..20).map(|task| format!("t{task}: {{ kind: flaky, failures: 99 }}")).collect::<Vec<_>>().join(", ")
    );
    let (run_id, _) = run(&db.pool, &registry, &text).await;
    assert_eq!(attempts(&db.pool, run_id).await.len(), 27);
}

#[tokio::test]
async fn a_task_is_retried_for_the_ends_that_it_names() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        defaults: { attempts: 2, backoff: { from: 10ms }, timeout: 50ms, retry_on: [external] }
        tasks:
          a: { kind: flaky, failures: 9 }
          b: { kind: wait }
          c: { kind: panics }
          d: { kind: wait, retry_on: [timeout] }";
    let (run_id, _) = run(&db.pool, &registry, text).await;
    assert_eq!(tasks(&db.pool, run_id).await, ["a failed 2", "b failed 1", "c failed 1", "d failed 2"]);
}

#[tokio::test]
async fn all_attempts_together_have_a_time() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let text = "
        dag: d
        defaults: { attempts: 50, timeout: 200ms, total_timeout: 300ms }
        tasks:
          a: { kind: wait, backoff: { from: 1ms, to: 1ms } }
          b: { kind: flaky, failures: 9, backoff: { from: 10s } }";
    let (run_id, _) = run(pool, &registry, text).await;
    let said = [reason(pool, run_id, "a").await, reason(pool, run_id, "b").await];
    assert_eq!(said[0], "timed out: all its attempts together may take 300ms");
    // The next attempt would come too late, so there is none.
    assert!(said[1].starts_with("the service is down"), "{said:?}");
    let ended = tasks(pool, run_id).await;
    assert_eq!(ended, ["a failed 2", "b failed 1"]);
    // A person's retry begins anew.
    hands.go_on.add_permits(1);
    runs::retry(pool, run_id, Some("a")).await.expect("retried");
    drain(pool, &registry, run_id).await;
    assert_eq!(tasks(pool, run_id).await[0], "a success 3");
}

#[tokio::test]
async fn blocked_tasks_do_not_starve_others() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let urgent = plan(&registry, "{ dag: urgent, tasks: { a: { kind: echo, priority: 10 } } }");
    let modest = start(pool, &plan(&registry, "{ dag: modest, tasks: { a: { kind: echo } } }")).await;
    let first = start(pool, &urgent).await;
    let elsewhere = plan(&registry, "{ dag: e, tasks: { a: { kind: echo, priority: 20, labels: gpu } } }");
    start(pool, &elsewhere).await;
    let slot = plan(&registry, "{ dag: s, tasks: { a: { kind: echo, priority: 20, pool: narrow } } }");
    let holder = start(pool, &slot).await;
    assert_eq!(claim(pool, &registry, &[]).await, Some((holder, "a".to_owned())));
    start(pool, &slot).await;
    // What nobody here may run, and what waits for a slot, is stepped over; the more urgent goes first.
    assert_eq!(claim(pool, &registry, &[]).await, Some((first, "a".to_owned())));
    // What has waited for longer than the other's priority is worth goes before whatever comes now.
    let aged = "update sluice.task_run set rank = rank - 11 * 3600 where run_id = $1";
    sqlx::query(aged).bind(modest).execute(pool).await.expect("aged");
    start(pool, &urgent).await;
    assert_eq!(claim(pool, &registry, &[]).await, Some((modest, "a".to_owned())));
}

#[tokio::test]
async fn a_task_goes_to_a_worker_with_its_labels() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text =
        "{ dag: d, defaults: { labels: eu }, tasks: { a: { kind: echo, labels: [gpu, eu] }, b: { kind: echo } } }";
    let run_id = start(pool, &plan(&registry, text)).await;
    assert_eq!(claim(pool, &registry, &["gpu"]).await, None);
    runs::worker_seen(pool, "w", "worker", 8).await.expect("seen");
    runs::worker_serves(pool, "w", &[], &["eu".to_owned()], &[]).await.expect("serves");
    let why = runs::why(pool, run_id, Some("a")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "no worker of its queue has the label `eu`, `gpu`");
    assert_eq!(why.hint.as_deref(), Some("`sluice work --label eu --label gpu` starts one that has"));
    assert_eq!(claim(pool, &registry, &["eu"]).await, Some((run_id, "b".to_owned())));
    assert_eq!(claim(pool, &registry, &["eu", "fast", "gpu"]).await, Some((run_id, "a".to_owned())));
}

#[tokio::test]
async fn tasks_of_one_key_take_turns_across_runs_and_dags() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let dag = |name: &str| {
        let key = "customer-{{ params.customer }}";
        let task = format!("{{ kind: wait, concurrency: {{ key: '{key}' }} }}");
        plan(&registry, &format!("{{ dag: {name}, params: {{ customer: 1 }}, tasks: {{ a: {task} }} }}"))
    };
    let (one, other) = (dag("one"), dag("other"));
    let begin = async |plan, hour: u32, customer| {
        let logical_time = utc(&format!("2026-01-01T{hour:02}:00:00Z"));
        let params: Map<_, _> = [("customer".to_owned(), json!(customer))].into_iter().collect();
        let new = NewRun { plan, logical_time, trigger: Trigger::Manual, params, only: None };
        runs::create(pool, &new).await.expect("a run").run_id()
    };
    let (first, second) = (begin(&one, 1, 7).await, begin(&other, 1, 7).await);
    let else_where = begin(&one, 2, 8).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(pool.clone(), registry.clone(), fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    hands.wait_has_begun().await;
    let mut running: Vec<i64> =
        sqlx::query_scalar("select run_id from sluice.task_run where state = 'running' order by run_id")
            .fetch_all(pool)
            .await
            .expect("runs");
    running.sort_unstable();
    assert_eq!(running, [first, else_where]);
    let why = runs::why(pool, second, Some("a")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "1 of 1 tasks of the key `customer-7` are under way");
    // A cancelled run gives its turn away.
    runs::cancel(pool, first).await.expect("cancelled");
    eventually(pool, "select state = 'running' from sluice.task_run where run_id = $1", second).await;
    hands.go_on.add_permits(2);
    let over = "select count(*) = 2 from sluice.dag_run where state = 'success' and run_id > $1";
    eventually(pool, over, 0).await;
    // Taken up again, it finds its key.
    runs::retry(pool, first, None).await.expect("retried");
    hands.go_on.add_permits(1);
    eventually(pool, "select state = 'success' from sluice.dag_run where run_id = $1", first).await;
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_group_is_needed_and_retried_as_one() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    hands.broken.store(true, Ordering::SeqCst);
    let text = "
        dag: d
        tasks:
          read: { kind: echo, group: extract }
          clean: { kind: fragile, group: extract, needs: read }
          other: { kind: echo, group: extract }
          load: { kind: echo, needs: extract }";
    let planned = plan(&registry, text);
    assert_eq!(planned.task("load").expect("load").needs, ["clean", "other"]);
    let (run_id, _) = run(&db.pool, &registry, text).await;
    assert_eq!(tasks(&db.pool, run_id).await[3], "load upstream_failed 0");
    hands.broken.store(false, Ordering::SeqCst);
    let again = runs::retry(&db.pool, run_id, Some("extract")).await.expect("retried");
    assert_eq!(again, ["read", "other", "clean", "load"]);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
}

#[tokio::test]
async fn a_worker_takes_no_task_of_other_labels_or_queues() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: echo, labels: gpu }, b: { kind: echo, needs: a } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let with =
        |labels: &[&str]| WorkerOptions { labels: labels.iter().map(|label| (*label).to_owned()).collect(), ..fast() };
    let plain = tokio::spawn(Worker::new(db.pool.clone(), registry.clone(), with(&[])).run(stop.clone()));
    let gpu = Worker::new(db.pool.clone(), registry, with(&["gpu"]));
    let name = gpu.name().to_owned();
    let gpu = tokio::spawn(gpu.run(stop.clone()));
    eventually(&db.pool, "select state = 'success' from sluice.dag_run where run_id = $1", run_id).await;
    let rows = runs::attempts(&db.pool, run_id).await.expect("attempts");
    assert_eq!(rows.iter().find(|row| row.task == "a").expect("an attempt").worker, name);
    stop.cancel();
    plain.await.expect("the worker stops");
    gpu.await.expect("the worker stops");
}

//! Runs that follow from another DAG, from datasets, from files.

use std::{fs, path::Path, time::SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use orchestrator::{Places, Scheduler, SchedulerOptions};
use serde_json::{Map, json};
use sqlx::PgPool;
use warehouse::{
    lake::Lake,
    runs::{self, Arrival, NewRun, RunRow, Trigger},
};
use workflow::{kind::Registry, state::RunState};

use crate::{
    kinds::Hands,
    support::{drain, plan, run, start, utc},
};

const NOW: &str = "2026-03-01T12:00:00Z";

async fn deploy(pool: &PgPool, registry: &Registry, text: &str) {
    runs::deploy(pool, &plan(registry, text), utc(NOW)).await.expect("deployed");
}

fn scheduler(pool: &PgPool) -> Scheduler {
    Scheduler::new(pool.clone(), SchedulerOptions::default())
}

/// The runs of a DAG, in the order in which they were made.
async fn runs_of(pool: &PgPool, dag: &str) -> Vec<RunRow> {
    let mut found = runs::list(pool, Some(dag), None, 100).await.expect("runs");
    found.reverse();
    found
}

async fn publish(pool: &PgPool, dataset: &str, hours: (i64, i64), verdict: &str) {
    let hour = |hour: i64| utc("2026-02-01T00:00:00Z") + TimeDelta::hours(hour);
    sqlx::query(
        "insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded,
                                         quarantined, deduplicated)
         values ($1, gen_random_uuid()::text, $2, $3, $4, 1, case when $4 = 'failed' then 0 else 1 end, 0, 0)",
    )
    .bind(dataset)
    .bind(hour(hours.0))
    .bind(hour(hours.1))
    .bind(verdict)
    .execute(pool)
    .await
    .expect("published");
}

#[tokio::test]
async fn the_success_of_a_dag_starts_those_that_wait_for_it_once() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: after, triggers: [{ dag: before }], tasks: { a: { kind: echo } } }").await;
    let before = plan(&registry, "{ dag: before, schedule: '@daily', tasks: { a: { kind: echo } } }");
    let logical_time = utc("2026-02-03T00:00:00Z");
    let new = NewRun { plan: &before, logical_time, trigger: Trigger::Schedule, params: Map::new(), only: None };
    let first = runs::create(pool, &new).await.expect("a run").run_id();
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty(), "it has not succeeded yet");
    assert_eq!(drain(pool, &registry, first).await, RunState::Success);
    let (one, other) = (scheduler(pool), scheduler(pool));
    let (a, b) = tokio::join!(one.tick(utc(NOW)), other.tick(utc(NOW)));
    assert_eq!(a.expect("ticked").len() + b.expect("ticked").len(), 1);
    let found = runs_of(pool, "after").await;
    let after = &found[0];
    // It is about what the other was about.
    assert_eq!((after.logical_time, after.trigger.as_str()), (logical_time, "dag"));
    assert_eq!((after.interval_start, after.interval_end), (utc("2026-02-02T00:00:00Z"), logical_time));
    let words = runs::cause_words(&after.cause.as_ref().expect("a cause")[0]);
    assert_eq!(words, format!("run {first} of before succeeded"));
    // A retry of what succeeded is no second success.
    runs::retry(pool, first, Some("a")).await.expect("retried");
    assert_eq!(drain(pool, &registry, first).await, RunState::Success);
    assert!(one.tick(utc(NOW)).await.expect("ticked").is_empty());
    // A failure is none at all.
    let text = "{ dag: before, tasks: { a: { kind: flaky, failures: 9 } } }";
    assert_eq!(run(pool, &registry, text).await.1, RunState::Failed);
    assert!(one.tick(utc(NOW)).await.expect("ticked").is_empty());
}

#[tokio::test]
async fn datasets_start_a_run_once_all_of_them_or_any_were_published() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text = |dag: &str, more: &str| {
        format!(
            "{{ dag: {dag}, triggers: [{{ datasets: [orders, customers]{more} }}], tasks: {{ a: {{ kind: echo }} }} }}"
        )
    };
    deploy(pool, &registry, &text("whole", "")).await;
    deploy(pool, &registry, &text("each", ", any: true")).await;
    let scheduler = scheduler(pool);
    publish(pool, "orders", (1, 2), "passed").await;
    publish(pool, "orders", (2, 3), "quarantined").await;
    publish(pool, "customers", (0, 1), "failed").await;
    publish(pool, "stock", (0, 1), "passed").await;
    assert_eq!(scheduler.tick(utc(NOW)).await.expect("ticked").len(), 1);
    assert_eq!((runs_of(pool, "whole").await.len(), runs_of(pool, "each").await.len()), (0, 1));
    publish(pool, "customers", (4, 6), "passed").await;
    assert_eq!(scheduler.tick(utc(NOW)).await.expect("ticked").len(), 2);
    let found = runs_of(pool, "whole").await;
    let hour = |hour: i64| utc("2026-02-01T00:00:00Z") + TimeDelta::hours(hour);
    // From the first publication since the last run to the last one.
    assert_eq!((found[0].interval_start, found[0].interval_end), (hour(1), hour(6)));
    assert_eq!(found[0].cause.as_ref().and_then(|cause| cause.as_array()).expect("a list").len(), 3);
    // What one run took is no news to the next.
    publish(pool, "orders", (6, 7), "passed").await;
    assert_eq!(scheduler.tick(utc(NOW)).await.expect("ticked").len(), 1);
    assert_eq!(runs_of(pool, "whole").await.len(), 1);
}

#[tokio::test]
async fn a_batch_that_passes_at_a_later_try_is_a_publication_too() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: d, triggers: [{ datasets: [orders] }], tasks: { a: { kind: echo } } }").await;
    publish(pool, "orders", (0, 1), "failed").await;
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    // As `insert_load.sql` does it: the row that the gate refused is given up to the next try, twice here.
    for verdict in ["failed", "passed", "quarantined"] {
        sqlx::query(
            "update sluice.load_ledger set verdict = $1, loaded = (($1 <> 'failed')::int) where dataset = 'orders'",
        )
        .bind(verdict)
        .execute(pool)
        .await
        .expect("tried again");
    }
    assert_eq!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len(), 1);
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
}

#[tokio::test]
async fn each_of_two_dags_that_a_third_waits_for_starts_it() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: after, triggers: [{ dag: a }, { dag: b }], tasks: { a: { kind: echo } } }").await;
    let logical_time = utc("2026-02-03T00:00:00Z");
    for dag in ["a", "b"] {
        let before =
            plan(&registry, &format!("{{ dag: {dag}, schedule: '@daily', tasks: {{ a: {{ kind: echo }} }} }}"));
        let new = NewRun { plan: &before, logical_time, trigger: Trigger::Schedule, params: Map::new(), only: None };
        let run_id = runs::create(pool, &new).await.expect("a run").run_id();
        assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
        assert_eq!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len(), 1, "{dag}");
    }
    let found = runs_of(pool, "after").await;
    assert_eq!(found.len(), 2);
    // Of the same instant, but for a microsecond, and about the same data.
    assert_eq!(found[1].logical_time - found[0].logical_time, TimeDelta::microseconds(1));
    assert_eq!((found[0].interval_start, found[0].interval_end), (found[1].interval_start, found[1].interval_end));
}

#[tokio::test]
async fn a_dag_that_is_retired_waits_for_nothing() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text = "{ dag: d, triggers: [{ datasets: [orders] }], tasks: { a: { kind: echo } } }";
    deploy(pool, &registry, text).await;
    runs::retire_others(pool, &[]).await.expect("retired");
    publish(pool, "orders", (0, 1), "passed").await;
    deploy(pool, &registry, text).await;
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    publish(pool, "orders", (1, 2), "passed").await;
    assert_eq!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len(), 1);
}

#[tokio::test]
async fn many_files_at_once_make_their_runs_in_more_than_one_tick() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: d, triggers: [{ file: '*.csv' }], tasks: { a: { kind: echo } } }").await;
    let file = |number: i64| Arrival { path: format!("{number}.csv"), bytes: 1, modified: utc(NOW) };
    let files: Vec<Arrival> = (0..60).map(file).collect();
    assert_eq!(runs::arrived(pool, "d", 0, "*.csv", &files).await.expect("noted"), 60);
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len());
    }
    assert_eq!(made, [50, 10, 0]);
}

#[tokio::test]
async fn what_comes_while_a_dag_is_paused_does_not_concern_it() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text = "{ dag: d, triggers: [{ datasets: [orders] }], tasks: { a: { kind: echo } } }";
    deploy(pool, &registry, text).await;
    let planned = plan(&registry, text);
    runs::pause(pool, &planned, true, utc(NOW)).await.expect("paused");
    publish(pool, "orders", (0, 1), "passed").await;
    runs::pause(pool, &planned, false, utc(NOW)).await.expect("resumed");
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    publish(pool, "orders", (1, 2), "passed").await;
    assert_eq!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len(), 1);
    // An entry that is gone forgets what it waited for.
    publish(pool, "orders", (2, 3), "passed").await;
    deploy(pool, &registry, "{ dag: d, triggers: [{ datasets: [stock] }], tasks: { a: { kind: echo } } }").await;
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    let left: i64 = sqlx::query_scalar("select count(*) from sluice.trigger_event where run_id is null")
        .fetch_one(pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_cause_and_what_it_belongs_to_are_one_transaction() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: d, triggers: [{ datasets: [orders] }], tasks: { a: { kind: echo } } }").await;
    let mut transaction = pool.begin().await.expect("a transaction");
    sqlx::query(
        "insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded,
                                         quarantined, deduplicated)
         values ('orders', 'b', now(), now(), 'passed', 1, 1, 0, 0)",
    )
    .execute(&mut *transaction)
    .await
    .expect("published");
    // Not before it is committed, and never if it is not.
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    transaction.rollback().await.expect("rolled back");
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
    // A DAG does not start itself by what it publishes.
    let run_id = start(pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: echo } } }")).await;
    sqlx::query(
        "insert into sluice.load_ledger (dataset, batch_id, run_id, interval_start, interval_end, verdict, read, loaded,
                                         quarantined, deduplicated)
         values ('orders', 'b', $1, now(), now(), 'passed', 1, 1, 0, 0)",
    )
    .bind(run_id)
    .execute(pool)
    .await
    .expect("published");
    assert!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").is_empty());
}

fn touch(path: &Path, text: &str, modified: DateTime<Utc>) {
    fs::write(path, text).expect("written");
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.set_modified(SystemTime::from(modified)).expect("dated");
}

#[tokio::test]
async fn each_file_that_comes_or_changes_starts_a_run() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let (project, lake) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::create_dir(project.path().join("inbox")).expect("made");
    let text = "
        dag: d
        params: { file: '' }
        triggers:
          - { file: 'inbox/*.csv', settle: 1m, as: file }
          - { object: 'raw/*.parquet', settle: 0s, as: file }
        tasks: { a: { kind: echo, say: '{{ params.file }}' } }";
    deploy(pool, &registry, text).await;
    let places = Places {
        folder: Some(project.path().to_owned()),
        lake: Some(Lake::open(lake.path().to_str().expect("UTF-8")).expect("a lake")),
    };
    let scheduler =
        Scheduler::new(pool.clone(), SchedulerOptions { places: places.clone(), ..SchedulerOptions::default() });
    let now = Utc::now();
    let turn = async |now: DateTime<Utc>| {
        scheduler.look(now).await.expect("looked");
        scheduler.tick(now).await.expect("ticked").len()
    };
    let path = |name: &str| project.path().join("inbox").join(name);
    touch(&path("a.csv"), "1", now - TimeDelta::hours(1));
    touch(&path("b.csv"), "1", now - TimeDelta::seconds(30));
    touch(&path(".hidden.csv"), "1", now - TimeDelta::hours(1));
    touch(&path("c.txt"), "1", now - TimeDelta::hours(1));
    // One is still warm, and the others are none of it.
    assert_eq!(turn(now).await, 1);
    assert_eq!(turn(now).await, 0, "the same file is no news");
    assert_eq!(turn(now + TimeDelta::seconds(40)).await, 1);
    touch(&path("a.csv"), "12", now - TimeDelta::minutes(30));
    places.lake.as_ref().expect("a lake").put("raw/x.parquet", "12".as_bytes().to_vec()).await.expect("put");
    assert_eq!(turn(now + TimeDelta::minutes(5)).await, 2);
    let given: Vec<_> = runs_of(pool, "d").await.into_iter().map(|run| run.params["file"].clone()).collect();
    assert_eq!(given, [json!("inbox/a.csv"), json!("inbox/b.csv"), json!("inbox/a.csv"), json!("raw/x.parquet")]);
}

#[tokio::test]
async fn a_cause_of_which_no_run_can_be_made_keeps_no_other_waiting_and_is_not_lost() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text = |choices: &str| {
        format!(
            "{{ dag: d, params: {{ who: {{ type: text, default: ann{choices} }} }}, triggers: [{{ file: '*.txt' }}, \
             {{ file: '*.csv', as: who }}], tasks: {{ a: {{ kind: echo }} }} }}"
        )
    };
    let deploy = async |choices: &str| {
        // The check of the file refuses choices for a path; an older version may have let it pass.
        let mut planned = plan(&registry, &text(""));
        let narrow = plan(&registry, &text(choices).replace(", as: who", ""));
        (planned.declared, planned.version) = (narrow.declared, format!("{}{}", planned.version, choices.len()));
        runs::deploy(pool, &planned, utc(NOW)).await.expect("deployed");
    };
    deploy(", choices: [ann, b.csv]").await;
    let file = |name: &str| Arrival { path: name.to_owned(), bytes: 1, modified: utc(NOW) };
    runs::arrived(pool, "d", 1, "*.csv", &[file("a.csv"), file("b.csv")]).await.expect("noted");
    let made = async || scheduler(pool).tick(utc(NOW)).await.expect("ticked").len();
    assert_eq!(made().await, 1, "the good one has its run");
    assert_eq!(made().await, 0, "the bad one is not tried again and again");
    let alerts: Vec<(String, String)> =
        sqlx::query_as("select rule, message from sluice.alerts").fetch_all(pool).await.expect("alerts");
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].0, "trigger");
    assert!(alerts[0].1.starts_with("no run could be made: parameter `who` is"), "{}", alerts[0].1);
    let next = runs::why_next(pool, "d").await.expect("an answer").expect("a DAG");
    let words = next.facts.join("\n");
    assert!(words.contains("no run could be made for a.csv came, 1 bytes: parameter `who` is"), "{words}");
    // With the DAG mended, it has its run.
    deploy("").await;
    assert_eq!((made().await, made().await), (1, 0));
    let given: Vec<_> = runs_of(pool, "d").await.into_iter().map(|run| run.params["who"].clone()).collect();
    assert_eq!(given, [json!("b.csv"), json!("a.csv")]);
}

#[tokio::test]
async fn the_success_of_one_task_is_not_the_success_of_its_dag() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    deploy(pool, &registry, "{ dag: after, triggers: [{ dag: before }], tasks: { a: { kind: echo } } }").await;
    let before = plan(&registry, "{ dag: before, tasks: { a: { kind: echo }, b: { kind: echo, needs: [a] } } }");
    let run = async |only: Option<&str>| {
        let new =
            NewRun { plan: &before, logical_time: Utc::now(), trigger: Trigger::Manual, params: Map::new(), only };
        let run_id = runs::create(pool, &new).await.expect("a run").run_id();
        assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
        scheduler(pool).tick(utc(NOW)).await.expect("ticked").len()
    };
    assert_eq!(run(Some("a")).await, 0);
    assert_eq!(run(None).await, 1);
    assert_eq!(run(Some("b")).await, 0);
}

#[tokio::test]
async fn why_says_what_a_dag_waits_for() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let next = async |dag: &str| {
        let why = runs::why_next(pool, dag).await.expect("an answer").expect("a DAG");
        (why.state, why.because, why.facts)
    };
    assert_eq!(runs::why_next(pool, "nobody").await.expect("an answer"), None);
    deploy(pool, &registry, "{ dag: alone, tasks: { a: { kind: echo } } }").await;
    assert_eq!(next("alone").await.0, "by hand");
    let text = "{ dag: d, triggers: [{ datasets: [orders, stock] }, { dag: alone }], tasks: { a: { kind: echo } } }";
    deploy(pool, &registry, text).await;
    assert_eq!(next("d").await.1, "no scheduler is alive to make its next run");
    runs::lead(pool, "scheduler", "me", std::time::Duration::from_mins(1)).await.expect("asked").expect("leads");
    publish(pool, "stock", (0, 1), "passed").await;
    let (state, _, facts) = next("d").await;
    assert_eq!(state, "waiting");
    assert!(facts[0].starts_with("a trigger waits for orders (nothing yet), stock (came at "), "{facts:?}");
    assert_eq!(facts[1], "a trigger waits for the success of alone");
    deploy(pool, &registry, "{ dag: daily, schedule: '@daily', tasks: { a: { kind: echo } } }").await;
    assert_eq!(next("daily").await.0, "due", "the clock of this test is behind");
    let daily = plan(&registry, "{ dag: daily, schedule: '@daily', tasks: { a: { kind: echo } } }");
    runs::pause(pool, &daily, true, utc(NOW)).await.expect("paused");
    assert_eq!(next("daily").await.0, "paused");
    runs::retire_others(pool, &["d".to_owned()]).await.expect("retired");
    assert_eq!(next("alone").await.0, "retired");
    // A run says what it follows from.
    publish(pool, "orders", (0, 1), "passed").await;
    assert_eq!(scheduler(pool).tick(utc(NOW)).await.expect("ticked").len(), 1);
    let run = &runs_of(pool, "d").await[0];
    let why = runs::why(pool, run.run_id, None).await.expect("an answer");
    let follows = why[0].facts.iter().filter(|fact| fact.starts_with("it follows from this: ")).count();
    assert_eq!(follows, 2, "{:?}", why[0].facts);
}

#[tokio::test]
async fn templates_read_what_started_the_run_in_each_attempt_and_version() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let text = |say: &str| {
        format!(
            "{{ dag: d, triggers: [{{ file: '*.csv' }}], tasks: {{
                a: {{ kind: echo, say: '{say}' }}, b: {{ kind: echo, needs: a, when: trigger.kind == \"file\" }},
                c: {{ kind: echo, for_each: {{ over: 'range(trigger.bytes | default(1))' }}, say: '{{{{ item }}}}' }} }} }}"
        )
    };
    deploy(pool, &registry, &text("{{ trigger.file }} {{ trigger.modified }}")).await;
    let file = Arrival { path: "7.csv".to_owned(), bytes: 2, modified: utc(NOW) };
    assert_eq!(runs::arrived(pool, "d", 0, "*.csv", &[file]).await.expect("noted"), 1);
    let run_id = scheduler(pool).tick(utc(NOW)).await.expect("ticked")[0];
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    let said = async |run_id: i64, task: &str| -> serde_json::Value {
        sqlx::query_scalar("select output -> 'say' from sluice.task_run where run_id = $1 and task = $2")
            .bind(run_id)
            .bind(task)
            .fetch_one(pool)
            .await
            .expect("an output")
    };
    assert_eq!(said(run_id, "a").await, json!("7.csv 2026-03-01T12:00:00Z"));
    assert_eq!(said(run_id, "c[1]").await, json!(1));
    // Another version and another attempt, long after the file has gone: it is the run that knows.
    deploy(pool, &registry, &text("again {{ trigger.file }}")).await;
    let on = runs::current_plan(pool, "d").await.expect("read").expect("deployed");
    let wish = runs::Retry { task: Some("a"), reach: runs::Reach::Only, on: Some(&on) };
    let actor = runs::Actor { name: "me".to_owned(), via: runs::Via::Cli };
    runs::Person::new(pool, &actor).retry(run_id, &wish, false).await.expect("retried");
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(said(run_id, "a").await, json!("again 7.csv"));
    // By hand there is no file, and the task that wants it says so.
    let by_hand = start(pool, &on).await;
    assert_eq!(drain(pool, &registry, by_hand).await, RunState::Failed);
    let error: String = sqlx::query_scalar(
        "select a.error from sluice.attempt a join sluice.task_run t using (task_run_id) where t.run_id = $1 and t.task = 'a'",
    )
    .bind(by_hand)
    .fetch_one(pool)
    .await
    .expect("an error");
    let says = "say: the template `again {{ trigger.file }}` fails: a run by hand has no `trigger.file`: \
                `trigger.file | default(…)` is for such a run, and `trigger.kind` says `manual`";
    assert_eq!(error, says);
}

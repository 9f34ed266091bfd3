//! Runs that ended long ago: they move whole, read as before, are changed no more, and are dropped by the month.

use std::time::Duration;

use chrono::{DateTime, Months, NaiveDate, TimeDelta, Utc};
use orchestrator::{Archived, Retention, Scheduler, SchedulerOptions, archive};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;
use warehouse::{
    lake::Lake,
    runs::{self, Actor, Clear, Created, KEPT, Mark, NewBackfill, NewRun, Person, Retry, RunError, Trigger, Via},
};
use workflow::{plan::Plan, state::RunState};

use crate::{
    kinds::Hands,
    support::{drain, eventually, plan, run, utc},
};

/// Whose rows move, those that refer first.
const TABLES: [&str; 5] = ["task_log", "attempt", "task_edge", "task_run", "dag_run"];
const DAY: Duration = Duration::from_hours(24);
const WEEK: Retention = Retention { archive_after: Duration::from_hours(7 * 24), runs: None };

/// Retries, an item that failed, one that was not needed: a little of everything that a run can hold.
const VARIED: &str = "
    dag: d
    defaults: { backoff: { from: 1ms, to: 1ms } }
    tasks:
      list: { kind: echo, say: [1, 2, 3] }
      take: { kind: flaky, needs: list, for_each: { over: outputs.list.say, as: n }, failures: '{{ n - 2 }}', attempts: 1 }
      again: { kind: flaky, failures: 2, attempts: 3 }
      gate: { kind: flaky, failures: 9, fault: gate }
      after: { kind: echo, needs: [again, gate] }
      mourn: { kind: echo, needs: gate, trigger_rule: one_failed }";

fn ada() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

/// Makes a DAG's runs so much older, with all that is theirs.
async fn age(pool: &PgPool, dag: &str, by: TimeDelta) {
    let by = by.num_seconds();
    for sql in [
        "update sluice.task_log l set at = at - make_interval(secs => $2) from sluice.attempt a, sluice.task_run t, sluice.dag_run r
         where r.dag = $1 and t.run_id = r.run_id and a.task_run_id = t.task_run_id and l.attempt_id = a.attempt_id",
        "update sluice.attempt a set queued_at = a.queued_at - make_interval(secs => $2), started_at = a.started_at - make_interval(secs => $2),
                finished_at = a.finished_at - make_interval(secs => $2) from sluice.task_run t, sluice.dag_run r
         where r.dag = $1 and t.run_id = r.run_id and a.task_run_id = t.task_run_id",
        "update sluice.task_run t set queued_at = t.queued_at - make_interval(secs => $2), started_at = t.started_at - make_interval(secs => $2),
                finished_at = t.finished_at - make_interval(secs => $2) from sluice.dag_run r where r.dag = $1 and t.run_id = r.run_id",
        "update sluice.dag_run set created_at = created_at - make_interval(secs => $2), started_at = started_at - make_interval(secs => $2),
                finished_at = finished_at - make_interval(secs => $2), logical_time = logical_time - make_interval(secs => $2)
         where dag = $1",
    ] {
        #[expect(clippy::cast_precision_loss, reason = "days")]
        sqlx::query(sql).bind(dag).bind(by as f64).execute(pool).await.expect(sql);
    }
}

/// As many later runs as keep a DAG's latest ones from the archive, so that the earlier ones can go.
async fn bury(pool: &PgPool, dag: &str) {
    later(pool, dag, KEPT).await;
}

async fn later(pool: &PgPool, dag: &str, runs: i64) {
    let sql = "insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open,
                                           started_at, finished_at)
               select r.dag, r.version, now() + n * interval '1 second', now(), now(), 'schedule', 'success', 0, now(), now()
               from (select dag, version from sluice.dag_run where dag = $1 limit 1) r, generate_series(1, $2) n";
    sqlx::query(sql).bind(dag).bind(runs).execute(pool).await.expect(sql);
}

async fn pass(pool: &PgPool) -> Archived {
    archive(pool, WEEK, None, Utc::now()).await.expect("a pass")
}

async fn count(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.expect(sql)
}

/// Every row of a run in a schema, by table, as JSON.
async fn rows(pool: &PgPool, schema: &str, run_id: i64) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    for table in TABLES {
        let by = match table {
            "task_log" => format!(
                "attempt_id in (select attempt_id from {schema}.attempt join {schema}.task_run using (task_run_id) where run_id = $1)"
            ),
            "attempt" => format!("task_run_id in (select task_run_id from {schema}.task_run where run_id = $1)"),
            _ => "run_id = $1".to_owned(),
        };
        let sql = format!(
            "select to_jsonb(x) - 'run_created_at' from {schema}.{table} x where {by} order by (to_jsonb(x) - 'run_created_at')::text"
        );
        let rows: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(run_id).fetch_all(pool).await.expect(table);
        found.extend(rows.into_iter().map(|row| (table, row)));
    }
    found
}

/// A varied run that is weeks old and can go.
async fn old_run(pool: &PgPool) -> i64 {
    let (run_id, state) = run(pool, &Hands::default().registry(), VARIED).await;
    assert_eq!(state, RunState::Failed);
    age(pool, "d", TimeDelta::days(20)).await;
    bury(pool, "d").await;
    run_id
}

#[tokio::test]
async fn a_run_moves_whole_and_column_by_column() {
    let db = testkit::database().await;
    let run_id = old_run(&db.pool).await;
    let before = rows(&db.pool, "sluice", run_id).await;
    assert!(TABLES.iter().all(|table| before.iter().any(|(of, _)| of == table)), "{before:?}");
    let columns = |schema: &str| {
        format!(
            "select count(*) from information_schema.columns where table_schema = '{schema}' and column_name <> 'run_created_at'
             and table_name in ('dag_run', 'task_run', 'task_edge', 'attempt', 'task_log')"
        )
    };
    assert_eq!(count(&db.pool, &columns("sluice")).await, count(&db.pool, &columns("sluice_archive")).await);
    assert_eq!(pass(&db.pool).await, Archived { runs: 1, months: 0 });
    assert_eq!(rows(&db.pool, "sluice_archive", run_id).await, before);
    assert_eq!(rows(&db.pool, "sluice", run_id).await, []);
    // A run's rows are all in the month in which it was made, and a second pass finds nothing.
    for table in TABLES {
        let made = if table == "dag_run" { "created_at" } else { "run_created_at" };
        let months = format!("select count(distinct {made}) from sluice_archive.{table}");
        assert_eq!(count(&db.pool, &months).await, 1, "{table}");
    }
    assert_eq!(pass(&db.pool).await, Archived::default());
}

/// What people see of a run, by whatever way.
async fn seen(pool: &PgPool, run_id: i64) -> Vec<Value> {
    let show = |rows: &dyn erased::Json| rows.json();
    let mut seen = vec![
        show(&runs::run(pool, run_id).await.expect("the run")),
        show(&runs::tasks(pool, run_id).await.expect("tasks")),
        show(&runs::items(pool, run_id, "take").await.expect("items")),
        show(&runs::attempts(pool, run_id).await.expect("attempts")),
        show(&runs::log_lines(pool, run_id, None, &std::collections::BTreeMap::new()).await.expect("logs")),
        show(&runs::list(pool, Some("d"), Some("failed"), 100).await.expect("a list")),
        show(&runs::versions(pool, "d").await.expect("versions")),
    ];
    for view in ["runs", "tasks", "attempts", "task_edges", "logs"] {
        let sql = format!(
            "select coalesce(jsonb_agg(v order by v::text), '[]') from (select to_jsonb(x) v from sluice.{view} x where run_id = $1) s"
        );
        seen.push(sqlx::query_scalar(AssertSqlSafe(sql)).bind(run_id).fetch_one(pool).await.expect(view));
    }
    seen
}

mod erased {
    pub(super) trait Json {
        fn json(&self) -> serde_json::Value;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).expect("JSON")
        }
    }
}

#[tokio::test]
async fn an_archived_run_reads_as_before() {
    let db = testkit::database().await;
    let run_id = old_run(&db.pool).await;
    let (before, why) = (seen(&db.pool, run_id).await, runs::why(&db.pool, run_id, None).await.expect("why"));
    assert!(before.iter().all(|part| !part.as_array().is_some_and(Vec::is_empty)), "{before:#?}");
    let of_gate = runs::why(&db.pool, run_id, Some("gate")).await.expect("why");
    pass(&db.pool).await;
    assert!(runs::is_archived(&mut db.pool.acquire().await.expect("a connection"), run_id).await.expect("asked"));
    for (before, after) in before.iter().zip(seen(&db.pool, run_id).await) {
        assert_eq!(before, &after);
    }
    // The reasons are the same; what could be done about it cannot any more.
    let archived = "its run is archived: it can be read, and is not changed any more";
    for (task, was) in [(None, why), (Some("gate"), of_gate)] {
        let now = runs::why(&db.pool, run_id, task).await.expect("why");
        assert_eq!(now.len(), was.len());
        assert_eq!(now[0].facts.last().map(String::as_str), Some(archived));
        for (was, now) in was.into_iter().zip(now) {
            let facts: Vec<_> = now.facts.into_iter().filter(|fact| fact != archived).collect();
            assert_eq!((was.task, was.state, was.because, was.facts), (now.task, now.state, now.because, facts));
            assert_eq!(now.hint, None);
        }
    }
    // How long a task usually takes is known from runs in both places.
    let usual = "select run_id, task from sluice.tasks where dag = 'd' and task = 'list' and state = 'success'";
    assert_eq!(sqlx::query(usual).fetch_all(&db.pool).await.expect(usual).len(), 1);
}

#[tokio::test]
async fn what_a_task_usually_takes_is_known_from_the_archive_too() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    for _ in 0..4 {
        run(&db.pool, &registry, "{ dag: d, tasks: { a: { kind: echo } } }").await;
    }
    let usual = async |run_id| runs::why(&db.pool, run_id, Some("a")).await.expect("why")[0].facts[0].clone();
    let hot = usual(4).await;
    assert!(hot.starts_with("it usually takes "), "{hot}");
    age(&db.pool, "d", TimeDelta::days(20)).await;
    later(&db.pool, "d", KEPT - 1).await;
    assert_eq!(pass(&db.pool).await.runs, 3);
    assert_eq!(usual(4).await, hot, "the run itself is not archived");
    later(&db.pool, "d", 1).await;
    assert_eq!(pass(&db.pool).await.runs, 1);
    assert_eq!(usual(4).await, hot);
}

/// A connection that is cut at any step of a batch leaves the run where it was, whole; the next pass moves it, once.
#[tokio::test]
async fn a_cut_at_any_step_loses_and_doubles_nothing() {
    let db = testkit::database().await;
    let run_id = old_run(&db.pool).await;
    let before = rows(&db.pool, "sluice", run_id).await;
    let hang_up = "create function public.hang_up() returns trigger language plpgsql as $$
                   begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$";
    sqlx::query(hang_up).execute(&db.pool).await.expect(hang_up);
    for table in TABLES {
        for step in [
            format!("before delete on sluice.{table}"),
            format!("after delete on sluice.{table}"),
            format!("after insert on sluice_archive.{table}"),
        ] {
            let arm = format!("create trigger hang_up {step} for each statement execute function public.hang_up()");
            sqlx::query(AssertSqlSafe(arm.clone())).execute(&db.pool).await.expect("armed");
            archive(&db.pool, WEEK, None, Utc::now()).await.expect_err(&arm);
            assert_eq!(rows(&db.pool, "sluice", run_id).await, before, "{step}");
            assert_eq!(rows(&db.pool, "sluice_archive", run_id).await, [], "{step}");
            let on = step.split_whitespace().last().expect("a table");
            sqlx::query(AssertSqlSafe(format!("drop trigger hang_up on {on}")))
                .execute(&db.pool)
                .await
                .expect("disarmed");
        }
    }
    assert_eq!(pass(&db.pool).await.runs, 1);
    assert_eq!(rows(&db.pool, "sluice_archive", run_id).await, before);
}

/// Several at once move each run once, and step over what someone else holds.
#[tokio::test]
async fn many_at_once_move_each_run_once_and_wait_for_nobody() {
    let db = testkit::database().await;
    let held = old_run(&db.pool).await;
    let more = "insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open,
                                            created_at, started_at, finished_at)
                select dag, version, logical_time - n * interval '1 minute', now(), now(), 'manual', 'failed', 0, created_at,
                       started_at, finished_at + n * interval '1 ms'
                from sluice.dag_run, generate_series(1, 1200) n where run_id = $1";
    sqlx::query(more).bind(held).execute(&db.pool).await.expect(more);
    later(&db.pool, "d", KEPT).await;
    let mut person = db.pool.begin().await.expect("a transaction");
    sqlx::query("select from sluice.dag_run where run_id = $1 for update")
        .bind(held)
        .execute(&mut *person)
        .await
        .expect("held");
    let (a, b, c) = tokio::time::timeout(Duration::from_mins(1), async {
        tokio::join!(pass(&db.pool), pass(&db.pool), pass(&db.pool))
    })
    .await
    .expect("nobody waits");
    assert_eq!(a.runs + b.runs + c.runs, 1200);
    assert_eq!(count(&db.pool, "select count(*) from sluice_archive.dag_run").await, 1200);
    person.rollback().await.expect("let go");
    assert_eq!(pass(&db.pool).await.runs, 1);
}

#[tokio::test]
async fn what_is_still_needed_stays() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let one = |dag: &str| format!("{{ dag: {dag}, tasks: {{ a: {{ kind: echo }} }} }}");
    // Each DAG has one run that is old, and the same number of later ones.
    let mut old = std::collections::BTreeMap::new();
    for dag in ["goes", "latest", "open", "held", "success", "fires", "filled", "ahead", "recent"] {
        let (run_id, _) = run(pool, &registry, &one(dag)).await;
        age(pool, dag, TimeDelta::days(20)).await;
        later(pool, dag, if dag == "latest" { KEPT - 1 } else { KEPT }).await;
        old.insert(dag, run_id);
    }
    let change = async |sql: &'static str, dag: &str| {
        assert!(sqlx::query(sql).bind(old[dag]).execute(pool).await.expect(sql).rows_affected() > 0, "{sql}");
    };
    change("update sluice.dag_run set state = 'running' where run_id = $1", "open").await;
    change("update sluice.attempt set state = 'running' where task_run_id in (select task_run_id from sluice.task_run where run_id = $1)", "held").await;
    change("update sluice.dag_run set state = 'failed' where dag = 'success' and run_id <> $1", "success").await;
    change("update sluice.dag_run set trigger = 'schedule' where run_id = $1", "fires").await;
    change("update sluice.dag_run set trigger = 'manual' where dag = 'fires' and run_id <> $1", "fires").await;
    change("update sluice.dag_run set logical_time = now() + interval '1 year' where run_id = $1", "ahead").await;
    change("update sluice.dag_run set finished_at = now() - interval '6 days' where run_id = $1", "recent").await;
    sqlx::query(
        "with b as (insert into sluice.backfill (kind, dag, from_day, to_day, parallel, actor)
                    values ('backfill', 'filled', now(), now(), 1, 'ada') returning backfill_id),
              o as (update sluice.dag_run set backfill_id = (select backfill_id from b) where run_id = $1)
         update sluice.dag_run set backfill_id = (select backfill_id from b), state = 'queued', finished_at = null
         where run_id = (select max(run_id) from sluice.dag_run where dag = 'filled')",
    )
    .bind(old["filled"])
    .execute(pool)
    .await
    .expect("a backfill");
    pass(pool).await;
    let gone: Vec<String> =
        sqlx::query_scalar("select dag from sluice_archive.dag_run").fetch_all(pool).await.expect("dags");
    assert_eq!(gone, ["goes"]);
    // Once nothing needs them, they go.
    sqlx::query("update sluice.dag_run set state = 'cancelled', finished_at = now() where state = 'queued'")
        .execute(pool)
        .await
        .expect("ended");
    sqlx::query("update sluice.attempt set state = 'lost' where state = 'running'").execute(pool).await.expect("lost");
    for dag in ["latest", "success", "fires"] {
        later(pool, dag, 1).await;
    }
    pass(pool).await;
    let mut gone: Vec<String> =
        sqlx::query_scalar("select dag from sluice_archive.dag_run").fetch_all(pool).await.expect("dags");
    gone.sort();
    assert_eq!(gone, ["filled", "fires", "goes", "held", "latest", "success"]);
}

fn daily(registry: &workflow::kind::Registry) -> Plan {
    plan(registry, "{ dag: daily, schedule: { cron: '0 0 * * *', catchup: true }, tasks: { a: { kind: echo } } }")
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

#[tokio::test]
async fn an_archived_run_is_changed_by_nobody_and_made_by_nobody_again() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let (pool, plan, actor) = (&db.pool, daily(&registry), ada());
    let person = Person::new(pool, &actor);
    runs::deploy(pool, &plan, utc("2026-01-01T12:00:00Z")).await.expect("deployed");
    let at =
        |time: &str, trigger| NewRun { plan: &plan, logical_time: utc(time), trigger, params: Map::new(), only: None };
    let run_id = runs::create(pool, &at("2026-01-02T00:00:00Z", Trigger::Schedule)).await.expect("made").run_id();
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    let ended = "update sluice.dag_run set finished_at = '2026-01-02T00:01:00Z', created_at = '2026-01-02T00:00:00Z' where run_id = $1";
    sqlx::query(ended).bind(run_id).execute(pool).await.expect(ended);
    later(pool, "daily", KEPT).await;
    assert_eq!(pass(pool).await.runs, 1);

    let said = format!("run {run_id} is archived: it can be read, and is not changed any more");
    let refused = |error: RunError| {
        assert!(error.is_usage());
        error.to_string()
    };
    assert_eq!(refused(person.retry(run_id, &Retry::default(), false).await.expect_err("archived")), said);
    assert_eq!(refused(person.mark(run_id, "a", Mark::Failed, "no").await.expect_err("archived")), said);
    assert_eq!(refused(person.cancel(run_id, None).await.expect_err("archived")), said);
    let clear = Clear {
        plan: &plan,
        from: day("2026-01-01"),
        to: day("2026-01-03"),
        task: None,
        newest_first: false,
        parallel: 1,
    };
    assert_eq!(
        refused(person.clear(&clear, true).await.expect_err("archived")),
        "1 run is archived in that span, the last one that of 2026-01-02 00:00 UTC, and cannot be cleared; take a span that begins after it"
    );
    // The instant has its run.
    for trigger in [Trigger::Schedule, Trigger::Manual] {
        let made = runs::create(pool, &at("2026-01-02T00:00:00Z", trigger)).await.expect("asked");
        assert_eq!(made, Created::Existing(run_id));
    }
    let fill = NewBackfill {
        plan: &plan,
        from: day("2026-01-01"),
        to: day("2026-01-03"),
        params: Map::new(),
        newest_first: false,
        parallel: 1,
    };
    let planned = runs::plan_backfill(pool, &fill).await.expect("planned");
    let lines: Vec<_> = planned
        .iter()
        .map(|line| (line.logical_time.format("%d").to_string(), line.run_id, line.state.as_str()))
        .collect();
    assert_eq!(lines[1], ("02".to_owned(), Some(run_id), "success"), "{lines:?}");
    assert_eq!(count(pool, "select count(*) from sluice.dag_run where logical_time = '2026-01-02T00:00:00Z'").await, 0);
    assert_eq!(count(pool, "select count(*) from sluice.task_run").await, 0, "nothing is left of what was not made");
}

/// A run that the archive takes while someone makes another of its instant: the later of the two finds the other.
#[tokio::test]
async fn a_run_that_is_archived_meanwhile_is_not_made_again() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let plan = daily(&registry);
    let new = NewRun {
        plan: &plan,
        logical_time: utc("2026-01-02T00:00:00Z"),
        trigger: Trigger::Manual,
        params: Map::new(),
        only: None,
    };
    let run_id = runs::create(&db.pool, &new).await.expect("made").run_id();
    drain(&db.pool, &registry, run_id).await;
    let mut moving = db.pool.begin().await.expect("a transaction");
    let moved: Vec<i64> = sqlx::query_scalar("select * from sluice.archive_runs(array[$1], now())")
        .bind(run_id)
        .fetch_all(&mut *moving)
        .await
        .expect("moved");
    assert_eq!(moved, [run_id]);
    let making = tokio::spawn({
        let (pool, plan) = (db.pool.clone(), plan.clone());
        async move {
            let new = NewRun {
                plan: &plan,
                logical_time: utc("2026-01-02T00:00:00Z"),
                trigger: Trigger::Manual,
                params: Map::new(),
                only: None,
            };
            runs::create(&pool, &new).await.expect("asked")
        }
    });
    eventually(&db.pool, "select count(*) >= $1 - $1 + 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'", 0).await;
    moving.commit().await.expect("archived");
    assert_eq!(making.await.expect("no panic"), Created::Existing(run_id));
    assert_eq!(count(&db.pool, "select count(*) from sluice.dag_run").await, 0);
}

#[tokio::test]
async fn months_are_dropped_whole_with_the_files_that_nobody_else_points_to() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let pool = &db.pool;
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).expect("a lake");
    let now = utc("2026-06-15T12:00:00Z");
    let keep = Retention { runs: Some(DAY * 60), ..WEEK };
    let mut made = Vec::new();
    for (made_at, file) in
        [("2026-02-10", "a"), ("2026-03-31", "shared"), ("2026-04-02", "b"), ("2026-05-02", "shared")]
    {
        let (run_id, _) = run(pool, &registry, "{ dag: d, tasks: { a: { kind: echo } } }").await;
        let path = format!("outputs/d/a/{file}.json");
        lake.put(&path, b"{}".to_vec()).await.expect("a file");
        let sql = "with t as (update sluice.task_run set output = $3 where run_id = $1)
                   update sluice.dag_run set created_at = $2, finished_at = $2, logical_time = $2 where run_id = $1";
        let output = json!({ "$output": { "path": path, "bytes": 2 } });
        let at: DateTime<Utc> = utc(&format!("{made_at}T00:30:00Z"));
        sqlx::query(sql).bind(run_id).bind(at).bind(output).execute(pool).await.expect(sql);
        made.push(run_id);
    }
    bury(pool, "d").await;
    sqlx::query(
        "insert into sluice.trigger_event (dag, entry, kind, source, key, detail, run_id)
                 values ('d', 0, 'file', 'f', 'k', '{}', $1), ('d', 0, 'dag', 'x', 'run 1', '{}', $1)",
    )
    .bind(made[0])
    .execute(pool)
    .await
    .expect("causes");
    // The session's own time zone does not say where a month ends.
    let done = archive(pool, WEEK, Some(&lake), now).await.expect("a pass");
    assert_eq!(done, Archived { runs: 4, months: 0 });
    let months = async || -> Vec<String> {
        let sql = "select relname::text from pg_class where relnamespace = 'sluice_archive'::regnamespace and relkind = 'r' order by 1";
        sqlx::query_scalar(sql).fetch_all(pool).await.expect(sql)
    };
    assert_eq!(months().await.len(), 4 * TABLES.len());

    // Someone reads the archive for long: nothing is dropped, and nobody waits behind the drop.
    let mut reader = pool.begin().await.expect("a transaction");
    sqlx::query("select count(*) from sluice.runs").execute(&mut *reader).await.expect("read");
    archive(pool, keep, Some(&lake), now).await.expect_err("it is read");
    assert_eq!(months().await.len(), 4 * TABLES.len());
    reader.commit().await.expect("read");

    let done = archive(pool, keep, Some(&lake), now).await.expect("a pass");
    assert_eq!(done, Archived { runs: 0, months: 2 }, "April ended less than 60 days ago");
    assert!(months().await.iter().all(|name| name.ends_with("2026_04") || name.ends_with("2026_05")));
    let files: Vec<_> = lake.list("outputs").await.expect("files").into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, ["outputs/d/a/b.json", "outputs/d/a/shared.json"]);
    assert!(matches!(runs::run(pool, made[0]).await, Err(RunError::NoRun(_))));
    runs::run(pool, made[2]).await.expect("April's run");
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from sluice.trigger_event").fetch_all(pool).await.expect("causes");
    assert_eq!(kinds, ["file"], "a file that is still there starts nothing again");
    // The rest goes when its time has come.
    let later = now.checked_add_months(Months::new(4)).expect("October");
    assert_eq!(archive(pool, keep, Some(&lake), later).await.expect("a pass").months, 2);
    assert_eq!(months().await, [""; 0]);
    assert_eq!(lake.list("outputs").await.expect("files"), []);
}

/// A migration gives a column to a table whose rows move: the archive has it from then on, with its default for what
/// moved before.
#[tokio::test]
async fn the_archive_follows_its_tables() {
    let db = testkit::database().await;
    let run_id = old_run(&db.pool).await;
    pass(&db.pool).await;
    sqlx::raw_sql(
        "alter table sluice.task_run add column mood text not null default 'calm';
                   alter table sluice.dag_run add column note text; select sluice.archive_follow()",
    )
    .execute(&db.pool)
    .await
    .expect("a column");
    let moods = "select count(*) from sluice.every_task_run where mood = 'calm'";
    assert_eq!(count(&db.pool, moods).await, count(&db.pool, "select count(*) from sluice_archive.task_run").await);
    let (second, _) = run(&db.pool, &Hands::default().registry(), VARIED).await;
    age(&db.pool, "d", TimeDelta::days(20)).await;
    sqlx::raw_sql("update sluice.task_run set mood = 'glad'; update sluice.dag_run set note = 'n'")
        .execute(&db.pool)
        .await
        .expect("used");
    bury(&db.pool, "d").await;
    let before = rows(&db.pool, "sluice", second).await;
    pass(&db.pool).await;
    assert_eq!(rows(&db.pool, "sluice_archive", second).await, before);
    assert_ne!(run_id, second);
}

/// What is asked for each task, each tick and each scrape sees nothing of the archive, however it is planned.
#[tokio::test]
async fn the_hot_path_does_not_see_the_archive() {
    let db = testkit::database().await;
    old_run(&db.pool).await;
    pass(&db.pool).await;
    let mut connection = db.pool.acquire().await.expect("a connection");
    macro_rules! statements {
        ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../../../sql/", $name, ".sql")))),*] };
    }
    let mut asked = 0;
    for (name, sql) in statements![
        "runs/claim",
        "runs/finish",
        "runs/count_down",
        "runs/settle",
        "runs/close_runs",
        "runs/close_run",
        "runs/renew",
        "runs/release_due",
        "runs/admit_tasks",
        "runs/admit_runs",
        "runs/held_up",
        "runs/expired",
        "runs/due_dags",
        "runs/missed_runs",
        "runs/missed_tasks",
        "runs/trigger_ready",
        "runs/trigger_take",
        "runs/create_run",
        "runs/expand",
        "runs/item",
        "runs/item_outputs",
        "runs/spend_retries",
        "runs/write_log",
        "runs/list_busy",
        "runs/list_dags",
        "web/metrics/tasks",
        "web/metrics/lease_age",
        "web/metrics/dags",
        "web/dags",
        "web/dag_grid",
    ] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let prepare =
                format!("set plan_cache_mode = {mode}; prepare asked as {}", sql.trim_end().trim_end_matches(';'));
            sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect(name);
            let parameters: i32 = sqlx::query_scalar(
                "select cardinality(parameter_types) from pg_prepared_statements where name = 'asked'",
            )
            .fetch_one(&mut *connection)
            .await
            .expect("its parameters");
            let nulls = vec!["null"; usize::try_from(parameters).expect("a count")].join(", ");
            let given = if nulls.is_empty() { nulls } else { format!("({nulls})") };
            let explain = AssertSqlSafe(format!("explain (verbose, format json) execute asked{given}"));
            let explained: Value = sqlx::query_scalar(explain).fetch_one(&mut *connection).await.expect(name);
            assert!(explained[0]["Plan"].is_object(), "{name}: {explained}");
            assert!(!explained.to_string().contains("sluice_archive"), "{name} sees the archive");
            sqlx::raw_sql("deallocate asked").execute(&mut *connection).await.expect("forgotten");
            asked += 1;
        }
    }
    assert_eq!(asked, 60);
    let source: String = sqlx::query_scalar("select string_agg(prosrc, '') from pg_proc where proname in ('hand_over', 'run_succeeded', 'dataset_published', 'rank')")
        .fetch_one(&mut *connection).await.expect("the functions");
    assert!(source.contains("sluice.task_run") && !source.contains("archive") && !source.contains("every_"));
}

/// Two schedulers, and nobody who asks for it.
#[tokio::test]
async fn the_leading_scheduler_archives() {
    let db = testkit::database().await;
    let run_id = old_run(&db.pool).await;
    let options = || SchedulerOptions { retention: WEEK, ..SchedulerOptions::default() };
    let stop = CancellationToken::new();
    let schedulers = [(); 2].map(|()| tokio::spawn(Scheduler::new(db.pool.clone(), options()).run(stop.clone())));
    eventually(&db.pool, "select exists (select from sluice_archive.dag_run where run_id = $1)", run_id).await;
    stop.cancel();
    for scheduler in schedulers {
        scheduler.await.expect("it ends");
    }
}

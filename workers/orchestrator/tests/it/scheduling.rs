//! Runs that come due, under a clock that the test holds.

use orchestrator::{Scheduler, SchedulerOptions};
use sqlx::{AssertSqlSafe, PgPool};
use warehouse::runs;
use workflow::kind::Registry;

use crate::{
    kinds::Hands,
    support::{plan, utc},
};

fn scheduler(pool: &PgPool) -> Scheduler {
    Scheduler::new(pool.clone(), SchedulerOptions::default())
}

async fn deploy(pool: &PgPool, registry: &Registry, schedule: &str, now: &str) {
    let text = format!("{{ dag: d, schedule: {schedule}, tasks: {{ a: {{ kind: echo }} }} }}");
    runs::deploy(pool, &plan(registry, &text), utc(now)).await.expect("deployed");
}

async fn logical_times(pool: &PgPool) -> Vec<String> {
    let mut runs = runs::list(pool, None, None, 100).await.expect("runs");
    runs.reverse();
    runs.iter().map(|run| run.logical_time.format("%m-%d %H:%M").to_string()).collect()
}

#[tokio::test]
async fn two_schedulers_make_one_run() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    deploy(&db.pool, &registry, "'@daily'", "2026-01-01T12:00:00Z").await;
    let (one, other) = (scheduler(&db.pool), scheduler(&db.pool));
    let now = utc("2026-01-02T00:00:05Z");
    let (a, b) = tokio::join!(one.tick(now), other.tick(now));
    assert_eq!(a.expect("ticked").len() + b.expect("ticked").len(), 1);
    assert_eq!(logical_times(&db.pool).await, ["01-02 00:00"]);
    assert!(one.tick(now).await.expect("ticked").is_empty(), "and no second one later");
    let run = runs::find_run(&db.pool, "d").await.expect("the run");
    assert_eq!((run.interval_start, run.interval_end), (utc("2026-01-01T00:00:00Z"), utc("2026-01-02T00:00:00Z")));
}

#[tokio::test]
async fn nothing_runs_before_it_is_due() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    deploy(&db.pool, &registry, "'0 2 * * *'", "2026-01-01T12:00:00Z").await;
    assert!(scheduler(&db.pool).tick(utc("2026-01-02T01:59:59Z")).await.expect("ticked").is_empty());
    assert_eq!(scheduler(&db.pool).tick(utc("2026-01-02T02:00:00Z")).await.expect("ticked").len(), 1);
}

#[tokio::test]
async fn catch_up_makes_a_run_for_each_missed_fire() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let schedule = "{ cron: '0 2 * * *', catchup: true, start_date: 2026-01-01 }";
    deploy(&db.pool, &registry, schedule, "2026-01-03T12:00:00Z").await;
    scheduler(&db.pool).tick(utc("2026-01-03T12:00:00Z")).await.expect("ticked");
    assert_eq!(logical_times(&db.pool).await, ["01-01 02:00", "01-02 02:00", "01-03 02:00"]);
}

#[tokio::test]
async fn without_catch_up_the_latest_fire_stands_for_all() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    deploy(&db.pool, &registry, "'@hourly'", "2026-01-01T00:30:00Z").await;
    scheduler(&db.pool).tick(utc("2026-01-01T05:30:00Z")).await.expect("ticked");
    scheduler(&db.pool).tick(utc("2026-01-01T06:00:00Z")).await.expect("ticked");
    assert_eq!(logical_times(&db.pool).await, ["01-01 05:00", "01-01 06:00"]);
}

#[tokio::test]
async fn a_deadline_fires_for_a_run_that_never_started() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        schedule: { cron: '0 2 * * *', deadline: '08:00' }
        defaults: { on_failure: [ops] }
        tasks: { a: { kind: echo, deadline: 30m } }";
    runs::deploy(&db.pool, &plan(&registry, text), utc("2026-01-01T12:00:00Z")).await.expect("deployed");
    let scheduler = scheduler(&db.pool);
    let alerts = async || {
        let found: Vec<(String, i64)> = sqlx::query_as(
            "select a.message, count(o.outbox_id) from sluice.alert a left join sluice.outbox o using (alert_id)
             where a.rule = 'deadline' group by a.alert_id order by a.alert_id",
        )
        .fetch_all(&db.pool)
        .await
        .expect("alerts");
        found
    };
    // No worker is there.
    scheduler.tick(utc("2026-01-02T02:00:00Z")).await.expect("ticked");
    scheduler.tick(utc("2026-01-02T07:59:59Z")).await.expect("ticked");
    assert_eq!(alerts().await, []);
    for _ in 0..2 {
        scheduler.tick(utc("2026-01-02T08:00:00Z")).await.expect("ticked");
        let message = "d has not ended by 2026-01-02 08:00 UTC; it is running";
        assert_eq!(alerts().await, [(message.to_owned(), 1)], "told once, to the channel of its failures");
    }
    // The task's own deadline counts from when its run was made, by the database's clock.
    scheduler.tick(chrono::Utc::now() + chrono::TimeDelta::minutes(31)).await.expect("ticked");
    let told = alerts().await;
    assert!(told.iter().any(|(message, _)| message.starts_with("d.a has not ended by ")), "{told:?}");
}

#[tokio::test]
async fn an_end_date_that_is_moved_lets_the_schedule_go_on() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let next = async || runs::dags(&db.pool).await.expect("DAGs").remove(0).next.map(|t| t.to_rfc3339());
    deploy(&db.pool, &registry, "{ cron: '0 2 * * *', end_date: 2026-01-02 }", "2026-01-01T12:00:00Z").await;
    assert_eq!(next().await, None);
    deploy(&db.pool, &registry, "{ cron: '0 2 * * *', end_date: 2026-02-02 }", "2026-01-05T12:00:00Z").await;
    assert_eq!(next().await.as_deref(), Some("2026-01-06T02:00:00+00:00"));
}

#[tokio::test]
async fn once_runs_once_however_often_it_is_deployed() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    for now in ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"] {
        deploy(&db.pool, &registry, "'@once'", now).await;
        scheduler(&db.pool).tick(utc(now)).await.expect("ticked");
    }
    assert_eq!(logical_times(&db.pool).await, ["01-01 00:00"]);
}

#[tokio::test]
async fn a_new_version_keeps_the_planned_run_unless_the_schedule_changed() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let next = async || runs::dags(&db.pool).await.expect("DAGs").remove(0).next.map(|t| t.to_rfc3339());
    deploy(&db.pool, &registry, "'0 2 * * *'", "2026-01-01T12:00:00Z").await;
    deploy(&db.pool, &registry, "'0 2 * * *'", "2026-01-05T12:00:00Z").await;
    assert_eq!(next().await.as_deref(), Some("2026-01-02T02:00:00+00:00"));
    deploy(&db.pool, &registry, "'0 3 * * *'", "2026-01-05T12:00:00Z").await;
    assert_eq!(next().await.as_deref(), Some("2026-01-06T03:00:00+00:00"));
    assert_eq!(runs::retire_others(&db.pool, &[]).await.expect("retired"), 1);
    assert!(scheduler(&db.pool).tick(utc("2026-02-01T00:00:00Z")).await.expect("ticked").is_empty());
}

async fn deploy_as(pool: &PgPool, registry: &Registry, name: &str, more: &str) {
    let text = format!("{{ dag: {name}, schedule: '@daily'{more}, tasks: {{ a: {{ kind: echo }} }} }}");
    runs::deploy(pool, &plan(registry, &text), utc("2026-01-01T12:00:00Z")).await.expect("deployed");
}

#[tokio::test]
async fn all_dags_that_are_due_have_their_runs_in_one_tick() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    for number in 0..130 {
        deploy_as(&db.pool, &registry, &format!("d{number}"), "").await;
    }
    // As a newer build may have deployed it.
    sqlx::query("update sluice.dag_version set plan = '{\"from\": \"the future\"}' where dag in ('d1', 'd50')")
        .execute(&db.pool)
        .await
        .expect("changed");
    let now = utc("2026-01-02T00:00:05Z");
    assert_eq!(scheduler(&db.pool).tick(now).await.expect("ticked").len(), 128);
    assert!(scheduler(&db.pool).tick(now).await.expect("ticked").is_empty());
}

#[tokio::test]
async fn a_long_backfill_of_one_dag_keeps_no_other_waiting() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    deploy_as(&db.pool, &registry, "busy", ", max_active_runs: 1").await;
    deploy_as(&db.pool, &registry, "free", ", max_active_runs: 1").await;
    let now = utc("2026-01-02T00:00:05Z");
    let mut backfill = db.pool.begin().await.expect("a transaction");
    sqlx::query(include_str!("../../../../sql/runs/lock_dag.sql"))
        .bind("busy")
        .execute(&mut *backfill)
        .await
        .expect("it makes its runs");
    assert_eq!(scheduler(&db.pool).tick(now).await.expect("ticked").len(), 1);
    assert_eq!(runs::find_run(&db.pool, "free").await.expect("its run").dag, "free");
    backfill.commit().await.expect("made");
    assert_eq!(scheduler(&db.pool).tick(now).await.expect("ticked").len(), 1, "with the next tick");
}

/// Rows that the scans of a plan looked at, in all.
fn looked_at(plan: &serde_json::Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let below: f64 = plan["Plans"].as_array().into_iter().flatten().map(looked_at).sum();
    let scans = plan["Relation Name"].is_string();
    below
        + if scans { (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops") } else { 0.0 }
}

/// A tick looks at what is due and not at every DAG and each of its versions, whichever way Postgres plans it.
#[tokio::test]
async fn ten_thousand_dags_that_are_not_due_cost_a_tick_nothing() {
    let db = testkit::database().await;
    sqlx::raw_sql(
        "insert into sluice.dag_version (dag, version, plan)
         select 'dag_' || n, 'v' || v, jsonb_build_object('text', repeat(md5(n::text), 30))
         from generate_series(1, 10000) n, generate_series(1, 2) v;
         insert into sluice.dag (dag, version, next_run_at, next_fire_at)
         select 'dag_' || n, 'v2', now() + n * interval '1 s', now() + n * interval '1 s' from generate_series(1, 10000) n;
         analyze sluice.dag; analyze sluice.dag_version",
    )
    .execute(&db.pool)
    .await
    .expect("many DAGs");
    let mut connection = db.pool.acquire().await.expect("a connection");
    let sql = include_str!("../../../../sql/runs/due_dags.sql").trim_end().trim_end_matches(';');
    sqlx::raw_sql(AssertSqlSafe(format!("prepare due as {sql}"))).execute(&mut *connection).await.expect("prepared");
    for mode in ["force_custom_plan", "force_generic_plan"] {
        sqlx::raw_sql(AssertSqlSafe(format!("set plan_cache_mode = {mode}")))
            .execute(&mut *connection)
            .await
            .expect(mode);
        let explain = "explain (analyze, timing off, format json) execute due(now() + interval '3 s', null, null)";
        let plan: serde_json::Value = sqlx::query_scalar(explain).fetch_one(&mut *connection).await.expect(explain);
        assert!(looked_at(&plan[0]["Plan"]) < 20.0, "{mode}: {plan:#}");
    }
}

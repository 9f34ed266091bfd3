//! What has ended does not slow what goes on: judged by rows and pages that the loop visits, never by time.

use std::time::Duration;

use orchestrator::{Scheduler, SchedulerOptions};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use warehouse::runs::{self, ClaimRequest, Claimed, End, Ended, HandedOver, WellEnded};

use crate::{
    kinds::Hands,
    support::{plan, utc},
};

const DAG: &str = "
    dag: d
    schedule: { every: 1m, deadline: 1h }
    max_active_runs: 3
    tasks:
      a: { kind: echo }
      b: { kind: echo, needs: a }
      c: { kind: echo, needs: b, pool: narrow, deadline: 30m }";
const AFTER: &str = "{ dag: after, triggers: [{ dag: d }], tasks: { a: { kind: echo } } }";

/// A year of runs every five minutes, each with its tasks, edges and attempts, and the cause of another DAG's run.
const HISTORY: &str = "
    insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open,
                                created_at, started_at, finished_at)
    select v.dag, v.version, t, t - interval '5 min', t, 'schedule', 'success', 0, t, t, t + interval '1 min'
    from sluice.dag v, generate_series(1, 100000) as n,
         lateral (select timestamptz '2025-01-01 00:00Z' + n * interval '5 min' as t) as fire
    where v.dag = 'd';
    insert into sluice.task_run (run_id, task, kind, state, pool, needs_open, max_attempts, attempts, rank, queued_at,
                                 started_at, finished_at)
    select run_id, task, 'echo', 'success', case task when 'c' then 'narrow' end, 0, 3, 1,
           extract(epoch from created_at)::bigint, created_at, started_at, finished_at
    from sluice.dag_run, unnest('{a,b,c}'::text[]) as task
    where state = 'success'
    on conflict do nothing;
    insert into sluice.task_edge (run_id, task, needs)
    select run_id, e.task, e.needs from sluice.dag_run, (values ('b', 'a'), ('c', 'b')) as e(task, needs)
    where state = 'success'
    on conflict do nothing;
    insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at, started_at, finished_at)
    select task_run_id, 1, 'w', 'success', finished_at, queued_at, started_at, finished_at from sluice.task_run
    where state = 'success'
    on conflict do nothing;
    insert into sluice.trigger_event (dag, entry, kind, source, key, detail, run_id)
    select 'after', 0, 'dag', 'd', 'run ' || run_id, '{}', run_id from sluice.dag_run where state = 'success'
    on conflict do nothing;";

/// The server's own vacuum visits pages too, at times of its choice.
const NO_AUTOVACUUM: &str = "
    do $$
    declare name regclass;
    begin
        for name in select oid from pg_class where relnamespace = 'sluice'::regnamespace and relkind = 'r' loop
            execute format('alter table %s set (autovacuum_enabled = false)', name);
        end loop;
    end $$";

/// Everything that scheduler and worker ask of the store for the run that is due, and for the one that follows on it.
async fn once_around(pool: &PgPool, now: &str) {
    let scheduler = Scheduler::new(pool.clone(), SchedulerOptions::default());
    runs::lead(pool, "test", "w", Duration::from_mins(1)).await.expect("led");
    assert_eq!(scheduler.tick(utc(now)).await.expect("ticked").len(), 1, "one run is due");
    assert_eq!(work(pool).await, 3);
    assert_eq!(scheduler.tick(utc(now)).await.expect("ticked").len(), 1, "and one follows on its success");
    assert_eq!(work(pool).await, 1);
}

/// Takes one task after the other to its end, the short way where that is open; gives how many.
async fn work(pool: &PgPool) -> usize {
    let request = ClaimRequest {
        worker: "w".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: vec!["echo".to_owned()],
        limit: 1,
        lease: Duration::from_mins(1),
        run_id: None,
    };
    let (mut held, mut worked, output): (Option<Claimed>, usize, _) = (None, 0, json!(1));
    loop {
        runs::release_due(pool).await.expect("released");
        runs::reap(pool).await.expect("reaped");
        runs::admit(pool).await.expect("admitted");
        let mut connection = pool.acquire().await.expect("the connection");
        let ended = held.take();
        worked += usize::from(ended.is_some());
        if let Some(Claimed { fence, run_id, task_run_id, task, .. }) = &ended
            && task == "a"
        {
            let well = WellEnded {
                fence: *fence,
                run_id: *run_id,
                task_run_id: *task_run_id,
                task,
                output: &output,
                lines: &[],
                only_successor: None,
            };
            if let HandedOver::Done(next) = runs::hand_over(&mut connection, &well, &request).await.expect("told") {
                held = next.map(|next| *next);
                continue;
            }
        }
        let ended = ended.map(|task| Ended {
            fence: task.fence,
            end: End::Success { output: output.clone() },
            lines: Vec::new(),
        });
        let over = ended.is_none();
        let exchange = runs::exchange(&mut connection, ended.as_slice(), Some(&request)).await.expect("told");
        held = exchange.claimed.into_iter().next();
        if over && held.is_none() {
            return worked;
        }
    }
}

/// Rows and pages of Sluice's tables that have been visited so far. `own` is the connection that visits them.
async fn visited(own: &PgPool, pool: &PgPool) -> (i64, i64) {
    sqlx::query("select pg_stat_force_next_flush()").execute(own).await.expect("flushed");
    sqlx::query("select").execute(own).await.expect("flushed");
    sqlx::query_as(
        "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int8,
                sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0) + coalesce(idx_blks_hit, 0)
                    + coalesce(idx_blks_read, 0))::int8
         from pg_stat_user_tables join pg_statio_user_tables using (relid) where pg_stat_user_tables.schemaname = 'sluice'",
    )
    .fetch_one(pool)
    .await
    .expect("statistics")
}

#[tokio::test]
async fn a_dag_with_100_000_finished_runs_does_not_slow_the_loop() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    for text in [DAG, AFTER] {
        runs::deploy(&db.pool, &plan(&registry, text), utc("2026-01-01T00:00:30Z")).await.expect("deployed");
    }
    sqlx::raw_sql(NO_AUTOVACUUM).execute(&db.pool).await.expect("an undisturbed database");
    let own = PgPoolOptions::new().max_connections(1).connect(&db.url).await.expect("a connection");
    let measure = async |now: &str| {
        let before = visited(&own, &db.pool).await;
        once_around(&own, now).await;
        let after = visited(&own, &db.pool).await;
        (after.0 - before.0, after.1 - before.1)
    };
    // The first time around, plans are made and tables get their first pages.
    once_around(&own, "2026-01-01T00:01:00Z").await;
    let young = measure("2026-01-01T00:02:00Z").await;
    // What another connection visited may be told a second late, and counted as the loop's.
    sqlx::raw_sql(HISTORY).execute(&own).await.expect("a history");
    sqlx::raw_sql("vacuum analyze").execute(&own).await.expect("statistics of the tables");
    once_around(&own, "2026-01-01T00:03:00Z").await;
    let old = measure("2026-01-01T00:04:00Z").await;
    assert!(old.0 <= young.0 + 50, "rows visited: {} before, {} with 100,000 runs more", young.0, old.0);
    assert!(old.1 <= young.1 * 2, "pages visited: {} before, {} with 100,000 runs more", young.1, old.1);
}

/// Postgres writes all indexes of a row anew once a column that one of them names has changed, if only in its predicate.
#[tokio::test]
async fn the_end_of_an_attempt_that_went_well_changes_no_index() {
    let db = testkit::database().await;
    let indexes: Vec<String> = sqlx::query_scalar(
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'sluice.attempt'::regclass",
    )
    .fetch_all(&db.pool)
    .await
    .expect("the indexes");
    assert!(!indexes.is_empty());
    for index in indexes {
        for column in ["state", "finished_at", "lease_until"] {
            assert!(!index.contains(column), "{column} changes at the end, and is in: {index}");
        }
    }
}

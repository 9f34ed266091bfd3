//! The trail is walked up to where nothing can come in between any more.

use sqlx::{PgConnection, PgPool};
use warehouse::trail::{self, Event, Fence, Place, Sink};

/// A run with an attempt that goes on, in the caller's transaction; the attempt.
async fn attempt(connection: &mut PgConnection, dag: &str) -> i64 {
    let sql = "with v as (insert into sluice.dag_version (dag, version, plan) values ($1, 'v', '{}') returning dag, version),
                    r as (insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger,
                                                      state, tasks_open, started_at)
                          select dag, version, clock_timestamp(), now(), now(), 'manual', 'running', 1, clock_timestamp()
                          from v
                          returning run_id),
                    t as (insert into sluice.task_run (run_id, task, kind, state, needs_open, max_attempts, started_at)
                          select run_id, 't', 'k', 'running', 0, 1, clock_timestamp() from r returning task_run_id)
               insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at)
               select task_run_id, 1, 'w', 'running', now() + interval '1 hour', now() from t
               returning attempt_id";
    sqlx::query_scalar(sql).bind(dag).fetch_one(connection).await.expect("an attempt")
}

/// Tells a step up to a fence; `DAG what` of each event.
async fn walk(pool: &PgPool, up_to: Place) -> Vec<String> {
    let from = trail::open(pool, Sink::Lineage).await.expect("a place");
    let step = trail::step(pool, Sink::Lineage, from, up_to, 100).await.expect("a step");
    let words = step.events.iter().map(|event| {
        let what = match event {
            Event::RunBegan(_) => "began",
            Event::RunEnded(..) => "ended",
            Event::AttemptBegan(..) => "attempt began",
            Event::AttemptEnded(..) => "attempt ended",
        };
        format!("{} {what}", event.run().dag)
    });
    let words = words.collect();
    assert!(step.told(pool, 0).await.expect("noted"));
    words
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_waited_for_and_never_left_out() {
    let db = testkit::database().await;
    let pool = &db.pool;
    let place = trail::open(pool, Sink::Lineage).await.expect("a place");
    assert!(Fence::set(pool, place).await.expect("a fence").is_none(), "there is nothing new");

    let mut late = pool.begin().await.expect("a transaction");
    let first = attempt(&mut late, "late").await;
    let mut connection = pool.acquire().await.expect("a connection");
    let second = attempt(&mut connection, "early").await;
    assert!(first < second, "numbers go by who came first");

    let mut fence = Fence::set(pool, place).await.expect("a fence").expect("something new");
    assert_eq!(fence.passed(pool).await.expect("asked"), None, "a number is given out whose row may still come");
    // Whoever begins later is not waited for.
    let mut later = pool.begin().await.expect("a transaction");
    attempt(&mut later, "later").await;
    late.commit().await.expect("committed");
    let up_to = fence.passed(pool).await.expect("asked").expect("passed");
    assert_eq!(up_to.last_attempt, second);
    assert_eq!(walk(pool, up_to).await, ["late began", "early began", "late attempt began", "early attempt began"]);

    later.commit().await.expect("committed");
    let place = trail::open(pool, Sink::Lineage).await.expect("a place");
    assert_eq!(place, up_to);
    let mut fence = Fence::set(pool, place).await.expect("a fence").expect("something new");
    let up_to = fence.passed(pool).await.expect("asked").expect("passed");
    assert_eq!(walk(pool, up_to).await, ["later began", "later attempt began"]);
}

#[tokio::test]
async fn of_two_that_walk_at_once_one_gets_on() {
    let db = testkit::database().await;
    let pool = &db.pool;
    let from = trail::open(pool, Sink::Traces).await.expect("a place");
    attempt(&mut pool.acquire().await.expect("a connection"), "d").await;
    let mut fence = Fence::set(pool, from).await.expect("a fence").expect("something new");
    let up_to = fence.passed(pool).await.expect("asked").expect("passed");
    let step = || trail::step(pool, Sink::Traces, from, up_to, 100);
    let (one, other) = (step().await.expect("a step"), step().await.expect("a step"));
    assert!(one.told(pool, 0).await.expect("noted"));
    assert!(!other.told(pool, 0).await.expect("noted"), "it has been told already");
}

#[tokio::test]
async fn a_run_that_goes_on_while_its_end_is_told_is_not_forgotten() {
    let db = testkit::database().await;
    let pool = &db.pool;
    let from = trail::open(pool, Sink::Lineage).await.expect("a place");
    attempt(&mut pool.acquire().await.expect("a connection"), "d").await;
    let set = async |sql: &'static str| sqlx::query(sql).execute(pool).await.expect(sql);
    let fence = async |from| match Fence::set(pool, from).await.expect("a fence") {
        Some(mut fence) => fence.passed(pool).await.expect("asked").expect("passed"),
        None => from,
    };
    let up_to = fence(from).await;
    assert_eq!(walk(pool, up_to).await, ["d began", "d attempt began"]);
    set("update sluice.attempt set state = 'failed', finished_at = clock_timestamp()").await;
    set("update sluice.task_run set state = 'failed', finished_at = clock_timestamp()").await;
    set("update sluice.dag_run set state = 'failed', finished_at = clock_timestamp()").await;
    let step = trail::step(pool, Sink::Lineage, up_to, up_to, 100).await.expect("a step");
    assert_eq!(step.events.len(), 2, "the ends");
    set("update sluice.dag_run set state = 'running', finished_at = null").await;
    assert!(step.told(pool, 0).await.expect("noted"));
    set("update sluice.dag_run set state = 'success', finished_at = clock_timestamp()").await;
    // The first end is told again, as the same one, and then the second life.
    assert_eq!(walk(pool, up_to).await, ["d began", "d ended", "d ended"]);
    assert!(walk(pool, up_to).await.is_empty());
}

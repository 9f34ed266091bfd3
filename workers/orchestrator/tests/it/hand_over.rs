//! The short way from one task to the next leaves what the long way leaves.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use testkit::Dice;
use warehouse::runs::{self, ClaimRequest, Claimed, End, Ended, HandedOver, Line, WellEnded};
use workflow::{
    error::ErrorDomain,
    log::{LogLevel, LogLine},
    plan::Plan,
};

use crate::{
    kinds::Hands,
    support::{RULES, plan, start},
};

/// A DAG of 1 to 12 tasks with needs, rules, priorities, and a pool or a key here and there.
fn dag(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut text = format!("dag: d{seed}\ntasks:\n");
    for task in 0..=dice.roll(12) {
        let needs: Vec<String> = (0..task).filter(|_| dice.roll(3) == 0).map(|need| format!("t{need}")).collect();
        let rule = if needs.is_empty() { "all_success" } else { dice.pick(&RULES) };
        let pool = match dice.roll(8) {
            0 => ", pool: narrow",
            1 => ", concurrency: { key: one, limit: 1 }",
            _ => "",
        };
        writeln!(
            text,
            "  t{task}: {{ kind: echo, attempts: 1, needs: [{}], trigger_rule: {rule}, priority: {}{pool} }}",
            needs.join(", "),
            dice.roll(3),
        )
        .expect("strings take all");
    }
    text
}

fn request(run_id: i64, limit: usize) -> ClaimRequest {
    ClaimRequest {
        worker: "hand".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: vec!["echo".to_owned()],
        limit,
        lease: Duration::from_mins(1),
        run_id: Some(run_id),
    }
}

/// How a task ends, by its name alone: most of them well.
fn end(seed: u64, task: &str) -> End {
    let place: u64 = task[1..].parse().expect("a number");
    if Dice::new(seed ^ (place << 32)).roll(5) == 0 {
        End::Failed {
            domain: ErrorDomain::User,
            error: "it had to".to_owned(),
            gate: false,
            service: None,
            retry: None,
        }
    } else {
        End::Success { output: json!({ "of": task, "nul": "a\0b" }) }
    }
}

/// A run that was taken to its end.
struct Walk {
    run_id: i64,
    /// In what order its tasks ran.
    order: Vec<String>,
    /// How many went the short way.
    shorts: usize,
}

/// Takes one task after another to its end.
async fn walk(pool: &PgPool, plan: &Plan, seed: u64, short: bool) -> Walk {
    let run_id = start(pool, plan).await;
    let straight_on = plan.straight_on();
    let mut connection = pool.acquire().await.expect("a connection");
    let connection: &mut PgConnection = &mut connection;
    let (mut held, mut order, mut shorts): (Option<Claimed>, Vec<String>, usize) = (None, Vec::new(), 0);
    loop {
        let Some(task) = held.take() else {
            let claimed = runs::exchange(connection, &[], Some(&request(run_id, 1))).await.expect("claimed").claimed;
            match claimed.into_iter().next() {
                Some(task) => held = Some(task),
                None if runs::admit(pool).await.is_ok() && queued(pool, run_id).await => {}
                None => return Walk { run_id, order, shorts },
            }
            continue;
        };
        order.push(task.task.clone());
        let log = LogLine { at: task.logical_time, level: LogLevel::Info, line: format!("{} says\0", task.task) };
        let lines = vec![Line { seq: 1, line: log }];
        let end = end(seed, &task.task);
        if short
            && let Some(&only_successor) = straight_on.get(task.task.as_str())
            && let End::Success { output } = &end
        {
            let Claimed { fence, run_id, task_run_id, .. } = task;
            let well =
                WellEnded { fence, run_id, task_run_id, task: &task.task, output, lines: &lines, only_successor };
            if let HandedOver::Done(next) = runs::hand_over(connection, &well, &request(run_id, 1)).await.expect("told")
            {
                shorts += 1;
                held = next.map(|next| *next);
                continue;
            }
        }
        let ended = Ended { fence: task.fence, end, lines };
        let exchange = runs::exchange(connection, &[ended], Some(&request(run_id, 1))).await.expect("told");
        assert_eq!(exchange.accepted.len(), 1);
        held = exchange.claimed.into_iter().next();
    }
}

async fn queued(pool: &PgPool, run_id: i64) -> bool {
    let sql = "select exists (select from sluice.task_run where run_id = $1 and state = 'queued')";
    sqlx::query_scalar(sql).bind(run_id).fetch_one(pool).await.expect(sql)
}

/// All that the store knows of a run but its ids and times.
async fn left(pool: &PgPool, run_id: i64) -> BTreeMap<String, Value> {
    let sql = "select t.task, jsonb_build_object(
                   'task', to_jsonb(t) - '{task_run_id,run_id,rank,queued_at,started_at,finished_at}'::text[],
                   'times', jsonb_build_array(t.queued_at is null, t.started_at is null, t.finished_at is null),
                   'attempts', (select jsonb_agg(to_jsonb(a) - '{attempt_id,task_run_id,token,lease_until,queued_at,started_at,finished_at}'::text[]
                                                 || jsonb_build_object('over', a.finished_at is not null) order by a.attempt)
                                from sluice.attempt a where a.task_run_id = t.task_run_id),
                   'log', (select jsonb_agg(l.line order by l.seq)
                           from sluice.task_log l join sluice.attempt a using (attempt_id)
                           where a.task_run_id = t.task_run_id))
               from sluice.task_run t where t.run_id = $1
               union all
               select '(run)', jsonb_build_object('state', state, 'open', tasks_open, 'over', finished_at is not null)
               from sluice.dag_run where run_id = $1";
    sqlx::query_as(sql).bind(run_id).fetch_all(pool).await.expect(sql).into_iter().collect()
}

#[tokio::test]
async fn the_short_way_leaves_what_the_long_way_leaves() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    runs::set_pools(&db.pool, &[("narrow".to_owned(), 1)].into()).await.expect("a pool");
    let mut shorts = 0;
    for seed in 0..60 {
        let text = dag(seed);
        let plan = plan(&registry, &text);
        let long = walk(&db.pool, &plan, seed, false).await;
        let short = walk(&db.pool, &plan, seed, true).await;
        assert_eq!(long.shorts, 0);
        assert_eq!(short.order, long.order, "seed {seed}:\n{text}");
        shorts += short.shorts;
        let (long, short) = (left(&db.pool, long.run_id).await, left(&db.pool, short.run_id).await);
        assert_eq!(long["(run)"]["over"], json!(true), "seed {seed} comes to its end:\n{text}");
        assert_eq!(short, long, "seed {seed}:\n{text}");
    }
    assert!(shorts > 60, "only {shorts} tasks went the short way");
}

#[tokio::test]
async fn who_has_lost_the_lease_is_refused_on_the_short_way_too() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "{ dag: d, tasks: { a: { kind: echo }, b: { kind: echo, needs: a }, c: { kind: echo, needs: b } } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    let mut connection = db.pool.acquire().await.expect("a connection");
    let mut expired = request(run_id, 1);
    expired.lease = Duration::ZERO;
    let late = runs::exchange(&mut connection, &[], Some(&expired)).await.expect("claimed").claimed.remove(0);
    assert_eq!(runs::reap(&db.pool).await.expect("reaped"), 1);
    let Claimed { fence, run_id, task_run_id, task, .. } = late;
    let output = json!("late");
    let well = WellEnded { fence, run_id, task_run_id, task: &task, output: &output, lines: &[], only_successor: None };
    let refused = runs::hand_over(&mut connection, &well, &request(run_id, 1)).await.expect("no error");
    assert!(matches!(refused, HandedOver::LongWay), "{refused:?}");
    assert_eq!(crate::support::tasks(&db.pool, run_id).await, ["a queued 1", "b waiting 0", "c waiting 0"]);
}

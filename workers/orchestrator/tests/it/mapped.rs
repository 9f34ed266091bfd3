//! Tasks mapped over a list that only the run knows.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use orchestrator::{Worker, WorkerOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::runs::{
    self, Actor, Cancelled, ClaimRequest, Claimed, Clear, End, Ended, Expansion, Mark, Person, Reach, Retry, Via,
};
use workflow::{
    error::TaskError,
    kind::{Registry, TaskContext, TaskKind},
    state::RunState,
};

use crate::{
    kinds::Hands,
    support::{drain, eventually, fast, plan, run, start, tasks},
};

/// Gives back what it gets, unless that is bad, and counts how many do so at once.
#[derive(Clone, Default)]
struct Picky {
    broken: Arc<AtomicBool>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PickyConfig {
    take: Value,
    #[serde(default)]
    bad: Vec<Value>,
    #[serde(default)]
    millis: u64,
}

#[async_trait]
impl TaskKind for Picky {
    const NAME: &'static str = "picky";
    const SUMMARY: &'static str = "gives back what it gets";
    type Config = PickyConfig;

    async fn run(&self, config: PickyConfig, task: &TaskContext) -> Result<Value, TaskError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(config.millis)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        task.log.info(format!("took {}", config.take));
        if self.broken.load(Ordering::SeqCst) && config.bad.contains(&config.take) {
            return Err(TaskError::user(format!("{} is bad", config.take)));
        }
        Ok(config.take)
    }
}

fn registry(picky: &Picky) -> Registry {
    Hands::default().registry().with(picky.clone())
}

async fn output(pool: &PgPool, run_id: i64, task: &str) -> Option<Value> {
    let rows = runs::tasks(pool, run_id).await.expect("tasks");
    rows.into_iter().find(|row| row.task == task).expect("the task").output
}

/// `item state attempts` of each item, in the list's order.
async fn items(pool: &PgPool, run_id: i64, task: &str) -> Vec<String> {
    let items = runs::items(pool, run_id, task).await.expect("items");
    items.iter().map(|item| format!("{} {} {}", item.task, item.state, item.attempts)).collect()
}

fn ada() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

/// Whether a run that has ended has left nothing open, by its counter and by its rows.
async fn is_settled(pool: &PgPool, run_id: i64) -> bool {
    let sql = "select r.tasks_open = 0 and not exists (
                   select from sluice.task_run t where t.run_id = $1 and t.state in ('waiting', 'queued', 'running'))
                 and not exists (select from sluice.pool where pool like 'items %')
               from sluice.dag_run r where r.run_id = $1";
    sqlx::query_scalar(sql).bind(run_id).fetch_one(pool).await.expect(sql)
}

const BAD_ONES: &str = "
    dag: d
    tasks:
      list: { kind: echo, say: [1, 2, 3, 4] }
      take: { kind: picky, needs: list, for_each: { over: outputs.list.say, as: n }, take: '{{ n }}', bad: [2, 4] }
      after: { kind: echo, needs: take, say: '{{ outputs.take }}' }
      mourn: { kind: echo, needs: take, trigger_rule: one_failed }";

#[tokio::test]
async fn a_mapped_task_runs_once_for_each_item_and_leaves_what_they_left_in_order() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let text = "
        dag: d
        params: { factor: 10 }
        tasks:
          list: { kind: echo, say: [a, b, c, d, e, f, g, h, i, j, k, l] }
          take:
            kind: picky
            needs: list
            for_each: { over: outputs.list.say, as: letter }
            take: '{{ [letter, index * params.factor, outputs.list.say | length] }}'
          after: { kind: echo, needs: take, say: '{{ outputs.take }}' }";
    let (run_id, state) = run(&db.pool, &registry(&picky), text).await;
    assert_eq!(state, RunState::Success);
    // The list costs an attempt, and collecting what its items left another one.
    assert_eq!(tasks(&db.pool, run_id).await, ["list success 1", "take success 2", "after success 1"]);
    let expected: Vec<_> = ('a'..='l').enumerate().map(|(place, letter)| json!([letter, place * 10, 12])).collect();
    assert_eq!(output(&db.pool, run_id, "take").await, Some(json!(expected)));
    assert_eq!(output(&db.pool, run_id, "after").await.expect("an output")["say"], json!(expected));
    let items = items(&db.pool, run_id, "take").await;
    assert_eq!((items.len(), items[2].as_str(), items[11].as_str()), (12, "take[2] success 1", "take[11] success 1"));
    assert!(is_settled(&db.pool, run_id).await);
}

#[tokio::test]
async fn an_empty_list_is_a_success_and_what_is_no_list_a_fault() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let text = "
        dag: d
        tasks:
          list: { kind: echo, say: { none: [], text: abc } }
          none: { kind: picky, needs: list, for_each: { over: outputs.list.say.none }, take: '{{ item }}' }
          text: { kind: picky, needs: list, for_each: { over: outputs.list.say.text }, take: '{{ item }}' }
          lost: { kind: picky, needs: list, for_each: { over: outputs.list.say.gone }, take: '{{ item }}' }
          long: { kind: picky, needs: list, for_each: { over: 'range(10000 + outputs.list.say.text | length)' }, take: '{{ item }}' }
          out: { kind: picky, needs: list, when: outputs.list.say.none, for_each: { over: outputs.list.say.none }, take: '{{ item }}' }";
    let (run_id, state) = run(&db.pool, &registry(&picky), text).await;
    assert_eq!(state, RunState::Failed);
    let ended =
        ["list success 1", "none success 1", "text failed 1", "lost failed 1", "long failed 1", "out skipped 1"];
    assert_eq!(tasks(&db.pool, run_id).await, ended);
    assert_eq!(output(&db.pool, run_id, "none").await, Some(json!([])));
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    let said: Vec<_> = rows[2..5].iter().map(|row| row.reason.as_deref().unwrap_or_default()).collect();
    assert_eq!(said[0], "for_each: `outputs.list.say.text` is a text, and a task is mapped over a list");
    assert!(said[1].starts_with("for_each: `outputs.list.say.gone` fails: "), "{}", said[1]);
    assert!(said[2].contains(" has 10003 items, and a task is mapped over 10000 at most"), "{}", said[2]);
}

#[tokio::test]
async fn as_many_items_are_under_way_as_max_parallel_allows() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let text = "
        dag: d
        tasks:
          take: { kind: picky, for_each: { over: range(12), max_parallel: 3 }, take: '{{ item }}', millis: 20 }";
    let (run_id, state) = run(&db.pool, &registry(&picky), text).await;
    assert_eq!((state, picky.most.load(Ordering::SeqCst)), (RunState::Success, 3));
    assert!(is_settled(&db.pool, run_id).await);
}

#[tokio::test]
async fn a_failed_item_fails_its_task_and_a_retry_takes_up_the_failed_ones_alone() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry) = (&db.pool, registry(&picky));
    picky.broken.store(true, Ordering::SeqCst);
    let (run_id, state) = run(pool, &registry, BAD_ONES).await;
    assert_eq!(state, RunState::Failed);
    let failed = ["take[0] success 1", "take[1] failed 1", "take[2] success 1", "take[3] failed 1"];
    assert_eq!(items(pool, run_id, "take").await, failed);
    let ended = ["list success 1", "take failed 1", "after upstream_failed 0", "mourn success 1"];
    assert_eq!(tasks(pool, run_id).await, ended);
    let why = runs::why(pool, run_id, Some("take")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "2 of its 4 items failed");
    assert_eq!(why.facts, ["take[1]: 2 is bad", "take[3]: 4 is bad", "2 failed, 2 success"]);

    // One item: it goes well now, and the other one still makes the task fail.
    picky.broken.store(false, Ordering::SeqCst);
    let again = runs::retry(pool, run_id, Some("take[1]")).await.expect("retried");
    assert_eq!(again, ["take", "take[1]", "after", "mourn"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Failed);
    assert_eq!(items(pool, run_id, "take").await[1..], ["take[1] success 2", "take[2] success 1", "take[3] failed 1"]);

    // The task: only what failed.
    let again = runs::retry(pool, run_id, Some("take")).await.expect("retried");
    assert_eq!(again, ["take", "take[3]", "after", "mourn"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    let ended = ["take[0] success 1", "take[1] success 2", "take[2] success 1", "take[3] success 2"];
    assert_eq!(items(pool, run_id, "take").await, ended);
    assert_eq!(output(pool, run_id, "take").await, Some(json!([1, 2, 3, 4])));
    assert!(is_settled(pool, run_id).await);
    // Where nothing failed, the list is made anew; what it was before keeps its attempts.
    runs::retry(pool, run_id, Some("take")).await.expect("retried");
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    let ended = ["take[0] success 2", "take[1] success 3", "take[2] success 2", "take[3] success 3"];
    assert_eq!(items(pool, run_id, "take").await, ended);
}

#[tokio::test]
async fn a_list_made_anew_may_be_shorter_and_a_clear_makes_it_anew() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry) = (&db.pool, registry(&picky));
    let text = "
        dag: d
        tasks:
          list: { kind: flaky, failures: 0 }
          take: { kind: picky, needs: list, for_each: { over: range(4 - outputs.list) }, take: '{{ item }}' }";
    let plan = plan(&registry, text);
    let run_id = start(pool, &plan).await;
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(items(pool, run_id, "take").await.len(), 3);
    runs::retry(pool, run_id, Some("list")).await.expect("retried");
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(items(pool, run_id, "take").await, ["take[0] success 2", "take[1] success 2"]);
    assert_eq!(output(pool, run_id, "take").await, Some(json!([0, 1])));
    let today = chrono::Utc::now().date_naive();
    let clear = Clear { plan: &plan, from: today, to: today, task: None, parallel: 1, newest_first: false };
    let cleared = Person::new(pool, &ada()).clear(&clear, false).await.expect("cleared");
    assert_eq!(cleared.runs[0].tasks, ["list", "take"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(output(pool, run_id, "take").await, Some(json!([0])));
    assert!(is_settled(pool, run_id).await);
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_item_open_and_takes_them_up_again() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (pool, registry) = (&db.pool, hands.registry());
    let text = "{ dag: d, tasks: { w: { kind: wait, for_each: { over: range(5), max_parallel: 2 } } } }";
    let run_id = start(pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(pool.clone(), registry.clone(), fast()).run(stop.clone()));
    hands.wait_has_begun().await;
    hands.wait_has_begun().await;
    // An item that runs is in the way of a mark on its task, and of a list made anew.
    let refused = Person::new(pool, &ada()).mark(run_id, "w", Mark::Success, "enough").await.expect_err("under way");
    assert!(refused.to_string().contains("while `w["), "{refused}");
    let why = runs::why(pool, run_id, Some("w")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "it waits for its items: 2 running, 3 queued");
    let why = runs::why(pool, run_id, Some("w[4]")).await.expect("an answer").remove(0);
    assert_eq!(why.because, "2 of 2 items of its list are under way");
    assert_eq!(runs::cancel(pool, run_id).await.expect("cancelled"), Cancelled::Stopping(2));
    assert_eq!(orchestrator::run_ended(pool, run_id).await.expect("ended"), RunState::Cancelled);
    assert!(items(pool, run_id, "w").await.iter().all(|item| item.contains(" cancelled ")));
    assert!(is_settled(pool, run_id).await, "its items' slots are gone with it");
    hands.go_on.add_permits(5);
    runs::retry(pool, run_id, None).await.expect("retried");
    assert_eq!(orchestrator::run_ended(pool, run_id).await.expect("ended"), RunState::Success);
    assert!(is_settled(pool, run_id).await);
    stop.cancel();
    worker.await.expect("no panic");
}

#[tokio::test]
async fn a_marked_item_lets_its_task_be_decided_anew() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry, ada) = (&db.pool, registry(&picky), ada());
    picky.broken.store(true, Ordering::SeqCst);
    let (run_id, _) = run(pool, &registry, BAD_ONES).await;
    let person = Person::new(pool, &ada);
    person.mark(run_id, "take[1]", Mark::Success, "seen to").await.expect("marked");
    assert_eq!(tasks(pool, run_id).await[1], "take failed 1", "the other one still failed");
    let anew = person.mark(run_id, "take[3]", Mark::Skipped, "nobody needs it").await.expect("marked");
    assert_eq!(anew, ["take", "after"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    let ended = ["list success 1", "take success 2", "after success 1", "mourn success 1"];
    assert_eq!(tasks(pool, run_id).await, ended);
    assert_eq!(output(pool, run_id, "take").await, Some(json!([1, null, 3, null])));

    // A mark on the task speaks for its items: those that failed, and those that have not begun.
    let (run_id, state) = run(pool, &registry, &BAD_ONES.replace("dag: d", "dag: e")).await;
    assert_eq!(state, RunState::Failed);
    person.mark(run_id, "take", Mark::Success, "good enough").await.expect("marked");
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert!(is_settled(pool, run_id).await);
    let early =
        plan(&registry, "{ dag: f, tasks: { m: { kind: picky, take: '{{ item }}', for_each: { over: range(3) } } } }");
    let run_id = start(pool, &early).await;
    let claimed = claim(pool, &registry).await.expect("the task");
    expand(pool, &claimed, 3).await;
    person.mark(run_id, "m", Mark::Skipped, "not today").await.expect("marked");
    assert_eq!(items(pool, run_id, "m").await[2], "m[2] skipped 0");
    assert_eq!(runs::run(pool, run_id).await.expect("the run").state, "success");
}

#[tokio::test]
async fn a_run_goes_on_with_a_version_that_maps_otherwise() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry, ada) = (&db.pool, registry(&picky), ada());
    picky.broken.store(true, Ordering::SeqCst);
    let (run_id, _) = run(pool, &registry, BAD_ONES).await;
    let new = plan(&registry, &BAD_ONES.replace("bad: [2, 4]", "bad: []"));
    let wish = Retry { task: None, reach: Reach::Downstream, on: Some(&new) };
    let again = Person::new(pool, &ada).retry(run_id, &wish, false).await.expect("retried");
    assert_eq!(again.tasks, ["take", "after", "mourn"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(output(pool, run_id, "take").await, Some(json!([1, 2, 3, 4])));
    assert!(is_settled(pool, run_id).await);
}

async fn claim(pool: &PgPool, registry: &Registry) -> Option<Claimed> {
    let request = ClaimRequest {
        worker: "w".to_owned(),
        labels: Vec::new(),
        queues: Vec::new(),
        kinds: registry.names().map(str::to_owned).collect(),
        limit: 1,
        lease: Duration::from_mins(1),
        run_id: None,
    };
    let mut connection = pool.acquire().await.expect("a connection");
    runs::exchange(&mut connection, &[], Some(&request)).await.expect("a claim").claimed.pop()
}

/// Writes the end of an attempt that found a list; says whether it was accepted.
async fn expand(pool: &PgPool, claimed: &Claimed, length: usize) -> bool {
    let list = Expansion { items: (0..length).map(Value::from).collect(), max_parallel: None, attempts: 1 };
    let ended = Ended { fence: claimed.fence, end: End::Expanded(list), lines: Vec::new() };
    let mut connection = pool.acquire().await.expect("a connection");
    let exchange = runs::exchange(&mut connection, &[ended], None).await.expect("an exchange");
    exchange.accepted.contains(&claimed.fence.attempt_id)
}

#[tokio::test]
async fn a_list_is_written_once_however_often_it_is_told() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry) = (&db.pool, registry(&picky));
    let text = "{ dag: d, tasks: { m: { kind: picky, take: '{{ item }}', for_each: { over: range(3) } } } }";
    let run_id = start(pool, &plan(&registry, text)).await;
    let first = claim(pool, &registry).await.expect("the task");
    // Its worker goes away between finding the list and telling it.
    sqlx::query("update sluice.attempt set lease_until = clock_timestamp() - interval '1 s'")
        .execute(pool)
        .await
        .expect("an old lease");
    assert_eq!(runs::reap(pool).await.expect("reaped"), 1);
    let second = claim(pool, &registry).await.expect("the task again");
    assert!(expand(pool, &second, 3).await);
    assert!(!expand(pool, &second, 3).await, "told again, as after a lost answer");
    assert!(!expand(pool, &first, 5).await, "told by a worker that came back late");
    assert_eq!(items(pool, run_id, "m").await, ["m[0] queued 0", "m[1] queued 0", "m[2] queued 0"]);
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(output(pool, run_id, "m").await, Some(json!([0, 1, 2])));
    assert!(is_settled(pool, run_id).await);
}

const URL: &str = "SLUICE_TEST_MAPPED_URL";

/// Not a test of its own: what the child process of the test below does. Without the URL there is nothing to do.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let pool = warehouse::pool::connect(&url).await.expect("connected");
    Worker::new(pool, registry(&Picky::default()), fast()).run(CancellationToken::new()).await;
}

#[tokio::test]
async fn a_worker_killed_at_any_place_of_the_list_doubles_nothing() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry) = (&db.pool, registry(&picky));
    let text = "
        dag: d
        tasks:
          take: { kind: picky, for_each: { over: range(60), max_parallel: 8 }, take: '{{ item }}', millis: 10 }
          after: { kind: echo, needs: take }";
    let run_id = start(pool, &plan(&registry, text)).await;
    for ended in [1, 20, 45] {
        let mut child = Command::new(std::env::current_exe().expect("this test binary"))
            .args(["--exact", "mapped::child", "--nocapture"])
            .env(URL, &db.url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child process");
        let sql: &'static str = match ended {
            1 => "select count(*) >= 1 from sluice.attempts where run_id = $1",
            20 => "select count(*) >= 20 from sluice.tasks where run_id = $1 and state = 'success'",
            _ => "select count(*) >= 45 from sluice.tasks where run_id = $1 and state = 'success'",
        };
        eventually(pool, sql, run_id).await;
        child.kill().expect("SIGKILL");
        child.wait().expect("dead");
    }
    assert_eq!(drain(pool, &registry, run_id).await, RunState::Success);
    assert_eq!(output(pool, run_id, "take").await, Some((0..60).collect()));
    let doubled = "select count(*) = 60 and max(n) = 1 from (
        select count(*) filter (where state = 'success') as n from sluice.attempts
        where run_id = $1 and task like 'take[%' group by task) t";
    let once: bool = sqlx::query_scalar(doubled).bind(run_id).fetch_one(pool).await.expect(doubled);
    assert!(once, "an item ended twice, or not at all");
    assert!(is_settled(pool, run_id).await);
}

#[tokio::test]
async fn a_thousand_items_stay_readable() {
    let (db, picky) = (testkit::database().await, Picky::default());
    let (pool, registry) = (&db.pool, registry(&picky));
    picky.broken.store(true, Ordering::SeqCst);
    let text = "
        dag: d
        tasks:
          take: { kind: picky, for_each: { over: range(1000) }, take: '{{ item }}', bad: [7, 999] }
          after: { kind: echo, needs: take }";
    let run_id = start(pool, &plan(&registry, text)).await;
    let stop = CancellationToken::new();
    // Leases as they are in use: this is not about losing one on a machine that has too much to do.
    let options = WorkerOptions { slots: 200, lease: WorkerOptions::default().lease, ..fast() };
    let worker = tokio::spawn(Worker::new(pool.clone(), registry.clone(), options).run(stop.clone()));
    assert_eq!(orchestrator::run_ended(pool, run_id).await.expect("ended"), RunState::Failed);
    stop.cancel();
    worker.await.expect("no panic");
    let rows = runs::tasks(pool, run_id).await.expect("tasks");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].items, Some(json!({ "total": 1000, "success": 998, "failed": 2 })));
    let why = runs::why(pool, run_id, None).await.expect("answers");
    assert_eq!(
        why.iter().map(|why| why.because.as_str()).collect::<Vec<_>>(),
        ["1 task failed", "2 of its 1000 items failed"]
    );
    assert_eq!(items(pool, run_id, "take").await[999], "take[999] failed 1");
}

//! A worker process that is killed in the middle of a task, or between two attempts.

use std::process::{Child, Command, Stdio};

use orchestrator::Worker;
use tokio_util::sync::CancellationToken;
use warehouse::runs;
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, start},
};

const URL: &str = "SLUICE_TEST_WORKER_URL";

/// Not a test of its own: what the child processes of the tests below do. Without the URL there is nothing to do.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let pool = warehouse::pool::connect(&url).await.expect("connected");
    Worker::new(pool, Hands::default().registry(), fast()).run(CancellationToken::new()).await;
}

/// A worker process on a database.
fn worker(url: &str) -> Child {
    Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", "kill::child", "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process")
}

fn kill_nine(mut child: Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("dead");
}

#[tokio::test]
async fn a_run_whose_worker_died_does_not_stay_running() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let dag = |kind: &str| format!("{{ dag: d, tasks: {{ a: {{ kind: {kind} }}, b: {{ kind: echo, needs: a }} }} }}");
    let run_id = start(&db.pool, &plan(&registry, &dag("wait"))).await;
    let once = start(&db.pool, &plan(&registry, &dag("wait_once"))).await;
    let child = worker(&db.url);
    eventually(&db.pool, "select count(*) = 2 from sluice.attempts where state = 'running' and $1 > 0", run_id).await;
    kill_nine(child);
    hands.go_on.add_permits(1);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 lost", "a#2 success", "b#1 success"]);
    // What must not be repeated is not: its run fails, and says why.
    assert_eq!(drain(&db.pool, &registry, once).await, RunState::Failed);
    assert_eq!(attempts(&db.pool, once).await, ["a#1 lost"]);
    let reason = runs::tasks(&db.pool, once).await.expect("tasks").remove(0).reason.expect("a reason");
    assert!(reason.ends_with("went away; its kind must not be repeated"), "{reason}");
}

#[tokio::test]
async fn a_retry_count_survives_a_restart() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let text = "
        dag: d
        retry_budget: 3
        tasks:
          a: { kind: flaky, failures: 9, attempts: 3, backoff: { from: 1s, to: 1s } }
          b: { kind: flaky, failures: 9, attempts: 3, needs: a, trigger_rule: all_done, backoff: { from: 1s, to: 1s } }";
    let run_id = start(&db.pool, &plan(&registry, text)).await;
    // A worker for each attempt of `a`, killed while it waits for the next one.
    for ended in ["= 1", "= 2"] {
        let child = worker(&db.url);
        let sql = format!("select count(*) {ended} from sluice.attempts where run_id = $1 and state = 'failed'");
        eventually(&db.pool, sql.leak(), run_id).await;
        kill_nine(child);
    }
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Failed);
    // Three attempts, and one retry left for `b` of the three that the run had.
    let all = ["a#1 failed", "a#2 failed", "a#3 failed", "b#1 failed", "b#2 failed"];
    assert_eq!(attempts(&db.pool, run_id).await, all);
}

//! A worker process that is killed in the middle of a task.

use std::process::{Command, Stdio};

use orchestrator::Worker;
use tokio_util::sync::CancellationToken;
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{attempts, drain, eventually, fast, plan, start},
};

const URL: &str = "SLUICE_TEST_WORKER_URL";

/// Not a test of its own: what the child process of the test below does. Without the URL there is nothing to do.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let pool = warehouse::pool::connect(&url).await.expect("connected");
    Worker::new(pool, Hands::default().registry(), fast()).run(CancellationToken::new()).await;
}

#[tokio::test]
async fn what_a_killed_worker_held_runs_again_elsewhere() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let run_id =
        start(&db.pool, &plan(&registry, "{ dag: d, tasks: { a: { kind: wait }, b: { kind: echo, needs: a } } }"))
            .await;
    let mut child = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", "kill::child", "--nocapture"])
        .env(URL, &db.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process");
    eventually(&db.pool, "select count(*) = 1 from sluice.attempts where run_id = $1 and state = 'running'", run_id)
        .await;
    child.kill().expect("SIGKILL");
    child.wait().expect("dead");
    hands.go_on.add_permits(1);
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Success);
    assert_eq!(attempts(&db.pool, run_id).await, ["a#1 lost", "a#2 success", "b#1 success"]);
}

//! kill -9 in the middle of windows: the tables end up as if nothing had happened.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sqlx::postgres::PgPoolOptions;
use streaming::runtime;
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;

/// The stream as a process of its own, which the test below starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    if std::env::var_os("CHILD_POSTGRES").is_none() {
        // Nobody asked for a process to kill: this is an ordinary run of the tests.
        return;
    }
    let of = |name: &str| std::env::var(name).expect("the parent sets it");
    let pool = PgPoolOptions::new().connect(&of("CHILD_POSTGRES")).await.expect("connect");
    let bench = Bench::on(pool, of("CHILD_POSTGRES"), of("CHILD_KAFKA"), of("CHILD_TOPIC"), 0);
    let options = bench.options("child");
    runtime::run(Arc::clone(&bench.stream), options, CancellationToken::new()).await.expect("runs until it is killed");
}

fn start(bench: &Bench) -> Child {
    Command::new(std::env::current_exe().expect("this test's own file"))
        .args(["--exact", "crash::child", "--nocapture"])
        .env("CHILD_POSTGRES", &bench.url)
        .env("CHILD_KAFKA", &bench.brokers)
        .env("CHILD_TOPIC", &bench.topic)
        .stdout(Stdio::null())
        .spawn()
        .expect("start the child")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_in_mid_window_the_tables_are_those_of_an_undisturbed_run() {
    let bench = Bench::new(6).await;
    let mut rng = ChaCha8Rng::seed_from_u64(bench.seed);
    let events = bench.events(8_000);
    let total = events.len();
    let mut killed = 0;
    let mut child = start(&bench);
    let sending = bench.send(events, Some(2_000.0));
    let killing = async {
        for _ in 0..3 {
            let until = bench.committed().await + rng.random_range(200..1_200);
            bench.until("the child commits", async || bench.committed().await >= until).await;
            child.kill().expect("SIGKILL");
            child.wait().expect("it is gone");
            killed += 1;
            child = start(&bench);
        }
    };
    tokio::join!(sending, killing);
    bench.caught_up().await;
    child.kill().expect("SIGKILL");
    child.wait().expect("it is gone");
    assert_eq!(killed, 3);
    // What open windows still owe is shown by the last owner's orderly end.
    let (stop, task) = bench.start(bench.options("child"));
    bench.until("the last owner has the partitions", async || bench.generations().await.0 >= 5).await;
    bench.send(bench.events(200), None).await;
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    bench.assert_exact().await;
    assert!(bench.committed().await > i64::try_from(total).expect("few"));
}

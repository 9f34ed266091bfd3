//! Connections that go dead: their other end vanishes without a word, as when a machine or a firewall is gone.

use std::time::Duration;

use orchestrator::{Scheduler, SchedulerOptions, Worker};
use testkit::proxy::Proxy;
use tokio_util::sync::CancellationToken;
use warehouse::runs;

use crate::{
    kinds::Hands,
    support::{eventually, fast, plan, start, utc},
};

#[tokio::test]
async fn a_worker_outlives_connections_that_go_dead() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (proxy, url) = Proxy::before(&db.url).await;
    let registry = hands.registry();
    let text = "{ dag: d, tasks: { a: { kind: wait }, b: { kind: echo, needs: a } } }";
    let plan = plan(&registry, text);
    let pool = warehouse::pool::connect(&url).await.expect("a pool");
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(pool, registry, fast()).run(stop.clone()));
    // So often that a pool which loses the place of each of them has none left.
    for _ in 0..8 {
        let run_id = start(&db.pool, &plan).await;
        hands.wait_has_begun().await;
        proxy.deaden(|| true);
        hands.go_on.add_permits(1);
        // The lease may be lost meanwhile, and `a` run twice.
        let ended = eventually(&db.pool, "select state = 'success' from sluice.dag_run where run_id = $1", run_id);
        let again = async {
            loop {
                hands.wait_has_begun().await;
                hands.go_on.add_permits(1);
            }
        };
        tokio::select! {
            () = ended => {}
            () = again => {}
        }
    }
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn a_scheduler_outlives_connections_that_go_dead() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let (proxy, url) = Proxy::before(&db.url).await;
    let text = "{ dag: d, schedule: { every: 1s }, tasks: { a: { kind: echo } } }";
    runs::deploy(&db.pool, &plan(&registry, text), utc("2026-01-01T00:00:00Z")).await.expect("deployed");
    let pool = warehouse::pool::connect(&url).await.expect("a pool");
    let options = SchedulerOptions { lease: Duration::from_secs(1), ..SchedulerOptions::default() };
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(Scheduler::new(pool, options).run(stop.clone()));
    let mut last = 0;
    for _ in 0..3 {
        eventually(&db.pool, "select coalesce(max(run_id), 0) > $1 from sluice.dag_run", last).await;
        proxy.deaden(|| true);
        last = sqlx::query_scalar("select max(run_id) from sluice.dag_run").fetch_one(&db.pool).await.expect("a run");
    }
    eventually(&db.pool, "select max(run_id) > $1 from sluice.dag_run", last).await;
    stop.cancel();
    scheduler.await.expect("the scheduler stops");
}

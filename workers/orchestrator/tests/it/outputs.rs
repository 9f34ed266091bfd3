//! Outputs that are too long for a row.

use orchestrator::{Worker, run_ended};
use tokio_util::sync::CancellationToken;
use warehouse::{lake::Lake, runs};
use workflow::state::RunState;

use crate::{
    kinds::Hands,
    support::{drain, fast, plan, start},
};

/// `a` says more than fits into a row, and `b` reads it.
fn long() -> String {
    format!(
        "{{ dag: d, params: {{ text: '{}' }}, tasks: {{ a: {{ kind: echo, say: '{{{{ params.text }}}}' }},
           b: {{ kind: echo, needs: a, say: '{{{{ outputs.a.say | length }}}}' }} }} }}",
        "x".repeat(300 << 10)
    )
}

#[tokio::test]
async fn a_long_output_goes_by_the_lake() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let registry = hands.registry();
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path().to_str().expect("UTF-8")).expect("a lake");
    let run_id = start(&db.pool, &plan(&registry, &long())).await;
    let options = orchestrator::WorkerOptions { lake: Some(lake.clone()), ..fast() };
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(db.pool.clone(), registry, options).run(stop.clone()));
    assert_eq!(run_ended(&db.pool, run_id).await.expect("ended"), RunState::Success);
    let rows = runs::tasks(&db.pool, run_id).await.expect("tasks");
    let (a, b) = (rows[0].output.as_ref().expect("an output"), rows[1].output.as_ref().expect("an output"));
    // `b` heard all of it, so its own output is as long.
    assert_eq!(a["$output"]["bytes"], (300 << 10) + r#"{"say":"","heard":{}}"#.len());
    let path = b["$output"]["path"].as_str().expect("a path");
    let said: serde_json::Value = serde_json::from_slice(&lake.get(path).await.expect("a file")).expect("JSON");
    assert_eq!(said["say"], 300 << 10);
    stop.cancel();
    worker.await.expect("the worker stops");
}

#[tokio::test]
async fn without_a_lake_a_long_output_is_a_fault_that_says_what_to_do() {
    let (db, registry) = (testkit::database().await, Hands::default().registry());
    let run_id = start(&db.pool, &plan(&registry, &long())).await;
    assert_eq!(drain(&db.pool, &registry, run_id).await, RunState::Failed);
    let reason = runs::tasks(&db.pool, run_id).await.expect("tasks").remove(0).reason.expect("a reason");
    assert!(
        reason.starts_with("the output is 300 KiB long, and may be 256 KiB; write the data to the lake"),
        "{reason}"
    );
}

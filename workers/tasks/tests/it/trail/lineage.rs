//! `OpenLineage`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::query_scalar;
use workflow::state::RunState;

use super::{Stage, events, receiver::Mood, tell};

const ORDERS: &str = "create table orders (id int primary key, quantity int);
                      insert into orders values (1, 5), (2, -1), (3, 7)";
const SUITE: &str = "
suite: orders
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1 }
";
const DAG: &str = "
dag: sales
description: what was sold
tasks:
  extract: { kind: extract_mysql, table: orders }
  load: { kind: load, from: extract, into: staging.orders, key: [id], gate: { suite: orders, on_fail: quarantine } }
  files: { kind: export, needs: load, table: staging.orders, to: 'out/{{ run_id }}.csv' }
  fails: { kind: moody, needs: files, bad_until: 9, attempts: 2, backoff: { from: 1ms, to: 1ms } }
  after: { kind: moody, needs: fails }
";

/// `job TYPE` of each event, in order.
fn lines(events: &[Value]) -> Vec<String> {
    let line = |event: &Value| {
        format!("{} {}", event["job"]["name"].as_str().unwrap_or(""), event["eventType"].as_str().unwrap_or(""))
    };
    events.iter().map(line).collect()
}

fn of<'a>(events: &'a [Value], line: &str) -> &'a Value {
    let found = lines(events).iter().position(|found| found == line);
    &events[found.unwrap_or_else(|| panic!("no {line} among {:?}", lines(events)))]
}

#[tokio::test]
async fn a_run_is_told_with_its_attempts_datasets_and_checks() {
    let stage = Stage::new(ORDERS).await;
    stage.world.suite("orders", SUITE);
    let teller = stage.lineage();
    tell(&teller).await;
    let (run_id, state) = stage.run(&stage.plan(DAG)).await;
    assert_eq!(state, RunState::Failed);
    tell(&teller).await;

    let told = stage.receiver.bodies();
    told.iter().for_each(events::check);
    let request = &stage.receiver.requests()[0];
    assert_eq!(
        (request.path.as_str(), &request.headers["authorization"]),
        ("/api/v1/lineage", &"Bearer s3cret".parse().expect("a header"))
    );
    assert_eq!(
        lines(&told),
        [
            "sales START",
            "sales.extract START",
            "sales.extract COMPLETE",
            "sales.load START",
            "sales.load COMPLETE",
            "sales.files START",
            "sales.files COMPLETE",
            "sales.fails START",
            "sales.fails FAIL",
            "sales.fails START",
            "sales.fails FAIL",
            "sales FAIL",
        ]
    );
    // Each run has one beginning and one end, and the attempts of a run name it as their parent.
    let ids = |kinds: &[&str]| -> Vec<&str> {
        let of_kind = told.iter().filter(|event| kinds.contains(&event["eventType"].as_str().unwrap_or("")));
        let mut ids: Vec<_> = of_kind.filter_map(|event| event["run"]["runId"].as_str()).collect();
        ids.sort_unstable();
        ids
    };
    let (begun, ended) = (ids(&["START"]), ids(&["COMPLETE", "FAIL", "ABORT"]));
    assert_eq!(begun, ended);
    assert_eq!(begun.iter().collect::<BTreeSet<_>>().len(), 6);
    let run = &told[0]["run"]["runId"];
    for event in &told[1..11] {
        assert_eq!(&event["run"]["facets"]["parent"]["run"]["runId"], run);
        assert_eq!(event["run"]["facets"]["parent"]["job"], json!({ "namespace": "shop", "name": "sales" }));
    }
    assert_eq!(told[0]["job"]["facets"]["documentation"]["description"], "what was sold");
    assert_eq!(told[8]["run"]["facets"]["errorMessage"]["message"], "attempt 1 had a bad day");
    assert!(told[11]["run"]["facets"]["errorMessage"].is_object());
    let tags = told[11]["run"]["facets"]["tags"]["tags"].as_array().expect("tags");
    assert!(
        tags.contains(&json!({ "key": "sluice.run", "value": run_id.to_string(), "source": "SLUICE" })),
        "{tags:?}"
    );

    // From the shop into the lake, from there into the warehouse, and out again: what one writes is what the next reads.
    let name = |of: &Value| format!("{} {}", of["namespace"].as_str().unwrap_or(""), of["name"].as_str().unwrap_or(""));
    let (extract, load) = (of(&told, "sales.extract COMPLETE"), of(&told, "sales.load COMPLETE"));
    let files = of(&told, "sales.files COMPLETE");
    assert!(name(&extract["inputs"][0]).starts_with("mysql://127.0.0.1:"), "{}", extract["inputs"]);
    assert!(name(&extract["inputs"][0]).ends_with(".orders"), "{}", extract["inputs"]);
    assert!(name(&extract["outputs"][0]).starts_with("file /"), "{}", extract["outputs"]);
    assert_eq!(name(&extract["outputs"][0]), name(&load["inputs"][0]));
    let counts = |of: &Value| of["outputFacets"]["outputStatistics"].clone();
    assert_eq!(
        (&counts(&extract["outputs"][0])["rowCount"], &counts(&extract["outputs"][0])["fileCount"]),
        (&json!(3), &json!(1))
    );
    assert!(name(&load["outputs"][0]).starts_with("postgres://127.0.0.1:"), "{}", load["outputs"]);
    assert!(name(&load["outputs"][0]).ends_with(".staging.orders"), "{}", load["outputs"]);
    assert_eq!(counts(&load["outputs"][0])["rowCount"], 2);
    let fields = load["outputs"][0]["facets"]["schema"]["fields"].as_array().expect("fields");
    let columns: Vec<_> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(columns[..2], ["id", "quantity"]);
    let judged = &load["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"];
    let assertion = json!({
        "assertion": "quantity.between", "name": "orders.quantity.between", "success": false, "severity": "error",
        "actual": "1 unexpected",
    });
    assert_eq!(judged, &json!([assertion]));
    assert_eq!(name(&files["inputs"][0]), name(&load["outputs"][0]));
    assert!(name(&files["outputs"][0]).ends_with(&format!("/lake/out/{run_id}.csv")), "{}", files["outputs"]);
    assert_eq!(counts(&files["outputs"][0])["rowCount"], 2);
    // Before it has ended nobody knows what it wrote.
    assert_eq!(of(&told, "sales.load START")["outputs"], json!([]));

    // Told again, it is word for word the same.
    stage.receiver.forget();
    let sql = "update sluice.trail set last_run = 0, last_attempt = 0";
    sqlx::query(sql).execute(stage.pool()).await.expect(sql);
    tell(&teller).await;
    let key = |event: &Value| (event["run"]["runId"].to_string(), event["eventType"].to_string());
    let sorted = |events: &[Value]| events.iter().map(|event| (key(event), event.clone())).collect::<BTreeMap<_, _>>();
    assert_eq!(sorted(&stage.receiver.bodies()), sorted(&told));
}

#[tokio::test]
async fn what_cannot_be_told_holds_nobody_up_and_is_told_later() {
    let stage = Stage::new("select 1").await;
    let teller = stage.lineage();
    tell(&teller).await;
    stage.receiver.be(Mood::Refuses(503));
    let plan = stage.plan("{ dag: d, tasks: { a: { kind: moody }, b: { kind: moody, needs: a } } }");
    assert_eq!(stage.run(&plan).await.1, RunState::Success);
    let mut waits = Vec::new();
    while waits.len() < 3 {
        match teller.pass().await {
            Ok(pass) => assert_eq!(pass, tasks::trail::Pass::Soon),
            Err(wait) => waits.push(wait.as_secs()),
        }
    }
    assert_eq!(waits, [1, 2, 4]);
    let trouble = warehouse::trail::rows(stage.pool()).await.expect("rows").remove(0);
    assert!(trouble.failing_since.is_some(), "{trouble:?}");
    assert_eq!(trouble.attempts_behind, 2);
    assert!(
        trouble.error.as_deref().is_some_and(|error| error.contains("503") && error.contains("not now")),
        "{trouble:?}"
    );

    stage.receiver.be(Mood::Fine);
    tell(&teller).await;
    let told = lines(&stage.receiver.bodies());
    assert_eq!(told, ["d START", "d.a START", "d.a COMPLETE", "d.b START", "d.b COMPLETE", "d COMPLETE"]);
    let mended = warehouse::trail::rows(stage.pool()).await.expect("rows").remove(0);
    assert!(mended.failing_since.is_none() && mended.error.is_none() && mended.told_at.is_some(), "{mended:?}");

    // What it will never take does not keep the rest from it.
    stage.receiver.forget();
    stage.receiver.be(Mood::Refuses(422));
    stage.run(&plan).await;
    tell(&teller).await;
    assert_eq!(warehouse::trail::rows(stage.pool()).await.expect("rows").remove(0).refused, 6);
    stage.receiver.be(Mood::Fine);
    stage.run(&plan).await;
    tell(&teller).await;
    assert_eq!(stage.receiver.bodies().len(), 6);
    let left = "select (select count(*) from sluice.trail_run) + (select count(*) from sluice.trail_attempt)";
    let left: i64 = query_scalar(left).fetch_one(stage.pool()).await.expect("a count");
    assert_eq!(left, 0, "nothing is kept of what was told");
}

#[tokio::test]
async fn who_dies_between_telling_and_noting_it_leaves_what_the_next_one_tells_again() {
    let stage = Stage::new("select 1").await;
    let first = stage.lineage();
    tell(&first).await;
    let plan = stage.plan("{ dag: d, tasks: { a: { kind: moody } } }");
    stage.run(&plan).await;
    stage.receiver.be(Mood::Silent);
    // It has sent the first event, and hears nothing any more.
    tokio::select! {
        _ = async { loop { let _ = first.pass().await; } } => {}
        () = async { while stage.receiver.bodies().is_empty() { tokio::task::yield_now().await } } => {}
    }
    let before = stage.receiver.bodies();
    stage.receiver.be(Mood::Fine);
    stage.receiver.forget();
    let second = stage.lineage();
    assert_eq!(second.pass().await, Ok(tasks::trail::Pass::Idle), "the first one has the lease");
    stage.outlive().await;
    tell(&second).await;
    let told = stage.receiver.bodies();
    assert_eq!(lines(&told), ["d START", "d.a START", "d.a COMPLETE", "d COMPLETE"]);
    assert_eq!(before[0], told[0]);
}

#[tokio::test]
async fn a_run_that_goes_on_begins_and_ends_once_more_as_another_run() {
    let stage = Stage::new("select 1").await;
    let teller = stage.lineage();
    tell(&teller).await;
    let text = "{ dag: d, tasks: { a: { kind: moody, bad_until: 1, attempts: 1 } } }";
    let (run_id, state) = stage.run(&stage.plan(text)).await;
    assert_eq!(state, RunState::Failed);
    let untold = [
        "d START",
        "d.a START",
        "d.a FAIL",
        "d FAIL", // and then
        "d START",
        "d.a START",
        "d.a COMPLETE",
        "d COMPLETE",
    ];
    tell(&teller).await;
    assert_eq!(lines(&stage.receiver.bodies()), untold[..4]);
    stage.retry(run_id, None).await;
    assert_eq!(stage.drain(run_id).await, RunState::Success);
    tell(&teller).await;
    let told = stage.receiver.bodies();
    assert_eq!(lines(&told), untold);
    told.iter().for_each(events::check);
    let ids: BTreeSet<_> = told.iter().map(|event| event["run"]["runId"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(told[5]["run"]["facets"]["parent"]["run"]["runId"], told[4]["run"]["runId"]);

    // The same where nobody was told of the first end before the second one came.
    stage.receiver.forget();
    let (run_id, _) = stage.run(&stage.plan(text)).await;
    stage.retry(run_id, None).await;
    stage.drain(run_id).await;
    tell(&teller).await;
    let mut late = lines(&stage.receiver.bodies());
    let mut all = untold.map(str::to_owned);
    late.sort();
    all.sort();
    assert_eq!(late, all);
    let told = stage.receiver.bodies();
    let of_second = told.iter().rfind(|event| event["job"]["name"] == "d.a").expect("an attempt");
    let last = told.last().expect("an event");
    assert_eq!(of_second["run"]["facets"]["parent"]["run"]["runId"], last["run"]["runId"]);
}

#[tokio::test]
async fn a_task_that_looks_again_and_again_is_told_as_one_attempt() {
    let stage = Stage::new("select 1").await;
    let teller = stage.lineage();
    tell(&teller).await;
    let count = stage.world.folder.path().join("count").display().to_string();
    let text = format!("{{ dag: d, tasks: {{ a: {{ kind: moody, looks: 5, count: '{count}' }} }} }}");
    let plan = stage.plan(&text);
    let telling = async {
        loop {
            let _ = teller.pass().await;
            tokio::task::yield_now().await;
        }
    };
    let state = tokio::select! {
        state = stage.run(&plan) => state.1,
        () = telling => unreachable!("it goes on"),
    };
    assert_eq!(state, RunState::Success);
    tell(&teller).await;
    assert_eq!(lines(&stage.receiver.bodies()), ["d START", "d.a START", "d.a COMPLETE", "d COMPLETE"]);
}

//! Marks, retries, backfills, clears, versions and workers at the API.

use serde_json::json;
use warehouse::runs;

use crate::{TestServer, hand};

/// A server with the DAG `by_hand` and a run of it, cancelled.
async fn server() -> TestServer {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    assert_eq!(server.post("/api/v1/runs", Some(json!({ "dag": "by_hand" }))).await.status, 201);
    let cancelled = server.post("/api/v1/runs/1/cancel", Some(json!({ "reason": "wrong day" }))).await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    server
}

#[tokio::test]
async fn tasks_are_marked_and_the_run_ends_with_the_last() {
    let server = server().await;
    let mark = async |task: &str, body| server.post(&format!("/api/v1/runs/1/tasks/{task}/mark"), Some(body)).await;
    let first = mark("first", json!({ "state": "success", "reason": "by hand" })).await.json();
    assert_eq!((&first["state"], &first["decided_anew"]), (&json!("cancelled"), &json!([])));
    let then = mark("then", json!({ "state": "skipped", "reason": "not needed" })).await.json();
    assert_eq!(then["state"], "success");
    for (task, body, status) in [
        ("first", json!({ "state": "success", "reason": " " }), 400),
        ("first", json!({ "state": "great", "reason": "x" }), 400),
        ("first", json!({ "state": "success" }), 400),
        ("nobody", json!({ "state": "success", "reason": "x" }), 404),
    ] {
        let refused = mark(task, body.clone()).await;
        assert_eq!((refused.status, refused.kind.as_str()), (status, "application/problem+json"), "{task} {body}");
    }
    let acts = server.get("/api/v1/audit?dag=by_hand&limit=2").await.json();
    assert_eq!(acts["items"][0]["reason"], "not needed");
    let older =
        server.get(&format!("/api/v1/audit?cursor={}", acts["next_cursor"].as_str().expect("more"))).await.json();
    assert_eq!((&older["items"][0]["act"], &older["items"][0]["reason"]), (&json!("cancel"), &json!("wrong day")));
    assert_eq!(older["items"][0]["actor"], "anonymous");
}

#[tokio::test]
async fn a_retry_may_be_shown_first_and_reach_no_further_than_its_task() {
    let server = server().await;
    let retry = async |body| server.post("/api/v1/runs/1/retry", Some(body)).await;
    let shown = retry(json!({ "task": "first", "preview": true })).await.json();
    assert_eq!((&shown["tasks"], &shown["state"]), (&json!(["first", "then"]), &json!("cancelled")));
    assert_eq!(retry(json!({ "on": "beef" })).await.status, 404);
    assert_eq!(retry(json!({ "onn": "new" })).await.status, 400);
    let old = server.get("/api/v1/dags/by_hand").await.json()["version"].as_str().expect("a version").to_owned();
    hand::deploy_longer(server.pool()).await;
    let shown = retry(json!({ "on": "new", "preview": true })).await.json();
    assert_eq!((&shown["diff"]["added"], &shown["diff"]["old"]), (&json!(["last"]), &json!(old)));
    let done = retry(json!({ "on": "new" })).await.json();
    assert_eq!((&done["tasks"], &done["state"]), (&json!(["first", "then", "last"]), &json!("running")));
    assert_eq!(retry(json!({ "on": &old[..6] })).await.status, 409, "it is under way");
    let versions = server.get("/api/v1/dags/by_hand/versions").await.json();
    let current: Vec<_> = versions.as_array().expect("versions").iter().map(|v| (&v["current"], &v["runs"])).collect();
    assert_eq!(current, [(&json!(true), &json!(1)), (&json!(false), &json!(0))]);
    let diff = server.get(&format!("/api/v1/dags/by_hand/diff?old={old}")).await.json();
    assert_eq!(diff["added"], json!(["last"]));
    assert_eq!(diff["changes"][0], json!({ "key": "params.size", "old": 1, "new": 2 }));
    for path in ["/api/v1/dags/by_hand/diff?old=zzz", "/api/v1/dags/nope/versions", "/api/v1/dags/nope/diff?old=1"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_backfill_is_shown_made_listed_and_stopped() {
    let server = server().await;
    let backfill = async |body| server.post("/api/v1/dags/by_hand/backfill", Some(body)).await;
    let span = json!({ "from": "2026-01-01", "to": "2026-01-03", "parallel": 1, "order": "newest", "preview": true });
    let shown = backfill(span.clone()).await.json();
    assert_eq!(
        (&shown["backfill_id"], &shown["runs"][0]["logical_time"]),
        (&json!(null), &json!("2026-01-03T00:00:00Z"))
    );
    let mut wish = span;
    wish["preview"] = json!(false);
    let made = backfill(wish.clone()).await.json();
    assert_eq!((&made["backfill_id"], &made["runs"][2]["state"]), (&json!(1), &json!("queued")));
    assert_eq!(backfill(wish).await.status, 409, "its runs exist");
    for body in [
        json!({ "from": "2026-01-02", "to": "2026-01-01" }),
        json!({ "from": "1900-01-01", "to": "2026-01-01" }),
        json!({ "from": "2026-01-01", "to": "2026-01-01", "parallel": 0 }),
        json!({ "from": "2026-01-01", "to": "2026-01-01", "params": { "colour": "red" } }),
        json!({ "from": "yesterday", "to": "2026-01-01" }),
    ] {
        let refused = backfill(body.clone()).await;
        assert_eq!((refused.status, refused.kind.as_str()), (400, "application/problem+json"), "{body}");
    }
    let listed = server.get("/api/v1/backfills?dag=by_hand").await.json();
    let row = &listed["items"][0];
    assert_eq!((&row["state"], &row["queued"], &row["running"]), (&json!("running"), &json!(2), &json!(1)));
    let stopped = server.post("/api/v1/backfills/1/stop", None).await.json();
    assert_eq!((&stopped["cancelled"], &stopped["stopping"]), (&json!(2), &json!(1)));
    assert_eq!(server.post("/api/v1/backfills/99/stop", None).await.status, 404);
    // What was cancelled can be cleared, and runs again.
    let clear = json!({ "from": "2026-01-01", "to": "2026-01-01", "task": "then", "preview": true });
    let shown = server.post("/api/v1/dags/by_hand/clear", Some(clear.clone())).await.json();
    assert_eq!(shown["runs"][0]["tasks"], json!(["then"]));
    let mut clear = clear;
    clear["preview"] = json!(false);
    assert_eq!(server.post("/api/v1/dags/by_hand/clear", Some(clear)).await.json()["backfill_id"], 2);
    assert_eq!(
        server.post("/api/v1/dags/nope/clear", Some(json!({ "from": "2026-01-01", "to": "2026-01-01" }))).await.status,
        404
    );
}

#[tokio::test]
async fn a_dag_is_paused_and_resumed_and_its_page_says_so() {
    let server = server().await;
    hand::deploy_daily(server.pool()).await;
    assert_eq!(server.post("/api/v1/dags/daily/pause", None).await.json()["paused"], true);
    let page = server.get("/dags/daily").await.text;
    assert!(page.contains("/dags/daily/resume"), "{page}");
    assert_eq!(server.post("/dags/daily/resume", None).await.status, 303);
    assert_eq!(server.get("/api/v1/dags/daily").await.json()["paused"], false);
    assert_eq!(server.post("/api/v1/dags/nope/pause", None).await.status, 404);
    let acts = runs::audit(server.pool(), Some("daily"), None, 10).await.expect("the audit log");
    assert_eq!(acts.iter().map(|act| act.act.as_str()).collect::<Vec<_>>(), ["resume", "pause"]);
}

#[tokio::test]
async fn a_failed_task_is_marked_on_the_page() {
    let server = server().await;
    server.post("/api/v1/runs/1/tasks/first/mark", Some(json!({ "state": "failed", "reason": "broken" }))).await;
    let page = server.get("/runs/1").await.text;
    assert!(page.contains("/runs/1/mark") && page.contains("marked by anonymous: broken"), "{page}");
    let form = server.request(reqwest::Method::POST, "/runs/1/mark").form(&[
        ("task", "first"),
        ("state", "success"),
        ("reason", "mended"),
    ]);
    assert_eq!(crate::answer(form).await.status, 303);
    let run = server.get("/api/v1/runs/1").await.json();
    assert_eq!(run["tasks"][0]["state"], "success");
}

#[tokio::test]
async fn workers_show_what_they_run() {
    let server = TestServer::seeded().await;
    sqlx::raw_sql(
        "insert into sluice.worker (worker, role, host, pid, version, slots) values ('w-1', 'worker', 'here', 1, '0.1.0', 8)",
    )
    .execute(server.pool())
    .await
    .expect("a worker");
    let workers = server.get("/api/v1/workers").await.json();
    let one = workers.as_array().expect("workers").iter().find(|w| w["worker"] == "w-1").expect("the worker");
    assert_eq!((&one["alive"], &one["tasks"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn what_postgres_cannot_hold_is_the_requests_fault() {
    let server = server().await;
    let raw = |path: &str, body: &str| {
        let request = server.request(reqwest::Method::POST, path).header("content-type", "application/json");
        crate::answer(request.body(body.to_owned()))
    };
    for (path, body, says) in [
        ("/api/v1/runs", r#"{"dag":"by_hand","params":{"size":"a\u0000b"}}"#, "NUL"),
        ("/api/v1/runs", r#"{"dag":"by_\u0000hand"}"#, "NUL"),
        ("/api/v1/runs", r#"{"dag":"by_hand","params":{"\u0000":1}}"#, "NUL"),
        ("/api/v1/runs/1/cancel", r#"{"reason":"\u0000"}"#, "NUL"),
        ("/api/v1/runs/1/retry", r#"{"task":"\u0000"}"#, "NUL"),
        ("/api/v1/runs", r#"{"dag":"by_hand","logical_time":"+260000-01-01T00:00:00Z"}"#, "year 260000"),
        ("/api/v1/runs", r#"{"dag":"by_hand","logical_time":"-4800-01-01T00:00:00Z"}"#, "year -4800"),
        ("/api/v1/dags/by_hand/backfill", r#"{"from":"+262142-12-31","to":"+262142-12-31"}"#, "year 262142"),
        ("/api/v1/dags/by_hand/backfill", r#"{"from":"-262143-01-01","to":"2026-01-01"}"#, "year -262143"),
        ("/api/v1/dags/by_hand/clear", r#"{"from":"2026-01-01","to":"+262142-12-31"}"#, "year 262142"),
    ] {
        let refused = raw(path, body).await;
        assert_eq!(
            (refused.status, refused.kind.as_str()),
            (400, "application/problem+json"),
            "{body}: {}",
            refused.text
        );
        assert!(refused.text.contains(says), "{body}: {}", refused.text);
    }
    // A backslash that is written out is no NUL.
    let fine = raw("/api/v1/runs/1/cancel", r#"{"reason":"\\u0000"}"#).await;
    assert_eq!(fine.status, 409, "{}", fine.text);
}

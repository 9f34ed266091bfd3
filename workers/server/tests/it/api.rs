//! The REST API: shapes, pages of lists, problems, writes.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{TestServer, answer, hand};

fn ids(items: &Value, field: &str) -> Vec<i64> {
    items.as_array().expect("a list").iter().map(|item| item[field].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn following_cursors_gives_every_row_once_newest_first() {
    let server = TestServer::seeded().await;
    for (list, field, table) in [
        ("runs?limit=7", "run_id", "sluice.runs"),
        ("loads?limit=30", "load_id", "sluice.loads"),
        ("checks?limit=200", "result_id", "sluice.check_results"),
        ("alerts?limit=5", "alert_id", "sluice.alerts"),
        ("deliveries?limit=10", "outbox_id", "sluice.deliveries"),
        ("dead-letters?limit=2", "dead_letter_id", "sluice.dead_letters"),
    ] {
        let mut seen = Vec::new();
        let mut address = format!("/api/v1/{list}");
        loop {
            let page = server.get(&address).await.json();
            seen.extend(ids(&page["items"], field));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            address = format!("/api/v1/{list}&cursor={cursor}");
        }
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let all: i64 = sqlx::query_scalar(sql).fetch_one(server.pool()).await.expect("count");
        assert!(seen.is_sorted_by(|a, b| a > b), "{list} is not newest first");
        assert_eq!(i64::try_from(seen.len()).expect("few"), all, "{list}");
    }
}

#[tokio::test]
async fn quarantined_rows_page_over_the_edge_of_a_load() {
    let server = TestServer::seeded().await;
    let mut seen = BTreeSet::new();
    let mut address = "/api/v1/quarantine?limit=200".to_owned();
    loop {
        let page = server.get(&address).await.json();
        for row in page["items"].as_array().expect("rows") {
            assert!(!row["rules"].as_array().expect("rules").is_empty());
            assert!(seen.insert((row["load_id"].as_i64(), row["seq"].as_i64())), "{row} came twice");
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        address = format!("/api/v1/quarantine?limit=200&cursor={cursor}");
    }
    let held: i64 = sqlx::query_scalar("select sum(quarantined)::bigint from sluice.loads")
        .fetch_one(server.pool())
        .await
        .expect("sum");
    assert_eq!(i64::try_from(seen.len()).expect("few"), held);
}

#[tokio::test]
async fn a_run_comes_with_its_tasks_and_each_task_with_its_attempts() {
    let server = TestServer::seeded().await;
    let failed = server.get("/api/v1/runs?dag=daily_sales&state=failed&limit=1").await.json();
    let run_id = failed["items"][0]["run_id"].as_i64().expect("a failed run");
    let run = server.get(&format!("/api/v1/runs/{run_id}")).await.json();
    assert_eq!(run["dag"], "daily_sales");
    let tasks = run["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 15);
    let load = tasks.iter().find(|task| task["task"] == "load_orders").expect("load_orders");
    assert_eq!(load["state"], "failed");
    assert_eq!(load["needs"], json!(["extract_orders"]));
    assert_eq!(load["history"][0]["error_domain"], "user");
    let marts = tasks.iter().find(|task| task["task"] == "build_marts").expect("build_marts");
    assert_eq!((&marts["state"], &marts["history"]), (&json!("upstream_failed"), &json!([])));

    let logs = server.get(&format!("/api/v1/runs/{run_id}/tasks/load_orders/logs?limit=4")).await.json();
    assert_eq!(ids(&logs["items"], "seq"), [1, 2, 3, 4]);
    let rest = format!("/api/v1/runs/{run_id}/tasks/load_orders/logs?after={}", logs["next_after"]);
    assert_eq!(ids(&server.get(&rest).await.json()["items"], "seq"), [5, 6]);
    let none = server.get(&format!("/api/v1/runs/{run_id}/tasks/build_marts/logs")).await.json();
    assert_eq!((&none["attempt"], &none["items"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn lists_narrow_by_what_is_asked() {
    let server = TestServer::seeded().await;
    for (list, field, wanted) in [
        ("runs?state=success&dag=low_stock", "state", "success"),
        ("loads?verdict=quarantined", "verdict", "quarantined"),
        ("checks?outcome=failed", "outcome", "failed"),
        ("alerts?severity=critical", "severity", "critical"),
        ("deliveries?state=failed", "state", "failed"),
        ("dead-letters?reason=late", "reason", "late"),
        ("quarantine?dataset=staging.orders", "dataset", "staging.orders"),
    ] {
        let page = server.get(&format!("/api/v1/{list}")).await.json();
        let items = page["items"].as_array().expect("items");
        assert!(!items.is_empty(), "{list}");
        assert!(items.iter().all(|item| item[field] == wanted), "{list}");
    }
    let dags = server.get("/api/v1/dags").await.json();
    assert_eq!(dags.as_array().map(Vec::len), Some(6));
    assert_eq!(server.get("/api/v1/dags/ratings").await.json()["runs"].as_array().map(Vec::len), Some(14));
    let streams = server.get("/api/v1/streams").await.json();
    assert_eq!(streams[1]["stream"], "fraud");
    assert_eq!(streams[1]["partitions"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_board_adds_up_and_names_its_products() {
    let server = TestServer::seeded().await;
    let board = server.get("/api/v1/board").await.json();
    assert_eq!(board["minutes"].as_array().map(Vec::len), Some(60));
    let products = board["products"].as_array().expect("products");
    assert!(products.len() <= 5);
    assert!(products.iter().any(|product| product["name"] == "Noise-cancelling headphones"), "{products:?}");
    let revenue: f64 = board["revenue"].as_str().and_then(|text| text.parse().ok()).expect("a decimal in a string");
    let (exact,): (f64,) = sqlx::query_as(
        "select sum(sum)::float8 from sluice.windows where agg = 'orders_total'
         and window_start >= (date_trunc('day', now() at time zone 'Europe/Berlin') at time zone 'Europe/Berlin')",
    )
    .fetch_one(server.pool())
    .await
    .expect("sum");
    assert!((revenue - exact).abs() < 0.01, "{revenue} is not {exact}");
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem_without_the_database_in_it() {
    let server = TestServer::seeded().await;
    for (path, status) in [
        ("/api/v1/runs/99999999", 404),
        ("/api/v1/dags/nope", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/runs/abc", 400),
        ("/api/v1/runs?limit=0", 400),
        ("/api/v1/runs?limit=201", 400),
        ("/api/v1/runs?cursor=x", 400),
        ("/api/v1/runs?sate=failed", 400),
        ("/api/v1/quarantine?cursor=12", 400),
        ("/api/v1/runs/1/tasks/nope/logs", 404),
    ] {
        let refused = server.get(path).await;
        assert_eq!((refused.status, refused.kind.as_str()), (status, "application/problem+json"), "{path}");
        let problem = refused.json();
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
    let wrong = answer(server.request(Method::DELETE, "/api/v1/runs")).await;
    assert_eq!((wrong.status, wrong.kind.as_str()), (405, "application/problem+json"));

    // `drop view` stands for any fault of the database.
    sqlx::query("drop view sluice.loads cascade").execute(server.pool()).await.expect("drop");
    let fault = server.get("/api/v1/loads").await;
    assert_eq!(fault.status, 500);
    assert!(!fault.text.contains("sluice.loads") && !fault.text.contains("relation"), "{}", fault.text);
    let page = server.get("/quality").await;
    assert_eq!(page.status, 500);
    assert!(!page.text.contains("relation"), "{}", page.text);
}

#[tokio::test]
async fn a_run_is_started_cancelled_and_retried() {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    let trigger = json!({ "dag": "by_hand", "logical_time": "2026-03-01T00:00:00Z", "params": { "size": 3 } });
    let started = server.post("/api/v1/runs", Some(trigger.clone())).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let run_id = started.json()["run_id"].as_i64().expect("a run");
    let address = format!("/api/v1/runs/{run_id}");
    assert_eq!(started.headers["location"], address.as_str());
    let run = server.get(&address).await.json();
    assert_eq!(
        (&run["state"], &run["trigger"], &run["params"]["size"]),
        (&json!("running"), &json!("manual"), &json!(3))
    );
    let again = server.post("/api/v1/runs", Some(trigger)).await;
    assert_eq!((again.status, again.kind.as_str()), (409, "application/problem+json"), "one run for one logical time");

    let cancelled = server.post(&format!("{address}/cancel"), None).await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &json!("cancelled")));
    assert_eq!(server.post(&format!("{address}/cancel"), None).await.status, 409, "it has ended");
    let retried = server.post(&format!("{address}/retry"), None).await;
    assert_eq!((retried.status, &retried.json()["state"]), (200, &json!("running")));
    assert_eq!(server.post(&format!("{address}/retry"), None).await.status, 409, "nothing has failed yet");
}

#[tokio::test]
async fn a_run_explains_itself_to_programs_and_on_its_page() {
    let server = TestServer::seeded().await;
    let failed: i64 = sqlx::query_scalar("select max(run_id) from sluice.dag_run where state = 'failed'")
        .fetch_one(server.pool())
        .await
        .expect("a failed run");
    let answers = server.get(&format!("/api/v1/runs/{failed}/why")).await.json();
    assert_eq!((&answers[0]["task"], &answers[0]["state"]), (&Value::Null, &json!("failed")), "{answers}");
    let task = answers[1]["task"].as_str().expect("the task that failed");
    let one = server.get(&format!("/api/v1/runs/{failed}/why?task={task}")).await.json();
    assert_eq!(one[0], answers[1]);
    assert_eq!(server.get(&format!("/api/v1/runs/{failed}/why?task=nobody")).await.status, 404);
    let because = answers[0]["because"].as_str().expect("a sentence");
    let page = server.get(&format!("/runs/{failed}")).await.text;
    assert!(page.contains(because), "{because}");
}

#[tokio::test]
async fn a_write_that_makes_no_sense_is_refused() {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    for (path, body, status) in [
        ("/api/v1/runs", json!({ "dag": "nope" }), 404),
        ("/api/v1/runs", json!({ "dag": "by_hand", "parms": {} }), 400),
        ("/api/v1/runs", json!({ "dag": "by_hand", "params": { "colour": "red" } }), 400),
        ("/api/v1/runs", json!("by_hand"), 400),
        ("/api/v1/runs/99999999/cancel", json!({}), 404),
        ("/api/v1/runs/99999999/retry", json!({}), 404),
    ] {
        let refused = server.post(path, Some(body.clone())).await;
        assert_eq!((refused.status, refused.kind.as_str()), (status, "application/problem+json"), "{path} {body}");
    }
    let runs = server.get("/api/v1/runs").await.json();
    assert_eq!(runs["items"], json!([]), "nothing was started");
}

#[tokio::test]
async fn another_sites_page_can_neither_write_nor_read() {
    let server = TestServer::seeded().await;
    let forged = server.request(Method::POST, "/runs/1/cancel").header("origin", "http://evil.example");
    assert_eq!(answer(forged).await.status, 403);
    let forged = server.request(Method::POST, "/api/v1/runs/1/cancel").header("sec-fetch-site", "cross-site");
    assert_eq!(answer(forged).await.status, 403);
    let rebound = server.request(Method::GET, "/api/v1/runs").header("host", "evil.example");
    assert_eq!(answer(rebound).await.status, 403);
    let page = server.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let ready = TestServer::empty().await.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    let bare = TestServer::over(testkit::empty_database().await).await;
    assert_eq!(bare.get("/healthz").await.status, 200);
    let waiting = bare.get("/readyz").await;
    assert_eq!((waiting.status, &waiting.json()["ready"]), (503, &json!(false)));
}

#[tokio::test]
async fn the_demos_ratings_are_paged() {
    let server = TestServer::empty().await;
    let first = server.get("/demo/ratings").await.json();
    assert_eq!(first["next"], "/demo/ratings?page=2");
    assert_eq!(first, server.get("/demo/ratings?page=1").await.json());
    assert_eq!(server.get("/demo/ratings?page=5").await.json()["next"], Value::Null);
}

//! What operators do from the page, each act shown before it is done.

use reqwest::Method;
use serde_json::json;

use crate::{Answer, TestServer, answer, hand};

/// A server with the DAG `by_hand` and a cancelled run of it.
async fn server() -> TestServer {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    assert_eq!(server.post("/api/v1/runs", Some(json!({ "dag": "by_hand" }))).await.status, 201);
    assert_eq!(server.post("/api/v1/runs/1/cancel", None).await.status, 200);
    server
}

async fn send(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> Answer {
    answer(server.request(Method::POST, path).form(fields)).await
}

#[tokio::test]
async fn a_retry_is_shown_with_what_the_new_version_changes_and_then_done() {
    let server = server().await;
    let first = server.get("/runs/1/retry").await;
    assert_eq!(first.status, 200);
    assert!(first.text.contains("2 tasks") && !first.text.contains("The deployed one"), "{}", first.text);
    assert!(server.get("/runs/1").await.text.contains("href=\"/runs/1/retry\""));
    hand::deploy_longer(server.pool()).await;
    let shown = server.get("/runs/1/retry?on=new").await.text;
    assert!(shown.contains("What the other version changes") && shown.contains("new task"), "{shown}");
    assert!(shown.contains("params.size") && shown.contains("3 tasks"), "{shown}");
    let state = server.get("/api/v1/runs/1").await.json();
    assert_eq!(state["state"], "cancelled", "what is shown is not done");
    // A task alone, which the form says with an empty version.
    let only = server.get("/runs/1/retry?task=first&reach=only&on=").await.text;
    assert!(only.contains("1 task<"), "{only}");
    let done = send(&server, "/runs/1/retry", &[("task", ""), ("reach", ""), ("on", "new")]).await;
    assert_eq!((done.status, &done.headers["location"]), (303, &"/runs/1".parse().expect("a header")));
    let run = server.get("/api/v1/runs/1").await.json();
    assert_eq!((&run["state"], run["tasks"].as_array().map(Vec::len)), (&json!("running"), Some(3)));
    // While it is under way the page says why nothing can be run again.
    let refused = server.get("/runs/1/retry?on=new").await;
    assert_eq!(refused.status, 200);
    assert!(refused.text.contains("role=\"status\"") && !refused.text.contains("Run them again"), "{}", refused.text);
    assert_eq!(server.get("/runs/77/retry").await.status, 404);
}

#[tokio::test]
async fn days_are_filled_and_run_again_after_a_preview_and_stopped() {
    let server = server().await;
    hand::deploy_daily(server.pool()).await;
    assert_eq!(server.get("/dags/daily/backfill").await.status, 200);
    let span = "from=2026-01-01&to=2026-01-03&parallel=1&order=newest";
    let shown = server.get(&format!("/dags/daily/backfill?{span}")).await.text;
    assert!(shown.contains("Make 3 runs") && shown.contains("3 of 3"), "{shown}");
    assert_eq!(server.get("/api/v1/runs?dag=daily").await.json()["items"], json!([]), "what is shown is not made");
    let fields = [("from", "2026-01-01"), ("to", "2026-01-03"), ("parallel", "1"), ("order", "newest")];
    let made = send(&server, "/dags/daily/backfill", &fields).await;
    assert_eq!((made.status, &made.headers["location"]), (303, &"/backfills?dag=daily".parse().expect("a header")));
    let list = server.get("/backfills?dag=daily").await.text;
    assert!(list.contains("/backfills/1/stop") && list.contains("newest first"), "{list}");
    let again = server.get(&format!("/dags/daily/backfill?{span}")).await.text;
    assert!(again.contains("There is nothing to do"), "{again}");
    assert_eq!(server.post("/backfills/1/stop", None).await.status, 303);
    assert!(!server.get("/backfills").await.text.contains("/backfills/1/stop"));

    let shown = server.get("/dags/daily/clear?from=2026-01-01&to=2026-01-02&task=only").await.text;
    assert!(shown.contains("Run again 2 runs<"), "{shown}");
    let cleared =
        send(&server, "/dags/daily/clear", &[("from", "2026-01-01"), ("to", "2026-01-02"), ("task", "")]).await;
    assert_eq!(cleared.status, 303, "{}", cleared.text);
    assert_eq!(server.get("/api/v1/backfills?dag=daily").await.json()["items"][0]["kind"], "clear");

    // What is wrong with a form is said beside it.
    for (query, says) in [
        ("from=2026-01-03&to=2026-01-01", "2026-01-01"),
        ("from=yesterday&to=2026-01-01", "`from` is `yesterday`"),
        ("from=2026-01-01&to=2026-01-01&parallel=0", "at once"),
        ("from=%2B99999-01-01&to=%2B99999-01-02", "lies in the year 99999"),
        ("from=2026-01-01&to=2026-01-01&param.size=%00", "NUL"),
    ] {
        let page = server.get(&format!("/dags/daily/backfill?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        assert!(page.text.contains(says) && !page.text.contains("class=\"button primary\""), "{query}: {}", page.text);
    }
    assert_eq!(send(&server, "/dags/daily/backfill", &[("from", "x"), ("to", "x")]).await.status, 400);
    assert_eq!(server.get("/dags/nope/backfill").await.status, 404);
    assert_eq!(server.post("/backfills/99/stop", None).await.status, 404);
}

const GROUPED: &str = "dag: grouped\nschedule: { cron: '0 2 * * *' }\ntasks:
  a: { kind: nothing, group: early }
  b: { kind: nothing, group: early, needs: a }
  c: { kind: nothing, needs: early }\n";

#[tokio::test]
async fn a_group_is_marked_and_cleared_as_one() {
    let server = TestServer::empty().await;
    hand::deploy_text(server.pool(), GROUPED).await;
    let day = json!({ "dag": "grouped", "logical_time": "2026-01-01T02:00:00Z" });
    assert_eq!(server.post("/api/v1/runs", Some(day)).await.status, 201);
    let states = async || {
        let run = server.get("/api/v1/runs/1").await.json();
        let mut states: Vec<String> = run["tasks"]
            .as_array()
            .expect("tasks")
            .iter()
            .map(|task| {
                format!("{} {}", task["task"].as_str().expect("a name"), task["state"].as_str().expect("a state"))
            })
            .collect();
        states.sort();
        states
    };
    let page = server.get("/runs/1/retry").await.text;
    assert!(page.contains("<optgroup label=\"Groups\"><option value=\"early\">"), "{page}");
    let marked =
        send(&server, "/runs/1/mark", &[("task", "early"), ("state", "success"), ("reason", "done by hand")]).await;
    assert_eq!(marked.status, 303, "{}", marked.text);
    assert_eq!(states().await, ["a success", "b success", "c queued"]);
    assert_eq!(
        server.post("/api/v1/runs/1/tasks/c/mark", Some(json!({ "state": "success", "reason": "too" }))).await.status,
        200
    );
    let acts = server.get("/api/v1/audit?dag=grouped&limit=3").await.json();
    assert_eq!((&acts["items"][2]["task"], &acts["items"][1]["task"]), (&json!("a"), &json!("b")));
    let clear = json!({ "from": "2026-01-01", "to": "2026-01-01", "task": "early", "preview": true });
    let shown = server.post("/api/v1/dags/grouped/clear", Some(clear)).await.json();
    assert_eq!(shown["runs"][0]["tasks"], json!(["a", "b", "c"]));
    let none = json!({ "from": "2026-01-01", "to": "2026-01-01", "task": "late" });
    assert_eq!(server.post("/api/v1/dags/grouped/clear", Some(none)).await.status, 404);
}

#[tokio::test]
async fn a_dag_says_what_starts_it() {
    let server = server().await;
    hand::deploy_daily(server.pool()).await;
    assert!(server.get("/dags/by_hand").await.text.contains("Starts by hand"));
    assert!(server.get("/dags/daily").await.text.contains("Starts by schedule <code>0 2 * * *</code>"));
    let text = "dag: follower\nparams: { path: '' }\ntriggers:
      - { dag: daily }
      - { datasets: [staging.orders, staging.customers] }
      - { file: 'inbox/*.csv', as: path }
      - { webhook: shopify }\ntasks: { only: { kind: nothing } }\n";
    hand::deploy_text(server.pool(), text).await;
    let page = server.get("/dags/follower").await.text;
    for says in [
        "after <a href=\"/dags/daily\">daily</a> succeeded",
        "once <code>staging.orders</code>, <code>staging.customers</code> were all published",
        "for each file <code>inbox/*.csv</code>",
        "by requests to <code>/hooks/shopify</code>",
    ] {
        assert!(page.contains(says), "{says}: {page}");
    }
    assert!(!page.contains("by hand<"), "{page}");
    assert!(server.get("/dags").await.text.contains("/hooks/shopify"));
    let triggers = &server.get("/api/v1/dags/follower").await.json()["triggers"];
    assert_eq!(triggers[0], json!({ "dag": "daily" }));
}

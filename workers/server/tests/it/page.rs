//! The web page: every address answers, hostile text stays text, empty lists say what to do.

use serde_json::json;

use crate::{TestServer, hand};

/// Every page there is, with rows behind it.
pub(crate) async fn addresses(server: &TestServer) -> Vec<String> {
    let runs: Vec<i64> = sqlx::query_scalar("select max(run_id) from sluice.runs group by state order by 1")
        .fetch_all(server.pool())
        .await
        .expect("runs");
    let mut addresses: Vec<String> = [
        "/",
        "/dags",
        "/dags/daily_sales",
        "/dags/low_stock",
        "/runs",
        "/runs?state=failed",
        "/quality",
        "/quality/suites/orders",
        "/quality/rows",
        "/quality/rows?dataset=staging.orders",
        "/streams",
        "/alerts",
        "/alerts?severity=high",
        "/deliveries",
    ]
    .map(str::to_owned)
    .to_vec();
    addresses.extend(runs.iter().map(|run_id| format!("/runs/{run_id}")));
    addresses
}

#[tokio::test]
async fn every_page_renders_with_rows_and_without() {
    let server = TestServer::seeded().await;
    for address in addresses(&server).await {
        let page = server.get(&address).await;
        assert_eq!((page.status, page.kind.as_str()), (200, "text/html; charset=utf-8"), "{address}");
        assert!(!page.text.contains(" style=\"") && !page.text.contains("<script>"), "{address} has inline parts");
        assert_eq!(page.text.matches("<h1>").count(), 1, "{address}");
    }
    let empty = TestServer::empty().await;
    for address in ["/", "/dags", "/runs", "/quality", "/quality/rows", "/streams", "/alerts", "/deliveries"] {
        let page = empty.get(address).await;
        assert_eq!(page.status, 200, "{address}");
        assert!(page.text.contains("empty-title"), "{address} does not say that it is empty");
    }
    for address in ["/nothing", "/runs/1", "/dags/x", "/quality/suites/x"] {
        let page = empty.get(address).await;
        assert_eq!((page.status, page.kind.as_str()), (404, "text/html; charset=utf-8"), "{address}");
    }
}

/// A run whose task `take` was mapped over a thousand items, of which two failed.
const MAPPED: &str = "
    insert into sluice.dag_version (dag, version, plan) values ('mapped', 'v', '{}');
    insert into sluice.dag (dag, version) values ('mapped', 'v');
    insert into sluice.dag_run (dag, version, logical_time, interval_start, interval_end, trigger, state, tasks_open)
    values ('mapped', 'v', now(), now(), now(), 'manual', 'failed', 0);
    insert into sluice.task_run (run_id, task, kind, state, needs_open, max_attempts, mapped, reason)
    select max(run_id), 'take', 'command', 'failed', 0, 1, 1000, '2 of its 1000 items failed' from sluice.dag_run;
    insert into sluice.task_run (run_id, task, kind, state, needs_open, max_attempts, parent, place)
    select (select max(run_id) from sluice.dag_run), format('take[%s]', n), 'command',
           case when n in (7, 999) then 'failed' else 'success' end, 0, 1, 'take', n
    from generate_series(0, 999) n;
    insert into sluice.attempt (task_run_id, attempt, worker, state, lease_until, queued_at, finished_at, error)
    select task_run_id, 1, 'w', state, now(), now(), now(), 'broken: ' || task from sluice.task_run where parent = 'take'";

#[tokio::test]
async fn a_mapped_task_is_one_task_of_the_page_and_an_item_has_its_log() {
    let server = TestServer::empty().await;
    sqlx::raw_sql(MAPPED).execute(server.pool()).await.expect("the made-up rows fit the schema");
    let page = server.get("/runs/1").await.text;
    assert!(page.contains("2 failed, 998 success") && page.contains("2 of its 1000 items failed"));
    assert!(!page.contains("take[0]") && !page.contains("take[998]"), "items are on the page");
    let page = server.get("/runs/1?task=take%5B7%5D").await.text;
    assert!(page.contains("Log of take[7]") && page.contains("broken: take[7]") && !page.contains("take[8]"));
    assert!(!server.get("/dags/mapped").await.text.contains("take[0]"));
    let run: serde_json::Value = serde_json::from_str(&server.get("/api/v1/runs/1").await.text).expect("JSON");
    assert_eq!(run["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(run["tasks"][0]["items"], serde_json::json!({ "total": 1000, "success": 998, "failed": 2 }));
}

const EVIL: &str = r#"</title></style><script>alert(1)</script><img src=x onerror="alert(2)">' onmouseover='x"#;

#[tokio::test]
async fn hostile_text_stays_text() {
    let server = TestServer::seeded().await;
    for sql in [
        "update sluice.dag set description = $1",
        "update sluice.alert set message = $1, key = $1",
        "update sluice.outbox set subject = $1, location = $1, error = $1",
        "update sluice.attempt set error = $1, worker = $1 where error is not null",
        "update sluice.task_log set line = $1",
        "update sluice.task_run set reason = $1",
        "update sluice.quarantined_row set rules = array[$1], row = jsonb_build_object($1, $1)",
        "update sluice.check_result set check_id = $1, observed = jsonb_build_object($1, $1)",
        "update sluice.suite_change set actor = $1",
        "update sluice.suite_version set text = $1, definition = jsonb_build_object('head', jsonb_build_object('description', $1, 'owner', $1),
             'checks', jsonb_build_array(jsonb_build_object('id', $1, 'expectation', 'anomaly', 'arguments', jsonb_build_object('metric', $1, 'description', $1))))
         where hash = 'c0ffee'",
        "update sluice.profile set metrics = metrics || jsonb_build_object('type', $1, 'min', $1, 'top', jsonb_build_array(jsonb_build_object('value', $1, 'count', 3)))",
        "update sluice.profile set \"column\" = $1 where place = 3",
        "update sluice.dead_letter set detail = $1",
        "update staging.products set name = $1",
    ] {
        sqlx::query(sql).bind(EVIL).execute(server.pool()).await.unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    }
    for address in addresses(&server).await {
        let page = server.get(&address).await;
        assert_eq!(page.status, 200, "{address}");
        for raw in ["<script>alert", "<img src=x", "x\" onerror"] {
            assert!(!page.text.contains(raw), "{address} lets {raw} through");
        }
    }
    let alerts = server.get("/alerts").await.text;
    assert!(alerts.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the text is shown, as text");
}

#[tokio::test]
async fn buttons_on_pages_act_and_lead_back() {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    let started = server.post("/dags/by_hand/trigger", None).await;
    assert_eq!(started.status, 303, "{}", started.text);
    let address = started.headers["location"].to_str().expect("text").to_owned();
    for (button, action) in [("Cancel run", "cancel"), ("Retry failed tasks", "retry")] {
        let page = server.get(&address).await.text;
        assert!(page.contains(button) && page.contains(&format!("{address}/{action}")), "{button}");
        let done = server.post(&format!("{address}/{action}"), None).await;
        assert_eq!((done.status, done.headers["location"].to_str().ok()), (303, Some(address.as_str())), "{button}");
    }
    let missing = server.post("/runs/99999999/retry", None).await;
    assert_eq!((missing.status, missing.kind.as_str()), (404, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn style_and_script_are_served_from_the_binary() {
    let server = TestServer::empty().await;
    for (path, kind) in [
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/app.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ] {
        let file = server.get(path).await;
        assert_eq!((file.status, file.kind.as_str()), (200, kind));
        assert!(!file.text.contains("http://") || path.ends_with("svg"), "{path} asks for something elsewhere");
    }
}

#[tokio::test]
async fn the_items_of_a_mapped_task_are_listed_by_the_page() {
    let server = TestServer::empty().await;
    sqlx::raw_sql(MAPPED).execute(server.pool()).await.expect("the made-up rows fit the schema");
    let list = async |query: &str| server.get(&format!("/api/v1/runs/1/tasks/take/items{query}")).await.json();
    let first = list("?limit=200").await;
    assert_eq!((&first["items"][199]["task"], first["next_cursor"].as_str()), (&json!("take[199]"), Some("199")));
    let next = list("?limit=2&cursor=199").await;
    assert_eq!(next["items"][0]["place"], 200);
    let failed = list("?state=failed").await;
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(2));
    assert_eq!((&failed["items"][1]["task"], &failed["next_cursor"]), (&json!("take[999]"), &json!(null)));
    for path in ["/api/v1/runs/1/tasks/nope/items", "/api/v1/runs/2/tasks/take/items"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/api/v1/runs/1/tasks/take/items?cursor=x").await.status, 400);
}

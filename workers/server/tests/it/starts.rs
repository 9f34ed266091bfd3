//! Runs started from the page: a field for each parameter, and what is wrong with one beside it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Answer, TestServer, answer, hand};

/// A parameter of each type, one of them required.
const DAG: &str = "
dag: by_hand
params:
  day: { type: date, required: true, description: The day to load }
  city: { type: text, choices: [Ulm, Bonn], default: Ulm }
  share: { type: number, min: 0, max: 1, default: 0.5 }
  tries: { type: integer, min: 1, default: 3 }
  dry: { type: boolean, default: false }
  only: { type: list, default: [1, 2] }
  note: 'as <b> ever'
  free: null
tasks: { first: { kind: nothing } }
";

async fn send(server: &TestServer, fields: &[(&str, &str)]) -> Answer {
    answer(server.request(Method::POST, "/dags/by_hand/trigger").form(fields)).await
}

async fn params(server: &TestServer) -> Vec<Value> {
    sqlx::query_scalar("select params from sluice.dag_run order by run_id")
        .fetch_all(server.pool())
        .await
        .expect("runs")
}

#[tokio::test]
async fn the_form_has_a_field_for_each_parameter_and_starts_a_run() {
    let server = TestServer::empty().await;
    hand::deploy_text(server.pool(), DAG).await;
    let page = server.get("/dags/by_hand").await.text;
    assert!(page.contains("href=\"/dags/by_hand/trigger\""), "the DAG's page leads to the form");
    let page = server.get("/dags/by_hand/trigger").await.text;
    for part in [
        "type=\"date\" name=\"param.day\" value=\"\" required",
        "The day to load",
        "a date such as 2026-01-31",
        "<option value=\"Ulm\" selected>",
        "name=\"param.share\" value=\"0.5\" step=\"any\" min=\"0\" max=\"1\"",
        "name=\"param.tries\" value=\"3\" step=\"1\" min=\"1\"",
        "<option value=\"false\" selected>",
        "\n[1,2]</textarea>",
        "value=\"as &lt;b&gt; ever\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let fields = [
        ("param.day", "2026-02-28"),
        ("param.city", "Bonn"),
        ("param.share", "0.25"),
        ("param.tries", "7"),
        ("param.dry", "true"),
        ("param.only", "[3,\r\n4]"),
        ("param.note", ""),
        ("param.free", ""),
    ];
    let started = send(&server, &fields).await;
    assert_eq!((started.status, started.headers["location"].to_str().ok()), (303, Some("/runs/1")), "{}", started.text);
    let given = json!({ "day": "2026-02-28", "city": "Bonn", "share": 0.25, "tries": 7, "dry": true, "only": [3, 4],
        "note": "", "free": null });
    assert_eq!(params(&server).await, [given]);
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_nothing_is_started() {
    let server = TestServer::empty().await;
    hand::deploy_text(server.pool(), DAG).await;
    let fields =
        [("param.day", ""), ("param.city", "Bern"), ("param.share", "1.5"), ("param.note", "kept \"as\" sent")];
    let page = send(&server, &fields).await;
    assert_eq!((page.status, page.kind.as_str()), (400, "text/html; charset=utf-8"));
    for (field, fault) in [
        ("day", "`by_hand` needs its parameter `day`: a date such as 2026-01-31"),
        ("city", "parameter `city` is &quot;Bern&quot;, but `by_hand` declares one of Ulm, Bonn"),
        ("share", "parameter `share` is &quot;1.5&quot;, but `by_hand` declares a number from 0 to 1"),
    ] {
        let beside = format!("id=\"param.{field}.note\"><p class=\"bad-text\" role=\"alert\">{fault}</p>");
        assert!(page.text.contains(&beside), "{beside} is not in {}", page.text);
    }
    assert_eq!(page.text.matches("aria-invalid").count(), 3);
    for kept in ["value=\"1.5\"", "<option value=\"Bern\" selected>", "kept &quot;as&quot; sent"] {
        assert!(page.text.contains(kept), "{kept} is lost");
    }
    // One that the DAG no longer has, and one that Postgres cannot keep.
    for (fields, said) in [
        ([("param.day", "2026-01-01"), ("param.gone", "1")], "has no parameter `gone`"),
        ([("param.day", "2026-01-01"), ("param.note", "\0")], "a field holds a NUL"),
    ] {
        let page = send(&server, &fields).await;
        assert!(page.status == 400 && page.text.contains(said), "{said}: {}", page.text);
    }
    assert_eq!(params(&server).await, Vec::<Value>::new());
    // A backfill's form knows what is required, too.
    let page = server.get("/dags/by_hand/backfill").await.text;
    assert!(page.contains("name=\"param.day\" value=\"\" required"), "{page}");
}

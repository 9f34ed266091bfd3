//! Signed requests that start runs.

use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use warehouse::runs;
use workflow::hex;

use crate::{Answer, TestServer, answer};

/// Sends a body to the webhook `shopify`, signed with `secret` at `time`.
struct Request<'a> {
    secret: &'a str,
    time: i64,
    key: Option<&'a str>,
    body: &'a str,
}

/// How the header is written.
fn usual(time: i64, digest: &str) -> String {
    format!("t={time},v1={digest}")
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { secret: "s3cret", time: Utc::now().timestamp(), key: None, body: r#"{"order": 7}"# }
    }
}

impl Request<'_> {
    async fn send(&self, server: &TestServer) -> Answer {
        self.send_as(server, usual, self.key).await
    }

    /// As one who overheard the request and does not know the secret may send it: with another header, or another key.
    async fn send_as(&self, server: &TestServer, written: fn(i64, &str) -> String, key: Option<&str>) -> Answer {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_bytes()).expect("any key will do");
        let signed_key = self.key.map(|key| format!("{key}.")).unwrap_or_default();
        mac.update(format!("{}.{signed_key}{}", self.time, self.body).as_bytes());
        let signature = written(self.time, &hex::encode(&mac.finalize().into_bytes()));
        let mut request = server.request(reqwest::Method::POST, "/hooks/shopify").header("Sluice-Signature", signature);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answer(request.body(self.body.to_owned())).await
    }
}

async fn waiting(server: &TestServer, dag: &str, trigger: &str, params: &str) {
    let text =
        format!("{{ dag: {dag}, params: {params}, triggers: [{trigger}], tasks: {{ a: {{ kind: nothing }} }} }}");
    crate::hand::deploy_text(server.pool(), &text).await;
}

async fn params(server: &TestServer, answer: &Answer) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    for run in answer.json()["runs"].as_array().expect("runs") {
        let run_id = run["run_id"].as_i64().expect("a number");
        found.push(runs::run(server.pool(), run_id).await.expect("the run").params);
    }
    found
}

#[tokio::test]
async fn a_signed_request_starts_every_dag_that_waits_for_it_once() {
    let server = TestServer::empty().await;
    waiting(&server, "one", "{ webhook: shopify }", "{ order: { type: integer, required: true } }").await;
    waiting(&server, "two", "{ webhook: shopify, as: body }", "{ body: {} }").await;
    let request = Request::default();
    let first = request.send(&server).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(params(&server, &first).await, [json!({ "order": 7 }), json!({ "body": { "order": 7 } })]);
    // The same request again, as a proxy or an attacker sends it, makes nothing.
    let again = request.send(&server).await;
    assert_eq!(again.status, 202);
    assert!(again.json()["runs"].as_array().expect("runs").iter().all(|run| run["new"] == false), "{}", again.text);
    assert_eq!(runs::list(server.pool(), None, None, 10).await.expect("runs").len(), 2);
    // A sender that signs anew says by a key that it is the same.
    let keyed = |time| Request { key: Some("delivery-1"), time, ..Request::default() };
    let now = Utc::now().timestamp();
    assert_eq!(keyed(now).send(&server).await.json()["runs"][0]["new"], true);
    assert_eq!(keyed(now - 1).send(&server).await.json()["runs"][0]["new"], false);
    assert_eq!(runs::list(server.pool(), None, None, 10).await.expect("runs").len(), 4);
}

#[tokio::test]
async fn a_request_that_was_overheard_makes_no_run_however_it_is_repeated() {
    let server = TestServer::empty().await;
    waiting(&server, "one", "{ webhook: shopify, as: body }", "{ body: {} }").await;
    let (bare, keyed) = (Request::default(), Request { key: Some("delivery-1"), ..Request::default() });
    assert_eq!(bare.send(&server).await.json()["runs"][0]["new"], true);
    let written: [fn(i64, &str) -> String; 3] = [
        |time, digest| format!("v1={digest}, t={time}"),
        |time, digest| format!("t={time},v1={}", digest.to_uppercase()),
        |time, digest| format!("t={time},v1={digest},v2=00"),
    ];
    for write in written {
        let again = bare.send_as(&server, write, None).await;
        assert_eq!(again.json()["runs"][0]["new"], false, "{}", again.text);
    }
    // Nor under a key that its sender did not sign, or without the one that it did.
    assert_eq!(bare.send_as(&server, usual, Some("mine")).await.status, 401);
    assert_eq!(keyed.send(&server).await.json()["runs"][0]["new"], true);
    assert_eq!(keyed.send_as(&server, usual, Some("delivery-2")).await.status, 401);
    assert_eq!(keyed.send_as(&server, usual, None).await.status, 401);
    assert_eq!(runs::list(server.pool(), None, None, 10).await.expect("runs").len(), 2);
}

#[tokio::test]
async fn a_request_needs_one_connection_of_the_pool() {
    let server = TestServer::empty().await;
    waiting(&server, "one", "{ webhook: shopify, as: body }", "{ body: {} }").await;
    let narrow = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(std::time::Duration::from_secs(5))
        .connect_with(server.pool().connect_options().as_ref().clone())
        .await
        .expect("a pool");
    let fired = runs::hook(&narrow, "shopify", "k", &json!({}), Utc::now()).await.expect("a run");
    assert_eq!(fired.len(), 1);
}

#[tokio::test]
async fn what_a_dag_cannot_take_makes_no_run_of_any() {
    let server = TestServer::empty().await;
    waiting(&server, "one", "{ webhook: shopify, as: body }", "{ body: {} }").await;
    waiting(&server, "two", "{ webhook: shopify }", "{ order: { type: integer, default: 1 } }").await;
    let refused = Request { body: r#"{"order": "many"}"#, ..Request::default() }.send(&server).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["detail"], "parameter `order` is \"many\", but `two` declares a whole number");
    assert!(runs::list(server.pool(), None, None, 10).await.expect("runs").is_empty());
    // Mended and sent again it counts: nothing of the first try was kept.
    let mended = Request { body: r#"{"order": 2}"#, ..Request::default() }.send(&server).await;
    assert_eq!(mended.json()["runs"].as_array().expect("runs").len(), 2);
}

#[tokio::test]
async fn a_request_that_nobody_signed_in_time_is_refused() {
    let server = TestServer::empty().await;
    waiting(&server, "one", "{ webhook: shopify, as: body }", "{ body: {} }").await;
    let said = |answer: Answer| (answer.status, answer.json()["detail"].as_str().expect("a text").to_owned());
    let wrong = said(Request { secret: "guess", ..Request::default() }.send(&server).await);
    let not_its = "the signature is not that of this request under this webhook's secret";
    assert_eq!(wrong, (401, not_its.to_owned()));
    // Who does not know the secret is not told about the clock.
    assert_eq!(said(Request { secret: "guess", time: 0, ..Request::default() }.send(&server).await).1, not_its);
    let old = Request { time: Utc::now().timestamp() - 400, ..Request::default() }.send(&server).await;
    assert_eq!(said(old), (401, "the request was signed more than 5 minutes ago, or the clocks differ".to_owned()));
    assert_eq!(server.post("/hooks/shopify", Some(json!({}))).await.status, 401);
    assert_eq!(server.post("/hooks/other", Some(json!({}))).await.status, 404);
    let long = "x".repeat(300 << 10);
    assert_eq!(Request { body: &long, ..Request::default() }.send(&server).await.status, 413);
    assert_eq!(Request { body: "{", ..Request::default() }.send(&server).await.status, 400);
    for shape in ["t=1", "v1=00", "t=x,v1=00", "t=1,v1=zz", ""] {
        let request = server.request(reqwest::Method::POST, "/hooks/shopify").header("Sluice-Signature", shape);
        assert_eq!(answer(request).await.status, 401, "{shape}");
    }
    assert!(runs::list(server.pool(), None, None, 10).await.expect("runs").is_empty());
}

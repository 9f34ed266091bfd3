//! Tokens, roles and log-ins: who gets what, and that no route is left out.

use std::net::SocketAddr;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use server::{Need, ServerOptions};
use sqlx::PgPool;
use warehouse::{
    access::{self, Role},
    runs::{Actor, Via},
};

use crate::{Answer, TestServer, answer, hand, options, page::addresses};

fn someone() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

/// Makes a token called like its role.
async fn token(pool: &PgPool, role: Role) -> String {
    access::create_token(pool, role.as_str(), role, None, &someone()).await.expect("made").secret
}

impl TestServer {
    async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        answer(self.request(method, path).bearer_auth(token)).await
    }
}

/// Every operation of the OpenAPI document that asks for a role: method and path. A webhook asks for a signature.
fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&server::openapi()).expect("JSON");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            if path != "/hooks/{webhook}" {
                operations.push((method.to_uppercase().parse().expect("a method"), path.clone()));
            }
        }
    }
    operations
}

/// An address of the route: no such thing exists, which only those learn who may ask.
fn address(route: &str) -> String {
    route
        .replace("{run_id}", "99999999")
        .replace("{backfill_id}", "99999999")
        .replace("{dag}", "nope")
        .replace("{task}", "x")
}

#[test]
fn every_operation_has_a_role_and_every_act_asks_for_more_than_a_viewer() {
    for (method, path) in operations() {
        let need = server::need(method.as_str(), &path);
        let Some(Need::Role(role)) = need else { panic!("{method} {path} is not in the table: {need:?}") };
        assert_eq!(role >= Role::Operator, method != Method::GET || path == "/api/v1/audit", "{method} {path}");
    }
    assert!(operations().len() >= 29);
}

#[tokio::test]
async fn a_viewer_looks_at_everything_and_is_refused_every_act() {
    let server = TestServer::empty().await;
    let viewer = token(server.pool(), Role::Viewer).await;
    for (method, path) in operations() {
        if path.ends_with("/stream") {
            continue;
        }
        let got = server.ask(method.clone(), &address(&path), &viewer).await;
        if server::need(method.as_str(), &path) == Some(Need::Role(Role::Viewer)) {
            assert!(matches!(got.status, 200 | 400 | 404), "{method} {path}: {} {}", got.status, got.text);
        } else {
            assert_eq!((got.status, got.kind.as_str()), (403, "application/problem+json"), "{method} {path}");
            assert!(
                got.json()["detail"].as_str().is_some_and(|text| text.contains("`viewer` has viewer")),
                "{}",
                got.text
            );
        }
    }
    for path in ["/dags/x/trigger", "/dags/x/pause", "/runs/1/cancel", "/runs/1/retry", "/runs/1/mark"] {
        let got = server.ask(Method::POST, path, &viewer).await;
        assert_eq!((got.status, got.kind.as_str()), (403, "text/html; charset=utf-8"), "{path}");
    }
    let acts: i64 = sqlx::query_scalar("select count(*) from sluice.audit where via <> 'cli'")
        .fetch_one(server.pool())
        .await
        .expect("count");
    assert_eq!(acts, 0);
}

#[tokio::test]
async fn an_operator_acts_and_an_administrator_reads_who_did() {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    let operator = token(server.pool(), Role::Operator).await;
    let admin = token(server.pool(), Role::Admin).await;
    let started =
        server.request(Method::POST, "/api/v1/runs").bearer_auth(&operator).json(&json!({ "dag": "by_hand" }));
    assert_eq!(answer(started).await.status, 201);
    assert_eq!(server.ask(Method::POST, "/runs/1/cancel", &operator).await.status, 303);
    assert_eq!(server.ask(Method::GET, "/api/v1/audit", &operator).await.status, 403);
    let log = server.ask(Method::GET, "/api/v1/audit", &admin).await.json();
    let acts: Vec<_> =
        log["items"].as_array().expect("acts").iter().map(|act| (&act["act"], &act["actor"], &act["via"])).collect();
    assert_eq!(acts[0], (&json!("cancel"), &json!("operator"), &json!("web")));
    assert_eq!(acts[1], (&json!("run"), &json!("operator"), &json!("api")));
    assert_eq!(acts[2], (&json!("token_create"), &json!("ada"), &json!("cli")));
}

#[tokio::test]
async fn a_token_that_is_no_good_is_refused_and_told_why() {
    let server = TestServer::empty().await;
    let (pool, ada) = (server.pool(), someone());
    let good = token(pool, Role::Admin).await;
    let past = Some(Utc::now() - TimeDelta::minutes(1));
    let expired = access::create_token(pool, "old", Role::Admin, past, &ada).await.expect("made").secret;
    let revoked = access::create_token(pool, "gone", Role::Admin, None, &ada).await.expect("made").secret;
    access::revoke_token(pool, "gone", &ada).await.expect("revoked");
    let unknown = good.to_uppercase();
    let cases = [
        (expired.as_str(), "the token has expired"),
        (&revoked, "the token was revoked"),
        (&unknown, "the token is not one of this platform"),
    ];
    for (secret, why) in cases {
        let got = server.ask(Method::GET, "/api/v1/dags", secret).await;
        assert_eq!((got.status, got.json()["detail"].as_str()), (401, Some(why)), "{}", got.text);
        assert_eq!(got.headers["www-authenticate"], "Bearer");
        assert!(got.json()["hint"].as_str().is_some_and(|hint| hint.contains("sluice token create")), "{}", got.text);
    }
    let basic = server.request(Method::GET, "/api/v1/dags").header("authorization", "Basic YTpi");
    assert_eq!(answer(basic).await.status, 401);
    assert_eq!(server.ask(Method::GET, "/api/v1/dags", &good).await.status, 200);
    let used: bool = sqlx::query_scalar("select last_used_at is not null from sluice.token where name = 'admin'")
        .fetch_one(pool)
        .await
        .expect("the token");
    assert!(used);
    // Nothing that could be presented is kept.
    let kept: String =
        sqlx::query_scalar("select string_agg(t::text, ' ') from sluice.token t").fetch_one(pool).await.expect("rows");
    assert!(!kept.contains(good.trim_start_matches("sluice_")), "{kept}");
}

#[tokio::test]
async fn loopback_is_open_until_a_token_is_made_and_stays_closed_from_then_on() {
    let server = TestServer::seeded().await;
    assert_eq!(server.get("/api/v1/dags").await.status, 200);
    assert_eq!(server.get("/").await.status, 200);
    token(server.pool(), Role::Viewer).await;
    for round in ["made", "revoked"] {
        assert_eq!(server.get("/api/v1/dags").await.status, 401, "{round}");
        for address in addresses(&server).await {
            let page = server.get(&address).await;
            let to = page.headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or_default();
            assert!(page.status == 303 && to.starts_with("/login?next="), "{round} {address}: {} {to}", page.status);
        }
        for address in ["/healthz", "/readyz", "/metrics", "/login", "/static/style.css"] {
            assert_eq!(server.get(address).await.status, 200, "{round} {address}");
        }
        if round == "made" {
            access::revoke_token(server.pool(), "viewer", &someone()).await.expect("revoked");
        }
    }
}

#[tokio::test]
async fn beyond_loopback_nobody_gets_in_without_a_token() {
    let database = testkit::database().await;
    let with =
        ServerOptions { closed_metrics: true, ..options(SocketAddr::from(([0, 0, 0, 0], 0)), database.pool.clone()) };
    let server = TestServer::with(with, database).await;
    assert_eq!(server.get("/api/v1/dags").await.status, 401);
    assert_eq!(server.get("/metrics").await.status, 401);
    assert_eq!(server.get("/healthz").await.status, 200);
    let viewer = token(server.pool(), Role::Viewer).await;
    assert_eq!(server.ask(Method::GET, "/metrics", &viewer).await.status, 200);
}

#[tokio::test]
async fn a_log_in_lasts_as_long_as_its_token() {
    let server = TestServer::empty().await;
    hand::deploy(server.pool()).await;
    let operator = token(server.pool(), Role::Operator).await;
    let log_in = async |token: &str, next: &str| {
        answer(server.request(Method::POST, "/login").form(&[("token", token), ("next", next)])).await
    };
    let refused = log_in("nonsense", "/").await;
    assert_eq!(refused.status, 401);
    assert!(refused.text.contains("the token is not one of this platform") && !refused.text.contains("nonsense"));
    let done = log_in(&operator, "/dags").await;
    assert_eq!((done.status, done.headers["location"].to_str().ok()), (303, Some("/dags")));
    assert_eq!(log_in(&operator, "//evil.example").await.headers["location"], "/");
    let cookie = done.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains(&operator), "{cookie}");
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let with =
        |method: Method, path: &str| server.request(method, path).header("cookie", format!("theme=dark; {pair}"));
    assert_eq!(answer(with(Method::GET, "/dags")).await.status, 200);
    assert!(answer(with(Method::GET, "/login")).await.text.contains("You are operator"));
    assert_eq!(answer(with(Method::POST, "/dags/by_hand/trigger")).await.status, 303);
    // A page of another site cannot use it.
    let forged = with(Method::POST, "/dags/by_hand/trigger").header("origin", "http://evil.example");
    assert_eq!(answer(forged).await.status, 403);
    assert_eq!(answer(with(Method::POST, "/logout")).await.status, 303);
    assert_eq!(answer(with(Method::GET, "/dags")).await.status, 303, "the cookie is worth nothing any more");
    let again = log_in(&operator, "/").await.headers["set-cookie"].to_str().expect("text").to_owned();
    let (pair, _) = again.split_once(';').expect("attributes");
    access::revoke_token(server.pool(), "operator", &someone()).await.expect("revoked");
    let page = answer(server.request(Method::GET, "/dags").header("cookie", pair)).await;
    assert_eq!(page.headers["location"], "/login?next=%2Fdags");
}

#[tokio::test]
async fn two_tokens_in_use_do_not_share_a_name() {
    let database = testkit::database().await;
    let (pool, ada) = (&database.pool, someone());
    let make = async |name: &str| access::create_token(pool, name, Role::Viewer, None, &ada).await.map(drop);
    make("grafana").await.expect("made");
    assert_eq!(
        make("grafana").await.expect_err("taken").to_string(),
        "there is a token `grafana` already; revoke it first, or choose another name"
    );
    access::revoke_token(pool, "grafana", &ada).await.expect("revoked");
    make("grafana").await.expect("made again");
    assert!(make("two words").await.is_err() && make("").await.is_err());
    let states: Vec<_> = access::tokens(pool).await.expect("listed").into_iter().map(|row| row.state).collect();
    assert_eq!(states, ["active", "revoked"]);
}

#[tokio::test]
async fn an_event_stream_ends_soon_after_its_token_was_revoked() {
    let server = TestServer::seeded().await;
    let secret = token(server.pool(), Role::Viewer).await;
    let other = token(server.pool(), Role::Operator).await;
    let listen = async |token: &str| {
        let request = server.request(Method::GET, "/api/v1/board/stream").bearer_auth(token);
        let mut stream = request.send().await.expect("an answer");
        assert_eq!(stream.status(), 200);
        stream.chunk().await.expect("bytes").expect("the board");
        stream
    };
    let (mut stream, mut kept) = (listen(&secret).await, listen(&other).await);
    access::revoke_token(server.pool(), "viewer", &someone()).await.expect("revoked");
    let over = async { while stream.chunk().await.expect("bytes").is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), over).await.expect("it ends");
    // The other one goes on: its next chunk is an event or a sign of life.
    let next = tokio::time::timeout(std::time::Duration::from_secs(20), kept.chunk()).await.expect("a sign of life");
    assert!(next.expect("bytes").is_some());
}

#[test]
fn the_description_says_how_to_log_in_and_who_is_refused() {
    let document: Value = serde_json::from_str(&server::openapi()).expect("JSON");
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["session"]["in"]), (&json!("bearer"), &json!("cookie")));
    for (method, path) in operations() {
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        assert_eq!(operation["security"][0], json!({ "bearer": [] }), "{method} {path}");
        for status in ["401", "403"] {
            let answer = &operation["responses"][status]["content"]["application/problem+json"];
            assert_eq!(answer["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path} {status}");
        }
    }
    assert!(document["paths"]["/hooks/{webhook}"]["post"]["security"].is_null());
}

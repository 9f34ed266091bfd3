//! The server over a real Postgres: what programs, browsers and Prometheus get from it.

mod access;
mod acts;
mod api;
mod archive;
mod browser;
mod control;
mod docs;
mod events;
mod grafana;
mod growth;
mod guard;
mod hand;
mod hooks;
mod marts;
mod metrics;
mod openapi;
mod page;
mod replay;
mod seed;
mod starts;
mod suites;

use std::net::SocketAddr;

use serde_json::Value;
use server::ServerOptions;
use sqlx::PgPool;
use testkit::TestDatabase;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server on a port of its own, stopped when dropped.
pub(crate) struct TestServer {
    /// `http://127.0.0.1:port`
    pub(crate) url: String,
    /// Its database.
    pub(crate) database: TestDatabase,
    client: reqwest::Client,
    _stop: DropGuard,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("{fault} in {}", self.text))
    }
}

impl TestServer {
    /// Over made-up rows.
    pub(crate) async fn seeded() -> Self {
        Self::over(seed::database().await).await
    }

    /// Over Sluice's tables without a row.
    pub(crate) async fn empty() -> Self {
        Self::over(testkit::database().await).await
    }

    /// Over this database.
    pub(crate) async fn over(database: TestDatabase) -> Self {
        let options = options(SocketAddr::from(([127, 0, 0, 1], 0)), database.pool.clone());
        Self::with(options, database).await
    }

    /// Set up like this, on a free port of the address to bind.
    pub(crate) async fn with(mut options: ServerOptions, database: TestDatabase) -> Self {
        let listener = server::listen(options.bind).await.expect("a free port");
        options.bind = listener.local_addr().expect("a bound socket");
        let url = format!("http://127.0.0.1:{}", options.bind.port());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve_on(listener, options, stop.clone()));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { url, database, client, _stop: stop.drop_guard() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(reqwest::Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(reqwest::Method::POST, path);
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }
}

/// Sends it and reads all of the answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let headers = response.headers().clone();
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    Answer { status: response.status().as_u16(), kind, headers, text: response.text().await.expect("a body") }
}

pub(crate) fn options(bind: SocketAddr, pool: PgPool) -> ServerOptions {
    ServerOptions {
        bind,
        hosts: Vec::new(),
        pool,
        folder: ".".into(),
        project: "SimMart".to_owned(),
        currency: "EUR".to_owned(),
        timezone: chrono_tz::Tz::Europe__Berlin,
        closed_metrics: false,
        https: false,
        webhooks: [("shopify".to_owned(), "s3cret".to_owned().into())].into(),
        demo: true,
    }
}

//! Paged JSON from a real server, which may ask for patience.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tasks::extract_http::ExtractHttp;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
};
use warehouse::{lake::Lake, manifest::Manifest};
use workflow::{
    error::{ErrorDomain, RetryHint, TaskError},
    kind::{Fence, Registry},
};

use crate::support::context;

/// A service that gives `answers` one after the other, each a status line with headers, and a body, and keeps what it
/// was asked for.
struct Service {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start(answers: Vec<(&'static str, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.expect("a request"));
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                seen.lock().await.push(line.trim_end_matches(" HTTP/1.1").trim_start_matches("GET ").to_owned());
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.expect("answer");
                stream.write_all(body.as_bytes()).await.expect("answer");
            }
        });
        Self { address, asked }
    }

    async fn asked(&self) -> Vec<String> {
        self.asked.lock().await.clone()
    }
}

struct Http {
    _folder: TempDir,
    lake: Lake,
}

impl Http {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
        Self { _folder: folder, lake }
    }

    async fn run(&self, mut config: Value) -> Result<Manifest, TaskError> {
        config["dataset"] = json!("ratings");
        config["rate"] = json!(1000.0);
        let registry = Registry::new().with(ExtractHttp::new(self.lake.clone(), "http://127.0.0.1:8180"));
        let task = context(Fence { attempt_id: 7, token: 1 }, &[]);
        let output = registry.get("extract_http").expect("the kind").run(config, &task).await?;
        Ok(serde_json::from_value(output).expect("a manifest"))
    }

    /// The integers of a column of the batch.
    async fn numbers(&self, manifest: &Manifest, column: &str) -> Vec<Option<i64>> {
        let frame = self.lake.read_parquet(&manifest.files[0].path).await.expect("the batch");
        frame.column(column).expect("a column").i64().expect("numbers").iter().collect()
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_last_and_bad_records_kept_apart() {
    let service = Service::start(vec![
        ("200 OK", json!({"data": {"items": [{"id": 1, "n": 5}, {"id": 2, "n": "many"}]}, "next": "/r?after=2"})),
        ("200 OK", json!({"data": {"items": [{"id": 3, "n": null, "x": 1}]}, "next": null})),
    ])
    .await;
    let http = Http::new();
    let manifest = http
        .run(json!({"url": format!("{}/r", service.address), "records": "data.items", "next": "next",
                    "columns": {"id": "integer", "n": "integer"}}))
        .await
        .expect("a batch");
    assert_eq!(service.asked().await, ["/r", "/r?after=2"]);
    assert_eq!((manifest.rows, manifest.rejected_rows()), (2, 1));
    assert_eq!(http.numbers(&manifest, "id").await, [Some(1), Some(3)]);
    assert_eq!(http.numbers(&manifest, "n").await, [Some(5), None]);
    assert_eq!(manifest.files[0].path, "raw/http/ratings/date=2026-03-02/run-7-7.parquet");
}

#[tokio::test]
async fn numbered_pages_end_with_one_that_is_not_full() {
    let service = Service::start(vec![
        ("200 OK", json!([{"id": 1}, {"id": 2}])),
        ("200 OK", json!([{"id": 3}, {"id": 4}])),
        ("200 OK", json!([{"id": 5}])),
    ])
    .await;
    let http = Http::new();
    let page = json!({"param": "page", "first": 0, "size_param": "limit", "size": 2});
    let url = format!("{}/r?sort=id", service.address);
    let manifest = http.run(json!({"url": url, "page": page})).await.expect("a batch");
    let asked = ["/r?sort=id&page=0&limit=2", "/r?sort=id&page=1&limit=2", "/r?sort=id&page=2&limit=2"];
    assert_eq!(service.asked().await, asked);
    assert_eq!(http.numbers(&manifest, "id").await, (1..=5).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_and_the_next_attempt_reads_all() {
    let page = || ("200 OK", json!([{"id": 1}]));
    let service = Service::start(vec![
        ("503 Service Unavailable\r\nRetry-After: 17", json!({})),
        ("500 Internal Server Error", json!({})),
        ("404 Not Found", json!({})),
        page(),
    ])
    .await;
    let http = Http::new();
    let config = json!({"url": format!("{}/r", service.address)});
    let later = http.run(config.clone()).await.expect_err("503");
    assert_eq!((later.domain, later.retry), (ErrorDomain::External, RetryHint::After(Duration::from_secs(17))));
    let broken = http.run(config.clone()).await.expect_err("500");
    assert_eq!((broken.domain, broken.retry), (ErrorDomain::External, RetryHint::Backoff));
    let gone = http.run(config.clone()).await.expect_err("404");
    assert_eq!((gone.domain, gone.retry), (ErrorDomain::User, RetryHint::Never));
    assert!(http.lake.list("raw").await.expect("files").is_empty(), "nothing is left of what failed");
    assert_eq!(http.run(config).await.expect("a batch").rows, 1);
}

#[tokio::test]
async fn a_page_that_leads_elsewhere_or_back_is_refused() {
    let service = Service::start(vec![
        ("200 OK", json!({"items": [], "next": "http://127.0.0.1:1/other"})),
        ("200 OK", json!({"items": [], "next": "/r"})),
    ])
    .await;
    let http = Http::new();
    let config = json!({"url": format!("{}/r", service.address), "records": "items", "next": "next"});
    let error = http.run(config.clone()).await.expect_err("another server");
    assert!(error.to_string().contains("which the task does not name"), "{error}");
    let error = http.run(config).await.expect_err("a circle");
    assert!(error.to_string().contains("comes up twice"), "{error}");
}

//! Server-sent events: what moves, and what a page gets that lost its connection.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::TestServer;

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// Reads events off an answer.
struct Events {
    response: Response,
    rest: String,
}

impl Events {
    async fn open(server: &TestServer, path: &str, last: Option<&str>) -> Self {
        let mut request = server.request(Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(Duration::from_secs(20), self.read()).await.expect("an event within 20 s")
    }

    async fn read(&mut self) -> Event {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.map(str::to_owned)
                };
                if let (Some(name), Some(id), Some(data)) = (field("event"), field("id"), field("data")) {
                    return Event { name, id, data: serde_json::from_str(&data).expect("JSON") };
                }
                continue;
            }
            let chunk = self.response.chunk().await.expect("bytes").expect("the stream goes on");
            self.rest.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }
}

async fn raise(server: &TestServer, key: &str) -> i64 {
    sqlx::query_scalar(
        "insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, message)
         values ($1, 'stream:fraud', 'card_velocity', 'high', $1, now(), 'raised by the test') returning alert_id",
    )
    .bind(key)
    .fetch_one(server.pool())
    .await
    .expect("insert")
}

#[tokio::test]
async fn a_page_that_was_away_gets_each_missed_alert_once() {
    let server = TestServer::seeded().await;
    let mut events = Events::open(&server, "/api/v1/board/stream", None).await;
    let first = events.next().await;
    assert_eq!(first.name, "board", "a new page gets the board, and no alert of the past");
    let seen = raise(&server, "one").await;
    let alert = loop {
        let event = events.next().await;
        if event.name == "alert" {
            break event;
        }
    };
    assert_eq!(alert.data["alert_id"], seen);
    drop(events);

    let missed = [raise(&server, "two").await, raise(&server, "three").await];
    let mut events = Events::open(&server, "/api/v1/board/stream", Some(&alert.id)).await;
    let mut got = Vec::new();
    while got.len() < missed.len() {
        let event = events.next().await;
        if event.name == "alert" {
            got.push(event.data["alert_id"].as_i64().expect("an id"));
        }
    }
    assert_eq!(got, missed);
}

#[tokio::test]
async fn the_board_moves_when_the_stream_commits() {
    let server = TestServer::seeded().await;
    let mut events = Events::open(&server, "/api/v1/board/stream", None).await;
    let before = events.next().await;
    sqlx::query(
        "insert into sluice.stream_window (stream, agg, partition, key, window_start, window_end, events, sum)
         values ('fraud', 'orders_total', 3, 'all', date_trunc('second', now()), now() + interval '5 s', 1, 1000000)",
    )
    .execute(server.pool())
    .await
    .expect("insert");
    let amount = |event: &Event| event.data["revenue"].as_str().and_then(|t| t.parse::<f64>().ok()).expect("revenue");
    loop {
        let event = events.next().await;
        if event.name == "board" && amount(&event) - amount(&before) > 999_999.0 {
            assert_ne!(event.id, before.id);
            break;
        }
    }
}

#[tokio::test]
async fn a_log_goes_on_where_it_was_and_says_when_it_ends() {
    let server = TestServer::seeded().await;
    let (run_id, attempt_id): (i64, i64) = sqlx::query_as(
        "select run_id, attempt_id from sluice.attempts where state = 'running' and task = 'load_orders'",
    )
    .fetch_one(server.pool())
    .await
    .expect("a running attempt");
    let path = format!("/api/v1/runs/{run_id}/tasks/load_orders/logs/stream?attempt=1");
    let mut events = Events::open(&server, &path, None).await;
    for seq in 1..=3 {
        assert_eq!(events.next().await.data["seq"], seq);
    }
    drop(events);
    let mut events = Events::open(&server, &path, Some("3")).await;
    assert_eq!(events.next().await.data["seq"], 4);
    sqlx::query("insert into sluice.task_log values ($1, 7, now(), 'info', 'written later')")
        .bind(attempt_id)
        .execute(server.pool())
        .await
        .expect("insert");
    let lines = [events.next().await, events.next().await, events.next().await];
    assert_eq!(lines[2].data["line"], "written later");
    sqlx::query("update sluice.attempt set state = 'success', finished_at = now() where attempt_id = $1")
        .bind(attempt_id)
        .execute(server.pool())
        .await
        .expect("update");
    assert_eq!(events.next().await.name, "end");
}

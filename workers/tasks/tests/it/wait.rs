//! The kinds that wait: for files, queries, addresses and times.

use std::{fs, time::Duration};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use tasks::{wait_file::WaitFile, wait_http::WaitHttp, wait_sql::WaitSql, wait_until::WaitUntil};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use warehouse::lake::Lake;
use workflow::{
    error::{ErrorDomain, TaskError},
    kind::{Fence, Registry, TaskContext},
};

use crate::support::context;

struct Place {
    pool: PgPool,
    folder: TempDir,
    lake: Lake,
}

impl Place {
    fn at(pool: PgPool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
        Self { pool, folder, lake }
    }

    fn registry(&self) -> Registry {
        Registry::new()
            .with(WaitFile::new(self.lake.clone(), self.folder.path()))
            .with(WaitHttp::new("http://127.0.0.1:1"))
            .with(WaitSql::new(self.pool.clone()))
            .with(WaitUntil)
    }

    async fn look(&self, kind: &str, config: Value) -> Result<Value, TaskError> {
        self.registry().get(kind).expect("a kind").run(config, &task()).await
    }
}

fn task() -> TaskContext {
    context(Fence { attempt_id: 1, token: 1 }, &[])
}

/// What a look in vain says, and how long until the next.
fn vain(look: Result<Value, TaskError>) -> (String, Duration) {
    let error = look.expect_err("nothing is there");
    (error.to_string(), error.look_again.unwrap_or_else(|| panic!("a fault: {}", error.chain())))
}

#[tokio::test]
async fn files_are_waited_for_in_a_folder_and_in_the_lake() {
    let place = Place::at(PgPool::connect_lazy("postgres://nobody@127.0.0.1/none").expect("a URL"));
    let orders = json!({ "path": "inbox/orders-*.csv", "at_least": 2, "every": "10s" });
    let (said, wait) = vain(place.look("wait_file", orders.clone()).await);
    assert_eq!((said.as_str(), wait.as_secs()), ("there are 0 of 2 files inbox/orders-*.csv", 10));
    let inbox = place.folder.path().join("inbox");
    fs::create_dir_all(inbox.join("orders-9.csv")).expect("a folder, which is no file");
    for name in ["orders-2.csv", "orders-1.csv.part", ".orders-1.csv"] {
        fs::write(inbox.join(name), "x").expect("a file");
    }
    assert_eq!(vain(place.look("wait_file", orders.clone()).await).0, "there are 1 of 2 files inbox/orders-*.csv");
    fs::rename(inbox.join("orders-1.csv.part"), inbox.join("orders-1.csv")).expect("renamed");
    let found = place.look("wait_file", orders).await.expect("two files");
    assert_eq!(found, json!({ "files": ["inbox/orders-1.csv", "inbox/orders-2.csv"] }));

    let done = json!({ "object": "raw/x/_DONE" });
    assert_eq!(
        vain(place.look("wait_file", done.clone()).await),
        ("there is no raw/x/_DONE".to_owned(), Duration::from_secs(30))
    );
    place.lake.put("raw/x/y/_DONE", b"".to_vec()).await.expect("elsewhere");
    assert_eq!(vain(place.look("wait_file", done.clone()).await).0, "there is no raw/x/_DONE");
    place.lake.put("raw/x/_DONE", b"".to_vec()).await.expect("written");
    assert_eq!(place.look("wait_file", done).await.expect("there"), json!({ "files": ["raw/x/_DONE"] }));
}

#[tokio::test]
async fn a_query_is_asked_until_it_is_true_and_cannot_write() {
    let db = testkit::database().await;
    let place = Place::at(db.pool.clone());
    let ask = async |query: &str| place.look("wait_sql", json!({ "query": query, "every": "5s" })).await;
    assert_eq!(vain(ask("select false").await), ("the query gives false".to_owned(), Duration::from_secs(5)));
    assert_eq!(vain(ask("select true where false").await).0, "the query gives no row, or null");
    assert_eq!(
        ask("select current_setting('sluice.interval_start') < '2026-03-02'").await.expect("true"),
        json!({ "answer": true })
    );
    for (query, domain, part) in [
        ("select 1", ErrorDomain::User, "neither true nor false"),
        ("select gone from nowhere", ErrorDomain::User, "nowhere"),
        ("create table public.t ()", ErrorDomain::User, "read-only"),
    ] {
        let error = ask(query).await.expect_err(query);
        assert_eq!((error.domain, error.look_again), (domain, None), "{query}: {}", error.chain());
        assert!(error.chain().contains(part), "{query}: {}", error.chain());
    }
}

#[tokio::test]
async fn an_address_is_asked_until_it_answers_with_the_status() {
    let place = Place::at(PgPool::connect_lazy("postgres://nobody@127.0.0.1/none").expect("a URL"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/ready", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        for status in ["503 Service Unavailable", "204 No Content"] {
            let (mut stream, _) = listener.accept().await.expect("a request");
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await.expect("its head");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("answered");
        }
    });
    let ask = json!({ "url": url, "status": 204, "every": "2s" });
    let (said, wait) = vain(place.look("wait_http", ask.clone()).await);
    assert_eq!((said, wait.as_secs()), (format!("{url} answers 503 Service Unavailable, not 204"), 2));
    assert_eq!(place.look("wait_http", ask.clone()).await.expect("ready"), json!({ "status": 204 }));
    server.await.expect("no panic");
    assert_eq!(vain(place.look("wait_http", ask).await).0, format!("{url} cannot be reached"));
}

#[tokio::test]
async fn a_time_is_waited_for_in_one_go() {
    let place = Place::at(PgPool::connect_lazy("postgres://nobody@127.0.0.1/none").expect("a URL"));
    let at = Utc::now() + TimeDelta::hours(3);
    let (said, wait) = vain(place.look("wait_until", json!({ "time": at.to_rfc3339() })).await);
    assert!(said.starts_with("it waits for "), "{said}");
    assert!(wait > Duration::from_mins(179) && wait <= Duration::from_hours(3), "{wait:?}");
    // The run stands for midnight UTC of 2 March, which is one o'clock in Berlin.
    let after = |key: &str, value: &str| place.look("wait_until", json!({ key: value }));
    assert_eq!(after("time", "06:30").await.expect("past"), json!({ "at": "2026-03-02T05:30:00+00:00" }));
    assert_eq!(after("time", "00:30").await.expect("past"), json!({ "at": "2026-03-02T23:30:00+00:00" }));
    assert_eq!(after("after", "2h").await.expect("past"), json!({ "at": "2026-03-02T02:00:00+00:00" }));
}

//! A service with one record for each task that asks, which may ask for patience first.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What it asks for.
pub(crate) const RETRY_AFTER: TimeDelta = TimeDelta::seconds(2);

/// Starts it; gives its address. `/unit/RUN/TASK` is answered at once, `/later/RUN/TASK` from the second request on.
pub(crate) async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            // A caller that is killed in the middle is no fault of this server.
            tokio::spawn(async move { drop(answer(stream, &asked).await) });
        }
    });
    address
}

async fn answer(mut stream: TcpStream, asked: &Mutex<BTreeSet<String>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let [_, service, run_id, task] = parts.as_slice() else { return Ok(()) };
    let (status, body) = if *service == "later" && asked.lock().expect("no panic").insert(path.clone()) {
        (format!("429 Too Many Requests\r\nRetry-After: {}", RETRY_AFTER.num_seconds()), "{}".to_owned())
    } else {
        let record = json!([{ "run_id": run_id.parse::<i64>().unwrap_or_default(), "task": format!("u{task}") }]);
        ("200 OK".to_owned(), record.to_string())
    };
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

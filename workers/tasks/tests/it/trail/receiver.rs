//! A collector on loopback: takes what it is sent, or behaves as it is told.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Takes it.
    Fine,
    /// Has this status for it.
    Refuses(u16),
    /// Takes it, and never answers.
    Silent,
}

/// A request that it took.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// The collector.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) url: String,
    taken: Arc<Mutex<Vec<Request>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let receiver = Self { url, taken: Arc::default(), mood: Arc::new(Mutex::new(Mood::Fine)) };
        let app = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        receiver
    }

    pub(super) fn be(&self, mood: Mood) {
        *self.mood.lock().expect("a mood") = mood;
    }

    /// What it was sent and did not refuse.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.taken.lock().expect("requests").clone()
    }

    pub(super) fn bodies(&self) -> Vec<Value> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    pub(super) fn forget(&self) {
        self.taken.lock().expect("requests").clear();
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, &'static str) {
    let mood = *receiver.mood.lock().expect("a mood");
    if let Mood::Refuses(status) = mood {
        return (StatusCode::from_u16(status).expect("a status"), "not now");
    }
    receiver.taken.lock().expect("requests").push(Request { path: uri.to_string(), headers, body });
    if mood == Mood::Silent {
        std::future::pending::<()>().await;
    }
    (StatusCode::OK, "{}")
}

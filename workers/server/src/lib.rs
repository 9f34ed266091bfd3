//! What people and machines see of a project: REST under `/api/v1` with its OpenAPI document, a web page that
//! moves by server-sent events, and `/metrics` for Prometheus.
//!
//! Reads go through the views of schema `sluice`; what people do goes through the run store, which keeps the audit log.
//! Who may do what is one table (`access`). Nothing here knows a task kind, runs a task or keeps state that a second server would miss: any
//! number of servers may stand side by side. Database errors are logged and never reach a client.

mod access;
mod actions;
mod api;
mod demo;
mod docs;
mod error;
mod events;
mod guard;
mod health;
mod metrics;
mod replay;
mod state;
#[expect(clippy::struct_field_names, reason = "rows keep the names of the views' columns")]
mod store;
mod web;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use access::{Need, need};
pub use api::openapi;
pub use docs::{Docs, DocsFile, docs};
pub use error::ServeError;
pub use replay::SuiteJudge;
pub use state::{ServerOptions, State};

/// Everything the server answers, without a socket.
pub fn router(state: State) -> Router {
    let mut router = Router::new().merge(api::router()).merge(web::router()).merge(health::router());
    if state.options().demo {
        router = router.merge(demo::router());
    }
    router
        .fallback(web::not_found)
        .layer(axum::middleware::from_fn_with_state(state.clone(), access::require))
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

/// Listens on `options.bind` and answers until `cancel`. Open event streams end at once, so that a stop takes
/// no longer than the requests under way.
pub async fn serve(options: ServerOptions, cancel: CancellationToken) -> Result<(), ServeError> {
    let listener = listen(options.bind).await?;
    serve_on(listener, options, cancel).await
}

/// Takes the port, so that a caller learns at once whether it is free; `port` 0 takes any.
pub async fn listen(bind: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(bind).await.map_err(|cause| ServeError::Bind { bind, cause })
}

/// As [`serve`], on a socket that is already open.
pub async fn serve_on(
    listener: TcpListener,
    options: ServerOptions,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let app = router(State::new(options, cancel.clone()));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { cancel.cancelled().await })
        .await
        .map_err(ServeError::Serve)
}

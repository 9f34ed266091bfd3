//! What goes wrong, and what a client gets to see of it: problem+json (RFC 9457) from the API, a page from the
//! web side. The text of a database error goes to the log alone.

use std::net::SocketAddr;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {bind}")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The socket failed.
    #[error("the web server stopped")]
    Serve(#[source] std::io::Error),
}

/// Why a read of the platform's tables failed.
pub(crate) type StoreError = sqlx::Error;

/// An answer other than the one asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// It makes sense, but not in the state that things are in.
    #[error("{0}")]
    Conflict(String),
    /// Another site's page sent it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The route has no such method.
    #[error("this address does not answer that method")]
    MethodNotAllowed,
    /// Postgres does not answer, or not as it should.
    #[error("the platform's database cannot be read")]
    Store(#[from] StoreError),
    /// A fault of ours.
    #[error("the server made a mistake")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ApiError {
    /// The status it is sent with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Store(error) if unreachable(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs what the client is not told.
    pub(crate) fn log(&self) {
        match self {
            Self::Store(cause) => tracing::error!(error = %cause, "a query of the web server failed"),
            Self::Internal(cause) => tracing::error!(error = %cause, "the web server made a mistake"),
            _ => {}
        }
    }
}

fn unreachable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_))
        || matches!(error, sqlx::Error::Database(d) if d.code().is_some_and(|c| c.starts_with("57P") || c.starts_with("08") || c == "57014"))
}

/// An error as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong, in one sentence.
    detail: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.to_string(),
        };
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
    }
}

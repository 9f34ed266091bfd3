//! What goes wrong, and what a client gets to see of it: problem+json (RFC 9457) from the API, a page from the
//! web side. The text of a database error goes to the log alone.

use std::net::SocketAddr;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
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
    /// It is longer than what is read.
    #[error("{0}")]
    TooLarge(String),
    /// It makes sense, but not in the state that things are in.
    #[error("{0}")]
    Conflict(String),
    /// Another site's page sent it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Nobody in particular asks, or with a token that is no good.
    #[error("{0}")]
    Unauthorized(String),
    /// A webhook's request is not signed as it should be.
    #[error("{0}")]
    Unsigned(String),
    /// Their role does not allow it.
    #[error("{0}")]
    Denied(String),
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
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unauthorized(_) | Self::Unsigned(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Store(error) if unreachable(error) || too_slow(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What to do about it, where that is not plain.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized(_) => {
                Some("`sluice token create NAME --role viewer` makes a token; send it as `Authorization: Bearer …`")
            }
            Self::Unsigned(_) => Some(
                "send `Sluice-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of the time, a dot and the body under the \
                 webhook's secret in sluice.yaml",
            ),
            Self::Denied(_) => Some("`sluice token create NAME --role ROLE` makes a token with another role"),
            Self::Store(error) if unreachable(error) => Some("`sluice up` starts the project's services"),
            Self::Store(error) if too_slow(error) => Some(
                "the query took longer than the server lets one take: ask for less, or again when there is less to do",
            ),
            _ => None,
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

/// Whether the server's own limit on the time of a query ended it.
fn too_slow(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(d) if d.code().as_deref() == Some("57014"))
}

fn unreachable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_))
        || matches!(error, sqlx::Error::Database(d) if d.code().is_some_and(|c| c.starts_with("57P") || c.starts_with("08")))
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
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
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
            hint: self.hint(),
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

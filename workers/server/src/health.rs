//! `/healthz`: the process answers. `/readyz`: and so does Postgres, with every migration this build knows.

use axum::{
    Json, Router,
    extract::State as Extract,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{error::ApiError, state::State};

pub(crate) fn router() -> Router<State> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(Extract(state): Extract<State>) -> Response {
    let applied =
        sqlx::query_scalar::<_, Option<i64>>(include_str!("../../../sql/web/ready.sql")).fetch_one(state.pool()).await;
    let wanted = warehouse::migrations::latest();
    let (status, detail) = match applied {
        Ok(Some(version)) if version >= wanted => (StatusCode::OK, "ready".to_owned()),
        Ok(version) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the database is at migration {}, this build needs {wanted}", version.unwrap_or(0)),
        ),
        Err(cause) => {
            tracing::warn!(error = %cause, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "Postgres does not answer, or Sluice's tables are not there".to_owned())
        }
    };
    (status, Json(json!({ "ready": status == StatusCode::OK, "detail": detail }))).into_response()
}

async fn metrics(Extract(state): Extract<State>) -> Result<Response, ApiError> {
    let text = state.metrics().await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text.as_str().to_owned()).into_response())
}

//! web
use crate::{error::ApiError, state::State};
use axum::{Router, response::IntoResponse};
pub(crate) fn router() -> Router<State> {
    Router::new()
}
pub(crate) async fn not_found() -> impl IntoResponse {
    ApiError::NotFound("x".to_owned())
}

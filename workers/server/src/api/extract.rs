//! axum's extractors with problem+json for what they refuse.

use std::ops::RangeInclusive;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use chrono::Datelike;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::IntoParams;

use crate::error::ApiError;

/// What to list backfills or acts by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DagQuery {
    /// Those of this DAG only.
    pub(super) dag: Option<String>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    pub(super) limit: Option<i64>,
}

/// [`Query`], refusing with a problem.
pub(crate) struct ApiQuery<T>(pub(crate) T);

/// [`Path`], refusing with a problem.
pub(crate) struct ApiPath<T>(pub(crate) T);

/// [`Json`], refusing with a problem.
pub(crate) struct ApiJson<T>(pub(crate) T);

/// As [`ApiJson`], and the default where the request has no body.
pub(crate) struct ApiOptional<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        without_nul(parts.uri.query().unwrap_or_default())?;
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value)).map_err(|refused| ApiError::BadRequest(refused.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        without_nul(parts.uri.path())?;
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value)).map_err(|refused| ApiError::BadRequest(refused.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let body = read.map_err(|refused| ApiError::BadRequest(refused.body_text()))?;
        nul_free(&body)?;
        let read = Json::from_request(Request::from_parts(parts, Body::from(body)), state).await;
        read.map(|Json(value)| Self(value)).map_err(|refused| ApiError::BadRequest(refused.body_text()))
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for ApiOptional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = Bytes::from_request(request, state).await;
        let body = read.map_err(|refused| ApiError::BadRequest(refused.body_text()))?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        nul_free(&body)?;
        serde_json::from_slice(&body).map(Self).map_err(|fault| ApiError::BadRequest(fault.to_string()))
    }
}

/// No text of Postgres holds a NUL, so nothing is called by one.
fn without_nul(address: &str) -> Result<(), ApiError> {
    if address.contains("%00") { Err(ApiError::BadRequest("the address holds a NUL".to_owned())) } else { Ok(()) }
}

/// The same of the texts of a body. What is not JSON is for its reader to refuse.
fn nul_free(body: &[u8]) -> Result<(), ApiError> {
    fn holds(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(holds),
            Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || holds(value)),
            _ => false,
        }
    }
    // Only so is a NUL written in JSON; most bodies are not read twice.
    let suspicious = body.windows(6).any(|six| six == br"\u0000");
    if suspicious && serde_json::from_slice(body).is_ok_and(|value| holds(&value)) {
        return Err(ApiError::BadRequest("a text in the body holds a NUL".to_owned()));
    }
    Ok(())
}

/// The years that a day or an instant may lie in: what Postgres, its drivers and people all read the same way.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// A day or an instant, in a year that all of the platform can hold.
pub(crate) fn in_time<D: Datelike>(field: &str, when: D) -> Result<D, ApiError> {
    let year = when.year();
    if YEARS.contains(&year) {
        return Ok(when);
    }
    let (first, last) = (YEARS.start(), YEARS.end());
    Err(ApiError::BadRequest(format!("{field} lies in the year {year}, and may lie in {first} to {last}")))
}

/// How many rows a page holds where the request does not say.
const DEFAULT_LIMIT: i64 = 50;
/// The most rows that a page holds.
const MAX_LIMIT: i64 = 200;

/// The page size asked for, within its bounds.
pub(crate) fn limit(asked: Option<i64>) -> Result<i64, ApiError> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        other => Err(ApiError::BadRequest(format!("limit must lie between 1 and {MAX_LIMIT}, not {other}"))),
    }
}

/// A cursor that is one id.
pub(crate) fn cursor(text: Option<&str>) -> Result<Option<i64>, ApiError> {
    text.map(|text| text.parse().map_err(|_| bad_cursor())).transpose()
}

/// A cursor that is an id and a place below it.
pub(crate) fn cursor_pair(text: Option<&str>) -> Result<Option<(i64, i64)>, ApiError> {
    let read = |text: &str| {
        let (first, second) = text.split_once('.')?;
        Some((first.parse().ok()?, second.parse().ok()?))
    };
    text.map(|text| read(text).ok_or_else(bad_cursor)).transpose()
}

fn bad_cursor() -> ApiError {
    ApiError::BadRequest("cursor is not one that this list gave".to_owned())
}

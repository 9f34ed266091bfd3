//! Webhooks: a signed request starts the DAGs that wait for it.
//!
//! The signature is `t=SECONDS,v1=HEX` in `Sluice-Signature`: HMAC-SHA256, under the webhook's secret, of the time, a dot
//! and the body. With an `Idempotency-Key`, the key and another dot stand before the body: a key that anyone could change
//! would let whoever overhears a request repeat it. A request of more than five minutes ago is refused, and within them
//! the same request makes its runs once, however its header is written.

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use utoipa::ToSchema;
use warehouse::runs::{self, Created};
use workflow::hex;

use super::extract::ApiPath;
use crate::{
    actions::refused,
    error::{ApiError, Problem},
    state::State,
};

const SIGNATURE: &str = "sluice-signature";
const IDEMPOTENCY: &str = "idempotency-key";
/// How far the sender's clock may be from ours, and so how long a request is good for, in seconds.
const TOLERANCE: i64 = 300;
/// Bytes of a body, at most.
const LONGEST: usize = 256 << 10;

/// A run that a request made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    dag: String,
    run_id: i64,
    /// Whether this request made it; else one of the same key did before.
    new: bool,
}

/// What came of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// One for each DAG that waits for the webhook and is not paused.
    runs: Vec<Started>,
}

/// Starts the DAGs that wait for a webhook. The body is JSON: the parameters of the run, or whatever the DAG takes as one
/// of them. `Idempotency-Key` tells requests apart; without it, the signature does.
#[utoipa::path(post, path = "/hooks/{webhook}", tag = "runs",
    params(
        ("webhook" = String, Path, description = "Its name in sluice.yaml"),
        ("Sluice-Signature" = String, Header, description = "`t=SECONDS,v1=HEX`: HMAC-SHA256 of the time, a dot, the idempotency key and a dot if there is one, and the body"),
        ("Idempotency-Key" = Option<String>, Header, description = "Says that two requests are the same"),
    ),
    request_body = Object,
    responses(
        (status = 202, body = Accepted),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn receive(
    Extract(state): Extract<State>,
    ApiPath(webhook): ApiPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::NotFound("there is no such webhook".to_owned());
    let secret = state.options().webhooks.get(&webhook).ok_or_else(unknown)?;
    let body = to_bytes(body, LONGEST)
        .await
        .map_err(|_| ApiError::TooLarge(format!("the body is longer than {} KiB", LONGEST >> 10)))?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = text(SIGNATURE)
        .ok_or_else(|| ApiError::Unsigned("the request is not signed: `Sluice-Signature` is missing".to_owned()))?;
    let key = text(IDEMPOTENCY);
    if key.is_some_and(|key| key.is_empty() || key.len() > 200) {
        return Err(ApiError::BadRequest("`Idempotency-Key` has 1 to 200 letters".to_owned()));
    }
    let signed = verify(signature, secret.expose_secret().as_bytes(), key, &body, Utc::now().timestamp())?;
    let given: Value = if body.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(&body).map_err(|error| ApiError::BadRequest(format!("the body is no JSON: {error}")))?
    };
    let key = key.map_or(signed, str::to_owned);
    let fired = runs::hook(state.pool(), &webhook, &key, &given, Utc::now()).await.map_err(refused)?;
    let runs = fired
        .into_iter()
        .map(|fired| {
            let new = matches!(fired.created, Created::New(_));
            Started { dag: fired.dag, run_id: fired.created.run_id(), new }
        })
        .collect();
    Ok((StatusCode::ACCEPTED, Json(Accepted { runs })).into_response())
}

/// Compares in a time that tells nothing of the signature. Gives it in the one form that every way to write it comes to.
fn verify(signature: &str, secret: &[u8], key: Option<&str>, body: &[u8], now: i64) -> Result<String, ApiError> {
    let refused = |why: &str| ApiError::Unsigned(why.to_owned());
    let part = |name: &str| signature.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (Some(time), Some(digest)) = (part("t"), part("v1")) else {
        return Err(refused("the signature is not of the form `t=SECONDS,v1=HEX`"));
    };
    let sent: i64 = time.parse().map_err(|_| refused("the signature's time is not a number of seconds"))?;
    let digest = hex::decode(digest).ok_or_else(|| refused("the signature is not hexadecimal"))?;
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret).map_err(|error| ApiError::Internal(error.into()))?;
    mac.update(time.as_bytes());
    mac.update(b".");
    if let Some(key) = key {
        mac.update(key.as_bytes());
        mac.update(b".");
    }
    mac.update(body);
    mac.verify_slice(&digest)
        .map_err(|_| refused("the signature is not that of this request under this webhook's secret"))?;
    // Only who knows the secret is told about clocks.
    if now.abs_diff(sent) > TOLERANCE.unsigned_abs() {
        return Err(refused("the request was signed more than 5 minutes ago, or the clocks differ"));
    }
    Ok(format!("t={time},v1={}", hex::encode(&digest)))
}

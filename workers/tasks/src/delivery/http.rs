//! What the answers of programs mean.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, header::RETRY_AFTER};

use super::Undelivered;

/// Sends a request to `who`. The address may be a secret: errors go without it.
pub(super) async fn deliver(who: &str, request: RequestBuilder) -> Result<(), Undelivered> {
    let answer = request
        .send()
        .await
        .map_err(|error| Undelivered::later(format!("{who} cannot be reached: {}", error.without_url())))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let said: String = answer.text().await.unwrap_or_default().chars().take(200).collect();
    let message = format!("{who} answered {status} {said}").trim_end().to_owned();
    let passing =
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error();
    Err(if passing { Undelivered::Later { message, after } } else { Undelivered::Never(message) })
}

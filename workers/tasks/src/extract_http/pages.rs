//! One page after the other, politely.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use serde_json::Value;
use url::Url;
use workflow::{
    error::{RetryHint, TaskError},
    kind::TaskContext,
};

use super::{Config, address};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest page that is read.
const LARGEST: usize = 64 << 20;

/// A page's records.
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) records: Vec<Value>,
}

/// The pages of a service, fetched as they are asked for.
pub(super) struct Pages<'a> {
    config: &'a Config,
    client: Client,
    next: Option<Url>,
    number: u64,
    seen: BTreeSet<String>,
    last: Option<Instant>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(config: &'a Config, own: &str) -> Result<Self, TaskError> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .default_headers(headers(config)?)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            // Headers of the task are for the address that the task names.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| TaskError::internal("cannot make an HTTP client").because(error))?;
        let number = config.page.as_ref().map_or(1, |page| page.first);
        let mut pages = Self { config, client, next: None, number, seen: BTreeSet::new(), last: None };
        let first = address(&config.url, own).map_err(TaskError::user)?;
        pages.next = Some(pages.numbered(first));
        Ok(pages)
    }

    /// Pages fetched so far.
    pub(super) fn fetched(&self) -> usize {
        self.seen.len()
    }

    /// The next page, or none after the last.
    pub(super) async fn next(&mut self, task: &TaskContext) -> Result<Option<Page>, TaskError> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if self.seen.len() >= self.config.max_pages {
            return Err(TaskError::user(format!("there are more than {} pages; raise `max_pages`", self.seen.len())));
        }
        if !self.seen.insert(url.to_string()) {
            return Err(TaskError::user(format!("the pages go in a circle: {url} comes up twice")));
        }
        let body = tokio::select! {
            () = task.cancel.cancelled() => return Err(TaskError::external(format!("stopped before {url} was read"))),
            body = self.fetch(&url) => body?,
        };
        let place = self.config.records.as_deref();
        let found = place.map_or(Some(&body), |path| at(&body, path));
        let Some(Value::Array(records)) = found else {
            let place = place.map_or("the page".to_owned(), |path| format!("`{path}`"));
            return Err(TaskError::user(format!("{url}: {place} is not a list of records")));
        };
        self.next = self.after(&url, &body, records.len())?;
        Ok(Some(Page { url, records: records.clone() }))
    }

    fn after(&mut self, url: &Url, body: &Value, records: usize) -> Result<Option<Url>, TaskError> {
        if let Some(page) = &self.config.page {
            let full = page.size.is_none_or(|size| records as u64 >= size);
            self.number += 1;
            return Ok((records > 0 && full).then(|| self.numbered(url.clone())));
        }
        let Some(path) = &self.config.next else { return Ok(None) };
        let link = match at(body, path) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(link)) if link.is_empty() => return Ok(None),
            Some(Value::String(link)) => link,
            Some(_) => return Err(TaskError::user(format!("{url}: `{path}` is not an address"))),
        };
        let next = url.join(link).map_err(|error| TaskError::user(format!("{url}: `{link}`: {error}")))?;
        if next.origin() != url.origin() {
            return Err(TaskError::user(format!(
                "{url} goes on at another server, {next}, which the task does not name"
            )));
        }
        Ok(Some(next))
    }

    /// The address with the number, and the size, of the page that is due.
    fn numbered(&self, mut url: Url) -> Url {
        let Some(page) = &self.config.page else { return url };
        let mut wanted = vec![(page.param.clone(), self.number.to_string())];
        if let (Some(name), Some(size)) = (&page.size_param, page.size) {
            wanted.push((name.clone(), size.to_string()));
        }
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| !wanted.iter().any(|(new, _)| new == name)).collect();
        url.query_pairs_mut().clear().extend_pairs(kept.iter().chain(&wanted));
        url
    }

    async fn fetch(&mut self, url: &Url) -> Result<Value, TaskError> {
        if let Some(last) = self.last {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / self.config.rate).saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Instant::now());
        let mut response =
            self.client.get(url.clone()).send().await.map_err(|error| {
                TaskError::external(format!("{url} cannot be reached")).because(error.without_url())
            })?;
        refuse(url, &response)?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| TaskError::external(format!("{url} broke off")).because(error.without_url()))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(TaskError::user(format!(
                    "{url} is longer than {} MiB; ask for smaller pages",
                    LARGEST >> 20
                )));
            }
        }
        serde_json::from_slice(&body).map_err(|error| TaskError::user(format!("{url} is not JSON")).because(error))
    }
}

/// Tells whose fault a status is, and when another try makes sense.
fn refuse(url: &Url, response: &Response) -> Result<(), TaskError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let message = format!("{url} answers {status}");
    let later = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Utc::now()));
    let passes = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
    let error = if passes { TaskError::external(message) } else { TaskError::user(message) };
    Err(match later.filter(|_| passes) {
        Some(wait) => error.retry(RetryHint::After(wait)),
        None => error,
    })
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

fn headers(config: &Config) -> Result<HeaderMap, TaskError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let fault = |_| TaskError::user(format!("`{name}` is not a header that can be sent"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| fault(e.to_string()))?;
        headers.insert(key, HeaderValue::from_str(value).map_err(|e| fault(e.to_string()))?);
    }
    Ok(headers)
}

/// The value at a path of names with dots between.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T10:00:00Z").expect("a time").with_timezone(&Utc);
        assert_eq!(retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Sun, 01 Mar 2026 10:01:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(retry_after("Sun, 01 Mar 2026 09:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}

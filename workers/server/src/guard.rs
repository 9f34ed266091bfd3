//! What stands before every handler: host names on loopback, same-origin writes, security headers.

use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{error::ApiError, state::State};

/// No inline script, no inline style, nothing from another origin, in no one's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses what another site's page could make a browser send, and adds the security headers.
pub(crate) async fn guard(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let loopback = state.options().bind.ip().is_loopback();
    let mut response = match check(request.method(), request.headers(), loopback) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A name that resolves to loopback by an attacker's DNS is not ours; nor is a write from another origin. A
/// client that sends neither `Sec-Fetch-Site` nor `Origin` is no browser, and no page can speak through it.
fn check(method: &Method, headers: &HeaderMap, loopback: bool) -> Result<(), ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if loopback && !is_loopback_name(host) {
        return Err(ApiError::Forbidden("this server answers on loopback host names only"));
    }
    if method.is_safe() {
        return Ok(());
    }
    let foreign = match (text(HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => origin.split_once("://").is_none_or(|(_, origin_host)| origin_host != host),
        (None, None) => false,
    };
    if foreign { Err(ApiError::Forbidden("this request comes from another site's page")) } else { Ok(()) }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(method: Method, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        check(&method, &headers, true).is_ok()
    }

    #[test]
    fn only_our_own_page_and_programs_may_write() {
        let host = ("host", "127.0.0.1:8180");
        assert!(allowed(Method::POST, &[host]));
        assert!(allowed(Method::POST, &[host, ("sec-fetch-site", "same-origin")]));
        assert!(allowed(Method::POST, &[host, ("origin", "http://127.0.0.1:8180")]));
        assert!(!allowed(Method::POST, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!allowed(Method::POST, &[host, ("sec-fetch-site", "same-site")]));
        assert!(!allowed(Method::POST, &[host, ("origin", "http://evil.example")]));
        assert!(!allowed(Method::POST, &[host, ("origin", "null")]));
        assert!(allowed(Method::GET, &[host, ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_rebound_name_is_refused_on_loopback() {
        assert!(allowed(Method::GET, &[("host", "localhost:8180")]));
        assert!(allowed(Method::GET, &[("host", "[::1]:8180")]));
        assert!(!allowed(Method::GET, &[("host", "evil.example:8180")]));
        assert!(!allowed(Method::GET, &[("host", "127.0.0.1.evil.example")]));
    }
}

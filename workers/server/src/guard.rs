//! What stands before every handler: known host names, same-origin writes, security headers.

use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use workflow::project::host_name;

use crate::{
    error::ApiError,
    state::{ServerOptions, State},
};

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
    let mut response = match check(request.method(), request.headers(), state.options()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A name that an attacker's DNS resolves to our address is not ours; nor is a write from another origin. A
/// client that sends neither `Sec-Fetch-Site` nor `Origin` is no browser, and no page can speak through it.
fn check(method: &Method, headers: &HeaderMap, options: &ServerOptions) -> Result<(), ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !host_name(host).is_some_and(|name| is_ours(name, options)) {
        return Err(ApiError::Forbidden("this server does not answer as this host; `web.hosts` lists its names"));
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

fn is_ours(name: &str, options: &ServerOptions) -> bool {
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|ip| ip.is_loopback() || ip == options.bind.ip())
        || options.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

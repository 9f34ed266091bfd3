//! Who may ask for what: one table of routes and roles, and what stands before every handler because of it.
//!
//! A server that listens on loopback alone is open until someone makes a token. From then on, and beyond loopback from
//! the start, a request shows a bearer token, or the cookie that a log-in with one sets. A cookie is sent by no other
//! site's forms (`SameSite=Lax`, so that a link in a mail finds its reader logged in), and writes of one are refused
//! besides (`guard`).

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State as Extract},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use warehouse::{
    access::{self, Caller, Presented, Role},
    runs::{Actor, Via},
};

use crate::{
    error::ApiError,
    state::State,
    web::{OrPage, encode},
};

/// The cookie of a log-in.
pub(crate) const COOKIE: &str = "sluice_session";

/// What a route asks of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Nothing or a viewer, as `web.metrics` says.
    Metrics,
    /// At least this role.
    Role(Role),
}

const GET: &str = "GET";
const POST: &str = "POST";
const OPEN: Need = Need::Nothing;
const LOOK: Need = Need::Role(Role::Viewer);
const ACT: Need = Need::Role(Role::Operator);
const ADMIN: Need = Need::Role(Role::Admin);

/// Every route there is. One that is not here asks for an administrator.
const ROUTES: &[(&str, &str, Need)] = &[
    (GET, "/healthz", OPEN),
    (GET, "/readyz", OPEN),
    (GET, "/metrics", Need::Metrics),
    // What a page needs before anyone has logged in, and the demo's made-up ratings.
    (GET, "/login", OPEN),
    (POST, "/login", OPEN),
    (POST, "/logout", OPEN),
    (GET, "/static/style.css", OPEN),
    (GET, "/static/app.js", OPEN),
    (GET, "/static/icon.svg", OPEN),
    (GET, "/static/inter-400.woff2", OPEN),
    (GET, "/static/inter-500.woff2", OPEN),
    (GET, "/static/inter-600.woff2", OPEN),
    (GET, "/demo/ratings", OPEN),
    // A webhook asks for a signature of its own.
    (POST, "/hooks/{webhook}", OPEN),
    // The API
    (GET, "/api/v1/openapi.json", LOOK),
    (GET, "/api/v1/dags", LOOK),
    (GET, "/api/v1/dags/{dag}", LOOK),
    (GET, "/api/v1/dags/{dag}/why", LOOK),
    (GET, "/api/v1/dags/{dag}/versions", LOOK),
    (GET, "/api/v1/dags/{dag}/diff", LOOK),
    (POST, "/api/v1/dags/{dag}/pause", ACT),
    (POST, "/api/v1/dags/{dag}/resume", ACT),
    (POST, "/api/v1/dags/{dag}/backfill", ACT),
    (POST, "/api/v1/dags/{dag}/clear", ACT),
    (GET, "/api/v1/backfills", LOOK),
    (POST, "/api/v1/backfills/{backfill_id}/stop", ACT),
    (GET, "/api/v1/runs", LOOK),
    (POST, "/api/v1/runs", ACT),
    (GET, "/api/v1/runs/{run_id}", LOOK),
    (GET, "/api/v1/runs/{run_id}/why", LOOK),
    (GET, "/api/v1/runs/{run_id}/tasks/{task}/items", LOOK),
    (GET, "/api/v1/runs/{run_id}/tasks/{task}/logs", LOOK),
    (GET, "/api/v1/runs/{run_id}/tasks/{task}/logs/stream", LOOK),
    (POST, "/api/v1/runs/{run_id}/tasks/{task}/mark", ACT),
    (POST, "/api/v1/runs/{run_id}/cancel", ACT),
    (POST, "/api/v1/runs/{run_id}/retry", ACT),
    (GET, "/api/v1/workers", LOOK),
    (GET, "/api/v1/audit", ADMIN),
    (GET, "/api/v1/loads", LOOK),
    (GET, "/api/v1/checks", LOOK),
    (GET, "/api/v1/suites/{suite}/versions", LOOK),
    (GET, "/api/v1/suites/{suite}/diff", LOOK),
    (GET, "/api/v1/quarantine", LOOK),
    // A preview takes the act's locks.
    (POST, "/api/v1/quarantine/replay", ACT),
    (POST, "/api/v1/quarantine/dismiss", ACT),
    (GET, "/api/v1/alerts", LOOK),
    (GET, "/api/v1/streams", LOOK),
    (GET, "/api/v1/dead-letters", LOOK),
    (GET, "/api/v1/deliveries", LOOK),
    (GET, "/api/v1/board", LOOK),
    (GET, "/api/v1/board/stream", LOOK),
    (GET, "/api/{*rest}", LOOK),
    // The page
    (GET, "/", LOOK),
    (GET, "/dags", LOOK),
    (GET, "/dags/{dag}", LOOK),
    (GET, "/dags/{dag}/trigger", ACT),
    (POST, "/dags/{dag}/trigger", ACT),
    (POST, "/dags/{dag}/pause", ACT),
    (POST, "/dags/{dag}/resume", ACT),
    // What an act would do is shown to those who may do it: the preview takes the act's locks.
    (GET, "/dags/{dag}/backfill", ACT),
    (POST, "/dags/{dag}/backfill", ACT),
    (GET, "/dags/{dag}/clear", ACT),
    (POST, "/dags/{dag}/clear", ACT),
    (GET, "/backfills", LOOK),
    (POST, "/backfills/{backfill_id}/stop", ACT),
    (GET, "/runs", LOOK),
    (GET, "/runs/{run_id}", LOOK),
    (POST, "/runs/{run_id}/cancel", ACT),
    (GET, "/runs/{run_id}/retry", ACT),
    (POST, "/runs/{run_id}/retry", ACT),
    (POST, "/runs/{run_id}/mark", ACT),
    (GET, "/quality", LOOK),
    (GET, "/quality/suites/{suite}", LOOK),
    (GET, "/quality/rows", LOOK),
    (GET, "/streams", LOOK),
    (GET, "/alerts", LOOK),
    (GET, "/deliveries", LOOK),
];

/// What the table says of a route; `None` where it says nothing. `HEAD` is a `GET` without its body.
pub fn need(method: &str, route: &str) -> Option<Need> {
    let method = if method == "HEAD" { GET } else { method };
    ROUTES.iter().find(|(verb, path, _)| *verb == method && *path == route).map(|(.., need)| *need)
}

/// Lets a request through whose caller may make it, and tells the handler who that is.
pub(crate) async fn require(Extract(state): Extract<State>, mut request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    // An address that nothing answers tells a viewer so, and nobody else.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let asked = match &route {
        Some(route) => need(request.method().as_str(), route).unwrap_or(ADMIN),
        None => LOOK,
    };
    match who(&state, request.headers(), asked, request.uri().path()).await {
        Ok(caller) => {
            let via = if api { Via::Api } else { Via::Web };
            request.extensions_mut().insert(Actor { name: caller.name, via });
            next.run(request).await
        }
        Err(refused) if api || route.as_deref() == Some("/metrics") => refused.into_response(),
        Err(ApiError::Unauthorized(_)) if request.method() == Method::GET => {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            Redirect::to(&format!("/login?next={}", encode(target))).into_response()
        }
        Err(refused) => Err::<(), _>(refused).or_page(&state).into_response(),
    }
}

fn anonymous() -> Caller {
    Caller { name: "anonymous".to_owned(), role: Role::Admin }
}

async fn who(state: &State, headers: &HeaderMap, asked: Need, path: &str) -> Result<Caller, ApiError> {
    let role = match asked {
        Need::Nothing => return Ok(anonymous()),
        Need::Metrics if !state.options().closed_metrics => return Ok(anonymous()),
        Need::Metrics => Role::Viewer,
        Need::Role(role) => role,
    };
    let caller = match present(state, headers).await? {
        Some(caller) => caller,
        None if is_open(state).await? => return Ok(anonymous()),
        None => return Err(ApiError::Unauthorized("this server answers to nobody without a token".to_owned())),
    };
    if caller.role < role {
        let Caller { name, role: has } = caller;
        return Err(ApiError::Denied(format!("{path} asks for the role {role}, and `{name}` has {has}")));
    }
    Ok(caller)
}

/// What a long answer was let through with, to be looked at again while it lasts.
pub(crate) struct Pass {
    headers: HeaderMap,
    route: &'static str,
}

impl Pass {
    /// Of a `GET` of `route`.
    pub(crate) fn of(headers: &HeaderMap, route: &'static str) -> Self {
        let names = [header::AUTHORIZATION, header::COOKIE];
        let kept = headers.iter().filter(|(name, _)| names.contains(name));
        Self { headers: kept.map(|(name, value)| (name.clone(), value.clone())).collect(), route }
    }

    /// Whether it would be let through now. The error is that nobody can tell.
    pub(crate) async fn holds(&self, state: &State) -> Result<bool, ApiError> {
        let asked = need(GET, self.route).unwrap_or(ADMIN);
        match who(state, &self.headers, asked, self.route).await {
            Ok(_) => Ok(true),
            Err(ApiError::Unauthorized(_) | ApiError::Denied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether it answers to everyone who can reach it.
pub(crate) async fn is_open(state: &State) -> Result<bool, ApiError> {
    Ok(state.options().bind.ip().is_loopback() && !access::any_token(state.pool()).await?)
}

/// Who the request says it is from; a bearer token that is no good is refused, a cookie that is none counts as absent.
pub(crate) async fn present(state: &State, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|text| text.split_once(' '));
        let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(ApiError::Unauthorized("the `Authorization` header carries no bearer token".to_owned()));
        };
        return match access::present_token(state.pool(), token.trim()).await? {
            Presented::Good(caller) => Ok(Some(caller)),
            other => Err(ApiError::Unauthorized(why_not(&other).to_owned())),
        };
    }
    match session(headers) {
        Some(secret) => match access::present_session(state.pool(), secret).await? {
            Presented::Good(caller) => Ok(Some(caller)),
            _ => Ok(None),
        },
        None => Ok(None),
    }
}

/// What is wrong with a token.
pub(crate) fn why_not(presented: &Presented) -> &'static str {
    match presented {
        Presented::Good(_) => "the token is good",
        Presented::Unknown => "the token is not one of this platform",
        Presented::Expired => "the token has expired",
        Presented::Revoked => "the token was revoked",
    }
}

/// The secret of a log-in.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Who makes this request, for the audit log.
pub(crate) struct By(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let actor = parts.extensions.get::<Actor>().cloned();
        actor.map(Self).ok_or_else(|| ApiError::Internal("a route is reached without its guard".into()))
    }
}

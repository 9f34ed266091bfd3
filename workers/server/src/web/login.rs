//! Logging in with a token, and out again.

use axum::{
    Form,
    extract::{Query, State as Extract},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use maud::{Markup, html};
use serde::Deserialize;
use warehouse::access;

use super::layout::{OrPage, Page, Section, WebError};
use crate::{
    access::{COOKIE, is_open, present, session, why_not},
    error::ApiError,
    state::State,
};

/// How long a log-in lasts.
const LASTS: TimeDelta = TimeDelta::hours(12);

#[derive(Debug, Default, Deserialize)]
pub(super) struct LoginQuery {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
    next: Option<String>,
}

/// An address of this server; whatever else is asked for is the overview. A second slash or a backslash would lead
/// elsewhere, and browsers leave control characters out before they look.
fn own_address(next: Option<&str>) -> &str {
    let own = |next: &&str| {
        next.starts_with('/') && !next.starts_with("//") && !next.contains(|c: char| c == '\\' || c.is_control())
    };
    next.filter(own).unwrap_or("/")
}

/// `Lax`, so that whoever follows a link from a mail is logged in; what another site's page could do by it is refused by
/// `guard` besides. `Secure` where people reach the page by https.
fn cookie(state: &State, secret: &str, age: i64) -> String {
    let secure = if state.options().https { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Result<Markup, WebError> {
    let known = present(&state, &headers).await.or_page(&state)?;
    let open = is_open(&state).await.or_page(&state)?;
    if let Some(caller) = known {
        let body = html! {
            section.card.empty {
                p.empty-title { "You are " (caller.name) }
                p { "Your token has the role " (caller.role) "." }
                form method="post" action="/logout" { button.button type="submit" { "Log out" } }
            }
        };
        return Ok(Page { body, ..Page::new(Section::None, "Access") }.render(&state));
    }
    Ok(form(&state, query.next.as_deref(), None, open))
}

fn form(state: &State, next: Option<&str>, fault: Option<&str>, open: bool) -> Markup {
    let body = html! {
        section.card.login {
            @if open { p { "This server is open to everyone on this machine, until a token is made." } }
            @if let Some(fault) = fault { p.bad-text role="alert" { (fault) } }
            form method="post" action="/login" {
                input type="hidden" name="next" value=(own_address(next));
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus;
                button.button.primary type="submit" { "Log in" }
            }
            p.sub { code { "sluice token create NAME --role operator" } " makes one." }
        }
    };
    Page { body, ..Page::new(Section::None, "Log in") }.render(state)
}

pub(super) async fn login(Extract(state): Extract<State>, Form(login): Form<Login>) -> Result<Response, WebError> {
    let opened = access::open_session(state.pool(), login.token.trim(), LASTS).await;
    match opened.or_page(&state)? {
        Ok(secret) => {
            let age = LASTS.num_seconds();
            let cookie = cookie(&state, &secret, age);
            let to = own_address(login.next.as_deref()).to_owned();
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response())
        }
        Err(worth) => {
            let open = is_open(&state).await.or_page(&state)?;
            let page = form(&state, login.next.as_deref(), Some(why_not(&worth)), open);
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
    }
}

pub(super) async fn logout(Extract(state): Extract<State>, headers: HeaderMap) -> Result<Response, WebError> {
    if let Some(secret) = session(&headers) {
        access::close_session(state.pool(), secret).await.map_err(ApiError::from).or_page(&state)?;
    }
    let cookie = cookie(&state, "", 0);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

#[cfg(test)]
mod tests {
    use super::own_address;

    #[test]
    fn a_log_in_leads_to_no_other_site() {
        assert_eq!(own_address(Some("/runs?state=failed")), "/runs?state=failed");
        assert_eq!(own_address(Some("/\t/evil.example")), "/");
        for next in ["//evil.example", "https://evil.example", "/\\evil.example", "runs", ""] {
            assert_eq!(own_address(Some(next)), "/", "{next}");
        }
        assert_eq!(own_address(None), "/");
    }
}

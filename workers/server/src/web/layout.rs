//! The frame around every page.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::parts::icon;
use crate::{error::ApiError, state::State};

/// Where a page stands in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Dags,
    Runs,
    Quality,
    Streams,
    Alerts,
    Deliveries,
    None,
}

const NAVIGATION: [(Section, &str, &str, &str); 7] = [
    (Section::Overview, "/", "overview", "Overview"),
    (Section::Dags, "/dags", "dags", "DAGs"),
    (Section::Runs, "/runs", "runs", "Runs"),
    (Section::Quality, "/quality", "quality", "Data quality"),
    (Section::Streams, "/streams", "streams", "Streams"),
    (Section::Alerts, "/alerts", "alerts", "Alerts"),
    (Section::Deliveries, "/deliveries", "deliveries", "Deliveries"),
];

/// How a page keeps itself up to date.
#[derive(Debug, Clone, Copy)]
pub(super) enum Live {
    /// Not at all.
    No,
    /// It asks for itself again after that many milliseconds.
    Every(u32),
    /// It asks for itself again at each event of the board's stream.
    Board,
}

/// A page by its parts.
pub(super) struct Page {
    pub(super) section: Section,
    pub(super) title: String,
    /// Beside the heading: badges.
    pub(super) beside: Markup,
    /// Below the heading: one line.
    pub(super) lead: Markup,
    /// At the right of the heading: buttons.
    pub(super) actions: Markup,
    pub(super) live: Live,
    pub(super) body: Markup,
}

impl Page {
    /// A page with a heading only; fill in the rest with struct update syntax.
    pub(super) fn new(section: Section, title: impl Into<String>) -> Self {
        let none = || PreEscaped(String::new());
        Self {
            section,
            title: title.into(),
            beside: none(),
            lead: none(),
            actions: none(),
            live: Live::No,
            body: none(),
        }
    }

    /// The whole document.
    pub(super) fn render(self, state: &State) -> Markup {
        let project = &state.options().project;
        let (every, stream) = match self.live {
            Live::No => (None, None),
            Live::Every(milliseconds) => (Some(milliseconds), None),
            Live::Board => (None, Some("/api/v1/board/stream")),
        };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · " (project) }
                    link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href={ "/static/style.css?v=" (super::assets::version()) };
                    script src={ "/static/app.js?v=" (super::assets::version()) } defer {}
                }
                body {
                    a.skip href="#content" { "Skip to content" }
                    div.shell {
                        aside.side {
                            a.brand href="/" {
                                (logo())
                                span { b { (project) } small { "Sluice" } }
                            }
                            nav.menu aria-label="Main" {
                                @for (section, address, picture, label) in NAVIGATION {
                                    a href=(address) aria-current=[(section == self.section).then_some("page")] {
                                        (icon(picture)) span { (label) }
                                    }
                                }
                            }
                            div.side-foot {
                                a href="/api/v1/openapi.json" { "API" }
                                a href="/metrics" { "Metrics" }
                                a href="/login" { "Access" }
                                span.version { "v" (env!("CARGO_PKG_VERSION")) }
                            }
                        }
                        main id="content" data-every=[every] data-stream=[stream] {
                            header.page-head {
                                div.page-title {
                                    h1 { (self.title) }
                                    (self.beside)
                                }
                                @if !self.actions.0.is_empty() { div.actions { (self.actions) } }
                                @if !self.lead.0.is_empty() { div.lead { (self.lead) } }
                            }
                            (self.body)
                        }
                    }
                    div #toasts.toasts role="status" aria-live="polite" {}
                }
            }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg.logo viewBox="0 0 28 28" aria-hidden="true" {
            rect width="28" height="28" rx="7" {}
            path d="M6 10c2.7-2.4 5.3-2.4 8 0s5.3 2.4 8 0M6 15.5c2.7-2.4 5.3-2.4 8 0s5.3 2.4 8 0" {}
            path.gate d="M14 5v18" {}
        }
    }
}

/// An error as a page.
pub(crate) struct WebError {
    state: State,
    error: ApiError,
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        self.error.log();
        let status = self.error.status();
        let hint = match status {
            StatusCode::SERVICE_UNAVAILABLE => "Start the project's services with `sluice up`, then reload this page.",
            StatusCode::NOT_FOUND => "It may have been renamed or removed since the link was made.",
            StatusCode::FORBIDDEN => {
                "Log in with a token that has that role, or ask whoever runs this platform for one."
            }
            StatusCode::UNAUTHORIZED => "Log in first.",
            _ => "Go back and look at the state of the run; the server's log says more.",
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let body = html! {
            div.card.empty {
                p.empty-title { (self.error) }
                p { (hint) }
                p { a.button href="/" { "To the overview" } }
            }
        };
        let page = Page { body, ..Page::new(Section::None, title) };
        (status, page.render(&self.state)).into_response()
    }
}

/// Turns an error into a page of the same look.
pub(crate) trait OrPage<T> {
    fn or_page(self, state: &State) -> Result<T, WebError>;
}

impl<T, E: Into<ApiError>> OrPage<T> for Result<T, E> {
    fn or_page(self, state: &State) -> Result<T, WebError> {
        self.map_err(|error| WebError { state: state.clone(), error: error.into() })
    }
}

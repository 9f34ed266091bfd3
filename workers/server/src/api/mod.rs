//! REST under `/api/v1`, described by the OpenAPI document that the handlers themselves generate.

mod audit;
mod backfills;
mod data;
pub(crate) mod extract;
mod hooks;
mod items;
mod marks;
mod pauses;
mod replays;
pub(crate) mod runs;
mod security;
mod streams;
mod suites;
mod versions;
mod why;

use axum::{Json, Router, response::IntoResponse, routing::get};
use utoipa::{Modify, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{error::ApiError, events, state::State};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice",
        description = "Runs, loads, checks, alerts and streams of one project. Lists are paged: hand `next_cursor` \
                       back as `cursor`. Errors are `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "runs", description = "DAGs, their runs, tasks and logs"),
        (name = "data", description = "Loads, quality checks, rows held back"),
        (name = "streams", description = "Streams, alerts, deliveries, the live board"),
    )
)]
struct Document;

fn documented() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(runs::list_dags))
        .routes(routes!(runs::get_dag))
        .routes(routes!(runs::list_runs, runs::trigger))
        .routes(routes!(runs::get_run))
        .routes(routes!(why::why))
        .routes(routes!(why::why_next))
        .routes(routes!(items::list_items))
        .routes(routes!(runs::get_logs))
        .routes(routes!(events::log_stream))
        .routes(routes!(hooks::receive))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(marks::mark))
        .routes(routes!(backfills::backfill))
        .routes(routes!(backfills::clear))
        .routes(routes!(backfills::list_backfills))
        .routes(routes!(backfills::stop_backfill))
        .routes(routes!(pauses::pause))
        .routes(routes!(pauses::resume))
        .routes(routes!(audit::list_audit))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::list_workers))
        .routes(routes!(data::list_loads))
        .routes(routes!(data::list_checks))
        .routes(routes!(suites::list_suite_versions))
        .routes(routes!(suites::suite_diff))
        .routes(routes!(data::list_quarantine))
        .routes(routes!(replays::replay))
        .routes(routes!(replays::dismiss))
        .routes(routes!(streams::list_alerts))
        .routes(routes!(streams::list_streams))
        .routes(routes!(streams::list_dead_letters))
        .routes(routes!(streams::list_deliveries))
        .routes(routes!(streams::get_board))
        .routes(routes!(events::board_stream))
}

/// The routes, and their description with what `access` asks of each.
fn described() -> (Router<State>, utoipa::openapi::OpenApi) {
    let (router, mut document) = documented().split_for_parts();
    security::Security.modify(&mut document);
    (router, document)
}

/// The OpenAPI document as pretty JSON: what `/api/v1/openapi.json` answers and `openapi.json` keeps.
pub fn openapi() -> String {
    let (_, document) = described();
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn router() -> Router<State> {
    let (router, document) = described();
    router
        .route("/api/v1/openapi.json", get(move || async move { Json(document) }))
        .route("/api/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(method_not_allowed)
}

async fn unknown() -> impl IntoResponse {
    ApiError::NotFound("the API has no such address".to_owned())
}

async fn method_not_allowed() -> impl IntoResponse {
    ApiError::MethodNotAllowed
}

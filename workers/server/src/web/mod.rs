//! The web page: rendered here, moved by `assets/app.js`, coloured by `assets/style.css`. No bundler, nothing from
//! another host, readable without the script.

mod again;
mod alerts;
pub(crate) mod assets;
mod board;
mod charts;
mod dags;
mod fields;
mod format;
mod graph;
mod layout;
mod login;
mod parts;
pub(crate) mod quality;
mod runs;
mod spans;
mod start;
mod starts;
mod streams;
pub(crate) mod suite;

use axum::{
    Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub(crate) use self::{format::encode, layout::OrPage};
use crate::{error::ApiError, state::State};

pub(crate) fn router() -> Router<State> {
    Router::new()
        .route("/", get(board::page))
        .route("/dags", get(dags::list))
        .route("/dags/{dag}", get(dags::detail))
        .route("/dags/{dag}/trigger", get(start::page).post(start::start))
        .route("/dags/{dag}/pause", post(dags::pause))
        .route("/dags/{dag}/resume", post(dags::resume))
        .route("/dags/{dag}/backfill", get(spans::backfill_page).post(spans::backfill))
        .route("/dags/{dag}/clear", get(spans::clear_page).post(spans::clear))
        .route("/backfills", get(spans::list))
        .route("/backfills/{backfill_id}/stop", post(spans::stop))
        .route("/runs", get(runs::list))
        .route("/runs/{run_id}", get(runs::detail))
        .route("/runs/{run_id}/cancel", post(runs::cancel))
        .route("/runs/{run_id}/retry", get(again::page).post(again::retry))
        .route("/runs/{run_id}/mark", post(runs::mark))
        .route("/login", get(login::page).post(login::login))
        .route("/logout", post(login::logout))
        .route("/quality", get(quality::page))
        .route("/quality/suites/{suite}", get(quality::suite))
        .route("/quality/rows", get(quality::rows))
        .route("/streams", get(streams::page))
        .route("/alerts", get(alerts::page))
        .route("/deliveries", get(alerts::deliveries))
        .merge(assets::router())
}

/// The page for an address that nothing answers.
pub(crate) async fn not_found(Extract(state): Extract<State>) -> Response {
    let error = ApiError::NotFound("there is nothing at this address".to_owned());
    Err::<(), _>(error).or_page(&state).into_response()
}

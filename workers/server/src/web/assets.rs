//! Style sheet, script, type and icon, compiled in.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::state::State;

/// Address of the style sheet.
pub(super) const STYLE_URL: &str = concat!("/static/style.css?v=", env!("CARGO_PKG_VERSION"));
/// Address of the script.
pub(super) const SCRIPT_URL: &str = concat!("/static/app.js?v=", env!("CARGO_PKG_VERSION"));

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/static/style.css", get(|| asset("text/css; charset=utf-8", include_bytes!("../assets/style.css"))))
        .route("/static/app.js", get(|| asset("text/javascript; charset=utf-8", include_bytes!("../assets/app.js"))))
        .route("/static/inter-400.woff2", get(|| asset("font/woff2", include_bytes!("../assets/fonts/inter-400.woff2"))))
        .route("/static/inter-500.woff2", get(|| asset("font/woff2", include_bytes!("../assets/fonts/inter-500.woff2"))))
        .route("/static/inter-600.woff2", get(|| asset("font/woff2", include_bytes!("../assets/fonts/inter-600.woff2"))))
        .route("/static/icon.svg", get(|| asset("image/svg+xml", include_bytes!("../assets/icon.svg"))))
}

async fn asset(kind: &'static str, bytes: &'static [u8]) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")], bytes).into_response()
}

//! Style sheet, script, type and icon, compiled in.

use axum::{
    Router,
    http::header,
    routing::{MethodRouter, get},
};

use crate::state::State;

/// Address of the style sheet.
pub(super) const STYLE_URL: &str = concat!("/static/style.css?v=", env!("CARGO_PKG_VERSION"));
/// Address of the script.
pub(super) const SCRIPT_URL: &str = concat!("/static/app.js?v=", env!("CARGO_PKG_VERSION"));

pub(super) fn router() -> Router<State> {
    const STYLE: &str = "text/css; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const FONT: &str = "font/woff2";
    Router::new()
        .route("/static/style.css", asset(STYLE, include_bytes!("../assets/style.css")))
        .route("/static/app.js", asset(SCRIPT, include_bytes!("../assets/app.js")))
        .route("/static/icon.svg", asset("image/svg+xml", include_bytes!("../assets/icon.svg")))
        .route("/static/inter-400.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-400.woff2")))
        .route("/static/inter-500.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-500.woff2")))
        .route("/static/inter-600.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-600.woff2")))
}

fn asset(kind: &'static str, bytes: &'static [u8]) -> MethodRouter<State> {
    get(move || async move { ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=300")], bytes) })
}

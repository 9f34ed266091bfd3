//! Style sheet, script, type and icon, compiled in.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
};

use axum::{
    Router,
    http::header,
    routing::{MethodRouter, get},
};

use crate::state::State;

const STYLE: &[u8] = include_bytes!("../assets/style.css");
const SCRIPT: &[u8] = include_bytes!("../assets/app.js");

/// What follows `?v=` in their addresses: it changes with their content, so that browsers may keep them.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        (STYLE, SCRIPT).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    })
}

/// The same for a site that is read from a folder: each by its name, all in one folder.
pub(crate) fn site() -> Vec<(&'static str, Vec<u8>)> {
    let style = String::from_utf8_lossy(STYLE).replace("/static/", "");
    let fonts: [(&str, &[u8]); 3] = [
        ("inter-400.woff2", include_bytes!("../assets/fonts/inter-400.woff2")),
        ("inter-500.woff2", include_bytes!("../assets/fonts/inter-500.woff2")),
        ("inter-600.woff2", include_bytes!("../assets/fonts/inter-600.woff2")),
    ];
    let mut files =
        vec![("style.css", style.into_bytes()), ("icon.svg", include_bytes!("../assets/icon.svg").to_vec())];
    files.extend(fonts.map(|(name, content)| (name, content.to_vec())));
    files
}

pub(super) fn router() -> Router<State> {
    const FONT: &str = "font/woff2";
    Router::new()
        .route("/static/style.css", asset("text/css; charset=utf-8", STYLE))
        .route("/static/app.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .route("/static/icon.svg", asset("image/svg+xml", include_bytes!("../assets/icon.svg")))
        .route("/static/inter-400.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-400.woff2")))
        .route("/static/inter-500.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-500.woff2")))
        .route("/static/inter-600.woff2", asset(FONT, include_bytes!("../assets/fonts/inter-600.woff2")))
}

fn asset(kind: &'static str, bytes: &'static [u8]) -> MethodRouter<State> {
    get(
        move || async move { ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")], bytes) },
    )
}

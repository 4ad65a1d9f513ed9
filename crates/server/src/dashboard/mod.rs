//! The dashboard: a page for people, which shows a running server and controls it through the admin API.
//!
//! The page holds no data and no secrets, so that it is served without a token. It needs no build step and no other host.

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A file of the page.
struct Asset {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
/// Only files of this server, no inline code, and no embedding.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

macro_rules! assets {
    ($($name:literal $kind:ident,)+) => {
        &[$(Asset { path: concat!("/dashboard/", $name), kind: $kind, content: include_str!($name) }),+]
    };
}

/// The page itself.
const INDEX: Asset = Asset { path: "/dashboard", kind: HTML, content: include_str!("index.html") };
/// What the page loads.
const ASSETS: &[Asset] = assets! {
    "style.css" CSS,
    "actions.js" JS,
    "api.js" JS,
    "app.js" JS,
    "calls.js" JS,
    "charts.js" JS,
    "dialogs.js" JS,
    "dom.js" JS,
    "errors.js" JS,
    "format.js" JS,
    "latency.js" JS,
    "logs.js" JS,
    "overview.js" JS,
    "process.js" JS,
    "repositories.js" JS,
    "samples.js" JS,
    "sessions.js" JS,
    "stream.js" JS,
    "theme.js" JS,
};

/// The routes of the page and its files.
pub(crate) fn pages() -> Router {
    // The page names its files relative to `/`, so that it works behind a proxy with a prefix.
    let page = Router::new().route(INDEX.path, get(index)).route("/dashboard/", get(async || Redirect::permanent("../dashboard")));
    ASSETS.iter().fold(page, |pages, asset| pages.route(asset.path, get(async |headers: HeaderMap| serve(asset, &headers))))
}

async fn index(headers: HeaderMap) -> Response {
    front(&headers)
}

/// The page, for a browser that opens `/`.
pub(crate) fn front(headers: &HeaderMap) -> Response {
    serve(&INDEX, headers)
}

fn serve(asset: &Asset, headers: &HeaderMap) -> Response {
    let mut hasher = DefaultHasher::new();
    asset.content.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let tagged = [(header::ETAG, tag)];
    if is_known {
        return (StatusCode::NOT_MODIFIED, fixed, tagged).into_response();
    }
    (fixed, tagged, [(header::CONTENT_TYPE, asset.kind)], asset.content).into_response()
}

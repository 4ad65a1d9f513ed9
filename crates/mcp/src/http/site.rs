//! Pages for people, and the API that they use, beside MCP.

use crate::identity::Identity;
use axum::{
    Router,
    http::{HeaderMap, Method, Uri, header},
    response::Response,
};
use std::sync::Arc;

/// The first part of the paths of pages.
const PAGES: &str = "/dashboard";
/// The first part of the paths of the API.
const API: &str = "/admin/";

/// The identity of a ticket, if it is valid.
pub type Identify = Arc<dyn Fn(&str) -> Option<Identity> + Send + Sync>;

/// Pages for people, and the API that they use. Host and origin are checked as for all routes.
#[derive(Clone)]
pub struct Site {
    /// The page at `/`, for a browser.
    pub front: Arc<dyn Fn(&HeaderMap) -> Response + Send + Sync>,
    /// The pages, below `/dashboard`. They hold no secrets, and are served without a token.
    pub pages: Router,
    /// The API, below `/admin/`. It checks what a request may do, by its [`Identity`] and [`Ticketed`].
    pub api: Router,
    /// The identity of a ticket, which the API accepts like a token.
    pub tickets: Identify,
}

/// Marks a request of the API that was made with a ticket.
#[derive(Clone, Copy, Debug)]
pub struct Ticketed;

impl Site {
    pub(super) fn routes(self) -> Router {
        self.pages.merge(self.api)
    }
}

/// Whether a request is for a page.
pub(super) fn is_page(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let path = uri.path();
    let is_below = path.strip_prefix(PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (method == Method::GET || method == Method::HEAD) && (is_below || is_front(uri, headers))
}

/// Whether a request is from a browser that opens `/`.
pub(super) fn is_front(uri: &Uri, headers: &HeaderMap) -> bool {
    let wants_page = || {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
        accepted.flat_map(|accepted| accepted.split(',')).any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
    };
    uri.path() == "/" && !headers.contains_key(header::UPGRADE) && wants_page()
}

/// Whether a request is for the API.
pub(super) fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with(API)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_browser_gets_the_page_and_other_clients_the_service() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let browser = headers(&[(header::ACCEPT, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")]);
        let socket = headers(&[(header::ACCEPT, "text/html"), (header::UPGRADE, "websocket")]);
        let client = headers(&[(header::ACCEPT, "application/json, text/event-stream")]);
        let is = |method: &Method, path: &'static str, headers: &HeaderMap| is_page(method, &Uri::from_static(path), headers);
        assert!(is(&Method::GET, "/", &browser) && is(&Method::GET, "/dashboard/app.js", &client));
        assert!(!is(&Method::GET, "/", &socket) && !is(&Method::GET, "/", &client) && !is(&Method::POST, "/dashboard", &browser));
        assert!(!is(&Method::GET, "/dashboards", &browser) && !is(&Method::GET, "/mcp", &browser));
        assert!(is_api(&Uri::from_static("/admin/v1/status")) && !is_api(&Uri::from_static("/administrator")));
    }
}

//! CORS: lets pages of allowed origins call the server from a browser.

use super::origin::has_own_origin;
use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

const METHODS: &str = "GET, POST, DELETE";
/// The request headers that the transport reads.
const HEADERS: &str = "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id";
/// The response headers that a client needs. Browsers hide them from pages by default.
const EXPOSED: &str = "mcp-session-id, mcp-protocol-version, retry-after, www-authenticate";
/// How long a browser may cache the response to a preflight, in seconds.
const MAX_AGE: &str = "7200";

/// The request's origin, if it is allowed.
pub(super) fn origin(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let mut given = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (given.next(), given.next()) else { return None };
    has_own_origin(headers, allowed).then(|| origin.clone())
}

/// Whether a request is a preflight, which a browser sends without a token.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight, without the origin.
pub(super) fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets pages of this origin read a response, including errors: a client has to read its challenge.
pub(super) fn share(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

//! The identity and session of a request.

use crate::sessions::{Kind, Session};
use rmcp::{model::Extensions, transport::streamable_http_server::session::SessionRestoreMarker};
use std::{sync::Arc, time::SystemTime};

/// The identity that a token authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The principal; sessions and handles are separate per principal.
    pub principal: Arc<str>,
    /// The scopes of the token, as issued.
    pub scopes: Vec<String>,
    /// Token expiry.
    pub until: Option<SystemTime>,
}

/// The `mcp-session-id` of a request over HTTP.
pub fn session_id(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::http::request::Parts>()?.headers.get("mcp-session-id")?.to_str().ok()
}

/// The id of the session that carries a request, over any transport.
pub fn carrier(extensions: &Extensions) -> Option<&str> {
    extensions.get::<Carrier>().map(|carrier| carrier.0.id.as_str()).or_else(|| session_id(extensions))
}

/// The transport of a request.
pub fn carried_by(extensions: &Extensions) -> Kind {
    extensions.get::<Carrier>().map_or(Kind::Http, |carrier| carrier.0.kind())
}

/// Whether the client has closed its end of the request's connection.
pub fn has_hung_up(extensions: &Extensions) -> bool {
    extensions.get::<Carrier>().is_some_and(|carrier| carrier.0.has_hung_up())
}

/// The session of a connection, attached to each of its requests.
#[derive(Clone)]
pub(crate) struct Carrier(pub(crate) Arc<Session>);

/// Whether this is the handshake of a session restored from another process.
pub fn is_restored(extensions: &Extensions) -> bool {
    extensions.get::<SessionRestoreMarker>().is_some()
}

/// The identity attached to a request over HTTP.
pub fn identity(extensions: &Extensions) -> Option<&Identity> {
    extensions.get::<axum::http::request::Parts>()?.extensions.get::<Identity>()
}

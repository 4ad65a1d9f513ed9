//! Who is at the other end, where a request has shown it.

use rmcp::{model::Extensions, transport::streamable_http_server::session::SessionRestoreMarker};
use std::{sync::Arc, time::SystemTime};

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name under which sessions and handles are kept apart.
    pub principal: Arc<str>,
    /// What the token allows, in its own words.
    pub scopes: Vec<String>,
    /// When it ends to be good.
    pub until: Option<SystemTime>,
}

/// The session of an older revision that a request over HTTP is part of.
pub fn session_id(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::http::request::Parts>()?.headers.get("mcp-session-id")?.to_str().ok()
}

/// True for the handshake of a session that another process has opened, as it is done once more here.
pub fn is_restored(extensions: &Extensions) -> bool {
    extensions.get::<SessionRestoreMarker>().is_some()
}

/// The identity that came with a request over HTTP.
pub fn identity(extensions: &Extensions) -> Option<&Identity> {
    extensions.get::<axum::http::request::Parts>()?.extensions.get::<Identity>()
}

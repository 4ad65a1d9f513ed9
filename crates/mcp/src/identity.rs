//! Who is at the other end, where a request has shown it.

use crate::sessions::{Kind, Session};
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

/// The session that carries a request, over whatever transport.
pub fn carrier(extensions: &Extensions) -> Option<&str> {
    extensions.get::<Carrier>().map(|carrier| carrier.0.id.as_str()).or_else(|| session_id(extensions))
}

/// What carries a request.
pub fn carried_by(extensions: &Extensions) -> Kind {
    extensions.get::<Carrier>().map_or(Kind::Http, |carrier| carrier.0.kind())
}

/// True where the client has closed its end of the connection that carries a request.
pub fn has_hung_up(extensions: &Extensions) -> bool {
    extensions.get::<Carrier>().is_some_and(|carrier| carrier.0.has_hung_up())
}

/// The session of a connection, as each of its requests has it.
#[derive(Clone)]
pub(crate) struct Carrier(pub(crate) Arc<Session>);

/// True for the handshake of a session that another process has opened, as it is done once more here.
pub fn is_restored(extensions: &Extensions) -> bool {
    extensions.get::<SessionRestoreMarker>().is_some()
}

/// The identity that came with a request over HTTP.
pub fn identity(extensions: &Extensions) -> Option<&Identity> {
    extensions.get::<axum::http::request::Parts>()?.extensions.get::<Identity>()
}

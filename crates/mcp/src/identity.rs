//! Who is at the other end, where a request has shown it.

use rmcp::model::Extensions;
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

/// The identity that came with a request over HTTP.
pub fn identity(extensions: &Extensions) -> Option<&Identity> {
    extensions.get::<axum::http::request::Parts>()?.extensions.get::<Identity>()
}

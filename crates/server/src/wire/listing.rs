//! The list of tools, made and serialized once.

use super::{apps, schema};
use crate::pipeline::Services;
use mcp::{
    prepared,
    rmcp::model::{ListToolsResult, Tool},
    sessions::Kind,
};

/// A list of tools.
pub(super) struct Listing {
    tools: Vec<Tool>,
    /// The same as JSON; `None` if it cannot be serialized.
    text: Option<String>,
}

impl Listing {
    pub(super) fn new(services: &Services, is_host: bool) -> Self {
        let mut tools = services.listed().iter().map(|entry| schema::definition(entry)).collect();
        if is_host {
            apps::extend(&mut tools, services);
        }
        Self { text: serde_json::to_string(&tools).ok(), tools }
    }

    /// The result for a client over a transport. `rmcp` serializes those over HTTP.
    pub(super) fn result(&self, carrier: Kind) -> ListToolsResult {
        match &self.text {
            Some(text) if carrier != Kind::Http => prepared::with_tools(text),
            _ => ListToolsResult { tools: self.tools.clone(), ..ListToolsResult::default() },
        }
    }
}

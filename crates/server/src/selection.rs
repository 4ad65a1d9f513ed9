//! Which tools are listed to clients, and which may be called.

use crate::{
    error::{Error, Kind},
    tool::{Effect, Entry, Toolset},
    tools,
};
use serde_json::Map;

/// The operator's selection of tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The groups; the default one if both these and `tools` are empty.
    pub toolsets: Vec<Toolset>,
    /// Additional tools. Without groups, only these are listed and callable.
    pub tools: Vec<String>,
    /// Tools that are neither listed nor callable.
    pub exclude: Vec<String>,
    /// Lists and permits only tools that read.
    pub read_only: bool,
}

impl Selection {
    /// The tools listed to clients.
    pub fn listed(&self) -> Vec<&'static Entry> {
        tools::ALL.iter().filter(|entry| self.lists(entry)).collect()
    }

    /// The first name that is not a tool.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let named = self.tools.iter().chain(&self.exclude);
        named.map(String::as_str).find(|name| !is_tool(name))
    }

    fn lists(&self, entry: &Entry) -> bool {
        let fallback = [Toolset::Default];
        let sets = if self.toolsets.is_empty() && self.tools.is_empty() { &fallback[..] } else { &self.toolsets };
        let grouped = sets.iter().any(|set| entry.is_in(*set));
        let named = self.tools.iter().any(|name| name == entry.name);
        (grouped || named) && self.check(entry, entry.effect_of(Map::new())).is_ok()
    }

    /// Refuses a call of a tool that the operator did not select.
    pub(crate) fn check(&self, entry: &Entry, effect: Effect) -> Result<(), Error> {
        let only = self.toolsets.is_empty() && !self.tools.is_empty();
        if self.exclude.iter().any(|name| name == entry.name) || only && !self.tools.iter().any(|name| name == entry.name) {
            return Err(
                Error::new(Kind::Denied, format!("{} is disabled here", entry.name)).hint("The operator selects the available tools.")
            );
        }
        if self.read_only && effect != Effect::Read {
            return Err(Error::new(Kind::Denied, format!("this server is read-only: {} would change something", entry.name))
                .hint("The operator has started it with --read-only."));
        }
        Ok(())
    }
}

/// Whether this is the name of a tool, listed or not.
pub(crate) fn is_tool(name: &str) -> bool {
    tools::ALL.iter().any(|entry| entry.name == name)
}

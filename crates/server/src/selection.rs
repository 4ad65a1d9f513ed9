//! Which tools clients are told of, and which may be called.

use crate::{
    error::{Error, Kind},
    tool::{Effect, Entry, Toolset},
    tools,
};
use serde_json::Map;

/// What the operator wants to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The groups; the default one when empty and no tool is named.
    pub toolsets: Vec<Toolset>,
    /// Further tools. Without groups, the only ones, also for calls.
    pub tools: Vec<String>,
    /// Tools that are neither listed nor called.
    pub exclude: Vec<String>,
    /// Nothing that changes anything is listed or called.
    pub read_only: bool,
}

impl Selection {
    /// The tools that clients are told of.
    pub fn listed(&self) -> Vec<&'static Entry> {
        tools::ALL.iter().filter(|entry| self.lists(entry)).collect()
    }

    /// The first name that is no tool.
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

    /// Refuses a call of what the operator has left out.
    pub(crate) fn check(&self, entry: &Entry, effect: Effect) -> Result<(), Error> {
        let only = self.toolsets.is_empty() && !self.tools.is_empty();
        if self.exclude.iter().any(|name| name == entry.name) || only && !self.tools.iter().any(|name| name == entry.name) {
            return Err(Error::new(Kind::Denied, format!("{} is switched off here", entry.name))
                .hint("The operator decides which tools there are."));
        }
        if self.read_only && effect != Effect::Read {
            return Err(Error::new(Kind::Denied, format!("this server only reads: {} would change something", entry.name))
                .hint("The operator has started it with --read-only."));
        }
        Ok(())
    }
}

/// True for the name of a tool, whether it is listed or not.
pub(crate) fn is_tool(name: &str) -> bool {
    tools::ALL.iter().any(|entry| entry.name == name)
}

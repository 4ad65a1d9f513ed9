//! Errors for invalid requests: unknown methods and tools, and unreadable parameters.

use crate::{output, tool::Entry};

/// Methods that rmcp supports. A request for one of them that arrives unparsed has invalid parameters.
pub(super) const KNOWN: [&str; 18] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// The error for a known method with invalid parameters.
pub(super) fn unreadable(method: &str) -> Option<String> {
    KNOWN.contains(&method).then(|| format!("invalid or missing `params` for {method}"))
}

/// The error for an unknown method.
pub(super) fn unknown_method(method: &str) -> String {
    format!("unknown method `{}`", output::message(&method.chars().take(80).collect::<String>()))
}

/// The error for a request that matches no method.
pub(super) fn misread(method: &str) -> String {
    unreadable(method).unwrap_or_else(|| unknown_method(method))
}

/// The error for an unknown tool.
pub(super) fn unknown_tool<'a>(name: &str, listed: impl Iterator<Item = &'a Entry>) -> String {
    let known: Vec<&str> = listed.map(|entry| entry.name).collect();
    let name: String = name.chars().take(80).collect();
    format!("unknown tool `{}`. Tools: {}", output::message(&name), known.join(", "))
}

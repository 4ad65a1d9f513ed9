//! Requests that are none: of methods and tools that there are not, or with parameters that cannot be read.

use crate::{output, tool::Entry};

/// Methods that rmcp knows. A request for one of them that arrives unparsed has wrong parameters.
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

/// What is wrong with a request of a method that is known, and could not be read as one of it.
pub(super) fn unreadable(method: &str) -> Option<String> {
    KNOWN.contains(&method).then(|| format!("invalid or missing `params` for {method}"))
}

/// Why a request of a method is refused that there is not.
pub(super) fn unknown_method(method: &str) -> String {
    format!("unknown method `{}`", output::message(&method.chars().take(80).collect::<String>()))
}

/// Why a request is refused that could not be read as one of any method.
pub(super) fn misread(method: &str) -> String {
    unreadable(method).unwrap_or_else(|| unknown_method(method))
}

/// Why a call of a tool is refused that there is not.
pub(super) fn unknown_tool<'a>(name: &str, listed: impl Iterator<Item = &'a Entry>) -> String {
    let known: Vec<&str> = listed.map(|entry| entry.name).collect();
    let name: String = name.chars().take(80).collect();
    format!("unknown tool `{}`. Tools: {}", output::message(&name), known.join(", "))
}

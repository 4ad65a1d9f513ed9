//! Whether a message passes, strictly and leniently, and what was made of it.

use crate::frame::{Frame, parse};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// How messages are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What can be understood is.
    #[default]
    Lenient,
    /// What is not exactly as it should be is refused.
    Strict,
}

/// Where the result of a request says what was passed over, in its `_meta`.
pub const WARNINGS: &str = "mcp-server-git/warnings";

/// What a message has at its top.
const FIELDS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
/// The most keys that are named.
const MAX_NAMED: usize = 8;

/// What is said of a message. It names types and keys, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; `None` where it passes.
    #[doc(alias = "is_valid")]
    pub error: Option<String>,
    /// What was passed over or understood in spite of its form.
    pub warnings: Vec<String>,
}

/// Checks one message.
#[doc(alias = "validate_message")]
#[doc(alias = "enhanced_validate_message")]
pub fn validate(message: &[u8], mode: Mode) -> Verdict {
    let warnings = oddities(message);
    let error = match parse(message) {
        Frame::Refused(_, error) => Some(error.message.to_string()),
        Frame::Message(_) | Frame::Ping(_) => None,
        Frame::Ignored => Some("the message has no effect: it is empty, or a malformed notification or answer".to_owned()),
    };
    match (error, mode) {
        (None, Mode::Strict) if !warnings.is_empty() => Verdict { error: Some(warnings.join("; ")), warnings: Vec::new() },
        (error, _) => Verdict { error, warnings },
    }
}

/// What is odd about a message that may still be understood.
#[expect(clippy::zero_sized_map_values, reason = "it is what a message is read as whose values do not matter")]
pub(crate) fn oddities(message: &[u8]) -> Vec<String> {
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(message) else { return Vec::new() };
    let mut odd = Vec::new();
    if !fields.contains_key("jsonrpc") {
        odd.push("/jsonrpc is missing: a message says \"jsonrpc\": \"2.0\"".to_owned());
    }
    let unknown = fields.keys().filter(|key| !FIELDS.contains(&key.as_str()));
    odd.extend(unknown.take(MAX_NAMED).map(|key| format!("/{} is not known and is ignored", shown(key))));
    odd
}

/// A key as it can be shown: short, and without anything that acts.
fn shown(key: &str) -> String {
    key.chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_message_passes_leniently_and_not_strictly() {
        for (message, strict, lenient, warnings) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, true, true, 0),
            (r#"{"type":"ping","id":"test_123"}"#, false, true, 2),
            (r#"{"type":"notifications/cancelled","id":"test_123","request_id":"req_456"}"#, false, true, 3),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#, false, true, 1),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, false, false, 0),
            (r#"{"type":"notifications/unknown","request_id":"1"}"#, false, false, 3),
            ("{", false, false, 0),
        ] {
            let (by_rule, as_meant) = (validate(message.as_bytes(), Mode::Strict), validate(message.as_bytes(), Mode::Lenient));
            assert_eq!((by_rule.error.is_none(), as_meant.error.is_none()), (strict, lenient), "{message}: {by_rule:?} {as_meant:?}");
            assert_eq!(as_meant.warnings.len(), warnings, "{message}: {as_meant:?}");
        }
    }
}

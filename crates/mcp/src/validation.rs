//! Whether a message passes, strictly and leniently, and what was made of it.

use crate::{
    frame::{Frame, bare_fields, check, is_crowded},
    head::id_in,
};
use rmcp::{
    RoleServer,
    model::{ErrorCode, ErrorData},
    service::RxJsonRpcMessage,
};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
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
/// What the log of refused messages is called in a filter.
const TARGET: &str = "validation";
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
    inspect(message, mode).0
}

/// Checks one message as a connection does that is in this mode, and gives it where it passes and is no bare ping.
pub fn inspect(message: &[u8], mode: Mode) -> (Verdict, Option<Box<RxJsonRpcMessage<RoleServer>>>) {
    let odd = oddities(message, mode);
    let refused = |error: String, warnings| (Verdict { error: Some(error), warnings }, None);
    match (check(message, mode), mode) {
        (Frame::Refused(_, error), _) => refused(error.message.to_string(), if mode == Mode::Lenient { odd } else { Vec::new() }),
        (Frame::Ignored, Mode::Strict) if !odd.is_empty() => refused(odd.join("; "), Vec::new()),
        (Frame::Ignored, _) => refused("the message has no effect: it is empty, or a malformed notification or answer".to_owned(), odd),
        (Frame::Ping(_), _) => (Verdict { error: None, warnings: odd }, None),
        (Frame::Message(message), _) => (Verdict { error: None, warnings: odd }, Some(message)),
    }
}

/// What is odd about a message that may still be understood.
pub(crate) fn oddities(message: &[u8], mode: Mode) -> Vec<String> {
    let Some(fields) = keys(message) else { return Vec::new() };
    let mut odd = Vec::new();
    let is_complete = fields.iter().any(|key| key == "jsonrpc");
    if !is_complete {
        odd.push("/jsonrpc is missing: a message says \"jsonrpc\": \"2.0\"".to_owned());
    }
    let heeded = if is_complete { &[][..] } else { bare_fields(message) };
    let unknown = fields.iter().filter(|key| !FIELDS.contains(&key.as_str()));
    odd.extend(unknown.take(MAX_NAMED).map(|key| {
        let stands_for = heeded.iter().find(|(name, _)| name == key).map(|(_, proper)| proper);
        match (stands_for, mode) {
            (Some(proper), _) => format!("/{key} stands for {proper}"),
            (None, Mode::Lenient) => format!("/{} is not known and is ignored", shown(key)),
            (None, Mode::Strict) => format!("/{} is not known", shown(key)),
        }
    }));
    odd
}

/// The keys at the top of a message, in order.
#[expect(clippy::zero_sized_map_values, reason = "it is what a message is read as whose values do not matter")]
fn keys(message: &[u8]) -> Option<Vec<String>> {
    Some(serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(message).ok()?.into_keys().collect())
}

/// What a message says it is.
#[derive(Default, serde::Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    method: Option<&'a RawValue>,
    #[serde(default, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Logs why a message is refused, with what it says it is and its keys, never its values.
pub(crate) fn log(message: &[u8], error: &ErrorData) {
    if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        return;
    }
    // What is refused for its size is not read again.
    let is_small = !is_crowded(message);
    let head: Head<'_> = Some(message).filter(|_| is_small).and_then(|message| serde_json::from_slice(message).ok()).unwrap_or_default();
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok().map(|name| shown(&name));
    let message_type = head.method.or(head.kind).and_then(text);
    let keys = Some(message).filter(|_| is_small).and_then(keys).unwrap_or_default();
    let keys: Vec<String> = keys.iter().take(MAX_NAMED).map(|key| shown(key)).collect();
    let error_type = match error.code {
        ErrorCode::PARSE_ERROR => "parse_error",
        ErrorCode::INVALID_REQUEST => "invalid_request",
        ErrorCode::INVALID_PARAMS => "invalid_params",
        _ => "other",
    };
    let message_id = id_in(message).map(|id| shown(&id.to_string()));
    tracing::info!(target: TARGET, error_type, message_type, message_id, keys = keys.join(","), bytes = message.len(), "a message was refused");
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
            (r#"{"id":1,"method":"ping"}"#, false, true, 1),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, false, false, 0),
            (r#"{"type":"notifications/unknown","request_id":"1"}"#, false, false, 3),
            ("{", false, false, 0),
        ] {
            let (by_rule, as_meant) = (validate(message.as_bytes(), Mode::Strict), validate(message.as_bytes(), Mode::Lenient));
            assert_eq!((by_rule.error.is_none(), as_meant.error.is_none()), (strict, lenient), "{message}: {by_rule:?} {as_meant:?}");
            assert_eq!(as_meant.warnings.len(), warnings, "{message}: {as_meant:?}");
        }
    }
}

//! Deviations of messages that can still be understood, and the log of rejected messages.

use crate::head::id_in;
use rmcp::{
    model::{ErrorCode, ErrorData},
    schemars::JsonSchema,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The validation mode of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(crate = "rmcp::schemars")]
pub enum Mode {
    /// Tolerates deviations where it can.
    #[default]
    Lenient,
    /// Rejects any deviation from the schema.
    Strict,
}

/// `_meta` key of a result that lists ignored or coerced input.
pub const WARNINGS: &str = "mcp-server-git/warnings";

/// The fields of a JSON-RPC message.
const FIELDS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
/// Log target of rejected messages.
const TARGET: &str = "validation";
/// Maximum number of keys reported.
const MAX_NAMED: usize = 8;

/// Deviations of a message that can still be understood. `aliases` maps the fields of a bare message to standard ones.
pub(crate) fn oddities(message: &[u8], mode: Mode, aliases: &[(&str, &str)]) -> Vec<String> {
    let Some(fields) = keys(message) else { return Vec::new() };
    let mut odd = Vec::new();
    let is_complete = fields.iter().any(|key| key == "jsonrpc");
    if !is_complete {
        odd.push("/jsonrpc is missing: expected \"jsonrpc\": \"2.0\"".to_owned());
    }
    let aliases = if is_complete { &[][..] } else { aliases };
    let unknown = fields.iter().filter(|key| !FIELDS.contains(&key.as_str()));
    odd.extend(unknown.take(MAX_NAMED).map(|key| {
        let stands_for = aliases.iter().find(|(name, _)| name == key).map(|(_, proper)| proper);
        match (stands_for, mode) {
            (Some(proper), _) => format!("/{key} stands for {proper}"),
            (None, Mode::Lenient) => format!("/{} is unknown and is ignored", shown(key)),
            (None, Mode::Strict) => format!("/{} is unknown", shown(key)),
        }
    }));
    odd
}

/// The top-level keys of a message, in order.
#[expect(clippy::zero_sized_map_values, reason = "only the keys matter")]
fn keys(message: &[u8]) -> Option<Vec<String>> {
    Some(serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(message).ok()?.into_keys().collect())
}

/// The type of a message.
#[derive(Default, Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    method: Option<&'a RawValue>,
    #[serde(default, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Logs why a message of a session is rejected, with its type and keys but never its values. A message over the size limits
/// is not parsed again.
pub(crate) fn log(message: &[u8], is_small: bool, error: &ErrorData, session: Option<&str>) {
    if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        return;
    }
    // An array would be read as the fields in their order.
    let is_object = message.trim_ascii_start().starts_with(b"{");
    let head: Head<'_> =
        Some(message).filter(|_| is_small && is_object).and_then(|message| serde_json::from_slice(message).ok()).unwrap_or_default();
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
    // Of the answers to refused messages, this one alone quotes the client: its method, which is logged as the type.
    let reason = if error.code == ErrorCode::INVALID_PARAMS { "invalid `params`" } else { &*error.message };
    let message_id = id_in(message).map(|id| shown(&id.to_string()));
    tracing::info!(
        target: TARGET,
        error_type,
        message_type,
        message_id,
        session_id = session,
        reason,
        keys = keys.join(","),
        bytes = message.len(),
        "a message was refused"
    );
}

/// A key for display: truncated and escaped.
fn shown(key: &str) -> String {
    key.chars().take(40).flat_map(char::escape_default).collect()
}

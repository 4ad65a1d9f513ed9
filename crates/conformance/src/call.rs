//! One tool call, and helpers for tools.

use crate::fixture::Fixture;
use mcp::Revision;
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock},
    service::RequestContext,
};
use serde_json::{Value, json};

/// The result of a tool.
pub(crate) type Answer = Result<CallToolResponse, ErrorData>;

/// A running call.
pub(crate) struct Call<'a> {
    /// The handler that received it.
    pub(crate) fixture: &'a Fixture,
    /// The name, the arguments and, in a later round, the client's answers.
    pub(crate) request: CallToolRequestParams,
    /// The session and the client's peer.
    pub(crate) context: RequestContext<RoleServer>,
}

impl Call<'_> {
    /// The argument `name`, if given.
    pub(crate) fn argument(&self, name: &str) -> Option<&Value> {
        self.request.arguments.as_ref()?.get(name)
    }

    /// The argument `name`, which must be a string.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ErrorData> {
        let text = self.argument(name).and_then(Value::as_str);
        text.ok_or_else(|| ErrorData::invalid_params(format!("`{name}` must be a string"), None))
    }

    /// The client's answer to the input request `key`, if it is well-formed.
    pub(crate) fn input(&self, key: &str) -> Option<&Value> {
        self.request.input_responses.as_ref()?.get(key).filter(|answer| answer.is_object())
    }
}

/// A text result.
pub(crate) fn say(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// A text error result.
pub(crate) fn complain(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// Whether the revision has neither sessions nor server-to-client requests.
pub(crate) fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.and_then(|version| Revision::at(version.as_str())).is_some_and(Revision::is_stateless)
}

/// Rejects a client that has not declared `capability`.
pub(crate) fn require(context: &RequestContext<RoleServer>, capability: &str) -> Result<(), ErrorData> {
    if declares(context, capability) {
        return Ok(());
    }
    let mut wanted = serde_json::Map::new();
    wanted.insert(capability.to_owned(), json!({}));
    let wanted: ClientCapabilities = typed(Value::Object(wanted))?;
    Err(ErrorData::missing_required_client_capability(wanted))
}

/// Whether the client has declared `capability`, by its wire name.
pub(crate) fn declares(context: &RequestContext<RoleServer>, capability: &str) -> bool {
    // Through JSON: half of the typed fields are deprecated.
    let declared = context.client_capabilities().and_then(|declared| serde_json::to_value(declared).ok());
    declared.is_some_and(|declared| declared.get(capability).is_some())
}

/// Parses a message written in its wire format.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(message: Value) -> Result<T, ErrorData> {
    serde_json::from_value(message).map_err(internal)
}

/// An internal error.
pub(crate) fn internal(err: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(err.to_string(), None)
}

//! Validates a message as a server would: the connection's checks and those of the call it carries.

use super::{
    lenient::schemas,
    method::{misread, unknown_tool},
};
use crate::{pipeline, tools};
use mcp::{
    Mode, Verdict, inspect,
    rmcp::model::{ClientRequest, JsonRpcMessage},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A message that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Ignored or coerced input; empty in strict mode.
    #[doc(alias = "validation_warnings")]
    pub warnings: Vec<String>,
}

/// A message that is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValidationError {
    /// Why it is rejected.
    pub message: String,
    /// Ignored or coerced input.
    #[doc(alias = "validation_warnings")]
    pub warnings: Vec<String>,
}

/// Checks a message as a server in this mode does: [`validate`], with the verdict as a result.
///
/// # Errors
///
/// [`ValidationError`] if the message is rejected.
#[doc(alias = "enhanced_validate_message")]
pub fn validate_any(message: &Value, mode: Mode) -> Result<Validated, ValidationError> {
    let Verdict { error, warnings } = validate(message.to_string().as_bytes(), mode);
    match error {
        None => Ok(Validated { warnings }),
        Some(message) => Err(ValidationError { message, warnings }),
    }
}

/// Checks a message as a server in strict mode does, and reads it as a `T`, such as [`CancelledNotification`].
///
/// # Errors
///
/// [`ValidationError`] if the message is rejected, or of another type.
///
/// [`CancelledNotification`]: mcp::rmcp::model::CancelledNotification
pub fn validate_message<T: DeserializeOwned>(message: &Value) -> Result<T, ValidationError> {
    validate_any(message, Mode::Strict)?;
    let read = serde_json::from_value(message.clone());
    read.map_err(|err| ValidationError { message: format!("the message is of another type: {err}"), warnings: Vec::new() })
}

/// Checks a message as a server in this mode does: its form, the tool name and the call's arguments. Checks that need a
/// repository are skipped.
pub fn validate(message: &[u8], mode: Mode) -> Verdict {
    let (mut verdict, message) = inspect(message, mode);
    let Some(JsonRpcMessage::Request(request)) = message.map(|message| *message) else { return verdict };
    verdict.error = match request.request {
        ClientRequest::CallToolRequest(call) => {
            let name = &call.params.name;
            match tools::ALL.iter().find(|entry| entry.name == name) {
                None => Some(unknown_tool(name, tools::ALL.iter())),
                Some(tool) => {
                    let mut args = call.params.arguments.unwrap_or_default();
                    if mode == Mode::Lenient {
                        verdict.warnings.extend(schemas().coerce(tool, &mut args));
                    }
                    pipeline::check(tool, args).err().map(|error| error.to_string())
                }
            }
        }
        ClientRequest::CustomRequest(custom) => Some(misread(&custom.method)),
        _ => None,
    };
    verdict
}

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

/// Checks a message as a server in this mode does: its form, the tool name and the call's arguments. Checks that need a
/// repository are skipped.
#[doc(alias = "validate_message")]
#[doc(alias = "enhanced_validate_message")]
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

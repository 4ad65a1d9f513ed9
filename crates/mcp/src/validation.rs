//! Validates a single message, in strict or lenient mode.

use crate::{
    frame::{Frame, check, odd},
    oddity::Mode,
};
use rmcp::{RoleServer, service::RxJsonRpcMessage};

/// The result of validating a message. It names types and keys, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why the message is rejected; `None` if it passes.
    #[doc(alias = "is_valid")]
    pub error: Option<String>,
    /// Ignored or coerced input.
    pub warnings: Vec<String>,
}

/// Checks one message.
#[doc(alias = "validate_message")]
#[doc(alias = "enhanced_validate_message")]
pub fn validate(message: &[u8], mode: Mode) -> Verdict {
    inspect(message, mode).0
}

/// Checks one message as a connection in this mode does, and returns it if it passes and is not a bare ping.
pub fn inspect(message: &[u8], mode: Mode) -> (Verdict, Option<Box<RxJsonRpcMessage<RoleServer>>>) {
    let odd = odd(message, mode);
    let refused = |error: String, warnings| (Verdict { error: Some(error), warnings }, None);
    match (check(message, mode, None), mode) {
        (Frame::Refused(_, error), _) => refused(error.message.to_string(), if mode == Mode::Lenient { odd } else { Vec::new() }),
        (Frame::Ignored, Mode::Strict) if !odd.is_empty() => refused(odd.join("; "), Vec::new()),
        (Frame::Ignored, _) => refused("the message has no effect: it is empty, or a malformed notification or answer".to_owned(), odd),
        (Frame::Ping(_), _) => (Verdict { error: None, warnings: odd }, None),
        (Frame::Message(message), _) => (Verdict { error: None, warnings: odd }, Some(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_messages_pass_in_lenient_mode_only() {
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
            let (strictly, leniently) = (validate(message.as_bytes(), Mode::Strict), validate(message.as_bytes(), Mode::Lenient));
            assert_eq!((strictly.error.is_none(), leniently.error.is_none()), (strict, lenient), "{message}: {strictly:?} {leniently:?}");
            assert_eq!(leniently.warnings.len(), warnings, "{message}: {leniently:?}");
        }
    }
}

//! Whether a message passes, strictly and leniently, and what was made of it.

use crate::{
    frame::{Frame, check, odd},
    oddity::Mode,
};
use rmcp::{RoleServer, service::RxJsonRpcMessage};

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
    let odd = odd(message, mode);
    let refused = |error: String, warnings| (Verdict { error: Some(error), warnings }, None);
    match (check(message, mode), mode) {
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

//! Parses lines into messages. A faulty line is answered with an error and never ends the connection.

use crate::{
    head::{MAX_ID, id_in, is_huge, to_id},
    oddity::{Mode, WARNINGS, log, oddities},
};
use rmcp::{
    RoleServer,
    model::{
        CancelledNotification, CancelledNotificationParam, ClientNotification, ErrorCode, ErrorData, GetMeta, JsonRpcMessage, RequestId,
    },
    service::RxJsonRpcMessage,
};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line, in bytes.
pub const MAX_FRAME: usize = 4 << 20;
/// Prefix of an over-long line that is searched for its id.
const ID_WINDOW: usize = 64 << 10;
/// Maximum number of values in a message. Each takes a hundred times its size once parsed.
const MAX_VALUES: usize = 50_000;
/// Maximum nesting depth; the parser's own limits are slightly higher.
const MAX_NESTING: usize = 100;
const CHUNK: usize = 64 << 10;

/// One line of input.
#[derive(Debug)]
pub enum Frame {
    /// A message for the service.
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// A line to be answered with an error.
    Refused(Option<RequestId>, ErrorData),
    /// A bare `ping` as some clients send it; answered with a bare `pong` with the same id.
    Ping(Value),
    /// A line that has no effect and must not be answered.
    Ignored,
}

/// Splits a byte stream into frames.
#[derive(Debug)]
pub struct Frames<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Start of the next line, and end of the part already searched for a line break.
    start: usize,
    searched: usize,
    /// The start of an over-long line that is being skipped.
    overlong: Option<Vec<u8>>,
    mode: Mode,
    /// For the log.
    session: Option<String>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Reads lines from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, searched: 0, overlong: None, mode: Mode::Lenient, session: None }
    }

    /// Sets the validation mode.
    #[must_use]
    pub fn checked(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Names the session in the log of refused lines.
    pub(crate) fn of(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// The next frame; `None` at the end of the input. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Errors of the underlying reader.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.buffered() {
                return Ok(Some(frame));
            }
            self.make_room();
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                // An unfinished last line is still a line.
                if self.start == self.buffer.len() && self.overlong.is_none() {
                    return Ok(None);
                }
                self.buffer.push(b'\n');
            }
        }
    }

    fn buffered(&mut self) -> Option<Frame> {
        let end = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n').map(|at| self.searched + at);
        let Some(end) = end else {
            self.searched = self.buffer.len();
            if self.searched - self.start > MAX_FRAME {
                let window = &self.buffer[self.start..self.start + ID_WINDOW];
                self.overlong.get_or_insert_with(|| window.to_vec());
                self.start = self.searched;
            }
            return None;
        };
        let line = &self.buffer[self.start..end];
        let frame = match self.overlong.take() {
            Some(head) => refused(id_in(&head), ErrorCode::INVALID_REQUEST, format!("the message is longer than {MAX_FRAME} bytes")),
            None if line.len() > MAX_FRAME => {
                refused(id_in(&line[..ID_WINDOW]), ErrorCode::INVALID_REQUEST, format!("the message is longer than {MAX_FRAME} bytes"))
            }
            None => check(line, self.mode, self.session.as_deref()),
        };
        self.start = end + 1;
        self.searched = self.start;
        Some(frame)
    }

    fn make_room(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            // Releases the memory of a large message.
            self.buffer.shrink_to(CHUNK * 2);
            (self.start, self.searched) = (0, 0);
        } else if self.start > CHUNK {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.reserve(CHUNK);
    }
}

fn refused(id: Option<RequestId>, code: ErrorCode, message: impl Into<String>) -> Frame {
    Frame::Refused(id, ErrorData::new(code, message.into(), None))
}

fn too_deep(id: Option<RequestId>) -> Frame {
    refused(id, ErrorCode::PARSE_ERROR, format!("the message is nested more than {MAX_NESTING} levels deep"))
}

/// Whether a message exceeds the maximum number of values.
pub(crate) fn is_crowded(line: &[u8]) -> bool {
    line.len() > MAX_VALUES && values(line) > MAX_VALUES
}

/// Parses one line.
pub(crate) fn parse(line: &[u8]) -> Frame {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Frame::Ignored;
    }
    if is_crowded(line) {
        let id = id_in(line);
        if nesting(line) > MAX_NESTING {
            return too_deep(id);
        }
        return refused(id, ErrorCode::INVALID_REQUEST, format!("the message has more than {MAX_VALUES} values"));
    }
    match serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line) {
        Ok(JsonRpcMessage::Request(request)) if is_huge(&request.id) => {
            refused(None, ErrorCode::INVALID_REQUEST, format!("`id` is longer than {MAX_ID} bytes"))
        }
        Ok(message) => Frame::Message(Box::new(message)),
        Err(_) => explain(line),
    }
}

/// Parses one line. Deviations from the protocol are rejected in strict mode and reported otherwise.
/// The session is named in the log.
pub(crate) fn check(line: &[u8], mode: Mode, session: Option<&str>) -> Frame {
    let frame = checked(line, mode);
    if let Frame::Refused(_, error) = &frame {
        log(line, !is_crowded(line), error, session);
    }
    frame
}

fn checked(line: &[u8], mode: Mode) -> Frame {
    let mut frame = parse(line);
    if mode == Mode::Lenient {
        if let Frame::Message(message) = &mut frame
            && let JsonRpcMessage::Request(request) = &mut **message
        {
            let odd = odd(line, mode);
            if !odd.is_empty() {
                request.request.get_meta_mut().insert(WARNINGS.to_owned(), odd.into());
            }
        }
        return frame;
    }
    let (Frame::Message(_) | Frame::Ping(_)) = &frame else { return frame };
    let odd = odd(line, mode);
    if odd.is_empty() {
        return frame;
    }
    let id = match &frame {
        Frame::Message(message) => match &**message {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            // Notifications and answers must not be answered.
            _ => return Frame::Ignored,
        },
        Frame::Ping(id) => to_id(id),
        Frame::Refused(..) | Frame::Ignored => None,
    };
    refused(id, ErrorCode::INVALID_REQUEST, format!("refused in strict mode: {}", odd.join("; ")))
}

/// Builds the error for a line that is not a valid message.
fn explain(line: &[u8]) -> Frame {
    if std::str::from_utf8(line).is_err() {
        return refused(id_in(line), ErrorCode::PARSE_ERROR, "the message is not valid UTF-8");
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(err) => return refused(id_in(line), ErrorCode::PARSE_ERROR, format!("the message is not valid JSON: {err}")),
    };
    if nesting(line) > MAX_NESTING {
        return too_deep(id_in(line));
    }
    let fields = match value {
        Value::Array(_) => return refused(None, ErrorCode::INVALID_REQUEST, "batches are not supported: send one message per line"),
        Value::Object(fields) => fields,
        _ => return refused(None, ErrorCode::INVALID_REQUEST, "a message must be a JSON object"),
    };
    if fields.get("jsonrpc").is_none()
        && let Some(frame) = bare(&fields).or_else(|| completed(&fields))
    {
        return frame;
    }
    let given_id = fields.get("id");
    let id = given_id.and_then(to_id).filter(|id| !is_huge(id));
    let is_answer = fields.contains_key("result") || fields.contains_key("error");
    if given_id.is_none() && fields.get("method").is_some_and(Value::is_string) || is_answer && !fields.contains_key("method") {
        // A malformed notification or answer must not be answered.
        return Frame::Ignored;
    }
    if given_id.is_some() && id.is_none() {
        return refused(None, ErrorCode::INVALID_REQUEST, "`id` must be a string or an integer");
    }
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refused(id, ErrorCode::INVALID_REQUEST, "`jsonrpc` must be \"2.0\"");
    }
    match fields.get("method") {
        Some(Value::String(method)) => refused(id, ErrorCode::INVALID_PARAMS, format!("invalid `params` for {}", shortened(method))),
        _ => refused(id, ErrorCode::INVALID_REQUEST, "`method` must be a string"),
    }
}

/// Non-standard shapes without `jsonrpc` that some clients send.
fn bare(fields: &serde_json::Map<String, Value>) -> Option<Frame> {
    match fields.get("type")?.as_str()? {
        "ping" => fields.get("id").cloned().filter(|id| to_id(id).is_some_and(|id| !is_huge(&id))).map(Frame::Ping),
        "notifications/cancelled" => {
            let id = fields.get("request_id").or_else(|| fields.get("requestId")).and_then(to_id)?;
            let params = CancelledNotificationParam::new(Some(id), None);
            let notification = ClientNotification::CancelledNotification(CancelledNotification::new(params));
            Some(Frame::Message(Box::new(JsonRpcMessage::notification(notification))))
        }
        _ => None,
    }
}

/// A message that lacks only `jsonrpc`. Strict mode rejects it through its oddities.
fn completed(fields: &serde_json::Map<String, Value>) -> Option<Frame> {
    let mut whole = fields.clone();
    whole.insert("jsonrpc".to_owned(), "2.0".into());
    let message: RxJsonRpcMessage<RoleServer> = serde_json::from_value(Value::Object(whole)).ok()?;
    let has_huge_id = matches!(&message, JsonRpcMessage::Request(request) if is_huge(&request.id));
    (!has_huge_id).then(|| Frame::Message(Box::new(message)))
}

/// Deviations of a message that can still be understood.
pub(crate) fn odd(line: &[u8], mode: Mode) -> Vec<String> {
    oddities(line, mode, bare_fields(line))
}

/// The fields of a bare message, and the standard fields they replace.
fn bare_fields(line: &[u8]) -> &'static [(&'static str, &'static str)] {
    let Ok(fields) = serde_json::from_slice(line) else { return &[] };
    match bare(&fields) {
        Some(Frame::Ping(_)) => &[("type", "/method")],
        Some(_) => &[("type", "/method"), ("request_id", "/params/requestId"), ("requestId", "/params/requestId")],
        None => &[],
    }
}

/// Upper bound of the number of values in JSON: containers and separators.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' | b',' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Nesting depth of valid JSON.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rmcp::model::NumberOrString;

    fn verdict(line: &str) -> String {
        match parse(line.as_bytes()) {
            Frame::Message(message) => match *message {
                JsonRpcMessage::Request(request) => format!("request {}", request.id),
                JsonRpcMessage::Notification(_) => "notification".to_owned(),
                _ => "answer".to_owned(),
            },
            Frame::Refused(id, error) => format!("{} {}", error.code.0, id.map(|id| id.to_string()).unwrap_or_default()),
            Frame::Ping(id) => format!("pong {id}"),
            Frame::Ignored => "ignored".to_owned(),
        }
    }

    #[test]
    fn every_faulty_line_has_its_answer() {
        let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{}{}}}", "[".repeat(126), "]".repeat(126));
        for (line, expect) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}"#, "request a"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/li"#, "-32700 1"),
            (deep.as_str(), "-32700 1"),
            (r#"{"jsonrpc":"2.0","id":2,"method":"x","params":{"a":["\ud800"]}}"#, "-32700 2"),
            (r#"{"jsonrpc":"2.0","id":3,"method":"x","params":{"a":1e999}}"#, "-32700 3"),
            (r#"{"jsonrpc":"2.0","id":4,"result":"\ud800"}"#, "-32700 "),
            ("[]", "-32600 "),
            ("7", "-32600 "),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "-32600 "),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "-32600 "),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}"#, "notification"),
            (r#"{"type":"ping","id":"test_123"}"#, "pong \"test_123\""),
            (r#"{"id":9,"method":"ping"}"#, "request 9"),
            (r#"{"method":"notifications/initialized"}"#, "notification"),
            (r#"{"jsonrpc":null,"id":9,"method":"ping"}"#, "-32600 9"),
            (r#"{"id":9}"#, "-32600 9"),
            (r#"{"type":"notifications/cancelled","request_id":"r1"}"#, "notification"),
            ("   ", "ignored"),
        ] {
            assert_eq!(verdict(line), expect, "{line}");
        }
    }

    #[tokio::test]
    async fn an_overlong_line_is_answered_with_its_id_and_the_next_line_is_read() {
        let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\",\"params\":\"{}\"}}\n", "x".repeat(9 << 20));
        let input = long + r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#;
        let mut frames = Frames::new(input.as_bytes());
        let first = frames.next().await;
        assert!(matches!(first, Ok(Some(Frame::Refused(Some(NumberOrString::Number(7)), _)))), "{first:?}");
        assert!(matches!(frames.next().await, Ok(Some(Frame::Message(_)))));
        assert!(matches!(frames.next().await, Ok(None)));
        assert!(frames.buffer.capacity() < 2 * MAX_FRAME);
    }

    proptest! {
        #[test]
        fn no_line_causes_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}

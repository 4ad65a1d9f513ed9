//! The id of a message that is not valid JSON, as far as it can be read.

use rmcp::model::{NumberOrString, RequestId};
use serde_json::Value;

/// Maximum length of an id that is echoed.
pub(crate) const MAX_ID: usize = 256;
/// Maximum size of an id in JSON: quoted, with every character escaped.
const LONGEST: usize = 6 * MAX_ID + 2;

/// The id of a faulty request, for its error.
///
/// Nested values are skipped by brackets and quotes alone, so errors inside them or after the id do not matter. The id
/// of an answer is not returned: it names a request of the server, and an error with that id would be mistaken for the
/// answer to a request of the client.
pub(crate) fn id_in(text: &[u8]) -> Option<RequestId> {
    let (mut id, mut has_method, mut is_answer) = (None, false, false);
    let mut fields = Fields { text, at: 0, is_begun: false };
    while let Some((key, value)) = fields.next() {
        match key.as_deref() {
            Some("id") => {
                let value = value.filter(|value| value.len() <= LONGEST);
                id = value.and_then(|value| serde_json::from_slice::<Value>(value).ok()).as_ref().and_then(to_id);
            }
            Some("method") => has_method = true,
            Some("result" | "error") => is_answer = true,
            _ => {}
        }
    }
    id.filter(|id| (has_method || !is_answer) && !is_huge(id))
}

/// Converts an id; `None` unless it is a string or an integer.
pub(crate) fn to_id(value: &Value) -> Option<RequestId> {
    match value {
        Value::String(text) => Some(NumberOrString::String(text.as_str().into())),
        Value::Number(number) => number.as_i64().map(NumberOrString::Number),
        _ => None,
    }
}

/// Whether an id is too long to be echoed.
pub(crate) fn is_huge(id: &RequestId) -> bool {
    matches!(id, NumberOrString::String(text) if text.len() > MAX_ID)
}

/// Iterates over the keys and raw values of the outermost object.
struct Fields<'a> {
    text: &'a [u8],
    at: usize,
    is_begun: bool,
}

impl<'a> Fields<'a> {
    /// The next key, `None` if it is invalid Unicode, and its value, `None` if the text ends inside it.
    fn next(&mut self) -> Option<(Option<String>, Option<&'a [u8]>)> {
        self.token(if self.is_begun { b',' } else { b'{' })?;
        self.is_begun = true;
        self.space();
        let key = self.string()?;
        self.token(b':')?;
        self.space();
        Some((serde_json::from_slice(key).ok(), self.value()))
    }

    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn token(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// The string at the current position, with its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        let mut at = from;
        (self.text.get(at) == Some(&b'"')).then_some(())?;
        loop {
            at += 1;
            match self.text.get(at)? {
                b'\\' => at += 1,
                b'"' => break,
                _ => {}
            }
        }
        self.at = at + 1;
        Some(&self.text[from..self.at])
    }

    /// The value at the current position. A value that the end of the text may have truncated ends the search.
    fn value(&mut self) -> Option<&'a [u8]> {
        let (from, mut depth) = (self.at, 0_usize);
        loop {
            let Some(byte) = self.text.get(self.at) else { break None };
            match byte {
                b'"' => {
                    if self.string().is_none() {
                        self.at = self.text.len();
                        break None;
                    }
                    if depth > 0 {
                        continue;
                    }
                    break Some(&self.text[from..self.at]);
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 1 => depth -= 1,
                b'}' | b']' if depth == 1 => {
                    self.at += 1;
                    break Some(&self.text[from..self.at]);
                }
                b',' | b'}' | b']' if depth == 0 => break Some(&self.text[from..self.at]),
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_id_of_a_request_is_found_despite_errors_elsewhere() {
        for (text, expect) in [
            (r#"{"id":1,"method":"\ud800"}"#, Some("1")),
            (r#"{"method":"x","params":{"a":[{"b":"\ud800"},"}]"]},"id":"a"}"#, Some("a")),
            (r#"{"\ud800":1,"method":"x","id":2}"#, Some("2")),
            (r#"{"method":"x","params":{"id":7,"n":1e999},"id" : 3 }"#, Some("3")),
            (r#"{"\u0069d":4,"method":"x","params":["#, Some("4")),
            (r#"{"method":"id","params":"\"id\":8","id":5}"#, Some("5")),
            (r#"{"id":6,"method":"x","result":"\ud800"}"#, Some("6")),
            // The id may be truncated, or belongs to an answer.
            (r#"{"method":"x","id":12"#, None),
            (r#"{"method":"x","id":"12"#, None),
            (r#"{"id":1,"result":"\ud800"}"#, None),
            (r#"{"id":1,"error":{"message":"\ud800"}}"#, None),
            (r#"{"id":"\ud800","method":"x"}"#, None),
            (r#"{"id":1e999,"method":"x"}"#, None),
            (r#"[{"id":1,"method":"\ud800"}]"#, None),
            (r#""id":1"#, None),
            ("", None),
        ] {
            assert_eq!(id_in(text.as_bytes()).map(|id| id.to_string()).as_deref(), expect, "{text}");
        }
        assert_eq!(id_in(b"{\"method\":\"\xff\",\"\xff\":\"\xc0\",\"id\":9}").map(|id| id.to_string()).as_deref(), Some("9"));
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = id_in(&text);
        }

        #[test]
        fn the_id_of_valid_json_is_the_parsers(id in any::<i64>(), inner in "[ -~]{0,30}", before in any::<bool>()) {
            let inner = Value::from(inner);
            let text = if before {
                format!("{{\"id\":{id},\"method\":{inner},\"params\":{{{inner}:[{inner}]}}}}")
            } else {
                format!("{{\"method\":{inner},\"params\":[{{{inner}:{inner}}}],\"id\":{id}}}")
            };
            prop_assert_eq!(id_in(text.as_bytes()), Some(RequestId::Number(id)));
        }
    }
}

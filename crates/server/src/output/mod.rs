//! Output for models: bounded, escaped, redacted, and distinct from the server's own lines.

mod cursor;
mod duration;
mod echo;
pub(crate) mod escape;
mod field;
pub(crate) mod patch;
mod plural;
mod redact;
mod row;
mod writer;

pub(crate) use cursor::{Cursor, fingerprint};
pub(crate) use duration::span;
pub(crate) use echo::Echo;
pub(crate) use escape::shell_word;
pub use escape::{escape, unescape};
pub(crate) use field::{Field, word};
pub(crate) use plural::{counted, counted_are};
pub(crate) use redact::credentials;
pub(crate) use row::Row;
pub(crate) use writer::Writer;

use crate::error::Error;
use field::whole_escapes;
use redact::{Origin, redact};
use serde_json::{Map, Value};

/// Bytes counted as one token.
pub const BYTES_PER_TOKEN: usize = 4;
/// Maximum length of a line shown whole, in bytes of repository text.
pub(crate) const MAX_LINE: usize = 2000;
/// Bytes reserved for the notes at the end of a full result.
const NOTES: usize = 1200;
/// Bytes reserved for notes added to a finished change result.
const LATER_NOTES: usize = 800;
/// Minimum size of a body, in bytes.
const LEAST_BODY: usize = 400;
/// The smallest budget, in tokens: below it the notes alone would not fit.
const LEAST_TOKENS: usize = 500;
/// Maximum length of an error message.
const MAX_MESSAGE: usize = 8000;
/// Maximum length of an error's hint.
const MAX_HINT: usize = 1000;
/// Bytes reserved for an error's structured content.
const ERROR_STATE: usize = 200;

/// The size limit of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// In bytes.
    total: Option<usize>,
}

impl Budget {
    /// At most `tokens`; 0 means no limit.
    pub(crate) fn of(tokens: usize) -> Self {
        Self { total: (tokens > 0).then(|| tokens.max(LEAST_TOKENS) * BYTES_PER_TOKEN) }
    }

    /// The budget of a call that asks for `tokens`: at most the operator's.
    pub(crate) fn lowered_to(self, tokens: usize) -> Self {
        let asked = Self::of(tokens).total;
        Self { total: [self.total, asked].into_iter().flatten().min() }
    }

    /// The budget of a call with these arguments, if the operator allows `tokens`.
    pub(crate) fn of_call(tokens: usize, args: Option<&Map<String, Value>>) -> Self {
        let asked = args.and_then(|args| args.get("max_tokens")).and_then(Value::as_u64).and_then(|asked| usize::try_from(asked).ok());
        Self::of(tokens).lowered_to(asked.unwrap_or_default())
    }

    /// The budget minus the bytes reserved for later notes.
    pub(crate) fn minus_later_notes(self) -> Self {
        Self { total: self.total.map(|total| total - LATER_NOTES) }
    }

    /// Maximum bytes of repository text in one result; `None` if unlimited.
    pub(crate) fn body(self) -> Option<usize> {
        self.total.map(|total| total.saturating_sub(NOTES).max(LEAST_BODY))
    }

    /// Maximum length of a call that a note spells out.
    fn call(self) -> usize {
        self.total.map_or(MAX_LINE * 3, |total| (total / 6).clamp(300, MAX_LINE * 3))
    }
}

/// The result of a tool.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// For the model.
    pub text: String,
    /// The complete result for programs; only if the tool has an output schema.
    pub structured: Option<Value>,
}

impl Reply {
    /// Adds one of the server's own lines to a finished result.
    pub(crate) fn say(&mut self, note: &str) {
        let note = cut_middle(note, LATER_NOTES / 2 - 50);
        let mut writer = Writer::continued(std::mem::take(&mut self.text));
        writer.say(&note);
        self.text = writer.finish().text;
    }
}

/// As [`whole_chars`], without splitting a credential, whose halves would not be recognised.
pub(crate) fn head_len(text: &[u8], limit: usize) -> usize {
    let head = whole_chars(text, limit);
    let window = &text[..text.len().min(head + 1024)];
    let cut = credentials(window).into_iter().find(|secret| secret.start < head && secret.end > head);
    cut.map_or(head, |secret| secret.start).max(1)
}

/// The longest prefix, up to `limit`, that ends with a whole character if the text is UTF-8.
pub(crate) fn whole_chars(text: &[u8], limit: usize) -> usize {
    let limit = limit.min(text.len());
    (limit.saturating_sub(3)..=limit).rev().find(|&at| text.get(at).is_none_or(|byte| byte & 0xc0 != 0x80)).unwrap_or(limit)
}

/// Escapes and redacts text. All text for a caller passes through here.
fn prepared(raw: &[u8], origin: Origin) -> (String, usize) {
    let escaped = escape(raw);
    let (hidden, count) = redact(&escaped, origin);
    match count {
        0 => (escaped, 0),
        _ => (hidden.into_owned(), count),
    }
}

/// Escapes and redacts a whole text that is bounded elsewhere.
pub(crate) fn page(raw: &[u8]) -> String {
    prepared(raw, Origin::Content).0
}

/// A bounded message for the caller. It may quote git, a remote or the configuration.
pub(crate) fn message(text: &str) -> String {
    cut_middle(&prepared(text.as_bytes(), Origin::Transport).0, MAX_MESSAGE)
}

/// A failed call's text, within its budget: the message is cut before the hint.
pub(crate) fn failure(error: &Error, budget: Budget) -> String {
    let most = budget.total.map_or(MAX_MESSAGE, |total| (total - ERROR_STATE).min(MAX_MESSAGE));
    let shown = |text: &str| prepared(text.as_bytes(), Origin::Transport).0;
    let hint = error.hint.as_deref().map(|hint| format!("\n{}", cut_middle(&shown(hint), MAX_HINT))).unwrap_or_default();
    cut_middle(&shown(&error.message), most - hint.len()) + &hint
}

/// Shortens a shown text to `most` bytes, at least some: its head, its tail, and the number of bytes left out between.
fn cut_middle(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(60);
    let head = whole_escapes(text, room - room / 3);
    let tail = text.ceil_char_boundary(text.len() - room / 3);
    format!("{} [cut: {} of {} bytes left out] {}", &text[..head], tail - head, text.len(), &text[tail..])
}

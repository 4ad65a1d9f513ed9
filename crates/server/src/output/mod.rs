//! What a model gets to see: bounded, escaped, redacted, and never mixed up with what the server says itself.

mod cursor;
pub(crate) mod escape;
pub(crate) mod patch;
mod redact;

pub(crate) use cursor::{Cursor, fingerprint};
pub use escape::{escape, unescape};
pub(crate) use redact::credentials;

use escape::OWN_LINE;
use serde_json::{Map, Value};
use std::{
    fmt::Write as _,
    hash::{BuildHasher, Hasher, RandomState},
};

/// How many bytes are counted as one token.
pub const BYTES_PER_TOKEN: usize = 4;
/// The longest line shown whole, in bytes of repository text.
pub(crate) const MAX_LINE: usize = 2000;
/// Room kept for the notes at the end of a full result.
const NOTES: usize = 1200;

/// The longest call that a note spells out.
const MAX_CALL: usize = 700;
/// The smallest budget a caller can ask for, in tokens: below it the notes alone would not fit.
const LEAST_TOKENS: usize = 500;

/// How large a result may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    tokens: Option<usize>,
}

impl Budget {
    /// `tokens` at most; 0 is no limit.
    pub(crate) fn of(tokens: usize) -> Self {
        Self { tokens: (tokens > 0).then_some(tokens) }
    }

    /// The budget of a call that asks for `tokens`: never above the operator's.
    pub(crate) fn lowered_to(self, tokens: usize) -> Self {
        match (self.tokens, tokens) {
            (own, 0) => Self { tokens: own },
            (own, asked) => Self { tokens: Some(own.map_or(asked, |own| own.min(asked.max(LEAST_TOKENS)))) },
        }
    }

    /// The most bytes of repository text in one result; `None` without a limit.
    pub(crate) fn body(self) -> Option<usize> {
        self.tokens.map(|tokens| (tokens * BYTES_PER_TOKEN).saturating_sub(NOTES).max(400))
    }
}

/// The result of a tool.
#[derive(Debug, Default)]
pub struct Reply {
    /// For the model.
    pub text: String,
    /// The same, complete, for programs; only where the tool has an output schema.
    pub structured: Option<Value>,
}

/// The call that a result answers, so that notes can name the next one exactly.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    tool: &'static str,
    args: Map<String, Value>,
}

impl Echo {
    pub(crate) fn new(tool: &'static str, args: Map<String, Value>) -> Self {
        Self { tool, args }
    }

    /// The same call with other arguments; `Null` takes one out.
    pub(crate) fn again(&self, changes: &[(&str, Value)]) -> String {
        let mut args = self.args.clone();
        for (name, value) in changes {
            match value {
                Value::Null => args.remove(*name),
                value => args.insert((*name).to_owned(), value.clone()),
            };
        }
        let call = format!("{} {}", self.tool, Value::Object(args));
        if call.len() <= MAX_CALL {
            return call;
        }
        let changes: Map<String, Value> = changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        format!("the same call with {}", Value::Object(changes))
    }

    /// Another tool's call in the same repository.
    pub(crate) fn other(&self, tool: &str, args: &[(&str, Value)]) -> String {
        let mut all = Map::new();
        all.extend(self.args.get("repo_path").map(|path| ("repo_path".to_owned(), path.clone())));
        all.extend(args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        format!("{tool} {}", Value::Object(all))
    }
}

impl Reply {
    /// Adds a line of the server's own to a result that is finished.
    pub(crate) fn say(&mut self, note: &str) {
        let mut writer = Writer::new(Budget::of(0));
        writer.text = std::mem::take(&mut self.text);
        writer.say(note);
        self.text = writer.text;
    }
}

/// Writes one result.
pub(crate) struct Writer {
    text: String,
    room: Option<usize>,
    mark: String,
    redacted: usize,
    closing: Vec<String>,
}

impl Writer {
    pub(crate) fn new(budget: Budget) -> Self {
        // Unpredictable, so that no repository can have been prepared for it.
        let random = RandomState::new().build_hasher().finish();
        Self {
            text: String::new(),
            room: budget.body(),
            mark: format!("{OWN_LINE}{:06x}", random & 0xff_ffff),
            redacted: 0,
            closing: Vec::new(),
        }
    }

    /// Bytes that still fit.
    pub(crate) fn left(&self) -> usize {
        self.room.map_or(usize::MAX, |room| room.saturating_sub(self.text.len()))
    }

    /// True when something has been written.
    pub(crate) fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// True when results are bounded.
    pub(crate) fn is_bounded(&self) -> bool {
        self.room.is_some()
    }

    /// Adds repository text if it fits whole. The first text of a result always does.
    pub(crate) fn fit(&mut self, raw: &[u8]) -> bool {
        let (shown, redacted) = prepared(raw);
        if shown.len() > self.left() && !self.text.is_empty() {
            return false;
        }
        self.text.push_str(&shown);
        self.redacted += redacted;
        true
    }

    /// Adds a line of the server's own, here and now.
    ///
    /// A `<` after the mark says that the line break before it is the server's, too, and not the text's.
    pub(crate) fn say(&mut self, note: &str) {
        let joined = !self.text.is_empty() && !self.text.ends_with('\n');
        let (note, _) = prepared(note.replace('\n', " ").as_bytes());
        let (line_break, sign) = if joined { ("\n", "<") } else { ("", "") };
        let _ = writeln!(self.text, "{line_break}{}{sign}] {note}", self.mark);
    }

    /// Adds a line of the server's own at the end of the result.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.closing.push(note.into());
    }

    /// Adds lines of repository text as long as they fit, shortening those that are too long for a model.
    ///
    /// Gives the number of bytes consumed: all of `raw`, or up to the line that did not fit. `goes_on` names the call
    /// for the rest of a shortened line, from its position in `raw` and its length. The first line always fits.
    pub(crate) fn lines(&mut self, raw: &[u8], goes_on: &mut dyn FnMut(usize, usize) -> String) -> usize {
        let mut at = 0;
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            let len = line.strip_suffix(b"\n").unwrap_or(line).len();
            if len <= MAX_LINE || !self.is_bounded() {
                if !self.fit(line) {
                    return at;
                }
            } else {
                let head = &line[..head_len(line, MAX_LINE)];
                let call = goes_on(at + head.len(), line.len() - head.len());
                if self.left() < MAX_LINE + call.len() + 100 && !self.text.is_empty() {
                    return at;
                }
                self.fit(head);
                self.say(&format!("the line above goes on for {} bytes: {call}", len - head.len()));
            }
            at += line.len();
        }
        at
    }

    /// Adds text that is escaped and redacted already, if it fits.
    pub(crate) fn fit_prepared(&mut self, text: &str) -> bool {
        if text.len() > self.left() && !self.text.is_empty() {
            return false;
        }
        self.text.push_str(text);
        true
    }

    /// Adds what stands in the place of a credential.
    pub(crate) fn hide(&mut self) {
        self.text.push_str("***");
        self.redacted += 1;
    }

    /// Adds text as long as it fits, without regard to its lines, and gives how much that was.
    pub(crate) fn pieces(&mut self, raw: &[u8]) -> usize {
        let mut at = 0;
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            let end = at + line.len();
            while at < end {
                let piece = &raw[at..end][..head_len(&raw[at..end], MAX_LINE)];
                if !self.fit(piece) {
                    return at;
                }
                at += piece.len();
            }
        }
        at
    }

    /// True when the text would fit.
    pub(crate) fn fits(&self, raw: &[u8]) -> bool {
        prepared(raw).0.len() <= self.left()
    }

    /// Counts bytes that reach the model in another form.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.room = self.room.map(|room| room.saturating_sub(bytes));
    }

    /// Adds the start of a line whatever room there is, and gives its length.
    pub(crate) fn force(&mut self, line: &[u8]) -> usize {
        // One byte becomes at most ten.
        let head = head_len(line, (self.left() / 10).max(40));
        let (shown, redacted) = prepared(&line[..head]);
        self.text.push_str(&shown);
        self.redacted += redacted;
        head
    }

    /// The state to return to when what follows does not fit.
    pub(crate) fn checkpoint(&self) -> (usize, usize) {
        (self.text.len(), self.redacted)
    }

    /// Takes back what was added since the checkpoint.
    pub(crate) fn rewind(&mut self, (len, redacted): (usize, usize)) {
        self.text.truncate(len);
        self.redacted = redacted;
    }

    pub(crate) fn finish(mut self) -> Reply {
        if self.redacted > 0 {
            let many = if self.redacted == 1 { "credential was" } else { "credentials were" };
            self.closing.push(format!("{} {many} replaced by ***", self.redacted));
        }
        for note in std::mem::take(&mut self.closing) {
            self.say(&note);
        }
        Reply { text: self.text, structured: None }
    }
}

/// As [`whole_chars`], and not within a credential: its two halves would not be recognised as one.
pub(crate) fn head_len(text: &[u8], limit: usize) -> usize {
    let head = whole_chars(text, limit);
    let window = &text[..text.len().min(head + 1024)];
    let cut = credentials(window).into_iter().find(|secret| secret.start < head && secret.end > head);
    cut.map_or(head, |secret| secret.start).max(1)
}

/// The most bytes up to `limit` that end with a whole character, where the text is UTF-8.
pub(crate) fn whole_chars(text: &[u8], limit: usize) -> usize {
    let limit = limit.min(text.len());
    (limit.saturating_sub(3)..=limit).rev().find(|&at| text.get(at).is_none_or(|byte| byte & 0xc0 != 0x80)).unwrap_or(limit)
}

/// Escapes and redacts repository text.
fn prepared(raw: &[u8]) -> (String, usize) {
    let escaped = escape(raw);
    let (hidden, count) = redact::redact(&escaped);
    match count {
        0 => (escaped, 0),
        _ => (hidden.into_owned(), count),
    }
}

/// Escapes and redacts a whole text that is bounded otherwise.
pub(crate) fn page(raw: &[u8]) -> String {
    prepared(raw).0
}

/// Escapes and redacts a short piece of repository text on one line.
pub(crate) fn inline(raw: &[u8]) -> String {
    prepared(raw).0.replace('\n', "\\u{a}")
}

/// An error message for the caller, bounded.
pub(crate) fn message(text: &str) -> String {
    const MAX: usize = 8000;
    let (mut shown, _) = prepared(text.as_bytes());
    if shown.len() > MAX {
        let end = (0..=MAX).rev().find(|&at| shown.is_char_boundary(at)).unwrap_or(0);
        shown.truncate(end);
        shown.push_str(" [...]");
    }
    shown
}

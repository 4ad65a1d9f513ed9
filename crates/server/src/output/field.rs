//! Fields: repository text in a row or in one of the server's own lines. Each is truncated at its kind's limit.

use super::{prepared, whole_chars};
use crate::output::redact::{Origin, is_url};
use git::quote;
use std::borrow::Cow;

/// The kind of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// An abbreviated id, a date, a person's name or address.
    Name,
    /// The first line of a message.
    Subject,
    /// A path, quoted as git quotes it.
    Path,
    /// A reference.
    Ref,
    /// Text from git, a hook or the configuration, which may contain URLs.
    Value,
    /// A remote's URL.
    Url,
}

/// Maximum length of a field in one of the server's own lines, in bytes.
const MAX_WORD: usize = 400;
/// Bytes read beyond a cut, to recognise a secret that crosses it.
const AHEAD: usize = 16 << 10;
/// Maximum length of an escape sequence or an octal byte of a quoted path.
const MAX_ESCAPE: usize = 12;

impl Field {
    /// Maximum length as shown, in bytes.
    pub(super) const fn limit(self) -> usize {
        match self {
            Self::Name => 200,
            Self::Subject => 400,
            Self::Value | Self::Url => 2000,
            Self::Path | Self::Ref => 4096,
        }
    }

    /// Maximum length read: a field this long may be longer still.
    const fn read(self) -> usize {
        match self {
            Self::Name | Self::Value | Self::Url => git::MAX_FIELD,
            Self::Subject => git::MAX_SUBJECT,
            Self::Path | Self::Ref => usize::MAX,
        }
    }

    fn origin(self, text: &str) -> Origin {
        match self {
            Self::Name | Self::Subject | Self::Path | Self::Ref => Origin::Content,
            Self::Value if !is_url(text) => Origin::Transport,
            Self::Value | Self::Url => Origin::Address,
        }
    }
}

/// A field as shown: on one line, escaped and redacted.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) redacted: usize,
    /// The field's size, if it is truncated.
    pub(super) cut: Option<Size>,
}

/// The size of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: usize,
    /// Whether the field may be longer than was read.
    pub(super) at_least: bool,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{} bytes", if self.at_least { "at least " } else { "" }, self.bytes)
    }
}

/// Shows at most `limit` bytes of `raw`.
pub(super) fn show(kind: Field, raw: &[u8], limit: usize) -> Shown {
    let start = &raw[..whole_chars(raw, limit.saturating_add(AHEAD))];
    let text = if kind == Field::Path { Cow::Owned(quote::listed(start).into_bytes()) } else { Cow::Borrowed(start) };
    let (text, redacted) = prepared(&text, kind.origin(&String::from_utf8_lossy(start)));
    // A field takes one line.
    let mut text = text.replace('\n', "\\u{a}").replace('\r', "\\u{d}");
    let at_least = raw.len() >= kind.read();
    let cut = (text.len() > limit || start.len() < raw.len() || at_least).then_some(Size { bytes: raw.len(), at_least });
    text.truncate(whole_escapes(&text, limit));
    Shown { text, redacted, cut }
}

/// The longest prefix of a shown text, up to `limit`, that splits neither a character nor an escape sequence.
pub(super) fn whole_escapes(text: &str, limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let end = text.floor_char_boundary(limit);
    let from = text.floor_char_boundary(end.saturating_sub(MAX_ESCAPE));
    let Some(at) = text[from..end].rfind('\\').map(|at| from + at) else { return end };
    let sequence = &text[at..];
    let len = match sequence.as_bytes().get(1) {
        Some(b'u' | b'x') if sequence.as_bytes().get(2) == Some(&b'{') => sequence.find('}').map_or(1, |close| close + 1),
        Some(b'0'..=b'3') => 4,
        _ => 2,
    };
    if at + len > end { at } else { end }
}

/// A field inside one of the server's own lines, such as a note. `whole` names where to find all of it if truncated.
pub(crate) fn word(kind: Field, raw: impl AsRef<[u8]>, whole: &str) -> String {
    let Shown { mut text, cut, .. } = show(kind, raw.as_ref(), kind.limit().min(MAX_WORD));
    if let Some(size) = cut {
        let shown = text.len();
        text.extend([" [cut: ", &shown.to_string(), " of ", &size.to_string(), ". Whole: ", whole, "]"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::unescape;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_cut_at_its_limit_with_a_note() {
        let long = "x".repeat(10_000);
        for kind in [Field::Name, Field::Subject, Field::Path, Field::Ref, Field::Value, Field::Url] {
            let shown = show(kind, long.as_bytes(), kind.limit());
            assert_eq!((shown.text.len(), shown.cut.map(|size| size.bytes)), (kind.limit(), Some(10_000)));
            let shown = show(kind, &long.as_bytes()[..200], kind.limit());
            assert_eq!((shown.text.len(), shown.cut), (200, None));
        }
        assert_eq!(word(Field::Name, &long[..300], "git_x"), format!("{} [cut: 200 of 300 bytes. Whole: git_x]", &long[..200]));
        assert_eq!(word(Field::Name, "a\r\nb", ""), "a\\u{d}\\u{a}b");
    }

    #[test]
    fn a_cut_shows_no_part_of_a_secret() {
        let url = |len: usize| format!("https://{}user:SECRET@host/x?token=SECRET", "u".repeat(len));
        for limit in 1..60 {
            for len in 0..30 {
                let shown = show(Field::Url, url(len).as_bytes(), limit);
                assert!(!shown.text.contains('S'), "{}", shown.text);
            }
        }
    }

    proptest! {
        #[test]
        fn a_cut_is_never_within_a_character_or_an_escape(bytes in proptest::collection::vec(any::<u8>(), 0..60), limit in 0_usize..80) {
            let all = show(Field::Ref, &bytes, usize::MAX).text;
            let shown = show(Field::Ref, &bytes, limit);
            prop_assert!(shown.text.len() <= limit && all.starts_with(&shown.text));
            prop_assert_eq!(shown.cut.is_some(), shown.text.len() < all.len());
            prop_assert!(unescape(&all).starts_with(&unescape(&shown.text)));
        }
    }
}

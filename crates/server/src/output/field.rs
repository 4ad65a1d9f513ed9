//! Fields: text of a repository in a row, or in a line of the server's own. Each is cut at the length of its kind.

use super::{prepared, whole_chars};
use crate::output::redact::{Origin, is_url};
use git::quote;
use std::borrow::Cow;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// An abbreviated id, a date, somebody's name or address.
    Name,
    /// The first line of a message.
    Subject,
    /// A path, as git quotes it.
    Path,
    /// A reference.
    Ref,
    /// Words of git's, of a hook or of the configuration, which may name addresses.
    Value,
    /// The address of a remote.
    Url,
}

/// The longest field in a line of the server's own, in bytes.
const MAX_WORD: usize = 400;
/// Bytes that are read beyond a cut, so that a secret there is recognised.
const AHEAD: usize = 16 << 10;
/// The longest escape sequence, and the longest octal byte of a quoted path.
const MAX_ESCAPE: usize = 12;

impl Field {
    /// Where it is cut, in bytes as shown.
    pub(super) const fn limit(self) -> usize {
        match self {
            Self::Name => 200,
            Self::Subject => 400,
            Self::Value | Self::Url => 2000,
            Self::Path | Self::Ref => 4096,
        }
    }

    /// At this length the field may be longer than what was read of it.
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

/// A field as it is shown: on one line, escaped, cleared of secrets.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) redacted: usize,
    /// Its size, where this is not all of it.
    pub(super) cut: Option<Size>,
}

/// How much there is of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: usize,
    /// There may be more, which was not read.
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
    // It stands on one line.
    let mut text = text.replace('\n', "\\u{a}").replace('\r', "\\u{d}");
    let at_least = raw.len() >= kind.read();
    let cut = (text.len() > limit || start.len() < raw.len() || at_least).then_some(Size { bytes: raw.len(), at_least });
    text.truncate(whole_escapes(&text, limit));
    Shown { text, redacted, cut }
}

/// The most bytes up to `limit` of a shown text that end neither within a character nor within an escape sequence.
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

/// A field inside a line of the server's own, such as a note. `whole` says where all of it is found, should it be cut.
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
    fn a_field_is_cut_at_its_length_and_says_so() {
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
    fn a_cut_shows_no_half_of_a_secret() {
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

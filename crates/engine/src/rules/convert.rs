//! Conversion between the working tree and git's objects: line ends, `ident`, `working-tree-encoding`.

use super::{
    attributes::Value,
    encoding::Encoding,
    lines::{self, Lines},
};
use crate::{Error, Result};
use memchr::memchr;
use std::borrow::Cow;

/// `core.autocrlf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoCrlf {
    /// `false`, and the default.
    #[default]
    No,
    /// `true`.
    Yes,
    /// `input`.
    Input,
}

/// Settings that conversion depends on.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `core.autocrlf`.
    pub auto_crlf: AutoCrlf,
    /// Whether `core.eol` is `crlf`. Here its native value is `lf`, as for git on this system.
    pub eol_is_crlf: bool,
    /// The drivers with any setting `filter.<driver>.*`. The attribute `filter` has no effect for others.
    pub filters: Vec<Vec<u8>>,
}

/// What happens to line ends. In the variants, the end in the working tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Kept,
    /// In every file.
    Text {
        crlf: bool,
    },
    /// In files that look like text.
    Auto {
        crlf: bool,
    },
}

/// The conversion of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    ends: Ends,
    ident: bool,
    encoding: Option<Encoding>,
    filter: Option<Vec<u8>>,
}

impl Conversion {
    /// The attributes that it depends on.
    pub const NAMES: [&str; 6] = ["text", "crlf", "eol", "ident", "filter", "working-tree-encoding"];

    /// The conversion of a file with these values of [`Self::NAMES`].
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for other encodings than Unicode's.
    pub fn of([text, crlf, eol, ident, filter, encoding]: &[Value; 6], settings: &Settings) -> Result<Self> {
        let filter = match filter {
            Value::Text(name) if settings.filters.iter().any(|known| **known == **name) => Some(name.to_vec()),
            _ => None,
        };
        let encoding = match encoding {
            Value::Unspecified => None,
            Value::Text(name) => Encoding::named(name)?,
            Value::Set | Value::Unset => return Err(Error::Unsupported("a working-tree-encoding without a name")),
        };
        Ok(Self { ends: Ends::of([text, crlf, eol], settings), ident: *ident == Value::Set, encoding, filter })
    }

    /// Whether it changes no content, in either direction.
    pub fn is_identity(&self) -> bool {
        self.ends == Ends::Kept && !self.ident && self.encoding.is_none() && self.filter.is_none()
    }

    /// The driver whose commands filter the content.
    pub fn filter(&self) -> Option<&[u8]> {
        self.filter.as_deref()
    }

    /// What git stores for `content` of the working tree.
    ///
    /// `index_blob` reads the blob of the path's index entry; in a conflict, that of stage 2. It is asked only when line
    /// ends depend on it: if the blob has CRLF, git leaves the file alone.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a filter, and for content that is invalid in its encoding.
    pub fn to_git<'a>(&self, mut content: Cow<'a, [u8]>, index_blob: impl FnOnce() -> Result<Option<Vec<u8>>>) -> Result<Cow<'a, [u8]>> {
        self.refuse_filter()?;
        if let Some(encoding) = self.encoding
            && !content.is_empty()
        {
            content = Cow::Owned(encoding.decode(&content)?);
        }
        let converts = match self.ends {
            Ends::Kept => false,
            Ends::Text { .. } => lines::has_crlf(&content),
            Ends::Auto { .. } => {
                lines::has_crlf(&content) && !Lines::of(&content).is_binary && !index_blob()?.is_some_and(|blob| keeps_crlf(&blob))
            }
        };
        if converts {
            content = Cow::Owned(lines::to_lf(&content));
        }
        if self.ident && has_ident(&content) {
            content = Cow::Owned(collapse_ident(&content));
        }
        Ok(content)
    }

    /// What a checkout writes for the content of a blob, whose id is `id` in hexadecimal.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a filter, for content that is no UTF-8 and has an encoding, and for odd keywords.
    pub fn to_worktree<'a>(&self, mut content: Cow<'a, [u8]>, id: &str) -> Result<Cow<'a, [u8]>> {
        self.refuse_filter()?;
        if self.ident
            && let Some(expanded) = expand_ident(&content, id)?
        {
            content = Cow::Owned(expanded);
        }
        let converts = match self.ends {
            Ends::Text { crlf: true } => true,
            Ends::Auto { crlf: true } => {
                let found = Lines::of(&content);
                !found.has_crlf && !found.is_binary
            }
            _ => false,
        };
        if converts && content.contains(&b'\n') {
            content = Cow::Owned(lines::to_crlf(&content));
        }
        match self.encoding {
            Some(encoding) if !content.is_empty() => Ok(Cow::Owned(encoding.encode(&content)?)),
            _ => Ok(content),
        }
    }

    fn refuse_filter(&self) -> Result<()> {
        if self.filter.is_some() { Err(Error::Unsupported("a filter")) } else { Ok(()) }
    }
}

impl Ends {
    fn of([text, crlf, eol]: [&Value; 3], settings: &Settings) -> Self {
        let auto = settings.auto_crlf;
        let by_settings = auto == AutoCrlf::Yes || (auto == AutoCrlf::No && settings.eol_is_crlf);
        let of = |value: &Value| match value {
            Value::Set => Some(Self::Text { crlf: by_settings }),
            Value::Unset => Some(Self::Kept),
            Value::Text(name) if **name == *b"input" => Some(Self::Text { crlf: false }),
            Value::Text(name) if **name == *b"auto" => Some(Self::Auto { crlf: by_settings }),
            Value::Text(_) | Value::Unspecified => None,
        };
        let by_attribute = of(text).or_else(|| of(crlf));
        let end = match eol {
            Value::Text(name) if **name == *b"lf" => Some(false),
            Value::Text(name) if **name == *b"crlf" => Some(true),
            _ => None,
        };
        match (by_attribute, end) {
            (Some(Self::Kept), _) => Self::Kept,
            (Some(Self::Auto { .. }), Some(crlf)) => Self::Auto { crlf },
            (_, Some(crlf)) => Self::Text { crlf },
            (Some(ends), None) => ends,
            (None, None) if auto == AutoCrlf::No => Self::Kept,
            (None, None) => Self::Auto { crlf: auto == AutoCrlf::Yes },
        }
    }
}

/// Whether a blob of the index keeps git from normalising its file.
fn keeps_crlf(blob: &[u8]) -> bool {
    lines::has_crlf(blob) && !Lines::of(blob).is_binary
}

/// Whether `content` has a keyword `$Id$`, expanded or not.
fn has_ident(mut content: &[u8]) -> bool {
    while let Some(at) = memchr(b'$', content) {
        content = content.get(at + 1..).unwrap_or_default();
        match content {
            [b'I', b'd', b'$', ..] => return true,
            [b'I', b'd', b':', rest @ ..] => {
                let end = rest.iter().position(|byte| matches!(byte, b'$' | b'\n'));
                let Some((end, byte)) = end.and_then(|end| Some((end, rest.get(end)?))) else { return false };
                if *byte == b'$' {
                    return true;
                }
                content = rest.get(end + 1..).unwrap_or_default();
            }
            // git skips a byte behind `Id`.
            [b'I', b'd', _, rest @ ..] => content = rest,
            _ => {}
        }
    }
    false
}

/// Replaces each `$Id: …$` by `$Id$`.
fn collapse_ident(mut content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    while let Some(at) = memchr(b'$', content) {
        let (before, rest) = content.split_at(at + 1);
        out.extend_from_slice(before);
        content = rest;
        if let Some(keyword) = rest.strip_prefix(b"Id:").filter(|keyword| !keyword.is_empty()) {
            let Some(end) = memchr(b'$', keyword) else { break };
            let (text, behind) = keyword.split_at(end);
            if !text.contains(&b'\n') {
                out.extend_from_slice(b"Id$");
                content = behind.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(content);
    out
}

/// Replaces each `$Id$` and each `$Id: …$` that git could have written by the keyword with `id`; `None` if there is none.
///
/// git has two implementations, for streams and for memory, which disagree on odd keywords.
fn expand_ident(content: &[u8], id: &str) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let mut rest = content;
    while let Some(at) = rest.windows(3).position(|window| window == b"$Id") {
        let (before, keyword) = rest.split_at(at);
        let keyword = keyword.get(3..).unwrap_or_default();
        let length = keyword_end(keyword).filter(|_| !before.ends_with(b"$") && !before.ends_with(b"$I"));
        let Some(length) = length else { return Err(Error::Unsupported("an odd $Id$ keyword")) };
        out.extend_from_slice(before);
        out.extend_from_slice(format!("$Id: {id} $").as_bytes());
        rest = keyword.get(length..).unwrap_or_default();
    }
    if rest.len() == content.len() {
        return Ok(None);
    }
    out.extend_from_slice(rest);
    Ok(Some(out))
}

/// The length of a keyword's rest behind `$Id`, if it is `$`, `:$`, or `: word $`.
fn keyword_end(keyword: &[u8]) -> Option<usize> {
    let end = memchr(b'$', keyword)?;
    let text = keyword.get(..end)?;
    let word = match text {
        [] | [b':'] => &[],
        [b':', b' ', word @ ..] => word.strip_suffix(b" ").unwrap_or(word),
        _ => return None,
    };
    (!word.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n'))).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The conversion with `text`, `ident` and `working-tree-encoding` of these values.
    fn conversion(text: Value, ident: Value, encoding: &[u8], settings: &Settings) -> Result<Conversion> {
        let none = || Value::Unspecified;
        Conversion::of(&[text, none(), none(), ident, none(), Value::Text(encoding.into())], settings)
    }

    #[test]
    fn what_only_git_converts_is_unsupported() -> Result<()> {
        let settings = Settings { filters: vec![b"lfs".to_vec()], ..Settings::default() };
        let filter = |name: &[u8]| {
            let mut values = [const { Value::Unspecified }; 6];
            values[4] = Value::Text(name.into());
            Conversion::of(&values, &settings)
        };
        assert!(filter(b"other")?.is_identity());
        assert_eq!(filter(b"lfs")?.filter(), Some(&b"lfs"[..]));
        assert!(!filter(b"lfs")?.is_identity());
        assert!(filter(b"lfs")?.to_git(Cow::Borrowed(b"a"), || Ok(None)).is_err());
        assert!(filter(b"lfs")?.to_worktree(Cow::Borrowed(b"a"), "").is_err());
        for name in [&b"latin-1"[..], b"UTF-16BE-BOM", b"UTF-7", b"utf16"] {
            assert!(matches!(conversion(Value::Unset, Value::Unset, name, &settings), Err(Error::Unsupported(_))));
        }
        for (name, content) in [
            (&b"UTF-16"[..], &b"a\0"[..]),
            (b"UTF-16LE", b"\xff\xfea\0"),
            (b"UTF-16LE", b"a"),
            (b"UTF-16LE", b"\0\xd8a\0"),
            (b"UTF-16BE", b"\xdc\0"),
            (b"UTF-32LE", b"\0\0\x11\0"),
            (b"UTF-32BE", b"\0\0\xd8\0"),
            (b"UTF-32", b"a\0\0\0"),
        ] {
            let conversion = conversion(Value::Unset, Value::Unset, name, &settings)?;
            assert!(conversion.to_git(Cow::Borrowed(content), || Ok(None)).is_err(), "{name:?} {content:?}");
        }
        Ok(())
    }

    #[test]
    fn odd_keywords_are_not_expanded() {
        let expanded =
            |text: &str| expand_ident(text.as_bytes(), "1").ok().flatten().map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(expanded("a$Id$b$Id: x $$Id: $"), Some("a$Id: 1 $b$Id: 1 $$Id: 1 $".to_owned()));
        assert!(expand_ident(b"$ $$ $I", "1").is_ok_and(|expanded| expanded.is_none()));
        for odd in ["$$Id$", "$I$Id$", "$Idx$Id$", "$Id: a b $", "$Id:\n$", "$Id", "$Id: a\tb $", "$Id:x$"] {
            assert!(expand_ident(odd.as_bytes(), "1").is_err(), "{odd}");
        }
    }

    #[test]
    fn the_index_is_asked_only_when_line_ends_depend_on_it() -> Result<()> {
        let settings = Settings { auto_crlf: AutoCrlf::Input, ..Settings::default() };
        let auto = Conversion::of(&[const { Value::Unspecified }; 6], &settings)?;
        let ask = |content: &'static [u8], blob: Option<&'static [u8]>| {
            let converted = auto.to_git(Cow::Borrowed(content), || blob.map(|blob| Some(blob.to_vec())).ok_or(Error::Stopped));
            converted.map(Cow::into_owned)
        };
        assert_eq!(ask(b"a\n", None)?, b"a\n");
        assert_eq!(ask(b"a\r\n\0", None)?, b"a\r\n\0");
        assert_eq!(ask(b"a\r\n", Some(b"b\n"))?, b"a\n");
        assert_eq!(ask(b"a\r\n", Some(b"b\r\n"))?, b"a\r\n");
        assert!(ask(b"a\r\n", None).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>, at in 0..4_usize) {
            let encoding = [&b""[..], b"UTF-16", b"UTF-16LE-BOM", b"UTF-32BE"][at];
            let text = Value::Text(b"auto"[..].into());
            let conversion = conversion(text, Value::Set, encoding, &Settings { auto_crlf: AutoCrlf::Yes, ..Settings::default() }).unwrap();
            let _ = conversion.to_git(Cow::Borrowed(&content), || Ok(Some(content.clone())));
            let _ = conversion.to_worktree(Cow::Borrowed(&content), "1");
        }

        /// Valid text survives the way to the working tree and back.
        #[test]
        fn encodings_round_trip(text: String, at in 0..7_usize) {
            let name = [&b"UTF-16"[..], b"UTF-16BE", b"UTF-16LE", b"UTF-16LE-BOM", b"UTF-32", b"UTF-32BE", b"UTF-32LE"][at];
            prop_assume!(!text.starts_with('\u{feff}'));
            let conversion = conversion(Value::Unset, Value::Unset, name, &Settings::default()).unwrap();
            let written = conversion.to_worktree(Cow::Borrowed(text.as_bytes()), "").unwrap();
            prop_assert_eq!(&*conversion.to_git(written, || Ok(None)).unwrap(), text.as_bytes());
        }
    }
}

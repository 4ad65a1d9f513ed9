//! One pattern of an ignore or attributes file, with fast paths for the usual forms.

use super::glob::{Glob, Mode};

/// A parsed pattern, relative to the directory of its file.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Starts with `!`.
    pub(super) negated: bool,
    /// Reads differently since git 2.52; here as in older versions.
    pub(super) is_ambiguous: bool,
    /// Ends in a slash: matches directories only.
    folders_only: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Matches nothing.
    Never,
    /// A name in any directory.
    Name(Box<[u8]>),
    /// `*` and the end of a name, in any directory.
    Suffix(Box<[u8]>),
    /// Wildcards for a name, in any directory.
    NameGlob(Glob),
    /// A path from the directory of the file.
    Path(Box<[u8]>),
    /// The literal start of such a path, and wildcards for the rest.
    PathGlob(Box<[u8]>, Glob),
}

/// The path that patterns are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// From the top of the working tree, without a slash at its end.
    pub(super) path: &'a [u8],
    /// Its last component.
    pub(super) name: &'a [u8],
    pub(super) is_folder: bool,
}

impl Pattern {
    /// Parses a pattern without its line end. Never fails: a malformed pattern matches nothing.
    pub(super) fn parse(text: &[u8], fold: bool) -> Self {
        let (negated, text) = text.strip_prefix(b"!").map_or((false, text), |rest| (true, rest));
        let (folders_only, text) = text.strip_suffix(b"/").map_or((false, text), |rest| (true, rest));
        Self { negated, folders_only, is_ambiguous: is_ambiguous(text), form: Form::parse(text, fold) }
    }

    /// The byte that each path ends in that matches; `None` if there are several.
    pub(super) fn last_byte(&self) -> Option<u8> {
        match &self.form {
            Form::Never => None,
            Form::Name(text) | Form::Suffix(text) | Form::Path(text) => text.last().copied(),
            Form::NameGlob(glob) | Form::PathGlob(_, glob) => glob.last_byte(),
        }
    }

    /// Whether the pattern of a file in the directory whose path, with its slash, takes `base` bytes matches.
    pub(super) fn matches(&self, subject: Subject<'_>, base: usize, fold: bool) -> bool {
        if self.folders_only && !subject.is_folder {
            return false;
        }
        match &self.form {
            Form::Never => false,
            Form::Name(name) => same(name, subject.name, fold),
            Form::Suffix(suffix) => {
                let end = subject.name.len().checked_sub(suffix.len()).and_then(|from| subject.name.get(from..));
                end.is_some_and(|end| same(suffix, end, fold))
            }
            Form::NameGlob(glob) => glob.matches(subject.name),
            Form::Path(path) => subject.path.get(base..).is_some_and(|relative| same(path, relative, fold)),
            Form::PathGlob(start, glob) => {
                let relative = subject.path.get(base..).and_then(|relative| relative.split_at_checked(start.len()));
                relative.is_some_and(|(found, rest)| same(start, found, fold) && glob.matches(rest))
            }
        }
    }
}

impl Form {
    fn parse(text: &[u8], fold: bool) -> Self {
        if !text.contains(&b'/') {
            return match text {
                [] => Self::Never,
                [b'*', rest @ ..] if !rest.iter().copied().any(is_special) => Self::Suffix(rest.into()),
                _ if !text.iter().copied().any(is_special) => Self::Name(text.into()),
                _ => Glob::new(text, Mode { paths: false, fold }).map_or(Self::Never, Self::NameGlob),
            };
        }
        let text = text.strip_prefix(b"/").unwrap_or(text);
        let Some(special) = text.iter().copied().position(is_special) else { return Self::Path(text.into()) };
        let (start, rest) = text.split_at(special);
        // git compiles only what follows the literal start: `a**/b` reads as `**/b` there, and matches `ab`. Since 2.52 it
        // does not: `is_ambiguous`.
        Glob::new(rest, Mode { paths: true, fold }).map_or(Self::Never, |glob| Self::PathGlob(start.into(), glob))
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// Whether a double star follows the literal start of a path, and no slash is between them.
fn is_ambiguous(text: &[u8]) -> bool {
    let Some(special) = text.iter().copied().position(is_special) else { return false };
    let (start, rest) = text.split_at(special);
    let count = rest.iter().take_while(|&&byte| byte == b'*').count();
    let behind = rest.get(count..).unwrap_or_default();
    let is_whole = behind.is_empty() || behind.starts_with(b"/") || behind.starts_with(b"\\/");
    text.contains(&b'/') && !start.is_empty() && !start.ends_with(b"/") && count > 1 && is_whole
}

fn same(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    if fold { pattern.eq_ignore_ascii_case(text) } else { pattern == text }
}

/// The text up to a NUL: git reads lines as C strings.
pub(super) fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

//! Validated names: revisions, branch names, paths inside a working tree.

use crate::{
    date,
    error::{Error, Result},
    quote,
};
use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Component, Path},
};

const MAX_LEN: usize = 4096;
/// The pathspec prefix that makes git match the path literally. git runs at the top of the working tree; with `top`, git
/// 2.47.3 uses no Bloom filters (`findings/git_top_magic_ignores_bloom_filters.sh`).
pub(crate) const LITERAL: &[u8] = b":(literal)";

/// A revision as a caller writes it: not an option, one line, no NUL.
///
/// It must be resolved to an object id before it is passed to git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rev(String);

impl Rev {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] for text that git could read as an option, or that no revision can contain.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > MAX_LEN {
            "it is too long"
        } else if text.starts_with('-') {
            "it starts with `-`"
        } else if text.chars().any(char::is_control) {
            "it contains a control character"
        } else if is_set(&text) {
            "it names a set of commits; use a range such as REV~1..REV"
        } else {
            return Ok(Self(with_date(&text)?.unwrap_or(text)));
        };
        Err(Error::bad_name(text, "a revision", why))
    }

    /// The current commit.
    pub fn head() -> Self {
        Self("HEAD".to_owned())
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits `a..b` and `a...b`. The ends default to `HEAD`, as in git.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] when one end cannot be a revision.
    pub fn range(&self) -> Result<Option<Range>> {
        // `rev:path` may contain dots after the colon.
        let scope = self.0.split(':').next().unwrap_or_default();
        let Some(at) = scope.find("..") else { return Ok(None) };
        let (from, rest) = self.0.split_at(at);
        let symmetric = rest.starts_with("...");
        let to = &rest[if symmetric { 3 } else { 2 }..];
        let end = |text: &str| if text.is_empty() { Ok(Self::head()) } else { Self::new(text) };
        Ok(Some(Range { from: end(from)?, to: end(to)?, symmetric }))
    }

    /// Splits `rev:path`.
    pub fn path(&self) -> Option<(Self, &str)> {
        if self.0.starts_with(':') {
            return None;
        }
        // A colon inside `@{…}` or `^{/…}` does not separate.
        let mut depth = 0_u32;
        for (at, byte) in self.0.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                b':' if depth == 0 => return Some((Self(self.0[..at].to_owned()), &self.0[at + 1..])),
                _ => {}
            }
        }
        None
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `main@{DATE}` with an unambiguous date; `None` if it contains no date.
fn with_date(text: &str) -> Result<Option<String>> {
    let Some((name, rest)) = text.split_once("@{") else { return Ok(None) };
    let Some((selector, rest)) = rest.split_once('}') else { return Ok(None) };
    let digits = selector.strip_prefix('-').unwrap_or(selector);
    let is_other = digits.bytes().all(|byte| byte.is_ascii_digit())
        || ["u", "upstream", "push"].iter().any(|word| selector.eq_ignore_ascii_case(word))
        // A message search, or a path.
        || name.contains("^{")
        || name.contains(':');
    if is_other { Ok(None) } else { Ok(Some(format!("{name}@{{{}}}{rest}", date::for_git(selector)?))) }
}

/// Whether `text` names a set of commits: `^REV`, `REV^!`, `REV^@` or `REV^-N`.
fn is_set(text: &str) -> bool {
    let parents = text.rsplit_once("^-").is_some_and(|(_, rest)| rest.bytes().all(|byte| byte.is_ascii_digit()));
    text.starts_with('^') || text.ends_with("^!") || text.ends_with("^@") || parents
}

/// A revision range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The excluded end.
    pub from: Rev,
    /// The included end.
    pub to: Rev,
    /// Whether it is symmetric: `a...b`.
    pub symmetric: bool,
}

/// A short branch name that git accepts: `feature/x`, not `refs/heads/feature/x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchName(String);

impl BranchName {
    /// Checks `text` with git's rules for branch names.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if `git check-ref-format --branch` would refuse it.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let full = format!("refs/heads/{text}");
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > 1024 {
            "it is too long"
        } else if text.starts_with('-') {
            "it starts with `-`"
        } else if text == "HEAD" || text == "@" {
            "the name is reserved"
        } else if gix::validate::reference::name(full.as_str().into()).is_err() {
            "git does not allow such a branch name"
        } else {
            return Ok(Self(text));
        };
        Err(Error::bad_name(text, "a branch name", why))
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full reference name.
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

/// A name that means more than one reference, or a reference and an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// The name as given.
    pub name: String,
    /// The full name of the reference that was taken.
    pub taken: String,
    /// The other references, and the id of an object that the name abbreviates.
    pub others: Vec<String>,
    /// Whether the full name stands for the same. Not for a checkout: git checks out a branch by its short name alone.
    pub full_name_helps: bool,
}

/// Checks a full reference name with git's rules.
pub(crate) fn check_ref(full: &str) -> Result<()> {
    match gix::validate::reference::name(full.into()) {
        Ok(_) if full.len() <= 1024 => Ok(()),
        _ => Err(Error::bad_name(full, "a reference", "git does not allow such a name")),
    }
}

/// The short name of a tag: `v1.0`, not `refs/tags/v1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagName(String);

impl TagName {
    /// Checks `text` with git's rules.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if git would refuse it, and for `HEAD`, which git accepts but then finds ambiguous.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.starts_with('-') || text == "HEAD" || check_ref(&format!("refs/tags/{text}")).is_err() {
            return Err(Error::bad_name(text, "a tag name", "git does not allow such a name"));
        }
        Ok(Self(text))
    }

    /// The short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full reference name.
    pub fn full(&self) -> String {
        format!("refs/tags/{}", self.0)
    }
}

/// A path inside a working tree or tree, relative to its top, with `/` between components.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// Checks a caller's path: relative to `worktree`, or absolute and inside it.
    ///
    /// A path in double quotes is unquoted as git does, so that callers can send back any listed path.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] for an empty path, one that leaves the working tree or names its `.git`, and one with a NUL
    /// or an unquoted line break.
    pub fn new(text: &str, worktree: Option<&Path>) -> Result<Self> {
        let bad = |why| Err(Error::bad_name(text, "a path", why));
        let bytes = match quote::unquoted(text.as_bytes()) {
            Some(bytes) => bytes,
            None if text.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) => {
                return bad("it contains a line break; quote it as git does");
            }
            None => text.as_bytes().to_vec(),
        };
        if bytes.is_empty() {
            return bad("it is empty; use `.` for everything");
        }
        if bytes.len() > MAX_LEN || bytes.contains(&0) {
            return bad("it is too long or contains a NUL");
        }
        let path = Path::new(OsStr::from_bytes(&bytes));
        let path = if path.is_absolute() {
            match worktree.and_then(|top| path.strip_prefix(top).ok()) {
                Some(inside) => inside,
                None => return bad("it is outside the repository"),
            }
        } else {
            path
        };
        let mut clean = Vec::with_capacity(bytes.len());
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) if is_git_dir(name.as_bytes()) => return bad("it names the repository's .git"),
                Component::Normal(name) => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(name.as_bytes());
                }
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return bad("it leaves the repository");
                }
            }
        }
        Ok(Self(clean))
    }

    /// A path as git listed it.
    pub(crate) fn from_git(path: &[u8]) -> Self {
        Self(path.to_vec())
    }

    /// The path of a file named in a patch: it came from git and is only passed back to git.
    pub fn from_patch(path: &[u8]) -> Self {
        Self::from_git(path)
    }

    /// The bytes; empty for the top itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for a git process; `.` for the top itself.
    pub fn pathspec(&self) -> &[u8] {
        if self.0.is_empty() { b"." } else { &self.0 }
    }

    /// The path as a literal pathspec, relative to the top. There, git reads `.` as a file name.
    pub(crate) fn literal(&self) -> OsString {
        OsString::from_vec([LITERAL, self.as_bytes()].concat())
    }

    /// The path for the file system.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &[u8]) -> bool {
        self.0.is_empty() || other.strip_prefix(self.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote::listed(self.pathspec()))
    }
}

/// Whether some file system resolves `name` to `.git`.
fn is_git_dir(name: &[u8]) -> bool {
    let name = name.split(|&byte| byte == b':').next().unwrap_or(name);
    let name = name.trim_ascii_end();
    let name = match name.iter().rposition(|&byte| byte != b'.') {
        Some(last) => &name[..=last],
        None => name,
    };
    name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
}

/// The name of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteName(String);

impl RemoteName {
    /// Checks `text` with git's rules.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let bad = |why| Err(Error::bad_name(text.clone(), "the name of a remote", why));
        if text.starts_with(['-', '.', '/']) || text.contains(':') {
            return bad("it begins with `-`, `.` or `/` or has a colon");
        }
        if check_ref(&format!("refs/remotes/{text}/x")).is_err() {
            return bad("git does not allow such a name");
        }
        Ok(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The destination of a transfer: a configured remote, or a URL from a branch's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A remote.
    Remote(RemoteName),
    /// A URL.
    Url(String),
}

impl Place {
    /// The argument for git.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Remote(name) => name.as_str(),
            Self::Url(url) => url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ambiguous_names_are_refused() {
        for bad in ["", "-x", "--output=f", "a\nb", "a\0b", "^a", "a^!", "a^@", "a^-", "a^-2"] {
            assert!(Rev::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "-x", "@{-1}", "a..b", "a b", "x.lock", "HEAD", "@", "a\n"] {
            assert!(BranchName::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "..", "a/../../b", "/etc/passwd", ".git/config", "sub/.GIT/hooks", "git~1", ".git::$INDEX", "a\nb", "a\0"] {
            assert!(RelPath::new(bad, Some(Path::new("/repo"))).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn valid_names_are_accepted() -> Result<()> {
        assert_eq!(RelPath::new("./a//b/", None)?.as_bytes(), b"a/b");
        assert_eq!(RelPath::new("/repo/a", Some(Path::new("/repo")))?.as_bytes(), b"a");
        assert_eq!(RelPath::new(".", None)?.pathspec(), b".");
        assert_eq!(RelPath::new("\"a\\377\"", None)?.as_bytes(), b"a\xff");
        assert_eq!(RelPath::new(":(attr)x", None)?.as_bytes(), b":(attr)x");
        assert_eq!(BranchName::new("feature/ünï")?.full(), "refs/heads/feature/ünï");
        Ok(())
    }

    #[test]
    fn splits_ranges_and_paths() -> Result<()> {
        let range = Rev::new("a...b")?.range()?.map(|r| (r.from.0, r.to.0, r.symmetric));
        assert_eq!(range, Some(("a".into(), "b".into(), true)));
        assert_eq!(Rev::new("HEAD:a..b")?.range()?, None);
        let rev = Rev::new("HEAD^{/fix: x}:a:b")?;
        assert_eq!(rev.path().map(|(r, p)| (r.0, p)), Some(("HEAD^{/fix: x}".into(), "a:b")));
        Ok(())
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_the_worktree(text in ".{0,60}") {
            if let Ok(path) = RelPath::new(&text, Some(Path::new("/repo"))) {
                let leaves = path.as_path().components().any(|part| !matches!(part, Component::Normal(_)));
                prop_assert!(!leaves);
            }
        }
    }
}

//! Resource URIs: `git://REPOSITORY/KIND/…`, with every part percent-encoded.

pub(super) use crate::arguments::directory;
use crate::percent;

/// A parsed resource URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uri {
    /// A repository's name, or its absolute path.
    pub(super) repository: String,
    pub(super) what: What,
}

/// The kind of resource, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Status,
    Commit { rev: String },
    Diff { range: String },
    Tree { rev: String, path: String },
    Blob { rev: String, path: String },
    Conflict { path: String },
    Remote { name: String },
}

/// Maximum length of a URI, in bytes.
pub(super) const MAX_URI: usize = 8192;

impl Uri {
    /// Parses a URI. `None` if it is not a resource of this server.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("git://").filter(|_| text.len() <= MAX_URI)?;
        let mut parts = rest.splitn(3, '/');
        let repository = percent::decode(parts.next().filter(|name| !name.is_empty())?)?;
        let (kind, rest) = (parts.next()?, parts.next().unwrap_or_default());
        let one = || percent::decode(rest).filter(|text| !text.is_empty());
        let rev_and_path = || {
            let (rev, path) = rest.split_once('/').unwrap_or((rest, ""));
            Some((percent::decode(rev).filter(|rev| !rev.is_empty())?, percent::decode(path)?))
        };
        let what = match kind {
            "status" if rest.is_empty() => What::Status,
            "commit" => What::Commit { rev: one()? },
            "diff" => What::Diff { range: one()? },
            "tree" => rev_and_path().map(|(rev, path)| What::Tree { rev, path })?,
            "blob" => rev_and_path().filter(|(_, path)| !path.is_empty()).map(|(rev, path)| What::Blob { rev, path })?,
            "conflict" => What::Conflict { path: one()? },
            "remote" => What::Remote { name: one()? },
            _ => return None,
        };
        Some(Self { repository, what })
    }

    /// Whether the content at this URI never changes.
    pub(super) fn is_fixed(&self) -> bool {
        let is_id = |rev: &str| matches!(rev.len(), 40 | 64) && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
        match &self.what {
            What::Commit { rev } | What::Tree { rev, .. } | What::Blob { rev, .. } => is_id(rev),
            What::Diff { range } => range.split("..").all(|rev| is_id(rev.trim_start_matches('.'))) && range.contains(".."),
            What::Status | What::Conflict { .. } | What::Remote { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read() {
        let parse = |text: &str| Uri::parse(text).map(|uri| (uri.repository, uri.what));
        let blob = What::Blob { rev: "a/b".to_owned(), path: "dir/x y".to_owned() };
        assert_eq!(parse("git://r/blob/a%2Fb/dir/x%20y"), Some(("r".to_owned(), blob)));
        assert_eq!(parse("git://%2Fsrv%2Fr/status"), Some(("/srv/r".to_owned(), What::Status)));
        assert_eq!(parse("git://r/tree/HEAD"), Some(("r".to_owned(), What::Tree { rev: "HEAD".to_owned(), path: String::new() })));
        for bad in [
            "git://",
            "git:///status",
            "git://r",
            "git://r/blob/HEAD",
            "git://r/nope/x",
            "http://r/status",
            "git://r/commit/%zz",
            "git://r/commit/%00",
            "git://r/commit/%+1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn object_ids_never_change() {
        let id = "0".repeat(40);
        for (uri, fixed) in [
            (format!("git://r/commit/{id}"), true),
            (format!("git://r/diff/{id}..{id}"), true),
            (format!("git://r/diff/{id}...{id}"), true),
            (format!("git://r/diff/{id}..HEAD"), false),
            (format!("git://r/diff/{id}"), false),
            ("git://r/commit/main".to_owned(), false),
            ("git://r/status".to_owned(), false),
        ] {
            assert_eq!(Uri::parse(&uri).map(|uri| uri.is_fixed()), Some(fixed), "{uri}");
        }
    }

    #[test]
    fn only_local_directories_count() {
        assert_eq!(directory("file:///a%20b/c"), Some("/a b/c".into()));
        assert_eq!(directory("file://localhost/a"), Some("/a".into()));
        for other in ["file://host/a", "http://x/a", "/a", "file:///%zz"] {
            assert_eq!(directory(other), None, "{other}");
        }
    }
}

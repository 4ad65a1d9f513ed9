//! Branches: local, remote-tracking, and what contains what.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    log,
    name::Rev,
    repo::Repo,
    rev::Abbreviator,
    route::{Route, only_git},
    upstream,
};
use gix::{ObjectId, bstr::ByteSlice};

const MAX_OUTPUT: usize = 64 << 20;

/// Which branches are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchKind {
    /// `refs/heads`.
    Local,
    /// `refs/remotes`.
    Remote,
    /// Both.
    All,
}

/// Which branches to list.
#[derive(Clone, Debug)]
pub struct BranchQuery {
    /// Local, remote or both.
    pub kind: BranchKind,
    /// Only branches that contain this commit.
    pub contains: Option<Rev>,
    /// Only branches that do not contain this commit.
    pub not_contains: Option<Rev>,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The short name.
    pub name: Vec<u8>,
    /// True for the checked-out branch.
    pub current: bool,
    /// The commit.
    pub id: ObjectId,
    /// The abbreviated commit.
    pub short: String,
    /// The branch that it follows.
    pub upstream: Option<Vec<u8>>,
    /// The first paragraph of the commit's message.
    pub subject: Vec<u8>,
}

impl Repo {
    /// The branches, sorted by full name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`] for `contains` and `not_contains`.
    pub fn branches(&self, query: &BranchQuery, cancel: &Cancel) -> Result<(Vec<Branch>, Route)> {
        self.answer("branches", |engine| list(engine, query, cancel), || self.branches_with_git(query, cancel))
    }

    fn branches_with_git(&self, query: &BranchQuery, cancel: &Cancel) -> Result<Vec<Branch>> {
        let mut process = self.read(&[
            "for-each-ref",
            "--format=%(refname)%00%(HEAD)%00%(objectname)%00%(objectname:short)%00%(upstream:short)%00%(contents:subject)%00%(symref)%00",
        ]);
        for (option, rev) in [("--contains", &query.contains), ("--no-contains", &query.not_contains)] {
            if let Some(rev) = rev {
                process = process.arg(format!("{option}={}", self.resolve_commit(rev, cancel)?));
            }
        }
        let output = process.args(prefixes(query.kind)).success(cancel, MAX_OUTPUT)?;
        let fields: Vec<&[u8]> = output.split(|&byte| byte == 0).collect();
        let branches = fields.chunks_exact(7).filter_map(|fields| {
            let full = fields[0].trim_start();
            // A remote's HEAD only repeats another branch.
            if !fields[6].is_empty() && full.starts_with(b"refs/remotes/") {
                return None;
            }
            Some(Branch {
                name: shorten(full).to_vec(),
                current: fields[1] == b"*",
                id: ObjectId::from_hex(fields[2]).ok()?,
                short: fields[3].to_str_lossy().into_owned(),
                upstream: Some(fields[4].to_vec()).filter(|name| !name.is_empty()),
                subject: fields[5].to_vec(),
            })
        });
        Ok(branches.collect())
    }
}

fn prefixes(kind: BranchKind) -> &'static [&'static str] {
    match kind {
        BranchKind::Local => &["refs/heads/"],
        BranchKind::Remote => &["refs/remotes/"],
        BranchKind::All => &["refs/heads/", "refs/remotes/"],
    }
}

fn shorten(full: &[u8]) -> &[u8] {
    full.strip_prefix(b"refs/heads/").or_else(|| full.strip_prefix(b"refs/remotes/")).unwrap_or(full)
}

fn list(engine: &gix::Repository, query: &BranchQuery, cancel: &Cancel) -> Result<Vec<Branch>> {
    if query.contains.is_some() || query.not_contains.is_some() {
        return Err(only_git("a question of reachability"));
    }
    let head = engine.head_name().map_err(Error::engine)?;
    let platform = engine.references().map_err(Error::engine)?;
    let mut branches = Vec::new();
    let abbreviate = Abbreviator::of(engine);
    for prefix in prefixes(query.kind) {
        for reference in platform.prefixed(*prefix).map_err(Error::engine)? {
            cancel.check()?;
            let reference = reference.map_err(Error::engine)?;
            let Some(id) = reference.try_id() else {
                if prefix.starts_with("refs/remotes") {
                    continue;
                }
                return Err(only_git("a symbolic branch"));
            };
            let commit = engine.find_commit(id).map_err(Error::engine)?;
            let decoded = commit.decode().map_err(Error::engine)?;
            if decoded.encoding.is_some() {
                return Err(only_git("a commit message to be re-encoded"));
            }
            let upstream = match upstream::tracking(engine, reference.name())? {
                Some(upstream) => Some(upstream::short(engine, upstream.as_ref())?.into()),
                None => None,
            };
            branches.push(Branch {
                name: shorten(reference.name().as_bstr()).to_vec(),
                current: head.as_ref().is_some_and(|head| head.as_ref() == reference.name()),
                id: id.detach(),
                short: abbreviate.short(id.detach()),
                upstream,
                subject: log::subject(decoded.message),
            });
        }
    }
    Ok(branches)
}

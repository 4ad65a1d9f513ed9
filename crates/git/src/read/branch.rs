//! Branches: local, remote-tracking, and filtered by contained commits.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::Rev,
    read::{
        commit_text::CommitText,
        described::{Described, Form, Named},
        fields::{Layout, MAX_FIELD, MAX_SUBJECT, clipped},
        tagged, upstream,
    },
    repo::{
        Repo,
        rev::Abbreviator,
        route::{Route, only_git},
    },
};
use engine::history::History;
use gix::{ObjectId, bstr::ByteSlice, refs::FullNameRef};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
};

/// Maximum number of broken references named.
const MAX_BROKEN: usize = 5;

/// The kind of branches.
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
    /// How many to skip.
    pub skip: usize,
    /// How many to return after that.
    pub take: usize,
}

/// The branches in a query's window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    /// The branches in the window.
    pub shown: Vec<Branch>,
    /// The total number of branches.
    pub total: usize,
    /// A hash that changes when a branch is moved, created or deleted.
    pub mark: u64,
    /// git's warnings about broken references, which it skips.
    pub broken: Vec<String>,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The short name.
    pub name: Vec<u8>,
    /// Whether it is checked out.
    pub current: bool,
    /// The commit.
    pub id: ObjectId,
    /// The abbreviated commit.
    pub short: String,
    /// Its upstream.
    pub upstream: Option<Vec<u8>>,
    /// The first paragraph of the commit's message.
    pub subject: Vec<u8>,
    /// Why its commit cannot be read.
    pub broken: Option<String>,
}

/// The commits that branches have to contain, or not.
#[derive(Clone, Copy)]
struct Reach {
    contains: Option<ObjectId>,
    not_contains: Option<ObjectId>,
}

impl Reach {
    /// Keeps the references that fulfil it.
    fn select(self, engine: &gix::Repository, found: &mut Vec<Named>, cancel: &Cancel) -> Result<()> {
        if self.contains.is_none() && self.not_contains.is_none() {
            return Ok(());
        }
        let mut history = History::open(engine, cancel)?;
        for (id, wanted) in [(self.contains, true), (self.not_contains, false)] {
            let Some(id) = id else { continue };
            let tips: Vec<ObjectId> = found.iter().map(|named| named.1).collect();
            let mut contain = history.containing(&tips, id)?.into_iter();
            found.retain(|_| contain.next() == Some(wanted));
        }
        Ok(())
    }
}

/// Collects the branches in the window and counts the rest: a repository can have a million.
struct Window<'a> {
    query: &'a BranchQuery,
    hasher: DefaultHasher,
    total: usize,
    names: Vec<Named>,
}

impl<'a> Window<'a> {
    fn new(query: &'a BranchQuery) -> Self {
        Self { query, hasher: DefaultHasher::new(), total: 0, names: Vec::new() }
    }

    fn push(&mut self, name: &[u8], id: ObjectId) {
        (name, id.as_bytes()).hash(&mut self.hasher);
        let end = self.query.skip.saturating_add(self.query.take);
        if (self.query.skip..end).contains(&self.total) {
            self.names.push((name.to_vec(), id));
        }
        self.total += 1;
    }

    fn of(&self, shown: Vec<Branch>) -> Branches {
        Branches { shown, total: self.total, mark: self.hasher.finish(), broken: Vec::new() }
    }
}

impl Repo {
    /// The branches of the query's window, sorted by full name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`] for `contains` and `not_contains`.
    pub fn branches(&self, query: &BranchQuery, cancel: &Cancel) -> Result<(Branches, Route)> {
        let commit = |rev: &Option<Rev>| rev.as_ref().map(|rev| self.resolve_commit(rev, cancel)).transpose();
        let reach = Reach { contains: commit(&query.contains)?, not_contains: commit(&query.not_contains)? };
        self.answer("branches", |engine| list(engine, query, reach, cancel), || self.branches_with_git(query, reach, cancel))
    }

    fn branches_with_git(&self, query: &BranchQuery, reach: Reach, cancel: &Cancel) -> Result<Branches> {
        let mut window = Window::new(query);
        let mut process = self.read(&["for-each-ref", "--format=%(objectname)%00%(symref)%00%(refname)"]);
        for (option, id) in [("--contains", reach.contains), ("--no-contains", reach.not_contains)] {
            if let Some(id) = id {
                process = process.arg(format!("{option}={id}"));
            }
        }
        let mut partial = Vec::new();
        let ended = process.args(prefixes(query.kind)).stream(cancel, |chunk| {
            for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
                partial.extend_from_slice(piece);
                if let Some(line) = partial.strip_suffix(b"\n") {
                    let mut fields = line.splitn(3, |&byte| byte == 0);
                    if let (Some(id), Some(symref), Some(name)) = (fields.next(), fields.next(), fields.next())
                        && let Ok(id) = ObjectId::from_hex(id)
                        // A remote's `HEAD` duplicates another branch.
                        && (symref.is_empty() || !name.starts_with(b"refs/remotes/"))
                    {
                        window.push(name, id);
                    }
                    partial.clear();
                }
            }
            ControlFlow::Continue(())
        })?;
        ended.require("for-each-ref")?;
        let shown = self.look_into(&window.names, cancel)?;
        let broken = ended.stderr.lines().filter(|line| line.starts_with("warning: ignoring ")).take(MAX_BROKEN).map(str::to_owned);
        Ok(Branches { broken: broken.collect(), ..window.of(shown) })
    }

    fn look_into(&self, names: &[Named], cancel: &Cancel) -> Result<Vec<Branch>> {
        let form = Form {
            format: "--format=%(refname)%00%(HEAD)%00%(objectname)%00%(objectname:short)%00%(upstream:short)%00%(contents:subject)%00",
            width: 6,
            layout: Layout { limit: &|at| if at % 6 == 5 { MAX_SUBJECT } else { MAX_FIELD }, ..Layout::NUL },
        };
        let described = self.described(names, &form, cancel)?;
        let is_any_broken = described.iter().any(|(_, described)| described.is_err());
        let head = if is_any_broken { self.head_target(cancel)? } else { Vec::new() };
        let branch = |((name, id), described): (&Named, Described)| match described {
            Ok(fields) => described_branch(&fields),
            Err(why) => Some(Branch {
                name: clipped(shorten(name), MAX_FIELD),
                current: head == *name,
                id: *id,
                short: id.to_hex_with_len(12).to_string(),
                upstream: None,
                subject: Vec::new(),
                broken: Some(why),
            }),
        };
        Ok(described.into_iter().filter_map(branch).collect())
    }

    /// The full name of the branch that `HEAD` names; empty if it names none.
    fn head_target(&self, cancel: &Cancel) -> Result<Vec<u8>> {
        Ok(self.read(&["symbolic-ref", "--quiet", "HEAD"]).may_die().output(cancel, MAX_FIELD)?.1.trim_ascii_end().to_vec())
    }
}

fn described_branch(fields: &[Vec<u8>]) -> Option<Branch> {
    Some(Branch {
        name: shorten(fields[0].trim_start()).to_vec(),
        current: fields[1] == b"*",
        id: ObjectId::from_hex(&fields[2]).ok()?,
        short: fields[3].to_str_lossy().into_owned(),
        upstream: Some(fields[4].clone()).filter(|name| !name.is_empty()),
        subject: fields[5].clone(),
        broken: None,
    })
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

fn list(engine: &gix::Repository, query: &BranchQuery, reach: Reach, cancel: &Cancel) -> Result<Branches> {
    let head = engine.head_name().map_err(Error::engine)?;
    let platform = engine.references().map_err(Error::engine)?;
    let mut found: Vec<Named> = Vec::new();
    for prefix in prefixes(query.kind) {
        for reference in platform.prefixed(*prefix).map_err(Error::engine)? {
            cancel.check()?;
            let reference = reference.map_err(Error::engine)?;
            match reference.try_id() {
                Some(id) => found.push((reference.name().as_bstr().to_vec(), id.detach())),
                None if prefix.starts_with("refs/remotes") => {}
                None => return Err(only_git("a symbolic branch")),
            }
        }
    }
    reach.select(engine, &mut found, cancel)?;
    let mut window = Window::new(query);
    for (name, id) in found {
        window.push(&name, id);
    }
    let abbreviate = Abbreviator::of(engine);
    let mut shown = Vec::with_capacity(window.names.len());
    for (name, id) in &window.names {
        cancel.check()?;
        let full: &FullNameRef = name.as_bstr().try_into().map_err(Error::engine)?;
        let commit = engine.find_commit(*id).map_err(Error::engine)?;
        let text = CommitText::of(&commit.data);
        if text.is_encoded {
            return Err(only_git("a commit message to be re-encoded"));
        }
        let upstream = match upstream::tracking(engine, full)? {
            Some(upstream) => Some(upstream::short(engine, upstream.as_ref())?.into()),
            None => None,
        };
        shown.push(Branch {
            name: clipped(shorten(name), MAX_FIELD),
            current: head.as_ref().is_some_and(|head| head.as_ref() == full),
            id: *id,
            short: abbreviate.short(*id),
            upstream,
            subject: tagged::first_paragraph(text.message)?,
            broken: None,
        });
    }
    Ok(window.of(shown))
}

//! Snapshots of state that a change can modify: `HEAD`, the index, the operation in progress, other references.

use crate::{
    cancel::Cancel,
    error::Result,
    process::Mode,
    repo::{
        Repo,
        index_file::{key_of, read_index},
        lock::digest,
        rev::head_of,
    },
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::BTreeMap,
    iter::Peekable,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The stash reference.
pub(crate) const STASH: &str = "refs/stash";
/// Maximum number of files checked in a hooks directory.
const MAX_HOOKS: usize = 64;
/// Prefixes of references that changes move and that can be restored.
const PREFIXES: [&str; 4] = ["refs/heads/", "refs/notes/", "refs/stash", "refs/tags/"];

/// The state of a worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The full name of the checked-out branch; `None` if `HEAD` is detached.
    pub branch: Option<String>,
    /// The checked-out commit; `None` before the first.
    pub commit: Option<ObjectId>,
    /// A key for the exact content of the index.
    pub index: Option<String>,
    /// The operation in progress.
    pub in_progress: Option<&'static str>,
}

/// References sorted by full name, in a compact format, as a repository can have a million.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    /// For each reference: name length (two bytes), name, id length (one byte), id.
    packed: Vec<u8>,
    /// The symbolic ones, by name.
    targets: BTreeMap<Vec<u8>, Target>,
}

/// What a symbolic reference names.
#[derive(Clone, Debug)]
struct Target {
    /// The reference itself, which may be symbolic, too.
    next: String,
    /// The one at the end.
    end: Vec<u8>,
}

impl Refs {
    fn push(&mut self, Found { name, id, target }: Found<'_>) {
        let Ok(length) = u16::try_from(name.len()) else { return };
        let symbolic = target.map(|end| Target { next: end.to_str_lossy().into_owned(), end: end.to_vec() });
        self.targets.extend(symbolic.map(|target| (name.to_vec(), target)));
        self.packed.extend_from_slice(&length.to_le_bytes());
        self.packed.extend_from_slice(name);
        self.packed.push(u8::try_from(id.as_bytes().len()).unwrap_or_default());
        self.packed.extend_from_slice(id.as_bytes());
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], ObjectId)> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            let (length, after) = after.split_first()?;
            let (id, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some((name, ObjectId::try_from(id).ok()?))
        })
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.iter().map(|(name, _)| name.to_str_lossy().into_owned())
    }

    /// The object of the reference `name`.
    pub fn get(&self, name: &str) -> Option<ObjectId> {
        self.iter().find(|(known, _)| *known == name.as_bytes()).map(|(_, id)| id)
    }
}

/// A reference that a change moved, created or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its full name.
    pub name: String,
    /// Its previous object; `None` if it did not exist.
    pub before: Option<ObjectId>,
    /// Its object afterwards; `None` if deleted.
    pub after: Option<ObjectId>,
    /// Its previous target, if it was symbolic.
    pub target: Option<String>,
}

/// A reference of a listing.
#[derive(Clone, Copy)]
struct Found<'a> {
    name: &'a [u8],
    id: ObjectId,
    /// The reference at the end, if it is symbolic.
    target: Option<&'a [u8]>,
}

type Listing<'a> = Box<dyn Iterator<Item = (&'a [u8], ObjectId)> + 'a>;

/// Compares previous references with current ones, which arrive in the same order. A symbolic one moves with its target.
struct Comparison<'a> {
    before: Peekable<Listing<'a>>,
    targets: &'a BTreeMap<Vec<u8>, Target>,
    moved: Vec<Moved>,
}

impl<'a> Comparison<'a> {
    fn new(before: &'a Refs) -> Self {
        let listing: Listing<'a> = Box::new(before.iter());
        Self { before: listing.peekable(), targets: &before.targets, moved: Vec::new() }
    }

    fn note(&mut self, name: &[u8], before: Option<ObjectId>, after: Option<ObjectId>) {
        let target = before.and_then(|_| self.targets.get(name)).map(|target| target.next.clone());
        self.moved.push(Moved { name: name.to_str_lossy().into_owned(), before, after, target });
    }

    fn now(&mut self, Found { name, id, target }: Found<'_>) {
        while let Some((gone, was)) = self.before.next_if(|(known, _)| *known < name) {
            self.note(gone, Some(was), None);
        }
        let Some((_, was)) = self.before.next_if(|(known, _)| *known == name) else {
            self.note(name, None, Some(id));
            return;
        };
        let named = self.targets.get(name).map(|target| target.end.as_slice());
        let is_same = if named.is_some() { named == target } else { target.is_none() && was == id };
        if !is_same {
            self.note(name, Some(was), Some(id));
        }
    }

    fn end(mut self) -> Vec<Moved> {
        while let Some((gone, was)) = self.before.next() {
            self.note(gone, Some(was), None);
        }
        self.moved
    }
}

impl Repo {
    /// The current state.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn snapshot(&self, cancel: &Cancel) -> Result<Snapshot> {
        let (snapshot, _) = self.answer("snapshot", in_process, || self.snapshot_with_git(cancel))?;
        Ok(Snapshot { in_progress: self.in_progress(), index: self.index_key(), ..snapshot })
    }

    /// As [`Repo::snapshot`], with the index compared by content: file times, which many git commands refresh, are ignored.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn content_snapshot(&self, cancel: &Cancel) -> Result<Snapshot> {
        let snapshot = self.snapshot(cancel)?;
        Ok(Snapshot { index: self.index_content().or_else(|| snapshot.index.clone()), ..snapshot })
    }

    /// A digest of the entries of the index.
    fn index_content(&self) -> Option<String> {
        let hash = self.engine.as_ref()?.objects.object_hash();
        let index = self.within(Mode::Read, || read_index(hash, &self.index_file())).ok().flatten()?;
        let mut text = Vec::new();
        for one in index.entries() {
            let (path, id, mode, stage, intended) = entry(&index, one);
            text.extend_from_slice(format!("{id} {mode} {stage} {intended} ").as_bytes());
            text.extend_from_slice(path);
            text.push(0);
        }
        Some(digest(&text))
    }

    fn snapshot_with_git(&self, cancel: &Cancel) -> Result<Snapshot> {
        let (ended, branch) = self.read(&["symbolic-ref", "--quiet", "HEAD"]).output(cancel, 8192)?;
        let branch = Some(String::from_utf8_lossy(branch.trim_ascii_end()).into_owned()).filter(|_| ended.code == Some(0));
        Ok(Snapshot { branch, commit: self.head(cancel)?, ..Snapshot::default() })
    }

    /// Branches, notes, tags and the stash, by full name.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn movable_refs(&self, cancel: &Cancel) -> Result<Refs> {
        let mut refs = Refs::default();
        self.each_movable(cancel, &mut |found| refs.push(found))?;
        for (name, target) in &mut refs.targets {
            if let Some(next) = self.next_target(&name.to_str_lossy(), cancel)? {
                target.next = next;
            }
        }
        Ok(refs)
    }

    /// The reference that a symbolic one names, from its file, or from git if it is not in a file of its own.
    fn next_target(&self, full: &str, cancel: &Cancel) -> Result<Option<String>> {
        let line = self.common_folder().line(full);
        match line.as_deref().and_then(|line| line.strip_prefix(b"ref:")) {
            Some(target) => Ok(Some(target.trim_ascii().to_str_lossy().into_owned())),
            None => self.symbolic_target(full, cancel),
        }
    }

    /// The reference that a symbolic one names; `None` if it is not symbolic.
    pub(crate) fn symbolic_target(&self, full: &str, cancel: &Cancel) -> Result<Option<String>> {
        let (ended, output) = self.read(&["symbolic-ref", "--quiet", "--no-recurse"]).arg(full).may_die().output(cancel, 8192)?;
        let target = String::from_utf8_lossy(output.trim_ascii_end()).into_owned();
        Ok(Some(target).filter(|_| ended.code == Some(0)))
    }

    /// References created, deleted or moved since `before`, by any process.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn moved_since(&self, before: &Refs, cancel: &Cancel) -> Result<Vec<Moved>> {
        let mut comparison = Comparison::new(before);
        self.each_movable(cancel, &mut |found| comparison.now(found))?;
        Ok(comparison.end())
    }

    /// Passes references to `each` in name order.
    fn each_movable(&self, cancel: &Cancel, each: &mut dyn FnMut(Found<'_>)) -> Result<()> {
        let mut partial = Vec::new();
        let process = self.read(&["for-each-ref", "--format=%(objectname) %(symref) %(refname)"]).args(PREFIXES);
        let ended = process.stream(cancel, |chunk| {
            for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
                partial.extend_from_slice(piece);
                if let Some(line) = partial.strip_suffix(b"\n") {
                    let mut fields = line.splitn(3, |&byte| byte == b' ');
                    if let (Some(id), Some(target), Some(name)) = (fields.next(), fields.next(), fields.next())
                        && let Ok(id) = ObjectId::from_hex(id)
                    {
                        each(Found { name, id, target: Some(target).filter(|target| !target.is_empty()) });
                    }
                    partial.clear();
                }
            }
            ControlFlow::Continue(())
        })?;
        ended.require("for-each-ref")
    }

    /// Whether a change may move additional references, by hooks or configuration.
    pub fn moves_others(&self) -> bool {
        let own = self.location.common_dir.join("hooks");
        let hooks = || match &self.settings.hooks_path {
            Some(path) => self.top().join(path),
            None => own,
        };
        let has_hook = || {
            let entries = std::fs::read_dir(hooks()).into_iter().flatten().flatten().take(MAX_HOOKS);
            entries.map(|entry| entry.path()).any(|path| path.extension().is_none_or(|extension| extension != "sample"))
        };
        self.settings.rewrites_notes || !self.updates().is_empty() || self.location.trusted && self.allowed.policy.hooks && has_hook()
    }

    /// Whether git is configured to copy notes to rewritten commits.
    pub fn rewrites_notes(&self) -> bool {
        self.settings.rewrites_notes
    }

    /// The branches that the rebase in progress will move when it ends.
    pub fn updates(&self) -> Vec<String> {
        let list = self.git_file("rebase-merge/update-refs", crate::beneath::Kind::Steps).ok().flatten().unwrap_or_default();
        list.lines().step_by(3).map(|name| name.to_str_lossy().into_owned()).collect()
    }

    /// The path of the index file.
    pub fn index_file(&self) -> PathBuf {
        self.location.git_dir.join("index")
    }

    /// The trailing checksum of the index file; a digest of the whole if it has none (`index.skipHash`).
    fn index_key(&self) -> Option<String> {
        self.within(Mode::Read, || key_of(&self.index_file())).ok().flatten()
    }

    /// Whether the content of `copy` still matches the key in its name.
    pub(crate) fn is_intact(&self, copy: &Path) -> bool {
        let named = copy.file_name().is_some_and(|name| key_of(copy).is_some_and(|key| name == key.as_str()));
        // Reading it verifies its checksum. The copy lies in the server's own folder, not in the repository.
        named && self.engine.as_ref().is_none_or(|engine| read_index(engine.objects.object_hash(), copy).is_some())
    }

    /// Whether the index has the same entries as the copy, ignoring file times.
    pub(crate) fn is_index_like(&self, copy: &Path) -> bool {
        let Some(hash) = self.engine.as_ref().map(|engine| engine.objects.object_hash()) else { return false };
        let ours = self.within(Mode::Read, || read_index(hash, &self.index_file())).ok().flatten();
        let (Some(ours), Some(copy)) = (ours, read_index(hash, copy)) else { return false };
        ours.entries().iter().map(|one| entry(&ours, one)).eq(copy.entries().iter().map(|one| entry(&copy, one)))
    }
}

fn in_process(engine: &gix::Repository) -> Result<Snapshot> {
    let (head, commit) = head_of(engine)?;
    let branch = head.referent_name().map(|name| name.as_bstr().to_string());
    Ok(Snapshot { branch, commit: commit.map(|commit| commit.id), ..Snapshot::default() })
}

/// The compared parts of an entry.
fn entry<'a>(index: &'a gix::index::File, entry: &gix::index::Entry) -> (&'a [u8], ObjectId, u32, u32, bool) {
    let intended = entry.flags.contains(gix::index::entry::Flags::INTENT_TO_ADD);
    (entry.path(index).as_bytes(), entry.id, entry.mode.bits(), entry.flags.stage_raw(), intended)
}

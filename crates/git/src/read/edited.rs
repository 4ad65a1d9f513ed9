//! Patches of the index and of the working tree.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::{
        patch::{MAX_BLOB, Patch},
        render::Written,
        scan::answered,
        sides::{DiffQuery, Sides},
        trees::Change,
    },
    repo::{Repo, rev::head_of, route::only_git},
};
use engine::{
    beneath::{EntryKind, to_path},
    index::{Entry, Index},
    worktree::{Content, Untracked},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::BTreeMap, os::unix::fs::MetadataExt, sync::Arc};

/// Maximum bytes of changed files that are held.
const MAX_WRITTEN: usize = 64 << 20;

/// Mode and id of a file.
type Version = Option<(u32, ObjectId)>;

/// The working tree while it is compared.
struct Edited<'a> {
    repo: &'a Repo,
    index: &'a Index,
    content: Content<'a>,
    query: &'a DiffQuery,
    cancel: &'a Cancel,
    written: Written,
    held: usize,
}

impl Repo {
    /// The patch between a commit or the index, and the index or the working tree.
    ///
    /// # Errors
    ///
    /// [`only_git`] if configuration, attributes, unusual entries of the index or size require it.
    pub(crate) fn edited_patch(&self, engine: &gix::Repository, query: &DiffQuery, cancel: &Cancel) -> Result<Patch> {
        if let Some(why) = self.settings.status.odd {
            return Err(only_git(why));
        }
        let index = self.index(engine, cancel)?;
        let is_odd = |entry: &Entry| entry.flags.stage() != 0 || entry.flags.skip_worktree() || entry.flags.intent_to_add();
        if index.is_sparse() || index.entries().iter().any(is_odd) {
            return Err(only_git("unusual entries of the index"));
        }
        let compares_files = !matches!(query.sides, Sides::Staged);
        if compares_files && index.entries().iter().any(|entry| entry.is_submodule() && query.wants(index.path(entry))) {
            return Err(only_git("the working tree of a submodule"));
        }
        let content = self.content(engine);
        let mut edited = Edited { repo: self, index: &index, content, query, cancel, written: Written::new(), held: 0 };
        let files = match query.sides {
            Sides::Unstaged => edited.unstaged()?,
            Sides::Staged => {
                let tree = head_of(engine)?.1.map(|commit| commit.id);
                edited.staged(engine, tree)?
            }
            Sides::Worktree(commit) => edited.since(engine, commit)?,
            Sides::Trees(..) => return Err(only_git("two trees")),
        };
        let written = std::mem::take(&mut edited.written);
        let renderer = self.renderer(engine, &files, query.sides, query, (&index, &written, cancel))?;
        renderer.patch(&files, query.keep)
    }
}

impl Edited<'_> {
    /// The index against the working tree.
    fn unstaged(&mut self) -> Result<Vec<Change>> {
        let mut files = Vec::new();
        for (path, new) in self.scanned()? {
            let old = self.index.find(&path, 0).map(|entry| (entry.mode, entry.id));
            if old != new {
                files.push(Change { path, old, new });
            }
        }
        Ok(files)
    }

    /// A commit against the index.
    fn staged(&self, engine: &gix::Repository, commit: Option<ObjectId>) -> Result<Vec<Change>> {
        let tree = commit.map(|id| {
            let object = engine.find_object(id).map_err(Error::engine)?;
            object.peel_to_tree().map(|tree| tree.id).map_err(Error::engine)
        });
        let found = answered(self.index.staged(engine, tree.transpose()?, self.cancel), self.cancel)?;
        if found.iter().any(|staged| staged.unmerged.is_some()) {
            return Err(only_git("conflicts"));
        }
        let wanted = found.into_iter().filter(|staged| self.query.wants(&staged.path));
        Ok(wanted.map(|staged| Change { path: staged.path, old: staged.old, new: staged.new }).collect())
    }

    /// A commit against the working tree: tracked files only.
    fn since(&mut self, engine: &gix::Repository, commit: ObjectId) -> Result<Vec<Change>> {
        let staged = self.staged(engine, Some(commit))?;
        let mut changes: BTreeMap<Vec<u8>, (Version, Version)> =
            staged.into_iter().map(|change| (change.path, (change.old, change.new))).collect();
        for (path, new) in self.scanned()? {
            let known = || self.index.find(&path, 0).map(|entry| (entry.mode, entry.id));
            let old = changes.get(&path).map_or_else(known, |(old, _)| *old);
            changes.insert(path, (old, new));
        }
        let differing = changes.into_iter().filter(|(_, (old, new))| old != new);
        Ok(differing.map(|(path, (old, new))| Change { path, old, new }).collect())
    }

    /// The tracked files that differ from the index, with their state now.
    fn scanned(&mut self) -> Result<Vec<(Vec<u8>, Version)>> {
        let scan = self.repo.scan(self.index, &self.content, Untracked::No, self.cancel)?;
        if scan.truncated {
            return Err(only_git("very many changes"));
        }
        if !scan.submodules.is_empty() {
            return Err(only_git("a submodule"));
        }
        let mut found = Vec::new();
        for change in scan.changes.into_iter().filter(|change| self.query.wants(&change.path)) {
            self.cancel.check()?;
            let version = if change.letter == b'D' { None } else { Some(self.version(&change.path)?) };
            found.push((change.path, version));
        }
        Ok(found)
    }

    /// Reads a changed file, and keeps its content.
    fn version(&mut self, path: &[u8]) -> Result<(u32, ObjectId)> {
        let unreadable = |_| only_git("a file that cannot be read");
        let top = self.repo.worktree_folder()?;
        let Some(entry) = self.index.find(path, 0) else { return Err(only_git("a file that is not tracked")) };
        let (parent, name) = path.rsplit_once_str(b"/").unwrap_or((b"", path));
        let folder = top.folder(to_path(parent)).map_err(unreadable)?;
        let kind = engine::beneath::kind_of(&folder.stat(to_path(name)).map_err(unreadable)?);
        let (mode, id, content) = match kind {
            EntryKind::Link => {
                let target = folder.link(to_path(name)).ok_or_else(|| only_git("a link that cannot be read"))?;
                (0o120_000, answered(self.content.id(&target), self.cancel)?, target)
            }
            EntryKind::File => {
                let (file, found) = folder.file(to_path(name)).map_err(unreadable)?;
                if found.len() > MAX_BLOB {
                    return Err(only_git("a file too large to be compared here"));
                }
                let (mode, length) = (self.mode(found.mode(), entry), found.len());
                let (id, content) = answered(self.content.stored(top, self.index, path, entry, (file, length)), self.cancel)?;
                (mode, id, content)
            }
            EntryKind::Folder | EntryKind::Other => return Err(only_git("a directory in place of a file")),
        };
        self.held += content.len();
        if self.held > MAX_WRITTEN {
            return Err(only_git("very large changes"));
        }
        self.written.insert(id, Arc::new(content));
        Ok((mode, id))
    }

    /// The mode git gives a regular file.
    fn mode(&self, found: u32, entry: &Entry) -> u32 {
        match (self.repo.settings.status.comparison.file_mode, entry.mode & 0o170_000) {
            (false, 0o100_000) => entry.mode,
            (true, _) if found & 0o100 != 0 => 0o100_755,
            _ => 0o100_644,
        }
    }
}

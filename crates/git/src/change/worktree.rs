//! Linked worktrees.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{BranchName, Rev},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A worktree of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worktree {
    /// Where it is.
    pub path: PathBuf,
    /// The commit that is checked out.
    pub commit: Option<ObjectId>,
    /// The full name of the branch that is checked out.
    pub branch: Option<String>,
    /// True for a repository without a working tree.
    pub bare: bool,
    /// Why it is kept from being removed; empty where no reason was given.
    pub locked: Option<String>,
    /// Why it could be pruned.
    pub prunable: Option<String>,
}

/// A worktree that is to be made.
#[derive(Clone, Debug)]
pub struct WorktreeAdd {
    /// Where: nothing must be there.
    pub path: PathBuf,
    /// The branch to check out, which is made where there is none; detached when absent.
    pub branch: Option<BranchName>,
    /// Where a new branch starts, or what is checked out: the current commit when absent.
    pub start: Option<Rev>,
    /// The place is this program's own, and need not lie inside the roots.
    pub anywhere: bool,
}

impl Repo {
    /// The worktrees, the main one first.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn worktrees(&self, cancel: &Cancel) -> Result<Vec<Worktree>> {
        let output = self.read(&["worktree", "list", "--porcelain", "-z"]).success(cancel, MAX_OUTPUT)?;
        let mut found: Vec<Worktree> = Vec::new();
        for field in output.split(|&byte| byte == 0).filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once_str(" ").unwrap_or((field, b""));
            if key == b"worktree" {
                found.push(Worktree { path: PathBuf::from(OsStr::from_bytes(value)), ..Worktree::default() });
            }
            let Some(worktree) = found.last_mut() else { continue };
            let text = || value.to_str_lossy().into_owned();
            match key {
                b"HEAD" => worktree.commit = ObjectId::from_hex(value).ok().filter(|id| !id.is_null()),
                b"branch" => worktree.branch = Some(text()),
                b"bare" => worktree.bare = true,
                b"locked" => worktree.locked = Some(text()),
                b"prunable" => worktree.prunable = Some(text()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Makes a worktree inside the allowed roots.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::Exists`], [`Error::CheckedOut`], [`Error::UnknownRevision`].
    pub fn add_worktree(&self, add: &WorktreeAdd, cancel: &Cancel) -> Result<Worktree> {
        self.check_trust(cancel)?;
        let path = if add.anywhere { add.path.clone() } else { self.place_for(&add.path)? };
        let start = add.start.as_ref().map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        // Upstreams are configured in a file that all worktrees share, which many at once would fight for.
        let mut process = self.change(&["worktree", "add", "--quiet", "--no-track"]);
        let mut what = None;
        match &add.branch {
            Some(branch) if self.branch_tip(branch, cancel).is_ok() => {
                if start.is_some() {
                    return Err(Error::BranchExists(branch.as_str().to_owned()));
                }
                what = Some(branch.as_str().to_owned());
            }
            Some(branch) => {
                process = process.arg("-b").arg(branch.as_str());
                what = start.map(|id| id.to_string());
            }
            None => {
                process = process.arg("--detach");
                what = what.or_else(|| start.map(|id| id.to_string()));
            }
        }
        let (ended, _) = process.arg("--").arg(&path).args(what).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0)
            && let Some(branch) = &add.branch
            && let Some(other) = self.worktrees(cancel)?.into_iter().find(|other| other.branch == Some(branch.full()))
        {
            return Err(Error::CheckedOut { name: branch.as_str().to_owned(), place: other.path });
        }
        ended.require("worktree add")?;
        self.worktree_at(&path, cancel)
    }

    /// Removes a worktree. Unless `force`, only one without edits and untracked files.
    ///
    /// # Errors
    ///
    /// [`Error::NoWorktree`], [`Error::WouldLose`], [`Error::Failed`] where it is locked.
    pub fn remove_worktree(&self, path: &Path, force: bool, cancel: &Cancel) -> Result<Worktree> {
        let worktree = self.worktree_at(path, cancel)?;
        if worktree.path == self.top() {
            return Err(Error::bad_name(path.display().to_string(), "a worktree to remove", "the call itself works in it"));
        }
        let option: &[&str] = if force { &["--force"] } else { &[] };
        let (ended, _) = self.change(&["worktree", "remove"]).args(option).arg("--").arg(&worktree.path).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0) && !force && worktree.locked.is_none() {
            let edits = self.git.process(crate::process::Mode::Read, &worktree.path, &["status", "--porcelain", "-z"]);
            let (_, edits) = edits.output(cancel, MAX_OUTPUT)?;
            let names: Vec<String> =
                edits.split(|&byte| byte == 0).filter_map(|entry| entry.get(3..)).map(crate::quote::listed).take(20).collect();
            if !names.is_empty() {
                return Err(Error::WouldLose(names));
            }
        }
        ended.require("worktree remove")?;
        Ok(worktree)
    }

    /// Keeps a worktree from being removed, or lets it be.
    ///
    /// # Errors
    ///
    /// [`Error::NoWorktree`], [`Error::Failed`].
    pub fn lock_worktree(&self, path: &Path, reason: Option<&str>, lock: bool, cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree_at(path, cancel)?;
        let process = self.change(&["worktree", if lock { "lock" } else { "unlock" }]);
        let process = process.args(reason.filter(|_| lock).map(|reason| format!("--reason={reason}")));
        process.arg("--").arg(&worktree.path).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Forgets worktrees whose folders are gone, and says which.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn prune_worktrees(&self, cancel: &Cancel) -> Result<Vec<PathBuf>> {
        let before = self.worktrees(cancel)?;
        self.change(&["worktree", "prune"]).success(cancel, MAX_OUTPUT)?;
        let after = self.worktrees(cancel)?;
        let gone = before.into_iter().filter(|worktree| !after.iter().any(|kept| kept.path == worktree.path));
        Ok(gone.map(|worktree| worktree.path).collect())
    }

    fn worktree_at(&self, path: &Path, cancel: &Cancel) -> Result<Worktree> {
        let full = self.top().join(path);
        let full = fs::canonicalize(&full).unwrap_or(full);
        let found = self.worktrees(cancel)?.into_iter().find(|worktree| worktree.path == full);
        found.ok_or(Error::NoWorktree(full))
    }

    /// The full path of a folder that is to be made: beside or below the roots' repositories.
    fn place_for(&self, path: &Path) -> Result<PathBuf> {
        let full = self.top().join(path);
        let outside = || Error::OutsideRoots { path: full.clone(), what: "the worktree" };
        if full.components().any(|part| matches!(part, std::path::Component::ParentDir)) || full.as_os_str().as_bytes().contains(&b'\n') {
            return Err(outside());
        }
        if full.symlink_metadata().is_ok() {
            return Err(Error::Exists(full));
        }
        let existing = full.ancestors().find(|dir| dir.symlink_metadata().is_ok()).ok_or_else(outside)?;
        let real = fs::canonicalize(existing).map_err(|_| outside())?;
        let target = real.join(full.strip_prefix(existing).map_err(|_| outside())?);
        let is_git_dir = target.starts_with(&self.location.common_dir) || target.components().any(|part| part.as_os_str() == ".git");
        if !self.allowed.roots.contains(&target) || is_git_dir {
            return Err(outside());
        }
        Ok(target)
    }
}

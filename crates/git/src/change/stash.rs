//! The stash.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    fields::{Layout, MAX_SUBJECT},
    name::{BranchName, RelPath},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};

/// An entry of the stash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stash {
    /// Its number: 0 is the newest.
    pub number: usize,
    /// Its commit.
    pub id: ObjectId,
    /// What it is about: all of it, or [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
}

/// What is put away, and how.
#[derive(Clone, Debug, Default)]
pub struct StashPush {
    /// What it is about.
    pub message: Option<String>,
    /// Only these files and directories.
    pub paths: Vec<RelPath>,
    /// Untracked files, too.
    pub untracked: bool,
    /// Only what is staged.
    pub staged: bool,
}

impl Repo {
    /// The entries of the stash, the newest first.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn stashes(&self, cancel: &Cancel) -> Result<Vec<Stash>> {
        let layout = Layout { divider: Some(b' '), limit: &|_| MAX_SUBJECT, ..Layout::NUL };
        let entries = self.read(&["stash", "list", "-z", "--format=%H %gs"]).fields_of_success(layout, cancel)?;
        let entries = entries.iter().filter(|entry| !entry.is_empty());
        let parsed = entries.enumerate().filter_map(|(number, entry)| {
            let (id, subject) = entry.split_once_str(" ")?;
            Some(Stash { number, id: ObjectId::from_hex(id).ok()?, subject: subject.to_vec() })
        });
        Ok(parsed.collect())
    }

    /// The entry with this number.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn stash(&self, number: usize, cancel: &Cancel) -> Result<Stash> {
        self.stashes(cancel)?.into_iter().nth(number).ok_or_else(|| Error::UnknownRevision(format!("stash@{{{number}}}")))
    }

    /// Puts changes away. `None` when there were none.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], [`Error::NoIdentity`], [`Error::Untrusted`].
    pub fn stash_push(&self, push: &StashPush, cancel: &Cancel) -> Result<Option<Stash>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let before = self.stashes(cancel)?;
        let (ended, _) = self.locked(cancel, || {
            // To remove what it has put away, git calls itself with a magic pathspec.
            let mut process = self.change(&["stash", "push", "--quiet"]).magic_pathspecs();
            for (option, wanted) in [("--include-untracked", push.untracked), ("--staged", push.staged)] {
                if wanted {
                    process = process.arg(option);
                }
            }
            if let Some(message) = &push.message {
                process = process.arg(format!("--message={message}"));
            }
            if push.paths.is_empty() {
                return process;
            }
            let literal = push.paths.iter().flat_map(|path| [b":(top,literal)", path.pathspec(), b"\0"].concat()).collect();
            process.args(["--pathspec-from-file=-", "--pathspec-file-nul"]).stdin(literal)
        })?;
        if ended.code != Some(0) {
            self.check_identity(cancel)?;
            self.check_known(&push.paths, cancel)?;
        }
        ended.require("stash push")?;
        let after = self.stashes(cancel)?;
        Ok(after.into_iter().next().filter(|newest| before.first().is_none_or(|old| old.id != newest.id)))
    }

    /// Brings an entry back, what was staged as staged where `index` says so, and then drops it where `drop` says so.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Failed`] where it does not fit, which leaves the entry in place.
    pub fn stash_apply(&self, number: usize, index: bool, drop: bool, cancel: &Cancel) -> Result<Stash> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let stash = self.stash(number, cancel)?;
        let (ended, _) = self.locked(cancel, || {
            let process = self.change(&["stash", if drop { "pop" } else { "apply" }, "--quiet"]);
            let process = if index { process.arg("--index") } else { process };
            process.arg(format!("stash@{{{number}}}"))
        })?;
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            if !unmerged.is_empty() {
                return Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect()));
            }
        }
        ended.require("stash apply")?;
        Ok(stash)
    }

    /// Drops an entry and says which it was.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn stash_drop(&self, number: usize, cancel: &Cancel) -> Result<Stash> {
        let stash = self.stash(number, cancel)?;
        self.change(&["stash", "drop", "--quiet"]).arg(format!("stash@{{{number}}}")).success(cancel, MAX_OUTPUT)?;
        Ok(stash)
    }

    /// Checks out a new branch where the entry was made, and brings it back there.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::BranchExists`], [`Error::Failed`].
    pub fn stash_branch(&self, number: usize, branch: &BranchName, cancel: &Cancel) -> Result<Stash> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let stash = self.stash(number, cancel)?;
        let (ended, _) =
            self.locked(cancel, || self.change(&["stash", "branch"]).arg(branch.as_str()).arg(format!("stash@{{{number}}}")))?;
        ended.require("stash branch")?;
        Ok(stash)
    }
}

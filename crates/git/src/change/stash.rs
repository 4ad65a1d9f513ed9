//! The stash.

use super::{
    MAX_OUTPUT,
    coming::{AS_RAW, RAW},
    nul_separated,
};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{BranchName, RelPath, Rev},
    read::fields::{Layout, MAX_SUBJECT},
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
    /// Its message, truncated to [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
}

/// Options of a stash push.
#[derive(Clone, Debug, Default)]
pub struct StashPush {
    /// The message.
    pub message: Option<String>,
    /// Only these files and directories.
    pub paths: Vec<RelPath>,
    /// Includes untracked files.
    pub untracked: bool,
    /// Only staged changes.
    pub staged: bool,
}

impl Repo {
    /// The entries of the stash, newest first.
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

    /// Stashes changes. `None` if there were none.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], [`Error::NoIdentity`], [`Error::Untrusted`].
    pub fn stash_push(&self, push: &StashPush, cancel: &Cancel) -> Result<Option<Stash>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        // Without a commit git fails silently: an entry is a commit on top of `HEAD`.
        self.resolve_commit(&Rev::head(), cancel)?;
        self.check_merged(cancel)?;
        let before = self.stashes(cancel)?;
        if let Some(head) = self.head(cancel)? {
            self.check_move(head, true, &push.paths, cancel)?;
        }
        let (ended, _) = self.locked(cancel, || {
            let mut process = self.change(&["stash", "push", "--quiet"]);
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
            process.args(["--pathspec-from-file=-", "--pathspec-file-nul"]).stdin(nul_separated(&push.paths))
        })?;
        let made = || Ok(self.stashes(cancel)?.into_iter().next().filter(|newest| before.first().is_none_or(|old| old.id != newest.id)));
        if ended.code != Some(0) {
            // git does not report this lock.
            let lock = self.location.common_dir.join("refs/stash.lock");
            if lock.exists() {
                return Err(Error::Locked(self.lock_file(lock)));
            }
            self.check_identity(cancel)?;
            self.check_known(&push.paths, cancel)?;
            if let Some(stash) = made()? {
                return Err(Error::HalfStashed { id: stash.id, said: ended.stderr.trim().to_owned() });
            }
        }
        ended.require("stash push")?;
        made()
    }

    /// Applies an entry, with the index if `index`, and then drops it if `drop`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Failed`] if it does not apply, which keeps the entry.
    pub fn stash_apply(&self, number: usize, index: bool, drop: bool, cancel: &Cancel) -> Result<Stash> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let stash = self.stash(number, cancel)?;
        self.check_merged(cancel)?;
        self.need_for_stash(stash.id, cancel)?;
        self.check_applies(stash.id, cancel)?;
        let (ended, _) = self.locked(cancel, || {
            let process = self.change(&["stash", if drop { "pop" } else { "apply" }, "--quiet"]);
            let process = if index { process.arg("--index") } else { process };
            process.arg(format!("stash@{{{number}}}"))
        })?;
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            if !unmerged.is_empty() {
                let paths = unmerged.iter().map(ToString::to_string).collect();
                return Err(Error::Conflicts { change: "stash".to_owned(), paths, stash: Some(number) });
            }
        }
        match ended.require(if drop { "stash pop" } else { "stash apply" }) {
            // No reference moves before the entry is applied.
            Err(Error::Halted(halt)) if drop && halt.by.as_ref().is_some_and(|by| by.hook.as_deref() == Some("reference-transaction")) => {
                // git removes it from the list before the hook runs, and `refs/stash` still names it as the newest.
                let number = self.stashes(cancel)?.iter().position(|entry| entry.id == stash.id);
                Err(Error::NotDropped { id: stash.id, number, halt })
            }
            done => done.map(|()| stash),
        }
    }

    /// Refuses an entry that would overwrite untracked files or could not be written. git restores tracked files before
    /// it checks untracked ones.
    pub(super) fn check_applies(&self, stash: ObjectId, cancel: &Cancel) -> Result<()> {
        let listing = self.read(&["diff-tree", "-r"]).args(RAW).arg(format!("{stash}^1")).arg(stash.to_string()).arg("--");
        let coming = Self::coming(listing, cancel)?;
        self.check_ignored(coming.iter(), cancel)?;
        self.check_complete(&coming, None, cancel)?;
        if let Ok(untracked) = self.resolve_commit(&Rev::new(format!("{stash}^3"))?, cancel) {
            let listing = self.read(&["ls-tree", "-r", "-z", "--full-tree", AS_RAW]).arg(untracked.to_string());
            let coming = Self::coming(listing, cancel)?;
            self.check_free(coming.iter())?;
            self.check_complete(&coming, None, cancel)?;
        }
        Ok(())
    }

    /// Fails if a partial clone lacks objects for applying an entry.
    fn need_for_stash(&self, stash: ObjectId, cancel: &Cancel) -> Result<()> {
        let (true, Some(head)) = (self.is_partial(), self.head(cancel)?) else { return Ok(()) };
        let base = self.resolve_commit(&Rev::new(format!("{stash}^1"))?, cancel)?;
        let mut needs = self.needs(cancel);
        needs.commits(&[stash], &[])?;
        // With the index or onto a new branch, its base commit is checked out.
        needs.changed(Some(head), base, &[])?;
        needs.check()
    }

    /// The untracked files in an entry.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn stashed_untracked(&self, number: usize, cancel: &Cancel) -> Result<Vec<RelPath>> {
        let stash = self.stash(number, cancel)?.id;
        let Ok(untracked) = self.resolve_commit(&Rev::new(format!("{stash}^3"))?, cancel) else { return Ok(Vec::new()) };
        let listing = self.read(&["ls-tree", "-r", "-z", "--full-tree", "--name-only"]).arg(untracked.to_string());
        let listed = listing.success(cancel, MAX_OUTPUT)?;
        Ok(listed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(RelPath::from_git).collect())
    }

    /// Drops an entry and returns it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn stash_drop(&self, number: usize, cancel: &Cancel) -> Result<Stash> {
        let stash = self.stash(number, cancel)?;
        self.change(&["stash", "drop", "--quiet"]).arg(format!("stash@{{{number}}}")).success(cancel, MAX_OUTPUT)?;
        Ok(stash)
    }

    /// Creates and checks out a branch at the entry's base commit, and applies the entry.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::BranchExists`], [`Error::Failed`].
    pub fn stash_branch(&self, number: usize, branch: &BranchName, cancel: &Cancel) -> Result<Stash> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let stash = self.stash(number, cancel)?;
        if self.branch_tip(branch, cancel).is_ok() {
            return Err(Error::BranchExists(branch.as_str().to_owned()));
        }
        self.need_for_stash(stash.id, cancel)?;
        self.check_applies(stash.id, cancel)?;
        self.check_move(self.resolve_commit(&Rev::new(format!("{}^1", stash.id))?, cancel)?, false, &[], cancel)?;
        let (ended, _) =
            self.locked(cancel, || self.change(&["stash", "branch"]).arg(branch.as_str()).arg(format!("stash@{{{number}}}")))?;
        ended.require("stash branch")?;
        Ok(stash)
    }
}

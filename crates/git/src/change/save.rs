//! Keeping what is staged and what tracked files hold, before a change overwrites it.

use super::{MAX_OUTPUT, stage::SCRATCH};
use crate::{
    beneath::open_own,
    cancel::Cancel,
    error::{Error, Result},
    repo::Repo,
};
use gix::ObjectId;
use std::{io, os::unix::ffi::OsStrExt};

impl Repo {
    /// Keeps what is staged and what tracked files hold as a commit of its own, which nothing names. `None` when
    /// nothing differs from `HEAD`.
    ///
    /// It is a stash, or, where git makes none, a commit of the files alone: see [`Repo::is_of_files_alone`].
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] where git cannot.
    pub fn save(&self, cancel: &Cancel) -> Result<Option<ObjectId>> {
        self.worktree()?;
        let head = self.head(cancel)?;
        if head.is_none() || !self.unmerged(cancel)?.is_empty() {
            return self.save_files(head, cancel);
        }
        let (ended, output) = self.locked(cancel, || self.change(&["stash", "create", "saved before a change"]))?;
        // So it ends where files have other times than the index says and the same content.
        let nothing = ended.code == Some(1) && output.is_empty() && ended.stderr.trim().is_empty();
        if !nothing {
            ended.require("stash create")?;
        }
        Ok(ObjectId::from_hex(output.trim_ascii_end()).ok())
    }

    /// The same before the first commit and among conflicts, by way of an index of its own.
    fn save_files(&self, head: Option<ObjectId>, cancel: &Cancel) -> Result<Option<ObjectId>> {
        let Ok((mut index, _)) = open_own(&self.index_file()) else { return Ok(None) };
        let prefix = format!("{SCRATCH}{}-", std::process::id());
        let copy = tempfile::Builder::new()
            .prefix(&prefix)
            .tempfile_in(&self.location.git_dir)
            .and_then(|mut copy| io::copy(&mut index, &mut copy).map(|_| copy.into_temp_path()))
            .map_err(Error::io("copying the index"))?;
        let place = copy.to_str().ok_or_else(|| Error::bad_name(self.top().display().to_string(), "a path", "it is not UTF-8"))?;
        let within = |args: &[&str]| self.change(args).env("GIT_INDEX_FILE", place);
        within(&["add", "--update"]).success(cancel, MAX_OUTPUT)?;
        let tree = within(&["write-tree"]).success(cancel, MAX_OUTPUT)?;
        let mut process = self.change(&["commit-tree", "-m", "saved before a change"]);
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            // As for a stash, which nobody needs an identity for.
            process = process.env(name, "git");
        }
        let process = head.into_iter().fold(process, |process, head| process.arg("-p").arg(head.to_string()));
        let made = process.arg(std::ffi::OsStr::from_bytes(tree.trim_ascii_end())).success(cancel, MAX_OUTPUT)?;
        Ok(ObjectId::from_hex(made.trim_ascii_end()).ok())
    }

    /// True for a commit of [`Repo::save`] that has what files held and not what was staged.
    pub(super) fn is_of_files_alone(&self, saved: ObjectId, cancel: &Cancel) -> Result<bool> {
        let process = self.read(&["rev-parse", "--verify", "--quiet"]).arg(format!("{saved}^2")).may_die();
        Ok(process.output(cancel, MAX_OUTPUT)?.0.code != Some(0))
    }
}

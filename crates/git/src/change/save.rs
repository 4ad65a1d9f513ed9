//! Saving staged and unstaged changes before a change overwrites them.

use super::{MAX_OUTPUT, index_write::SCRATCH};
use crate::{
    beneath::open_own,
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::stderr::all_messages,
    repo::{Repo, silence},
};
use gix::ObjectId;
use std::{io, os::unix::ffi::OsStrExt};

impl Repo {
    /// Saves staged and unstaged changes of tracked files as an unreferenced commit. `None` if nothing differs from
    /// `HEAD`.
    ///
    /// The commit is a stash, or, if git cannot create one, only has the files: see `Repo::has_files_only`.
    ///
    /// # Errors
    ///
    /// [`Error::NotKept`] or [`Error::FilterFailed`] if git cannot.
    pub fn save(&self, cancel: &Cancel) -> Result<Option<ObjectId>> {
        self.worktree()?;
        let head = self.head(cancel)?;
        if head.is_none() || !self.unmerged(cancel)?.is_empty() {
            return self.save_files(head, None, cancel);
        }
        let (ended, output) = self.locked(cancel, || self.change(&["stash", "create", "saved before a change"]))?;
        // git exits like this if only the timestamps of files differ from the index.
        let nothing = ended.code == Some(1) && output.is_empty() && ended.stderr.trim().is_empty();
        if !nothing {
            ended.require("stash create").map_err(not_kept)?;
        }
        Ok(ObjectId::from_hex(output.trim_ascii_end()).ok())
    }

    /// The same for a change that overwrites files at `paths`, or any. If not all files can be saved, saves the ones it
    /// overwrites; the bytes of converted files are kept by [`Repo::raw_files`].
    ///
    /// # Errors
    ///
    /// As [`Repo::save`].
    pub fn save_at(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Option<ObjectId>> {
        let err = match self.save(cancel) {
            Err(err @ (Error::NotKept(_) | Error::FilterFailed { .. })) => err,
            saved => return saved,
        };
        let converted = self.converted_edits(&[], cancel)?;
        let own: Vec<RelPath> = converted.iter().filter(|file| is_among(file, paths)).cloned().collect();
        if !self.can_keep_raw(&own) {
            return Err(err);
        }
        let head = self.head(cancel)?;
        let made = self.save_files(head, Some((paths, &converted)), cancel)?;
        // Like a stash: none if nothing differs.
        let tree = |commit: ObjectId| self.resolve(&Rev::new(format!("{commit}^{{tree}}"))?, cancel);
        match (head, made) {
            (Some(head), Some(made)) if tree(head)? == tree(made)? && self.is_index_clean(Some(head), cancel)? => Ok(None),
            _ => Ok(made),
        }
    }

    /// The same through a temporary index, also before the first commit and during conflicts: for all files, or, without
    /// filters, for files at some paths except others.
    fn save_files(&self, head: Option<ObjectId>, which: Option<(&[RelPath], &[RelPath])>, cancel: &Cancel) -> Result<Option<ObjectId>> {
        let Ok((mut index, found)) = open_own(&self.index_file()) else { return Ok(None) };
        let prefix = format!("{SCRATCH}{}-", std::process::id());
        let copy = tempfile::Builder::new()
            .prefix(&prefix)
            .tempfile_in(&self.location.git_dir)
            .and_then(|mut copy| {
                io::copy(&mut index, &mut copy)?;
                // git compares the content of files as new as the index: for a newer copy it would miss their edits.
                copy.as_file().set_modified(found.modified()?)?;
                Ok(copy.into_temp_path())
            })
            .map_err(Error::io("copying the index"))?;
        let place = copy.to_str().ok_or_else(|| Error::bad_name(self.top().display().to_string(), "a path", "it is not UTF-8"))?;
        let within = |args: &[&str]| {
            let process = self.change(args).env("GIT_INDEX_FILE", place);
            if which.is_some() { silence(process, &self.filter_drivers()) } else { process }
        };
        if let Some((paths, left_out)) = which {
            // An index with conflicts cannot be written as a tree.
            let is_merged = self.unmerged(cancel)?.is_empty();
            let edited = self.unconverted_edits(if is_merged { paths } else { &[] }, &[], cancel)?;
            let is_kept = |path: &&[u8]| !path.is_empty() && !left_out.iter().any(|file| file.as_bytes() == *path);
            let edited: Vec<u8> = edited.split(|&byte| byte == 0).filter(is_kept).flat_map(|path| [path, b"\0"].concat()).collect();
            let update = within(&["update-index", "--add", "--remove", "-z", "--stdin"]).stdin(edited);
            update.success(cancel, MAX_OUTPUT).map_err(not_kept)?;
        } else {
            within(&["add", "--update"]).success(cancel, MAX_OUTPUT).map_err(not_kept)?;
        }
        let tree = within(&["write-tree"]).success(cancel, MAX_OUTPUT)?;
        let mut process = self.change(&["commit-tree", "-m", "saved before a change"]);
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            // Like a stash, it must not need a configured identity.
            process = process.env(name, "git");
        }
        let process = head.into_iter().fold(process, |process, head| process.arg("-p").arg(head.to_string()));
        let made = process.arg(std::ffi::OsStr::from_bytes(tree.trim_ascii_end())).success(cancel, MAX_OUTPUT)?;
        Ok(ObjectId::from_hex(made.trim_ascii_end()).ok())
    }

    /// True for a commit of [`Repo::save`] with the files but without the index.
    pub(super) fn has_files_only(&self, saved: ObjectId, cancel: &Cancel) -> Result<bool> {
        let process = self.read(&["rev-parse", "--verify", "--quiet"]).arg(format!("{saved}^2")).may_die();
        Ok(process.output(cancel, MAX_OUTPUT)?.0.code != Some(0))
    }
}

/// The error if something cannot be saved, without git's last line about a stash command that the caller did not run.
fn not_kept(err: Error) -> Error {
    match err {
        Error::Failed { stderr, .. } => Error::NotKept(all_messages(&stderr.replace("Cannot save the current worktree state", ""))),
        err => err,
    }
}

fn is_among(path: &RelPath, paths: &[RelPath]) -> bool {
    paths.is_empty() || paths.iter().any(|wanted| wanted.covers(path.as_bytes()))
}

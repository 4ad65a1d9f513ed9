//! Files: removing, moving and cleaning away.

use super::{MAX_OUTPUT, nul_separated};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::Mode,
    repo::Repo,
};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// Which files nobody tracks.
#[derive(Clone, Debug, Default)]
pub struct CleanRequest {
    /// Only below these.
    pub paths: Vec<RelPath>,
    /// Whole folders, too.
    pub directories: bool,
    /// Ignored files, too.
    pub ignored: bool,
}

impl Repo {
    /// Removes tracked files from the index and, unless `cached`, from the working tree.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`]; [`Error::WouldLose`] where a file has changes of its own, unless `force`.
    pub fn rm(&self, paths: &[RelPath], cached: bool, recursive: bool, force: bool, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let list = self.change(&["ls-files", "-z", "--"]).args(specs(paths)).success(cancel, MAX_OUTPUT)?;
        let removed: Vec<Vec<u8>> = list.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
        let mut args = vec!["rm", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul"];
        for (option, wanted) in [("--cached", cached), ("-r", recursive), ("--force", force)] {
            if wanted {
                args.push(option);
            }
        }
        let (ended, _) = self.locked(cancel, || self.change(&args).stdin(nul_separated(paths)))?;
        if ended.code == Some(0) {
            return Ok(removed);
        }
        for path in paths {
            if !removed.iter().any(|file| path.covers(file)) {
                return Err(Error::NoSuchPath { path: path.to_string(), place: "the index".to_owned() });
            }
            if !recursive && !removed.iter().any(|file| file == path.as_bytes()) {
                return Err(Error::bad_name(path.to_string(), "a file", "it is a folder: repeat the call with `recursive`: true"));
            }
        }
        let edited =
            self.change(&["diff", "--name-only", "-z", "--no-ext-diff", "HEAD", "--"]).args(specs(paths)).output(cancel, MAX_OUTPUT)?;
        let edited: Vec<String> =
            edited.1.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(crate::quote::listed).take(20).collect();
        if !force && !edited.is_empty() {
            return Err(Error::WouldLose(edited));
        }
        Err(ended.failed("rm"))
    }

    /// Moves a tracked file or folder.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`], [`Error::Exists`].
    pub fn mv(&self, from: &RelPath, to: &RelPath, cancel: &Cancel) -> Result<()> {
        let top = self.worktree()?;
        self.check_trust(cancel)?;
        let known = self.read(&["ls-files", "-z", "--error-unmatch", "--"]).args(specs(std::slice::from_ref(from)));
        if known.output(cancel, MAX_OUTPUT)?.0.code != Some(0) {
            return Err(Error::NoSuchPath { path: from.to_string(), place: "the index".to_owned() });
        }
        let there = top.join(to.as_path());
        if there.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            return Err(Error::Exists(there));
        }
        self.check_no_link_above(from)?;
        self.check_no_link_above(to)?;
        if let Some(parent) = to.as_path().parent() {
            self.within(Mode::Change, || std::fs::create_dir_all(top.join(parent)))?
                .map_err(Error::io(format!("making {}", parent.display())))?;
        }
        let (ended, _) = self.locked(cancel, || self.change(&["mv", "--"]).args([from.as_path(), to.as_path()]))?;
        ended.require("mv")
    }

    /// What cleaning would remove; a folder ends in a slash.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn cleanable(&self, request: &CleanRequest, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        self.worktree()?;
        let mut process = self.change(&["ls-files", "-z", "--others", "--directory", "--no-empty-directory"]);
        if !request.ignored {
            process = process.arg("--exclude-standard");
        }
        let output = process.arg("--").args(specs(&request.paths)).success(cancel, 256 << 20)?;
        let all = output.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        // A repository in a folder of its own is somebody's work.
        let is_repository = |path: &[u8]| path.ends_with(b"/") && self.top().join(OsStr::from_bytes(path)).join(".git").exists();
        let wanted = |path: &&[u8]| request.directories || !path.ends_with(b"/");
        Ok(all.filter(wanted).filter(|path| !is_repository(path)).map(<[u8]>::to_vec).collect())
    }

    /// Removes what [`Repo::cleanable`] lists.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] where something could not be removed; what came before it is gone.
    pub fn clean(&self, request: &CleanRequest, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        let mut process = self.change(&["clean", "--quiet", "--force"]);
        for (option, wanted) in [("-d", request.directories), ("-x", request.ignored)] {
            if wanted {
                process = process.arg(option);
            }
        }
        process.arg("--").args(specs(&request.paths)).success(cancel, MAX_OUTPUT).map(drop)
    }
}

fn specs(paths: &[RelPath]) -> impl Iterator<Item = &OsStr> {
    paths.iter().map(|path| OsStr::from_bytes(path.pathspec()))
}

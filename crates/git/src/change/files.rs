//! Removing, moving and cleaning files.

use super::{MAX_OUTPUT, nul_separated};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Mode, Process},
    repo::Repo,
};
use gix::bstr::ByteSlice;

/// Maximum length of a listing of untracked files.
const LISTING: usize = 256 << 20;

/// Untracked files to remove.
#[derive(Clone, Debug, Default)]
pub struct CleanRequest {
    /// Only these paths.
    pub paths: Vec<RelPath>,
    /// Includes untracked folders.
    pub directories: bool,
    /// Includes ignored files.
    pub ignored: bool,
}

impl Repo {
    /// Removes tracked files from the index and, unless `cached`, from the working tree.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`]; [`Error::WouldLose`] if a file has local changes, unless `force`.
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
        // git removes the submodule's section from `.gitmodules`.
        let modules = self.change(&["diff-files", "--quiet", "--", ".gitmodules"]).output(cancel, MAX_OUTPUT)?.0;
        if modules.code == Some(1) && !self.submodules_below(paths, cancel)?.is_empty() {
            return Err(Error::Uncommitted(vec![".gitmodules".to_owned()]));
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
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            let named: Vec<String> = unmerged.iter().filter(|path| from.covers(path.as_bytes())).map(ToString::to_string).collect();
            if !named.is_empty() {
                return Err(Error::Unmerged(named));
            }
        }
        ended.require("mv")
    }

    /// The paths that cleaning would remove, as git lists them; a folder ends in a slash.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn cleanable(&self, request: &CleanRequest, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        self.worktree()?;
        let process = self.cleaning(request, "--dry-run").config("core.quotePath", "true");
        let output = process.success(cancel, LISTING)?;
        let listed = output.lines().filter_map(|line| line.strip_prefix(b"Would remove "));
        Ok(listed.map(|path| crate::quote::unquoted(path).unwrap_or_else(|| path.to_vec())).collect())
    }

    /// Removes what [`Repo::cleanable`] lists.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if a path could not be removed; the paths before it are removed.
    pub fn clean(&self, request: &CleanRequest, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        self.cleaning(request, "--quiet").success(cancel, MAX_OUTPUT).map(drop)
    }

    fn cleaning(&self, request: &CleanRequest, how: &str) -> Process<'_> {
        let mut process = self.change(&["clean", "--force", how]);
        for (option, wanted) in [("-d", request.directories), ("-x", request.ignored)] {
            if wanted {
                process = process.arg(option);
            }
        }
        process.arg("--").args(specs(&request.paths))
    }
}

fn specs(paths: &[RelPath]) -> impl Iterator<Item = std::ffi::OsString> {
    paths.iter().map(RelPath::literal)
}

//! The index: add, reset, restore.

use super::{MAX_OUTPUT, nul_separated};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::{Mode, Process},
    repo::Repo,
    route::Route,
};
use gix::ObjectId;
use std::{collections::HashSet, ffi::OsStr, os::unix::ffi::OsStrExt};

/// The longest listing of files.
const LISTING: usize = 256 << 20;

/// A path and the folders above it.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

fn refuse_overwriting<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let in_the_way: Vec<String> = paths.map(crate::quote::listed).take(20).collect();
    if in_the_way.is_empty() { Ok(()) } else { Err(Error::WouldOverwrite(in_the_way)) }
}

/// What a reset does besides moving the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMode {
    /// Keeps the index and the working tree.
    Soft,
    /// Resets the index and keeps the working tree.
    Mixed,
    /// Resets the index and the tracked files of the working tree.
    Hard,
}

/// What is restored, and from where.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The files and directories.
    pub paths: Vec<RelPath>,
    /// The commit that they are taken from; the index for the working tree and `HEAD` for the index when absent.
    pub source: Option<Rev>,
    /// Restores them in the index.
    pub staged: bool,
    /// Restores them in the working tree.
    pub worktree: bool,
}

impl Repo {
    /// Adds the content of `paths` to the index.
    ///
    /// # Errors
    ///
    /// [`Error::Ignored`], [`Error::NoSuchPath`], [`Error::Untrusted`].
    pub fn add(&self, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<Route> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let here = |engine: &gix::Repository| self.stage(engine, paths, force, cancel);
        self.answer_in(Mode::Change, "add", here, || self.add_with_git(paths, force, cancel)).map(|((), route)| route)
    }

    fn add_with_git(&self, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<()> {
        let list = nul_separated(paths);
        let mut args = vec!["add", "--pathspec-from-file=-", "--pathspec-file-nul"];
        if force {
            args.push("--force");
        }
        let (ended, _) = self.locked(cancel, || self.change(&args).stdin(list.clone()))?;
        if ended.code == Some(0) {
            return Ok(());
        }
        if !force {
            let ignored = self.ignored(paths, cancel)?;
            if !ignored.is_empty() {
                return Err(Error::Ignored(ignored));
            }
        }
        self.check_known(paths, cancel)?;
        Err(ended.failed("add"))
    }

    /// Those of `paths` that the ignore rules exclude.
    fn ignored(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<String>> {
        // check-ignore does not take literal pathspecs; behind `./` nothing is magic.
        let list = paths.iter().flat_map(|path| [b"./", path.pathspec(), b"\0"].concat()).collect();
        let process = self.read(&["check-ignore", "-z", "--stdin"]).magic_pathspecs().stdin(list);
        let (_, output) = process.output(cancel, MAX_OUTPUT)?;
        let ignored = output.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        Ok(ignored.map(|path| crate::quote::listed(path.strip_prefix(b"./").unwrap_or(path))).collect())
    }

    /// Fails for the first path that is neither tracked nor in the working tree.
    pub(super) fn check_known(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree()?;
        for path in paths {
            if worktree.join(path.as_path()).symlink_metadata().is_ok() {
                continue;
            }
            let known = self.read(&["ls-files", "-z", "--error-unmatch", "--"]).arg(path.as_path());
            if known.output(cancel, MAX_OUTPUT)?.0.code != Some(0) {
                return Err(Error::NoSuchPath { path: path.to_string(), place: "the working tree".to_owned() });
            }
        }
        Ok(())
    }

    /// Takes `paths`, or everything, back out of the index; or moves the branch to `target`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::NoSuchPath`].
    pub fn reset(&self, mode: ResetMode, target: Option<&Rev>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        let target = target.map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        if mode == ResetMode::Hard {
            self.check_trust(cancel)?;
            self.check_untracked(target.or(self.head(cancel)?), paths, cancel)?;
        }
        let mut args = vec!["reset".to_owned(), "--quiet".to_owned()];
        match mode {
            ResetMode::Soft => args.push("--soft".to_owned()),
            ResetMode::Hard => args.push("--hard".to_owned()),
            ResetMode::Mixed if paths.is_empty() => args.push("--mixed".to_owned()),
            ResetMode::Mixed => args.extend(["--pathspec-from-file=-".to_owned(), "--pathspec-file-nul".to_owned()]),
        }
        args.extend(target.map(|id| id.to_string()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ended, _) = self.locked(cancel, || {
            let process = self.change(&args);
            if paths.is_empty() { process } else { process.stdin(nul_separated(paths)) }
        })?;
        if ended.code != Some(0) {
            self.check_known(paths, cancel)?;
        }
        ended.require("reset")
    }

    /// Puts files back as the index or a commit has them.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::NoSuchPath`], [`Error::Untrusted`].
    pub fn restore(&self, restore: &Restore, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let source = restore.source.as_ref().map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        if restore.worktree {
            let head = if restore.staged { self.head(cancel)? } else { None };
            self.check_untracked(source.or(head), &restore.paths, cancel)?;
        }
        let mut args = vec!["restore".to_owned(), "--pathspec-from-file=-".to_owned(), "--pathspec-file-nul".to_owned()];
        args.extend(restore.staged.then(|| "--staged".to_owned()));
        args.extend(restore.worktree.then(|| "--worktree".to_owned()));
        args.extend(source.map(|id| format!("--source={id}")));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ended, _) = self.locked(cancel, || self.change(&args).stdin(nul_separated(&restore.paths)))?;
        if ended.code != Some(0) {
            self.check_known(&restore.paths, cancel)?;
        }
        ended.require("restore")
    }

    /// Refuses where untracked files are in the way of what `tree`, or the index, has at `paths`.
    pub(super) fn check_untracked(&self, tree: Option<ObjectId>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let wanted = |process: Process<'_>| -> Result<Vec<u8>> {
            process.arg("--").args(paths.iter().map(|path| OsStr::from_bytes(path.pathspec()))).success(cancel, LISTING)
        };
        let untracked = wanted(self.read(&["ls-files", "--others", "-z"]))?;
        if untracked.is_empty() {
            return Ok(());
        }
        let listed = match tree {
            Some(tree) => wanted(self.read(&["ls-tree", "-r", "--name-only", "-z", "--full-tree"]).arg(tree.to_string()))?,
            None => wanted(self.read(&["ls-files", "-z"]))?,
        };
        let coming: HashSet<&[u8]> = listed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).collect();
        let untracked: HashSet<&[u8]> = untracked.split(|&byte| byte == 0).filter(|path| !path.is_empty()).collect();
        // A file comes where one lies, or where a folder with untracked files does; or a folder where a file lies.
        let over = untracked.iter().filter(|path| prefixes(path).any(|prefix| coming.contains(prefix)));
        let under = coming.iter().flat_map(|path| prefixes(path)).filter_map(|prefix| untracked.get(prefix));
        refuse_overwriting(over.chain(under).copied())
    }

    /// Refuses where files that nobody tracks, ignored ones included, are in the way of what an operation would bring:
    /// git itself overwrites those that are ignored. `listing` lists what would come.
    pub(super) fn check_ignored(&self, listing: Process<'_>, cancel: &Cancel) -> Result<()> {
        let coming = listing.success(cancel, LISTING)?;
        let top = self.worktree()?;
        let there = |path: &&[u8]| top.join(OsStr::from_bytes(path)).symlink_metadata().is_ok();
        let mut there: Vec<&[u8]> =
            coming.split(|&byte| byte == 0).map(<[u8]>::trim_ascii_start).filter(|path| !path.is_empty()).filter(there).collect();
        there.sort_unstable();
        there.dedup();
        if there.is_empty() {
            return Ok(());
        }
        let tracked = self.read(&["ls-files", "-z"]).success(cancel, LISTING)?;
        let tracked: HashSet<&[u8]> = tracked.split(|&byte| byte == 0).collect();
        refuse_overwriting(there.into_iter().filter(|path| !tracked.contains(path) && !top.join(OsStr::from_bytes(path)).is_dir()))
    }

    /// Keeps what is staged and what tracked files hold as a commit of its own, which nothing names. `None` when
    /// nothing differs from `HEAD`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] where git cannot, as before the first commit or among conflicts.
    pub fn save(&self, cancel: &Cancel) -> Result<Option<ObjectId>> {
        self.worktree()?;
        let (ended, output) = self.locked(cancel, || self.change(&["stash", "create", "saved before a change"]))?;
        // So it ends where files have other times than the index says and the same content.
        let nothing = ended.code == Some(1) && output.is_empty() && ended.stderr.trim().is_empty();
        if !nothing {
            ended.require("stash create")?;
        }
        Ok(ObjectId::from_hex(output.trim_ascii_end()).ok())
    }
}

//! The index: add, reset, restore.

use super::{MAX_OUTPUT, coming::RAW, nul_separated, sparse::LISTING};
use crate::{
    cancel::Cancel,
    error::{Error, FailedHook, Result},
    name::{RelPath, Rev},
    process::Mode,
    repo::{Repo, route::Route},
};
use gix::ObjectId;

/// What a reset changes besides the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMode {
    /// Keeps the index and the working tree.
    Soft,
    /// Resets the index and keeps the working tree.
    Mixed,
    /// Resets the index and the tracked files of the working tree.
    Hard,
}

/// Paths to restore and their source.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The files and directories.
    pub paths: Vec<RelPath>,
    /// The source commit. Default: the index for the working tree, `HEAD` for the index.
    pub source: Option<Rev>,
    /// Restores them in the index.
    pub staged: bool,
    /// Restores them in the working tree.
    pub worktree: bool,
}

impl Repo {
    /// Adds `paths` to the index. Returns the output of git and filters.
    ///
    /// # Errors
    ///
    /// [`Error::Ignored`], [`Error::NoSuchPath`], [`Error::Untrusted`].
    pub fn add(&self, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<(String, Route)> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let here = |engine: &gix::Repository| self.stage(engine, paths, force, cancel).map(|()| String::new());
        self.answer_in(Mode::Change, "add", here, || self.add_with_git(paths, force, cancel))
    }

    fn add_with_git(&self, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<String> {
        let list = nul_separated(paths);
        let mut args = vec!["add", "--pathspec-from-file=-", "--pathspec-file-nul"];
        if force {
            args.push("--force");
        }
        let (ended, _) = self.locked(cancel, || self.change(&args).stdin(list.clone()))?;
        if ended.code == Some(0) {
            return Ok(ended.stderr);
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

    /// The ignored paths among `paths`.
    fn ignored(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<String>> {
        // check-ignore has no literal pathspecs; a leading `./` disables magic.
        let list = paths.iter().flat_map(|path| [b"./", path.pathspec(), b"\0"].concat()).collect();
        let process = self.read(&["check-ignore", "-z", "--stdin"]).stdin(list).may_die();
        let (_, output) = process.output(cancel, MAX_OUTPUT)?;
        let ignored = output.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        Ok(ignored.map(|path| crate::quote::listed(path.strip_prefix(b"./").unwrap_or(path))).collect())
    }

    /// Fails if a path is neither tracked nor in the working tree.
    pub(super) fn check_known(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree()?;
        for path in paths {
            if worktree.join(path.as_path()).symlink_metadata().is_ok() {
                continue;
            }
            let known = self.read(&["ls-files", "-z", "--error-unmatch", "--"]).arg(path.literal());
            if known.output(cancel, MAX_OUTPUT)?.0.code != Some(0) {
                return Err(Error::NoSuchPath { path: path.to_string(), place: "the working tree".to_owned() });
            }
        }
        Ok(())
    }

    /// Fails if a path is neither in the index nor in `tree`, or `HEAD`.
    fn check_in_index_or(&self, tree: Option<ObjectId>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let tree = tree.or(self.head(cancel)?);
        for path in paths.iter().filter(|path| !path.as_bytes().is_empty()) {
            let staged = self.read(&["ls-files", "-z", "--"]).arg(path.literal()).success(cancel, LISTING)?;
            let listed = match tree {
                Some(tree) if staged.is_empty() => {
                    let listing = self.read(&["ls-tree", "-z", "--name-only", "--full-tree"]).arg(tree.to_string());
                    listing.arg("--").arg(path.literal()).success(cancel, MAX_OUTPUT)?
                }
                _ => staged,
            };
            if listed.is_empty() {
                return Err(Error::NoSuchPath { path: path.to_string(), place: "the index".to_owned() });
            }
        }
        Ok(())
    }

    /// Unstages `paths`, or everything; or moves the branch to `target`. Returns the output of git and filters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::NoSuchPath`].
    pub fn reset(&self, mode: ResetMode, target: Option<&Rev>, paths: &[RelPath], cancel: &Cancel) -> Result<String> {
        self.worktree()?;
        let target = target.map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        if mode == ResetMode::Hard {
            self.check_trust(cancel)?;
            let tree = target.or(self.head(cancel)?);
            self.check_untracked(tree, paths, cancel)?;
            tree.map_or(Ok(()), |tree| self.check_move(tree, true, &[], cancel))?;
        } else if let Some(target) = target {
            // The staged paths are reported by comparison with it.
            self.needs(cancel).folders(target)?;
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
        ended.require("reset")?;
        Ok(ended.stderr)
    }

    /// Restores files from the index or a commit. Returns the hook that failed afterwards, else the output of git, hooks and
    /// filters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::NoSuchPath`], [`Error::Untrusted`].
    pub fn restore(&self, restore: &Restore, cancel: &Cancel) -> Result<(Option<FailedHook>, String)> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let source = restore.source.as_ref().map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        if restore.staged && source.is_none() && self.head(cancel)?.is_none() {
            // Before the first commit git restores nothing in the index.
            let unstage = || self.reset(ResetMode::Mixed, None, &restore.paths, cancel);
            return if restore.worktree {
                self.resolve_commit(&Rev::head(), cancel).map(|_| (None, String::new()))
            } else {
                unstage().map(|said| (None, said))
            };
        }
        if restore.staged && !restore.worktree && self.may_be_marked(&restore.paths, cancel)? {
            // git restore drops marks, so that files outside of a sparse working tree count as deleted, and skips new ones.
            self.check_in_index_or(source, &restore.paths, cancel)?;
            let said = self.reset(ResetMode::Mixed, restore.source.as_ref(), &restore.paths, cancel)?;
            return Ok((None, said));
        }
        if restore.worktree {
            let head = if restore.staged { self.head(cancel)? } else { None };
            self.check_untracked(source.or(head), &restore.paths, cancel)?;
            let listing = match source.or(head) {
                Some(tree) => self.read(&["diff-index", "-R"]).args(RAW).arg(tree.to_string()),
                None => self.read(&["diff-files", "-R"]).args(RAW),
            };
            let paths = restore.paths.iter().map(RelPath::literal);
            self.check_complete(&Self::coming(listing.arg("--").args(paths), cancel)?, None, cancel)?;
        }
        let mut args = vec!["restore".to_owned(), "--pathspec-from-file=-".to_owned(), "--pathspec-file-nul".to_owned()];
        args.extend(restore.staged.then(|| "--staged".to_owned()));
        args.extend(restore.worktree.then(|| "--worktree".to_owned()));
        args.extend(source.map(|id| format!("--source={id}")));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ended, _) = self.locked(cancel, || self.change(&args).stdin(nul_separated(&restore.paths)))?;
        let failed = ended.require_but_for_the_hook("restore");
        if failed.is_err() {
            self.check_known(&restore.paths, cancel)?;
            let unmerged = self.unmerged(cancel)?;
            let named = unmerged.iter().filter(|path| restore.paths.iter().any(|wanted| wanted.covers(path.as_bytes())));
            let named: Vec<String> = named.map(ToString::to_string).collect();
            if !named.is_empty() {
                return Err(Error::Unmerged(named));
            }
            if let (true, Some(path)) = (ended.stderr.contains("did not match any file"), restore.paths.first()) {
                return Err(Error::NoSuchPath { path: path.to_string(), place: "the index".to_owned() });
            }
        }
        let failed = failed?;
        let said = if failed.is_none() { ended.stderr } else { String::new() };
        Ok((failed, said))
    }
}

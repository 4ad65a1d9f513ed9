//! Changes, made by the user's own git.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{BranchName, RelPath, Rev},
    process::{Ended, Process},
    repo::Repo,
};
use gix::ObjectId;
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

const MAX_OUTPUT: usize = 16 << 20;
/// How long another process's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// A commit that was made.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its id.
    pub id: ObjectId,
    /// The commit before it on the branch.
    pub parent: Option<ObjectId>,
    /// What hooks wrote.
    pub output: String,
}

/// What a reset does besides moving the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMode {
    /// Keeps the index and the working tree.
    Soft,
    /// Resets the index and keeps the working tree.
    Mixed,
}

impl Repo {
    /// Adds the content of `paths` to the index.
    ///
    /// # Errors
    ///
    /// [`Error::Ignored`], [`Error::NoSuchPath`], [`Error::Untrusted`].
    pub fn add(&self, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        self.check_trust(cancel)?;
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
    fn check_known(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
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

    /// Records the index as a commit on the current branch.
    ///
    /// # Errors
    ///
    /// [`Error::NothingStaged`], [`Error::Unmerged`], [`Error::NoIdentity`], [`Error::Untrusted`]; [`Error::Failed`]
    /// with the output of a hook that refused.
    pub fn commit(&self, message: &str, cancel: &Cancel) -> Result<Committed> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let parent = self.head(cancel)?;
        let (ended, _) = self.locked(cancel, || self.change(&["commit", "--quiet", "--file=-"]).stdin(message.as_bytes().to_vec()))?;
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            if !unmerged.is_empty() {
                return Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect()));
            }
            let merging = self.location.git_dir.join("MERGE_HEAD").exists();
            if !merging && self.is_index_clean(parent, cancel)? {
                return Err(Error::NothingStaged);
            }
            for identity in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
                if self.read(&["var", identity]).output(cancel, 4096)?.0.code != Some(0) {
                    return Err(Error::NoIdentity);
                }
            }
            return Err(ended.failed("commit"));
        }
        let id = self.resolve_commit(&Rev::head(), cancel)?;
        Ok(Committed { id, parent, output: ended.stderr })
    }

    fn is_index_clean(&self, head: Option<ObjectId>, cancel: &Cancel) -> Result<bool> {
        if head.is_none() {
            return Ok(self.read(&["ls-files", "-z"]).output(cancel, MAX_OUTPUT).is_ok_and(|(_, files)| files.is_empty()));
        }
        Ok(self.read(&["diff", "--cached", "--quiet", "--no-ext-diff", "--ignore-submodules=dirty"]).output(cancel, MAX_OUTPUT)?.0.code
            == Some(0))
    }

    /// Takes `paths`, or everything, back out of the index; or moves the branch to `target`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::NoSuchPath`].
    pub fn reset(&self, mode: ResetMode, target: Option<&Rev>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        let target = target.map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        let mut args = vec!["reset".to_owned(), "--quiet".to_owned()];
        match mode {
            ResetMode::Soft => args.push("--soft".to_owned()),
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

    /// Creates `name` at `start`, or at the current commit, without checking it out.
    ///
    /// # Errors
    ///
    /// [`Error::BranchExists`], [`Error::UnknownRevision`].
    pub fn create_branch(&self, name: &BranchName, start: Option<&Rev>, cancel: &Cancel) -> Result<ObjectId> {
        let head = Rev::head();
        let start = start.unwrap_or(&head);
        let id = self.resolve_commit(start, cancel)?;
        if self.resolve_commit(&Rev::new(name.full())?, cancel).is_ok() {
            return Err(Error::BranchExists(name.as_str().to_owned()));
        }
        // By full name, so that git sets the upstream as it is configured to.
        let full = self.full_name(start, cancel)?.unwrap_or_else(|| id.to_string());
        self.change(&["branch", "--"]).arg(name.as_str()).arg(full).success(cancel, MAX_OUTPUT)?;
        Ok(id)
    }

    /// The full reference name that `rev` abbreviates, if it is one.
    fn full_name(&self, rev: &Rev, cancel: &Cancel) -> Result<Option<String>> {
        if rev.as_str() == "HEAD" {
            return Ok(None);
        }
        let process = self.read(&["rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options"]).arg(rev.as_str());
        let (ended, output) = process.output(cancel, 8192)?;
        let name = String::from_utf8_lossy(output.trim_ascii_end()).into_owned();
        // `--end-of-options` is echoed back by some versions.
        let name = name.lines().last().unwrap_or_default().to_owned();
        Ok(Some(name).filter(|name| ended.code == Some(0) && name.starts_with("refs/")))
    }

    /// Checks out the branch `rev`, the remote-tracking branch of that name, or a commit.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Failed`] when local changes would be overwritten.
    pub fn checkout(&self, rev: &Rev, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let branch = BranchName::new(rev.as_str()).ok();
        let local = match &branch {
            Some(branch) => self.resolve_commit(&Rev::new(branch.full())?, cancel).is_ok(),
            None => false,
        };
        let target = match (local, self.resolve_commit(rev, cancel)) {
            (true, _) => rev.as_str().to_owned(),
            // A tag or any other name that is not a branch.
            (false, Ok(id)) => id.to_string(),
            // Not known here: git makes a local branch for a remote one of that name.
            (false, Err(err)) => match branch {
                Some(branch) if self.is_on_one_remote(&branch, cancel)? => branch.as_str().to_owned(),
                _ => return Err(err),
            },
        };
        let (ended, _) = self.locked(cancel, || self.change(&["checkout", "--quiet", "--no-overwrite-ignore"]).arg(&target).arg("--"))?;
        ended.require("checkout")
    }

    fn is_on_one_remote(&self, branch: &BranchName, cancel: &Cancel) -> Result<bool> {
        let process = self.read(&["for-each-ref", "--format=%(refname)", "--"]).arg(format!("refs/remotes/*/{}", branch.as_str()));
        let output = process.success(cancel, MAX_OUTPUT)?;
        Ok(output.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count() == 1)
    }

    /// Runs a change, again for a while where another process holds the index lock.
    fn locked<'a>(&self, cancel: &Cancel, process: impl Fn() -> Process<'a>) -> Result<(Ended, Vec<u8>)> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let (ended, output) = process().output(cancel, MAX_OUTPUT)?;
            let lock = self.location.git_dir.join("index.lock");
            if ended.code == Some(0) || !lock.exists() {
                return Ok((ended, output));
            }
            if start.elapsed() >= LOCK_WAIT {
                return Err(Error::Locked { age: age(&lock), path: lock });
            }
            cancel.pause(pause)?;
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }
}

fn age(path: &PathBuf) -> Duration {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

fn nul_separated(paths: &[RelPath]) -> Vec<u8> {
    paths.iter().flat_map(|path| path.pathspec().iter().copied().chain([0])).collect()
}

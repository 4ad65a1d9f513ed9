//! Branches and checkout.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    change::{refs::Former, worktree::check_free},
    error::{Error, FailedHook, Misdirected, Result},
    name::{BranchName, Rev},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashSet, ffi::OsStr, os::unix::ffi::OsStrExt, time::SystemTime};

/// The target of a checkout.
#[derive(Clone, Debug)]
pub enum Checkout {
    /// A branch, a remote-tracking branch by its short name, or a commit.
    Existing(Rev),
    /// A commit, without a branch.
    Detached(Rev),
    /// A new branch.
    New {
        /// Its name.
        branch: BranchName,
        /// Its start; the current commit when absent.
        start: Option<Rev>,
        /// Whether it starts without history, with everything staged.
        orphan: bool,
    },
}

/// The short form of a full name.
fn shown(full: &str) -> String {
    full.strip_prefix("refs/remotes/").unwrap_or(full).to_owned()
}

impl Repo {
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
    pub(crate) fn full_name(&self, rev: &Rev, cancel: &Cancel) -> Result<Option<String>> {
        if rev.as_str() == "HEAD" {
            return Ok(None);
        }
        let process =
            self.read(&["rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options"]).arg(rev.as_str()).may_die();
        let (ended, output) = process.output(cancel, 8192)?;
        let name = String::from_utf8_lossy(output.trim_ascii_end()).into_owned();
        // `--end-of-options` is echoed back by some versions.
        let name = name.lines().last().unwrap_or_default().to_owned();
        Ok(Some(name).filter(|name| ended.code == Some(0) && name.starts_with("refs/")))
    }

    /// Checks out a branch, a remote-tracking branch or a commit. Returns the hook that failed afterwards, else the output of
    /// git, hooks and filters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Failed`] when local changes would be overwritten.
    pub fn checkout(&self, how: &Checkout, cancel: &Cancel) -> Result<(Option<FailedHook>, String)> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let how = &self.with_branch(how, cancel)?;
        let args: Vec<String> = match how {
            Checkout::Existing(rev) => vec![self.checkout_target(rev, cancel)?],
            Checkout::Detached(rev) => vec!["--detach".to_owned(), self.resolve_commit(rev, cancel)?.to_string()],
            Checkout::New { branch, start, orphan } => {
                if self.resolve_commit(&Rev::new(branch.full())?, cancel).is_ok() {
                    return Err(Error::BranchExists(branch.as_str().to_owned()));
                }
                let option = if *orphan { "--orphan" } else { "-b" };
                let mut args = vec![option.to_owned(), branch.as_str().to_owned()];
                if let Some(start) = start {
                    let id = self.resolve_commit(start, cancel)?;
                    // By full name, so that git sets the upstream as it is configured to.
                    args.push(self.full_name(start, cancel)?.unwrap_or_else(|| id.to_string()));
                }
                args
            }
        };
        if let Some(target) = self.checkout_commit(how, cancel)? {
            self.check_move(target, false, &[], cancel)?;
        }
        let begin = SystemTime::now();
        let (ended, _) = self.locked(cancel, || self.change(&["checkout", "--quiet", "--no-overwrite-ignore"]).args(&args).arg("--"))?;
        let failed = ended.require_but_for_the_hook("checkout");
        if let (Err(_), Checkout::Existing(rev)) = (&failed, how)
            && let Ok(branch) = BranchName::new(rev.as_str())
            && self.branch_name(cancel)?.as_deref() != Some(branch.as_str())
        {
            check_free(&branch, &self.worktrees(cancel)?)?;
        }
        if failed.is_err() {
            self.check_merged(cancel).map_err(|err| self.progress().map_or(err, Error::InProgress))?;
        }
        let failed = failed?;
        if failed.is_none() {
            self.require_whole(&ended, "checkout", begin, cancel)?;
        }
        let said = if failed.is_none() { ended.stderr } else { String::new() };
        Ok((failed, said))
    }

    /// The same with `@{-1}` or `@{upstream}` resolved to a branch.
    fn with_branch(&self, how: &Checkout, cancel: &Cancel) -> Result<Checkout> {
        let Checkout::Existing(rev) = how else { return Ok(how.clone()) };
        let full = if rev.as_str().contains("@{") { self.full_name(rev, cancel)? } else { None };
        let branch = full.as_deref().and_then(|full| full.strip_prefix("refs/heads/"));
        Ok(Checkout::Existing(branch.map_or_else(|| Ok(rev.clone()), Rev::new)?))
    }

    /// The commit whose files a checkout writes; `None` if it keeps those of `HEAD`.
    fn checkout_commit(&self, how: &Checkout, cancel: &Cancel) -> Result<Option<ObjectId>> {
        match how {
            Checkout::Existing(rev) | Checkout::Detached(rev) => {
                let local = BranchName::new(rev.as_str()).ok().and_then(|branch| self.branch_tip(&branch, cancel).ok());
                let remote = || {
                    let name = self.tracking_branches(&BranchName::new(rev.as_str()).ok()?, cancel).ok()?.pop()?;
                    self.resolve_commit(&Rev::new(name).ok()?, cancel).ok()
                };
                Ok(local.or_else(|| self.resolve_commit(rev, cancel).ok()).or_else(remote))
            }
            Checkout::New { start, .. } => start.as_ref().map(|start| self.resolve_commit(start, cancel)).transpose(),
        }
    }

    /// The unambiguous argument for git that stands for `rev`.
    fn checkout_target(&self, rev: &Rev, cancel: &Cancel) -> Result<String> {
        let branch = BranchName::new(rev.as_str()).ok();
        if let Some(branch) = &branch
            && self.resolve_commit(&Rev::new(branch.full())?, cancel).is_ok()
        {
            // git takes the branch, even if a tag has the same name.
            self.note_taken(branch, cancel)?;
            return Ok(rev.as_str().to_owned());
        }
        match self.resolve_commit(rev, cancel) {
            // A tag or another name that is not a branch.
            Ok(id) => Ok(id.to_string()),
            // Unknown locally: git creates a local branch for a remote one of that name.
            Err(err) => match branch {
                Some(branch) => match self.tracking_branches(&branch, cancel)?.as_slice() {
                    [] => Err(err),
                    [_] => Ok(branch.as_str().to_owned()),
                    several => {
                        let found = several.iter().map(|full| shown(full)).collect();
                        Err(Misdirected::SeveralRemotes { name: branch.as_str().to_owned(), found }.error())
                    }
                },
                None => Err(err),
            },
        }
    }

    /// Deletes a branch and returns its tip. Unless `force`, only if it is merged into its upstream or HEAD.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::CheckedOut`], [`Error::NotMerged`]; [`Error::Unreadable`] for a broken one, unless
    /// `force` is set and git deletes it.
    pub fn delete_branch(&self, name: &BranchName, force: bool, cancel: &Cancel) -> Result<Former> {
        let (id, broken) = match self.former(&name.full(), self.branch_tip(name, cancel), cancel)? {
            (_, Some(err @ Error::Unreadable { .. })) if !force => return Err(err),
            former => former,
        };
        let is_broken = broken.is_some();
        check_free(name, &self.worktrees(cancel)?)?;
        // A list of worktrees has the target of a symbolic branch in its place, and git would leave `HEAD` without a commit.
        if self.target_of(name, cancel)?.is_some() && self.symbolic_target("HEAD", cancel)? == Some(name.full()) {
            let place = self.top().to_owned();
            return Err(Error::CheckedOut { name: name.as_str().to_owned(), place, gone: false, locked: false });
        }
        let option = if force { "-D" } else { "-d" };
        let (ended, _) = self.change(&["branch", "--quiet", option, "--"]).arg(name.as_str()).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0) {
            if let Some(err) = broken.filter(|_| id.is_none() && ended.lock.is_none()) {
                return Err(err);
            }
            if !force
                && let Some(id) = id
                && !self.is_merged(name, id, cancel)?
            {
                return Err(Error::NotMerged(name.as_str().to_owned()));
            }
        }
        ended.require("branch")?;
        Ok(Former { id, is_broken })
    }

    /// The full name of the reference that a symbolic branch names; `None` for an ordinary branch.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn target_of(&self, name: &BranchName, cancel: &Cancel) -> Result<Option<String>> {
        self.symbolic_target(&name.full(), cancel)
    }

    /// Saves the configuration of a branch as a blob, for [`Repo::undo`]. `None` if it has none.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn keep_branch_config(&self, name: &BranchName, cancel: &Cancel) -> Result<Option<ObjectId>> {
        let prefix = format!("branch.{}.", name.as_str());
        let listed = self.read(&["config", "--local", "-z", "--list"]).success(cancel, MAX_OUTPUT)?;
        let own = listed.split_inclusive(|&byte| byte == 0).filter(|entry| {
            let key = entry.lines().next().unwrap_or_default();
            key.strip_prefix(prefix.as_bytes()).is_some_and(|rest| !rest.contains(&b'.'))
        });
        let own: Vec<u8> = own.flatten().copied().collect();
        if own.is_empty() {
            return Ok(None);
        }
        let output = self.change(&["hash-object", "-w", "--stdin"]).stdin(own).success(cancel, MAX_OUTPUT)?;
        Ok(ObjectId::from_hex(output.trim_ascii_end()).ok())
    }

    /// Restores the configuration saved by [`Repo::keep_branch_config`], except keys that exist again.
    pub(super) fn put_branch_config(&self, kept: ObjectId, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let kept = self.read(&["cat-file", "blob"]).arg(kept.to_string()).success(cancel, MAX_OUTPUT)?;
        let listed = self.read(&["config", "--local", "-z", "--name-only", "--list"]).success(cancel, MAX_OUTPUT)?;
        let there: HashSet<&[u8]> = listed.split(|&byte| byte == 0).collect();
        for entry in kept.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            let (key, value) = entry.split_once_str("\n").unwrap_or((entry, b"true"));
            if !there.contains(key) {
                let process = self.change(&["config", "--local", "--add"]).args([OsStr::from_bytes(key), OsStr::from_bytes(value)]);
                process.success(cancel, MAX_OUTPUT)?;
            }
        }
        done.push("its configuration is restored".to_owned());
        Ok(())
    }

    /// Renames a branch, in every worktree that has it checked out.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::BranchExists`].
    pub fn rename_branch(&self, old: &BranchName, new: &BranchName, cancel: &Cancel) -> Result<()> {
        let is_unborn = || Ok::<_, Error>(self.head(cancel)?.is_none() && self.branch_name(cancel)?.as_deref() == Some(old.as_str()));
        if let Err(err) = self.branch_tip(old, cancel)
            && !is_unborn()?
        {
            return Err(err);
        }
        if self.branch_tip(new, cancel).is_ok() {
            return Err(Error::BranchExists(new.as_str().to_owned()));
        }
        // git would rename the branch first, and then fail to rename its configuration.
        let lock = self.location.common_dir.join("config.lock");
        if lock.exists() {
            return Err(Error::Locked(self.lock_file(lock)));
        }
        self.change(&["branch", "-m", "--"]).args([old.as_str(), new.as_str()]).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Sets the upstream of `name` to a remote-tracking or local branch; unsets it when absent.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn set_upstream(&self, name: &BranchName, upstream: Option<&Rev>, cancel: &Cancel) -> Result<()> {
        self.branch_tip(name, cancel)?;
        let option = match upstream {
            None if self.config_value(&format!("branch.{}.merge", name.as_str()), cancel)?.is_none() => return Ok(()),
            None => "--unset-upstream".to_owned(),
            Some(upstream) => {
                self.resolve_commit(upstream, cancel)?;
                let is_ambiguous = || cancel.ambiguities().iter().any(|one| one.name == upstream.as_str());
                let unnamed = || {
                    if is_ambiguous() {
                        Error::bad_name(upstream.as_str(), "an upstream", "it names several references; give the full name of one")
                    } else {
                        Error::UnknownRevision(upstream.as_str().to_owned())
                    }
                };
                let full = self.full_name(upstream, cancel)?.ok_or_else(unnamed)?;
                format!("--set-upstream-to={full}")
            }
        };
        self.change(&["branch", "--quiet"]).arg(option).arg("--").arg(name.as_str()).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// The short name of the current branch.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn branch_name(&self, cancel: &Cancel) -> Result<Option<String>> {
        let branch = self.snapshot(cancel)?.branch;
        Ok(branch.and_then(|full| full.strip_prefix("refs/heads/").map(str::to_owned)))
    }

    /// The tip of a branch.
    pub(crate) fn branch_tip(&self, name: &BranchName, cancel: &Cancel) -> Result<ObjectId> {
        let tip = self.resolve_commit(&Rev::new(name.full())?, cancel);
        tip.map_err(|err| match err {
            Error::UnknownRevision(_) => Error::UnknownRevision(name.as_str().to_owned()),
            err => err,
        })
    }

    /// Number of commits up to `id` that no reference reaches, counted up to `most`.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn unreferenced(&self, id: ObjectId, most: usize, cancel: &Cancel) -> Result<usize> {
        let process = self.read(&["rev-list", "--count", "--ignore-missing"]).arg(format!("--max-count={most}")).arg(id.to_string());
        let counted = process.args(["--not", "HEAD", "--branches", "--tags", "--remotes"]).success(cancel, MAX_OUTPUT)?;
        Ok(counted.trim_ascii_end().to_str_lossy().parse().unwrap_or_default())
    }

    fn is_merged(&self, name: &BranchName, id: ObjectId, cancel: &Cancel) -> Result<bool> {
        let upstream = self.resolve_commit(&Rev::new(format!("{}@{{upstream}}", name.as_str()))?, cancel).ok();
        let Some(into) = upstream.map_or_else(|| self.head(cancel), |id| Ok(Some(id)))? else { return Ok(false) };
        let process = self.read(&["merge-base", "--is-ancestor"]).args([id.to_string(), into.to_string()]);
        Ok(process.output(cancel, MAX_OUTPUT)?.0.code == Some(0))
    }

    /// Remote-tracking branches that an unknown `name` may mean, by short name; at most `most`.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn matching_remote_branches(&self, name: &str, most: usize, cancel: &Cancel) -> Result<Vec<String>> {
        let name = name.split(['~', '^', '@', ':']).next().unwrap_or_default();
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        let Ok(branch) = BranchName::new(name) else { return Ok(Vec::new()) };
        // Also those of a remote that is no longer configured.
        let mut found = self.tracking_branches(&branch, cancel)?;
        if found.is_empty() {
            let process = self.read(&["for-each-ref", "--format=%(refname)", "--"]).arg(format!("refs/remotes/*/{}", branch.as_str()));
            let output = String::from_utf8_lossy(&process.success(cancel, MAX_OUTPUT)?).into_owned();
            found = output.lines().map(str::to_owned).collect();
        }
        Ok(found.iter().take(most).map(|full| shown(full)).collect())
    }
}

//! Changes stopped without a conflict, by a hook, the signing program or a missing identity; and hooks that do not run.

use crate::{
    cancel::Cancel,
    error::{Error, Halt, Result},
    name::RelPath,
    process::stderr::Ended,
    read::status::Entry,
    repo::{
        Repo,
        policy::{Signing, Trust},
    },
};
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::PathBuf};

/// Maximum number of paths compared before and after a hook.
const MAX_LOOKED_AT: usize = 2000;

/// The state of the working tree and the index before hooks run.
#[derive(Clone, Debug)]
pub struct Look {
    staged: Vec<(u8, Vec<u8>)>,
    /// Files that differed from the index, with their metadata.
    differing: BTreeMap<Vec<u8>, Looks>,
}

type Looks = Option<(u64, u64, i64, i64, i64, i64)>;

/// The effects of a stopped change.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// The paths staged now.
    pub staged: Vec<Entry>,
    /// Number of paths staged before, if the staged state has changed.
    pub staged_before: Option<usize>,
    /// Tracked files edited meanwhile that differ from the index.
    pub edited: Vec<Vec<u8>>,
    /// Untracked files created or changed meanwhile.
    pub made: Vec<Vec<u8>>,
}

/// Hooks that git does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleHooks {
    /// Their names; empty if they cannot be known.
    pub names: Vec<String>,
    /// Their folder.
    pub folder: PathBuf,
    /// Why they do not run.
    pub why: Idle,
}

/// Why hooks do not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The files are not executable.
    NotExecutable,
    /// `core.hooksPath` names a missing folder.
    NoFolder,
    /// The operator has not named the repository.
    NotTrusted,
    /// The operator has disabled hooks.
    SwitchedOff,
}

impl Repo {
    /// The error of a command stopped by something other than a conflict, if the cause is known.
    pub(super) fn halted(&self, command: &str, ended: &Ended, cancel: &Cancel) -> Result<Option<Error>> {
        let mut halt = match ended.failed(command) {
            Error::Halted(halt) => halt,
            _ => match self.check_identity(cancel) {
                Err(Error::NoIdentity) => Box::new(Halt::new(command, None, "")),
                other => return other.map(|()| None),
            },
        };
        let has = |name: &str| self.git_folder().has(name);
        halt.operation = self.progress();
        let hook = halt.by.as_ref().and_then(|by| by.hook.as_deref());
        halt.resumes = hook != Some("reference-transaction")
            && match self.in_progress() {
                // Only `git merge` runs this hook.
                Some("merge") => hook != Some("pre-merge-commit"),
                Some("cherry-pick") => has("CHERRY_PICK_HEAD"),
                Some("revert") => has("REVERT_HEAD"),
                // git refuses to continue with staged changes, unless they resolve a conflict.
                Some("rebase") => !has("CHERRY_PICK_HEAD"),
                _ => false,
            };
        Ok(Some(Error::Halted(halt)))
    }

    /// True if hooks may run.
    pub(crate) fn runs_hooks(&self) -> bool {
        let is_hook = |entry: fs::DirEntry| {
            let path = entry.path();
            path.extension().is_none_or(|extension| extension != "sample") && crate::process::program::is_executable(&path)
        };
        let any = || fs::read_dir(self.location.common_dir.join("hooks")).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(is_hook)));
        let settings = &self.settings;
        self.location.trusted && self.allowed.policy.hooks && (settings.names_hooks || settings.conditional || any())
    }

    /// True if a hook or a signing program may stop a change.
    pub(crate) fn may_be_stopped(&self) -> bool {
        let signs = match self.allowed.policy.signing {
            Signing::Auto => {
                [self.settings.signs, self.settings.signs_tags, self.settings.signs_pushes, self.settings.conditional].contains(&true)
            }
            Signing::Never => false,
            Signing::Require => true,
        };
        self.location.trusted && (signs || self.runs_hooks())
    }

    /// Why commits, or tags, are not signed here although the operator's configuration requires it; `None` if it does not.
    pub fn is_left_unsigned(&self, tag: bool) -> Option<Idle> {
        let policy = &self.allowed.policy;
        let is_wanted = policy.signing == Signing::Auto && if tag { self.settings.signs_tags } else { self.settings.signs };
        let why = if policy.trust == Trust::Untrusted { Idle::SwitchedOff } else { Idle::NotTrusted };
        (is_wanted && !self.location.trusted).then_some(why)
    }

    /// The state before a change whose hooks may modify it; `None` if no hook runs or there are too many paths to compare.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn look(&self, cancel: &Cancel) -> Result<Option<Look>> {
        if !self.runs_hooks() {
            return Ok(None);
        }
        let (status, _) = self.status(cancel)?;
        if status.truncated || status.entries.len() > MAX_LOOKED_AT {
            return Ok(None);
        }
        let differing = status.entries.iter().filter(|entry| entry.worktree != b' ');
        let differing = differing.map(|entry| (entry.path.clone(), self.looks(&entry.path))).collect();
        Ok(Some(Look { staged: staged(&status.entries), differing }))
    }

    /// The changes since `before`, and the staged paths.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn left_since(&self, before: Option<&Look>, cancel: &Cancel) -> Result<Leftovers> {
        let (status, _) = self.status(cancel)?;
        let mut left = Leftovers::default();
        if let Some(before) = before {
            let is_new = |entry: &&Entry| before.differing.get(&entry.path).is_none_or(|looks| *looks != self.looks(&entry.path));
            let changed = status.entries.iter().filter(|entry| entry.worktree != b' ').filter(is_new).take(MAX_LOOKED_AT);
            let (made, edited): (Vec<&Entry>, Vec<&Entry>) = changed.partition(|entry| entry.worktree == b'?');
            let paths = |entries: Vec<&Entry>| entries.into_iter().map(|entry| entry.path.clone()).collect();
            (left.edited, left.made) = (paths(edited), paths(made));
            left.staged_before = (staged(&status.entries) != before.staged).then_some(before.staged.len());
        }
        left.staged = status.entries.into_iter().filter(|entry| !matches!(entry.index, b' ' | b'?' | b'!')).collect();
        Ok(left)
    }

    fn looks(&self, path: &[u8]) -> Looks {
        let path = self.location.worktree.as_ref()?.join(RelPath::from_git(path).as_path());
        let meta = path.symlink_metadata().ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
    }

    /// The existing hooks among `names` that git does not run here.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn idle_hooks(&self, names: &[&str], cancel: &Cancel) -> Result<Option<IdleHooks>> {
        let policy = &self.allowed.policy;
        let why = match (self.location.trusted, policy.hooks) {
            (_, false) => Idle::SwitchedOff,
            (false, true) if policy.trust == Trust::Untrusted => Idle::SwitchedOff,
            (false, true) => Idle::NotTrusted,
            (true, true) => Idle::NotExecutable,
        };
        let folder = if why == Idle::NotExecutable { self.hooks_folder(cancel)? } else { self.location.common_dir.join("hooks") };
        if why == Idle::NotExecutable && self.settings.names_hooks && !folder.exists() {
            return Ok(Some(IdleHooks { names: Vec::new(), folder, why: Idle::NoFolder }));
        }
        let is_idle = |name: &&&str| {
            let hook = folder.join(name);
            if why == Idle::NotExecutable {
                hook.is_file() && !crate::process::program::is_executable(&hook)
            } else {
                crate::process::program::is_executable(&hook)
            }
        };
        let names: Vec<String> = names.iter().filter(is_idle).map(ToString::to_string).collect();
        Ok((!names.is_empty()).then_some(IdleHooks { names, folder, why }))
    }

    /// The folder in which git looks for hooks.
    fn hooks_folder(&self, cancel: &Cancel) -> Result<PathBuf> {
        if !self.settings.names_hooks && !self.settings.conditional {
            return Ok(self.location.common_dir.join("hooks"));
        }
        let output = self.change(&["rev-parse", "--git-path", "hooks"]).success(cancel, 64 << 10)?;
        Ok(self.top().join(crate::beneath::to_path(output.strip_suffix(b"\n").unwrap_or(&output))))
    }
}

fn staged(entries: &[Entry]) -> Vec<(u8, Vec<u8>)> {
    entries.iter().filter(|entry| !matches!(entry.index, b' ' | b'?' | b'!')).map(|entry| (entry.index, entry.path.clone())).collect()
}

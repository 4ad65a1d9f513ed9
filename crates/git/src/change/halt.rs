//! What stops a change that has nothing to resolve: a hook, the program that signs, the want of an identity. And hooks that
//! do not run.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    policy::{Signing, Trust},
    process::Ended,
    repo::Repo,
    status::Entry,
    stderr::{is_of_filter, overwritten, told, without_usage},
    trace::Child,
};
use std::{collections::BTreeMap, fmt, fs, os::unix::fs::MetadataExt, path::PathBuf};

/// The most that is kept of what a hook writes.
const MAX_SAID: usize = 4000;
/// The most paths that are compared before and after a hook.
const MAX_LOOKED_AT: usize = 2000;
/// What talks to remotes.
const TRANSFERS: [&str; 6] = ["fetch", "pull", "push", "clone", "ls-remote", "submodule"];
/// Advice of git's for a terminal: it leads past a hook, or cannot work here.
const ADVICE: [&str; 2] = ["Not committing merge; use 'git commit' to complete the merge.", "hint: Could not execute the todo command"];

/// Why a change has stopped.
#[derive(Clone, Debug)]
pub struct Halt {
    /// The sub-command of git.
    pub command: String,
    /// What stopped it; none where git knows no identity for commits.
    pub by: Option<Child>,
    /// What it, and git, wrote; the head and the tail of it.
    pub said: String,
    /// What is in progress now.
    pub operation: Option<String>,
    /// Going on makes the same attempt again, with the same hooks.
    pub resumes: bool,
    /// What took effect before that.
    pub done: Vec<String>,
}

impl Halt {
    /// `stderr` is all that was written.
    pub(crate) fn new(command: &str, by: Option<Child>, stderr: &str) -> Self {
        Self { command: command.to_owned(), by, said: words(stderr), operation: None, resumes: false, done: Vec::new() }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(by) = &self.by else { return f.write_str("no identity is configured for commits") };
        let what = match self.command.as_str() {
            command @ ("commit" | "merge" | "rebase" | "cherry-pick" | "revert" | "push" | "tag") => format!("the {command}"),
            command => format!("git {command}"),
        };
        write!(f, "{by} stopped {what} ({})", by.ending())
    }
}

/// A hook that failed once what it was told of was done.
#[derive(Clone, Debug)]
pub struct FailedHook {
    /// The hook.
    pub by: Child,
    /// What it wrote; the head and the tail of it.
    pub said: String,
}

impl Ended {
    /// Turns any exit code but 0 into an error.
    pub(crate) fn require(&self, command: &str) -> Result<()> {
        if self.code == Some(0) || self.full {
            return Ok(());
        }
        Err(self.failed(command))
    }

    /// The error for a process that should not have ended so.
    pub(crate) fn failed(&self, command: &str) -> Error {
        if let Some(by) = self.children.stopper() {
            return Error::Halted(Box::new(Halt::new(command, Some(by.clone()), &self.stderr)));
        }
        if let Some(lock) = &self.lock {
            return Error::Locked(lock.clone());
        }
        if let Some(err) = overwritten(&self.stderr) {
            return err;
        }
        if is_of_filter(&self.stderr) && !TRANSFERS.iter().any(|transfer| command.starts_with(transfer)) {
            return Error::FilterFailed { unchanged: false, said: told(&self.stderr) };
        }
        Error::Failed { command: command.to_owned(), exit: self.status.clone(), stderr: without_usage(&self.stderr) }
    }

    /// The error for a process that failed when a part of what it was to do, `done`, had taken effect.
    pub(crate) fn failed_after(&self, command: &str, done: Vec<String>) -> Error {
        let error = self.failed(command);
        match error {
            _ if done.is_empty() => error,
            Error::Halted(mut halt) => {
                halt.done = done;
                Error::Halted(halt)
            }
            Error::Failed { command, exit, stderr } => {
                Error::Failed { command, exit, stderr: format!("{stderr}\ntook effect: {}", done.join("; ")) }
            }
            error => error,
        }
    }

    /// Fails unless the process succeeded, or only the hook `post-checkout` failed: its exit code is git's then, and what it
    /// is told of is done.
    pub(crate) fn require_but_for_the_hook(&self, command: &str) -> Result<Option<FailedHook>> {
        match self.children.failed_hook("post-checkout") {
            Some(by) if self.code != Some(0) => Ok(Some(FailedHook { by: by.clone(), said: words(&self.stderr) })),
            _ => self.require(command).map(|()| None),
        }
    }
}

/// How the working tree and the index were before hooks ran.
#[derive(Clone, Debug)]
pub struct Look {
    staged: Vec<(u8, Vec<u8>)>,
    /// Files that differed from what was staged, and how each looked.
    differing: BTreeMap<Vec<u8>, Looks>,
}

type Looks = Option<(u64, u64, i64, i64, i64, i64)>;

/// What a stopped change has left.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// What is staged now.
    pub staged: Vec<Entry>,
    /// How many paths were staged before, where those were others.
    pub staged_before: Option<usize>,
    /// Tracked files that have been edited meanwhile, and differ from what is staged.
    pub edited: Vec<Vec<u8>>,
    /// Untracked files that have appeared or changed meanwhile.
    pub made: Vec<Vec<u8>>,
}

/// Hooks that git does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleHooks {
    /// Their names; empty where nobody can know which there would be.
    pub names: Vec<String>,
    /// Where they are.
    pub folder: PathBuf,
    /// What keeps them from running.
    pub why: Idle,
}

/// What keeps hooks from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The files are not executable.
    NotExecutable,
    /// `core.hooksPath` names a folder that is not there.
    NoFolder,
    /// The repository is not named by the operator.
    NotTrusted,
    /// The operator lets no hook run.
    SwitchedOff,
}

impl Repo {
    /// The error of a command that something else than a conflict has stopped, where it is known what.
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
                // Only a merge runs it.
                Some("merge") => hook != Some("pre-merge-commit"),
                Some("cherry-pick") => has("CHERRY_PICK_HEAD"),
                Some("revert") => has("REVERT_HEAD"),
                // What is staged is then taken for somebody else's, unless it was a conflict before.
                Some("rebase") => !has("CHERRY_PICK_HEAD"),
                _ => false,
            };
        Ok(Some(Error::Halted(halt)))
    }

    /// True where hooks may run.
    pub(crate) fn runs_hooks(&self) -> bool {
        let is_hook = |entry: fs::DirEntry| {
            let path = entry.path();
            path.extension().is_none_or(|extension| extension != "sample") && crate::is_executable(&path)
        };
        let any = || fs::read_dir(self.location.common_dir.join("hooks")).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(is_hook)));
        let settings = &self.settings;
        self.location.trusted && self.allowed.policy.hooks && (settings.names_hooks || settings.conditional || any())
    }

    /// True where a hook or a program that signs may stop a change.
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

    /// Why commits, or tags, are not signed here although the operator's configuration says so; none where it does not.
    pub fn is_left_unsigned(&self, tag: bool) -> Option<Idle> {
        let policy = &self.allowed.policy;
        let is_wanted = policy.signing == Signing::Auto && if tag { self.settings.signs_tags } else { self.settings.signs };
        let why = if policy.trust == Trust::Untrusted { Idle::SwitchedOff } else { Idle::NotTrusted };
        (is_wanted && !self.location.trusted).then_some(why)
    }

    /// How everything is before a change whose hooks may touch it; none where no hook runs, or there is too much to compare.
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

    /// What has changed since `before`, and what is staged.
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

    /// Those of the hooks called `names` that are there, and that git does not run here.
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
            if why == Idle::NotExecutable { hook.is_file() && !crate::is_executable(&hook) } else { crate::is_executable(&hook) }
        };
        let names: Vec<String> = names.iter().filter(is_idle).map(ToString::to_string).collect();
        Ok((!names.is_empty()).then_some(IdleHooks { names, folder, why }))
    }

    /// Where git looks for hooks.
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

/// What a hook and git wrote, without git's advice, bounded.
fn words(stderr: &str) -> String {
    let mut in_advice = false;
    let mut kept = String::new();
    for line in stderr.lines() {
        let is_known = ADVICE.contains(&line);
        // A hint may have several lines.
        in_advice = line.starts_with("hint:") && (is_known || in_advice);
        if !is_known && !in_advice {
            kept.extend([line, "\n"]);
        }
    }
    let kept = kept.trim();
    if kept.len() <= MAX_SAID {
        return kept.to_owned();
    }
    let head = kept.floor_char_boundary(MAX_SAID / 2);
    let tail = kept.ceil_char_boundary(kept.len() - MAX_SAID / 2);
    // Whole words, so that no address is in two.
    let head = kept[..head].rfind(char::is_whitespace).unwrap_or_default();
    let tail = kept[tail..].find(char::is_whitespace).map_or(kept.len(), |at| tail + at + 1);
    format!("{}\n[{} bytes left out]\n{}", &kept[..head], tail - head, &kept[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_without_advice() {
        let said = "NO\nNot committing merge; use 'git commit' to complete the merge.\nhint: of the hook\n\
                    hint: Could not execute the todo command\nhint:\nhint:     git rebase --continue\nend\n";
        assert_eq!(words(said), "NO\nhint: of the hook\nend");
        let long = format!("first\n{}last\n", "line of a hook\n".repeat(10_000));
        let kept = words(&long);
        assert!(kept.len() < MAX_SAID + 100 && kept.starts_with("first\n") && kept.ends_with("\nlast"), "{kept}");
        assert!(words(&"x".repeat(100_000)).len() < 100);
    }
}

//! Converts the outcome of a git process into an error.

use crate::{
    error::{Error, FailedHook, Halt, Result, words},
    process::stderr::{Ended, all_messages, is_filter_error, overwritten, without_usage},
};

/// Commands that contact remotes.
const TRANSFERS: [&str; 6] = ["fetch", "pull", "push", "clone", "ls-remote", "submodule"];

impl Ended {
    /// Turns any exit code but 0 into an error.
    pub(crate) fn require(&self, command: &str) -> Result<()> {
        if self.code == Some(0) || self.full {
            return Ok(());
        }
        Err(self.failed(command))
    }

    /// The error for a process that failed.
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
        if is_filter_error(&self.stderr) && !TRANSFERS.iter().any(|transfer| command.starts_with(transfer)) {
            return Error::FilterFailed { unchanged: false, said: all_messages(&self.stderr) };
        }
        Error::Failed { command: command.to_owned(), exit: self.status.clone(), stderr: without_usage(&self.stderr) }
    }

    /// The error for a process that failed after part of its work, `done`, had taken effect.
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

    /// Fails unless the process succeeded or only the hook `post-checkout` failed: git then exits with the hook's code, but
    /// the checkout is done.
    pub(crate) fn require_but_for_the_hook(&self, command: &str) -> Result<Option<FailedHook>> {
        match self.children.failed_hook("post-checkout") {
            Some(by) if self.code != Some(0) => Ok(Some(FailedHook { by: by.clone(), said: words(&self.stderr) })),
            _ => self.require(command).map(|()| None),
        }
    }
}

//! The threads that run a call, and the answer to a call whose thread hangs.

use super::panicked;
use crate::{
    error::{Error, Kind},
    lifecycle::grace,
};
use git::Cancel;
use guard::{Job, Permit, Running};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Grace periods of a stopped call.
#[derive(Clone, Copy)]
pub(super) struct Grace {
    /// How long it may keep running after shutdown begins.
    pub(super) stop: Duration,
    /// How long its thread may take to end after a cancel or timeout; then the call is answered without it.
    pub(super) end: Duration,
    /// The note on the repository's state in that answer.
    doubt: Option<&'static str>,
}

impl Grace {
    /// For a read.
    pub(super) const READ: Self = Self { stop: grace::READ_STOP, end: grace::READ_END, doubt: None };
    /// For a change: git has three seconds between SIGTERM and SIGKILL, and its end is recorded.
    pub(super) const CHANGE: Self = Self {
        stop: grace::CHANGE_STOP,
        end: grace::CHANGE_END,
        doubt: Some(
            "The change may or may not have been made: check git_status and git_log. Its thread keeps the worktree locked until it \
             ends.",
        ),
    };

    /// The error for a call whose thread hangs.
    pub(super) fn unanswered(self, cancel: &Cancel) -> Error {
        let (kind, message) = if matches!(cancel.check(), Err(git::Error::Cancelled)) {
            (Kind::Cancelled, "the call was cancelled, but its thread hangs")
        } else {
            (Kind::TimedOut, "the call timed out, and its thread hangs")
        };
        let cause = "An unresponsive file system is a likely cause; `mcp-server-git status` shows the operator how many threads are \
                     lost.";
        Error::new(kind, message).hint(self.doubt.map_or_else(|| cause.to_owned(), |doubt| format!("{doubt} {cause}")))
    }
}

/// Runs the work of one call on threads.
pub(super) struct Worker {
    tracker: TaskTracker,
    job: Job,
}

impl Worker {
    pub(super) fn new(tracker: &TaskTracker, job: &Job) -> Self {
        Self { tracker: tracker.clone(), job: job.clone() }
    }

    /// Runs the work on its own thread, where a panic fails only this call. The permit is released when the thread ends,
    /// or when the call is answered without it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        permit: Option<Permit>,
        work: impl FnOnce(&Running) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let running = self.job.begin(permit)?;
        // If the call was abandoned before the thread starts, nothing is done.
        let task = self.tracker.spawn_blocking(move || if running.is_lost() { Err(panicked()) } else { work(&running) });
        task.await.unwrap_or_else(|_| Err(panicked()))
    }
}

/// Abandons a job on drop, however the wait for it ends; does nothing if its threads have ended.
pub(super) struct Attended(pub(super) Job);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

//! The threads on which the parts of a call run, and the answer of a call whose thread does not end.

use super::{panicked, timings::Timings};
use crate::error::{Error, Kind};
use git::Cancel;
use guard::{Job, Permit, Running};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// What a call is allowed after it was stopped.
#[derive(Clone, Copy)]
pub(super) struct Grace {
    /// How long it may still run once the server is to stop.
    pub(super) stop: Duration,
    /// How long its thread may take to end once it is cancelled or out of time. Then it is answered without its thread.
    pub(super) end: Duration,
    /// What its answer then says of the repository.
    doubt: Option<&'static str>,
}

impl Grace {
    /// For a read.
    pub(super) const READ: Self = Self { stop: Duration::from_millis(700), end: Duration::from_millis(500), doubt: None };
    /// For a change: git has three seconds between SIGTERM and SIGKILL, and its end is recorded.
    pub(super) const CHANGE: Self = Self {
        stop: Duration::from_secs(5),
        end: Duration::from_millis(3500),
        doubt: Some(
            "It is not known whether the change was made: look with git_status and git_log. Its thread keeps the worktree locked until it \
             ends.",
        ),
    };

    /// The answer of a call whose thread does not end.
    pub(super) fn unanswered(self, cancel: &Cancel) -> Error {
        let kind = match cancel.check() {
            Err(git::Error::Cancelled) => Kind::Cancelled,
            _ => Kind::TimedOut,
        };
        let message = match kind {
            Kind::Cancelled => "the call was cancelled, and its thread does not end",
            _ => "the call ran past its deadline, and its thread does not end",
        };
        let cause = "A file system that does not answer is a likely cause; the operator sees with `mcp-server-git status` how many threads \
                     are lost.";
        Error::new(kind, message).hint(self.doubt.map_or_else(|| cause.to_owned(), |doubt| format!("{doubt} {cause}")))
    }
}

/// Runs the parts of one call on threads.
pub(super) struct Worker {
    tracker: TaskTracker,
    job: Job,
    timings: Arc<Timings>,
}

impl Worker {
    pub(super) fn new(tracker: &TaskTracker, job: &Job, timings: &Arc<Timings>) -> Self {
        Self { tracker: tracker.clone(), job: job.clone(), timings: Arc::clone(timings) }
    }

    /// Where the time of the call goes.
    pub(super) fn timings(&self) -> &Arc<Timings> {
        &self.timings
    }

    /// Does the work on a thread of its own, where a panic ends the call and nothing else. The permit is released when the
    /// thread ends, or when the call is answered without it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        permit: Option<Permit>,
        work: impl FnOnce(&Running) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let running = self.job.begin(permit)?;
        // Where nobody waits any more before the thread begins, nothing is done.
        let task = self.tracker.spawn_blocking(move || if running.is_lost() { Err(panicked()) } else { work(&running) });
        task.await.unwrap_or_else(|_| Err(panicked()))
    }
}

/// Abandons a job in whatever way the wait for it ends. One that has no thread any more has nothing to lose.
pub(super) struct Attended(pub(super) Job);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

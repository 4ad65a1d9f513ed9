//! Records a change: what it did is in the journal before and after it, so that it can be undone and is never repeated.

use super::{
    change_lock::Locked,
    request::Job,
    run::{OnThread, lacked},
    services::Services,
    timings::Stage,
};
use crate::{
    error::Error,
    journal::Request,
    output::Reply,
    tool::{Entry, Scope},
};
use git::Repo;
use std::{cell::Cell, sync::Arc};

/// Records changes.
pub(super) struct Journal<S> {
    services: Arc<Services>,
    inner: S,
}

/// The parts of a change that the journal records.
pub(super) struct Change {
    pub(super) tool: &'static Entry,
    pub(super) key: Option<String>,
    pub(super) digest: String,
}

impl<S: OnThread> Journal<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }

    /// Makes a change that holds its locks.
    pub(super) fn run(&self, job: Job, change: Change, repo: &Arc<Repo>, held: &mut [Locked]) -> Result<Reply, Error> {
        let Change { tool, key, digest } = change;
        let (cancel, principal, timings) = (job.cancel.clone(), Arc::clone(&job.principal), Arc::clone(&job.timings));
        repo.check_changeable(&cancel)?;
        let request = Request {
            lock: held.first().map(Locked::lock),
            tool: tool.name,
            key: key.as_deref(),
            principal: &principal,
            digest,
            worktree_locked: tool.scope != Scope::Remote,
            previous_holder_crashed: held.iter().any(Locked::previous_holder_crashed),
            recovered: Cell::default(),
        };
        let storage = self.services.breakers.storage(&repo.location().common_dir)?;
        let before = repo.is_partial().then(|| repo.content_snapshot(&cancel)).transpose()?;
        let result = timings.time(Stage::Encode, || {
            self.services.of_tools.journal.record(repo, &request, &cancel, |record| {
                // The last check before anything changes.
                held.iter().try_for_each(Locked::check)?;
                repo.check_in_place()?;
                self.inner.run(job, repo, Some(record)).map_err(|error| match &before {
                    // A call that has already changed something cannot be retried.
                    Some(before) if repo.content_snapshot(&cancel).is_ok_and(|now| now != *before) => error,
                    _ => lacked(repo, error, &cancel),
                })
            })
        });
        let recovered = request.recovered.get();
        for one in held {
            one.end(recovered);
        }
        storage.end(&result);
        result
    }
}

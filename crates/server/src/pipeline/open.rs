//! Opens the repository of a read, and checks that it stayed in place.

use super::{
    request::Job,
    resolve::{Finder, Wanted},
    run::{OnThread, lacked},
    services::Services,
};
use crate::{error::Error, output::Reply};
use std::sync::Arc;

/// Reads from a repository.
pub(super) struct Open<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S: OnThread> Open<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }

    pub(super) fn run(&self, job: Job, finder: &Finder, wanted: &Wanted) -> Result<Reply, Error> {
        let cancel = job.cancel.clone();
        let reusable = job.reusable.clone();
        let repo = job.timings.open(|| finder.open(wanted))?;
        let begun = reusable.as_ref().and_then(|_| repo.begin_read());
        let reply = self.inner.run(job, &repo, None).map_err(|error| lacked(&repo, error, &cancel));
        let reply = reply.inspect_err(|error| self.services.breakers.storage_of_read(&repo.location().common_dir, error))?;
        // If part of the repository was replaced meanwhile, the data may come from elsewhere.
        repo.check_in_place()?;
        if let (Some(call), Some(begun)) = (reusable, begun)
            && !cancel.has_unwatched()
            && repo.generation() == Some(begun)
        {
            self.services.replies.put(call, begun, &reply);
        }
        Ok(reply)
    }
}

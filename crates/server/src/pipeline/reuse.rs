//! Answers a read that was made before, if its repository is watched and has not changed since.
//!
//! Such a call takes no slot and no thread: it makes a few system calls on local file systems.

use super::{layer::Layer, request::Timed, services::Services};
use crate::{error::Error, output::Reply};
use std::sync::Arc;

/// Answers reads from the replies kept.
pub(super) struct Reuse<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S> Reuse<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }

    fn kept(&self, timed: &Timed) -> Option<Reply> {
        let call = timed.reusable(&self.services)?;
        let attempt = &timed.authorized.attempt.call;
        let finder = self.services.finder(attempt.client_roots.clone(), &attempt.caller.principal);
        let repo = finder.peek(&timed.authorized.envelope.wanted)?;
        let reply = self.services.replies.get(&call, repo.generation()?)?;
        repo.check_in_place().ok()?;
        Some(reply)
    }
}

impl<S: Layer<Timed>> Layer<Timed> for Reuse<S> {
    async fn call(&self, timed: Timed) -> Result<Reply, Error> {
        match self.kept(&timed) {
            Some(reply) => Ok(reply),
            None => self.inner.call(timed).await,
        }
    }
}

//! Answers a read that was made before, if its repository is watched and has not changed since.
//!
//! Such a call takes no slot and no thread: it makes a few system calls on local file systems.

use super::{
    layer::Layer,
    request::{Timed, Work},
    resolve::Finder,
    services::Services,
};
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
        let call = call(timed, &self.services)?;
        let attempt = &timed.authorized.attempt.call;
        let finder: Finder = self.services.finder(attempt.client_roots.clone(), &attempt.caller.principal);
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

/// What identifies a call whose reply may be given again; `None` if each call may have another.
pub(super) fn call(timed: &Timed, services: &Services) -> Option<String> {
    let Work::Repository(parsed) = &timed.authorized.work else { return None };
    let attempt = &timed.authorized.attempt.call;
    let is_kept = services.replies.is_on() && parsed.is_repeatable();
    let args = is_kept.then(|| serde_json::to_string(&attempt.args).unwrap_or_default())?;
    // Revisions such as `main@{yesterday}` move on, too.
    (!args.contains("@{"))
        .then(|| format!("{} {} {:?} {args}", attempt.tool.name, services.bounds().max_output_tokens, attempt.client_roots))
}

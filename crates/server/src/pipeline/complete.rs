//! Partial clones: missing objects are fetched in one batch, and the call is retried.

use super::{
    Call,
    envelope::Envelope,
    layer::Layer,
    request::Attempt,
    services::Services,
    worker::{Attended, Grace, Worker},
};
use crate::{
    caller::Right,
    error::{Error, Kind},
    output::{Budget, Echo, Reply, shell_word},
};
use git::{Cancel, Direction, ObjectId};
use guard::{Class, Running};
use std::{sync::Arc, time::Instant};

/// Maximum number of fetches per call. Most missing objects are known at once; earlier names of a file and omitted
/// directories show only after a fetch.
const FETCHES: usize = 8;

/// Fetches the objects that a call misses, and retries it.
pub(super) struct Complete<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S> Complete<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Attempt>> Layer<Attempt> for Complete<S> {
    async fn call(&self, mut attempt: Attempt) -> Result<Reply, Error> {
        for _ in 0..FETCHES {
            let again = attempt.clone();
            let error = match self.inner.call(attempt).await {
                Err(error) if error.promised().is_some() => error,
                result => return result,
            };
            self.services.fetch_missing(&again, error).await?;
            // Time spent fetching does not count against the call's deadline.
            attempt = Attempt { call: Call { received: Instant::now(), ..again.call }, ..again };
        }
        self.inner.call(attempt).await
    }
}

impl Services {
    /// Fetches the missing objects if the caller may reach remotes and the server may write; otherwise names who can.
    async fn fetch_missing(&self, attempt: &Attempt, mut error: Error) -> Result<(), Error> {
        let Attempt { call, present, .. } = attempt;
        let Some((missing, remote)) = error.promised() else { return Err(error) };
        let (missing, remote): (Vec<ObjectId>, String) = (missing.to_vec(), remote.to_owned());
        let mut args = call.args.clone();
        let Envelope { wanted, budget, .. } = Envelope::take(call.tool, &mut args, Budget::of(self.bounds().max_output_tokens))?;
        let finder = self.finder(call.client_roots.clone(), &call.caller.principal);
        if self.selection.read_only {
            let place = finder.locate(&wanted)?;
            let hint = format!(
                "This server is read-only, so it does not fetch them. Ask the operator to fetch all of them with: git -C {} fetch \
                 --refetch --no-filter {}",
                shell_word(&place),
                shell_word(&remote)
            );
            error.kind = Kind::Denied;
            return Err(error.hint(hint));
        }
        if !call.caller.rights.contains(&Right::Network) {
            let again = Echo::new(call.tool.name, call.args.clone(), budget).again(&[]);
            let hint = format!(
                "The token does not have the scope `network`, so they are not fetched. A caller with that scope fetches them with: {again}"
            );
            error.kind = Kind::Denied;
            return Err(error.hint(hint));
        }
        let cancel = Cancel::new(Some(Instant::now() + self.bounds().network_timeout));
        let job = self.threads.job(Class::Network);
        let worker = Worker::new(&self.running, &job);
        let (principal, ends) = (&call.caller.principal, cancel.clone());
        let on_progress = call.on_progress.clone();
        let fetch = async {
            let opening = self.opening(principal, &cancel).await?;
            let name = remote.clone();
            let found = move |_: &Running| {
                let repo = finder.open(&wanted)?;
                let target = repo.target(Some(&name), None, Direction::Fetch);
                Ok((repo, target))
            };
            let (repo, target) = worker.run(Some(opening), found).await?;
            let permit = self.approach(Class::Network, principal, target, Direction::Fetch, &cancel).await?;
            let work = move |_: &Running| {
                repo.check_changeable(&ends)?;
                let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
                repo.fetch_missing(&missing, &report, &ends)?;
                Ok(repo.check_in_place()?)
            };
            worker.run(Some(permit), work).await
        };
        let fetched = self.watched(fetch, Attended(job), &cancel, [call.cancelled.clone(), present.clone()], Grace::READ).await;
        fetched.map_err(|mut why| {
            why.message = format!("{}, and fetching failed: {}", error.message, why.message);
            why
        })
    }
}

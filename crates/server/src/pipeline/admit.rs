//! Admission: a call that reads, or works on a path, takes a slot of its class before it runs.

use super::{
    layer::Layer,
    open::Open,
    request::{Authorized, Timed, Work},
    run::OnThread,
    services::Services,
    timings::Stage,
};
use crate::{error::Error, output::Reply, tool::Anywhere};
use git::Target;
use guard::{Class, Running};
use serde_json::Value;
use std::sync::Arc;

/// Admits reads.
pub(super) struct AdmitRead<S> {
    services: Arc<Services>,
    inner: Arc<Open<S>>,
}

impl<S> AdmitRead<S> {
    pub(super) fn new(services: &Arc<Services>, inner: Open<S>) -> Self {
        Self { services: Arc::clone(services), inner: Arc::new(inner) }
    }
}

impl<S: OnThread + 'static> Layer<Timed> for AdmitRead<S> {
    async fn call(&self, timed: Timed) -> Result<Reply, Error> {
        let services = &self.services;
        let (ready, job) = timed.ready(services)?;
        let (timings, principal, cancel) = (Arc::clone(&job.timings), Arc::clone(&job.principal), job.cancel.clone());
        let tool = ready.tool;
        let permit = if tool.scope.is_remote() {
            // The remote that it reaches is known once the repository is open.
            let opening = timings.queued(services.opening(&principal, &cancel)).await?;
            let (finder, wanted, aim, own) = (ready.finder.clone(), ready.wanted.clone(), ready.aim, Arc::clone(&timings));
            let found = move |_: &Running| Ok(aim.target(&*own.open(|| finder.open(&wanted))?, tool.direction));
            let target = ready.worker.run(Some(opening), found).await?;
            timings.queued(services.approach(Class::Network, &principal, target, tool.direction, &cancel)).await?
        } else {
            timings.queued(services.slot(Class::Read, &principal, None, &cancel)).await?
        };
        let (inner, finder, wanted) = (Arc::clone(&self.inner), ready.finder, ready.wanted);
        ready.worker.run(Some(permit), move |_| inner.run(job, &finder, &wanted)).await
    }
}

/// Admits calls that work on a path instead of a repository.
pub(super) struct AdmitPath {
    services: Arc<Services>,
}

impl AdmitPath {
    pub(super) fn new(services: &Arc<Services>) -> Self {
        Self { services: Arc::clone(services) }
    }
}

impl Layer<Timed> for AdmitPath {
    async fn call(&self, timed: Timed) -> Result<Reply, Error> {
        let (services, Timed { authorized, cancel, worker }) = (&self.services, timed);
        let Authorized { attempt, envelope, work: Work::Path(body, args), .. } = authorized else {
            return Err(super::panicked());
        };
        let (tool, principal, timings) = (attempt.call.tool, &attempt.call.caller.principal, Arc::clone(&attempt.timings));
        let url = args.get("url").and_then(Value::as_str).filter(|_| tool.scope.is_remote());
        let target = url.and_then(Target::parse);
        let class = if tool.scope.is_remote() { Class::Network } else { Class::Change };
        let permit = timings.queued(services.approach(class, principal, target, tool.direction, &cancel)).await?;
        let finder = services.finder(attempt.call.client_roots, principal);
        let (repositories, on_progress) = (Arc::clone(&services.repositories), attempt.call.on_progress);
        let work = move |_: &Running| {
            let path = finder.locate_confined(&envelope.wanted)?;
            let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
            let place = Anywhere { repositories: &repositories, path: &path.to_string_lossy(), cancel: &cancel, on_progress: &report };
            timings.time(Stage::Encode, || body(&place, args))
        };
        worker.run(Some(permit), work).await
    }
}

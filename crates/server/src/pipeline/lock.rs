//! Locks and admission of a change. A change waits for its worktree before it takes a slot, so that waiting writers occupy none.

use super::{
    journal::{Change, Journal},
    layer::Layer,
    request::Timed,
    run::OnThread,
    services::Services,
    timings::Stage,
};
use crate::{error::Error, output::Reply};
use git::Repo;
use guard::{Class, Running};
use std::sync::Arc;

/// Lets one change at a time into a worktree, and into what worktrees share.
pub(super) struct Lock<S> {
    services: Arc<Services>,
    inner: Arc<Journal<S>>,
}

impl<S> Lock<S> {
    pub(super) fn new(services: &Arc<Services>, inner: Journal<S>) -> Self {
        Self { services: Arc::clone(services), inner: Arc::new(inner) }
    }
}

/// A finished change, or one that has to wait for its locks.
enum Begun<W> {
    Done(Reply),
    Later(Arc<Repo>, W),
}

impl<S: OnThread + 'static> Layer<Timed> for Lock<S> {
    async fn call(&self, timed: Timed) -> Result<Reply, Error> {
        let services = &self.services;
        let (ready, job) = timed.ready(services)?;
        let (timings, owner, ends) = (Arc::clone(&job.timings), Arc::clone(&job.principal), job.cancel.clone());
        let (tool, worker, aim) = (ready.tool, ready.worker, ready.aim);
        let work = (job, Change { tool, key: ready.key, digest: ready.digest });
        let opening = timings.queued(services.opening(&owner, &ends)).await?;
        let begin = {
            let (own, inner, timings) = (Arc::clone(services), Arc::clone(&self.inner), Arc::clone(&timings));
            let (finder, wanted, who, cancel) = (ready.finder, ready.wanted, Arc::clone(&owner), ends.clone());
            move |running: &Running| {
                let repo = timings.open(|| finder.open(&wanted))?;
                // A delayed thread must not change anything after its call was answered.
                cancel.check()?;
                // Without contention the change runs on this thread: a thread hop costs measurable latency.
                let taken = (!tool.scope.is_remote()).then(|| own.change_lock.take_now(tool.name, tool.scope, &repo)).flatten();
                let Some((mut held, permit)) = taken.and_then(|held| Some((held, own.admission.try_admit(Class::Change, &who)?))) else {
                    return Ok(Begun::Later(repo, work));
                };
                running.hold(Some(permit));
                let (job, change) = work;
                inner.run(job, change, &repo, &mut held).map(Begun::Done)
            }
        };
        let (repo, (job, change)) = match worker.run(Some(opening), begin).await? {
            Begun::Done(reply) => return Ok(reply),
            Begun::Later(repo, work) => (repo, work),
        };
        let mut held = {
            let _waiting = timings.begin(Stage::Lock);
            services.change_lock.take(tool.name, tool.scope, &repo, &ends, &worker).await?
        };
        let permit = if tool.scope.is_remote() {
            let reaching = Arc::clone(&repo);
            let opening = timings.queued(services.opening(&owner, &ends)).await?;
            let target = worker.run(Some(opening), move |_| Ok(aim.target(&reaching, tool.direction))).await?;
            timings.queued(services.approach(Class::Network, &owner, target, tool.direction, &ends)).await?
        } else {
            timings.queued(services.slot(Class::Change, &owner, None, &ends)).await?
        };
        let inner = Arc::clone(&self.inner);
        let change = move |_: &Running| {
            ends.check()?;
            // Turn and lock are held until the work ends, even if its call was abandoned.
            inner.run(job, change, &repo, &mut held)
        };
        worker.run(Some(permit), change).await
    }
}

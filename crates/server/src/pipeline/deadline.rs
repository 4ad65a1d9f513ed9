//! Deadline and cancellation: a call ends at its deadline, when its client cancels it, and when the server stops.

use super::{
    layer::Layer,
    panicked,
    request::{Authorized, Timed},
    services::Services,
    worker::{Attended, Grace, Worker},
};
use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::Effect,
};
use git::Cancel;
use guard::Class;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Gives a call the time of its class, counted from its arrival.
pub(super) struct Deadline<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S> Deadline<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Timed>> Layer<Authorized> for Deadline<S> {
    async fn call(&self, authorized: Authorized) -> Result<Reply, Error> {
        let (services, attempt, bounds) = (&self.services, &authorized.attempt, self.services.bounds());
        let reads = authorized.effect == Effect::Read;
        let (class, timeout) = match attempt.call.tool.scope {
            scope if scope.is_remote() => (Class::Network, bounds.network_timeout),
            _ if reads => (Class::Read, bounds.read_timeout),
            _ => (Class::Change, bounds.change_timeout),
        };
        let cancel = Cancel::new(Some(attempt.call.received + timeout));
        let (ends, job) = ([attempt.call.cancelled.clone(), attempt.present.clone()], services.threads.job(class));
        let worker = Worker::new(&services.running, &job);
        let grace = if reads { Grace::READ } else { Grace::CHANGE };
        let call = self.inner.call(Timed { authorized, cancel: cancel.clone(), worker });
        let done = services.watched(call, Attended(job), &cancel, ends, grace).await;
        done.map_err(|error| if reads { error } else { error.for_change() })
    }
}

impl Services {
    /// Forwards cancellation, the deadline and shutdown to the running work.
    pub(super) async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
        attended: Attended,
        cancel: &Cancel,
        [cancelled, present]: [CancellationToken; 2],
        grace: Grace,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        let stopping = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace.stop).await;
        };
        let late = async {
            match cancel.deadline() {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            done = &mut work => return done,
            () = cancelled.cancelled() => StopReason::Cancelled,
            () = present.cancelled() => StopReason::Stopped,
            () = stopping => StopReason::Cancelled,
            () = late => StopReason::TimedOut,
        };
        match reason {
            StopReason::Cancelled | StopReason::Stopped => cancel.cancel(),
            StopReason::TimedOut => cancel.time_out(),
        }
        // Most work watches `cancel` and ends soon; its own result is the better answer.
        if let Ok(done) = tokio::time::timeout(grace.end, work).await {
            return match done {
                Err(error) if error.kind == Kind::Cancelled && reason == StopReason::Stopped => Err(Error::stopped()),
                done => done,
            };
        }
        let lost = attended.0.abandon();
        if lost == 0 {
            return Err(cancel.check().err().map_or_else(panicked, Error::from));
        }
        tracing::warn!(lost, threads = self.threads.total(), "call answered; its thread is stuck");
        Err(grace.unanswered(cancel))
    }
}

/// Why a call is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Cancelled,
    /// The operator has stopped this call, or all.
    Stopped,
    TimedOut,
}

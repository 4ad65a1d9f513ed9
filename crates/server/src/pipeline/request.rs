//! A call on its way: each type is what a layer has added.

use super::{
    Call,
    envelope::{Aim, Envelope},
    panicked,
    resolve::{Finder, Wanted},
    services::Services,
    timings::Timings,
    worker::Worker,
};
use crate::{
    error::Error,
    output::{Budget, Echo},
    tool::{Effect, Entry, Parsed, Reporter, entry::RunAnywhere},
};
use git::Cancel;
use serde_json::{Map, Value};
use std::{path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;

/// One attempt at a call.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) call: Call,
    pub(super) timings: Arc<Timings>,
    /// Fires when the operator stops this call, or all.
    pub(super) present: CancellationToken,
}

/// A call that its caller may make, with parsed arguments.
pub(super) struct Authorized {
    pub(super) attempt: Attempt,
    pub(super) effect: Effect,
    pub(super) envelope: Envelope,
    pub(super) work: Work,
    /// The remote it names.
    pub(super) aim: Aim,
    /// Digest of the tool's own arguments; empty for a read-only tool.
    pub(super) digest: String,
}

/// The work of a call.
pub(super) enum Work {
    Repository(Box<dyn Parsed>),
    Path(RunAnywhere, Map<String, Value>),
}

/// A call with a deadline.
pub(super) struct Timed {
    pub(super) authorized: Authorized,
    pub(super) cancel: Cancel,
    pub(super) worker: Worker,
}

/// What the layers in front of the tool need of a call to a repository.
pub(super) struct Ready {
    pub(super) tool: &'static Entry,
    pub(super) worker: Worker,
    pub(super) finder: Finder,
    pub(super) wanted: Wanted,
    pub(super) aim: Aim,
    pub(super) key: Option<String>,
    pub(super) digest: String,
}

impl Timed {
    /// What identifies a call whose reply may be given again; `None` if each call may have another.
    pub(super) fn reusable(&self, services: &Services) -> Option<String> {
        let (Work::Repository(parsed), call) = (&self.authorized.work, &self.authorized.attempt.call) else { return None };
        if !(services.replies.is_on() && parsed.is_repeatable()) {
            return None;
        }
        let args = serde_json::to_string(&call.args).unwrap_or_default();
        // What revisions such as `main@{yesterday}` mean moves on.
        let is_timeless = !args.contains("@{");
        is_timeless.then(|| format!("{} {} {:?} {args}", call.tool.name, services.bounds().max_output_tokens, call.client_roots))
    }

    /// Splits a call to a repository into what its layers and what its tool need.
    pub(super) fn ready(self, services: &Services) -> Result<(Ready, Job), Error> {
        let reusable = self.reusable(services);
        let Self { authorized: Authorized { attempt, envelope, work, aim, digest, .. }, cancel, worker } = self;
        let Work::Repository(parsed) = work else { return Err(panicked()) };
        let Call { tool, args, caller, client_roots, on_progress, .. } = attempt.call;
        let Envelope { wanted, budget, key, confirmed } = envelope;
        let (principal, echo) = (caller.principal, Echo::new(tool.name, args, budget));
        let finder = services.finder(client_roots.clone(), &principal);
        let timings = attempt.timings;
        let job = Job { parsed, cancel, budget, echo, confirmed, principal, on_progress, client_roots, timings, reusable };
        Ok((Ready { tool, worker, finder, wanted, aim, key, digest }, job))
    }
}

/// What the tool of a call needs besides the repository, on the call's thread.
pub(super) struct Job {
    pub(super) parsed: Box<dyn Parsed>,
    pub(super) cancel: Cancel,
    pub(super) budget: Budget,
    pub(super) echo: Echo,
    pub(super) confirmed: bool,
    pub(super) principal: Arc<str>,
    pub(super) on_progress: Option<Reporter>,
    pub(super) client_roots: Option<Vec<PathBuf>>,
    pub(super) timings: Arc<Timings>,
    /// What identifies the call, if its reply may be given again.
    pub(super) reusable: Option<String>,
}

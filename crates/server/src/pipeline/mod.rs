//! The request path: what happens to a call between the wire and its tool, as a list of layers from the outside in.
//!
//! track → hold → observe → complete → authorize → deadline, and then by the effect of the call:
//! a read: reuse → admit → open → run; a change: lock → admit → journal → run; on a path: admit → run.
//!
//! Each layer is a struct in the file of its name. The last ones run on the call's thread. A change waits for its worktree
//! before it takes a slot, so that waiting writers occupy no slots; a read takes its slot first and opens its repository on
//! the thread that reads it.
//!
//! Every call is answered, even if its thread hangs: the thread then counts as lost, and its slot is freed.

mod admit;
mod authorize;
mod change_lock;
mod complete;
mod deadline;
mod envelope;
mod hold;
mod holds;
mod in_flight;
mod journal;
mod layer;
mod lock;
mod observe;
mod open;
mod request;
mod resolve;
mod resource;
mod reuse;
mod run;
mod services;
mod timings;
mod track;
mod worker;

pub(crate) use change_lock::{ChangeLock, LOCK_WAITS};
pub(crate) use envelope::{check, effect};
pub(crate) use holds::{Held, Holds, How};
pub(crate) use in_flight::{InFlight, Tracked};
pub(crate) use resource::ResourceKind;
pub use services::Services;
pub use timings::Origin;
pub(crate) use timings::{Apart, Stage};

use crate::{
    caller::Caller,
    error::{Error, Kind},
    output::Reply,
    tool::{Effect, Entry, Reporter, Scope},
};
use admit::{AdmitPath, AdmitRead};
use authorize::Authorize;
use complete::Complete;
use deadline::Deadline;
use git::{Cancel, Repo};
use guard::{Class, Running};
use hold::Hold;
use journal::Journal;
use layer::{Layer, Stack};
use lock::Lock;
use observe::Observe;
use open::Open;
use request::{Timed, Work};
use resolve::Wanted;
use reuse::Reuse;
use run::Run;
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use track::Track;
use worker::{Attended, Grace, Worker};

/// A tool call, free of any wire format.
#[derive(Clone)]
pub struct Call {
    /// The tool.
    pub tool: &'static Entry,
    /// Its arguments, not yet parsed.
    pub args: Map<String, Value>,
    /// The authenticated caller.
    pub caller: Caller,
    /// Fires when the caller cancels.
    pub cancelled: CancellationToken,
    /// When the call arrived. The deadline counts from here.
    pub received: Instant,
    /// The client's roots: directories it restricts itself to.
    pub client_roots: Option<Vec<PathBuf>>,
    /// Receives progress reports.
    pub on_progress: Option<Reporter>,
    /// The call's origin, for the log.
    pub origin: Origin,
}

/// A read outside a tool call: of a resource, or for argument completion.
pub(crate) struct RepositoryRead {
    /// As in a tool's arguments.
    pub(crate) path: Option<String>,
    pub(crate) caller: Caller,
    pub(crate) cancelled: CancellationToken,
    pub(crate) client_roots: Option<Vec<PathBuf>>,
}

/// Time limits of calls, and the size limit of results.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a read.
    pub read_timeout: Duration,
    /// For a change.
    pub change_timeout: Duration,
    /// For a call that reaches a remote.
    pub network_timeout: Duration,
    /// In tokens; 0 is no limit.
    pub max_output_tokens: usize,
    /// Duration from which a call is logged as slow.
    pub slow: Duration,
}

/// The layers of every call.
type Calls = Track<Hold<Observe<Complete<Authorize<Deadline<ByEffect>>>>>>;

/// The request path of a server.
pub struct Pipeline {
    services: Arc<Services>,
    calls: Calls,
}

/// The layers by the effect of a call.
struct ByEffect {
    paths: AdmitPath,
    reads: Reuse<AdmitRead<Run>>,
    changes: Lock<Run>,
}

impl Layer<Timed> for ByEffect {
    async fn call(&self, timed: Timed) -> Result<Reply, Error> {
        match (&timed.authorized.work, timed.authorized.effect) {
            (Work::Path(..), _) => self.paths.call(timed).await,
            (Work::Repository(_), Effect::Read) => self.reads.call(timed).await,
            (Work::Repository(_), _) => self.changes.call(timed).await,
        }
    }
}

impl Pipeline {
    /// The request path of a server with these services.
    pub(crate) fn new(services: Arc<Services>) -> Self {
        let own = &services;
        let paths = AdmitPath::new(own);
        let reads = Stack(Run::new(own))
            .push(|run| Open::new(own, run))
            .push(|open| AdmitRead::new(own, open))
            .push(|admit| Reuse::new(own, admit))
            .0;
        let changes = Stack(Run::new(own)).push(|run| Journal::new(own, run)).push(|journal| Lock::new(own, journal)).0;
        let calls = Stack(ByEffect { paths, reads, changes })
            .push(|inner| Deadline::new(own, inner))
            .push(|inner| Authorize::new(own, inner))
            .push(|inner| Complete::new(own, inner))
            .push(|inner| Observe::new(own, inner))
            .push(|inner| Hold::new(own, inner))
            .push(|inner| Track::new(own, inner));
        Self { calls: calls.0, services }
    }

    /// What the calls share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Runs a call to completion.
    ///
    /// # Errors
    ///
    /// The tool's error, or the reason the call did not run.
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        // All layers in one future are large: callers would move it around.
        Box::pin(self.calls.call(call)).await
    }

    /// Reads from a repository outside a tool call.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        visit: RepositoryRead,
        work: impl FnOnce(&Arc<Repo>, &Cancel) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let RepositoryRead { path, caller, cancelled, client_roots } = visit;
        let services = &self.services;
        let _running = services.calls.token();
        caller.check(Effect::Read, Scope::Worktree)?;
        let (finder, wanted) = (services.finder(client_roots, &caller.principal), Wanted::path(path));
        let cancel = Cancel::new(Some(Instant::now() + services.bounds().read_timeout));
        let (stop, job) = (cancel.clone(), services.threads.job(Class::Read));
        let worker = Worker::new(&services.running, &job);
        let read = async {
            let permit = services.slot(Class::Read, &caller.principal, None, &cancel).await?;
            let work = move |_: &Running| {
                let repo = finder.open(&wanted)?;
                let found = work(&repo, &stop).map_err(|error| run::lacked(&repo, error, &stop))?;
                repo.check_in_place()?;
                Ok(found)
            };
            worker.run(Some(permit), work).await
        };
        services.watched(read, Attended(job), &cancel, [cancelled, services.present()], Grace::READ).await
    }
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "internal error; see the server's log").hint("Other calls are not affected.")
}

/// Waits for a cancel or the deadline, and returns its error.
async fn stopped(cancel: &Cancel) -> Error {
    let waiting = Arc::new(tokio::sync::Notify::new());
    let wake = Arc::clone(&waiting);
    let _guard = cancel.on_stop(move || wake.notify_one());
    waiting.notified().await;
    cancel.check().err().map_or_else(panicked, Error::from)
}

#[cfg(test)]
mod tests;

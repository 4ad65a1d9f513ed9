//! The stages of a call, from the outside in: observe, panic barrier, deadline and cancellation, gate and open,
//! one change at a time, admission, journal, dispatch.
//!
//! The order of the last four depends on the tool's effect. A change waits for its worktree before it takes a slot, so
//! that waiting writers occupy no slots; a read takes its slot first and opens its repository on the thread that reads it.
//!
//! Every call is answered, even if its thread hangs: the thread then counts as lost, and its slot is freed.

mod change_lock;
mod envelope;
pub(crate) mod holds;
mod missing;
mod repository;
mod run;
mod timings;
mod worker;

use crate::{
    caller::Caller,
    circuits::Breakers,
    error::{Error, Kind},
    output::Reply,
    persistence::Persistence,
    selection::Selection,
    suspicion::Suspicions,
    telemetry::{
        errors::Errors,
        metrics::Metrics,
        otlp::traces::{Ended, Traces},
    },
    tool::ToolServices,
    tool::{Effect, Entry, Reporter, Scope},
};
pub(crate) use change_lock::{ChangeLock, LOCK_WAITS};
pub(crate) use envelope::{check, effect};
use git::{Cancel, Repo, Repositories};
use guard::{Admission, Class, Resources, Running, Threads};
pub(crate) use holds::{Held, Holds, How};
use parking_lot::{Mutex, RwLock};
use repository::Wanted;
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
pub use timings::Origin;
pub(crate) use timings::{InGit, Timings};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker::{Attended, Grace, Worker};

/// How long shutdown waits for a lost thread: git has three seconds between SIGTERM and SIGKILL.
const LOST_GRACE: Duration = Duration::from_millis(3500);

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

/// The stages of a call and their state.
pub struct Pipeline {
    pub(crate) tools: Vec<&'static Entry>,
    pub(crate) listed: Vec<&'static Entry>,
    pub(crate) selection: Selection,
    pub(crate) services: Arc<ToolServices>,
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) admission: Admission,
    /// Slots for calls that open a repository before they take a slot of their class.
    pub(crate) openings: Admission,
    /// Counts lost threads.
    pub(crate) threads: Threads,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) persistence: Arc<Persistence>,
    pub(crate) errors: Arc<Errors>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
    /// Set while new calls are rejected because memory is short.
    pub(crate) pressure: Arc<AtomicBool>,
    pub(crate) suspicions: Suspicions,
    pub(crate) resources: Resources,
    /// Calls held at a breakpoint.
    pub(crate) holds: Holds,
    /// Cancelled and replaced to stop all running calls without stopping the server.
    pub(crate) present: Mutex<CancellationToken>,
    pub(crate) change_lock: ChangeLock,
    pub(crate) bounds: RwLock<Bounds>,
    pub(crate) stop: CancellationToken,
    /// Calls with a waiting client, running or queued.
    pub(crate) calls: TaskTracker,
    /// The threads of calls, including abandoned calls.
    pub(crate) running: TaskTracker,
}

impl Pipeline {
    /// The tools listed to clients.
    pub fn listed(&self) -> &[&'static Entry] {
        &self.listed
    }

    /// The tool called `name`.
    pub fn find(&self, name: &str) -> Option<&'static Entry> {
        self.tools.iter().copied().find(|entry| entry.name == name)
    }

    /// The limits in force.
    pub(crate) fn bounds(&self) -> Bounds {
        *self.bounds.read()
    }

    /// Runs a call to completion.
    ///
    /// # Errors
    ///
    /// The tool's error, or the reason the call did not run.
    pub async fn call(&self, mut call: Call) -> Result<Reply, Error> {
        // Counts the call while it is held or queued, too.
        let _running = self.calls.token();
        let present = self.present();
        let passed = self.holds.pass(&mut call, &present, &self.stop).await;
        let is_short = self.pressure.load(Ordering::Relaxed);
        let (tool, received, principal) = (call.tool.name, call.received, Arc::clone(&call.caller.principal));
        let (origin, timings) = (std::mem::take(&mut call.origin), Arc::new(Timings::since(received)));
        let mut result = match passed {
            Ok(()) if is_short => Err(Error::out_of_memory()),
            Ok(()) => self.completed(call, &timings, &present).await,
            Err(aborted) => Err(aborted),
        };
        if let Err(error) = &mut result
            && error.kind == Kind::Foreign
            && self.is_breach(&principal, "handles of other principals were used").await
        {
            error.kind = Kind::Breach;
        }
        if let Err(error) = &result {
            let count = if error.kind.is_cancellation() { Errors::note } else { Errors::record };
            count(&self.errors, error.class(), if is_short && error.kind == Kind::Unavailable { "memory_limit" } else { error.code() });
        }
        timings.measure(&self.metrics);
        // Calls made by the server itself belong to no request.
        if let Some(traces) = self.traces.as_ref().filter(|_| !origin.transport[0].is_empty()) {
            traces.call(&Ended {
                tool,
                parent: origin.parent.as_ref(),
                session: origin.session.as_deref(),
                request: origin.request.as_deref(),
                transport: origin.transport,
                took: received.elapsed(),
                error: result.as_ref().err().map(Error::code),
                parts: timings.parts(),
            });
        }
        timings.record(tool, &origin, received.elapsed(), self.bounds().slow, result.as_ref().map(drop));
        result
    }

    /// Records that a principal has tried another's handle, or a forged one. Repeated attempts revoke all its handles.
    pub(crate) async fn is_breach(&self, principal: &Arc<str>, what: &'static str) -> bool {
        let is_breach = self.suspicions.note(principal, Instant::now());
        if is_breach {
            let revoked = self.services.workspaces.revoke(principal).await;
            tracing::warn!(principal = &**principal, what, revoked, "repeated security violations, handles revoked");
        }
        is_breach
    }

    /// Waits for running calls at shutdown.
    pub async fn idle(&self, at_most: Duration) {
        self.calls.close();
        self.running.close();
        let ended = async { tokio::join!(self.calls.wait(), self.running.wait()) };
        let only_lost_remain = async {
            let is_quiet = || self.threads.since_last().is_none_or(|since| since >= LOST_GRACE);
            while self.unfinished() > 0 || !is_quiet() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            biased;
            _ = ended => {}
            () = only_lost_remain => tracing::warn!(threads = self.threads.total(), "shutting down without the lost threads"),
            // The rest ends with the process; child process groups have been signalled by now.
            () = tokio::time::sleep(at_most) => tracing::warn!("calls were still running at shutdown"),
        }
    }

    /// Number of unfinished calls, not counting lost threads.
    fn unfinished(&self) -> usize {
        self.calls.len().max(self.running.len().saturating_sub(self.threads.total()))
    }

    /// The token that stops all running calls.
    fn present(&self) -> CancellationToken {
        self.present.lock().clone()
    }

    /// Stops all running calls, but not the server. Returns the number of calls.
    pub(crate) fn stop_operations(&self) -> usize {
        let running = self.calls.len();
        let mut present = self.present.lock();
        std::mem::take(&mut *present).cancel();
        running
    }

    /// Waits until no call runs, for at most `at_most`; returns how many are left. Lost threads do not count.
    pub(crate) async fn drained(&self, at_most: Duration) -> usize {
        let empty = async {
            while self.unfinished() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(at_most, empty).await.ok();
        self.unfinished()
    }

    /// Runs the call once, with its deadline.
    async fn attempt(&self, call: Call, timings: &Arc<Timings>, present: &CancellationToken) -> Result<Reply, Error> {
        let bounds = self.bounds();
        let (asked, effect) = self.asked(&call)?;
        let reads = effect == Effect::Read;
        let (class, timeout) = match call.tool.scope {
            scope if scope.is_remote() => (Class::Network, bounds.network_timeout),
            _ if reads => (Class::Read, bounds.read_timeout),
            _ => (Class::Change, bounds.change_timeout),
        };
        let cancel = Cancel::new(Some(call.received + timeout));
        let (cancelled, job) = (call.cancelled.clone(), self.threads.job(class));
        let worker = Worker::new(&self.running, &job, timings);
        let grace = if reads { Grace::READ } else { Grace::CHANGE };
        let done =
            self.watched(self.run(call, asked, cancel.clone(), worker), Attended(job), &cancel, [cancelled, present.clone()], grace).await;
        done.map_err(|error| if reads { error } else { error.for_change() })
    }

    /// Forwards cancellation, the deadline and shutdown to the running work.
    async fn watched<T>(
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

    /// Reads from a repository outside a tool call.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        visit: RepositoryRead,
        work: impl FnOnce(&Arc<Repo>, &Cancel) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let RepositoryRead { path, caller, cancelled, client_roots } = visit;
        let _running = self.calls.token();
        caller.check(Effect::Read, Scope::Worktree)?;
        let (finder, wanted) = (self.finder(client_roots, &caller.principal), Wanted::path(path));
        let cancel = Cancel::new(Some(Instant::now() + self.bounds().read_timeout));
        let (stop, job) = (cancel.clone(), self.threads.job(Class::Read));
        let worker = Worker::new(&self.running, &job, &Arc::default());
        let read = async {
            let permit = self.place(Class::Read, &caller.principal, None, &cancel).await?;
            let work = move |_: &Running| {
                let repo = finder.open(&wanted)?;
                let found = work(&repo, &stop).map_err(|error| run::lacked(&repo, error, &stop))?;
                repo.check_in_place()?;
                Ok(found)
            };
            worker.run(Some(permit), work).await
        };
        self.watched(read, Attended(job), &cancel, [cancelled, self.present()], Grace::READ).await
    }
}

/// Why a call is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Cancelled,
    /// The operator has stopped all operations.
    Stopped,
    TimedOut,
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

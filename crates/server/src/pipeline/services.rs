//! The state that the request path works with, and that the admin channel, the server's own tasks and the wire read.

use super::{Bounds, ChangeLock, holds::Holds, in_flight::InFlight, stopped};
use crate::{
    circuits::Breakers,
    error::{Error, ErrorClass},
    lifecycle::grace,
    persistence::Persistence,
    replies::Replies,
    selection::Selection,
    suspicion::Suspicions,
    telemetry::{errors::Errors, latency::Latencies, metrics::Metrics, otlp::traces::Traces},
    tool::{Entry, ToolServices},
};
use git::{Cancel, Direction, Repositories, Target};
use guard::{Admission, Class, Permit, Resources, Threads};
use parking_lot::{Mutex, RwLock};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the calls of a server share.
pub struct Services {
    pub(crate) tools: Vec<&'static Entry>,
    pub(crate) listed: Vec<&'static Entry>,
    pub(crate) selection: Selection,
    /// What a tool sees of the server.
    pub(crate) of_tools: Arc<ToolServices>,
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
    pub(crate) latencies: Latencies,
    pub(crate) traces: Option<Arc<Traces>>,
    /// Set while new calls are rejected because memory is short.
    pub(crate) pressure: Arc<AtomicBool>,
    pub(crate) suspicions: Suspicions,
    pub(crate) resources: Resources,
    /// Calls held at a breakpoint.
    pub(crate) holds: Holds,
    /// Replies to reads, given again.
    pub(crate) replies: Replies,
    /// The calls that are not yet answered.
    pub(crate) in_flight: InFlight,
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

impl Services {
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

    /// Records that a principal has tried another's handle, or a forged one. Repeated attempts revoke all its handles.
    pub(crate) async fn is_breach(&self, principal: &Arc<str>, session: Option<&str>, what: &'static str) -> bool {
        let is_breach = self.suspicions.note(principal, Instant::now());
        if is_breach {
            let revoked = self.of_tools.workspaces.revoke(principal).await;
            let error_class = ErrorClass::SecurityBreach.name();
            tracing::warn!(
                error_class,
                session_id = session,
                principal = &**principal,
                what,
                revoked,
                "repeated security violations, handles revoked"
            );
        }
        is_breach
    }

    /// Waits for running calls at shutdown.
    pub async fn idle(&self, at_most: Duration) {
        self.calls.close();
        self.running.close();
        let ended = async { tokio::join!(self.calls.wait(), self.running.wait()) };
        let only_lost_remain = async {
            let is_quiet = || self.threads.since_last().is_none_or(|since| since >= grace::LOST);
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
    pub(super) fn present(&self) -> CancellationToken {
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

    /// Takes a slot for a call to `target`, unless its circuit is open.
    pub(super) async fn approach(
        &self,
        class: Class,
        principal: &Arc<str>,
        target: Option<Target>,
        direction: Direction,
        cancel: &Cancel,
    ) -> Result<Permit, Error> {
        if let Some(target) = &target {
            self.breakers.check(target, direction)?;
        }
        let host = target.map(|target| Arc::from(target.host));
        self.slot(class, principal, host, cancel).await
    }

    pub(super) async fn slot(&self, class: Class, principal: &Arc<str>, host: Option<Arc<str>>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.admission, class, principal, host, cancel).await
    }

    /// Takes a slot for opening a repository.
    pub(super) async fn opening(&self, principal: &Arc<str>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.openings, Class::Read, principal, None, cancel).await
    }
}

async fn admitted(
    admission: &Admission,
    class: Class,
    principal: &Arc<str>,
    key: Option<Arc<str>>,
    cancel: &Cancel,
) -> Result<Permit, Error> {
    tokio::select! {
        permit = admission.admit(class, principal, key) => Ok(permit?),
        why = stopped(cancel) => Err(why),
    }
}

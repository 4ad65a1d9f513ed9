//! The calls in flight, so that an operator can see each one and stop it.

use super::timings::{Origin, Stage, Timings};
use crate::tool::Entry;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The calls that are not yet answered.
#[derive(Default)]
pub(crate) struct InFlight {
    last: AtomicU64,
    calls: Mutex<BTreeMap<u64, Arc<Tracked>>>,
}

/// A call in flight.
pub(crate) struct Tracked {
    number: u64,
    pub(crate) tool: &'static Entry,
    pub(crate) principal: Arc<str>,
    pub(crate) session: Option<String>,
    pub(crate) request: Option<String>,
    since: Instant,
    /// Fires when the operator stops this call, or all.
    pub(super) stop: CancellationToken,
    /// Fires when the operator stops all calls.
    all: CancellationToken,
    /// Set once the call has passed the breakpoint.
    timings: OnceLock<Arc<Timings>>,
}

impl InFlight {
    /// Lists a call until the returned guard is dropped. `present` stops all calls.
    pub(super) fn enter(&self, tool: &'static Entry, principal: &Arc<str>, origin: &Origin, present: &CancellationToken) -> Listed<'_> {
        let tracked = Arc::new(Tracked {
            number: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            tool,
            principal: Arc::clone(principal),
            session: origin.session.clone(),
            request: origin.request.clone(),
            since: Instant::now(),
            stop: present.child_token(),
            all: present.clone(),
            timings: OnceLock::new(),
        });
        self.calls.lock().insert(tracked.number, Arc::clone(&tracked));
        Listed { table: self, tracked }
    }

    /// The calls, oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Tracked>> {
        self.calls.lock().values().cloned().collect()
    }

    /// Stops one call. False if it has ended.
    pub(crate) fn stop(&self, id: &str) -> bool {
        let found = self.calls.lock().values().find(|call| call.id() == id).cloned();
        found.inspect(|call| call.stop.cancel()).is_some()
    }
}

impl Tracked {
    /// Its id, for the operator.
    pub(crate) fn id(&self) -> String {
        format!("call_{}", self.number)
    }

    /// Time since it arrived.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it was stopped, and is not yet answered.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the operator stopped it alone.
    pub(super) fn is_stopped_alone(&self) -> bool {
        self.stop.is_cancelled() && !self.all.is_cancelled()
    }

    /// Whether it is held at the breakpoint.
    pub(crate) fn is_held(&self) -> bool {
        self.timings.get().is_none()
    }

    /// What it waits for or does.
    pub(crate) fn stage(&self) -> Option<Stage> {
        self.timings.get().and_then(|timings| timings.now())
    }

    /// The repository, once it is open.
    pub(crate) fn repository(&self) -> Option<PathBuf> {
        self.timings.get().and_then(|timings| timings.repository().map(PathBuf::from))
    }

    /// The call has passed the breakpoint.
    pub(super) fn pass(&self, timings: &Arc<Timings>) {
        self.timings.set(Arc::clone(timings)).ok();
    }
}

/// Removes a call from the table when it is answered.
pub(super) struct Listed<'a> {
    table: &'a InFlight,
    pub(super) tracked: Arc<Tracked>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.table.calls.lock().remove(&self.tracked.number);
    }
}

//! Cancellation: a flag that loops check, a deadline, and wakers for threads blocked in the kernel. The token of a call
//! also collects the ambiguous names that its work meets.

use crate::{
    error::{Error, Result},
    name::Ambiguity,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const TIMED_OUT: u8 = 2;

type Waker = Box<dyn Fn() + Send>;

/// A cancellation token. Clones share one state.
#[derive(Clone)]
pub struct Cancel(Arc<State>);

struct State {
    why: AtomicU8,
    deadline: Option<Instant>,
    wakers: Mutex<Wakers>,
    /// The names looked up so far.
    names: Mutex<BTreeMap<String, Option<Ambiguity>>>,
    /// Whether files were read whose changes are not watched.
    unwatched: AtomicBool,
}

#[derive(Default)]
struct Wakers {
    next: u64,
    list: Vec<(u64, Waker)>,
}

impl Cancel {
    /// Creates a token that expires at `deadline`, if given.
    pub fn new(deadline: Option<Instant>) -> Self {
        Self(Arc::new(State {
            why: AtomicU8::new(RUNNING),
            deadline,
            wakers: Mutex::new(Wakers::default()),
            names: Mutex::default(),
            unwatched: AtomicBool::new(false),
        }))
    }

    /// Creates a token without a deadline.
    pub fn never() -> Self {
        Self::new(None)
    }

    /// Stops the work at the caller's request.
    pub fn cancel(&self) {
        self.stop(CANCELLED);
    }

    /// Stops the work because its deadline passed.
    pub fn time_out(&self) {
        self.stop(TIMED_OUT);
    }

    fn stop(&self, why: u8) {
        // The first reason wins: work is either cancelled or timed out, never both.
        let first = self.0.why.compare_exchange(RUNNING, why, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            for (_, wake) in &self.lock().list {
                wake();
            }
        }
    }

    /// Fails if the work was cancelled or timed out.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] or [`Error::TimedOut`].
    pub fn check(&self) -> Result<()> {
        if self.0.deadline.is_some_and(|end| Instant::now() >= end) {
            self.time_out();
        }
        match self.0.why.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            CANCELLED => Err(Error::Cancelled),
            _ => Err(Error::TimedOut),
        }
    }

    /// The instant by which the work must end.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Waits for `time`, or until the work is stopped.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let (stopped, wait) = mpsc::channel();
        let _guard = self.on_stop(move || {
            stopped.send(()).ok();
        });
        wait.recv_timeout(time).ok();
        self.check()
    }

    /// Whether `name` was looked up before.
    pub(crate) fn has_looked_up(&self, name: &str) -> bool {
        self.0.names.lock().contains_key(name)
    }

    /// Records that `name` was looked up; the last record of a name counts.
    pub(crate) fn looked_up(&self, name: &str, found: Option<Ambiguity>) {
        self.0.names.lock().insert(name.to_owned(), found);
    }

    /// The ambiguous names among those looked up.
    pub fn ambiguities(&self) -> Vec<Ambiguity> {
        self.0.names.lock().values().flatten().cloned().collect()
    }

    /// Records that files were read whose changes are not watched.
    pub(crate) fn read_unwatched(&self) {
        self.0.unwatched.store(true, Ordering::Relaxed);
    }

    /// Whether the answer depends on files whose changes are not watched.
    pub fn has_unwatched(&self) -> bool {
        self.0.unwatched.load(Ordering::Relaxed)
    }

    /// Calls `wake` when the work is stopped, unless the guard is dropped first.
    pub fn on_stop(&self, wake: impl Fn() + Send + 'static) -> OnStop {
        let mut wakers = self.lock();
        let key = wakers.next;
        wakers.next += 1;
        // `stop` takes the same lock after setting the reason: either it sees this waker, or the check below sees the
        // reason.
        if self.0.why.load(Ordering::Acquire) == RUNNING {
            wakers.list.push((key, Box::new(wake)));
        } else {
            wake();
        }
        drop(wakers);
        OnStop { cancel: self.clone(), key }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Wakers> {
        self.0.wakers.lock()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("why", &self.0.why).field("deadline", &self.0.deadline).finish_non_exhaustive()
    }
}

impl engine::Stop for Cancel {
    fn is_stopped(&self) -> bool {
        self.check().is_err()
    }
}

/// Guard that keeps a waker registered.
pub struct OnStop {
    cancel: Cancel,
    key: u64,
}

impl Drop for OnStop {
    fn drop(&mut self) {
        self.cancel.lock().list.retain(|(key, _)| *key != self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_wins_and_wakers_run_once() {
        let cancel = Cancel::never();
        let (tx, rx) = mpsc::channel();
        let guard = cancel.on_stop(move || tx.send(()).unwrap_or_default());
        cancel.cancel();
        cancel.time_out();
        assert!(matches!(cancel.check(), Err(Error::Cancelled)));
        assert_eq!(rx.try_iter().count(), 1);
        drop(guard);
    }

    #[test]
    fn a_passed_deadline_stops_and_a_late_waker_runs_at_once() {
        let cancel = Cancel::new(Some(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now)));
        assert!(matches!(cancel.check(), Err(Error::TimedOut)));
        let (tx, rx) = mpsc::channel();
        let _guard = cancel.on_stop(move || tx.send(()).unwrap_or_default());
        assert_eq!(rx.try_iter().count(), 1);
    }
}

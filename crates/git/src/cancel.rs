//! Stopping work: a flag that loops check, a deadline, and wakers for what sleeps in the kernel.

use crate::error::{Error, Result};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const TIMED_OUT: u8 = 2;

type Waker = Box<dyn Fn() + Send>;

/// Tells work to stop. Clones share one state.
#[derive(Clone)]
pub struct Cancel(Arc<State>);

struct State {
    why: AtomicU8,
    // A second flag of the type that gix polls.
    stopped: Arc<AtomicBool>,
    deadline: Option<Instant>,
    wakers: Mutex<Wakers>,
}

#[derive(Default)]
struct Wakers {
    next: u64,
    list: Vec<(u64, Waker)>,
}

impl Cancel {
    /// Makes a token whose work must end at `deadline`, if there is one.
    pub fn new(deadline: Option<Instant>) -> Self {
        Self(Arc::new(State {
            why: AtomicU8::new(RUNNING),
            stopped: Arc::new(AtomicBool::new(false)),
            deadline,
            wakers: Mutex::new(Wakers::default()),
        }))
    }

    /// Makes a token that nothing but [`Cancel::cancel`] stops.
    pub fn never() -> Self {
        Self::new(None)
    }

    /// Stops the work because the caller no longer wants it.
    pub fn cancel(&self) {
        self.stop(CANCELLED);
    }

    /// Stops the work because its time is over.
    pub fn time_out(&self) {
        self.stop(TIMED_OUT);
    }

    fn stop(&self, why: u8) {
        // The first reason stays: a cancel that meets a deadline is one or the other, not both.
        let first = self.0.why.compare_exchange(RUNNING, why, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            self.0.stopped.store(true, Ordering::Release);
            for (_, wake) in &self.lock().list {
                wake();
            }
        }
    }

    /// Fails once the work is to stop.
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

    /// The instant at which the work must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Waits for `time`, or until the work is to stop.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let (stopped, wait) = mpsc::channel();
        let _guard = self.on_stop(move || {
            stopped.send(()).ok();
        });
        wait.recv_timeout(time).ok();
        self.check()
    }

    /// The flag that the in-process engine polls.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.stopped)
    }

    /// Calls `wake` when the work is to stop, until the guard is dropped.
    pub fn on_stop(&self, wake: impl Fn() + Send + 'static) -> OnStop {
        let mut wakers = self.lock();
        let key = wakers.next;
        wakers.next += 1;
        // Registered under the lock that `stop` takes after setting the reason: either it sees this waker, or
        // this sees the reason.
        if self.0.why.load(Ordering::Acquire) == RUNNING {
            wakers.list.push((key, Box::new(wake)));
        } else {
            wake();
        }
        drop(wakers);
        OnStop { cancel: self.clone(), key }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Wakers> {
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("why", &self.0.why).field("deadline", &self.0.deadline).finish_non_exhaustive()
    }
}

/// Keeps a waker registered.
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
    fn the_first_reason_stays_and_wakers_run_once() {
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

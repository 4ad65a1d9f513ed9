//! Lost threads: threads that still run a call that was already answered.
//!
//! A thread blocked in the kernel, as on a hanging file system, cannot be stopped. Its call is answered and its permit
//! released; the thread counts as lost until it ends.

use crate::{Class, Permit, Rejected};
use parking_lot::{Mutex, MutexGuard};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Retry delay while too many threads are lost.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Counts the lost threads of each class, and rejects new threads beyond a limit. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Threads {
    counts: Arc<Mutex<Counts>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Counts {
    now: [usize; 3],
    ever: [u64; 3],
    last: Option<Instant>,
}

/// The lost threads of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Still running.
    pub now: usize,
    /// Total since the start.
    pub ever: u64,
}

/// One call, shared by the task awaiting its answer and the thread that works on it.
#[derive(Clone, Debug)]
pub struct Job {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    threads: Threads,
    class: Class,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    permit: Option<Permit>,
    is_abandoned: bool,
}

/// A thread of a job, from before its start until its end.
#[derive(Debug)]
#[must_use = "the thread counts as ended when this is dropped"]
pub struct Running {
    shared: Arc<Shared>,
}

impl Threads {
    /// Rejects new threads of a class with `limit` lost threads.
    pub fn new(limit: usize) -> Self {
        Self { counts: Arc::default(), limit }
    }

    /// Creates the job of a call.
    pub fn job(&self, class: Class) -> Job {
        Job { shared: Arc::new(Shared { threads: self.clone(), class, state: Mutex::default() }) }
    }

    /// The lost threads of `class`.
    pub fn lost(&self, class: Class) -> Lost {
        let counts = self.lock();
        Lost { now: counts.now[class as usize], ever: counts.ever[class as usize] }
    }

    /// Number of lost threads over all classes.
    pub fn total(&self) -> usize {
        self.lock().now.iter().sum()
    }

    /// Maximum number of lost threads per class.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a class has reached its limit of lost threads, so that its calls are rejected.
    pub fn is_full(&self) -> bool {
        self.lock().now.iter().any(|now| *now >= self.limit)
    }

    /// Time since the last thread was lost.
    pub fn since_last(&self) -> Option<Duration> {
        self.lock().last.map(|last| last.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Job {
    /// Registers a thread about to start, and holds `permit` until it ends or the job is abandoned.
    ///
    /// # Errors
    ///
    /// [`Rejected::LostThreads`] while the class has lost too many threads, and once the job is abandoned.
    pub fn begin(&self, permit: Option<Permit>) -> Result<Running, Rejected> {
        let Shared { threads, class, .. } = &*self.shared;
        let mut state = self.shared.lock();
        if state.is_abandoned || threads.lock().now[*class as usize] >= threads.limit {
            return Err(Rejected::LostThreads { retry_after: RETRY_AFTER });
        }
        state.running += 1;
        let before = std::mem::replace(&mut state.permit, permit);
        drop(state);
        drop(before);
        Ok(Running { shared: Arc::clone(&self.shared) })
    }

    /// Releases the permit and marks running threads as lost. Returns their number.
    pub fn abandon(&self) -> usize {
        let Shared { threads, class, .. } = &*self.shared;
        let mut state = self.shared.lock();
        if std::mem::replace(&mut state.is_abandoned, true) {
            return 0;
        }
        let (lost, permit) = (state.running, state.permit.take());
        let mut is_over = false;
        if lost > 0 {
            // Under the job's lock: a thread ending now must not be uncounted before it is counted.
            let mut counts = threads.lock();
            let now = &mut counts.now[*class as usize];
            is_over = *now < threads.limit && *now + lost >= threads.limit;
            *now += lost;
            counts.ever[*class as usize] += lost as u64;
            counts.last = Some(Instant::now());
        }
        drop(state);
        drop(permit);
        if is_over {
            tracing::error!(class = class.name(), limit = threads.limit, "too many lost threads, rejecting calls of this class");
        }
        lost
    }
}

impl Running {
    /// Whether the call was answered without this thread.
    pub fn is_lost(&self) -> bool {
        self.shared.lock().is_abandoned
    }

    /// Holds `permit` in place of the previous one.
    pub fn hold(&self, permit: Option<Permit>) {
        let mut state = self.shared.lock();
        let released = if state.is_abandoned { permit } else { std::mem::replace(&mut state.permit, permit) };
        drop(state);
        drop(released);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Shared { threads, class, .. } = &*self.shared;
        let mut state = self.shared.lock();
        state.running -= 1;
        let permit = state.permit.take();
        if state.is_abandoned {
            threads.lock().now[*class as usize] -= 1;
        }
        drop(state);
        drop(permit);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Admission, ConcurrencyLimits};

    fn admission() -> Admission {
        let places = ConcurrencyLimits::new(1, 1);
        Admission::new(places, places, places)
    }

    #[test]
    fn an_abandoned_job_releases_its_permit_and_its_thread_is_lost_until_it_ends() {
        let (threads, admission, own) = (Threads::new(2), admission(), Arc::from("a"));
        let job = threads.job(Class::Read);
        let running = job.begin(admission.try_admit(Class::Read, &own)).unwrap();
        assert!(admission.try_admit(Class::Read, &own).is_none());
        assert_eq!((job.abandon(), job.abandon()), (1, 0));
        assert!(running.is_lost() && admission.try_admit(Class::Read, &own).is_some());
        assert_eq!((threads.lost(Class::Read), threads.total()), (Lost { now: 1, ever: 1 }, 1));
        drop(running);
        assert_eq!((threads.lost(Class::Read), threads.total()), (Lost { now: 0, ever: 1 }, 0));
    }

    #[test]
    fn a_thread_that_ends_releases_its_permit_and_is_not_lost() {
        let (threads, admission, own) = (Threads::new(2), admission(), Arc::from("a"));
        let job = threads.job(Class::Change);
        drop(job.begin(admission.try_admit(Class::Change, &own)).unwrap());
        assert!(admission.try_admit(Class::Change, &own).is_some());
        assert_eq!((job.abandon(), threads.lost(Class::Change)), (0, Lost { now: 0, ever: 0 }));
        assert!(job.begin(None).is_err(), "no thread starts for an answered call");
    }

    #[test]
    fn a_permit_of_an_abandoned_job_is_not_kept() {
        let (threads, admission, own) = (Threads::new(2), admission(), Arc::from("a"));
        let job = threads.job(Class::Read);
        let running = job.begin(None).unwrap();
        running.hold(admission.try_admit(Class::Read, &own));
        assert!(admission.try_admit(Class::Read, &own).is_none());
        running.hold(None);
        job.abandon();
        running.hold(admission.try_admit(Class::Read, &own));
        assert!(admission.try_admit(Class::Read, &own).is_some());
    }

    #[test]
    fn beyond_the_limit_only_that_class_is_rejected() {
        let threads = Threads::new(2);
        let jobs = [(); 2].map(|()| threads.job(Class::Read));
        let mut running: Vec<Running> = jobs.iter().map(|job| job.begin(None).unwrap()).collect();
        assert!(jobs.iter().all(|job| job.abandon() == 1));
        assert!(threads.is_full() && matches!(threads.job(Class::Read).begin(None), Err(Rejected::LostThreads { .. })));
        assert!(threads.job(Class::Change).begin(None).is_ok());
        running.pop();
        assert!(!threads.is_full() && threads.job(Class::Read).begin(None).is_ok());
    }
}

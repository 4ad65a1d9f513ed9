//! How many calls run at a time, by class. Those that wait do so in order.

use crate::Rejected;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a call needs while it runs. Reads never wait behind changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads a repository.
    Read,
    /// Changes a repository.
    Change,
    /// Waits for a remote.
    Network,
}

/// The places of one class.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Calls that run at a time.
    pub running: usize,
    /// Calls that may wait for a place.
    pub waiting: usize,
}

/// Hands out places to run.
#[derive(Debug)]
pub struct Admission {
    reads: Line,
    changes: Line,
    network: Line,
}

/// A place to run, given back when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
pub struct Permit(OwnedSemaphorePermit);

#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    limit: usize,
}

/// A place in the queue, given up when the wait ends in whatever way.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Makes places for reads, for changes and for what waits for remotes.
    pub fn new(reads: Places, changes: Places, network: Places) -> Self {
        Self { reads: Line::new(reads), changes: Line::new(changes), network: Line::new(network) }
    }

    /// Waits for a place, first come first served.
    ///
    /// # Errors
    ///
    /// [`Rejected::Overloaded`] at once, when the queue is full.
    pub async fn admit(&self, class: Class) -> Result<Permit, Rejected> {
        let line = match class {
            Class::Read => &self.reads,
            Class::Change => &self.changes,
            Class::Network => &self.network,
        };
        line.admit().await
    }
}

impl Line {
    fn new(places: Places) -> Self {
        Self { places: Arc::new(Semaphore::new(places.running)), waiting: AtomicUsize::new(0), limit: places.waiting }
    }

    async fn admit(&self) -> Result<Permit, Rejected> {
        let overloaded = Rejected::Overloaded { retry_after: Duration::from_secs(1) };
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Permit(permit));
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(overloaded);
        }
        let _waiting = Waiting(&self.waiting);
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.map(Permit).map_err(|_| overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once_and_classes_do_not_meet() {
        let one = Places { running: 1, waiting: 1 };
        let admission = Arc::new(Admission::new(one, one, one));
        let running = admission.admit(Class::Read).await;
        let second = Arc::clone(&admission);
        let waiting = tokio::spawn(async move { second.admit(Class::Read).await.map(drop) });
        tokio::task::yield_now().await;
        assert!(matches!(admission.admit(Class::Read).await, Err(Rejected::Overloaded { .. })));
        assert!(admission.admit(Class::Change).await.is_ok());
        drop(running);
        assert!(matches!(waiting.await, Ok(Ok(()))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_frees_its_place_in_the_queue() {
        let one = Places { running: 1, waiting: 1 };
        let admission = Admission::new(one, one, one);
        let _running = admission.admit(Class::Read).await;
        for _ in 0..3 {
            let gave_up = tokio::time::timeout(Duration::from_secs(1), admission.admit(Class::Read)).await;
            assert!(gave_up.is_err(), "it waits, and is not rejected");
        }
    }
}

//! Mutual exclusion by key, first come, first served.

use crate::Rejected;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::OwnedMutexGuard;

/// Maximum number of waiters for one key.
const MAX_WAITING: usize = 128;

/// Grants exclusive turns, one at a time for each key.
#[derive(Clone, Debug)]
pub struct Exclusive<K> {
    queues: Arc<Mutex<Queues<K>>>,
    wait: Duration,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    rejected: AtomicU64,
}

/// Waiters over all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Current waiters.
    pub waiting: usize,
    /// Waiters rejected since the start, at once or after a timeout.
    pub rejected: u64,
}

/// A wait for a turn, however it ends.
struct Waiting<'a>(&'a Counts);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

type Queues<K> = HashMap<K, Arc<tokio::sync::Mutex<()>>>;

/// An exclusive turn, released on drop.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
pub struct Turn(OwnedMutexGuard<()>);

impl<K: Eq + Hash + Clone> Exclusive<K> {
    /// Creates queues with a maximum wait of `wait`.
    pub fn new(wait: Duration) -> Self {
        Self { queues: Arc::new(Mutex::new(HashMap::new())), wait, counts: Arc::default() }
    }

    /// Waits for the turn of `key`.
    ///
    /// # Errors
    ///
    /// [`Rejected::WaitedTooLong`]; [`Rejected::Overloaded`] at once if 128 already wait.
    pub async fn turn(&self, key: &K) -> Result<Turn, Rejected> {
        let rejected = |why| {
            self.counts.rejected.fetch_add(1, Ordering::Relaxed);
            why
        };
        let queue = self.queue(key).ok_or_else(|| rejected(Rejected::Overloaded { retry_after: Duration::from_secs(1) }))?;
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.counts);
        let turn = tokio::time::timeout(self.wait, queue.lock_owned()).await;
        turn.map(Turn).map_err(|_| rejected(Rejected::WaitedTooLong(self.wait)))
    }

    /// Number of waiters, and of rejected ones.
    pub fn queued(&self) -> Queued {
        Queued { waiting: self.counts.waiting.load(Ordering::Relaxed), rejected: self.counts.rejected.load(Ordering::Relaxed) }
    }

    /// Takes the turn of `key` if it is free.
    pub fn try_turn(&self, key: &K) -> Option<Turn> {
        self.queue(key)?.try_lock_owned().ok().map(Turn)
    }

    /// The queue of `key`, unless it is full.
    fn queue(&self, key: &K) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut queues = self.queues.lock();
        // An unreferenced queue is empty; dropped here, so that the map does not grow with every repository ever changed.
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        let queue = queues.entry(key.clone()).or_default();
        // One reference belongs to the map, one to the holder.
        (Arc::strong_count(queue) < MAX_WAITING + 2).then(|| Arc::clone(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_turn_per_key_and_a_bounded_wait() {
        let exclusive = Exclusive::new(Duration::from_secs(30));
        let first = exclusive.turn(&"a").await;
        assert!(first.is_ok() && exclusive.turn(&"b").await.is_ok());
        assert!(exclusive.try_turn(&"a").is_none() && exclusive.try_turn(&"b").is_some());
        assert_eq!(exclusive.turn(&"a").await.err(), Some(Rejected::WaitedTooLong(Duration::from_secs(30))));
        drop(first);
        assert!(exclusive.turn(&"a").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once() {
        let exclusive = Arc::new(Exclusive::new(Duration::from_secs(30)));
        let first = exclusive.turn(&"a").await;
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let exclusive = Arc::clone(&exclusive);
                tokio::spawn(async move { exclusive.turn(&"a").await.is_ok() })
            })
            .collect();
        for _ in 0..MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(exclusive.turn(&"a").await, Err(Rejected::Overloaded { .. })));
        drop(first);
        for turn in waiting {
            assert!(turn.await.is_ok_and(|taken| taken));
        }
    }
}

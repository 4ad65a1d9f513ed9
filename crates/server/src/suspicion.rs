//! Detects repeated use of forged handles or of other principals' handles; a single use may be a mistake.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// Number of attempts within the window that count as a breach.
const OFTEN: usize = 3;
const WINDOW: Duration = Duration::from_mins(10);
/// Maximum number of principals tracked.
const MAX_KNOWN: usize = 10_000;

/// The recent attempts of each principal.
#[derive(Debug, Default)]
pub(crate) struct Suspicions(Mutex<HashMap<Arc<str>, VecDeque<Instant>>>);

impl Suspicions {
    /// Records an attempt. True if it is a breach.
    pub(crate) fn note(&self, principal: &Arc<str>, now: Instant) -> bool {
        let mut known = self.0.lock();
        if known.len() >= MAX_KNOWN {
            known.retain(|_, tries| tries.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        if known.len() >= MAX_KNOWN && !known.contains_key(principal) {
            return false;
        }
        let tries = known.entry(Arc::clone(principal)).or_default();
        while tries.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            tries.pop_front();
        }
        tries.push_back(now);
        if tries.len() < OFTEN {
            return false;
        }
        tries.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_attempt_within_the_window_is_a_breach() {
        let (suspicions, now) = (Suspicions::default(), Instant::now());
        let (one, other): (Arc<str>, Arc<str>) = (Arc::from("one"), Arc::from("other"));
        let tries = [(&one, 0), (&one, 1), (&other, 1), (&one, 700), (&one, 701), (&one, 702), (&one, 703)];
        let found = tries.map(|(principal, seconds)| suspicions.note(principal, now + Duration::from_secs(seconds)));
        assert_eq!(found, [false, false, false, false, false, true, false]);
    }
}

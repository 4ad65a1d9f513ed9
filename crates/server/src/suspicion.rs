//! Who tries what is another's, or forged: once may be a mistake, again and again is not.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often, within how long, is no mistake any more.
const OFTEN: usize = 3;
const WINDOW: Duration = Duration::from_mins(10);
/// The most principals that are remembered.
const MAX_KNOWN: usize = 10_000;

/// What each principal has tried of late.
#[derive(Debug, Default)]
pub(crate) struct Suspicions(Mutex<HashMap<Arc<str>, VecDeque<Instant>>>);

impl Suspicions {
    /// Notes a try. True when it is one too many.
    pub(crate) fn note(&self, principal: &Arc<str>, now: Instant) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn the_third_try_within_a_while_is_one_too_many() {
        let (suspicions, now) = (Suspicions::default(), Instant::now());
        let (one, other): (Arc<str>, Arc<str>) = (Arc::from("one"), Arc::from("other"));
        let tries = [(&one, 0), (&one, 1), (&other, 1), (&one, 700), (&one, 701), (&one, 702), (&one, 703)];
        let found = tries.map(|(principal, seconds)| suspicions.note(principal, now + Duration::from_secs(seconds)));
        assert_eq!(found, [false, false, false, false, false, true, false]);
    }
}

//! Error counts: by class over the last hour, and by class and reason since the start.

use crate::error::ErrorClass;
use guard::ErrorWindows;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// Log lines per minute for refusals of the same reason.
const LOGGED: u32 = 5;
const MINUTE: Duration = Duration::from_mins(1);

/// Error counters.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    windows: ErrorWindows<ErrorClass>,
    /// Reasons are constants of the program, so their number is bounded.
    reasons: Mutex<BTreeMap<(ErrorClass, &'static str), u64>>,
    logged: Mutex<HashMap<&'static str, Logged>>,
}

#[derive(Debug)]
struct Logged {
    since: Instant,
    count: u32,
}

impl Errors {
    /// Counts an error.
    pub(crate) fn record(&self, class: ErrorClass, reason: &'static str) {
        self.windows.record(class);
        self.note(class, reason);
    }

    /// Counts an event that is not an error, such as a cancelled call. It affects no error rate and no spike detection.
    pub(crate) fn note(&self, class: ErrorClass, reason: &'static str) {
        *lock(&self.reasons).entry((class, reason)).or_default() += 1;
    }

    /// Counts by class, over the last hour.
    pub(crate) fn windows(&self) -> &ErrorWindows<ErrorClass> {
        &self.windows
    }

    /// Counts since the start, by class and reason.
    pub(crate) fn reasons(&self) -> Vec<(ErrorClass, &'static str, u64)> {
        lock(&self.reasons).iter().map(|((class, reason), count)| (*class, *reason, *count)).collect()
    }

    /// `Some` if a refusal is to be logged, with the number of unlogged refusals of its reason since the last one.
    pub(crate) fn is_logged(&self, reason: &'static str) -> Option<u32> {
        let mut all = lock(&self.logged);
        let logged = all.entry(reason).or_insert_with(|| Logged { since: Instant::now(), count: 0 });
        if logged.since.elapsed() >= MINUTE {
            let left_out = logged.count.saturating_sub(LOGGED);
            *logged = Logged { since: Instant::now(), count: 1 };
            return Some(left_out);
        }
        logged.count = logged.count.saturating_add(1);
        (logged.count <= LOGGED).then_some(0)
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noted_events_affect_no_rate_and_a_flood_is_logged_sparsely() {
        let errors = Errors::default();
        errors.record(ErrorClass::Other, "malformed_message");
        errors.note(ErrorClass::Other, "cancelled");
        assert_eq!(errors.windows().count(ErrorClass::Other, MINUTE), 1);
        assert_eq!(errors.reasons(), [(ErrorClass::Other, "cancelled", 1), (ErrorClass::Other, "malformed_message", 1)]);
        let logged: Vec<_> = (0..100).filter_map(|_| errors.is_logged("malformed_message")).collect();
        assert_eq!(logged, [0; LOGGED as usize]);
        assert_eq!(errors.is_logged("invalid_token"), Some(0));
    }
}

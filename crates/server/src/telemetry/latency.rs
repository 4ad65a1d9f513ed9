//! Latencies of the last minutes by tool, for people who look at a running server. The metrics have the histograms since
//! the start.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Upper bounds of the buckets, in milliseconds; one more bucket is above them all.
pub(crate) const BOUNDS: [u32; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const BUCKETS: usize = BOUNDS.len() + 1;
/// Number of minutes kept.
const MINUTES: usize = 10;

/// The latencies of each tool, and the number of all calls.
#[derive(Debug)]
pub(crate) struct Latencies {
    began: Instant,
    tools: Mutex<BTreeMap<&'static str, [Minute; MINUTES]>>,
    calls: AtomicU64,
    errors: AtomicU64,
}

/// The calls of one minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    /// Minutes from the start, plus one; 0 if unused.
    number: u64,
    counts: [u32; BUCKETS],
    errors: u32,
    worst: Duration,
}

/// The latencies of a tool in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    /// Calls by bucket.
    pub(crate) counts: [u64; BUCKETS],
    pub(crate) errors: u64,
    pub(crate) worst: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { began: Instant::now(), tools: Mutex::default(), calls: AtomicU64::new(0), errors: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// The maximum age of what [`Self::list`] counts.
    pub(crate) const WINDOW: Duration = Duration::from_secs(60 * MINUTES as u64);

    /// Counts a call.
    pub(crate) fn record(&self, tool: &'static str, time: Duration, has_failed: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        self.record_at(tool, time, has_failed, self.minute());
    }

    fn record_at(&self, tool: &'static str, time: Duration, has_failed: bool, number: u64) {
        let mut tools = self.tools.lock();
        let minutes = tools.entry(tool).or_default();
        let Some(minute) = usize::try_from(number).ok().and_then(|number| minutes.get_mut(number % MINUTES)) else { return };
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        if let Some(count) = minute.counts.get_mut(bucket(time)) {
            *count = count.saturating_add(1);
        }
        minute.errors = minute.errors.saturating_add(has_failed.into());
        minute.worst = minute.worst.max(time);
    }

    fn minute(&self) -> u64 {
        self.began.elapsed().as_secs() / 60 + 1
    }

    /// The tools called in the window, by name.
    pub(crate) fn list(&self) -> Vec<(&'static str, Latency)> {
        self.list_at(self.minute())
    }

    fn list_at(&self, now: u64) -> Vec<(&'static str, Latency)> {
        let first = now.saturating_sub(MINUTES as u64 - 1).max(1);
        let of = |minutes: &[Minute; MINUTES]| {
            let mut all = Latency::default();
            for minute in minutes.iter().filter(|minute| minute.number >= first) {
                all.counts.iter_mut().zip(minute.counts).for_each(|(sum, count)| *sum += u64::from(count));
                all.errors += u64::from(minute.errors);
                all.worst = all.worst.max(minute.worst);
            }
            all
        };
        let tools = self.tools.lock();
        tools.iter().map(|(tool, minutes)| (*tool, of(minutes))).filter(|(_, all)| all.calls() > 0).collect()
    }

    /// Calls and failed calls since the start.
    pub(crate) fn totals(&self) -> [u64; 2] {
        [&self.calls, &self.errors].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Latency {
    /// Number of calls.
    pub(crate) fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time in milliseconds within which this part of the calls ended: the bound of a bucket, or the longest time.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let worst = u64::try_from(self.worst.as_millis()).unwrap_or(u64::MAX);
        let wanted = (self.calls() * percent).div_ceil(100);
        let mut seen = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            seen += count;
            if seen >= wanted {
                return u64::from(*bound).min(worst.max(1));
            }
        }
        worst
    }
}

fn bucket(took: Duration) -> usize {
    BOUNDS.iter().position(|bound| took <= Duration::from_millis(u64::from(*bound))).unwrap_or(BOUNDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_duration_and_forgotten_after_the_window() {
        let latencies = Latencies::default();
        let ms = Duration::from_millis;
        for took in [ms(1), ms(4), ms(4), ms(90_000)] {
            latencies.record_at("git_status", took, took > ms(5), 1);
        }
        latencies.record_at("git_log", ms(30), false, 2);
        let all = latencies.list_at(10);
        assert_eq!(all.iter().map(|(tool, latency)| (*tool, latency.calls())).collect::<Vec<_>>(), [("git_log", 1), ("git_status", 4)]);
        let status = all[1].1;
        assert_eq!((status.counts[0], status.counts[2], status.counts[13], status.errors), (1, 2, 1, 1));
        assert_eq!([50, 75, 95].map(|percent| status.percentile(percent)), [5, 5, 90_000]);
        assert_eq!(all[0].1.percentile(95), 30, "no call took as long as the bucket's bound");
        assert_eq!(latencies.list_at(11).len(), 1, "the first minute is over");
        assert!(latencies.list_at(12).is_empty());
        latencies.record_at("git_log", ms(2), false, 12);
        assert_eq!(latencies.list_at(12)[0].1.calls(), 1, "the slot of an old minute starts at 0");
    }
}

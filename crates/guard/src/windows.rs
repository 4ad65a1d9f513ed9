//! Error rates by class, over sliding windows.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// Length of a counting slot, in seconds.
const SLOT_SECONDS: u64 = 5;

/// Number of slots kept: an hour.
const SLOTS: u64 = 3600 / SLOT_SECONDS;

/// Maximum number of unsaved minutes: beyond it the oldest are dropped.
const MAX_UNSAVED: usize = 60;

/// Minimum number of errors in the longer window: a single error is not a spike, however low the threshold.
const MIN_COUNT: u64 = 10;

/// The window pairs of the burn-rate alert. The longer one shows that the rate is significant, the shorter one that it continues;
/// see "Alerting on SLOs" in the SRE Workbook.
const PAIRS: [(Duration, Duration); 2] =
    [(Duration::from_mins(1), Duration::from_mins(5)), (Duration::from_mins(5), Duration::from_hours(1))];

/// A class whose error rate is above the threshold in both windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn<K> {
    /// The class.
    pub class: K,
    /// The shorter window.
    pub short: Duration,
    /// The longer window.
    pub long: Duration,
    /// Errors per minute in the shorter window.
    pub short_rate: f64,
    /// Errors per minute in the longer window.
    pub long_rate: f64,
    /// Errors in the longer window.
    pub count: u64,
}

/// Counts errors by class over the last hour, in slots of five seconds.
#[doc(alias = "ErrorAnalyzer")]
#[derive(Debug)]
pub struct ErrorWindows<K> {
    start: Instant,
    classes: Mutex<HashMap<K, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Counts by slot number, in order, without empty slots.
    slots: VecDeque<(u64, u64)>,
    total: u64,
    /// Counts by minute since the Unix epoch.
    unsaved: BTreeMap<i64, u64>,
}

impl<K: Copy + Eq + Hash> Default for ErrorWindows<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + Eq + Hash> ErrorWindows<K> {
    /// Creates empty windows.
    pub fn new() -> Self {
        Self { start: Instant::now(), classes: Mutex::default() }
    }

    /// Counts an error.
    #[doc(alias = "record_error")]
    pub fn record(&self, class: K) {
        let (slot, minute) = (self.slot(), unix_minute());
        let mut classes = self.lock();
        let counts = classes.entry(class).or_default();
        counts.add(slot, slot, 1);
        counts.total += 1;
        *counts.unsaved.entry(minute).or_default() += 1;
        if counts.unsaved.len() > MAX_UNSAVED {
            counts.unsaved.pop_first();
        }
    }

    /// Number of errors of the class within `window`, at most an hour.
    pub fn count(&self, class: K, window: Duration) -> u64 {
        let slot = self.slot();
        self.lock().get(&class).map_or(0, |counts| counts.within(slot, window))
    }

    /// Errors of the class per minute over `window`, at most an hour.
    #[doc(alias = "get_error_rate")]
    pub fn rate_per_minute(&self, class: K, window: Duration) -> f64 {
        rate(self.count(class, window), window)
    }

    /// The classes whose rate over `window` is above the threshold, the highest first. In a short window a single error is
    /// a spike; [`burning`](Self::burning) avoids this.
    #[doc(alias = "detect_error_spikes")]
    pub fn spikes(&self, threshold_per_minute: f64, window: Duration) -> Vec<(K, f64)> {
        let slot = self.slot();
        let rates: Vec<_> = self.lock().iter().map(|(class, counts)| (*class, rate(counts.within(slot, window), window))).collect();
        let mut spikes: Vec<_> = rates.into_iter().filter(|(_, rate)| *rate > threshold_per_minute).collect();
        spikes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        spikes
    }

    /// The classes whose rate is above the threshold in both windows of a pair, the highest first, each with its shortest
    /// pair: one and five minutes, or five and sixty. Fewer than ten errors in the longer window do not count.
    pub fn burning(&self, threshold_per_minute: f64) -> Vec<Burn<K>> {
        let slot = self.slot();
        let classes = self.lock();
        let burn = |(class, counts): (&K, &Counts)| {
            PAIRS.into_iter().find_map(|(short, long)| {
                let count = counts.within(slot, long);
                let (short_rate, long_rate) = (rate(counts.within(slot, short), short), rate(count, long));
                let burns = count >= MIN_COUNT && short_rate > threshold_per_minute && long_rate > threshold_per_minute;
                burns.then_some(Burn { class: *class, short, long, short_rate, long_rate, count })
            })
        };
        let mut burning: Vec<_> = classes.iter().filter_map(burn).collect();
        burning.sort_by(|a, b| b.short_rate.total_cmp(&a.short_rate));
        burning
    }

    /// Total errors of each class since the start, the most frequent first.
    #[doc(alias = "error_counts")]
    pub fn totals(&self) -> Vec<(K, u64)> {
        let classes = self.lock();
        let mut totals: Vec<_> =
            classes.iter().filter(|(_, counts)| counts.total > 0).map(|(class, counts)| (*class, counts.total)).collect();
        totals.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        totals
    }

    /// Errors recorded since the last call, by class and minute since the Unix epoch. At most 60 minutes with errors are kept per
    /// class.
    pub fn drain_minutes(&self) -> Vec<(K, i64, u64)> {
        let mut classes = self.lock();
        let drained = classes.iter_mut().map(|(class, counts)| (*class, std::mem::take(&mut counts.unsaved)));
        drained.flat_map(|(class, minutes)| minutes.into_iter().map(move |(minute, count)| (class, minute, count))).collect()
    }

    /// Restores counts from before a restart. They count in the windows, but neither in the totals nor in `drain_minutes`.
    pub fn seed(&self, class: K, minutes_ago: u32, count: u64) {
        let now = self.slot();
        let past = now.saturating_sub(u64::from(minutes_ago) * 60 / SLOT_SECONDS);
        self.lock().entry(class).or_default().add(now, past, count);
    }

    /// The number of the current slot. It starts above 0, so that earlier slots can be seeded.
    fn slot(&self) -> u64 {
        SLOTS + self.start.elapsed().as_secs() / SLOT_SECONDS
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Counts>> {
        self.classes.lock()
    }
}

impl Counts {
    fn add(&mut self, now: u64, slot: u64, count: u64) {
        while self.slots.front().is_some_and(|(first, _)| first + SLOTS <= now) {
            self.slots.pop_front();
        }
        if slot + SLOTS <= now {
            return;
        }
        match self.slots.binary_search_by_key(&slot, |(number, _)| *number) {
            Ok(at) => self.slots[at].1 += count,
            Err(at) => self.slots.insert(at, (slot, count)),
        }
    }

    fn within(&self, now: u64, window: Duration) -> u64 {
        let slots = window.as_secs().div_ceil(SLOT_SECONDS).clamp(1, SLOTS);
        self.slots.iter().rev().take_while(|(slot, _)| slot + slots > now).map(|(_, count)| count).sum()
    }
}

fn rate(count: u64, window: Duration) -> f64 {
    let seconds = window.clamp(Duration::from_secs(SLOT_SECONDS), Duration::from_secs(SLOTS * SLOT_SECONDS)).as_secs_f64();
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * 60.0 / seconds
}

fn unix_minute() -> i64 {
    // A clock before 1970 is wrong; its counts go to minute 0.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs() / 60).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn record(windows: &ErrorWindows<&'static str>, class: &'static str, times: u32) {
        (0..times).for_each(|_| windows.record(class));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_expires_and_a_class_keeps_at_most_an_hour_of_slots() {
        let windows = ErrorWindows::new();
        for _ in 0..1000 {
            record(&windows, "timeout", 2);
            advance(Duration::from_secs(5)).await;
        }
        assert_eq!((windows.count("timeout", MINUTE), windows.count("timeout", HOUR)), (22, 1438));
        assert!((windows.rate_per_minute("timeout", Duration::from_mins(10)) - 23.8).abs() < 1e-9);
        assert!(windows.lock()["timeout"].slots.len() <= 720);
        advance(HOUR).await;
        assert_eq!((windows.count("timeout", HOUR), windows.totals()), (0, vec![("timeout", 2000)]));
        assert_eq!(windows.count("other", HOUR), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spike_is_more_than_the_threshold_over_the_window() {
        let windows = ErrorWindows::new();
        record(&windows, "timeout", 300);
        assert_eq!(windows.spikes(5.0, HOUR), []);
        record(&windows, "timeout", 1);
        record(&windows, "rate", 400);
        let spikes = windows.spikes(5.0, HOUR);
        assert_eq!(spikes.iter().map(|(class, _)| *class).collect::<Vec<_>>(), ["rate", "timeout"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spike_burns_within_a_minute_and_stops_burning_when_it_ends() {
        let windows = ErrorWindows::new();
        for _ in 0..30 {
            windows.record("timeout");
            advance(Duration::from_secs(1)).await;
        }
        let burning = windows.burning(5.0);
        assert_eq!(burning.iter().map(|burn| (burn.class, burn.short, burn.count)).collect::<Vec<_>>(), [("timeout", MINUTE, 30)]);
        assert_eq!(windows.spikes(5.0, HOUR), [], "the rate over an hour stays below the threshold");
        advance(MINUTE * 2).await;
        assert_eq!(windows.burning(5.0), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_burn_shows_in_the_longer_pair() {
        let windows = ErrorWindows::new();
        for _ in 0..60 {
            record(&windows, "timeout", 7);
            advance(MINUTE).await;
        }
        advance(Duration::from_secs(30)).await;
        let burning = windows.burning(5.0);
        assert_eq!(burning.iter().map(|burn| burn.short).collect::<Vec<_>>(), [MINUTE * 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_error_is_not_a_spike_however_low_the_threshold() {
        let windows = ErrorWindows::new();
        windows.record("timeout");
        assert_eq!(windows.burning(0.001), []);
        record(&windows, "timeout", 8);
        assert_eq!(windows.burning(0.001), []);
        windows.record("timeout");
        assert_eq!(windows.burning(0.001).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn drained_counts_can_be_restored() {
        let windows = ErrorWindows::new();
        let before = unix_minute();
        record(&windows, "timeout", 3);
        let drained = windows.drain_minutes();
        assert_eq!(drained.iter().map(|(_, _, count)| count).sum::<u64>(), 3);
        assert!(drained.iter().all(|(class, minute, _)| *class == "timeout" && (before..=unix_minute()).contains(minute)));
        assert_eq!(windows.drain_minutes(), []);
        let restarted = ErrorWindows::new();
        restarted.seed("timeout", 2, 3);
        restarted.seed("timeout", 59, 4);
        restarted.seed("timeout", 60, 5);
        restarted.seed("timeout", u32::MAX, 5);
        assert_eq!([1, 3, 60].map(|minutes| restarted.count("timeout", MINUTE * minutes)), [0, 3, 7]);
        assert_eq!((restarted.totals(), restarted.drain_minutes()), (vec![], vec![]));
    }

    #[test]
    fn unsaved_minutes_are_bounded() {
        let windows = ErrorWindows::new();
        windows.record("timeout");
        if let Some(counts) = windows.lock().get_mut("timeout") {
            counts.unsaved.extend((0..100).map(|minute| (minute, 1)));
        }
        (0..100).for_each(|_| windows.record("timeout"));
        assert_eq!(windows.drain_minutes().len(), MAX_UNSAVED);
    }
}

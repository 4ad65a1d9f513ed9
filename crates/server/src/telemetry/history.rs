//! Samples of the last hour: resource use and load, for the curves of the dashboard.

use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};

/// Time between samples.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Number of samples kept: an hour.
const MAX_SAMPLES: usize = 720;

/// What was measured at one moment. What the system does not report is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// In milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Resident memory, in bytes.
    pub(crate) rss: Option<u64>,
    /// In percent of one processor.
    pub(crate) process_cpu_percent: Option<f64>,
    /// In percent of all processors.
    pub(crate) cpu_percent: Option<f64>,
    /// Calls and failed calls since the start.
    pub(crate) totals: [u64; 2],
    /// Calls that run or wait.
    pub(crate) in_flight: usize,
    /// Calls that wait.
    pub(crate) waiting: usize,
    /// Open sessions.
    pub(crate) sessions: usize,
}

/// The samples, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Sample>>);

impl History {
    /// Adds a sample.
    pub(crate) fn note(&self, sample: Sample) {
        let mut samples = self.0.lock();
        // One more than is listed: the counts of a sample are relative to the one before.
        if samples.len() > MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The samples, oldest first, each with the calls and failed calls since the one before.
    pub(crate) fn list(&self) -> Vec<(Sample, [u64; 2])> {
        let samples = self.0.lock();
        let since = |now: [u64; 2], before: [u64; 2]| [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])];
        samples.iter().zip(samples.iter().skip(1)).map(|(before, sample)| (*sample, since(sample.totals, before.totals))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_samples_are_kept_with_what_happened_between_them() {
        let history = History::default();
        for at in 0..2000 {
            history.note(Sample { at_ms: at, totals: [3 * at.unsigned_abs(), at.unsigned_abs()], ..Sample::default() });
        }
        let all = history.list();
        assert_eq!((all.len(), all[0].0.at_ms, all[719].0.at_ms), (MAX_SAMPLES, 1280, 1999));
        assert!(all.iter().all(|(_, since)| *since == [3, 1]));
    }
}

//! Memory, processors and the runtime, watched while the server runs: what was seen last, and warnings where it is too much.

use super::process::{self, Ticks};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The notes of memory that are kept: a day, at the usual interval.
const MAX_NOTES: usize = 288;
/// How often the same warning is logged.
const AGAIN: Duration = Duration::from_mins(1);
/// How long the runtime may stand still before that is logged, and how often that is looked at.
const STILL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(5);
/// How long the runtime is asked to sleep to see how late it wakes.
const NAP: Duration = Duration::from_millis(100);
/// The part of the limit below which memory is no problem any more.
const EASED: f64 = 0.95;
/// The part of a control group's limit that may be used.
const PART: f64 = 0.9;

/// What was seen last.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    seen: Mutex<Seen>,
    /// New calls are refused until less memory is in use.
    pressure: Arc<AtomicBool>,
    /// Counts the ticks of the runtime.
    beat: Arc<AtomicU64>,
    lag_micros: AtomicU64,
    worst_lag_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    memory: VecDeque<(Instant, u64)>,
    processors: Option<Processors>,
    before: Option<(Instant, Ticks, f64)>,
    warned: Option<Instant>,
    /// When the runtime was asked to sleep.
    napped: Option<Instant>,
}

/// How busy the processors are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    /// All of them, in percent.
    pub(crate) percent: f64,
    /// This process, in percent of one.
    pub(crate) process_percent: f64,
    pub(crate) count: usize,
    pub(crate) load: [f64; 3],
    pub(crate) threads: u64,
}

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Self::is_short`], for frequent callers.
    pub(crate) fn pressure(&self) -> &Arc<AtomicBool> {
        &self.pressure
    }

    /// True while new calls are refused for want of memory.
    pub(crate) fn is_short(&self) -> bool {
        self.pressure.load(Ordering::Relaxed)
    }

    /// Notes the memory in use.
    pub(crate) fn note_memory(&self) {
        let Some(rss) = process::rss() else { return };
        let mut seen = self.lock();
        if seen.memory.len() >= MAX_NOTES {
            seen.memory.pop_front();
        }
        seen.memory.push_back((Instant::now(), rss));
    }

    /// The notes of the memory in use: how long ago, and how many bytes.
    pub(crate) fn memory(&self) -> Vec<(Duration, u64)> {
        self.lock().memory.iter().map(|(at, rss)| (at.elapsed(), *rss)).collect()
    }

    /// How the processors are.
    pub(crate) fn processors(&self) -> Option<Processors> {
        self.lock().processors
    }

    /// How late the runtime woke the last time, and at worst.
    pub(crate) fn lag(&self) -> [Duration; 2] {
        [&self.lag_micros, &self.worst_lag_micros].map(|micros| Duration::from_micros(micros.load(Ordering::Relaxed)))
    }

    /// Measures the processors since the last time, and warns above `warn_percent`.
    pub(crate) fn measure(&self, warn_percent: f64) {
        let (Some(ticks), Some((cpu_seconds, threads))) = (process::ticks(), process::work()) else { return };
        let (now, load) = (Instant::now(), process::load_average().unwrap_or_default());
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut seen = self.lock();
        let before = seen.before.replace((now, ticks, cpu_seconds));
        let Some((then, old, seconds)) = before else { return };
        let part =
            |of: u64, all: u64| f64::from(u32::try_from(of).unwrap_or(u32::MAX)) / f64::from(u32::try_from(all.max(1)).unwrap_or(u32::MAX));
        let processors = Processors {
            percent: 100.0 * part(ticks.busy.saturating_sub(old.busy), ticks.all.saturating_sub(old.all)),
            process_percent: 100.0 * (cpu_seconds - seconds).max(0.0) / now.duration_since(then).as_secs_f64().max(0.001),
            count,
            load,
            threads,
        };
        seen.processors = Some(processors);
        let is_due = seen.warned.is_none_or(|at| at.elapsed() >= AGAIN);
        if processors.percent > warn_percent && is_due {
            seen.warned = Some(now);
            drop(seen);
            tracing::warn!(
                cpu_percent = processors.percent,
                process_cpu = processors.process_percent,
                cpu_count = processors.count,
                load_average = ?processors.load,
                threads = processors.threads,
                "high CPU usage: see `mcp-server-git status`"
            );
        }
    }

    /// Sees how late the runtime wakes, and says that it runs. It is asked each `period`: where it stood still in between, it is
    /// asked late.
    pub(crate) async fn nap(&self, period: Duration) {
        let began = Instant::now();
        let before = self.lock().napped.replace(began);
        tokio::time::sleep(NAP).await;
        let asked_late = before.map_or(Duration::ZERO, |before| began.duration_since(before).saturating_sub(period));
        let late = began.elapsed().saturating_sub(NAP).max(asked_late);
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.lag_micros.store(late, Ordering::Relaxed);
        self.worst_lag_micros.fetch_max(late, Ordering::Relaxed);
        self.beat.fetch_add(1, Ordering::Relaxed);
    }

    /// Watches from a thread of its own whether the runtime runs, until it ends.
    pub(crate) fn watch_the_runtime(&self, stop: CancellationToken) {
        let beat = Arc::downgrade(&self.beat);
        let watching = move || {
            let (mut last, mut since, mut told) = (0, Instant::now(), false);
            // Once it ends, what beats ends first.
            while let Some(beat) = beat.upgrade().filter(|_| !stop.is_cancelled()) {
                let now = beat.load(Ordering::Relaxed);
                if now != last {
                    (last, since, told) = (now, Instant::now(), false);
                } else if now > 0 && !told && since.elapsed() >= STILL {
                    told = true;
                    tracing::error!(seconds = since.elapsed().as_secs(), "async runtime stalled: its worker threads are blocked");
                }
                drop(beat);
                thread::park_timeout(LOOK);
            }
        };
        if let Err(err) = thread::Builder::new().name("watchdog".to_owned()).stack_size(128 << 10).spawn(watching) {
            tracing::warn!(%err, "could not start the runtime watchdog");
        }
    }

    /// The bytes in use, and the most that may be.
    pub(crate) fn use_and_limit(soft_limit: Option<u64>) -> Option<(u64, u64)> {
        match soft_limit {
            Some(limit) => Some((process::rss()?, limit)),
            None => process::control_group().map(|(limit, used)| (used, scaled(limit, PART))),
        }
    }

    /// Refuses new calls where too much memory is in use, once `ease` has not helped, and takes them again where there is less.
    pub(crate) fn check_memory(&self, soft_limit: Option<u64>, ease: impl FnOnce()) {
        let Some((used, limit)) = Self::use_and_limit(soft_limit) else { return };
        if self.pressure.load(Ordering::Relaxed) {
            if used < scaled(limit, EASED) {
                self.pressure.store(false, Ordering::Relaxed);
                tracing::warn!(used, limit, "accepting new calls: memory use is below the limit");
            } else {
                ease();
            }
            return;
        }
        if used <= limit {
            return;
        }
        ease();
        let used = Self::use_and_limit(soft_limit).map_or(used, |(used, _)| used);
        if used > limit {
            self.pressure.store(true, Ordering::Relaxed);
            tracing::error!(used, limit, "rejecting new calls: memory limit reached");
        }
    }
}

fn scaled(bytes: u64, part: f64) -> u64 {
    // Whole percent are exact enough, and lose nothing of large numbers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part between 0 and 1, in percent")]
    let percent = (part * 100.0) as u64;
    bytes / 100 * percent
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn new_calls_are_refused_above_the_limit_and_taken_below_it() {
        let watcher = Watcher::default();
        let pressure = || watcher.pressure.load(Ordering::Relaxed);
        let mut eased = false;
        watcher.check_memory(Some(1), || eased = true);
        assert!(eased && pressure());
        watcher.check_memory(Some(1), || ());
        assert!(pressure());
        watcher.check_memory(Some(1 << 40), || ());
        assert!(!pressure());
    }

    #[test]
    fn processors_are_measured_between_two_looks() {
        let watcher = Watcher::default();
        watcher.measure(100.0);
        assert!(watcher.processors().is_none());
        watcher.measure(100.0);
        let seen = watcher.processors().map(|seen| (0.0..=100.0).contains(&seen.percent) && seen.threads > 0);
        assert_eq!(seen, Some(true));
        watcher.note_memory();
        assert_eq!(watcher.memory().len(), 1);
    }
}

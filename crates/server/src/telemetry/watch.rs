//! Watches memory, CPU and the async runtime, keeps the latest values, and warns above the limits.

use super::process::{self, Ticks};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Number of memory samples kept: a day at the default interval.
const MAX_NOTES: usize = 288;
/// Minimum time between two samples of the CPU: the kernel counts in ticks of some milliseconds.
const SPAN: Duration = Duration::from_secs(1);
/// Minimum time between two warnings of the same kind.
const AGAIN: Duration = Duration::from_mins(1);
/// How long the runtime may stall before it is logged, and how often that is checked.
const STILL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(5);
/// Length of the sleep that measures the runtime's wake-up delay.
const NAP: Duration = Duration::from_millis(100);
/// Fraction of the limit below which memory pressure ends.
const EASED: f64 = 0.95;
/// Usable fraction of a control group's limit.
const PART: f64 = 0.9;

/// Latest values and state.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    latest: Mutex<Latest>,
    /// New calls are rejected while set.
    pressure: Arc<AtomicBool>,
    /// Counts the runtime's ticks.
    ticks: Arc<AtomicU64>,
    lag_micros: AtomicU64,
    worst_lag_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Latest {
    memory: VecDeque<(Instant, u64)>,
    processors: Option<Processors>,
    before: Option<(Instant, Ticks, f64)>,
    warned: Option<Instant>,
    /// Start of the last sleep.
    napped: Option<Instant>,
}

/// CPU use.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    /// Of the machine, in percent.
    pub percent: f64,
    /// Of this process, in percent of one CPU.
    pub process_percent: f64,
    /// Number of CPUs.
    pub count: usize,
    /// Load average of the machine over one, five and fifteen minutes.
    pub load: [f64; 3],
    /// Number of threads of this process.
    pub threads: u64,
}

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock()
    }

    /// [`Self::is_short`], for frequent callers.
    pub(crate) fn pressure(&self) -> &Arc<AtomicBool> {
        &self.pressure
    }

    /// Whether new calls are rejected because of memory pressure.
    pub(crate) fn is_short(&self) -> bool {
        self.pressure.load(Ordering::Relaxed)
    }

    /// Records a memory sample.
    pub(crate) fn note_memory(&self) {
        let Some(rss) = process::rss() else { return };
        let mut seen = self.lock();
        if seen.memory.len() >= MAX_NOTES {
            seen.memory.pop_front();
        }
        seen.memory.push_back((Instant::now(), rss));
    }

    /// Memory samples: age and bytes.
    pub(crate) fn memory(&self) -> Vec<(Duration, u64)> {
        self.lock().memory.iter().map(|(at, rss)| (at.elapsed(), *rss)).collect()
    }

    /// The latest CPU use; unknown in the first second.
    pub(crate) fn processors(&self) -> Option<Processors> {
        self.lock().processors
    }

    /// Wake-up delay of the runtime: the latest, and the maximum.
    pub(crate) fn lag(&self) -> [Duration; 2] {
        [&self.lag_micros, &self.worst_lag_micros].map(|micros| Duration::from_micros(micros.load(Ordering::Relaxed)))
    }

    /// Measures CPU use since the last measurement, unless that is too recent, and warns above `warn_percent`.
    pub(crate) fn measure(&self, warn_percent: f64) {
        self.measure_at(Instant::now(), warn_percent);
    }

    fn measure_at(&self, now: Instant, warn_percent: f64) {
        let (Some(ticks), Some((cpu_seconds, threads))) = (process::ticks(), process::work()) else { return };
        let load = process::load_average().unwrap_or_default();
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut seen = self.lock();
        if seen.before.is_some_and(|(then, ..)| now.saturating_duration_since(then) < SPAN) {
            return;
        }
        let before = seen.before.replace((now, ticks, cpu_seconds));
        let Some((then, old, seconds)) = before else { return };
        let part =
            |of: u64, all: u64| f64::from(u32::try_from(of).unwrap_or(u32::MAX)) / f64::from(u32::try_from(all.max(1)).unwrap_or(u32::MAX));
        let processors = Processors {
            percent: 100.0 * part(ticks.busy.saturating_sub(old.busy), ticks.all.saturating_sub(old.all)),
            process_percent: 100.0 * (cpu_seconds - seconds).max(0.0) / now.duration_since(then).as_secs_f64(),
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

    /// Measures the runtime's wake-up delay and counts a tick. It is called every `period`: if the runtime stalls in
    /// between, the call itself is late.
    pub(crate) async fn nap(&self, period: Duration) {
        let began = Instant::now();
        let before = self.lock().napped.replace(began);
        tokio::time::sleep(NAP).await;
        let asked_late = before.map_or(Duration::ZERO, |before| began.duration_since(before).saturating_sub(period));
        let late = began.elapsed().saturating_sub(NAP).max(asked_late);
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.lag_micros.store(late, Ordering::Relaxed);
        self.worst_lag_micros.fetch_max(late, Ordering::Relaxed);
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Checks from its own thread whether the runtime makes progress, until the runtime stops.
    pub(crate) fn watch_the_runtime(&self, stop: CancellationToken) {
        let ticks = Arc::downgrade(&self.ticks);
        let watching = move || {
            let (mut last, mut since, mut logged) = (0, Instant::now(), false);
            // Dropping the counter ends the loop before the runtime stops.
            while let Some(ticks) = ticks.upgrade().filter(|_| !stop.is_cancelled()) {
                let now = ticks.load(Ordering::Relaxed);
                if now != last {
                    (last, since, logged) = (now, Instant::now(), false);
                } else if now > 0 && !logged && since.elapsed() >= STILL {
                    logged = true;
                    tracing::error!(seconds = since.elapsed().as_secs(), "async runtime stalled: its worker threads are blocked");
                }
                drop(ticks);
                thread::park_timeout(LOOK);
            }
        };
        if let Err(err) = thread::Builder::new().name("watchdog".to_owned()).stack_size(128 << 10).spawn(watching) {
            tracing::warn!(%err, "could not start the runtime watchdog");
        }
    }

    /// Bytes in use, and the limit.
    pub(crate) fn use_and_limit(soft_limit: Option<u64>) -> Option<(u64, u64)> {
        match soft_limit {
            Some(limit) => Some((process::rss()?, limit)),
            None => process::control_group().map(|(limit, used)| (used, scaled(limit, PART))),
        }
    }

    /// Rejects new calls if memory use exceeds the limit even after `ease`, and accepts them again once it has dropped.
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
    // Integer percent is precise enough and does not overflow.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part between 0 and 1, in percent")]
    let percent = (part * 100.0) as u64;
    bytes / 100 * percent
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn new_calls_are_refused_above_the_limit_and_accepted_below_it() {
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
    fn cpu_use_is_measured_between_two_samples() {
        let watcher = Watcher::default();
        let start = Instant::now();
        for early in [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(999)] {
            watcher.measure_at(start + early, 100.0);
            assert!(watcher.processors().is_none(), "{early:?}");
        }
        watcher.measure_at(start + SPAN, 100.0);
        let seen = watcher.processors().map(|seen| (0.0..=100.0).contains(&seen.percent) && seen.threads > 0);
        assert_eq!(seen, Some(true));
        watcher.note_memory();
        assert_eq!(watcher.memory().len(), 1);
    }
}

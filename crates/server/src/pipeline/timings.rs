//! Timings and origin of a call, for its log record.

pub(crate) use crate::telemetry::metrics::Stage;
use crate::{error::Error, telemetry::metrics::Metrics};
use git::Repo;
use opentelemetry::trace::SpanContext;
use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The origin of a call.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The call's session.
    pub session: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
    /// The client's parent span.
    pub parent: Option<SpanContext>,
    /// Transport and protocol, by their OpenTelemetry names.
    pub transport: [&'static str; 2],
}

impl Origin {
    /// The id of its trace.
    pub(crate) fn trace(&self) -> Option<String> {
        self.parent.as_ref().map(|parent| parent.trace_id().to_string())
    }
}

/// Time spent in each stage of a call.
#[derive(Debug)]
pub(crate) struct Timings {
    /// In microseconds, by stage.
    stages: [AtomicU64; Stage::ALL.len()],
    /// Start of each stage: microseconds after the call plus one; 0 if it has not begun.
    begun: [AtomicU64; Stage::ALL.len()],
    /// The stage now, plus one; 0 between stages.
    now: AtomicU8,
    began: Instant,
    repository: OnceLock<PathBuf>,
}

impl Default for Timings {
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

thread_local! {
    /// Time spent on this thread in stages that are parts of others, by stage.
    static APART: Cell<[Duration; Stage::ALL.len()]> = const { Cell::new([Duration::ZERO; Stage::ALL.len()]) };
}

/// Measures a git process, or a pause, for the call on this thread, until dropped.
pub(crate) struct Apart(Stage, Instant);

impl Apart {
    pub(crate) fn begin(stage: Stage) -> Self {
        Self(stage, Instant::now())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let mut all = APART.get();
        all[self.0 as usize] += self.1.elapsed();
        APART.set(all);
    }
}

/// A stage being timed.
pub(super) struct Waiting<'a> {
    timings: &'a Timings,
    stage: Stage,
    began: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.timings.now.store(0, Ordering::Relaxed);
        self.timings.add(self.stage, self.began, self.began.elapsed());
    }
}

impl Timings {
    /// Timings of a call received at `received`.
    pub(super) fn since(received: Instant) -> Self {
        Self { stages: Default::default(), begun: Default::default(), now: AtomicU8::new(0), began: received, repository: OnceLock::new() }
    }

    fn add(&self, stage: Stage, from: Instant, time: Duration) {
        if time.is_zero() {
            return;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.stages[stage as usize].fetch_add(micros(time), Ordering::Relaxed);
        let after = micros(from.saturating_duration_since(self.began));
        self.begun[stage as usize].compare_exchange(0, after.saturating_add(1), Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// Name, start and duration of each stage that took time.
    pub(super) fn parts(&self) -> Vec<(&'static str, Duration, Duration)> {
        let micros = |times: &[AtomicU64], stage: Stage| Duration::from_micros(times[stage as usize].load(Ordering::Relaxed));
        let all = Stage::ALL.into_iter().map(|stage| (stage.name(), micros(&self.begun, stage), micros(&self.stages, stage)));
        all.filter(|(.., took)| !took.is_zero()).collect()
    }

    /// The stage now.
    pub(super) fn now(&self) -> Option<Stage> {
        usize::from(self.now.load(Ordering::Relaxed)).checked_sub(1).and_then(|at| Stage::ALL.get(at).copied())
    }

    /// The repository, once it is open.
    pub(super) fn repository(&self) -> Option<&Path> {
        self.repository.get().map(PathBuf::as_path)
    }

    fn enter(&self, stage: Stage) {
        self.now.store(stage as u8 + 1, Ordering::Relaxed);
    }

    /// Milliseconds spent in a stage.
    fn of(&self, stage: Stage) -> u64 {
        self.stages[stage as usize].load(Ordering::Relaxed) / 1000
    }

    /// Counts the time until the returned guard is dropped as `stage`.
    pub(super) fn begin(&self, stage: Stage) -> Waiting<'_> {
        self.enter(stage);
        Waiting { timings: self, stage, began: Instant::now() }
    }

    /// Runs `work` on this thread and counts its time as `stage`, without git processes and pauses.
    pub(super) fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let (began, before) = (Instant::now(), APART.get());
        self.enter(stage);
        let done = work();
        self.now.store(0, Ordering::Relaxed);
        let after = APART.get();
        // They alternate with other work; each stage is shown as one span.
        let mut elsewhere = Duration::ZERO;
        for part in Stage::ALL {
            let spent = after[part as usize].saturating_sub(before[part as usize]);
            self.add(part, began + elsewhere, spent);
            elsewhere += spent;
        }
        self.add(stage, began + elsewhere, began.elapsed().saturating_sub(elsewhere));
        done
    }

    /// Opens the repository of the call.
    pub(super) fn open<R: AsRef<Repo>>(&self, open: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let repo = self.time(Stage::Open, open)?;
        self.repository.get_or_init(|| repo.as_ref().top().to_owned());
        Ok(repo)
    }

    /// Waits for a slot.
    pub(super) async fn queued<T>(&self, place: impl Future<Output = T>) -> T {
        let _waiting = self.begin(Stage::Queue);
        place.await
    }

    /// Adds the call's stages to the metrics.
    pub(super) fn measure(&self, metrics: &Metrics) {
        for stage in Stage::ALL {
            let took = self.stages[stage as usize].load(Ordering::Relaxed);
            if took > 0 {
                metrics.stage(stage, Duration::from_micros(took));
            }
        }
    }

    /// Logs the call: as a warning if it took at least `slow`, else at `info`.
    pub(super) fn record(&self, name: &str, origin: &Origin, took: Duration, slow: Duration, ended: Result<(), &Error>) {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (queue_ms, lock_ms, open_ms) = (self.of(Stage::Queue), self.of(Stage::Lock), self.of(Stage::Open));
        let (git_ms, retry_ms, encode_ms) = (self.of(Stage::Git), self.of(Stage::Retry), self.of(Stage::Encode));
        let repo = self.repository.get().map(|repo| repo.display().to_string());
        let (Origin { session, request, .. }, trace) = (origin, origin.trace());
        let error = ended.err();
        let (error_class, code) = (error.map(|error| error.class().name()), error.map(Error::code));
        let cause = error.and_then(std::error::Error::source).and(code);
        let reason = error.and_then(Error::reason);
        macro_rules! record {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    tool = name,
                    session_id = session,
                    request_id = request,
                    repo,
                    duration_ms,
                    error_class,
                    code,
                    cause,
                    reason,
                    trace_id = trace,
                    queue_ms,
                    lock_ms,
                    open_ms,
                    git_ms,
                    retry_ms,
                    encode_ms,
                    $message
                )
            };
        }
        match (took >= slow, error) {
            (true, None) => record!(warn, "slow call"),
            (true, Some(_)) => record!(warn, "slow call failed"),
            (false, None) => record!(info, "done"),
            (false, Some(_)) => record!(info, "failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_git_and_in_pauses_is_counted_apart() {
        let timings = Timings::default();
        timings.time(Stage::Encode, || {
            for (stage, seconds) in [(Stage::Git, 5), (Stage::Retry, 3), (Stage::Git, 5)] {
                drop(Apart(stage, Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap_or_else(Instant::now)));
            }
        });
        let all = [Stage::Git, Stage::Retry, Stage::Encode].map(|stage| timings.of(stage) / 1000);
        assert_eq!(all, [10, 3, 0], "{timings:?}");
    }
}

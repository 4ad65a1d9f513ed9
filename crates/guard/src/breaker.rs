//! A circuit breaker: stops calls to a failing remote and lets a few through to check whether it has recovered.

use crate::{
    circuit::{CallError, CircuitConfig, CircuitSnapshot, CircuitState, Open, ResetOutcome, Verdict},
    state::State,
};
use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The longest pause: a remote that asks for a year does not get it.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// Tracks the calls to one remote that may fail.
#[derive(Debug)]
pub struct CircuitBreaker {
    core: Arc<Core>,
}

/// Permission for one call. Dropped without a verdict, it counts as [`Verdict::Ignored`] and frees its slot.
#[derive(Debug)]
#[must_use = "a permission dropped without a verdict records nothing"]
pub struct Permission {
    core: Arc<Core>,
    generation: u64,
    verdict: Verdict,
    trips: bool,
}

impl Permission {
    /// Records that the remote is alive.
    pub fn success(mut self) {
        self.verdict = Verdict::Success;
    }

    /// Records that the call failed.
    pub fn failure(mut self) {
        self.verdict = Verdict::Failure;
    }

    /// Records a failure so slow that the circuit opens at once: each further one would take as long.
    pub fn trip(mut self) {
        (self.verdict, self.trips) = (Verdict::Failure, true);
    }

    /// Records no outcome.
    pub fn ignore(self) {}
}

impl Drop for Permission {
    fn drop(&mut self) {
        self.core.end(self.generation, self.verdict, self.trips);
    }
}

#[derive(Debug)]
struct Core {
    name: Arc<str>,
    config: CircuitConfig,
    state: Mutex<State>,
}

impl CircuitBreaker {
    /// Creates a closed circuit.
    pub fn new(name: impl Into<Arc<str>>, config: CircuitConfig) -> Self {
        let state = State::new(Instant::now());
        Self { core: Arc::new(Core { name: name.into(), config, state: Mutex::new(state) }) }
    }

    /// The circuit's name.
    pub fn name(&self) -> &Arc<str> {
        &self.core.name
    }

    /// Requests permission for one call.
    ///
    /// # Errors
    ///
    /// [`Open`] while the circuit is open or paused, or half-open with all its trials running.
    pub fn try_acquire(&self) -> Result<Permission, Open> {
        let now = Instant::now();
        let mut state = self.core.lock();
        state.last_used = Some(now);
        if let Err(retry_after) = state.admit(&self.core.config, now) {
            return Err(self.refuse(&mut state, retry_after, now));
        }
        state.calls += 1;
        Ok(self.trial(state.generation))
    }

    /// Rejects early, before any work for the call has started. Takes no trial.
    ///
    /// # Errors
    ///
    /// [`Open`] while the circuit is open or paused.
    pub fn check(&self) -> Result<(), Open> {
        let now = Instant::now();
        let mut state = self.core.lock();
        let wait = state.wait(&self.core.config, now);
        if wait.is_zero() {
            return Ok(());
        }
        state.last_used = Some(now);
        Err(self.refuse(&mut state, wait, now))
    }

    fn refuse(&self, state: &mut State, retry_after: Duration, now: Instant) -> Open {
        state.rejected += 1;
        Open { name: Arc::clone(&self.core.name), paused: !state.pause_left(now).is_zero(), retry_after }
    }

    /// Runs `work` if the circuit permits it. `verdict` classifies an error: a refusal comes from a remote that is alive.
    ///
    /// # Errors
    ///
    /// [`CallError::Open`] without polling `work`; [`CallError::Failed`] with the error of `work`.
    pub async fn call<F, T, E>(&self, verdict: impl Fn(&E) -> Verdict, work: F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut trial = self.try_acquire()?;
        let result = work.await;
        trial.verdict = result.as_ref().map_or_else(verdict, |_| Verdict::Success);
        drop(trial);
        result.map_err(CallError::Failed)
    }

    /// Blocks calls for as long as the remote asked, at most an hour. This is not a failure, and the state stays.
    pub fn pause(&self, length: Duration) {
        let (now, length) = (Instant::now(), length.min(MAX_PAUSE));
        let mut state = self.core.lock();
        if length > state.pause_left(now) {
            state.paused = Some((now, length));
        }
    }

    /// The current state and counters.
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.core.lock().snapshot(&self.core.name, &self.core.config, Instant::now())
    }

    /// Closes the circuit manually and ends a pause.
    pub fn reset(&self) -> ResetOutcome {
        let (now, config) = (Instant::now(), &self.core.config);
        let mut state = self.core.lock();
        let was = state.effective(config, now);
        let is_recent = state.last_failure.is_some_and(|then| now.saturating_duration_since(then) < config.twice_the_timeout());
        state.close();
        state.paused = None;
        ResetOutcome { was, early: was != CircuitState::Closed && is_recent }
    }

    /// Whether the circuit has seen no trial for twice the timeout, so that it must be probed.
    pub fn needs_probe(&self) -> bool {
        let now = Instant::now();
        let state = self.core.lock();
        state.is_stuck(&self.core.config, now) && state.pause_left(now).is_zero()
    }

    /// Takes a trial for a probe if one is needed.
    pub fn probe(&self) -> Option<Permission> {
        let (now, config) = (Instant::now(), &self.core.config);
        let mut state = self.core.lock();
        // Checked again under the lock, so that only one of two concurrent callers probes.
        if !state.is_stuck(config, now) {
            return None;
        }
        state.admit(config, now).ok()?;
        state.probes += 1;
        Some(self.trial(state.generation))
    }

    /// Time since the last use, if the circuit is closed and has no calls running, so that dropping it loses nothing.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let now = Instant::now();
        let state = self.core.lock();
        let is_free = state.phase == CircuitState::Closed && state.pause_left(now).is_zero() && Arc::strong_count(&self.core) == 1;
        state.last_used.filter(|_| is_free).map(|then| now.saturating_duration_since(then))
    }

    fn trial(&self, generation: u64) -> Permission {
        Permission { core: Arc::clone(&self.core), generation, verdict: Verdict::Ignored, trips: false }
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn end(&self, generation: u64, verdict: Verdict, trips: bool) {
        // A separate statement, so that the lock is released before logging.
        let changed = self.lock().end(&self.config, Instant::now(), generation, (verdict, trips));
        match changed {
            Some(CircuitState::Open) => tracing::warn!(circuit = %self.name, "circuit opened"),
            Some(state) => tracing::info!(circuit = %self.name, "circuit {state}"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RateRule;
    use tokio::{runtime::Handle, time::advance};

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new("host:443/fetch", CircuitConfig::default())
    }

    fn fail(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            breaker.try_acquire().unwrap().failure();
        }
    }

    fn state(breaker: &CircuitBreaker) -> CircuitState {
        breaker.snapshot().state
    }

    #[tokio::test(start_paused = true)]
    async fn the_fifth_failure_in_a_row_opens_it_and_time_alone_half_opens_it() {
        let breaker = breaker();
        fail(&breaker, 4);
        assert_eq!((state(&breaker), breaker.snapshot().failure_count), (CircuitState::Closed, 4));
        fail(&breaker, 1);
        advance(Duration::from_millis(500)).await;
        let open = breaker.try_acquire().unwrap_err();
        assert_eq!((state(&breaker), open.retry_after), (CircuitState::Open, Duration::from_millis(29_500)));
        assert_eq!(open.to_string(), "circuit open: host:443/fetch, next trial in 30 s");
        advance(open.retry_after).await;
        let shown = breaker.snapshot();
        assert_eq!((shown.state, shown.next_trial, shown.last_failure), (CircuitState::HalfOpen, Some(Duration::ZERO), Some(TIMEOUT)));
        breaker.try_acquire().unwrap().success();
        let shown = breaker.snapshot();
        assert_eq!((shown.state, shown.failure_count, shown.opened, shown.next_trial), (CircuitState::Closed, 0, None, None));
        assert_eq!((shown.calls, shown.rejected, shown.opened_times), (6, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_failure_opens_it_at_once_and_a_late_one_does_not() {
        let breaker = breaker();
        let late = breaker.try_acquire().unwrap();
        breaker.try_acquire().unwrap().trip();
        assert_eq!((state(&breaker), breaker.snapshot().failure_count), (CircuitState::Open, 1));
        breaker.reset();
        late.trip();
        assert_eq!(state(&breaker), CircuitState::Closed, "a verdict from before the reset does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn three_of_a_hundred_get_a_trial_and_a_dropped_trial_frees_its_slot() {
        let breaker = Arc::new(breaker());
        fail(&breaker, 5);
        advance(TIMEOUT).await;
        let ask = |one: Arc<CircuitBreaker>, runtime: Handle| {
            std::thread::spawn(move || {
                // Other threads see the paused clock only inside the runtime.
                let _entered = runtime.enter();
                one.try_acquire().ok()
            })
        };
        let burst: Vec<_> = (0..100).map(|_| ask(Arc::clone(&breaker), Handle::current())).collect();
        let mut trials: Vec<Permission> = burst.into_iter().filter_map(|one| one.join().unwrap()).collect();
        assert_eq!((trials.len(), breaker.snapshot().rejected), (3, 97));
        trials.pop();
        trials.extend(breaker.try_acquire());
        assert_eq!(trials.len(), 3);
        trials.pop().unwrap().ignore();
        assert!(breaker.try_acquire().is_ok());
        assert_eq!(state(&breaker), CircuitState::HalfOpen);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_trial_opens_it_for_the_full_time_and_rejections_add_nothing() {
        let breaker = breaker();
        fail(&breaker, 5);
        advance(TIMEOUT).await;
        let (failed, late) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
        advance(Duration::from_secs(7)).await;
        failed.failure();
        for _ in 0..29 {
            assert!(breaker.try_acquire().is_err());
            advance(Duration::from_secs(1)).await;
        }
        late.failure();
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after, Duration::from_secs(1));
        advance(Duration::from_secs(1)).await;
        assert!(breaker.try_acquire().is_ok());
        assert_eq!(breaker.snapshot().opened_times, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_success_does_not_close_it() {
        let breaker = breaker();
        let [first, second] = [(); 2].map(|()| breaker.try_acquire().unwrap());
        fail(&breaker, 5);
        first.success();
        assert_eq!((state(&breaker), breaker.snapshot().failure_count), (CircuitState::Open, 5));
        advance(TIMEOUT).await;
        let trials = [(); 3].map(|()| breaker.try_acquire().unwrap());
        second.success();
        assert_eq!(state(&breaker), CircuitState::HalfOpen);
        assert!(breaker.try_acquire().is_err(), "a late success must not free a trial slot");
        drop(trials);
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_failures_open_it_even_if_not_consecutive() {
        let mixed = |config, rounds: u32| {
            let breaker = CircuitBreaker::new("a", config);
            for _ in 0..rounds {
                breaker.try_acquire().unwrap().success();
                fail(&breaker, 1);
            }
            breaker
        };
        assert_eq!(state(&mixed(CircuitConfig::default(), 2)), CircuitState::Closed);
        assert_eq!(state(&mixed(CircuitConfig::default(), 3)), CircuitState::Open);
        assert_eq!(state(&mixed(CircuitConfig { rate: None, ..CircuitConfig::default() }, 50)), CircuitState::Closed);
        // The rate rule does not undercut a threshold of ten.
        let tolerant = CircuitBreaker::new("a", CircuitConfig { failure_threshold: 10, ..CircuitConfig::default() });
        fail(&tolerant, 9);
        assert_eq!(state(&tolerant), CircuitState::Closed);
        let old = mixed(CircuitConfig::default(), 2);
        advance(RateRule::default().window).await;
        old.try_acquire().unwrap().success();
        fail(&old, 1);
        assert_eq!(state(&old), CircuitState::Closed, "calls outside the window do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_a_failure_and_expires() {
        let breaker = breaker();
        breaker.pause(Duration::from_secs(20));
        breaker.pause(Duration::from_secs(5));
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after, Duration::from_secs(20));
        let shown = breaker.snapshot();
        assert_eq!((shown.state, shown.failure_count, shown.paused), (CircuitState::Open, 0, Some(Duration::from_secs(20))));
        assert_eq!((shown.next_trial, shown.rejected), (shown.paused, 1));
        assert!(breaker.check().is_err_and(|open| open.paused) && breaker.snapshot().rejected == 2);
        advance(Duration::from_secs(20)).await;
        assert_eq!((state(&breaker), breaker.check()), (CircuitState::Closed, Ok(())));
        assert!(breaker.try_acquire().is_ok() && breaker.snapshot().paused.is_none());
        breaker.pause(Duration::MAX);
        assert_eq!(breaker.snapshot().paused, Some(MAX_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn without_traffic_it_is_probed_once_and_a_reset_reports_whether_it_was_early() {
        let breaker = breaker();
        assert_eq!(breaker.reset(), ResetOutcome { was: CircuitState::Closed, early: false });
        fail(&breaker, 5);
        advance(TIMEOUT).await;
        assert!(!breaker.needs_probe() && breaker.probe().is_none());
        advance(TIMEOUT).await;
        assert!(breaker.needs_probe() && breaker.snapshot().is_stuck);
        let probe = breaker.probe().unwrap();
        assert!(!breaker.needs_probe() && breaker.probe().is_none() && !breaker.snapshot().is_stuck);
        probe.failure();
        assert_eq!((state(&breaker), breaker.snapshot().probes, breaker.snapshot().calls), (CircuitState::Open, 1, 5));
        assert_eq!(breaker.reset(), ResetOutcome { was: CircuitState::Open, early: true });
        fail(&breaker, 5);
        advance(TIMEOUT * 2).await;
        assert_eq!(breaker.reset(), ResetOutcome { was: CircuitState::HalfOpen, early: false });
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_counts_as_its_verdict() {
        let breaker = breaker();
        let judge = |error: &std::io::Error| if error.raw_os_error().is_some() { Verdict::Failure } else { Verdict::Ignored };
        for _ in 0..9 {
            let refused = breaker.call(judge, async { Err::<(), _>(std::io::Error::other("refused")) }).await;
            assert!(matches!(refused, Err(CallError::Failed(_))));
        }
        for _ in 0..5 {
            breaker.call(judge, async { Err::<(), _>(std::io::Error::from_raw_os_error(5)) }).await.unwrap_err();
        }
        let not_made = breaker.call(judge, async { Ok(()) }).await;
        assert!(matches!(not_made, Err(CallError::Open(_))));
    }
}

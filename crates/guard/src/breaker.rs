//! Stops calls to what keeps failing, and lets a few try whether it has recovered.

use crate::{
    circuit::{CallError, CircuitConfig, CircuitSnapshot, CircuitState, Open, ResetOutcome, Verdict},
    state::State,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The longest pause: a remote that asks for a year does not get it.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// Watches the calls to one thing that can fail.
#[derive(Debug)]
pub struct CircuitBreaker {
    core: Arc<Core>,
}

/// Leave for one call. Dropped without a verdict it counts as [`Verdict::Ignored`], and its place is free again.
#[derive(Debug)]
#[must_use = "a trial that is dropped says nothing"]
pub struct Permission {
    core: Arc<Core>,
    generation: u64,
    verdict: Verdict,
    trips: bool,
}

impl Permission {
    /// Ends it: the other side is alive.
    pub fn success(mut self) {
        self.verdict = Verdict::Success;
    }

    /// Ends it: the other side failed.
    pub fn failure(mut self) {
        self.verdict = Verdict::Failure;
    }

    /// Ends it: the other side failed, and so slowly that the circuit opens at once. Each further failure would be waited for.
    pub fn trip(mut self) {
        (self.verdict, self.trips) = (Verdict::Failure, true);
    }

    /// Ends it: nothing was learned.
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
    /// Makes a closed one.
    pub fn new(name: impl Into<Arc<str>>, config: CircuitConfig) -> Self {
        let state = State::new(Instant::now());
        Self { core: Arc::new(Core { name: name.into(), config, state: Mutex::new(state) }) }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.core.name
    }

    /// Asks for leave to make one call.
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

    /// Refuses where no call is let through now, before anything is begun for one. Takes no trial.
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

    /// Runs `work` where the circuit lets it. `verdict` says what an error means: a refusal comes from a remote that is alive.
    ///
    /// # Errors
    ///
    /// [`CallError::Open`] without having polled `work`; [`CallError::Failed`] with the error of `work`.
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

    /// Lets no call through for the time that the remote asked for, an hour at most. That is no failure, and the state stays.
    pub fn pause(&self, length: Duration) {
        let (now, length) = (Instant::now(), length.min(MAX_PAUSE));
        let mut state = self.core.lock();
        if length > state.pause_left(now) {
            state.paused = Some((now, length));
        }
    }

    /// How it is now.
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.core.lock().snapshot(&self.core.name, &self.core.config, Instant::now())
    }

    /// Closes it by hand, and ends a pause.
    pub fn reset(&self) -> ResetOutcome {
        let (now, config) = (Instant::now(), &self.core.config);
        let mut state = self.core.lock();
        let was = state.effective(config, now);
        let is_recent = state.last_failure.is_some_and(|then| now.saturating_duration_since(then) < config.twice_the_timeout());
        state.close();
        state.paused = None;
        ResetOutcome { was, early: was != CircuitState::Closed && is_recent }
    }

    /// Nothing has tried for twice the timeout, so that somebody has to.
    pub fn needs_probe(&self) -> bool {
        let now = Instant::now();
        let state = self.core.lock();
        state.is_stuck(&self.core.config, now) && state.pause_left(now).is_zero()
    }

    /// Takes a trial where one is needed, for a call that nobody asked for.
    pub fn probe(&self) -> Option<Permission> {
        let (now, config) = (Instant::now(), &self.core.config);
        let mut state = self.core.lock();
        // Asked again under the lock: of two that saw the need, one probes.
        if !state.is_stuck(config, now) {
            return None;
        }
        state.admit(config, now).ok()?;
        state.probes += 1;
        Some(self.trial(state.generation))
    }

    /// How long it has not been used, where it is closed, nobody runs a call, and so nothing is lost with it.
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, generation: u64, verdict: Verdict, trips: bool) {
        // In its own statement, so that the lock is free again when something is written.
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
        assert_eq!(state(&breaker), CircuitState::Closed, "it says nothing of what was reset since");
    }

    #[tokio::test(start_paused = true)]
    async fn three_of_a_hundred_try_and_a_lost_trial_frees_its_place() {
        let breaker = Arc::new(breaker());
        fail(&breaker, 5);
        advance(TIMEOUT).await;
        let ask = |one: Arc<CircuitBreaker>, runtime: Handle| {
            std::thread::spawn(move || {
                // Threads of their own see the paused clock only so.
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
        assert!(breaker.try_acquire().is_err(), "and it frees no place of a trial");
        drop(trials);
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_failures_open_it_where_they_are_not_in_a_row() {
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
        // A threshold of ten means ten.
        let tolerant = CircuitBreaker::new("a", CircuitConfig { failure_threshold: 10, ..CircuitConfig::default() });
        fail(&tolerant, 9);
        assert_eq!(state(&tolerant), CircuitState::Closed);
        let old = mixed(CircuitConfig::default(), 2);
        advance(RateRule::default().window).await;
        old.try_acquire().unwrap().success();
        fail(&old, 1);
        assert_eq!(state(&old), CircuitState::Closed, "what is long ago does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_no_failure_and_has_an_end() {
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
    async fn without_traffic_it_is_probed_once_and_a_reset_says_whether_it_was_early() {
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
    async fn an_error_counts_as_it_is_judged() {
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

//! The state machine of a circuit.

use crate::circuit::{CircuitConfig, CircuitSnapshot, CircuitState, Verdict};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Retry delay while all trials of a half-open circuit run.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

/// The state of one circuit. It reads no clock: callers pass the current time.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) phase: CircuitState,
    /// Counts state changes: a verdict from an earlier generation is ignored.
    pub(crate) generation: u64,
    failures: u32,
    recent: Recent,
    trials: u32,
    opened: Option<Instant>,
    pub(crate) last_failure: Option<Instant>,
    last_trial: Option<Instant>,
    pub(crate) last_used: Option<Instant>,
    pub(crate) paused: Option<(Instant, Duration)>,
    pub(crate) rejected: u64,
    pub(crate) calls: u64,
    opened_times: u64,
    pub(crate) probes: u64,
}

impl State {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last_used: Some(now), ..Self::default() }
    }

    /// Records a verdict; `trips` opens the circuit at the first failure. Returns the new state if it changed.
    pub(crate) fn end(
        &mut self,
        config: &CircuitConfig,
        now: Instant,
        generation: u64,
        (verdict, trips): (Verdict, bool),
    ) -> Option<CircuitState> {
        if self.generation != generation {
            return None;
        }
        let is_trial = self.phase == CircuitState::HalfOpen;
        if is_trial {
            self.trials = self.trials.saturating_sub(1);
        }
        match verdict {
            Verdict::Ignored => return None,
            Verdict::Success => {
                if is_trial {
                    self.close();
                    return Some(self.phase);
                }
                self.failures = 0;
                self.recent.add(config, now, false);
                return None;
            }
            Verdict::Failure => {}
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        self.recent.add(config, now, true);
        if !is_trial && !trips && self.failures < config.failure_threshold && !self.recent.is_over(config) {
            return None;
        }
        self.enter(CircuitState::Open);
        self.opened = Some(now);
        self.opened_times += 1;
        Some(self.phase)
    }

    pub(crate) fn snapshot(&self, name: &Arc<str>, config: &CircuitConfig, now: Instant) -> CircuitSnapshot {
        let since = |then: Option<Instant>| then.map(|then| now.saturating_duration_since(then));
        CircuitSnapshot {
            name: Arc::clone(name),
            state: self.effective(config, now),
            failure_count: self.failures,
            failure_threshold: config.failure_threshold,
            recovery_timeout: config.recovery_timeout,
            half_open_max_calls: config.half_open_max_calls,
            last_failure: since(self.last_failure),
            opened: since(self.opened),
            next_trial: Some(self.wait(config, now)).filter(|wait| self.opened.is_some() || !wait.is_zero()),
            paused: Some(self.pause_left(now)).filter(|left| !left.is_zero()),
            rejected: self.rejected,
            calls: self.calls,
            opened_times: self.opened_times,
            probes: self.probes,
            is_stuck: self.is_stuck(config, now),
        }
    }

    fn enter(&mut self, state: CircuitState) {
        self.phase = state;
        self.generation += 1;
        self.trials = 0;
    }

    pub(crate) fn close(&mut self) {
        self.enter(CircuitState::Closed);
        self.failures = 0;
        self.opened = None;
        self.recent = Recent::default();
    }

    pub(crate) fn admit(&mut self, config: &CircuitConfig, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(config, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.phase == CircuitState::Open {
            self.enter(CircuitState::HalfOpen);
        }
        if self.phase == CircuitState::HalfOpen {
            // Zero trials would never close it again.
            if self.trials >= config.half_open_max_calls.max(1) {
                return Err(TRIAL_WAIT);
            }
            self.trials += 1;
            self.last_trial = Some(now);
        }
        Ok(())
    }

    fn open_left(&self, config: &CircuitConfig, now: Instant) -> Duration {
        let opened = self.opened.filter(|_| self.phase == CircuitState::Open);
        opened.map_or(Duration::ZERO, |then| config.recovery_timeout.saturating_sub(now.saturating_duration_since(then)))
    }

    pub(crate) fn pause_left(&self, now: Instant) -> Duration {
        self.paused.map_or(Duration::ZERO, |(then, length)| length.saturating_sub(now.saturating_duration_since(then)))
    }

    pub(crate) fn wait(&self, config: &CircuitConfig, now: Instant) -> Duration {
        self.open_left(config, now).max(self.pause_left(now))
    }

    pub(crate) fn effective(&self, config: &CircuitConfig, now: Instant) -> CircuitState {
        match self.phase {
            _ if !self.pause_left(now).is_zero() => CircuitState::Open,
            CircuitState::Open if self.open_left(config, now).is_zero() => CircuitState::HalfOpen,
            phase => phase,
        }
    }

    pub(crate) fn is_stuck(&self, config: &CircuitConfig, now: Instant) -> bool {
        let last = self.opened.max(self.last_trial);
        let is_quiet = last.is_some_and(|then| now.saturating_duration_since(then) >= config.twice_the_timeout());
        self.phase != CircuitState::Closed && self.trials == 0 && is_quiet
    }
}

/// Recent calls, in a bounded number of slots.
#[derive(Debug, Default)]
struct Recent(VecDeque<Slot>);

#[derive(Debug)]
struct Slot {
    start: Instant,
    calls: u64,
    failures: u64,
}

impl Recent {
    fn add(&mut self, config: &CircuitConfig, now: Instant, failed: bool) {
        let Some(rule) = config.rate else { return };
        let age = |slot: &Slot| now.saturating_duration_since(slot.start);
        while self.0.front().is_some_and(|slot| age(slot) >= rule.window) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|slot| age(slot) >= rule.window / 12) {
            self.0.push_back(Slot { start: now, calls: 0, failures: 0 });
        }
        if let Some(slot) = self.0.back_mut() {
            slot.calls += 1;
            slot.failures += u64::from(failed);
        }
    }

    /// Whether the failure rate exceeds the rule; called right after a failure was added.
    fn is_over(&self, config: &CircuitConfig) -> bool {
        let Some(rule) = config.rate else { return false };
        let calls: u64 = self.0.iter().map(|slot| slot.calls).sum();
        let failures: u64 = self.0.iter().map(|slot| slot.failures).sum();
        calls >= u64::from(rule.min_calls.max(config.failure_threshold)) && failures * 100 >= calls * u64::from(rule.percent)
    }
}

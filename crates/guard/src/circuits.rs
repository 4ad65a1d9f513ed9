//! The circuits, by name.

use crate::{
    breaker::CircuitBreaker,
    circuit::{CircuitConfig, CircuitSnapshot, Open, ResetOutcome},
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Maximum number of circuits: names come from callers.
const MAX_CIRCUITS: usize = 1024;

/// How long an idle circuit is kept.
const KEPT_IDLE: Duration = Duration::from_hours(1);

/// Creates circuits on first use.
#[derive(Debug)]
pub struct Circuits {
    default: CircuitConfig,
    overrides: HashMap<String, CircuitConfig>,
    breakers: Mutex<HashMap<Arc<str>, Arc<CircuitBreaker>>>,
}

impl Circuits {
    /// Creates an empty set. Circuits named in `overrides` use that configuration, the others use `default`.
    pub fn new(default: CircuitConfig, overrides: Vec<(String, CircuitConfig)>) -> Self {
        Self { default, overrides: overrides.into_iter().collect(), breakers: Mutex::default() }
    }

    /// The circuit of that name.
    ///
    /// If 1,024 circuits are all open or in use, returns a new one that is not kept: the call works, but is not tracked.
    pub fn get(&self, key: &str) -> Arc<CircuitBreaker> {
        let mut breakers = self.lock();
        if let Some(breaker) = breakers.get(key) {
            return Arc::clone(breaker);
        }
        let config = self.overrides.get(key).copied().unwrap_or(self.default);
        let breaker = Arc::new(CircuitBreaker::new(key, config));
        if breakers.len() >= MAX_CIRCUITS {
            let idle = breakers.iter().filter_map(|(name, breaker)| Some((idle(breaker)?, Arc::clone(name))));
            let Some((_, longest)) = idle.max_by_key(|(since, _)| *since) else { return breaker };
            breakers.remove(&longest);
        }
        breakers.insert(Arc::clone(breaker.name()), Arc::clone(&breaker));
        breaker
    }

    /// Rejects a call that the circuit of that name, if it exists, would not permit. Counts it as rejected.
    ///
    /// # Errors
    ///
    /// [`Open`] while it is open or paused.
    pub fn check(&self, key: &str) -> Result<(), Open> {
        let known = self.lock().get(key).cloned();
        known.map_or(Ok(()), |breaker| breaker.check())
    }

    /// Whether a circuit of that name exists.
    pub fn has(&self, key: &str) -> bool {
        self.lock().contains_key(key)
    }

    /// Drops circuits idle for an hour, unless they are open.
    pub fn tidy(&self) {
        self.lock().retain(|_, breaker| idle(breaker).is_none_or(|since| since < KEPT_IDLE));
    }

    /// Snapshots of all circuits, sorted by name.
    #[doc(alias = "get_all_circuit_breakers")]
    pub fn list(&self) -> Vec<CircuitSnapshot> {
        let mut list: Vec<_> = self.lock().values().map(|breaker| breaker.snapshot()).collect();
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Closes the circuit of that name, if it exists.
    pub fn reset(&self, name: &str) -> Option<ResetOutcome> {
        self.lock().get(name).map(|breaker| breaker.reset())
    }

    /// Closes all circuits and returns their previous states, sorted by name.
    pub fn reset_all(&self) -> Vec<(String, ResetOutcome)> {
        let mut outcomes: Vec<_> = self.lock().iter().map(|(name, breaker)| (name.to_string(), breaker.reset())).collect();
        outcomes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        outcomes
    }

    /// Closes the stuck circuits and returns their names.
    pub fn reset_stuck(&self) -> Vec<String> {
        let stuck = self.list().into_iter().filter(|shown| shown.is_stuck);
        stuck.filter(|shown| self.reset(&shown.name).is_some()).map(|shown| shown.name.to_string()).collect()
    }

    /// The circuits that need a probe; see [`CircuitBreaker::probe`].
    pub fn due_for_probe(&self) -> Vec<Arc<CircuitBreaker>> {
        self.lock().values().filter(|breaker| breaker.needs_probe()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<CircuitBreaker>>> {
        self.breakers.lock()
    }
}

/// Idle time of a circuit without a holder. Dropping one that is held would allow a second one of the same name.
fn idle(breaker: &Arc<CircuitBreaker>) -> Option<Duration> {
    breaker.idle().filter(|_| Arc::strong_count(breaker) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CircuitState;
    use tokio::time::advance;

    fn circuits() -> Circuits {
        let quick = CircuitConfig { failure_threshold: 1, ..CircuitConfig::default() };
        Circuits::new(quick, vec![("patient".to_owned(), CircuitConfig { failure_threshold: 10, ..CircuitConfig::default() })])
    }

    fn fail(circuits: &Circuits, name: &str) {
        circuits.get(name).try_acquire().unwrap().failure();
    }

    fn names(circuits: &Circuits) -> Vec<String> {
        circuits.list().iter().map(|shown| shown.name.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_own_state_and_the_parameters_of_its_name() {
        let circuits = circuits();
        fail(&circuits, "b");
        fail(&circuits, "patient");
        circuits.get("a");
        let shown: Vec<_> = circuits.list().iter().map(|one| (one.name.to_string(), one.state, one.failure_threshold)).collect();
        let expect = [("a", CircuitState::Closed, 1), ("b", CircuitState::Open, 1), ("patient", CircuitState::Closed, 10)];
        assert_eq!(shown, expect.map(|(name, state, threshold)| (name.to_owned(), state, threshold)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_is_evicted_and_open_or_held_ones_stay() {
        let circuits = circuits();
        fail(&circuits, "open");
        let held = circuits.get("held");
        circuits.get("paused").pause(Duration::from_mins(1));
        for n in 0..MAX_CIRCUITS - 3 {
            circuits.get(&format!("{n}"));
            advance(Duration::from_millis(1)).await;
        }
        circuits.get("new");
        let names = names(&circuits);
        assert_eq!(names.len(), MAX_CIRCUITS);
        assert!(["open", "held", "paused", "new", "1"].iter().all(|name| names.iter().any(|other| other == name)));
        assert!(!names.contains(&"0".to_owned()));
        assert!(Arc::ptr_eq(&held, &circuits.get("held")));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_still_work_when_no_circuit_can_be_evicted() {
        let circuits = circuits();
        (0..MAX_CIRCUITS).for_each(|n| fail(&circuits, &format!("{n}")));
        circuits.get("more").try_acquire().unwrap().success();
        assert_eq!(circuits.list().len(), MAX_CIRCUITS);
        assert_eq!(circuits.reset("more"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_without_use_drops_it_unless_it_is_open_or_in_use() {
        let circuits = circuits();
        fail(&circuits, "open");
        let trial = circuits.get("runs").try_acquire().unwrap();
        circuits.get("idle");
        advance(KEPT_IDLE).await;
        circuits.get("young").try_acquire().unwrap().success();
        circuits.tidy();
        assert_eq!(names(&circuits), ["open", "runs", "young"]);
        drop(trial);
        circuits.tidy();
        assert_eq!(names(&circuits), ["open", "young"]);
    }

    #[tokio::test(start_paused = true)]
    async fn stuck_circuits_are_due_for_a_probe_and_can_be_reset() {
        let circuits = circuits();
        fail(&circuits, "stuck");
        advance(Duration::from_mins(1)).await;
        fail(&circuits, "fresh");
        let due: Vec<_> = circuits.due_for_probe().iter().map(|one| one.name().to_string()).collect();
        assert_eq!(due, ["stuck"]);
        assert_eq!(circuits.reset_stuck(), ["stuck"]);
        assert_eq!(circuits.reset("stuck"), Some(ResetOutcome { was: CircuitState::Closed, early: false }));
        assert_eq!(circuits.reset_all()[0], ("fresh".to_owned(), ResetOutcome { was: CircuitState::Open, early: true }));
        assert!(circuits.list().iter().all(|shown| shown.state == CircuitState::Closed));
    }
}

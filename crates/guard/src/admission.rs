//! Admission control: how many calls run at a time in each class, and in which order waiting calls start.
//!
//! Within a class, principals are served round-robin, and each gets at most half of the permits while another waits, so
//! that a flood slows only its sender. Under contention a principal runs at most its share of the CPUs, which are the
//! actual bottleneck.

use crate::Rejected;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a principal counts as active after its last call.
const ABOUT: Duration = Duration::from_secs(10);
/// Number of principals tracked before inactive ones are dropped.
const MAX_SEEN: usize = 256;
/// Suggested retry delay when the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a call needs while it runs. Reads never wait behind changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads a repository.
    Read,
    /// Changes a repository.
    Change,
    /// Waits for a remote.
    Network,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::Change, Self::Network];

    /// The name used in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
            Self::Network => "network",
        }
    }
}

/// The limits of one class.
#[derive(Clone, Copy, Debug)]
pub struct ConcurrencyLimits {
    /// Maximum number of calls running at a time.
    pub running: usize,
    /// Maximum number of calls waiting for a permit.
    pub waiting: usize,
    /// Maximum number of running calls with the same key, such as the remote host.
    pub per_key: usize,
    /// Maximum number of running calls of one principal under contention. More calls than CPUs would slow down the other
    /// principals' calls.
    pub contended_limit: Option<fn() -> usize>,
}

impl ConcurrencyLimits {
    /// Limits without a separate bound per key.
    pub fn new(running: usize, waiting: usize) -> Self {
        Self { running, waiting, per_key: running, contended_limit: None }
    }
}

/// Current load of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The class.
    pub class: Class,
    /// Running calls.
    pub running: usize,
    /// Waiting calls.
    pub waiting: usize,
    /// Maximum number of running calls.
    pub places: usize,
    /// Calls rejected since the start.
    pub rejected: u64,
}

/// Grants permits to run.
#[doc(alias = "BackpressureAwareServer")]
#[derive(Clone, Debug)]
pub struct Admission {
    lines: [Line; 3],
}

/// A permit to run, released when dropped.
#[derive(Debug)]
pub struct Permit {
    line: Line,
    principal: Arc<str>,
    key: Option<Arc<str>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let granted = {
            let mut state = self.line.lock();
            state.end(&self.principal, self.key.as_ref());
            state.grant(self.line.places)
        };
        self.line.hand_out(granted);
    }
}

#[derive(Clone, Debug)]
struct Line {
    state: Arc<Mutex<State>>,
    places: ConcurrencyLimits,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    by_principal: HashMap<Arc<str>, usize>,
    by_key: HashMap<Arc<str>, usize>,
    /// When each principal last started a call.
    seen: HashMap<Arc<str>, Instant>,
    /// Principals with waiting calls, the next one to be served first.
    turns: VecDeque<Arc<str>>,
    queues: HashMap<Arc<str>, VecDeque<Waiter>>,
    waiting: usize,
    next_id: u64,
    rejected: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    key: Option<Arc<str>>,
    answer: oneshot::Sender<Result<Permit, Rejected>>,
}

/// A waiter that may start, with its principal.
type Granted = (Arc<str>, Waiter);

/// A position in the queue, released on drop, however the wait ends.
struct Waiting<'a> {
    line: &'a Line,
    principal: &'a Arc<str>,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.lock().remove(self.principal, |waiter| waiter.id == self.id);
    }
}

impl Admission {
    /// Sets the limits for reads, changes and calls to remotes.
    pub fn new(reads: ConcurrencyLimits, changes: ConcurrencyLimits, network: ConcurrencyLimits) -> Self {
        Self { lines: [reads, changes, network].map(|places| Line { state: Arc::default(), places }) }
    }

    /// Waits for a permit on behalf of `principal`; `key` names a resource with its own limit, such as a remote host.
    ///
    /// # Errors
    ///
    /// [`Rejected::Overloaded`]: at once if the queue is full and no principal has more waiting calls than `principal`; later if
    /// a principal with fewer waiting calls took the position in the queue.
    pub async fn admit(&self, class: Class, principal: &Arc<str>, key: Option<Arc<str>>) -> Result<Permit, Rejected> {
        self.line(class).admit(principal, key).await
    }

    /// Returns a permit if one is free now.
    pub fn try_admit(&self, class: Class, principal: &Arc<str>) -> Option<Permit> {
        let line = self.line(class);
        line.begin_now(&mut line.lock(), principal, None)
    }

    /// Current load of each class.
    pub fn loads(&self) -> [Load; 3] {
        Class::ALL.map(|class| {
            let line = self.line(class);
            let state = line.lock();
            Load { class, running: state.running, waiting: state.waiting, places: line.places.running, rejected: state.rejected }
        })
    }

    fn line(&self, class: Class) -> &Line {
        &self.lines[class as usize]
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn permit(&self, principal: Arc<str>, key: Option<Arc<str>>) -> Permit {
        Permit { line: self.clone(), principal, key }
    }

    /// Need not check for waiters: those that could run already do, the others wait for another limit.
    fn begin_now(&self, state: &mut State, principal: &Arc<str>, key: Option<&Arc<str>>) -> Option<Permit> {
        let own = state.by_principal.get(principal).copied().unwrap_or_default();
        if state.running >= self.places.running || own >= state.limit(principal, self.places) || !state.has_room(key, self.places) {
            return None;
        }
        state.begin(principal, key);
        Some(self.permit(Arc::clone(principal), key.cloned()))
    }

    async fn admit(&self, principal: &Arc<str>, key: Option<Arc<str>>) -> Result<Permit, Rejected> {
        let overloaded = Rejected::Overloaded { retry_after: RETRY_AFTER };
        let (answer, id) = {
            let mut state = self.lock();
            if let Some(permit) = self.begin_now(&mut state, principal, key.as_ref()) {
                return Ok(permit);
            }
            if state.waiting >= self.places.waiting && !state.displace(principal) {
                state.rejected += 1;
                return Err(overloaded);
            }
            let (answer, receiver) = oneshot::channel();
            (receiver, state.enqueue(principal, key, answer))
        };
        let _waiting = Waiting { line: self, principal, id };
        answer.await.unwrap_or(Err(overloaded))
    }

    /// Wakes the waiters that may run. A cancelled waiter passes its permit on.
    fn hand_out(&self, granted: Vec<Granted>) {
        for (principal, waiter) in granted {
            drop(waiter.answer.send(Ok(self.permit(principal, waiter.key))));
        }
    }
}

impl State {
    fn begin(&mut self, principal: &Arc<str>, key: Option<&Arc<str>>) {
        self.running += 1;
        if self.seen.len() >= MAX_SEEN {
            self.seen.retain(|_, at| at.elapsed() < ABOUT);
        }
        self.seen.insert(Arc::clone(principal), Instant::now());
        *self.by_principal.entry(Arc::clone(principal)).or_default() += 1;
        if let Some(key) = key {
            *self.by_key.entry(Arc::clone(key)).or_default() += 1;
        }
    }

    fn end(&mut self, principal: &Arc<str>, key: Option<&Arc<str>>) {
        let less = |counts: &mut HashMap<Arc<str>, usize>, name: &Arc<str>| {
            if let Some(count) = counts.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(name);
                }
            }
        };
        self.running -= 1;
        less(&mut self.by_principal, principal);
        if let Some(key) = key {
            less(&mut self.by_key, key);
        }
    }

    /// Maximum number of running calls of a principal.
    fn limit(&self, principal: &Arc<str>, places: ConcurrencyLimits) -> usize {
        let contended = self.seen.iter().any(|(other, at)| other != principal && at.elapsed() < ABOUT);
        places.contended_limit.filter(|_| contended).map_or(places.running, |limit| limit().min(places.running))
    }

    fn has_room(&self, key: Option<&Arc<str>>, places: ConcurrencyLimits) -> bool {
        key.and_then(|key| self.by_key.get(key)).is_none_or(|count| *count < places.per_key)
    }

    fn enqueue(&mut self, principal: &Arc<str>, key: Option<Arc<str>>, answer: oneshot::Sender<Result<Permit, Rejected>>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting += 1;
        if !self.queues.contains_key(principal) {
            self.turns.push_back(Arc::clone(principal));
        }
        self.queues.entry(Arc::clone(principal)).or_default().push_back(Waiter { id, key, answer });
        id
    }

    fn remove(&mut self, principal: &Arc<str>, is_it: impl Fn(&Waiter) -> bool) -> Option<Waiter> {
        let queue = self.queues.get_mut(principal)?;
        let waiter = queue.remove(queue.iter().position(is_it)?);
        self.waiting -= 1;
        if queue.is_empty() {
            self.queues.remove(principal);
            self.turns.retain(|other| other != principal);
        }
        waiter
    }

    /// Rejects the newest waiter of the principal with the longest queue, unless that is `principal`.
    fn displace(&mut self, principal: &Arc<str>) -> bool {
        let own = self.queues.get(principal).map_or(0, VecDeque::len);
        let most = self.queues.iter().max_by_key(|(_, queue)| queue.len());
        let Some((flooder, id)) =
            most.filter(|(_, queue)| queue.len() > own + 1).and_then(|(name, queue)| Some((Arc::clone(name), queue.back()?.id)))
        else {
            return false;
        };
        let Some(waiter) = self.remove(&flooder, |waiter| waiter.id == id) else { return false };
        self.rejected += 1;
        waiter.answer.send(Err(Rejected::Overloaded { retry_after: RETRY_AFTER })).ok();
        true
    }

    /// Returns the waiters that may start now, counted as running.
    fn grant(&mut self, places: ConcurrencyLimits) -> Vec<Granted> {
        let mut granted = Vec::new();
        while self.running < places.running {
            let share = if self.turns.len() > 1 { (places.running / 2).max(1) } else { places.running };
            // No permit stays unused: if no other principal can run, one may exceed its share.
            let Some(next) = self.next(places, share).or_else(|| self.next(places, places.running)) else { break };
            granted.push(next);
        }
        granted
    }

    fn next(&mut self, places: ConcurrencyLimits, share: usize) -> Option<Granted> {
        let found = self.turns.iter().enumerate().find_map(|(turn, principal)| {
            if self.by_principal.get(principal).is_some_and(|running| *running >= share.min(self.limit(principal, places))) {
                return None;
            }
            let waiter = self.queues.get(principal)?.iter().find(|waiter| self.has_room(waiter.key.as_ref(), places))?;
            Some((turn, waiter.id))
        });
        let (turn, id) = found?;
        let principal = self.turns.remove(turn)?;
        self.turns.push_back(Arc::clone(&principal));
        let waiter = self.remove(&principal, |waiter| waiter.id == id)?;
        self.begin(&principal, waiter.key.as_ref());
        Some((principal, waiter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinHandle, yield_now};

    fn admission(places: ConcurrencyLimits) -> Arc<Admission> {
        Arc::new(Admission::new(places, places, places))
    }

    fn ask(admission: &Arc<Admission>, principal: &str, key: Option<&str>) -> JoinHandle<Result<Permit, Rejected>> {
        let (admission, principal, key) = (Arc::clone(admission), Arc::from(principal), key.map(Arc::from));
        tokio::spawn(async move { admission.admit(Class::Read, &principal, key).await })
    }

    async fn settle() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    #[test]
    fn every_class_is_listed() {
        let next = |class: &Class| match class {
            Class::Read => Some(Class::Change),
            Class::Change => Some(Class::Network),
            Class::Network => None,
        };
        assert!(std::iter::successors(Some(Class::Read), next).eq(Class::ALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once_and_classes_are_independent() {
        let admission = admission(ConcurrencyLimits::new(1, 1));
        let own = Arc::from("a");
        let running = admission.admit(Class::Read, &own, None).await;
        let waiting = ask(&admission, "a", None);
        settle().await;
        assert!(matches!(admission.admit(Class::Read, &own, None).await, Err(Rejected::Overloaded { .. })));
        assert!(admission.admit(Class::Change, &own, None).await.is_ok());
        drop(running);
        assert!(matches!(waiting.await, Ok(Ok(_))));
        assert_eq!(admission.loads().map(|load| (load.running, load.waiting, load.rejected)), [(0, 0, 1), (0, 0, 0), (0, 0, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_frees_its_position_in_the_queue() {
        let admission = admission(ConcurrencyLimits::new(1, 1));
        let own = Arc::from("a");
        let _running = admission.admit(Class::Read, &own, None).await;
        for _ in 0..3 {
            let outcome = tokio::time::timeout(Duration::from_secs(1), admission.admit(Class::Read, &own, None)).await;
            assert!(outcome.is_err(), "the call waits instead of being rejected");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn under_contention_a_principal_runs_at_most_its_share() {
        let admission = admission(ConcurrencyLimits { contended_limit: Some(|| 2), ..ConcurrencyLimits::new(10, 100) });
        let [flood, quiet] = ["flood", "quiet"].map(Arc::<str>::from);
        let alone: Vec<_> = (0..5).filter_map(|_| admission.try_admit(Class::Read, &flood)).collect();
        assert_eq!(alone.len(), 5);
        drop(alone);
        drop(admission.admit(Class::Read, &quiet, None).await);
        let mut running: Vec<_> = (0..5).filter_map(|_| admission.try_admit(Class::Read, &flood)).collect();
        assert_eq!(running.len(), 2, "the other principal may return at any moment");
        let next = ask(&admission, "flood", None);
        settle().await;
        assert!(admission.try_admit(Class::Read, &quiet).is_some() && !next.is_finished());
        running.pop();
        assert!(matches!(next.await, Ok(Ok(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn principals_take_turns_and_none_exceeds_half_while_another_waits() {
        let admission = admission(ConcurrencyLimits::new(4, 100));
        let mut running: Vec<Permit> = Vec::new();
        let flood: Vec<_> = (0..20).map(|_| ask(&admission, "flood", None)).collect();
        settle().await;
        let quiet: Vec<_> = (0..4).map(|_| ask(&admission, "quiet", None)).collect();
        settle().await;
        let mut flood = flood.into_iter();
        for granted in flood.by_ref().take(4) {
            running.extend(granted.await.ok().and_then(Result::ok));
        }
        assert_eq!(running.len(), 4);
        // Two calls end: the quiet principal gets both permits, since the other already has its half.
        running.truncate(2);
        settle().await;
        assert_eq!(quiet.iter().filter(|one| one.is_finished()).count(), 2);
        assert_eq!(flood.filter(tokio::task::JoinHandle::is_finished).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_displaces_the_flooder_for_a_quiet_principal() {
        let admission = admission(ConcurrencyLimits::new(1, 4));
        let own = Arc::from("flood");
        let running = admission.admit(Class::Read, &own, None).await;
        let mut flood: Vec<_> = (0..4).map(|_| ask(&admission, "flood", None)).collect();
        settle().await;
        let quiet = ask(&admission, "quiet", None);
        settle().await;
        assert_eq!(flood.iter().map(tokio::task::JoinHandle::is_finished).collect::<Vec<_>>(), [false, false, false, true]);
        drop(running);
        settle().await;
        // The flooder came first and has its turn, then the quiet principal.
        assert!(flood[0].is_finished() && !quiet.is_finished());
        drop(flood.remove(0).await);
        settle().await;
        assert!(quiet.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_bounded_and_does_not_block_other_keys() {
        let admission = admission(ConcurrencyLimits { per_key: 1, ..ConcurrencyLimits::new(3, 10) });
        let own = Arc::from("a");
        let first = admission.admit(Class::Read, &own, Some(Arc::from("slow.example"))).await;
        let second = ask(&admission, "a", Some("slow.example"));
        settle().await;
        assert!(admission.admit(Class::Read, &own, Some(Arc::from("other.example"))).await.is_ok());
        assert!(!second.is_finished());
        drop(first);
        assert!(matches!(second.await, Ok(Ok(_))));
    }
}

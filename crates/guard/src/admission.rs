//! How many calls run at a time, by class, and who is next.
//!
//! Within a class the principals take turns, and each has at most half of the permits while another waits, so that a flood
//! slows only its sender. Under contention a principal runs at most its share of the processors, which are what calls really
//! wait for.

use crate::Rejected;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a principal is taken to be about after its last call.
const ABOUT: Duration = Duration::from_secs(10);
/// The principals that are remembered to have been about, before those are forgotten who are not any more.
const MAX_SEEN: usize = 256;
/// When to try again where too many wait.
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

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
            Self::Network => "network",
        }
    }
}

/// The places of one class.
#[derive(Clone, Copy, Debug)]
pub struct ConcurrencyLimits {
    /// Calls that run at a time.
    pub running: usize,
    /// Calls that may wait for a place.
    pub waiting: usize,
    /// Calls that run at a time and name the same key, as the host that they reach.
    pub per_key: usize,
    /// Calls of one principal that run at a time under contention: those that there are no processors for would slow
    /// down theirs.
    pub in_company: Option<fn() -> usize>,
}

impl ConcurrencyLimits {
    /// Places without a bound for each key.
    pub fn new(running: usize, waiting: usize) -> Self {
        Self { running, waiting, per_key: running, in_company: None }
    }
}

/// How full a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The class.
    pub class: Class,
    /// Calls that run.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that may run at a time.
    pub places: usize,
    /// Calls that were turned away since the start.
    pub rejected: u64,
}

/// Hands out places to run.
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
    /// When each principal last began a call.
    seen: HashMap<Arc<str>, Instant>,
    /// Those who wait, the one whose turn is next first.
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

/// A waiter that is to run, and for whom.
type Granted = (Arc<str>, Waiter);

/// A place in the queue, given up when the wait ends in whatever way.
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
    /// Makes places for reads, for changes and for what waits for remotes.
    pub fn new(reads: ConcurrencyLimits, changes: ConcurrencyLimits, network: ConcurrencyLimits) -> Self {
        Self { lines: [reads, changes, network].map(|places| Line { state: Arc::default(), places }) }
    }

    /// Waits for a place, on behalf of `principal`; `key` names what only few may use at a time.
    ///
    /// # Errors
    ///
    /// [`Rejected::Overloaded`], at once when the queue is full and nobody has more in it than `principal`; later when
    /// somebody with less to wait for took the place in the queue.
    pub async fn admit(&self, class: Class, principal: &Arc<str>, key: Option<Arc<str>>) -> Result<Permit, Rejected> {
        self.line(class).admit(principal, key).await
    }

    /// A place where there is one now.
    pub fn try_admit(&self, class: Class, principal: &Arc<str>) -> Option<Permit> {
        let line = self.line(class);
        line.begin_now(&mut line.lock(), principal, None)
    }

    /// How full each class is.
    pub fn loads(&self) -> [Load; 3] {
        Class::ALL.map(|class| {
            let line = self.line(class);
            let state = line.lock();
            Load { class, running: state.running, waiting: state.waiting, places: line.places.running, rejected: state.rejected }
        })
    }

    fn line(&self, class: Class) -> &Line {
        &self.lines[match class {
            Class::Read => 0,
            Class::Change => 1,
            Class::Network => 2,
        }]
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(&self, principal: Arc<str>, key: Option<Arc<str>>) -> Permit {
        Permit { line: self.clone(), principal, key }
    }

    /// Waiters that may run were admitted already: the others wait for something else.
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

    /// Wakes waiters that may run. A waiter that has left passes its permit on.
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

    /// How many calls of a principal may run at a time.
    fn limit(&self, principal: &Arc<str>, places: ConcurrencyLimits) -> usize {
        let in_company = self.seen.iter().any(|(other, at)| other != principal && at.elapsed() < ABOUT);
        places.in_company.filter(|_| in_company).map_or(places.running, |part| part().min(places.running))
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

    /// Rejects the newest waiter of the principal with most in the queue, unless that is `principal`.
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

    /// Those who may run now, counted as running.
    fn grant(&mut self, places: ConcurrencyLimits) -> Vec<Granted> {
        let mut granted = Vec::new();
        while self.running < places.running {
            let share = if self.turns.len() > 1 { (places.running / 2).max(1) } else { places.running };
            // Places are not left empty: where nobody else can run, one may have more than a share.
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

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once_and_classes_do_not_meet() {
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
    async fn a_wait_that_is_given_up_frees_its_place_in_the_queue() {
        let admission = admission(ConcurrencyLimits::new(1, 1));
        let own = Arc::from("a");
        let _running = admission.admit(Class::Read, &own, None).await;
        for _ in 0..3 {
            let gave_up = tokio::time::timeout(Duration::from_secs(1), admission.admit(Class::Read, &own, None)).await;
            assert!(gave_up.is_err(), "it waits, and is not rejected");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_company_one_has_no_more_than_its_part() {
        let admission = admission(ConcurrencyLimits { in_company: Some(|| 2), ..ConcurrencyLimits::new(10, 100) });
        let [flood, quiet] = ["flood", "quiet"].map(Arc::<str>::from);
        let alone: Vec<_> = (0..5).filter_map(|_| admission.try_admit(Class::Read, &flood)).collect();
        assert_eq!(alone.len(), 5);
        drop(alone);
        drop(admission.admit(Class::Read, &quiet, None).await);
        let mut running: Vec<_> = (0..5).filter_map(|_| admission.try_admit(Class::Read, &flood)).collect();
        assert_eq!(running.len(), 2, "the other may come back at any moment");
        let next = ask(&admission, "flood", None);
        settle().await;
        assert!(admission.try_admit(Class::Read, &quiet).is_some() && !next.is_finished());
        running.pop();
        assert!(matches!(next.await, Ok(Ok(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn principals_take_turns_and_nobody_has_more_than_half_while_another_waits() {
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
        // Two end: both places are the quiet one's, since the other has its half already.
        running.truncate(2);
        settle().await;
        assert_eq!(quiet.iter().filter(|one| one.is_finished()).count(), 2);
        assert_eq!(flood.filter(tokio::task::JoinHandle::is_finished).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_the_flooder_away_for_the_quiet() {
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
        // The flooder, who came first, has its turn; then it is the other's.
        assert!(flood[0].is_finished() && !quiet.is_finished());
        drop(flood.remove(0).await);
        settle().await;
        assert!(quiet.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_bounded_and_stops_no_other() {
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

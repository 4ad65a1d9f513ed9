//! The table of sessions.

use super::{
    Ending, Fault, Keeper, Kind, Refusal, SessionActivity, SessionInfo, SessionLimits, SessionState,
    session::{Link, Session},
};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Consecutive faulty messages after which a session is closed.
const MAX_FAULTS: u64 = 1_000;
/// Consecutive requests that reuse an id in flight after which a session is closed. Each is answered with an error.
const MAX_REUSED: u64 = 100;
/// How long sessions closed for a fault stay listed, and how many of them.
const FAILED_FOR: Duration = Duration::from_mins(1);
const MAX_FAILED: usize = 100;
/// Time limit of a handshake; a session without one is closed.
const HANDSHAKE: Duration = Duration::from_mins(1);
/// Minimum capacity of a session table.
const ROOM: usize = 64;

/// How much later than here the keeper may have recorded the same activity: both compute its time from the clock.
const SLACK: Duration = Duration::from_secs(1);

/// Whether the keeper forgets a session that ends here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forget {
    Always,
    /// Unless another server has recorded client activity on the session.
    UnlessActive,
}

/// All sessions.
#[doc(alias = "SessionManager")]
pub struct Sessions {
    known: Mutex<HashMap<String, Arc<Session>>>,
    opening: AtomicUsize,
    limits: RwLock<SessionLimits>,
    pub(crate) keeper: Option<Arc<dyn Keeper>>,
    observer: Option<Arc<dyn Observer>>,
    epoch: Instant,
    /// Sessions recently closed for a fault, newest last.
    failed: Mutex<VecDeque<(Instant, SessionInfo)>>,
    /// Number of closed sessions, by reason.
    closed: Mutex<BTreeMap<Ending, u64>>,
}

/// Observes sessions and refusals.
pub trait Observer: Send + Sync {
    /// A request was refused before dispatch.
    fn refused(&self, refusal: &Refusal<'_>);
    /// A session has ended.
    fn ended(&self, session: &SessionInfo);
}

impl Sessions {
    /// An empty table. `keeper` persists sessions; `observer` is notified of refusals and ended sessions.
    pub fn new(limits: SessionLimits, keeper: Option<Arc<dyn Keeper>>, observer: Option<Arc<dyn Observer>>) -> Arc<Self> {
        let (known, opening) = (Mutex::default(), AtomicUsize::new(0));
        let (failed, closed) = (Mutex::default(), Mutex::default());
        let limits = RwLock::new(limits);
        Arc::new(Self { known, opening, limits, keeper, observer, epoch: Instant::now(), failed, closed })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.known.lock()
    }

    /// The limits.
    pub fn limits(&self) -> SessionLimits {
        *self.limits.read()
    }

    /// Changes the limits. Sessions over the new ones are closed on the next sweep or the next new session.
    pub fn set_limits(&self, limits: SessionLimits) {
        *self.limits.write() = limits;
    }

    /// Number of sessions closed to make room.
    pub fn evicted(&self) -> u64 {
        let closed = self.closed.lock();
        closed.get(&Ending::Evicted).copied().unwrap_or_default()
    }

    /// Number of closed sessions, by reason.
    pub fn closed(&self) -> Vec<(Ending, u64)> {
        self.closed.lock().iter().map(|(why, count)| (*why, *count)).collect()
    }

    /// Sessions closed for a fault within the last minute.
    pub fn failed(&self) -> Vec<SessionInfo> {
        let mut failed = self.failed.lock();
        failed.retain(|(at, _)| at.elapsed() < FAILED_FOR);
        failed.iter().map(|(at, session)| SessionInfo { idle: session.idle + at.elapsed(), ..session.clone() }).collect()
    }

    /// Reports a refusal.
    pub(crate) fn refuse(&self, refusal: &Refusal<'_>) {
        if let Some(observer) = &self.observer {
            observer.refused(refusal);
        }
    }

    fn ended(&self, session: &SessionInfo) {
        if let Some(observer) = &self.observer {
            observer.ended(session);
        }
    }

    /// Reports a faulty message; too many in a row close the session.
    pub(crate) fn faulty(&self, session: &Session) {
        session.record_activity();
        let faults = session.faults.fetch_add(1, Ordering::Relaxed) + 1;
        self.record_violation(session, "malformed_message", faults == MAX_FAULTS);
    }

    /// Reports a request that reuses an id in flight; too many in a row close the session.
    pub(crate) fn reused(&self, session: &Session) {
        session.record_activity();
        let reused = session.reused.fetch_add(1, Ordering::Relaxed) + 1;
        self.record_violation(session, "reused_id", reused == MAX_REUSED + 1);
    }

    fn record_violation(&self, session: &Session, reason: &'static str, ends: bool) {
        if ends {
            self.fail(&session.id, Fault::ProtocolViolation, reason);
        } else {
            self.refuse(&Refusal { session: Some(&session.id), ..Refusal::new(Fault::Invalid, reason) });
        }
    }

    /// Adds a session, or returns the existing one.
    pub(crate) fn add(&self, id: String, kind: Kind, owner: Option<Arc<str>>, link: impl Link) -> Arc<Session> {
        let session = Arc::new(Session::new(id.clone(), kind, owner, Box::new(link), self.epoch));
        Arc::clone(self.lock().entry(id).or_insert(session))
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    /// Runs `change` on a session that cannot end meanwhile.
    pub(crate) fn with<T>(&self, id: &str, change: impl FnOnce(&Session) -> T) -> Option<T> {
        self.lock().get(id).map(|session| change(session))
    }

    /// The sessions of a transport.
    pub(crate) fn over(&self, kind: Kind) -> Vec<Arc<Session>> {
        self.lock().values().filter(|session| session.kind == kind).cloned().collect()
    }

    /// Reserves room for one more session: closes the longest idle ones, first of the principal with most sessions, so
    /// that no client can take all the room. `None` if no session is idle.
    pub(crate) fn make_room(self: &Arc<Self>) -> Option<Opening> {
        let victims = {
            let known = self.lock();
            let opening = self.opening.load(Ordering::Relaxed);
            let limits = self.limits();
            if known.len() + opening < limits.max {
                self.opening.fetch_add(1, Ordering::Relaxed);
                return Some(Opening(Arc::clone(self)));
            }
            let batch = limits.evict_batch.min(limits.max / 10).max(1);
            longest_idle(&known, batch)
        };
        if victims.is_empty() {
            return None;
        }
        for id in victims {
            self.end(&id, Ending::Evicted, Forget::UnlessActive);
        }
        self.opening.fetch_add(1, Ordering::Relaxed);
        Some(Opening(Arc::clone(self)))
    }

    /// All sessions, by id.
    #[doc(alias = "get_all_sessions")]
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut list: Vec<SessionInfo> = self.lock().values().map(|session| session.info()).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// One session, including those recently closed for a fault.
    pub fn get(&self, id: &str) -> Option<SessionInfo> {
        self.find(id).map(|session| session.info()).or_else(|| self.failed().into_iter().find(|session| session.id == id))
    }

    /// Number of sessions.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Closes a session. Returns false if there is none.
    #[doc(alias = "close_session")]
    pub fn close(&self, id: &str, why: Ending) -> bool {
        self.end(id, why, Forget::Always)
    }

    fn end(&self, id: &str, why: Ending, forget: Forget) -> bool {
        let Some(session) = self.lock().remove(id) else { return false };
        *self.closed.lock().entry(why).or_default() += 1;
        session.become_state(SessionState::Closing);
        // A session that was never opened here is left to its own server.
        let is_own = session.opened.load(Ordering::Relaxed) || forget == Forget::Always;
        if let Some(keeper) = self.keeper.as_ref().filter(|_| session.kind == Kind::Http && is_own) {
            let last = SystemTime::now().checked_sub(session.idle()).map(|last| last + SLACK);
            let forgotten = keeper.forget(id, last.filter(|_| forget == Forget::UnlessActive));
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(forgotten);
            }
        }
        session.link.end(why);
        session.become_state(SessionState::Closed);
        let failed = if let Ending::Failed(fault) = why { Some(fault) } else { None };
        self.ended(&SessionInfo { failed, ..session.info() });
        if failed.is_none() {
            tracing::info!(session_id = id, why = why.name(), "a session is closed");
        }
        true
    }

    /// Reports a fault of a client and closes its session.
    pub fn fail(&self, id: &str, fault: Fault, reason: &'static str) -> bool {
        self.refuse(&Refusal { session: Some(id), ..Refusal::new(fault, reason) });
        self.close_failed(id, fault)
    }

    /// Closes a session for a fault already reported. It stays listed for a minute.
    pub fn close_failed(&self, id: &str, fault: Fault) -> bool {
        let Some(session) = self.find(id) else { return false };
        session.become_state(SessionState::Error);
        let why = Ending::Failed(fault);
        tracing::warn!(session_id = id, error_class = fault.name(), why = why.text(), "a session is closed for a fault");
        let info = SessionInfo { failed: Some(fault), ..session.info() };
        if !self.close(id, why) {
            return false;
        }
        let mut failed = self.failed.lock();
        if failed.len() >= MAX_FAILED {
            failed.pop_front();
        }
        failed.push_back((Instant::now(), info));
        true
    }

    /// Removes a session whose connection has ended.
    pub(crate) fn gone(&self, id: &str) {
        self.gone_if(id, |_| true);
    }

    /// Removes a session if its connection has ended.
    pub(crate) fn gone_if(&self, id: &str, has_ended: impl FnOnce(&Session) -> bool) {
        let gone = {
            let mut known = self.lock();
            if known.get(id).is_some_and(|session| has_ended(session)) { known.remove(id) } else { None }
        };
        if let Some(session) = gone {
            self.ended(&session.info());
        }
    }

    /// Closes sessions idle for at least this long with nothing in flight.
    #[doc(alias = "cleanup_idle_sessions")]
    pub fn reap_idle(&self, idle: Duration) -> Vec<String> {
        let limit = |session: &Session| if session.opened.load(Ordering::Relaxed) { idle } else { idle.min(HANDSHAKE) };
        let closed = self.end_all(|session| session.is_silent(limit(session)), Ending::Idle, Forget::UnlessActive);
        self.lock().shrink_to(ROOM);
        closed
    }

    /// Closes the `count` longest idle sessions with nothing in flight.
    #[doc(alias = "cleanup_oldest_sessions")]
    pub fn evict_longest_idle(&self, count: usize) -> Vec<String> {
        let victims = longest_idle(&self.lock(), count);
        self.end_all(|session| victims.contains(&session.id), Ending::Evicted, Forget::UnlessActive)
    }

    /// Closes all sessions except stdio.
    pub fn close_every(&self, why: Ending) -> Vec<String> {
        self.end_all(|session| session.kind != Kind::Stdio, why, Forget::Always)
    }

    fn end_all(&self, applies: impl Fn(&Session) -> bool, why: Ending, forget: Forget) -> Vec<String> {
        let ids: Vec<String> = self.lock().values().filter(|session| applies(session)).map(|session| session.id.clone()).collect();
        ids.into_iter().filter(|id| self.end(id, why, forget)).collect()
    }

    /// Records client activity on a session.
    #[doc(alias = "record_heartbeat")]
    pub fn touch(&self, id: &str) -> bool {
        self.find(id).is_some_and(|session| {
            session.record_activity();
            true
        })
    }

    /// Runs one heartbeat: pings clients that were silent since the last one, and closes WebSockets that missed too
    /// many pings.
    pub fn heartbeat_tick(&self) {
        let (sessions, allowed): (Vec<Arc<Session>>, _) = (self.lock().values().cloned().collect(), self.limits().missed);
        for session in sessions {
            let missed = session.missed.load(Ordering::Relaxed);
            if missed >= allowed {
                if session.kind.owes_beats() {
                    tracing::info!(session_id = session.id, missed, "the client does not answer pings");
                    self.close(&session.id, Ending::Unanswered);
                } else if session.opened.load(Ordering::Relaxed) && session.busy.load(Ordering::Relaxed) == 0 {
                    session.become_state(SessionState::Paused);
                }
                continue;
            }
            session.missed.fetch_add(1, Ordering::Relaxed);
            session.asked.notify_one();
        }
    }

    /// Activity of each persisted session, for the keeper.
    pub fn seen(&self) -> Vec<SessionActivity> {
        let kept = |session: &&Arc<Session>| session.kind == Kind::Http && session.opened.load(Ordering::Relaxed);
        let seen = |session: &Arc<Session>| SessionActivity {
            id: session.id.clone(),
            state: session.about().state,
            // Anything in flight counts as activity.
            idle: if session.is_silent(Duration::ZERO) { session.idle() } else { Duration::ZERO },
            missed: session.missed.load(Ordering::Relaxed),
        };
        self.lock().values().filter(kept).map(seen).collect()
    }
}

/// The longest idle sessions, each taken from the principal with most sessions at that point.
fn longest_idle(known: &HashMap<String, Arc<Session>>, count: usize) -> Vec<String> {
    // Number of sessions per owner, and the idle ones.
    let mut by_owner: HashMap<_, (usize, Vec<&Arc<Session>>)> = HashMap::new();
    for session in known.values() {
        let (held, idle) = by_owner.entry(session.owner()).or_default();
        *held += 1;
        if session.is_silent(Duration::ZERO) {
            idle.push(session);
        }
    }
    for (_, idle) in by_owner.values_mut() {
        // Longest idle last.
        idle.sort_by_key(|session| std::cmp::Reverse(session.seen.load(Ordering::Relaxed)));
    }
    let mut victims = Vec::new();
    while victims.len() < count {
        let most = by_owner.values_mut().filter(|(_, idle)| !idle.is_empty()).max_by_key(|(held, _)| *held);
        let Some((held, idle)) = most else { break };
        *held -= 1;
        victims.extend(idle.pop().map(|session| session.id.clone()));
    }
    victims
}

/// Reserved room for a session that is being opened.
pub(crate) struct Opening(Arc<Sessions>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(max: usize, evict_batch: usize) -> Arc<Sessions> {
        Sessions::new(SessionLimits { max, evict_batch, ..SessionLimits::default() }, None, None)
    }

    fn add(sessions: &Sessions, id: &str, kind: Kind, owner: &str) -> Arc<Session> {
        let session = sessions.add(id.to_owned(), kind, Some(Arc::from(owner)), |_| ());
        session.opened("test", "2025-11-25");
        session
    }

    #[test]
    fn room_is_made_by_closing_idle_sessions_of_the_largest_holder() {
        let sessions = table(4, 1);
        let first = add(&sessions, "f1", Kind::Http, "flood");
        let busy = first.busy();
        for id in ["f2", "f3"] {
            add(&sessions, id, Kind::Http, "flood");
        }
        let quiet = add(&sessions, "q1", Kind::Http, "quiet");
        quiet.seen.store(0, Ordering::Relaxed);
        assert!(sessions.make_room().is_some());
        let left: Vec<String> = sessions.list().into_iter().map(|session| session.id).collect();
        assert!(left.contains(&"f1".to_owned()) && left.contains(&"q1".to_owned()) && left.len() == 3, "{left:?}");
        drop(busy);
    }

    #[test]
    fn there_is_no_room_if_all_sessions_are_busy() {
        let sessions = table(1, 1);
        let session = add(&sessions, "a", Kind::Http, "x");
        let busy = session.busy();
        assert!(sessions.make_room().is_none());
        drop(busy);
        assert!(sessions.make_room().is_some());
        assert_eq!((sessions.count(), sessions.evicted()), (0, 1));
    }

    #[test]
    fn a_socket_that_answers_no_ping_is_closed_and_any_traffic_is_an_answer() {
        let sessions = table(10, 1);
        let (socket, http) = (add(&sessions, "w", Kind::WebSocket, "x"), add(&sessions, "h", Kind::Http, "x"));
        for _ in 0..3 {
            sessions.heartbeat_tick();
        }
        socket.record_activity();
        for _ in 0..3 {
            sessions.heartbeat_tick();
        }
        assert_eq!(sessions.get("w").map(|session| session.missed), Some(3));
        sessions.heartbeat_tick();
        assert_eq!(sessions.get("w"), None);
        assert_eq!(sessions.get("h").map(|session| session.state), Some(SessionState::Paused));
        http.record_activity();
        assert_eq!(sessions.get("h").map(|session| (session.state, session.missed)), Some((SessionState::Active, 0)));
    }

    #[test]
    fn states_change_only_in_their_order() {
        let sessions = table(1, 1);
        let session = add(&sessions, "a", Kind::Http, "x");
        assert!(!session.become_state(SessionState::Created));
        assert!(session.become_state(SessionState::Paused) && session.become_state(SessionState::Active));
        assert!(session.become_state(SessionState::Error) && !session.become_state(SessionState::Active));
        assert!(session.become_state(SessionState::Closing) && session.become_state(SessionState::Closed));
        assert!(!session.become_state(SessionState::Active));
    }

    #[test]
    fn a_thousand_faults_in_a_row_close_a_session() {
        let sessions = table(2, 1);
        let session = add(&sessions, "a", Kind::WebSocket, "x");
        for _ in 0..MAX_FAULTS - 1 {
            sessions.faulty(&session);
        }
        session.record_request();
        sessions.faulty(&session);
        assert_eq!(sessions.count(), 1);
        for _ in 0..MAX_FAULTS {
            sessions.faulty(&session);
        }
        assert_eq!(sessions.count(), 0);
        let failed = sessions.failed();
        assert_eq!((failed.len(), failed[0].state, failed[0].failed), (1, SessionState::Error, Some(Fault::ProtocolViolation)));
        assert_eq!(sessions.closed(), [(Ending::Failed(Fault::ProtocolViolation), 1)]);
    }

    #[test]
    fn reusing_ids_in_flight_repeatedly_closes_a_session() {
        let sessions = table(2, 1);
        let session = add(&sessions, "a", Kind::WebSocket, "x");
        for _ in 0..MAX_REUSED {
            sessions.reused(&session);
        }
        session.record_request();
        for _ in 0..MAX_REUSED {
            sessions.reused(&session);
        }
        assert_eq!(sessions.count(), 1);
        sessions.reused(&session);
        assert_eq!((sessions.count(), sessions.get("a").and_then(|session| session.failed)), (0, Some(Fault::ProtocolViolation)));
    }
}

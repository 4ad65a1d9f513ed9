//! The heartbeats of sessions: the task that runs them, and what each client owes.

use guard::Supervised;
use mcp::sessions::{Kind, SessionInfo, Sessions};
use std::time::Duration;

/// The heartbeats of a running server.
#[doc(alias = "HeartbeatManager")]
pub struct Heartbeats<'a> {
    sessions: &'a Sessions,
    /// `None` before the server is ready.
    task: Option<Supervised>,
}

/// The interval of heartbeats, and how many of them a client may miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// Time between heartbeats.
    #[doc(alias = "heartbeat_interval")]
    pub interval: Duration,
    /// Number of missed heartbeats after which a session is closed or paused.
    #[doc(alias = "missed_heartbeat_threshold")]
    pub missed: u32,
}

/// The last heartbeat of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBeat {
    /// The session's id.
    pub session: String,
    /// Its transport.
    pub kind: Kind,
    /// Whether its client must answer pings.
    pub owes_beats: bool,
    /// Time since the client was last active.
    pub since: Duration,
    /// Heartbeats without an answer since then.
    pub missed: u32,
    /// Whether an answer is due for longer than one interval.
    pub is_late: bool,
}

impl<'a> Heartbeats<'a> {
    pub(super) fn new(sessions: &'a Sessions, task: Option<Supervised>) -> Self {
        Self { sessions, task }
    }

    /// Whether the task runs.
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        self.task.as_ref().is_some_and(Supervised::is_running)
    }

    /// Number of times that the task was restarted.
    pub fn restarts(&self) -> u64 {
        self.task.as_ref().map_or(0, Supervised::restarts)
    }

    /// Time since the task last ran; `None` if never.
    pub fn last_tick(&self) -> Option<Duration> {
        self.task.as_ref().and_then(Supervised::last_tick)
    }

    /// The interval and the threshold in force.
    pub fn config(&self) -> HeartbeatConfig {
        let limits = self.sessions.limits();
        HeartbeatConfig { interval: limits.heartbeat, missed: limits.missed }
    }

    /// The last heartbeat of each session.
    #[doc(alias = "session_heartbeats")]
    pub fn last_beats(&self) -> Vec<LastBeat> {
        let interval = self.config().interval;
        let of = |session: SessionInfo| {
            let owes_beats = session.kind.owes_beats();
            LastBeat {
                session: session.id,
                kind: session.kind,
                owes_beats,
                since: session.idle,
                missed: session.missed,
                is_late: owes_beats && session.idle > interval * 2,
            }
        };
        self.sessions.list().into_iter().map(of).collect()
    }

    /// Counts a heartbeat of a session, as if its client had been active. Returns false if there is no such session.
    #[doc(alias = "record_heartbeat")]
    pub fn record(&self, session: &str) -> bool {
        self.sessions.touch(session)
    }

    /// Restarts the task, for a run that hangs. Returns false if the server has not started it.
    #[doc(alias = "restart_heartbeat_manager")]
    pub fn restart(&self) -> bool {
        self.task.as_ref().map(Supervised::restart).is_some()
    }
}

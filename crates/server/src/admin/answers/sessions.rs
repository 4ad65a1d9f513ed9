//! Sessions of clients.

use super::name::{Name, Named};
use crate::error::ErrorClass;
use mcp::sessions::{Kind, SessionState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Of a session in this process.
    Here(SessionState),
    /// In the store, and not used since this process started.
    Kept,
}

impl Named for State {
    const WHAT: &'static str = "session state";

    fn all() -> Vec<Self> {
        SessionState::ALL.map(Self::Here).into_iter().chain([Self::Kept]).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Here(state) => state.name(),
            Self::Kept => "kept",
        }
    }
}

/// A session.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: String,
    /// Its transport.
    pub(crate) kind: Name<Kind>,
    /// Who opened it; empty without authentication.
    pub(crate) principal: String,
    /// The client's name and version, as it states them.
    pub(crate) client: String,
    /// The revision of MCP.
    pub(crate) protocol: String,
    /// Its state; `kept` if it was not used since the server started.
    pub(crate) state: Name<State>,
    /// Time since the client was last active, in milliseconds.
    pub(crate) idle_ms: u64,
    /// Heartbeats without an answer since then.
    pub(crate) missed: u64,
    /// Open requests: calls and streams.
    pub(crate) in_flight: usize,
    /// What is known only of a session that was used since the server started.
    #[serde(flatten)]
    pub(crate) here: Option<Here>,
}

/// A session that was used since the server started.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Here {
    /// Time since it was opened, or taken over by this process, in milliseconds.
    pub(crate) age_ms: u64,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Faulty messages since the last valid one.
    pub(crate) faults: u64,
    /// Whether its client must answer pings.
    pub(crate) owes_beats: bool,
    /// The fault that it was closed for.
    pub(crate) failed: Option<Failed>,
}

/// Why a session was closed.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Failed {
    /// The error class.
    pub(crate) class: Name<ErrorClass>,
    /// The reason, as a sentence.
    pub(crate) why: String,
}

/// The sessions of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Sessions {
    /// Number of sessions, including those recently closed for a fault, without those that are kept.
    pub(crate) total: usize,
    /// Sessions with an active client.
    pub(crate) active: usize,
    /// Sessions without open requests for longer than `idle_longer_than_ms`.
    pub(crate) idle: usize,
    /// The time that was asked for, or else the time after which sessions are closed, in milliseconds.
    pub(crate) idle_longer_than_ms: u64,
    /// Sessions without open requests for longer than `quiet_longer_than_ms`.
    pub(crate) quiet: usize,
    /// The time that was asked for, or else the time after which sessions count towards `idle_warn`, in milliseconds.
    pub(crate) quiet_longer_than_ms: u64,
    /// Sessions closed for a fault.
    pub(crate) error: usize,
    /// Sessions in the store that were not used since the server started, each restored with the next request of its client;
    /// null without the store.
    pub(crate) kept: Option<usize>,
    /// Number of quiet sessions above which the server warns.
    pub(crate) idle_warn: usize,
    /// Maximum number of sessions.
    pub(crate) max: usize,
    /// The sessions that were asked for, idle longest first.
    pub(crate) sessions: Vec<Session>,
}

/// Sessions that were closed.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Closed {
    /// Their ids.
    pub(crate) closed: Vec<String>,
}

/// Sessions that were marked as active.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Touched {
    /// Their ids.
    pub(crate) touched: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_session_that_was_not_used_has_fewer_fields() -> Result<(), serde_json::Error> {
        let kept = json!({
            "id": "a", "kind": "http", "principal": "", "client": "c", "protocol": "p", "state": "kept", "idle_ms": 1, "missed": 0,
            "in_flight": 0,
        });
        let mut here = kept.clone();
        here["state"] = json!("error");
        let more = json!({"age_ms": 2, "requests": 3, "faults": 4, "owes_beats": false, "failed": null});
        here.as_object_mut().into_iter().for_each(|fields| fields.extend(more.as_object().cloned().unwrap_or_default()));
        let read = |session: &Value| Session::deserialize(session);
        assert_eq!((json!(read(&kept)?), json!(read(&here)?)), (kept.clone(), here.clone()));
        assert!(read(&kept)?.here.is_none() && read(&here)?.here.is_some_and(|here| here.age_ms == 2 && here.failed.is_none()));
        Ok(())
    }
}

//! What the operator can do from the terminal view.

use super::{super::admin::Question, table::shown};
use crate::{
    admin::{
        answers::{
            calls::Cancelled,
            circuits::Reset,
            recovery::{Drained, Resumed},
            sessions::Closed,
        },
        requests::{self, CancelCall},
    },
    output::counted,
    percent,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// An action on a server, or on one thing in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Cancels the call with this id.
    Cancel(String),
    /// Closes the session with this id.
    Close(String),
    /// Closes the circuit with this name.
    Reset(String),
    Drain,
    Resume,
}

impl Action {
    /// The request for it.
    pub(super) fn request(&self) -> Question {
        match self {
            Self::Cancel(id) => Question::post("/calls/cancel", &CancelCall { id: id.clone() }),
            Self::Close(id) => Question::post(format!("/sessions/{}/close", percent::encode(id)), &json!({})),
            Self::Reset(name) => Question::post("/circuits/reset", &requests::Reset { name: Some(name.clone()), stuck: false, all: false }),
            // Without waiting: the view itself shows the calls that are left.
            Self::Drain => Question::post("/drain", &requests::Drain { timeout: Some(0) }),
            Self::Resume => Question::post("/resume", &json!({})),
        }
    }

    /// The server's answer as a sentence.
    pub(super) fn outcome(&self, answer: &Value) -> String {
        let read = match self {
            Self::Cancel(_) => Cancelled::deserialize(answer).map(|done| listed("Cancelled", &done.cancelled)),
            Self::Close(_) => Closed::deserialize(answer).map(|done| listed("Closed", &done.closed)),
            Self::Reset(_) => Reset::deserialize(answer).map(|done| {
                let names: Vec<_> = done.reset.iter().map(|one| format!("{}, which was {}", one.name, one.was)).collect();
                listed("Reset", &names)
            }),
            Self::Drain => Drained::deserialize(answer).map(|done| format!("The server drains: {} left.", counted(done.left, "call"))),
            Self::Resume => Resumed::deserialize(answer).map(|done| format!("The server is {}.", done.phase)),
        };
        read.unwrap_or_else(|why| format!("Done, with an unexpected answer: {why}"))
    }
}

fn listed(what: &str, names: &[String]) -> String {
    if names.is_empty() { format!("{what}: nothing.") } else { format!("{what} {}.", shown(names.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_sentences() {
        let outcome = |action: &Action, answer: Value| action.outcome(&answer);
        assert_eq!(outcome(&Action::Cancel("call_1".to_owned()), json!({"cancelled": ["call_1"]})), "Cancelled call_1.");
        assert_eq!(outcome(&Action::Close("a".to_owned()), json!({"closed": []})), "Closed: nothing.");
        let reset = json!({"reset": [{"name": "h:443/fetch", "was": "open", "early": false}]});
        assert_eq!(outcome(&Action::Reset("h:443/fetch".to_owned()), reset), "Reset h:443/fetch, which was open.");
        assert_eq!(outcome(&Action::Drain, json!({"left": 1})), "The server drains: 1 call left.");
        assert_eq!(outcome(&Action::Resume, json!({"phase": "ready"})), "The server is ready.");
        assert!(outcome(&Action::Resume, json!({})).starts_with("Done, with an unexpected answer"));
    }
}

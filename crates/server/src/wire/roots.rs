//! The client's own roots. A client that declares roots confines itself to them, so no repository is read or changed
//! before it has answered `roots/list`. An empty list sets no boundary, and only the operator's roots apply: Inspector
//! 2.12 and editors without an open folder send one.
//!
//! Calls wait outside of the receive loop, which reads the answer meanwhile. An answer applies to every request before
//! the next `notifications/roots/list_changed`; later requests wait for the next answer.

#![expect(deprecated, reason = "clients of the revisions up to 2025-11-25 have roots")]

use super::uri;
use crate::error::{Error, Kind};
use mcp::Revision;
use mcp::rmcp::{
    RoleServer,
    model::{ClientResult, Extensions, ListRootsRequest, ListRootsRequestMethod, ProtocolVersion, ServerRequest},
    service::{Peer, PeerRequestOptions, ServiceError},
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a call waits for the answer to `roots/list`.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a late answer is accepted, for later calls.
const LATE: Duration = Duration::from_mins(1);
/// Maximum length of a client's error in a message, in characters.
const MAX_WHY: usize = 200;

/// The client of a request, for its roots.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) peer: Peer<RoleServer>,
    /// Number of root changes it had announced before the request.
    pub(super) announced: u64,
    /// Whether a request to the client is sure to arrive: during a call, and on a connection with one stream.
    pub(super) is_reachable: bool,
    /// The longest wait for an answer.
    pub(super) limit: Duration,
    /// Cancelling either one ends the wait.
    pub(super) ends: [CancellationToken; 2],
}

impl Client {
    /// Whether the client declares roots, in a revision that supports them.
    pub(super) fn declares_roots(&self) -> bool {
        let declares = |version: &ProtocolVersion| Revision::at(version.as_str()).is_none_or(|revision| !revision.is_stateless());
        self.peer.peer_info().is_some_and(|client| client.capabilities.roots.is_some() && declares(&client.protocol_version))
    }
}

/// A client's answers to `roots/list`.
#[derive(Clone, Default)]
pub(super) struct Roots(Arc<watch::Sender<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Number of the newest question.
    asked: u64,
    open: Option<Open>,
    answer: Option<Answer>,
    /// Root changes announced so far.
    announced: u64,
}

/// The newest question, while it is unanswered.
#[derive(Debug)]
struct Open {
    announced: u64,
    is_reachable: bool,
    since: Instant,
}

#[derive(Debug)]
struct Answer {
    number: u64,
    announced: u64,
    directories: Directories,
}

/// The client's roots, `None` if unrestricted, or why its answer is unusable.
type Directories = Result<Option<Vec<PathBuf>>, String>;

impl Known {
    /// The answer for a request after `announced` root changes. A failure counts only for questions from `number` on.
    fn answer(&self, announced: u64, number: u64) -> Option<&Directories> {
        let answer = self.answer.as_ref().filter(|answer| answer.announced >= announced)?;
        (answer.directories.is_ok() || answer.number >= number).then_some(&answer.directories)
    }

    /// Number of the question to wait for, and whether it still has to be asked.
    fn question(&mut self, client: &Client) -> (u64, bool) {
        if matches!(self.answer(client.announced, u64::MAX), Some(Ok(_))) {
            return (self.asked, false);
        }
        let announced = self.announced.max(client.announced);
        let covers = |open: &Open| open.announced >= announced && (open.is_reachable || !client.is_reachable);
        if self.open.as_ref().is_some_and(|open| covers(open) && open.since.elapsed() < PATIENCE) {
            return (self.asked, false);
        }
        self.asked += 1;
        self.announced = announced;
        self.open = Some(Open { announced, is_reachable: client.is_reachable, since: Instant::now() });
        (self.asked, true)
    }

    /// Stores the answer to a question. A list is never replaced by a failure or by an older list.
    fn take(&mut self, number: u64, announced: u64, directories: Directories) {
        if number == self.asked {
            self.open = None;
        }
        let counts = self.answer.as_ref().is_none_or(|known| match announced.cmp(&known.announced) {
            std::cmp::Ordering::Equal => known.directories.is_err() || directories.is_ok() && number > known.number,
            order => order.is_gt(),
        });
        if counts {
            let number = self.answer.as_ref().map_or(number, |known| known.number.max(number));
            self.answer = Some(Answer { number, announced, directories });
        }
    }
}

impl Roots {
    /// The client's roots; `None` if it has none. Waits for the answer.
    pub(super) async fn directories(&self, client: &Client) -> Result<Option<Vec<PathBuf>>, Error> {
        if !client.declares_roots() {
            return Ok(None);
        }
        if let Some(Ok(directories)) = self.0.borrow().answer(client.announced, u64::MAX) {
            return Ok(directories.clone());
        }
        let mut known = self.0.subscribe();
        let number = self.ask(client).await;
        let answer = async {
            let known = known.wait_for(|known| known.answer(client.announced, number).is_some()).await.ok()?;
            known.answer(client.announced, number).cloned()
        };
        let [cancelled, stopped] = &client.ends;
        tokio::select! {
            answer = answer => match answer {
                Some(Ok(directories)) => Ok(directories),
                Some(Err(why)) => Err(unanswered(Some(&why))),
                None => Err(unanswered(None)),
            },
            () = tokio::time::sleep(client.limit) => Err(unanswered(None)),
            () = cancelled.cancelled() => Err(given_up()),
            () = stopped.cancelled() => Err(given_up()),
        }
    }

    /// As [`Roots::directories`], without asking or waiting.
    pub(super) fn settled(&self, client: &Client) -> Result<Option<Vec<PathBuf>>, Error> {
        if !client.declares_roots() {
            return Ok(None);
        }
        let known = self.0.borrow();
        match known.answer(known.announced, u64::MAX) {
            Some(Ok(directories)) => Ok(directories.clone()),
            _ => Err(unanswered(None)),
        }
    }

    /// Asks the client, unless an open question suffices. Returns the number of the question to wait for.
    pub(super) async fn ask(&self, client: &Client) -> u64 {
        let (mut number, mut begins, mut announced) = (0, false, 0);
        self.0.send_if_modified(|known| {
            (number, begins) = known.question(client);
            announced = known.announced;
            false
        });
        if !begins {
            return number;
        }
        let request = ListRootsRequest { method: ListRootsRequestMethod, extensions: Extensions::default() };
        let request = ServerRequest::ListRootsRequest(request);
        // Sent from here, so that it uses the stream of the waiting request.
        let sent = client.peer.send_cancellable_request(request, PeerRequestOptions::with_timeout(LATE)).await;
        let known = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answer = match sent {
                Ok(question) => question.await_response().await,
                Err(err) => Err(err),
            };
            let directories = usable(answer).await;
            tracing::debug!(?directories, "the client answered roots/list");
            known.send_modify(|known| known.take(number, announced, directories));
        });
        number
    }
}

/// The directories of an answer that exist on this machine; `None` for an empty list.
async fn usable(answer: Result<ClientResult, ServiceError>) -> Directories {
    let listed = match answer {
        Ok(ClientResult::ListRootsResult(listed)) => listed,
        Ok(_) => return Err("the result has no list of roots".to_owned()),
        Err(ServiceError::McpError(error)) => return Err(error.message.chars().take(MAX_WHY).collect()),
        Err(err) => return Err(err.to_string()),
    };
    if listed.roots.is_empty() {
        return Ok(None);
    }
    let resolve = move || {
        let directories = listed.roots.iter().filter_map(|root| uri::directory(&root.uri));
        Some(directories.filter_map(|path| std::fs::canonicalize(path).ok()).collect())
    };
    tokio::task::spawn_blocking(resolve).await.map_err(|err| err.to_string())
}

fn unanswered(why: Option<&str>) -> Error {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Error::new(Kind::Unavailable, format!("the client declares roots but did not answer roots/list{why}"))
        .hint("The client must answer roots/list with its workspace directories, or not declare `roots`.")
}

fn given_up() -> Error {
    Error::new(Kind::Cancelled, "the call was cancelled before the client answered roots/list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_until_a_newer_one_and_a_failure_never_replaces_it() {
        let list = |name: &str| Ok(Some(vec![PathBuf::from(name)]));
        let mut known = Known { asked: 5, ..Known::default() };
        assert_eq!(known.answer(0, 1), None);
        known.take(1, 0, Err("busy".to_owned()));
        assert_eq!(known.answer(0, 1), Some(&Err("busy".to_owned())));
        assert_eq!(known.answer(0, 2), None, "a later question has no answer yet");
        known.take(2, 0, list("a"));
        known.take(3, 0, Err("busy".to_owned()));
        assert_eq!(known.answer(0, u64::MAX), Some(&list("a")));
        assert_eq!(known.answer(1, 1), None, "other roots were announced");
        known.take(4, 1, list("b"));
        known.take(1, 0, list("late"));
        assert_eq!((known.answer(0, 1), known.answer(1, 1)), (Some(&list("b")), Some(&list("b"))));
        known.take(5, 2, Err("busy".to_owned()));
        assert_eq!(known.answer(2, u64::MAX), None, "an old list does not stand in for a new one");
    }
}

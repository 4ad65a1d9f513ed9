//! What requests see of their server and of the connection that they come by.

#![expect(deprecated, reason = "clients of the revisions up to 2025-11-25 have a log")]

use super::{
    confirm::Seals,
    declines::Declines,
    lenient::{Types, schemas},
    roots::{Client, Roots},
    tasks::Tasks,
    watches::Watches,
};
use crate::{caller::Caller, config::Mode, error::Error, pipeline::Pipeline};
use mcp::{
    Intake,
    rmcp::{
        RoleServer,
        model::{Implementation, LoggingLevel, ProtocolVersion},
        service::RequestContext,
    },
    sessions::Sessions,
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// What all connections of a server have in common.
pub(crate) struct Shared {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) seals: Seals,
    pub(super) declines: Arc<Declines>,
    pub(super) tasks: Arc<Tasks>,
    /// Where arguments are understood in spite of their form.
    pub(super) lenient: Option<&'static Types>,
    pub(super) sessions: Arc<Sessions>,
    /// Whether new calls are taken.
    pub(super) intake: Intake,
}

impl Shared {
    pub(crate) fn new(pipeline: Arc<Pipeline>, sessions: Arc<Sessions>, intake: Intake, mode: Mode) -> Arc<Self> {
        let tasks = Arc::new(Tasks::new(Arc::clone(&pipeline.persistence)));
        let lenient = (mode == Mode::Lenient).then(schemas);
        Arc::new(Self { pipeline, seals: Seals::default(), declines: Arc::default(), tasks, lenient, sessions, intake })
    }
}

/// What one connection, or one session, has said of itself.
#[derive(Default)]
pub(super) struct State {
    pub(super) roots: Roots,
    pub(super) level: Mutex<Option<LoggingLevel>>,
    pub(super) watches: Watches,
    /// Set once the subscriptions of a previous process are restored.
    pub(super) recalled: OnceCell<()>,
}

/// A connection as one request sees it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    pub(super) caller: Caller,
    /// Absent where no roots are asked for: in what only prepares a read.
    pub(super) client: Option<Client>,
}

impl Connection {
    /// The directories that the client confines itself to. Waits for its answer to `roots/list`.
    pub(super) async fn client_roots(&self) -> Result<Option<Vec<PathBuf>>, Error> {
        match &self.client {
            Some(client) => self.state.roots.directories(client).await,
            None => Ok(None),
        }
    }

    /// The same directories, where the client has named them by now.
    pub(super) fn client_roots_now(&self) -> Result<Option<Vec<PathBuf>>, Error> {
        self.client.as_ref().map_or(Ok(None), |client| self.state.roots.settled(client))
    }

    /// The least severity of log messages that the client asked for.
    pub(super) fn level(&self) -> Option<LoggingLevel> {
        *self.state.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server calls itself.
pub(super) fn implementation() -> Implementation {
    Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

/// True for requests of the newest revision.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

//! State shared by the requests of a server and of a connection.

#![expect(deprecated, reason = "clients of the revisions up to 2025-11-25 have a log")]

use super::{
    confirm::Seals,
    declines::Declines,
    lenient::{Types, schemas},
    listing::Listing,
    roots::{Client, Roots},
    tasks::Tasks,
    watches::Watches,
};
use crate::{
    caller::Caller,
    error::{Error, ErrorClass},
    pipeline::{Pipeline, Services},
};
use mcp::{
    Intake, Mode, Revision,
    rmcp::{
        RoleServer,
        model::{Implementation, LoggingLevel},
        service::RequestContext,
    },
    sessions::Sessions,
};
use parking_lot::Mutex;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use tokio::sync::OnceCell;

/// State shared by all connections of a server.
pub(crate) struct Shared {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) services: Arc<Services>,
    pub(super) seals: Seals,
    pub(super) declines: Arc<Declines>,
    pub(super) tasks: Arc<Tasks>,
    /// Argument coercion, if lenient mode is on.
    pub(super) lenient: Option<&'static Types>,
    pub(super) sessions: Arc<Sessions>,
    /// Whether new calls are accepted.
    pub(super) intake: Intake,
    /// The list of tools, and that for hosts of views.
    pub(super) listings: [OnceLock<Listing>; 2],
}

impl Shared {
    pub(crate) fn new(pipeline: Arc<Pipeline>, sessions: Arc<Sessions>, intake: Intake, mode: Mode) -> Arc<Self> {
        let tasks = Arc::new(Tasks::new(Arc::clone(&pipeline.services().persistence)));
        let lenient = (mode == Mode::Lenient).then(schemas);
        let services = Arc::clone(pipeline.services());
        Arc::new(Self {
            pipeline,
            services,
            seals: Seals::default(),
            declines: Arc::default(),
            tasks,
            lenient,
            sessions,
            intake,
            listings: Default::default(),
        })
    }
}

/// State of one connection or session.
#[derive(Default)]
pub(super) struct State {
    pub(super) roots: Roots,
    pub(super) level: Mutex<Option<LoggingLevel>>,
    pub(super) watches: Watches,
    /// Set once the subscriptions of a previous process are restored.
    pub(super) recalled: OnceCell<()>,
}

/// A connection, as seen by one request.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    pub(super) caller: Caller,
    /// The session, for the log.
    pub(super) session: Option<String>,
    /// `None` if no roots are needed, as when preparing a read.
    pub(super) client: Option<Client>,
}

impl Connection {
    /// The client's roots. Waits for its answer to `roots/list`.
    pub(super) async fn client_roots(&self) -> Result<Option<Vec<PathBuf>>, Error> {
        match &self.client {
            Some(client) => self.state.roots.directories(client).await,
            None => Ok(None),
        }
    }

    /// The client's roots, without waiting for its answer.
    pub(super) fn client_roots_now(&self) -> Result<Option<Vec<PathBuf>>, Error> {
        self.client.as_ref().map_or(Ok(None), |client| self.state.roots.settled(client))
    }

    /// The client's minimum log level.
    pub(super) fn level(&self) -> Option<LoggingLevel> {
        *self.state.level.lock()
    }
}

/// Name and version of the server.
pub(super) fn implementation() -> Implementation {
    Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

/// Counts and logs a request for a tool or a method that does not exist.
pub(super) fn record_unknown(services: &Services, context: &RequestContext<RoleServer>, code: &'static str) {
    services.errors.record(ErrorClass::Other, code);
    let (session_id, request_id) = (mcp::carrier(&context.extensions), context.id.to_string());
    tracing::info!(error_class = ErrorClass::Other.name(), code, session_id, request_id, "failed");
}

/// Whether a request stands alone, in a revision without sessions.
pub(super) fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.and_then(|version| Revision::at(version.as_str())).is_some_and(Revision::is_stateless)
}

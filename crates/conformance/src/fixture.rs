//! The state of a handler.

use crate::changes::Changes;
use mcp::rmcp::{model::RequestStateCodec, task_manager::TaskManager};
use std::{
    io,
    sync::{Arc, atomic::AtomicUsize},
};

/// State shared by all requests.
pub(crate) struct Shared {
    /// Tasks, running and finished.
    pub(crate) tasks: TaskManager,
    /// Seals state that the client keeps for the server.
    pub(crate) codec: RequestStateCodec,
    /// Subscribers to list changes.
    pub(crate) changes: Changes,
}

impl Shared {
    /// Creates empty state. The key is new, so that state sealed by another process is invalid.
    ///
    /// # Errors
    ///
    /// If random bytes are unavailable.
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let codec = RequestStateCodec::try_new(key).map_err(io::Error::other)?;
        Ok(Self { tasks: TaskManager::new(), codec, changes: Changes::default() })
    }
}

/// The handler of the suite's requests.
pub(crate) struct Fixture {
    /// State shared by all requests.
    pub(crate) shared: Arc<Shared>,
    /// The minimum severity for this session, as an index of [`crate::dialogue::SEVERITIES`].
    pub(crate) severity: AtomicUsize,
}

impl Fixture {
    /// A handler that uses `shared`.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, severity: AtomicUsize::new(0) }
    }
}

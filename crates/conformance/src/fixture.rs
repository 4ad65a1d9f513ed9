//! What a handler holds.

use crate::changes::Changes;
use mcp::rmcp::{model::RequestStateCodec, task_manager::TaskManager};
use std::{
    fs::File,
    io::{self, Read},
    sync::{Arc, atomic::AtomicUsize},
};

/// What requests have in common.
pub(crate) struct Shared {
    /// Jobs, running and done.
    pub(crate) tasks: TaskManager,
    /// Protects state that a client keeps for us.
    pub(crate) codec: RequestStateCodec,
    /// Who listens for changed lists.
    pub(crate) changes: Changes,
}

impl Shared {
    /// Nothing so far. The key is new, so that state of another process is worth nothing here.
    ///
    /// # Errors
    ///
    /// When the system has no random bytes.
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let codec = RequestStateCodec::try_new(key).map_err(io::Error::other)?;
        Ok(Self { tasks: TaskManager::new(), codec, changes: Changes::default() })
    }
}

/// Answers what the suite asks.
pub(crate) struct Fixture {
    /// What requests have in common.
    pub(crate) shared: Arc<Shared>,
    /// The least severity that this session wants to see, as an index of [`crate::dialogue::SEVERITIES`].
    pub(crate) severity: AtomicUsize,
}

impl Fixture {
    /// A handler that sees `shared`.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, severity: AtomicUsize::new(0) }
    }
}

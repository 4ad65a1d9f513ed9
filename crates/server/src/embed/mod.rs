//! A server inside of another program: `McpGitServer`.

mod builder;

use crate::{
    admin::{
        self,
        answers::recovery::{Drained, Recovery},
        recovery,
    },
    app::StartError,
    caches::Caches,
    error::ErrorClass,
    server::{Server, heartbeats::Heartbeats},
    telemetry::{heap::Tracker, watch::Processors},
};
pub use builder::Builder;
use guard::{Circuits, ErrorWindows, Resources};
use mcp::sessions::Sessions;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

/// Sessions of clients, over every transport.
pub mod sessions {
    pub use mcp::sessions::{Ending, Fault, Kind, SessionInfo, SessionLimits, SessionState, Sessions};
}

/// A running server: MCP over HTTP at `/mcp`, and over WebSocket at `/ws`, as `mcp-server-git serve` runs it. Dropping it
/// stops it without waiting for calls; [`Self::shutdown`] waits.
///
/// A program that starts one calls [`edit_sequence`](crate::edit_sequence) first in `main`, and exits if that returns true:
/// git in a sandbox starts this program again to edit the steps of a rebase. Then it calls
/// [`adopt_environment`](crate::adopt_environment), so that reads do not follow `GIT_DIR` and the like.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = mcp_server_git::McpGitServer::builder().repository("/srv/project").port(0).start().await?;
/// println!("{:?}", server.address());
/// server.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "MCPGitServer")]
pub struct McpGitServer {
    builder: Builder,
    server: Arc<Server>,
    address: Option<SocketAddr>,
    served: JoinHandle<io::Result<()>>,
    stop: DropGuard,
}

/// A restart that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartReport {
    /// Calls that still ran when the drain timed out, and were stopped.
    pub left: usize,
    /// Sessions in the store, each restored with the next request of its client; `None` without the store.
    pub kept: Option<usize>,
}

impl McpGitServer {
    /// The configuration of a new server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens; `None` on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The sessions.
    #[doc(alias = "get_session_manager")]
    pub fn sessions(&self) -> &Sessions {
        &self.server.sessions
    }

    /// The heartbeats of the sessions.
    pub fn heartbeats(&self) -> Heartbeats<'_> {
        self.server.heartbeats()
    }

    /// The circuits of remotes, of storage and of the database.
    pub fn circuits(&self) -> &Circuits {
        self.server.breakers.circuits()
    }

    /// The errors of the last hour, by class.
    pub fn errors(&self) -> &ErrorWindows<ErrorClass> {
        self.server.errors.windows()
    }

    /// The resources that the server holds: child processes, locks, connections, temporary files.
    pub fn resources(&self) -> &Resources {
        &self.server.resources
    }

    /// The caches.
    pub fn caches(&self) -> Caches<'_> {
        self.server.caches()
    }

    /// Snapshots of the heap.
    pub fn heap(&self) -> &Tracker {
        &self.server.heap
    }

    /// The last measurement of the processors, which a periodic task takes; `None` in the first second.
    #[doc(alias = "monitor_cpu_usage")]
    pub fn sample_cpu(&self) -> Option<Processors> {
        self.server.watcher.processors()
    }

    /// Accepts no new calls, until [`Self::resume`]. Running ones continue.
    #[doc(alias = "stop_accepting_connections")]
    pub fn stop_accepting(&self) {
        self.server.stop_accepting();
    }

    /// Accepts calls again. Returns false if it did accept them.
    pub fn resume(&self) -> bool {
        self.server.resume()
    }

    /// Accepts no new calls, and waits at most this long for running ones.
    #[doc(alias = "wait_for_operations_to_complete")]
    pub async fn drain(&self, at_most: Duration) -> Drained {
        Drained { left: self.server.drain(at_most).await }
    }

    /// Stops calls, clears caches, resets circuits, closes sessions and restarts components. Reports each step, even after
    /// one that failed; touches no working tree.
    #[doc(alias = "emergency_server_recovery")]
    pub async fn recover_emergency(&self) -> Recovery {
        recovery::emergency(&self.server).await
    }

    /// Drains the server, shuts it down, and starts another one of the same configuration at the same port. Meanwhile
    /// connections are refused; `mcp-server-git serve --supervised` refuses none.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the server cannot start again.
    #[doc(alias = "graceful_restart")]
    pub async fn restart(self, at_most: Duration) -> Result<(Self, RestartReport), StartError> {
        let Drained { left } = self.drain(at_most).await;
        let builder = self.builder.clone().again_at(self.address);
        self.shutdown().await?;
        let next = builder.start().await?;
        let kept = admin::reads::kept(&next.server).await;
        Ok((next, RestartReport { left, kept }))
    }

    /// Stops the server. Running reads have 0.7 s and changes 5 s to end.
    ///
    /// # Errors
    ///
    /// If it had to stop accepting connections before.
    pub async fn shutdown(self) -> io::Result<()> {
        let Self { served, stop, .. } = self;
        drop(stop);
        served.await.map_err(io::Error::other)?
    }

    /// What the diagnoses look at.
    pub(crate) fn inner(&self) -> &Arc<Server> {
        &self.server
    }
}

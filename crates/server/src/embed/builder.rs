//! How an embedded server is configured and started.

use super::McpGitServer;
use crate::{
    app::{App, StartError},
    config::{Config, Flags},
    serving::{Serving, listen::Place, prepare},
};
use mcp::sessions::SessionLimits;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
};

/// Configures and starts a [`McpGitServer`].
///
/// Its values win over environment variables, and those over the configuration file, as for the program.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    flags: Flags,
    max_concurrent: Option<NonZeroUsize>,
    session_limits: Option<SessionLimits>,
}

impl Builder {
    /// Adds a repository, or a folder with repositories. Without any, the server serves the one of the current directory.
    #[must_use]
    pub fn repository(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags.repositories.push(path.into());
        self
    }

    /// Listens on this port; 0 takes any free one, which [`McpGitServer::address`] returns.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.flags.port = Some(port);
        self
    }

    /// Listens at this address instead of loopback.
    #[must_use]
    pub fn host(mut self, host: IpAddr) -> Self {
        self.flags.host = Some(host);
        self
    }

    /// Listens on a Unix socket instead of a port.
    #[must_use]
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags.socket = Some(path.into());
        self
    }

    /// Keeps what outlives the server in this folder.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags.state_dir = Some(path.into());
        self
    }

    /// Serves the admin channel on this Unix socket. Of several servers in one process, each needs its own.
    #[must_use]
    pub fn admin_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags.admin_socket = Some(path.into());
        self
    }

    /// Replaces all values that the command line can give, those above included.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Runs at most this many reads, and as many changes, at a time. Further calls wait, and are rejected if too many do.
    ///
    /// Each may need three blocking threads of the runtime, and the rest of the server 200. Tokio's default of 512 is
    /// enough for the default of 10 calls.
    #[doc(alias = "BackpressureAwareServer")]
    #[must_use]
    pub fn max_concurrent(mut self, calls: NonZeroUsize) -> Self {
        self.max_concurrent = Some(calls);
        self
    }

    /// Limits the sessions, and sets the interval and the threshold of their heartbeats.
    #[doc(alias = "MemoryAwareSessionManager")]
    #[must_use]
    pub fn session_limits(mut self, limits: SessionLimits) -> Self {
        self.session_limits = Some(limits);
        self
    }

    /// Starts the server on the current Tokio runtime, whose time and I/O must be enabled. Once this returns, it accepts
    /// connections.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self) -> Result<McpGitServer, StartError> {
        // Reads files, and starts git.
        let blocking = tokio::task::spawn_blocking(move || (self.prepared(), self));
        let (prepared, builder) = blocking.await.map_err(io::Error::other)?;
        let (app, config) = prepared?;
        // Dropped by an error, it ends the periodic tasks.
        let stop = app.stop.clone().drop_guard();
        let serving = Serving::open(&app, &config, None, false).await?;
        let address = match serving.place() {
            Place::Address(address) => Some(*address),
            Place::Socket(..) => None,
        };
        let server = Arc::clone(&app.server);
        let transport = tokio::spawn(serving.run(|| ()));
        Ok(McpGitServer { builder, server, address, served: transport, stop })
    }

    /// The server before it listens, and its configuration.
    fn prepared(&self) -> Result<(App, Config), StartError> {
        let mut config = Config::load(&self.flags)?;
        if let Some(calls) = self.max_concurrent {
            config.limits.max_concurrent = calls.get();
        }
        let app = App::new(&config)?;
        if let Some(limits) = self.session_limits {
            app.server.sessions.set_limits(limits);
        }
        prepare(&app, &config)?;
        Ok((app, config))
    }

    /// The same, at the port of a server that has stopped.
    pub(super) fn again_at(mut self, address: Option<SocketAddr>) -> Self {
        if let Some(address) = address {
            self.flags.port = Some(address.port());
        }
        self
    }
}

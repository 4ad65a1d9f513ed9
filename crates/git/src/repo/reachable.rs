//! Targets of transfers, the operator's network policy, and the gate for transfers.

use crate::error::Result;
use gix::url::Scheme;
use std::{fmt::Debug, time::Duration};

/// The operator's network policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Allowed protocols.
    pub protocols: Vec<Scheme>,
    /// Hosts that may have private addresses.
    pub allow_hosts: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self { protocols: vec![Scheme::Https, Scheme::Ssh], allow_hosts: Vec::new() }
    }
}

impl Network {
    /// The allowed protocols, by git's names.
    pub fn names(&self) -> Vec<&str> {
        self.protocols.iter().map(Scheme::as_str).collect()
    }
}

/// The direction of a transfer; the URLs may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the remote.
    #[default]
    Fetch,
    /// To the remote.
    Push,
}

impl Direction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Push => "push",
        }
    }
}

/// The target of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Protocol by git's name: `https`, `ssh`, …
    pub protocol: String,
    /// Host as in the URL, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of the repository on the host.
    pub path: String,
}

impl Target {
    /// The target of a URL; `None` if it has no host.
    pub fn of(url: &gix::Url) -> Option<Self> {
        let host = url.host().filter(|host| !host.is_empty() && url.scheme != Scheme::File)?;
        Some(Self {
            protocol: url.scheme.as_str().to_owned(),
            host: host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase(),
            port: url.port_or_default().unwrap_or(if url.scheme == Scheme::Ssh { 22 } else { 9418 }),
            path: url.path.to_string(),
        })
    }

    /// Parses the target from the text of a URL.
    pub fn parse(url: &str) -> Option<Self> {
        gix::url::parse(url).ok().as_ref().and_then(Self::of)
    }

    /// The circuit breaker key: `HOST:PORT/DIRECTION`.
    pub fn key(&self, direction: Direction) -> String {
        format!("{}:{}/{}", self.host, self.port, direction.name())
    }
}

/// The outcome of a transfer, as evidence about its remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The remote works, even if it refused the request.
    Alive,
    /// The remote is down: no response, a truncated response, or a server error.
    Down,
    /// The remote asked to retry after this time.
    Busy(Duration),
    /// The remote does not listen at its URL's address; for ssh it may be reached in another way.
    Silent,
    /// No evidence: the caller gave up.
    Unknown,
}

/// A gate for transfers.
pub trait TransferGate: Debug + Send + Sync {
    /// Admits a transfer.
    ///
    /// # Errors
    ///
    /// [`crate::Error::CircuitOpen`] while the remote's circuit is open.
    fn enter(&self, target: &Target, direction: Direction) -> Result<Box<dyn TransferPermit>>;
}

/// An admitted transfer. Dropping it without an outcome is no evidence about the remote.
pub trait TransferPermit: Send {
    /// Reports the outcome.
    fn end(self: Box<Self>, outcome: Outcome);
}

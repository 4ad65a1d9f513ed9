//! What a transfer reaches, what the operator allows of that, and the gate that it passes.

use crate::error::Result;
use gix::url::Scheme;
use std::{fmt::Debug, time::Duration};

/// What the operator allows of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Protocols, by git's names: `https`, `ssh`, `http`, `git`, `file`.
    pub protocols: Vec<String>,
    /// Hosts that may be at private addresses.
    pub allow_hosts: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self { protocols: vec!["https".to_owned(), "ssh".to_owned()], allow_hosts: Vec::new() }
    }
}

/// Which direction a remote is used in; the URLs may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From it.
    #[default]
    Fetch,
    /// To it.
    Push,
}

impl Direction {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Push => "push",
        }
    }
}

/// A place that a transfer reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// By git's name: `https`, `ssh`, …
    pub protocol: String,
    /// As the URL names it, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The repository there, as a path.
    pub path: String,
}

impl Target {
    /// Where a URL leads; `None` where that is no host.
    pub fn of(url: &gix::Url) -> Option<Self> {
        let host = url.host().filter(|host| !host.is_empty() && url.scheme != Scheme::File)?;
        Some(Self {
            protocol: url.scheme.as_str().to_owned(),
            host: host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase(),
            port: url.port_or_default().unwrap_or(if url.scheme == Scheme::Ssh { 22 } else { 9418 }),
            path: url.path.to_string(),
        })
    }

    /// Where the text of a URL leads.
    pub fn parse(url: &str) -> Option<Self> {
        gix::url::parse(url).ok().as_ref().and_then(Self::of)
    }

    /// Under which a failure here counts: `HOST:PORT/DIRECTION`.
    pub fn key(&self, direction: Direction) -> String {
        format!("{}:{}/{}", self.host, self.port, direction.name())
    }
}

/// What a transfer says of its remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works; what it refused it had its reasons for.
    Alive,
    /// It does not: no answer, an answer that broke off, an error of its own.
    Down,
    /// It wants to be left alone for a while.
    Busy(Duration),
    /// It does not listen where its URL says, which for ssh may be because it is reached in another way.
    Silent,
    /// Nothing: the caller gave up.
    Unknown,
}

/// Lets transfers begin.
pub trait TransferGate: Debug + Send + Sync {
    /// Lets a transfer begin.
    ///
    /// # Errors
    ///
    /// [`Error::CircuitOpen`] while the remote is known to be down.
    fn enter(&self, target: &Target, direction: Direction) -> Result<Box<dyn TransferPermit>>;
}

/// A transfer that was let through. Dropped without a word it says nothing of the remote.
pub trait TransferPermit: Send {
    /// Says what came of it.
    fn end(self: Box<Self>, outcome: Outcome);
}

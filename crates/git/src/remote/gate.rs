//! Health of remotes: probes, and the outcome of a transfer.

use super::{Route, address};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    process::progress::Exchange,
    repo::reachable::{Direction, Network, Outcome, Target, TransferPermit},
};
use std::{
    collections::HashSet,
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use ureq::{
    config::Config,
    http::Uri,
    tls::{RootCerts, TlsConfig},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// Timeout of a probe.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Target {
    /// The addresses of the host, if they are currently allowed.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateAddress`], [`Error::UnknownHost`].
    pub fn addresses(&self, network: &Network, cancel: &Cancel) -> Result<Vec<SocketAddr>> {
        let found = network.addresses(&self.host, cancel)?;
        if found.is_empty() {
            return Err(Error::UnknownHost(self.host.clone()));
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, self.port)).collect())
    }

    /// True if the remote answers an unauthenticated request, whatever the answer.
    pub fn is_alive(&self, direction: Direction, network: &Network, cancel: &Cancel) -> bool {
        if !self.is_http() {
            return self.listens(network, cancel);
        }
        match self.status(direction, network, cancel) {
            Ok(status) => status < 500 && status != 429,
            Err(err) => {
                tracing::debug!(%err, "remote does not respond");
                false
            }
        }
    }

    /// Whether git reaches it over HTTP.
    pub fn is_http(&self) -> bool {
        address::is_http(&self.protocol)
    }

    /// The URL of git's first request over HTTP, without a login.
    pub fn url(&self, direction: Direction) -> String {
        let program = match direction {
            Direction::Fetch => "git-upload-pack",
            Direction::Push => "git-receive-pack",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let path = self.path.trim_end_matches('/');
        format!("{}://{host}:{}{path}/info/refs?service={program}", self.protocol, self.port)
    }

    /// The status of the answer to git's first request over HTTP, without credentials. Follows no redirect.
    ///
    /// # Errors
    ///
    /// If there is no allowed address, or no answer in time.
    pub fn status(&self, direction: Direction, network: &Network, cancel: &Cancel) -> io::Result<u16> {
        // Only at an allowed address: the name may resolve differently now.
        let addresses = self.addresses(network, cancel).map_err(|err| io::Error::other(err.to_string()))?;
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder();
        let config = config.timeout_global(Some(TIMEOUT)).proxy(None).max_redirects(0).http_status_as_error(false).tls_config(tls).build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Pinned(addresses));
        let answer = agent.get(self.url(direction)).call().map_err(ureq::Error::into_io)?;
        Ok(answer.status().as_u16())
    }

    /// True if the port accepts connections and, for ssh, sends an ssh banner.
    pub fn listens(&self, network: &Network, cancel: &Cancel) -> bool {
        let Ok(addresses) = self.addresses(network, cancel) else { return false };
        addresses.iter().any(|address| {
            let Ok(mut stream) = TcpStream::connect_timeout(address, TIMEOUT) else { return false };
            let mut banner = [0; 4];
            self.protocol != "ssh"
                || stream.set_read_timeout(Some(TIMEOUT)).is_ok() && stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
        })
    }
}

/// The addresses a name is pinned to, whatever it resolves to now.
#[derive(Debug)]
struct Pinned(Vec<SocketAddr>);

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for address in self.0.iter().take(16) {
            found.push(*address);
        }
        Ok(found)
    }
}

/// The result of one attempt.
pub(super) enum Attempt<'a> {
    Done,
    /// git failed, after this HTTP exchange.
    Failed {
        code: Option<i32>,
        exchange: &'a Exchange,
    },
    Error(&'a Error),
}

impl Route {
    /// Acquires a permit for every target.
    pub(super) fn enter(&self) -> Result<Vec<Box<dyn TransferPermit>>> {
        let Some(gate) = &self.gate else { return Ok(Vec::new()) };
        // Several URLs of one host share one permit.
        let mut entered = HashSet::new();
        let new = self.targets.iter().filter(|target| entered.insert(target.key(self.direction)));
        new.map(|target| gate.enter(target, self.direction)).collect()
    }

    /// The outcome of an attempt, for the remote's circuit.
    pub(super) fn judge(&self, attempt: &Attempt<'_>, cancel: &Cancel) -> Outcome {
        /// Default pause after a 429 without Retry-After.
        const DEFAULT_PAUSE: Duration = Duration::from_secs(30);
        let over_http = self.targets.iter().any(|target| address::is_http(&target.protocol));
        match attempt {
            Attempt::Error(Error::Http { status: 429, retry_after, .. }) => Outcome::Busy(retry_after.unwrap_or(DEFAULT_PAUSE)),
            // A local hook used up the time.
            Attempt::Error(Error::CutOff { running: Some(child), .. }) if child.hook.is_some() => Outcome::Unknown,
            Attempt::Error(Error::Http { status: 500.., .. } | Error::TimedOut | Error::CutOff { .. }) => Outcome::Down,
            Attempt::Error(err) if !matches!(err, Error::Http { .. }) => Outcome::Unknown,
            // A signal killed git; the remote is not to blame.
            Attempt::Failed { code: None, .. } => Outcome::Unknown,
            // git failed before any request was sent.
            Attempt::Failed { exchange, .. } if over_http && !exchange.began => Outcome::Unknown,
            Attempt::Failed { exchange, .. } if over_http => {
                if exchange.status.is_none() || exchange.broken {
                    Outcome::Down
                } else {
                    Outcome::Alive
                }
            }
            // git does not report ssh's exit code, so probe the port.
            Attempt::Failed { code: Some(128), .. } if !self.targets.is_empty() => {
                if self.targets.iter().all(|target| target.listens(&self.network, cancel)) { Outcome::Alive } else { Outcome::Silent }
            }
            Attempt::Done | Attempt::Failed { .. } | Attempt::Error(..) => Outcome::Alive,
        }
    }
}

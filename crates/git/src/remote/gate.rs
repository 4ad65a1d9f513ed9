//! Whether remotes answer, and what a transfer says of its remote.

use super::{Route, address};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    process::progress::Exchange,
    repo::reachable::{Direction, Network, Outcome, Target, TransferPermit},
};
use std::{
    collections::HashSet,
    io::Read,
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

/// How long a host may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

impl Target {
    /// The addresses of the host, where they are allowed now.
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

    /// True where the remote answers, with whatever it has to say, a question that anybody may ask it.
    pub fn is_alive(&self, direction: Direction, network: &Network, cancel: &Cancel) -> bool {
        if !address::is_http(&self.protocol) {
            return self.listens(network, cancel);
        }
        // Only where it may be reached: names can have moved since.
        let Ok(addresses) = self.addresses(network, cancel) else { return false };
        let program = match direction {
            Direction::Fetch => "git-upload-pack",
            Direction::Push => "git-receive-pack",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let path = self.path.trim_end_matches('/');
        let url = format!("{}://{host}:{}{path}/info/refs?service={program}", self.protocol, self.port);
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder();
        let config = config.timeout_global(Some(PATIENCE)).proxy(None).max_redirects(0).http_status_as_error(false).tls_config(tls).build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Pinned(addresses));
        match agent.get(&url).call() {
            Ok(answer) => answer.status().as_u16() < 500 && answer.status() != 429,
            Err(err) => {
                tracing::debug!(%err, "a remote does not answer");
                false
            }
        }
    }

    /// True where something listens there that speaks first as an ssh server does, or, over other protocols, that listens.
    pub fn listens(&self, network: &Network, cancel: &Cancel) -> bool {
        let Ok(addresses) = self.addresses(network, cancel) else { return false };
        addresses.iter().any(|address| {
            let Ok(mut stream) = TcpStream::connect_timeout(address, PATIENCE) else { return false };
            let mut banner = [0; 4];
            self.protocol != "ssh"
                || stream.set_read_timeout(Some(PATIENCE)).is_ok() && stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
        })
    }
}

/// Addresses that a name leads to, whatever else it may lead to by now.
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

/// What became of one attempt.
pub(super) enum Attempt<'a> {
    Done,
    /// git failed, and so ended its exchange over HTTP.
    Failed {
        code: Option<i32>,
        exchange: &'a Exchange,
    },
    Error(&'a Error),
}

impl Route {
    /// Passes every gate on the way.
    pub(super) fn enter(&self) -> Result<Vec<Box<dyn TransferPermit>>> {
        let Some(gate) = &self.gate else { return Ok(Vec::new()) };
        // Several URLs of one host, or several names for it, are one place.
        let mut entered = HashSet::new();
        let new = self.targets.iter().filter(|target| entered.insert(target.key(self.direction)));
        new.map(|target| gate.enter(target, self.direction)).collect()
    }

    /// What an attempt says of the remote.
    pub(super) fn judge(&self, attempt: &Attempt<'_>, cancel: &Cancel) -> Outcome {
        /// How long a remote is left alone that does not say how long.
        const USUAL: Duration = Duration::from_secs(30);
        let over_http = self.targets.iter().any(|target| address::is_http(&target.protocol));
        match attempt {
            Attempt::Error(Error::Http { status: 429, retry_after, .. }) => Outcome::Busy(retry_after.unwrap_or(USUAL)),
            // The time went by in a hook here.
            Attempt::Error(Error::CutOff { running: Some(child), .. }) if child.hook.is_some() => Outcome::Unknown,
            Attempt::Error(Error::Http { status: 500.., .. } | Error::TimedOut | Error::CutOff { .. }) => Outcome::Down,
            Attempt::Error(err) if !matches!(err, Error::Http { .. }) => Outcome::Unknown,
            // Somebody has ended git, not the remote.
            Attempt::Failed { code: None, .. } => Outcome::Unknown,
            // It failed before it asked anybody, or beside it.
            Attempt::Failed { exchange, .. } if over_http && !exchange.began => Outcome::Unknown,
            Attempt::Failed { exchange, .. } if over_http => {
                if exchange.status.is_none() || exchange.broken {
                    Outcome::Down
                } else {
                    Outcome::Alive
                }
            }
            // git does not pass on how ssh ended, and an answer is the better sign.
            Attempt::Failed { code: Some(128), .. } if !self.targets.is_empty() => {
                if self.targets.iter().all(|target| target.listens(&self.network, cancel)) { Outcome::Alive } else { Outcome::Silent }
            }
            Attempt::Done | Attempt::Failed { .. } | Attempt::Error(..) => Outcome::Alive,
        }
    }
}

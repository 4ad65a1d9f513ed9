//! Circuits of the running server: one for each remote host and direction, for each repository whose storage ails, and for
//! the database.

use crate::error::{Error, Kind};
use git::{Cancel, Direction, Network, Outcome, Target, TransferGate, TransferPermit};
use guard::{CircuitConfig, CircuitSnapshot, Circuits, Open, Permission, ResetOutcome};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(10);
/// The most probe addresses kept: as many as circuits.
const MAX_TARGETS: usize = 1024;
/// The key of the database.
pub(crate) const DATABASE: &str = "database";

/// All circuits of a server.
#[derive(Debug)]
pub(crate) struct Breakers {
    circuits: Circuits,
    network: Network,
    /// Where the circuits lead, so that they can be probed.
    targets: Mutex<HashMap<String, (Target, Direction)>>,
    /// Hosts, other than those of HTTP, that are known to have listened where their URLs say.
    heard: Arc<Mutex<HashSet<Target>>>,
}

impl Breakers {
    /// Circuits with these parameters, some of them overridden by name.
    pub(crate) fn new(default: CircuitConfig, overrides: Vec<(String, CircuitConfig)>, network: Network) -> Arc<Self> {
        Arc::new(Self { circuits: Circuits::new(default, overrides), network, targets: Mutex::default(), heard: Arc::default() })
    }

    /// The circuits, as they are now.
    pub(crate) fn list(&self) -> Vec<CircuitSnapshot> {
        self.circuits.list()
    }

    /// Closes one by hand.
    pub(crate) fn reset(&self, name: &str) -> Option<ResetOutcome> {
        self.circuits.reset(name)
    }

    /// Closes those that are stuck open.
    pub(crate) fn reset_stuck(&self) -> Vec<String> {
        self.circuits.reset_stuck()
    }

    /// Closes all.
    pub(crate) fn reset_all(&self) -> Vec<(String, ResetOutcome)> {
        self.circuits.reset_all()
    }

    /// The circuit of the database.
    pub(crate) fn database(&self) -> Arc<guard::CircuitBreaker> {
        self.circuits.get(DATABASE)
    }

    /// Refuses a call to a remote that is known to be down, before anything is begun for it.
    pub(crate) fn check(&self, target: &Target, direction: Direction) -> Result<(), Error> {
        let key = target.key(direction);
        self.circuits.check(&key).map_err(|open| of_a_remote(open).into())
    }

    /// Lets a change in a repository begin, unless its storage is known to ail.
    pub(crate) fn storage(&self, common_dir: &Path) -> Result<Storage<'_>, Error> {
        let key = storage_key(common_dir);
        // Most repositories never have one.
        let known = self.circuits.has(&key);
        let trial = known.then(|| self.circuits.get(&key).try_acquire()).transpose().map_err(|open| {
            let mut error = Error::new(Kind::CircuitOpen, format!("the storage of this repository has failed too often: {open}"))
                .hint("Nothing was changed. The operator looks after the disk, and sees why with `mcp-server-git circuits list`.");
            error.retry_after = Some(open.retry_after);
            error
        })?;
        Ok(Storage { breakers: self, key, trial })
    }

    /// Counts a read that has failed for the storage of its repository. Reads go on while a circuit is open: of a disk that is
    /// full everything can be read.
    pub(crate) fn storage_of_read(&self, common_dir: &Path, error: &Error) {
        if is_of_storage(error) {
            self.fail(&storage_key(common_dir), None);
        }
    }

    fn fail(&self, key: &str, trial: Option<Permission>) {
        if let Some(trial) = trial.or_else(|| self.circuits.get(key).try_acquire().ok()) {
            trial.failure();
        }
    }

    /// Tries those remotes that have been left alone for twice their time, so that they recover without traffic.
    pub(crate) fn probe(&self) {
        for circuit in self.circuits.due_for_probe() {
            let known = self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(&**circuit.name()).cloned();
            let Some((target, direction)) = known else { continue };
            let Some(trial) = circuit.probe() else { continue };
            let is_alive = target.is_alive(direction, &self.network, &Cancel::new(Some(Instant::now() + PROBE)));
            tracing::info!(circuit = &**circuit.name(), is_alive, "a remote was asked whether it is back");
            if is_alive { trial.success() } else { trial.failure() }
        }
        self.circuits.tidy();
    }
}

fn storage_key(common_dir: &Path) -> String {
    format!("storage:{}", common_dir.display())
}

/// True for what this process or git has met of a disk that is full, read-only or failing.
fn is_of_storage(error: &Error) -> bool {
    error.cause().is_some_and(git::Error::is_of_storage)
}

/// A change whose storage is watched.
pub(crate) struct Storage<'a> {
    breakers: &'a Breakers,
    key: String,
    trial: Option<Permission>,
}

impl Storage<'_> {
    /// Says what became of the change.
    pub(crate) fn end<T>(self, result: &Result<T, Error>) {
        match (result, self.trial) {
            (Err(error), trial) if is_of_storage(error) => self.breakers.fail(&self.key, trial),
            (Ok(_), Some(trial)) => trial.success(),
            // What git refused says nothing of the disk.
            _ => {}
        }
    }
}

impl TransferGate for Breakers {
    fn enter(&self, target: &Target, direction: Direction) -> git::Result<Box<dyn TransferPermit>> {
        let key = target.key(direction);
        let circuit = self.circuits.get(&key);
        let trial = circuit.try_acquire().map_err(of_a_remote)?;
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= MAX_TARGETS {
            let known: Vec<String> = self.circuits.list().iter().map(|circuit| circuit.name.to_string()).collect();
            targets.retain(|key, _| known.contains(key));
        }
        targets.insert(key, (target.clone(), direction));
        let heard = (!matches!(target.protocol.as_str(), "http" | "https")).then(|| ReachabilityProbe {
            target: target.clone(),
            network: self.network.clone(),
            all: Arc::clone(&self.heard),
        });
        Ok(Box::new(Passing { circuit, trial, heard }))
    }
}

fn of_a_remote(Open { name, paused, retry_after }: Open) -> git::Error {
    git::Error::CircuitOpen { name: name.to_string(), paused, retry_after }
}

struct Passing {
    circuit: Arc<guard::CircuitBreaker>,
    trial: Permission,
    heard: Option<ReachabilityProbe>,
}

/// Whether a host listens where its URL says. ssh may be set up to reach it elsewhere, and git does not tell a login that was
/// refused from a host that is down.
struct ReachabilityProbe {
    target: Target,
    network: Network,
    all: Arc<Mutex<HashSet<Target>>>,
}

impl ReachabilityProbe {
    fn is_known(&self) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.target)
    }

    /// Finds out, once, aside.
    fn find_out(self) {
        if self.is_known() {
            return;
        }
        std::thread::spawn(move || {
            if self.target.listens(&self.network, &Cancel::new(Some(Instant::now() + PROBE))) {
                let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
                if all.len() < MAX_TARGETS {
                    all.insert(self.target);
                }
            }
        });
    }
}

impl TransferPermit for Passing {
    fn end(self: Box<Self>, outcome: Outcome) {
        match outcome {
            Outcome::Alive => {
                self.trial.success();
                self.heard.into_iter().for_each(ReachabilityProbe::find_out);
            }
            Outcome::Down => self.trial.failure(),
            Outcome::Silent if self.heard.is_some_and(|heard| heard.is_known()) => self.trial.failure(),
            Outcome::Busy(wait) => {
                self.circuit.pause(wait);
                self.trial.ignore();
            }
            Outcome::Silent | Outcome::Unknown => self.trial.ignore(),
        }
    }
}

//! Circuits of the running server: one for each remote host and direction, for each repository with failing storage, and
//! for the database.

use crate::error::{Error, Kind};
use git::{Cancel, Direction, Network, Outcome, Target, TransferGate, TransferPermit};
use guard::{CircuitConfig, CircuitSnapshot, Circuits, Open, Permission, ResetOutcome};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(10);
/// Maximum number of probe targets kept: as many as circuits.
const MAX_TARGETS: usize = 1024;
/// The name of the database's circuit.
pub(crate) const DATABASE: &str = "database";

/// All circuits of a server.
#[derive(Debug)]
pub(crate) struct Breakers {
    circuits: Circuits,
    network: Network,
    /// The targets of the circuits, for probes.
    targets: Mutex<HashMap<String, (Target, Direction)>>,
    /// Non-HTTP targets that are known to have listened at their URL's address.
    reachable: Arc<Mutex<HashSet<Target>>>,
}

impl Breakers {
    /// Circuits with these parameters, some of them overridden by name.
    pub(crate) fn new(default: CircuitConfig, overrides: Vec<(String, CircuitConfig)>, network: Network) -> Arc<Self> {
        Arc::new(Self { circuits: Circuits::new(default, overrides), network, targets: Mutex::default(), reachable: Arc::default() })
    }

    /// The circuits alone.
    pub(crate) fn circuits(&self) -> &Circuits {
        &self.circuits
    }

    /// Snapshots of the circuits.
    pub(crate) fn list(&self) -> Vec<CircuitSnapshot> {
        self.circuits.list()
    }

    /// Closes a circuit by hand.
    pub(crate) fn reset(&self, name: &str) -> Option<ResetOutcome> {
        self.circuits.reset(name)
    }

    /// Closes the circuits that are stuck open.
    pub(crate) fn reset_stuck(&self) -> Vec<String> {
        self.circuits.reset_stuck()
    }

    /// Closes all circuits.
    pub(crate) fn reset_all(&self) -> Vec<(String, ResetOutcome)> {
        self.circuits.reset_all()
    }

    /// The circuit of the database.
    pub(crate) fn database(&self) -> Arc<guard::CircuitBreaker> {
        self.circuits.get(DATABASE)
    }

    /// Rejects a call to a remote whose circuit is open, before any work.
    pub(crate) fn check(&self, target: &Target, direction: Direction) -> Result<(), Error> {
        let key = target.key(direction);
        self.circuits.check(&key).map_err(|open| of_a_remote(open).into())
    }

    /// Permits a change in a repository, unless its storage circuit is open.
    pub(crate) fn storage(&self, common_dir: &Path) -> Result<Storage<'_>, Error> {
        let key = storage_key(common_dir);
        // Most repositories never have a circuit.
        let known = self.circuits.has(&key);
        let permission = known.then(|| self.circuits.get(&key).try_acquire()).transpose().map_err(|open| {
            let mut error = Error::new(Kind::CircuitOpen, format!("the storage of this repository has failed too often: {open}"))
                .hint("Nothing was changed. Ask the operator to fix the disk; `mcp-server-git circuits list` shows why.");
            error.retry_after = Some(open.retry_after);
            error
        })?;
        Ok(Storage { breakers: self, key, permission })
    }

    /// Counts a read that failed because of its repository's storage. Reads are allowed while the circuit is open: a full
    /// disk is still readable.
    pub(crate) fn storage_of_read(&self, common_dir: &Path, error: &Error) {
        if is_of_storage(error) {
            self.fail(&storage_key(common_dir), None);
        }
    }

    fn fail(&self, key: &str, permission: Option<Permission>) {
        if let Some(permission) = permission.or_else(|| self.circuits.get(key).try_acquire().ok()) {
            permission.failure();
        }
    }

    /// Probes remotes whose circuits have been open for twice their timeout, so that they recover without traffic.
    pub(crate) fn probe(&self) {
        for circuit in self.circuits.due_for_probe() {
            let known = self.targets.lock().get(&**circuit.name()).cloned();
            let Some((target, direction)) = known else { continue };
            let Some(permission) = circuit.probe() else { continue };
            let is_alive = target.is_alive(direction, &self.network, &Cancel::new(Some(Instant::now() + PROBE)));
            tracing::info!(circuit = &**circuit.name(), is_alive, "a remote was probed");
            if is_alive { permission.success() } else { permission.failure() }
        }
        self.circuits.tidy();
    }
}

fn storage_key(common_dir: &Path) -> String {
    format!("storage:{}", common_dir.display())
}

/// Whether the error comes from a disk that is full, read-only or failing.
fn is_of_storage(error: &Error) -> bool {
    error.cause().is_some_and(git::Error::is_storage_error)
}

/// A running change, watched for storage failures.
pub(crate) struct Storage<'a> {
    breakers: &'a Breakers,
    key: String,
    permission: Option<Permission>,
}

impl Storage<'_> {
    /// Records the outcome of the change.
    pub(crate) fn end<T>(self, result: &Result<T, Error>) {
        match (result, self.permission) {
            (Err(error), permission) if is_of_storage(error) => self.breakers.fail(&self.key, permission),
            (Ok(_), Some(permission)) => permission.success(),
            // A refusal by git says nothing about the disk.
            (Ok(_), None) | (Err(_), _) => {}
        }
    }
}

impl TransferGate for Breakers {
    fn enter(&self, target: &Target, direction: Direction) -> git::Result<Box<dyn TransferPermit>> {
        let key = target.key(direction);
        let circuit = self.circuits.get(&key);
        let permission = circuit.try_acquire().map_err(of_a_remote)?;
        let mut targets = self.targets.lock();
        if targets.len() >= MAX_TARGETS {
            let known: Vec<String> = self.circuits.list().iter().map(|circuit| circuit.name.to_string()).collect();
            targets.retain(|key, _| known.contains(key));
        }
        targets.insert(key, (target.clone(), direction));
        let probe = (!matches!(target.protocol.as_str(), "http" | "https")).then(|| ReachabilityProbe {
            target: target.clone(),
            network: self.network.clone(),
            all: Arc::clone(&self.reachable),
        });
        Ok(Box::new(Passing { circuit, permission, probe }))
    }
}

fn of_a_remote(Open { name, paused, retry_after }: Open) -> git::Error {
    git::Error::CircuitOpen { name: name.to_string(), paused, retry_after }
}

struct Passing {
    circuit: Arc<guard::CircuitBreaker>,
    permission: Permission,
    probe: Option<ReachabilityProbe>,
}

/// Checks whether a host listens at its URL's address. ssh may be configured to reach it elsewhere, and git does not
/// distinguish a refused login from a host that is down.
struct ReachabilityProbe {
    target: Target,
    network: Network,
    all: Arc<Mutex<HashSet<Target>>>,
}

impl ReachabilityProbe {
    fn is_known(&self) -> bool {
        self.all.lock().contains(&self.target)
    }

    /// Probes the target once, on its own thread.
    fn begin(self) {
        if self.is_known() {
            return;
        }
        std::thread::spawn(move || {
            if self.target.listens(&self.network, &Cancel::new(Some(Instant::now() + PROBE))) {
                let mut all = self.all.lock();
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
                self.permission.success();
                self.probe.into_iter().for_each(ReachabilityProbe::begin);
            }
            Outcome::Down => self.permission.failure(),
            Outcome::Silent if self.probe.is_some_and(|probe| probe.is_known()) => self.permission.failure(),
            Outcome::Busy(wait) => {
                self.circuit.pause(wait);
                self.permission.ignore();
            }
            Outcome::Silent | Outcome::Unknown => self.permission.ignore(),
        }
    }
}

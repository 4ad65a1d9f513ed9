//! Exclusive access for a change: a turn in this process, a lock between processes, a lease between machines.

use super::{resource::ResourceKind, stopped, worker::Worker};
use crate::{
    error::{Error, Kind},
    persistence::{Leased, Persistence},
    state::StateDir,
    tool::Scope,
};
use git::{Cancel, Held, Locks, Repo};
use guard::{Exclusive, Queued, Rejected, ResourceGuard, Resources, Running, Turn};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long a change waits for another server's lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// Maximum number of changes that wait for other servers' locks, one thread each.
pub(crate) const LOCK_WAITS: usize = 32;

/// Serializes changes.
#[derive(Clone)]
pub(crate) struct ChangeLock {
    exclusive: Exclusive<PathBuf>,
    waits: Arc<Semaphore>,
    state: Arc<StateDir>,
    resources: Resources,
    persistence: Arc<Persistence>,
}

/// The locks a change holds. Dropped in this order: lease, lock, turn.
pub(super) struct Locked {
    lease: Option<Leased>,
    held: Held,
    _turn: Turn,
    _listed: Option<ResourceGuard>,
}

impl Locked {
    /// Whether the previous holder crashed, or may have.
    pub(super) fn previous_holder_crashed(&self) -> bool {
        self.held.previous_holder_crashed() || self.lease.is_some()
    }

    /// The lock between processes.
    pub(super) fn lock(&self) -> &Held {
        &self.held
    }

    /// Fails if another machine has taken over the lease.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.lease.as_ref().map_or(Ok(()), Leased::check)
    }

    /// Releases the lease, and marks the lock as recovered if recovery has run.
    pub(super) fn end(&mut self, recovered: bool) {
        self.lease = None;
        if recovered {
            self.held.mark_recovered();
        }
    }
}

impl ChangeLock {
    /// Creates the lock. A change waits at most `wait` for its turn in this process.
    pub(crate) fn new(state: Arc<StateDir>, resources: Resources, persistence: Arc<Persistence>, wait: Duration) -> Self {
        Self { exclusive: Exclusive::new(wait), waits: Arc::new(Semaphore::new(LOCK_WAITS)), state, resources, persistence }
    }

    /// Takes the locks for a change of this scope without waiting; `None` if one is held. Needs a blocking thread.
    pub(super) fn take_now(&self, tool: &'static str, scope: Scope, repo: &Repo) -> Option<Vec<Locked>> {
        if self.persistence.is_shared() {
            return None;
        }
        let take = |resource: PathBuf| {
            let turn = self.exclusive.try_turn(&resource)?;
            let listed = self.list(tool, &resource);
            let held = self.locks().ok()?.take(&resource, tool, Duration::ZERO, &Cancel::never()).ok()?;
            Some(Locked { lease: None, held, _turn: turn, _listed: listed })
        };
        resources(scope, repo).into_iter().map(take).collect()
    }

    /// Takes the locks for a change of this scope, waiting for their holders.
    pub(super) async fn take(
        &self,
        tool: &'static str,
        scope: Scope,
        repo: &Repo,
        cancel: &Cancel,
        worker: &Worker,
    ) -> Result<Vec<Locked>, Error> {
        let mut all = Vec::new();
        for resource in resources(scope, repo) {
            let turn = tokio::select! {
                turn = self.exclusive.turn(&resource) => match turn {
                    Err(Rejected::WaitedTooLong(_)) => return Err(self.occupied(&resource)),
                    turn => turn?,
                },
                why = stopped(cancel) => return Err(if why.kind == Kind::TimedOut { self.occupied(&resource) } else { why }),
            };
            let listed = self.list(tool, &resource);
            let lease = Leased::take(&self.persistence, &resource, LOCK_WAIT, cancel).await?;
            let wait = tokio::select! {
                wait = Arc::clone(&self.waits).acquire_owned() => wait,
                why = stopped(cancel) => return Err(why),
            };
            let (own, cancel) = (self.clone(), cancel.clone());
            let take = move |_: &Running| {
                let _wait = wait;
                Ok(own.locks()?.take(&resource, tool, LOCK_WAIT, &cancel)?)
            };
            let held = worker.run(None, take).await?;
            all.push(Locked { lease, held, _turn: turn, _listed: listed });
        }
        Ok(all)
    }

    /// The error for a change that has waited too long; names the holder.
    fn occupied(&self, resource: &Path) -> Error {
        self.locks().map_or_else(|why| why, |locks| locks.occupied(resource).into())
    }

    /// Number of changes waiting for their worktree, and number rejected.
    pub(crate) fn queued(&self) -> Queued {
        self.exclusive.queued()
    }

    fn locks(&self) -> Result<Locks, Error> {
        Ok(Locks::new(self.state.ready()?.join("locks")))
    }

    fn list(&self, tool: &str, resource: &Path) -> Option<ResourceGuard> {
        self.resources.acquire(ResourceKind::Lock.name(), format!("{tool} in {}", resource.display()), None).ok()
    }
}

/// The paths a change of this scope locks, in locking order.
fn resources(scope: Scope, repo: &Repo) -> Vec<PathBuf> {
    let (worktree, common) = (repo.top().to_owned(), &repo.location().common_dir);
    match scope {
        Scope::Worktree | Scope::RemoteAndWorktree => vec![worktree],
        Scope::Shared => vec![worktree, common.join("shared")],
        Scope::Remote => vec![common.join("remote")],
    }
}

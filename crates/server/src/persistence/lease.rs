//! Leases: exclusive access to a worktree when several machines share the store.

use super::{Failed, Persistence, milliseconds, now_ms};
use crate::error::{Error, Kind};
use git::Cancel;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Lease;
use tokio::task::JoinHandle;

/// Interval between attempts to acquire a held lease.
const POLL: Duration = Duration::from_millis(50);

/// A lease, renewed while held.
pub(crate) struct Leased {
    lease: Lease,
    persistence: Arc<Persistence>,
    renewing: JoinHandle<()>,
}

impl Leased {
    /// Acquires the lease of `path` if several machines share the store; otherwise `None`.
    pub(crate) async fn take(persistence: &Arc<Persistence>, path: &Path, wait: Duration, cancel: &Cancel) -> Result<Option<Self>, Error> {
        if !persistence.is_shared() {
            return Ok(None);
        }
        let key = path.display().to_string();
        let holder: &str = &persistence.holder;
        let began = Instant::now();
        let ttl = milliseconds(persistence.lease_ttl);
        loop {
            let key = key.clone();
            let tried = persistence.run(|store| async move { store.acquire_lease(&key, holder, now_ms(), ttl).await }).await;
            match tried {
                Ok(Some(lease)) => return Ok(Some(Self::keep(lease, persistence))),
                Ok(None) if began.elapsed() >= wait => {
                    let mut error = Error::new(Kind::Busy, format!("{} is being changed by another server", path.display()));
                    error.retry_after = Some(Duration::from_secs(2));
                    return Err(error);
                }
                Ok(None) => {}
                Err(why) => return Err(unsure(&why)),
            }
            cancel.check().map_err(Error::from)?;
            tokio::time::sleep(POLL).await;
        }
    }

    fn keep(lease: Lease, persistence: &Arc<Persistence>) -> Self {
        let (renewed, owner) = (lease.clone(), Arc::clone(persistence));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(owner.lease_ttl / 3).await;
                let (lease, ttl) = (renewed.clone(), milliseconds(owner.lease_ttl));
                let done = owner.run(|store| async move { store.renew_lease(&lease, now_ms(), ttl).await }).await;
                if matches!(done, Ok(false)) {
                    tracing::warn!(key = renewed.key, "a lease was lost: another server has taken it over");
                    return;
                }
            }
        });
        Self { lease, persistence: Arc::clone(persistence), renewing }
    }

    /// Fails if another server has taken over the lease.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let lease = self.lease.clone();
        match self.persistence.run_here(|store| async move { store.holds_lease(&lease, now_ms()).await }) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let mut error = Error::new(Kind::Busy, "this server's lease has expired; another server may be changing the repository")
                    .hint("Nothing was changed by this call. Try again.");
                error.retry_after = Some(Duration::from_secs(1));
                Err(error)
            }
            Err(why) => Err(unsure(&why)),
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.renewing.abort();
        let (persistence, lease) = (Arc::clone(&self.persistence), self.lease.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(why) = persistence.run(|store| async move { store.release_lease(&lease).await }).await {
                    tracing::warn!(%why, "a lease could not be released, and will expire");
                }
            });
        }
    }
}

impl Persistence {
    /// Whether other machines may share the store.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.address, store::Address::Url(_))
    }
}

fn unsure(why: &Failed) -> Error {
    let mut error = Error::new(Kind::Unavailable, format!("cannot verify that no other server is modifying this repository: {why}"))
        .hint("Nothing was changed. Reads still work; changes work again once the store is back.");
    error.retry_after = Some(Duration::from_secs(5));
    error
}

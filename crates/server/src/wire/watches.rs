//! The resources that a connection watches.

use guard::ResourceGuard;
use parking_lot::Mutex;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::SystemTime};
use tokio_util::sync::CancellationToken;

/// A watched resource and the last state of its repository.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    pub(super) mark: Option<u64>,
    pub(super) newest: SystemTime,
    pub(super) _listed: Option<Arc<ResourceGuard>>,
}

/// Subscriptions of a connection of an older revision.
#[derive(Default)]
pub(super) struct Watches {
    watched: Mutex<BTreeMap<String, Watched>>,
    /// Ends the polling task.
    pub(super) looking: Mutex<Option<CancellationToken>>,
}

impl Watches {
    /// The watched resources, by URI.
    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, BTreeMap<String, Watched>> {
        self.watched.lock()
    }

    /// URIs of the watched resources.
    pub(super) fn uris(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Stops watching a resource.
    pub(super) fn remove(&self, uri: &str) {
        let mut watched = self.lock();
        watched.remove(uri);
        if watched.is_empty() {
            self.end();
        }
    }

    fn end(&self) {
        if let Some(looking) = self.looking.lock().take() {
            looking.cancel();
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.end();
    }
}

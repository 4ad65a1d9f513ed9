//! The resources the server holds, with their ages, until their guard is dropped or they are released manually.

use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Releases a resource manually.
type Release = Box<dyn FnOnce() + Send>;

/// Why a resource was not acquired or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// The kind does not exist.
    #[error("unknown kind {0:?}")]
    UnknownKind(String),
    /// The resource does not exist, or no longer.
    #[error("{0:?} not found for release")]
    NotFound(String),
    /// The resource is in use.
    #[error("{0} is in use")]
    InFlight(String),
    /// The resource cannot be released manually.
    #[error("{0} is owned by the running server and cannot be released by hand")]
    Fixed(String),
}

/// A snapshot of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
    /// `{kind}_{n}`, where `n` counts all resources ever acquired.
    pub id: String,
    /// The kind.
    pub kind: &'static str,
    /// A description for people.
    pub detail: String,
    /// Time since acquisition.
    pub age: Duration,
    /// Whether it is in use now.
    pub in_flight: bool,
    /// Whether it can be released manually.
    pub can_be_released: bool,
}

/// Lists the resources held.
#[doc(alias = "ResourceManager")]
#[derive(Clone, Debug)]
pub struct Resources {
    kinds: Arc<[&'static str]>,
    table: Arc<Table>,
}

/// A held resource. Dropping it removes it from the list without releasing it: its owner has already done so.
#[derive(Debug)]
#[must_use = "a resource without its guard is not listed"]
pub struct ResourceGuard {
    table: Arc<Table>,
    number: u64,
    kind: &'static str,
}

#[derive(Debug, Default)]
struct Table(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

struct Entry {
    kind: &'static str,
    detail: String,
    since: Instant,
    in_flight: bool,
    release: Option<Release>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("kind", &self.kind).field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl Resources {
    /// Creates an empty list for these kinds.
    pub fn new(kinds: &[&'static str]) -> Self {
        Self { kinds: Arc::from(kinds), table: Arc::default() }
    }

    /// Adds a resource to the list, in use. `release` releases it manually, on the calling thread.
    ///
    /// # Errors
    ///
    /// [`ResourceError::UnknownKind`].
    #[doc(alias = "acquire_resource")]
    pub fn acquire(&self, kind: &str, detail: impl Into<String>, release: Option<Release>) -> Result<ResourceGuard, ResourceError> {
        let known = self.kinds.iter().find(|known| **known == kind);
        let kind = *known.ok_or_else(|| ResourceError::UnknownKind(kind.to_owned()))?;
        let entry = Entry { kind, detail: detail.into(), since: Instant::now(), in_flight: true, release };
        let mut held = self.table.lock();
        let number = held.next;
        held.next += 1;
        held.entries.insert(number, entry);
        Ok(ResourceGuard { table: Arc::clone(&self.table), number, kind })
    }

    /// All held resources, the oldest first.
    #[doc(alias = "active_resources")]
    pub fn list(&self) -> Vec<ResourceInfo> {
        let now = Instant::now();
        let held = self.table.lock();
        let info = |(number, entry): (&u64, &Entry)| ResourceInfo {
            id: id(entry.kind, *number),
            kind: entry.kind,
            detail: entry.detail.clone(),
            age: now.saturating_duration_since(entry.since),
            in_flight: entry.in_flight,
            can_be_released: entry.release.is_some(),
        };
        held.entries.iter().map(info).collect()
    }

    /// Releases a resource manually.
    ///
    /// # Errors
    ///
    /// [`ResourceError::NotFound`], [`ResourceError::Fixed`], [`ResourceError::InFlight`].
    #[doc(alias = "release_resource")]
    pub fn release(&self, id: &str) -> Result<(), ResourceError> {
        let (kind, number) = parse(id).ok_or_else(|| ResourceError::NotFound(id.to_owned()))?;
        if !self.kinds.contains(&kind) {
            return Err(ResourceError::UnknownKind(kind.to_owned()));
        }
        self.table.release(number, id)
    }

    /// Releases the releasable resources older than `age` that are not in use. Returns the released ones.
    #[doc(alias = "cleanup_old_resources")]
    pub fn reap(&self, age: Duration) -> Vec<ResourceInfo> {
        let old = self.list().into_iter().filter(|info| info.age > age && info.can_be_released && !info.in_flight);
        // Each is checked again: it may be in use or released by now.
        old.filter(|info| self.release(&info.id).is_ok()).collect()
    }
}

impl ResourceGuard {
    /// The resource's id.
    pub fn id(&self) -> String {
        id(self.kind, self.number)
    }

    /// Marks the resource as not in use, so that it may be released.
    pub fn idle(&self) {
        self.set_in_flight(false);
    }

    /// Marks the resource as in use, so that it may not be released. Returns false if it has been already.
    #[must_use = "a released resource cannot be used"]
    pub fn busy(&self) -> bool {
        self.set_in_flight(true)
    }

    fn set_in_flight(&self, in_flight: bool) -> bool {
        self.table.lock().entries.get_mut(&self.number).map(|entry| entry.in_flight = in_flight).is_some()
    }
}

impl Drop for ResourceGuard {
    fn drop(&mut self) {
        // Dropping the closure may run arbitrary code, so it happens outside the lock.
        let entry = self.table.lock().entries.remove(&self.number);
        drop(entry);
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock()
    }

    fn release(&self, number: u64, id: &str) -> Result<(), ResourceError> {
        let mut held = self.lock();
        let entry = held.entries.get_mut(&number).filter(|entry| self::id(entry.kind, number) == id);
        let entry = entry.ok_or_else(|| ResourceError::NotFound(id.to_owned()))?;
        if entry.release.is_some() && entry.in_flight {
            return Err(ResourceError::InFlight(id.to_owned()));
        }
        let release = entry.release.take().ok_or_else(|| ResourceError::Fixed(id.to_owned()))?;
        held.entries.remove(&number);
        drop(held);
        release();
        Ok(())
    }
}

fn id(kind: &str, number: u64) -> String {
    format!("{kind}_{number}")
}

/// The kind and the number of an id.
fn parse(id: &str) -> Option<(&str, u64)> {
    let (kind, number) = id.rsplit_once('_')?;
    Some((kind, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::advance;

    const HOUR: Duration = Duration::from_hours(1);

    fn resources() -> Resources {
        Resources::new(&["temporary_file", "connection"])
    }

    /// A release that counts its runs.
    fn counted(count: &Arc<AtomicUsize>) -> Release {
        let count = Arc::clone(count);
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn ids(resources: &Resources) -> Vec<String> {
        resources.list().into_iter().map(|info| info.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_resource_is_listed_until_its_guard_is_dropped() {
        let (resources, released) = (resources(), Arc::default());
        let file = resources.acquire("temporary_file", "pack", Some(counted(&released))).unwrap();
        advance(Duration::from_secs(3)).await;
        let _connection = resources.acquire("connection", "host:443", None).unwrap();
        let info = ResourceInfo {
            id: "temporary_file_0".to_owned(),
            kind: "temporary_file",
            detail: "pack".to_owned(),
            age: Duration::from_secs(3),
            in_flight: true,
            can_be_released: true,
        };
        assert_eq!(resources.list().first(), Some(&info));
        drop(file);
        assert_eq!(ids(&resources), ["connection_1"]);
        assert_eq!(released.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_manual_release_runs_once_and_each_refusal_gives_a_reason() {
        let (resources, released) = (resources(), Arc::default());
        assert_eq!(resources.acquire("socket", "", None).err(), Some(ResourceError::UnknownKind("socket".to_owned())));
        let file = resources.acquire("temporary_file", "", Some(counted(&released))).unwrap();
        let fixed = resources.acquire("connection", "", None).unwrap();
        let refusal = |id: &str| resources.release(id).unwrap_err().to_string();
        assert_eq!(refusal("temporary_file_0"), "temporary_file_0 is in use");
        assert_eq!(refusal("connection_1"), "connection_1 is owned by the running server and cannot be released by hand");
        for id in ["connection_0", "temporary_file_00", "temporary_file_2", "temporary_file", ""] {
            assert_eq!(refusal(id), format!("{id:?} not found for release"));
        }
        assert_eq!(refusal("socket_1"), "unknown kind \"socket\"");
        file.idle();
        assert_eq!(resources.release(&file.id()), Ok(()));
        assert_eq!(resources.release(&file.id()), Err(ResourceError::NotFound(file.id())));
        assert!(!file.busy());
        drop((file, fixed));
        assert_eq!((released.load(Ordering::Relaxed), resources.list()), (1, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn old_resources_are_reaped_unless_in_flight_or_fixed() {
        let (resources, released) = (resources(), Arc::default());
        let held: Vec<_> = (0..3).map(|_| resources.acquire("temporary_file", "", Some(counted(&released))).unwrap()).collect();
        let fixed = resources.acquire("connection", "", None).unwrap();
        held.iter().chain([&fixed]).for_each(ResourceGuard::idle);
        assert!(held[0].busy());
        advance(HOUR + Duration::from_secs(1)).await;
        let young = resources.acquire("temporary_file", "", Some(counted(&released))).unwrap();
        young.idle();
        assert_eq!((resources.reap(HOUR).len(), released.load(Ordering::Relaxed)), (2, 2));
        assert_eq!(ids(&resources), ["temporary_file_0", "connection_3", "temporary_file_4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_may_use_the_list() {
        let resources = resources();
        let inner = resources.clone();
        let file = resources.acquire("temporary_file", "", Some(Box::new(move || assert!(inner.list().is_empty())))).unwrap();
        file.idle();
        assert_eq!(resources.release(&file.id()), Ok(()));
    }
}

//! Workspaces: a worktree for each task, kept in the state folder and identified by a handle.
//!
//! A row of the store holds a handle's owner and expiry. A file holds the owner, too, in case the store is unavailable
//! or was lost.

use crate::{
    caller::Caller,
    error::{Error, Kind},
    persistence::{Failed, Persistence, milliseconds, now_ms},
    random,
    state::StateDir,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use store::WorkspaceRow;

/// The prefix of handles.
const PREFIX: &str = "ws_";
/// The folder of the files that name the owners of handles.
const OWNERS: &str = "owners";
/// The owner of revoked handles.
const REVOKED: &str = "";
/// Number of random hexadecimal digits in a handle.
const DIGITS: usize = 32;
/// Maximum number of cached handles.
const MAX_KNOWN: usize = 4096;
const HINT: &str = "git_workspace lists a repository's workspaces, and opens one.";
/// How long to wait before closing an expired workspace again after a failure.
const RETRY_AFTER: Duration = Duration::from_hours(24);

/// The workspaces of all repositories.
pub(crate) struct Workspaces {
    state: Arc<StateDir>,
    persistence: Arc<Persistence>,
    /// How long an unused handle stays valid.
    ttl: Duration,
    known: Mutex<HashMap<String, Known>>,
}

/// A cached handle.
#[derive(Clone)]
struct Known {
    principal: String,
    path: PathBuf,
    renewed: Instant,
}

/// An expired workspace.
pub(crate) struct Expired {
    pub(crate) handle: String,
    pub(crate) principal: String,
    /// A working tree of its repository.
    pub(crate) repository: String,
}

impl Workspaces {
    pub(crate) fn new(state: Arc<StateDir>, persistence: Arc<Persistence>, ttl: Duration) -> Self {
        Self { state, persistence, ttl, known: Mutex::default() }
    }

    /// How long an unused handle stays valid.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock()
    }

    /// Creates an unguessable handle, and returns it with the path for its worktree.
    ///
    /// `common_dir` is the repository's.
    pub(crate) fn create(&self, owner: &str, common_dir: &Path) -> Result<(String, PathBuf), Error> {
        let failed = |err: io::Error| Error::new(Kind::Internal, format!("cannot create a workspace: {err}"));
        let handle = random::id(PREFIX).map_err(io::Error::from).map_err(failed)?;
        let folder = self.folder()?;
        let folder = fs::create_dir_all(&folder).and_then(|()| fs::canonicalize(folder)).map_err(failed)?;
        let path = folder.join(&handle);
        let row = WorkspaceRow {
            handle: handle.clone(),
            principal: owner.to_owned(),
            repository: main_worktree(common_dir).display().to_string(),
            worktree: path.display().to_string(),
            branch: String::new(),
            created_ms: now_ms(),
            expires_ms: self.end(),
        };
        let owners = self.state.ready()?.join(OWNERS);
        fs::create_dir_all(&owners).and_then(|()| fs::write(owners.join(&handle), owner)).map_err(failed)?;
        match self.persistence.run_here(|store| async move { store.put_workspace(&row).await }) {
            Ok(()) | Err(Failed::Unavailable(_)) => Ok((handle, path)),
            Err(Failed::Refused(why)) => Err(Error::new(Kind::Internal, format!("cannot create a workspace: {why}"))),
        }
    }

    /// Refuses the worktree at `path` if it is another principal's workspace.
    pub(crate) fn check(&self, path: &Path, principal: &str) -> Result<(), Error> {
        match self.at(path)? {
            Some((_, known)) if known.principal != principal => Err(foreign()),
            _ => Ok(()),
        }
    }

    /// Whether the worktree at `path` may be a workspace. This looks at its name alone.
    pub(crate) fn may_be(path: &Path) -> bool {
        handle_in(path).is_some()
    }

    /// Refuses a path, in any spelling, that ends in another principal's handle.
    pub(crate) fn check_path(&self, path: &Path, principal: &str) -> Result<(), Error> {
        let Some(handle) = handle_in(path) else { return Ok(()) };
        match block_on(self.find(handle))?? {
            Some(known) if known.principal != principal => Err(foreign()),
            _ => Ok(()),
        }
    }

    /// Forgets a handle.
    pub(crate) fn forget(&self, handle: &str) {
        self.known().remove(handle);
        if let Ok(state) = self.state.ready() {
            fs::remove_file(state.join(OWNERS).join(handle)).ok();
        }
        if let Err(why) = self.persistence.run_here(|store| async move { store.delete_workspace(handle).await }) {
            tracing::debug!(%why, "could not delete the workspace's row, which will expire");
        }
    }

    /// Revokes all handles of a principal, and returns their number. Their worktrees lose nothing: they stay until they
    /// expire.
    pub(crate) async fn revoke(&self, principal: &str) -> usize {
        let rows = self.persistence.run(|store| async move { store.workspaces().await }).await.unwrap_or_default();
        let theirs: Vec<WorkspaceRow> = rows.into_iter().filter(|row| row.principal == principal).collect();
        for row in &theirs {
            if let Ok(state) = self.state.ready() {
                fs::write(state.join(OWNERS).join(&row.handle), REVOKED).ok();
            }
            let row = WorkspaceRow { principal: REVOKED.to_owned(), ..row.clone() };
            self.persistence.run(|store| async move { store.put_workspace(&row).await }).await.ok();
        }
        self.known().retain(|_, known| known.principal != principal);
        theirs.len()
    }

    /// Reconciles the store with the folders that an earlier server left: adds rows for unknown folders, and deletes rows
    /// without one. Returns the folders whose repository is gone, which stay.
    pub(crate) async fn reconcile(&self) -> Vec<PathBuf> {
        let Ok(folder) = self.folder().and_then(|folder| fs::canonicalize(folder).map_err(|_| unknown())) else { return Vec::new() };
        let names = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let there: Vec<PathBuf> = names.filter(|path| handle_in(path).is_some() && path.is_dir()).collect();
        let Ok(rows) = self.persistence.run(|store| async move { store.workspaces().await }).await else { return Vec::new() };
        let here = |row: &&WorkspaceRow| Path::new(&row.worktree).parent() == Some(&folder) && !self.persistence.is_shared();
        for gone in rows.iter().filter(here).filter(|row| !Path::new(&row.worktree).exists()) {
            self.persistence.run(|store| async move { store.delete_workspace(&gone.handle).await }).await.ok();
        }
        let known: HashSet<&str> = rows.iter().map(|row| row.handle.as_str()).collect();
        for handle in there.iter().filter_map(|path| handle_in(path)).filter(|handle| !known.contains(handle)) {
            self.find(handle).await.ok();
        }
        there.into_iter().filter(|path| common_dir_of(path).is_none_or(|common| !common.is_dir())).collect()
    }

    /// The path of a handle's worktree, which exists only for its owner.
    pub(crate) async fn path(&self, handle: &str, principal: &str) -> Result<PathBuf, Error> {
        if !is_handle(handle) {
            return Err(unknown());
        }
        let known = self.find(handle).await?.ok_or_else(unknown)?;
        if known.principal != principal {
            return Err(foreign());
        }
        fs::canonicalize(&known.path).ok().filter(|path| path.is_dir()).ok_or_else(unknown)
    }

    /// The same on a thread that may block.
    pub(crate) fn path_blocking(&self, handle: &str, principal: &str) -> Result<PathBuf, Error> {
        block_on(self.path(handle, principal))?
    }

    /// The handle of the worktree at `path`, if it is this principal's workspace.
    pub(crate) fn handle(&self, path: &Path, principal: &str) -> Result<Option<String>, Error> {
        Ok(self.at(path)?.filter(|(_, known)| known.principal == principal).map(|(handle, _)| handle))
    }

    /// The expired workspaces in this server's folder. A handle whose folder is gone is deleted.
    pub(crate) async fn expired(&self) -> Vec<Expired> {
        let Ok(folder) = self.folder().and_then(|folder| fs::canonicalize(folder).map_err(|_| unknown())) else { return Vec::new() };
        let found = self.persistence.run(|store| async move { store.expired_workspaces(now_ms()).await }).await;
        let mut expired = Vec::new();
        for row in found.unwrap_or_default().into_iter().filter(|row| Path::new(&row.worktree).parent() == Some(&folder)) {
            if Path::new(&row.worktree).exists() {
                expired.push(Expired { handle: row.handle, principal: row.principal, repository: row.repository });
            } else if !self.persistence.is_shared() {
                // Another machine may have a folder of the same name.
                self.known().remove(&row.handle);
                self.persistence.run(|store| async move { store.delete_workspace(&row.handle).await }).await.ok();
            }
        }
        expired
    }

    /// Extends a workspace that could not be closed, to retry later.
    pub(crate) async fn postpone(&self, handle: &str) {
        // The next use renews it.
        self.known().remove(handle);
        let end = now_ms().saturating_add(milliseconds(RETRY_AFTER.min(self.ttl)));
        self.persistence.run(|store| async move { store.renew_workspace(handle, end).await }).await.ok();
    }

    /// The workspace at `path`, if any.
    fn at(&self, path: &Path) -> Result<Option<(String, Known)>, Error> {
        // Most paths are not workspaces; return without opening anything.
        let Some(handle) = handle_in(path) else { return Ok(None) };
        let known = block_on(self.find(handle))??;
        Ok(known.filter(|known| fs::canonicalize(&known.path).is_ok_and(|own| own == path)).map(|known| (handle.to_owned(), known)))
    }

    /// Looks up a handle, which renews it.
    async fn find(&self, handle: &str) -> Result<Option<Known>, Error> {
        let cached = self.known().get(handle).cloned();
        let is_fresh = |known: &Known| known.renewed.elapsed() < self.ttl / 8;
        if let Some(known) = cached.clone().filter(is_fresh) {
            return Ok(Some(known));
        }
        let end = self.end();
        let found = self.persistence.run(|store| async move {
            let row = store.workspace(handle).await?;
            if row.is_some() {
                store.renew_workspace(handle, end).await?;
            }
            Ok(row)
        });
        let (principal, path) = match found.await {
            Ok(Some(row)) => (row.principal, PathBuf::from(row.worktree)),
            Ok(None) => {
                let path = self.folder()?.join(handle);
                let principal = match self.owner_on_file(handle) {
                    Ok(owner) => owner,
                    // Created by a version without owners.
                    Err(err) if err.kind() == io::ErrorKind::NotFound && path.is_dir() => Caller::LOCAL.to_owned(),
                    Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(err) => return Err(unavailable(&err)),
                };
                self.record(handle, &principal, &path).await;
                (principal, path)
            }
            // Not cached: it was not renewed.
            Err(why) => {
                let known = cached.or_else(|| {
                    let (principal, path) = (self.owner_on_file(handle).ok()?, self.folder().ok()?.join(handle));
                    Some(Known { principal, path, renewed: Instant::now() })
                });
                return known.ok_or_else(|| unavailable(&why)).map(Some);
            }
        };
        let found = Known { principal, path, renewed: Instant::now() };
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(handle.to_owned(), found.clone());
        Ok(Some(found))
    }

    /// The owner of a handle according to its file.
    fn owner_on_file(&self, handle: &str) -> io::Result<String> {
        let state = self.state.ready().map_err(|err| io::Error::other(err.message))?;
        fs::read_to_string(state.join(OWNERS).join(handle))
    }

    /// Adds a row to the store for a handle known from its file.
    async fn record(&self, handle: &str, principal: &str, path: &Path) {
        let row = WorkspaceRow {
            handle: handle.to_owned(),
            principal: principal.to_owned(),
            repository: common_dir_of(path).map_or_else(|| path.to_owned(), |common| main_worktree(&common)).display().to_string(),
            worktree: path.display().to_string(),
            branch: String::new(),
            created_ms: now_ms(),
            expires_ms: self.end(),
        };
        if let Err(why) = self.persistence.run(|store| async move { store.put_workspace(&row).await }).await {
            tracing::debug!(%why, "could not add a workspace's row; only its file names the owner");
        }
    }

    fn end(&self) -> i64 {
        now_ms().saturating_add(milliseconds(self.ttl))
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        Ok(self.state.ready()?.join("workspaces"))
    }
}

/// The main worktree, for calls about a workspace that cannot run inside it.
fn main_worktree(common_dir: &Path) -> PathBuf {
    let above = common_dir.parent().filter(|_| common_dir.ends_with(".git"));
    above.unwrap_or(common_dir).to_owned()
}

/// The common directory of a worktree, according to its `.git` file.
fn common_dir_of(worktree: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(worktree.join(".git")).ok()?;
    let own = Path::new(text.strip_prefix("gitdir: ")?.trim_end());
    own.ancestors().find(|dir| dir.ends_with("worktrees"))?.parent().map(Path::to_owned)
}

/// Blocks the thread until the work is done.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|err| Error::new(Kind::Internal, err.to_string()))?;
    Ok(runtime.block_on(work))
}

fn handle_in(path: &Path) -> Option<&str> {
    path.file_name()?.to_str().filter(|name| is_handle(name))
}

fn is_handle(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).unwrap_or_default();
    random.len() == DIGITS && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unavailable(why: &dyn std::fmt::Display) -> Error {
    let mut error = Error::new(Kind::Unavailable, format!("cannot determine the workspace's owner: {why}"));
    error.retry_after = Some(Duration::from_secs(5));
    error
}

fn unknown() -> Error {
    Error::new(Kind::NotFound, "there is no such workspace").hint(HINT)
}

/// Looks like [`unknown`] to the caller.
fn foreign() -> Error {
    let mut error = unknown();
    error.kind = Kind::Foreign;
    error
}

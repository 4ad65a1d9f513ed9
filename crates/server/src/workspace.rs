//! Workspaces: a worktree for each piece of work, kept in the state folder and known by a handle.
//!
//! Whose a handle is, and until when it is good, is a row of the store. A file says the first, too, for when the store is away
//! or was lost.

use crate::{
    caller::Caller,
    error::{Error, Kind},
    persistence::{Failed, Persistence, milliseconds, now_ms},
    state::StateDir,
};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use store::WorkspaceRow;

/// What a handle begins with.
const PREFIX: &str = "ws_";
/// Where files say whose the handles are.
const OWNERS: &str = "owners";
/// Whose those are that were taken away from somebody.
const NOBODY: &str = "";
/// The random part of a handle, in hexadecimal digits.
const DIGITS: usize = 32;
/// The most handles that are remembered.
const MAX_KNOWN: usize = 4096;
const HINT: &str = "git_workspace lists those of a repository, and opens one.";
/// How long one that could not be closed at its end is left alone.
const RESPITE: Duration = Duration::from_hours(24);

/// The workspaces of all repositories.
pub(crate) struct Workspaces {
    state: Arc<StateDir>,
    persistence: Arc<Persistence>,
    /// How long a handle is good that nobody uses.
    ttl: Duration,
    known: Mutex<HashMap<String, Known>>,
}

/// What is known of a handle.
#[derive(Clone)]
struct Known {
    principal: String,
    path: PathBuf,
    renewed: Instant,
}

/// A workspace whose time is over.
pub(crate) struct Expired {
    pub(crate) handle: String,
    pub(crate) principal: String,
    /// A working tree of the repository that it was opened in.
    pub(crate) repository: String,
}

impl Workspaces {
    pub(crate) fn new(state: Arc<StateDir>, persistence: Arc<Persistence>, ttl: Duration) -> Self {
        Self { state, persistence, ttl, known: Mutex::default() }
    }

    /// How long a handle is good that nobody uses.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle that nobody can guess, and the folder that its worktree is to be made at.
    ///
    /// `common_dir` is that of its repository.
    pub(crate) fn create(&self, owner: &str, common_dir: &Path) -> Result<(String, PathBuf), Error> {
        let handle = mcp::sessions::random_id(PREFIX);
        let folder = self.folder()?;
        let failed = |err: io::Error| Error::new(Kind::Internal, format!("a workspace cannot be made: {err}"));
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
            Ok(()) | Err(Failed::Away(_)) => Ok((handle, path)),
            Err(Failed::Refused(why)) => Err(Error::new(Kind::Internal, format!("a workspace cannot be made: {why}"))),
        }
    }

    /// Refuses the worktree at `path` where it is the workspace of somebody else.
    pub(crate) fn check(&self, path: &Path, principal: &str) -> Result<(), Error> {
        match self.at(path)? {
            Some((_, known)) if known.principal != principal => Err(foreign()),
            _ => Ok(()),
        }
    }

    /// Refuses a path, however it is written, that ends in the handle of somebody else.
    pub(crate) fn spare(&self, path: &Path, principal: &str) -> Result<(), Error> {
        let Some(handle) = handle_in(path) else { return Ok(()) };
        match here(self.find(handle))?? {
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
            tracing::debug!(%why, "a workspace is forgotten when its time is over");
        }
    }

    /// Takes all handles away from a principal, and says how many those were. Nothing in their worktrees is lost: they stay
    /// until their time is over.
    pub(crate) async fn revoke(&self, principal: &str) -> usize {
        let rows = self.persistence.run(|store| async move { store.workspaces().await }).await.unwrap_or_default();
        let theirs: Vec<WorkspaceRow> = rows.into_iter().filter(|row| row.principal == principal).collect();
        for row in &theirs {
            if let Ok(state) = self.state.ready() {
                fs::write(state.join(OWNERS).join(&row.handle), NOBODY).ok();
            }
            let row = WorkspaceRow { principal: NOBODY.to_owned(), ..row.clone() };
            self.persistence.run(|store| async move { store.put_workspace(&row).await }).await.ok();
        }
        self.known().retain(|_, known| known.principal != principal);
        theirs.len()
    }

    /// Takes up what a server before this one has left: folders that the store does not know, and rows without a folder.
    /// Gives the folders whose repository is gone, which are left alone.
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

    /// Where the worktree of a handle is; another's is not there.
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

    /// The same on a thread that may wait.
    pub(crate) fn path_here(&self, handle: &str, principal: &str) -> Result<PathBuf, Error> {
        here(self.path(handle, principal))?
    }

    /// The handle of the worktree at `path`, where it is a workspace of this principal.
    pub(crate) fn handle(&self, path: &Path, principal: &str) -> Result<Option<String>, Error> {
        Ok(self.at(path)?.filter(|(_, known)| known.principal == principal).map(|(handle, _)| handle))
    }

    /// Those whose time is over and whose folders are of this server. Where the folder is gone, the handle goes, too.
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

    /// Leaves one alone for a while that could not be closed.
    pub(crate) async fn respite(&self, handle: &str) {
        // The next use renews it.
        self.known().remove(handle);
        let end = now_ms().saturating_add(milliseconds(RESPITE.min(self.ttl)));
        self.persistence.run(|store| async move { store.renew_workspace(handle, end).await }).await.ok();
    }

    /// The workspace at `path`, where there is one.
    fn at(&self, path: &Path) -> Result<Option<(String, Known)>, Error> {
        // Most paths are none, and nothing is opened for them.
        let Some(handle) = handle_in(path) else { return Ok(None) };
        let known = here(self.find(handle))??;
        Ok(known.filter(|known| fs::canonicalize(&known.path).is_ok_and(|own| own == path)).map(|known| (handle.to_owned(), known)))
    }

    /// What is known of a handle. That it is asked for renews it.
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
                    // Of before there were owners.
                    Err(err) if err.kind() == io::ErrorKind::NotFound && path.is_dir() => Caller::LOCAL.to_owned(),
                    Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(err) => return Err(unsure(&err)),
                };
                self.take_over(handle, &principal, &path).await;
                (principal, path)
            }
            // Not remembered: it was not renewed.
            Err(why) => {
                let known = cached.or_else(|| {
                    let (principal, path) = (self.owner_on_file(handle).ok()?, self.folder().ok()?.join(handle));
                    Some(Known { principal, path, renewed: Instant::now() })
                });
                return known.ok_or_else(|| unsure(&why)).map(Some);
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

    /// Whose a handle is by the file that was written with it.
    fn owner_on_file(&self, handle: &str) -> io::Result<String> {
        let state = self.state.ready().map_err(|err| io::Error::other(err.message))?;
        fs::read_to_string(state.join(OWNERS).join(handle))
    }

    /// Takes into the store what a file says.
    async fn take_over(&self, handle: &str, principal: &str, path: &Path) {
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
            tracing::debug!(%why, "a workspace is known by its file alone");
        }
    }

    fn end(&self) -> i64 {
        now_ms().saturating_add(milliseconds(self.ttl))
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        Ok(self.state.ready()?.join("workspaces"))
    }
}

/// Where a call about a workspace is made that must not be made in it.
fn main_worktree(common_dir: &Path) -> PathBuf {
    let above = common_dir.parent().filter(|_| common_dir.ends_with(".git"));
    above.unwrap_or(common_dir).to_owned()
}

/// The common folder of a worktree, as the file in it says.
fn common_dir_of(worktree: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(worktree.join(".git")).ok()?;
    let own = Path::new(text.strip_prefix("gitdir: ")?.trim_end());
    own.ancestors().find(|dir| dir.ends_with("worktrees"))?.parent().map(Path::to_owned)
}

/// Waits for what a thread cannot go on without.
fn here<T>(work: impl Future<Output = T>) -> Result<T, Error> {
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

fn unsure(why: &dyn std::fmt::Display) -> Error {
    let mut error = Error::new(Kind::Unavailable, format!("cannot determine the workspace's owner: {why}"));
    error.retry_after = Some(Duration::from_secs(5));
    error
}

fn unknown() -> Error {
    Error::new(Kind::NotFound, "there is no such workspace").hint(HINT)
}

/// To the caller it is the same.
fn foreign() -> Error {
    let mut error = unknown();
    error.kind = Kind::Foreign;
    error
}

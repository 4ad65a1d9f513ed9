//! Opens repositories and caches their handles.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::BranchName,
    process::{Mode, program::Git},
    repo::{
        Repo,
        handles::{CacheFigures, Handles},
        policy::{Allowed, Policy, Trust},
        roots::{Roots, is_bare},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Maximum number of repositories kept open.
const MAX_OPEN: usize = 32;

/// Opens repositories and caches their handles until they become stale.
#[derive(Debug)]
pub struct Repositories {
    git: Arc<Git>,
    allowed: Arc<Allowed>,
    open: Handles,
}

impl Repositories {
    /// Opens repositories inside `roots` with the user's `git`.
    pub fn new(git: Git, roots: Roots) -> Self {
        Self::with_policy(git, roots, Policy::default())
    }

    /// As [`Repositories::new`], with a `policy`.
    pub fn with_policy(git: Git, roots: Roots, policy: Policy) -> Self {
        Self { git: Arc::new(git), allowed: Arc::new(Allowed { roots, policy }), open: Handles::new(MAX_OPEN) }
    }

    /// The operator's roots and policy.
    pub(crate) fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// The allowed roots.
    pub fn roots(&self) -> &Roots {
        &self.allowed.roots
    }

    /// The user's git.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Opens the repository at or above `path`, or returns the cached handle.
    ///
    /// # Errors
    ///
    /// As [`Roots::locate`]; [`Error::UnsafeOwner`]; [`Error::Unopened`].
    pub fn open(&self, path: &Path) -> Result<Arc<Repo>> {
        if let Some(repo) = self.open.get(path) {
            return Ok(repo);
        }
        let mut location = self.roots().locate(path)?;
        location.trusted &= self.allowed.policy.trust == Trust::Owner;
        let repo = Arc::new(Repo::open(Arc::clone(&self.git), location, Arc::clone(&self.allowed))?);
        self.open.put(path, &repo);
        Ok(repo)
    }

    /// The cached handle, if it is current. This reads no file, only metadata.
    pub fn peek(&self, path: &Path) -> Option<Arc<Repo>> {
        self.open.peek(path)
    }

    /// Drops every cached handle and returns their number. Calls in progress are unaffected.
    pub fn clear(&self) -> usize {
        self.open.drop_unused(Duration::ZERO)
    }

    /// Drops the handles unused for this long and returns their number.
    pub fn sweep(&self, unused: Duration) -> usize {
        self.open.drop_unused(unused)
    }

    /// Statistics of the handle cache.
    pub fn cache(&self) -> CacheFigures {
        self.open.figures()
    }

    /// Enables or disables the handle cache. Without it, each call opens its repository.
    pub fn set_cache(&self, on: bool) {
        self.open.set_enabled(on);
    }

    /// Creates a repository at `path`, which must lie inside the roots. The flag is true if there was none before.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::BadName`], [`Error::Failed`].
    pub fn init(&self, path: &Path, branch: Option<&BranchName>, cancel: &Cancel) -> Result<(PathBuf, bool)> {
        let (root, target) = self.new_folder(path)?;
        // git would complete an existing repository: apply its configuration and hooks, and write through its links.
        let own = target.join(".git");
        if own.symlink_metadata().is_ok() || is_bare(&target) {
            return match self.roots().locate(&target) {
                Ok(found) if found.top() == target => Ok((target, false)),
                Err(err @ (Error::OutsideRoots { .. } | Error::NotReadable { .. })) => Err(err),
                _ => Err(Error::NotReadable { path: own, why: "exists already and is not a complete repository" }),
            };
        }
        let mut process = self.git.process(Mode::Change, &root, &["init", "--quiet"]).config("core.hooksPath", "/dev/null");
        if let Some(branch) = branch {
            process = process.arg(format!("--initial-branch={}", branch.as_str()));
        }
        process.arg("--").arg(&target).success(cancel, 64 << 10)?;
        Ok((target, true))
    }

    /// The root that contains `path` and its resolved path, if a repository may be created there.
    pub(crate) fn new_folder(&self, path: &Path) -> Result<(PathBuf, PathBuf)> {
        let outside = || Error::OutsideRoots { path: path.to_owned(), what: "the path" };
        if !path.is_absolute() || path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
            return Err(Error::bad_name(path.display().to_string(), "a path", "it must be absolute, without `..`"));
        }
        // The nearest existing directory decides; anything git creates below it is new and so not a link.
        let existing = path.ancestors().find(|dir| dir.symlink_metadata().is_ok()).ok_or_else(outside)?;
        let canonical = fs::canonicalize(existing).map_err(|_| outside())?;
        let rest = path.strip_prefix(existing).map_err(|_| outside())?;
        let target = if rest.as_os_str().is_empty() { canonical } else { canonical.join(rest) };
        if !self.roots().contains(&target) || target.components().any(|part| part.as_os_str() == ".git") {
            return Err(outside());
        }
        let root = self.roots().named().iter().find(|root| target.starts_with(root)).cloned().ok_or_else(outside)?;
        Ok((root, target))
    }
}

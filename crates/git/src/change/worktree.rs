//! Linked worktrees.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, FailedHook, Result},
    name::{BranchName, RelPath, Rev},
    process::Mode,
    read::fields::Layout,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

/// Timeout for removing a worktree that could not be created.
const WITHDRAWAL: Duration = Duration::from_secs(10);
/// Maximum length of an index listing.
const MAX_INDEX: usize = 256 << 20;

/// A worktree of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worktree {
    /// Its path.
    pub path: PathBuf,
    /// The checked-out commit.
    pub commit: Option<ObjectId>,
    /// The full name of the checked-out branch.
    pub branch: Option<String>,
    /// True for a repository without a working tree.
    pub bare: bool,
    /// Why it is locked; empty if no reason was given.
    pub locked: Option<String>,
    /// Why it could be pruned.
    pub prunable: Option<String>,
}

/// A worktree to create.
#[derive(Clone, Debug)]
pub struct WorktreeAdd {
    /// The path, which must not exist or be empty.
    pub path: PathBuf,
    /// The branch to check out, created if missing; detached when absent.
    pub branch: Option<BranchName>,
    /// The start of a new branch, or the commit to check out; the current commit when absent.
    pub start: Option<Rev>,
    /// Whether the path is the server's own and may be outside the roots.
    pub anywhere: bool,
}

/// A new worktree.
#[derive(Clone, Debug)]
pub struct AddedWorktree {
    /// The worktree.
    pub worktree: Worktree,
    /// The hook that failed afterwards, with its output.
    pub hook: Option<FailedHook>,
    /// The full name of the upstream of its new branch.
    pub follows: Option<String>,
}

/// A folder created for a worktree, removed on drop if empty.
struct Made(PathBuf);

impl Made {
    fn folder(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(format!("making {}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

/// Refuses a branch that a worktree has checked out.
pub(super) fn check_free(name: &BranchName, worktrees: &[Worktree]) -> Result<()> {
    let full = name.full();
    match worktrees.iter().find(|worktree| worktree.branch.as_ref() == Some(&full)) {
        Some(worktree) => Err(Error::CheckedOut {
            name: name.as_str().to_owned(),
            place: worktree.path.clone(),
            gone: !worktree.bare && !worktree.path.exists(),
            locked: worktree.locked.is_some(),
        }),
        None => Ok(()),
    }
}

impl Repo {
    /// The worktrees, main first.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn worktrees(&self, cancel: &Cancel) -> Result<Vec<Worktree>> {
        let fields = self.read(&["worktree", "list", "--porcelain", "-z"]).fields_of_success(Layout::NUL, cancel)?;
        let mut found: Vec<Worktree> = Vec::new();
        for field in fields.iter().filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once_str(" ").unwrap_or((field, b""));
            if key == b"worktree" {
                found.push(Worktree { path: PathBuf::from(OsStr::from_bytes(value)), ..Worktree::default() });
            }
            let Some(worktree) = found.last_mut() else { continue };
            let text = || value.to_str_lossy().into_owned();
            match key {
                b"HEAD" => worktree.commit = ObjectId::from_hex(value).ok().filter(|id| !id.is_null()),
                b"branch" => worktree.branch = Some(text()),
                b"bare" => worktree.bare = true,
                b"locked" => worktree.locked = Some(text()),
                b"prunable" => worktree.prunable = Some(text()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Creates a worktree inside the allowed roots.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::Exists`], [`Error::CheckedOut`], [`Error::WorktreeGone`], [`Error::UnknownRevision`].
    pub fn add_worktree(&self, add: &WorktreeAdd, cancel: &Cancel) -> Result<AddedWorktree> {
        self.check_trust(cancel)?;
        let path = if add.anywhere { add.path.clone() } else { self.place_for(&add.path)? };
        let start = add.start.as_ref().map(|rev| self.resolve_commit(rev, cancel)).transpose()?;
        let branch = add.branch.as_ref().and_then(|branch| self.branch_tip(branch, cancel).ok());
        if let (Some(name), Some(_), Some(_)) = (&add.branch, branch, start) {
            return Err(Error::BranchExists(name.as_str().to_owned()));
        }
        let others = self.worktrees(cancel)?;
        if let Some(other) = others.iter().find(|other| other.path == path) {
            return Err(Error::WorktreeGone { place: path, locked: other.locked.is_some() });
        }
        if let Some(name) = &add.branch {
            check_free(name, &others)?;
        }
        let follows = match &add.branch {
            Some(name) if branch.is_none() && start.is_none() => self.upstream_for(name, cancel)?,
            _ => None,
        };
        let remote = follows.as_ref().map(|full| self.resolve_commit(&Rev::new(full.as_str())?, cancel)).transpose()?;
        let mut needs = self.needs(cancel);
        let tip = start.or(branch).or(remote).map_or_else(|| self.resolve_commit(&Rev::head(), cancel), Ok)?;
        needs.files(tip, &[])?;
        needs.check_for_worktree()?;
        let was_there = path.is_dir();
        let mut process = self.change(&["worktree", "add", "--quiet"]);
        let _made = match &self.guarded {
            // A sandbox rule needs an existing folder.
            Some(_) => {
                let made = Made::folder(&path)?;
                // A path of the operator may contain links.
                let place = if add.anywhere { fs::canonicalize(&path).unwrap_or_else(|_| path.clone()) } else { path.clone() };
                process = process.inside(self.domain_with(&place)?);
                Some(made)
            }
            None => None,
        };
        let what = match &add.branch {
            Some(name) if branch.is_some() => Some(name.as_str().to_owned()),
            Some(name) => {
                // All worktrees share the configuration file, so setting an upstream causes lock contention.
                process = process.arg(if follows.is_some() { "--track" } else { "--no-track" }).arg("-b").arg(name.as_str());
                follows.clone().or_else(|| start.map(|id| id.to_string()))
            }
            None => {
                process = process.arg("--detach");
                start.map(|id| id.to_string())
            }
        };
        let added = process.arg("--").arg(&path).args(what).output(cancel, MAX_OUTPUT);
        let added = added.and_then(|(ended, _)| ended.require_but_for_the_hook("worktree add"));
        let made = add.branch.as_ref().filter(|_| branch.is_none()).map(|name| (name, tip));
        let hook = added.inspect_err(|_| {
            self.withdraw_worktree(&path, made, follows.is_some());
            // git also removes a folder that existed before.
            drop(was_there.then(|| fs::create_dir_all(&path)));
        })?;
        Ok(AddedWorktree { worktree: self.worktree_at(&path, cancel)?, hook, follows })
    }

    /// The full name of the only remote-tracking branch that matches a new branch `name`. Refuses a name that is in use, and a
    /// branch of several remotes.
    fn upstream_for(&self, name: &BranchName, cancel: &Cancel) -> Result<Option<String>> {
        let known = self.full_name(&Rev::new(name.as_str())?, cancel)?;
        let why = match known.as_deref().unwrap_or_default() {
            full if full.starts_with("refs/tags/") => "it is a tag: pass it as `start_point`",
            full if full.starts_with("refs/remotes/") => "it is a branch of a remote: pass it as `start_point`",
            _ => "",
        };
        if !why.is_empty() {
            return Err(Error::bad_name(name.as_str(), "the branch of a worktree", why));
        }
        let mut found = self.tracking_branches(name, cancel)?;
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|full| full.trim_start_matches("refs/remotes/")).collect();
            return Err(Error::BadPlan(format!(
                "several remotes have a branch `{}`: pass one of them as `start_point`: {}",
                name.as_str(),
                names.join(", ")
            )));
        }
        Ok(found.pop())
    }

    /// Removes the remains of a worktree that could not be created, and the branch created for it.
    fn withdraw_worktree(&self, path: &Path, branch: Option<(&BranchName, ObjectId)>, follows: bool) {
        // The deadline of the call may have passed.
        let cancel = Cancel::new(Some(Instant::now() + WITHDRAWAL));
        if self.worktree_at(path, &cancel).is_ok() {
            // git keeps it locked until it is complete.
            let mut process = self.change(&["worktree", "remove", "--force", "--force", "--"]).arg(path);
            if let (true, Ok(domain)) = (self.is_sandboxed(), self.domain_with(path)) {
                process = process.inside(domain);
            }
            process.output(&cancel, MAX_OUTPUT).ok();
        }
        if let Some((branch, tip)) = branch {
            self.change(&["update-ref", "-d"]).arg(branch.full()).arg(tip.to_string()).output(&cancel, MAX_OUTPUT).ok();
            if follows {
                let section = format!("branch.{}", branch.as_str());
                self.change(&["config", "--local", "--remove-section"]).arg(section).output(&cancel, MAX_OUTPUT).ok();
            }
        }
    }

    /// Number of recorded but uninitialized submodules of a worktree.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn absent_submodules(&self, worktree: &Worktree, cancel: &Cancel) -> Result<usize> {
        if worktree.path.join(".gitmodules").symlink_metadata().is_err() {
            return Ok(0);
        }
        let (paths, present) = self.submodules_of(worktree, cancel)?;
        Ok(paths - present.len())
    }

    /// Number of submodules in the index of a worktree, and the initialized ones.
    fn submodules_of(&self, worktree: &Worktree, cancel: &Cancel) -> Result<(usize, Vec<RelPath>)> {
        let process =
            self.git.process(Mode::Read, &worktree.path, &["ls-files", "--stage", "-z"]).inside(self.domain_with(&worktree.path)?);
        let staged = self.silenced(process, cancel)?.success(cancel, MAX_INDEX)?;
        let links = staged.split(|&byte| byte == 0).filter_map(|entry| entry.strip_prefix(b"160000 ")?.split_once_str("\t"));
        let paths: Vec<RelPath> = links.map(|(_, path)| RelPath::from_git(path)).collect();
        let count = paths.len();
        let is_there = |path: &RelPath| worktree.path.join(path.as_path()).join(".git").symlink_metadata().is_ok();
        Ok((count, paths.into_iter().filter(is_there).collect()))
    }

    /// Removes a worktree. Unless `force`, only one without edits, untracked files and initialized submodules.
    ///
    /// # Errors
    ///
    /// [`Error::NoWorktree`], [`Error::WouldLose`], [`Error::WorktreeLocked`], [`Error::WorktreeBroken`].
    pub fn remove_worktree(&self, path: &Path, force: bool, cancel: &Cancel) -> Result<Worktree> {
        let worktree = self.worktree_at(path, cancel)?;
        let refused = |why| Err(Error::bad_name(path.display().to_string(), "a worktree to remove", why));
        if self.worktrees(cancel)?.first().is_some_and(|main| main.path == worktree.path) {
            return refused("it is the main worktree, which contains the repository");
        }
        if worktree.path == self.top() {
            return refused("this call runs in it");
        }
        self.check_trust(cancel)?;
        if let (Some(reason), true) = (&worktree.locked, worktree.path.exists()) {
            return Err(Error::WorktreeLocked { place: worktree.path.clone(), reason: reason.clone() });
        }
        if worktree.path.exists() && !self.is_linked(&worktree) {
            let gone = worktree.path.join(".git").symlink_metadata().is_err();
            return Err(Error::WorktreeBroken { place: worktree.path, main: self.location.common_dir.clone(), gone });
        }
        let mut force = force;
        if worktree.path.exists() && !force {
            // git refuses any worktree with submodules, even uninitialized ones.
            force = self.check_nothing_lost(&worktree, cancel)? > 0;
        }
        let option: &[&str] = if force { &["--force"] } else { &[] };
        // git checks for untracked files as configured.
        let mut process = self.change(&["worktree", "remove"]).config("status.showUntrackedFiles", "all");
        if self.is_sandboxed() {
            process = process.inside(self.domain_with(&worktree.path)?);
        }
        let (ended, _) = process.args(option).arg("--").arg(&worktree.path).output(cancel, MAX_OUTPUT)?;
        // In a sandbox git may empty the folder but not remove it.
        let emptied = self.is_sandboxed() && fs::remove_dir(&worktree.path).is_ok();
        if !emptied {
            ended.require("worktree remove")?;
        }
        Ok(worktree)
    }

    /// Locks or unlocks a worktree.
    ///
    /// # Errors
    ///
    /// [`Error::NoWorktree`], [`Error::Failed`].
    pub fn lock_worktree(&self, path: &Path, reason: Option<&str>, lock: bool, cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree_at(path, cancel)?;
        let process = self.change(&["worktree", if lock { "lock" } else { "unlock" }]);
        let process = process.args(reason.filter(|_| lock).map(|reason| format!("--reason={reason}")));
        process.arg("--").arg(&worktree.path).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Prunes worktrees whose folders are missing, and returns them.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn prune_worktrees(&self, cancel: &Cancel) -> Result<Vec<PathBuf>> {
        let before = self.worktrees(cancel)?;
        self.change(&["worktree", "prune"]).success(cancel, MAX_OUTPUT)?;
        let after = self.worktrees(cancel)?;
        let gone = before.into_iter().filter(|worktree| !after.iter().any(|kept| kept.path == worktree.path));
        Ok(gone.map(|worktree| worktree.path).collect())
    }

    /// Refuses if a worktree has unique content: edits, untracked files, commits on no branch, submodule repositories.
    /// Returns the number of its uninitialized submodules.
    fn check_nothing_lost(&self, worktree: &Worktree, cancel: &Cancel) -> Result<usize> {
        if !self.location.trusted && worktree.path.join(".git").is_file() && Self::has_own_configuration(worktree) {
            return Err(Error::Untrusted { path: worktree.path.clone(), program: "own configuration".to_owned() });
        }
        let args = ["status", "--porcelain", "--ignored", "--untracked-files=all", "--ignore-submodules=dirty", "-z"];
        let process = self.silenced(self.git.process(Mode::Read, &worktree.path, &args), cancel)?.inside(self.domain_with(&worktree.path)?);
        let status = process.success(cancel, MAX_OUTPUT)?;
        let entries = status.split(|&byte| byte == 0).filter_map(|entry| entry.get(3..)).filter(|path| !path.is_empty());
        let mut lost: Vec<String> = entries.map(crate::quote::listed).take(20).collect();
        if let (Some(id), None) = (worktree.commit, &worktree.branch) {
            let process =
                self.read(&["rev-list", "--max-count=1"]).arg(id.to_string()).args(["--not", "--branches", "--tags", "--remotes"]);
            if !process.success(cancel, MAX_OUTPUT)?.is_empty() {
                lost.push(format!("the commit {id}, which is on no branch"));
            }
        }
        let (submodules, present) = self.submodules_of(worktree, cancel)?;
        lost.extend(present.iter().take(20).map(|path| format!("{path}, a submodule whose repository would be removed, too")));
        if lost.is_empty() { Ok(submodules) } else { Err(Error::WouldLose(lost)) }
    }

    /// True if the folder of a worktree points to a git directory of this repository.
    fn is_linked(&self, worktree: &Worktree) -> bool {
        let line = crate::repo::roots::read_line(&worktree.path.join(".git")).unwrap_or_default();
        let dir = line.strip_prefix(b"gitdir: ").map(|dir| worktree.path.join(OsStr::from_bytes(dir)));
        let dir = dir.and_then(|dir| fs::canonicalize(dir).ok());
        dir.is_some_and(|dir| fs::canonicalize(self.location.common_dir.join("worktrees")).is_ok_and(|own| dir.starts_with(own)))
    }

    fn has_own_configuration(worktree: &Worktree) -> bool {
        let line = crate::repo::roots::read_line(&worktree.path.join(".git")).unwrap_or_default();
        let dir = line.strip_prefix(b"gitdir: ").map(|dir| worktree.path.join(OsStr::from_bytes(dir)));
        dir.is_none_or(|dir| dir.join("config.worktree").exists())
    }

    fn worktree_at(&self, path: &Path, cancel: &Cancel) -> Result<Worktree> {
        let full = self.full_path(path);
        let found = self.worktrees(cancel)?.into_iter().find(|worktree| worktree.path == full);
        found.ok_or(Error::NoWorktree(full))
    }

    /// The base of relative worktree paths.
    fn base(&self) -> &Path {
        let above = self.top().parent().filter(|_| self.location.worktree.is_none() && self.top().ends_with(".git"));
        above.unwrap_or_else(|| self.top())
    }

    /// The absolute form of a caller's `path`.
    pub fn full_path(&self, path: &Path) -> PathBuf {
        let full = without_dots(&self.base().join(path));
        fs::canonicalize(&full).unwrap_or(full)
    }

    /// The absolute path of a new or empty folder inside the roots.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::Exists`].
    pub fn place_for(&self, path: &Path) -> Result<PathBuf> {
        let full = without_dots(&self.base().join(path));
        let outside = || Error::OutsideRoots { path: full.clone(), what: "the worktree" };
        if full.as_os_str().as_bytes().contains(&b'\n') {
            return Err(outside());
        }
        let existing = full.ancestors().find(|dir| dir.symlink_metadata().is_ok()).ok_or_else(outside)?;
        let real = fs::canonicalize(existing).map_err(|_| outside())?;
        let target = real.join(full.strip_prefix(existing).map_err(|_| outside())?);
        if !self.allowed.roots.contains(&target) {
            return Err(outside());
        }
        if target.starts_with(&self.location.common_dir) || target.components().any(|part| part.as_os_str() == ".git") {
            return Err(Error::bad_name(path.display().to_string(), "the folder of a worktree", "it is inside a git directory"));
        }
        // Checked last, so as not to reveal whether a path outside the roots exists.
        let is_empty = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        if full.symlink_metadata().is_ok_and(|found| !found.is_dir() || !is_empty(&full)) {
            return Err(Error::Exists(full));
        }
        Ok(target)
    }
}

/// A path with each `..` resolved lexically.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_lexically() {
        for (path, plain) in [("/a/b/../c", "/a/c"), ("/a/../../c", "/c"), ("/a/./b/", "/a/b"), ("/a/b/..", "/a")] {
            assert_eq!(without_dots(Path::new(path)), Path::new(plain), "{path}");
        }
    }
}

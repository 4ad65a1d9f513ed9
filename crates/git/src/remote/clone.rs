//! Clones.

use super::{Local, MAX_OUTPUT, Route, online, quiet_ssh, transfer::absent};
use crate::{
    cancel::Cancel,
    error::{Error, FailedHook, Misdirected, Result},
    name::{BranchName, Place},
    process::{
        Mode, Process,
        progress::OnProgress,
        stderr::{Ended, reason},
    },
    remote::transfer,
    repo::{reachable::Direction, repositories::Repositories},
};
use gix::bstr::ByteSlice;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A repository to clone.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// The source.
    pub url: String,
    /// The target, which must not exist or be empty.
    pub path: PathBuf,
    /// The branch or tag to check out.
    pub branch: Option<BranchName>,
    /// The maximum depth of history, in commits.
    pub depth: Option<u32>,
    /// Omits file contents until they are needed.
    pub blobless: bool,
}

/// A finished clone.
#[derive(Clone, Debug)]
pub struct Cloned {
    /// Its folder.
    pub path: PathBuf,
    /// The incomplete part, if any.
    pub unfinished: Option<Unfinished>,
}

/// The incomplete part of a clone with complete history.
#[derive(Clone, Debug)]
pub enum Unfinished {
    /// The checkout failed, for this reason.
    Checkout(String),
    /// The hook `post-checkout` failed after the checkout.
    Hook(FailedHook),
    /// The remote's `HEAD` names a branch that does not exist.
    NoBranch {
        /// The branch.
        head: String,
        /// The branches of the remote, by their names there.
        has: Vec<String>,
    },
}

impl Repositories {
    /// Clones into a new or empty folder inside the roots. The folder appears once the history is complete.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::Exists`], [`Misdirected::NotThere`]; otherwise as for [`crate::Repo::fetch`].
    pub fn clone_into(&self, request: &CloneRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Cloned> {
        let (_, target) = self.new_folder(&request.path)?;
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if target.symlink_metadata().is_ok() && !is_empty(&target) {
            return Err(Error::Exists(target));
        }
        let mut route = self.allowed().policy.route(Direction::Fetch);
        let parent = target.parent().map(Path::to_owned).ok_or_else(|| Error::Exists(target.clone()))?;
        let parent = parent.as_path();
        let existing = parent.ancestors().find(|dir| dir.is_dir()).unwrap_or(parent);
        let local = Local { allowed: self.allowed(), directory: existing, anywhere: false, sandboxed: None };
        self.allowed().policy.network.admit(&request.url, local, &mut route, cancel)?;
        let _removed = EmptyBelow { existing, last: parent };
        fs::create_dir_all(parent).map_err(Error::io(format!("making {}", parent.display())))?;
        remove_abandoned(parent, &|_| true);
        // The trace of hooks is written beside the clone.
        let scratch = parent.join(format!("{PARTIAL}{}-{}", std::process::id(), crate::repo::lock::key(&target)));
        let _cleared = Cleared(&scratch);
        let _listed = self.git().ledger().map(|ledger| ledger.temporary(&scratch));
        fs::create_dir_all(&scratch).map_err(Error::io(format!("making {}", scratch.display())))?;
        let partial = scratch.join("clone");
        let process = self.cloning(request, parent).traced(Some(&scratch)).arg("--").arg(&request.url).arg(&partial);
        let cloned = reached(process, &route, on_progress, cancel);
        let (mut ended, _) = cloned.map_err(|err| at_target(err, &partial, &target))?;
        ended.stderr = without_own(&ended.stderr).replace(&partial.display().to_string(), &target.display().to_string());
        let unfinished = match self.unfinished(&ended, &partial, cancel)? {
            Ok(unfinished) => unfinished,
            Err(err) => {
                let missing = request.branch.as_ref().map(|branch| self.not_at(&request.url, branch, parent, &route, on_progress, cancel));
                return Err(missing.and_then(|missing| missing.ok().flatten()).unwrap_or(err));
            }
        };
        if target.symlink_metadata().is_ok() {
            fs::remove_dir(&target).map_err(Error::io(format!("replacing {}", target.display())))?;
        }
        fs::rename(&partial, &target).map_err(Error::io(format!("writing {}", target.display())))?;
        Ok(Cloned { path: target, unfinished })
    }

    fn cloning<'a>(&'a self, request: &CloneRequest, parent: &'a Path) -> Process<'a> {
        let args = ["clone", "--progress", "--no-recurse-submodules", "--no-local", "--no-hardlinks", "--origin=origin"];
        let mut process = self.git().process(Mode::Change, parent, &args);
        if let Some(branch) = &request.branch {
            process = process.arg(format!("--branch={}", branch.as_str()));
        }
        if let Some(depth) = request.depth {
            process = process.arg(format!("--depth={}", depth.max(1)));
        }
        if request.blobless {
            // The checkout fetches the missing blobs from the same remote.
            process = process.arg("--filter=blob:none").lazy();
        }
        process
    }

    /// The incomplete part of a clone, or the error if there is no clone.
    fn unfinished(&self, ended: &Ended, partial: &Path, cancel: &Cancel) -> Result<Result<Option<Unfinished>>> {
        let ask = |args: &[&str]| self.git().process(Mode::Read, partial, args).output(cancel, MAX_OUTPUT);
        let text = |output: Vec<u8>| String::from_utf8_lossy(output.trim_ascii_end()).into_owned();
        if ended.code != Some(0) {
            // git keeps the folder if only the checkout failed, and removes it otherwise.
            let is_there = ended.code.is_some()
                && partial.join(".git").is_dir()
                && ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?.0.code == Some(0);
            if !is_there {
                return Ok(Err(ended.failed("clone")));
            }
            return Ok(Ok(Some(match ended.require_but_for_the_hook("clone") {
                Ok(Some(hook)) => Unfinished::Hook(hook),
                _ => Unfinished::Checkout(reason(&ended.stderr)),
            })));
        }
        if ask(&["rev-parse", "--verify", "--quiet", "HEAD"])?.0.code == Some(0) {
            return Ok(Ok(None));
        }
        let head = text(ask(&["symbolic-ref", "--quiet", "--short", "HEAD"])?.1);
        let listed = text(ask(&["for-each-ref", "--format=%(refname)", "refs/remotes/origin/"])?.1);
        let has: Vec<String> = listed.lines().filter_map(|name| name.strip_prefix("refs/remotes/origin/")).map(str::to_owned).collect();
        Ok(Ok((!has.is_empty()).then_some(Unfinished::NoBranch { head, has })))
    }

    /// The error for a branch or tag missing at `url`, if `url` lists its references and has none of that name.
    fn not_at(
        &self,
        url: &str,
        branch: &BranchName,
        parent: &Path,
        route: &Route,
        on_progress: OnProgress<'_>,
        cancel: &Cancel,
    ) -> Result<Option<Error>> {
        let process = self.git().process(Mode::Read, parent, &["ls-remote", "--"]).arg(url);
        let (ended, output) = reached(process, route, on_progress, cancel)?;
        ended.require("ls-remote")?;
        let names: Vec<String> = output.lines().filter_map(|line| Some(line.split_once_str("\t")?.1.to_str_lossy().into_owned())).collect();
        Ok(absent(branch, &Place::Url(url.to_owned()), &names)
            .filter(|err| matches!(err, Error::Misdirected(Misdirected::NotThere { .. }))))
    }
}

/// Runs a process that needs no repository, over `route`.
fn reached(process: Process<'_>, route: &Route, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<(Ended, Vec<u8>)> {
    transfer(online(process, route, route.ssh.then(|| quiet_ssh(None))), route, on_progress, cancel)
}

/// git's output without its progress lines.
fn without_own(stderr: &str) -> String {
    let is_own = |line: &&str| line.starts_with("Cloning into '") || line.starts_with("remote: Total ");
    stderr.lines().filter(|line| !is_own(line)).collect::<Vec<_>>().join("\n")
}

/// The error, with the path that the caller knows.
fn at_target(err: Error, partial: &Path, target: &Path) -> Error {
    let named = |said: &str| said.replace(&partial.display().to_string(), &target.display().to_string());
    match err {
        Error::Http { command, status, location, said, retry_after } => {
            Error::Http { command, status, location, said: named(&said), retry_after }
        }
        Error::Unreachable { command, said } => Error::Unreachable { command, said: named(&said) },
        err => err,
    }
}

impl Repositories {
    /// Removes partial clones older than `age` that killed servers left below the roots. Returns the removed folders.
    pub fn remove_abandoned(&self, age: Duration) -> Vec<PathBuf> {
        let is_old =
            |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|old| old >= age));
        let above = |root: &PathBuf| root.parent().filter(|above| self.roots().contains(above)).map(Path::to_owned);
        let parents = self.roots().named().iter().flat_map(|root| [Some(root.clone()), above(root)]).flatten();
        parents.flat_map(|parent| remove_abandoned(&parent, &is_old)).collect()
    }
}

/// Name prefix of a partial clone.
const PARTIAL: &str = ".clone-";

/// A folder that is removed recursively on drop.
struct Cleared<'a>(&'a Path);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0).ok();
    }
}

/// Parent folders created for `last`, removed on drop if empty.
struct EmptyBelow<'a> {
    existing: &'a Path,
    last: &'a Path,
}

impl Drop for EmptyBelow<'_> {
    fn drop(&mut self) {
        for dir in self.last.ancestors().take_while(|dir| *dir != self.existing) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
}

/// Removes partial clones left by killed servers. Returns their folders.
fn remove_abandoned(parent: &Path, is_meant: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    let Ok(entries) = fs::read_dir(parent) else { return removed };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.strip_prefix(PARTIAL)).and_then(|rest| rest.split_once('-'));
        let is_key = |key: &str| key.len() == crate::repo::lock::key(parent).len() && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let pid = parts.filter(|(_, key)| is_key(key)).map(|(pid, _)| pid);
        let is_dead =
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists());
        if is_dead && is_meant(&entry.path()) && fs::remove_dir_all(entry.path()).is_ok() {
            removed.push(entry.path());
        }
    }
    removed
}

//! Fetch, push and clone.

use super::{Direction, Local, OnProgress, RemoteName, online, quiet_ssh, transfer};
use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    name::{BranchName, Rev, TagName},
    process::{Ended, Mode},
    repo::{Repo, Repositories},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// What is to be fetched.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// From where; the upstream's remote, or `origin`, when absent.
    pub remote: Option<RemoteName>,
    /// Only this branch.
    pub branch: Option<BranchName>,
    /// Deletes remote-tracking branches that are not there any more.
    pub prune: bool,
    /// All tags, too.
    pub tags: bool,
    /// No more than so many commits of history; 0 for all of it where the clone is shallow.
    pub depth: Option<u32>,
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The remote.
    pub remote: RemoteName,
    /// The references that moved.
    pub updates: Vec<Update>,
    /// Where history ends at other commits than before: whether it is deeper now, and at how many commits it ends.
    pub depth: Option<(bool, usize)>,
}

/// A reference here or there that was moved, or was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// As in git's own listings: ` ` moved on, `+` forced, `-` deleted, `*` or `t` new, `!` refused, `=` as it was.
    pub sign: char,
    /// The full name of the reference: here for a fetch, there for a push.
    pub name: String,
    /// Where it was, and where it is now; or git's words for it.
    pub summary: String,
}

/// A reference of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    /// A branch.
    Branch(BranchName),
    /// A tag.
    Tag(TagName),
}

impl Ref {
    fn full(&self) -> String {
        match self {
            Self::Branch(name) => name.full(),
            Self::Tag(name) => name.full(),
        }
    }
}

/// What is to be pushed.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// Where to.
    pub remote: RemoteName,
    /// What, by its name here.
    pub what: Vec<Ref>,
    /// Its name there, for a single branch; the same when absent.
    pub to: Option<BranchName>,
    /// Deletes it there.
    pub delete: bool,
    /// Replaces what is there if that is still what was last fetched.
    pub force: bool,
    /// Makes it the upstream of the branch here.
    pub set_upstream: bool,
}

/// What a push did.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The references there.
    pub updates: Vec<Update>,
    /// What the remote, and hooks here, wrote.
    pub said: String,
}

/// What is to be cloned, and where to.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// From where.
    pub url: String,
    /// Where to: nothing must be there.
    pub path: PathBuf,
    /// The branch or tag to check out.
    pub branch: Option<BranchName>,
    /// No more than so many commits of history.
    pub depth: Option<u32>,
    /// Leaves file contents out until they are needed.
    pub blobless: bool,
}

impl Repo {
    /// The remote that a call without one means: the upstream's, or `origin`, or the only one.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`].
    pub fn usual_remote(&self, cancel: &Cancel) -> Result<RemoteName> {
        let configured =
            self.branch_name(cancel)?.and_then(|branch| self.config_value(&format!("branch.{branch}.remote"), cancel).ok().flatten());
        if let Some(name) = configured.filter(|name| name != ".") {
            return RemoteName::new(name);
        }
        let remotes = self.remotes(cancel)?;
        let origin = remotes.iter().find(|remote| remote.name == "origin");
        match (origin, remotes.as_slice()) {
            (Some(one), _) | (None, [one]) => RemoteName::new(one.name.clone()),
            _ => Err(Error::NoRemote("origin".to_owned())),
        }
    }

    /// Fetches from a remote.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`], [`Error::ProtocolOff`], [`Error::PrivateAddress`], [`Error::Http`], [`Error::Failed`].
    pub fn fetch(&self, request: &FetchRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Fetched> {
        let remote = request.remote.clone().map_or_else(|| self.usual_remote(cancel), Ok)?;
        let mut route = self.route_to(&remote, Direction::Fetch, cancel)?;
        route.repeatable = true;
        let porcelain = self.git.version()?.number >= (2, 41);
        let mut process = self.change(&["fetch", "--progress", "--no-recurse-submodules", "--no-auto-maintenance"]);
        for (option, wanted) in [("--porcelain", porcelain), ("--prune", request.prune), ("--tags", request.tags)] {
            if wanted {
                process = process.arg(option);
            }
        }
        let boundary = self.boundary()?;
        if let Some(depth) = request.depth.filter(|depth| *depth > 0 || !boundary.is_empty()) {
            process = process.arg(if depth == 0 { "--unshallow".to_owned() } else { format!("--depth={depth}") });
        }
        if self.location.trusted && self.settings.promisors == [remote.as_str()] {
            // What comes may build upon objects that are left out here, and that this very remote has.
            process = process.lazy();
        }
        process = process.arg("--").arg(remote.as_str());
        if let Some(branch) = &request.branch {
            process = process.arg(branch.full());
        }
        // Before 2.41 git tells people alone what it fetched.
        let before = if porcelain { BTreeMap::new() } else { self.followed(cancel)? };
        let (ended, output) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        let updates = if porcelain { fetched(&output) } else { differences(&before, &self.followed(cancel)?) };
        let refused: Vec<(String, String)> =
            updates.iter().filter(|update| update.sign == '!').map(|update| (update.name.clone(), update.summary.clone())).collect();
        if !refused.is_empty() {
            let moved = updates.iter().filter(|update| !matches!(update.sign, '!' | '='));
            let moved: String =
                moved.fold(String::new(), |all, update| format!("{all}\nmoved all the same: {} {}", update.name, update.summary));
            return Err(Error::Rejected { refs: refused, said: format!("{}{moved}", ended.stderr.trim()), push: false });
        }
        ended.require("fetch")?;
        let now = self.boundary()?;
        let depth =
            (now != boundary).then(|| Ok((!boundary.is_empty() && self.is_deeper_than(&boundary, cancel)?, now.len()))).transpose()?;
        Ok(Fetched { remote, updates, depth })
    }

    /// Remote-tracking branches and tags.
    fn followed(&self, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        let process = self.read(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/", "refs/tags/"]);
        let output = process.success(cancel, super::MAX_OUTPUT)?;
        let entry =
            |line: &[u8]| line.split_once_str(" ").map(|(id, name)| (name.to_str_lossy().into_owned(), id.to_str_lossy().into_owned()));
        Ok(output.lines().filter_map(entry).collect())
    }

    /// What was fetched last for a merge, by the name under which it is followed where there is one.
    ///
    /// # Errors
    ///
    /// [`Error::NothingFetched`].
    pub fn fetched_head(&self, remote: &RemoteName, branch: Option<&BranchName>, cancel: &Cancel) -> Result<Rev> {
        let text = self.git_file("FETCH_HEAD", Kind::Fetched)?.ok_or(Error::NothingFetched)?;
        let line = text.lines().find(|line| !line.contains_str("\tnot-for-merge\t")).ok_or(Error::NothingFetched)?;
        let id = line.split(|&byte| byte == b'\t').next().and_then(|id| ObjectId::from_hex(id).ok()).ok_or(Error::NothingFetched)?;
        let named = branch.map(|branch| format!("refs/remotes/{}/{}", remote.as_str(), branch.as_str())).or_else(|| {
            let text = line.to_str_lossy();
            let name = text.split_once("branch '")?.1.split_once('\'')?.0;
            Some(format!("refs/remotes/{}/{name}", remote.as_str()))
        });
        let tracked = named.and_then(|name| Rev::new(name).ok()).filter(|rev| self.resolve_commit(rev, cancel).is_ok_and(|at| at == id));
        let Some(full) = tracked else { return Rev::new(id.to_string()) };
        // As short as it can be: the message of a merge names it.
        let short = Rev::new(full.as_str().trim_start_matches("refs/remotes/"))?;
        let is_clear = self.full_name(&short, cancel)?.as_deref() == Some(full.as_str());
        Ok(if is_clear { short } else { full })
    }

    /// Pushes to a remote.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] with the remote's reasons; otherwise as for [`Repo::fetch`].
    pub fn push(&self, request: &PushRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Pushed> {
        let route = self.route_to(&request.remote, Direction::Push, cancel)?;
        let mut process = self.change(&["push", "--porcelain", "--progress", "--no-recurse-submodules", "--atomic"]);
        if request.set_upstream && !request.delete {
            process = process.arg("--set-upstream");
        }
        let mut refspecs = Vec::new();
        for what in &request.what {
            let there = request.to.as_ref().map_or_else(|| what.full(), BranchName::full);
            if !request.delete {
                let here = Rev::new(what.full())?;
                self.resolve(&here, cancel)?;
            }
            if request.force {
                let short = there.strip_prefix("refs/heads/").unwrap_or(&there);
                let tracked = Rev::new(format!("refs/remotes/{}/{short}", request.remote.as_str()))?;
                // Without a record of what is there, only nothing may be there.
                let expect = self.resolve(&tracked, cancel).map(|id| id.to_string()).unwrap_or_default();
                process = process.arg(format!("--force-with-lease={there}:{expect}"));
            }
            refspecs.push(if request.delete { format!(":{there}") } else { format!("{}:{there}", what.full()) });
        }
        let process = process.arg("--").arg(request.remote.as_str()).args(refspecs);
        let (ended, output) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        let updates = pushed(&output);
        let refused: Vec<(String, String)> =
            updates.iter().filter(|update| update.sign == '!').map(|update| (update.name.clone(), update.summary.clone())).collect();
        if !refused.is_empty() {
            return Err(Error::Rejected { refs: refused, said: words(&ended), push: true });
        }
        if ended.code != Some(0) {
            let moved = updates.iter().filter(|update| update.sign != '=');
            let moved = moved.map(|update| format!("{} {}", update.name, update.summary)).collect();
            return Err(ended.failed_after("push", moved));
        }
        Ok(Pushed { updates, said: words(&ended) })
    }
}

impl Repositories {
    /// Clones into a folder that must not be there yet, inside the roots. It appears when it is whole.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::Exists`]; otherwise as for [`Repo::fetch`].
    pub fn clone_into(&self, request: &CloneRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<PathBuf> {
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
        let partial = parent.join(format!("{PARTIAL}{}-{}", std::process::id(), crate::lock::key(&target)));
        let _cleared = Cleared(&partial);
        let _listed = self.git().ledger().map(|ledger| ledger.temporary(&partial));
        let mut process = self.git().process(
            Mode::Change,
            parent,
            &["clone", "--progress", "--no-recurse-submodules", "--no-local", "--no-hardlinks", "--origin=origin"],
        );
        if let Some(branch) = &request.branch {
            process = process.arg(format!("--branch={}", branch.as_str()));
        }
        if let Some(depth) = request.depth {
            process = process.arg(format!("--depth={}", depth.max(1)));
        }
        if request.blobless {
            // What is checked out is fetched on the way, from the same place.
            process = process.arg("--filter=blob:none").lazy();
        }
        let process = process.arg("--").arg(&request.url).arg(&partial);
        let (ended, _) = transfer(online(process, &route, route.ssh.then(|| quiet_ssh(None))), &route, on_progress, cancel)?;
        ended.require("clone")?;
        if target.symlink_metadata().is_ok() {
            fs::remove_dir(&target).map_err(Error::io(format!("replacing {}", target.display())))?;
        }
        fs::rename(&partial, &target).map_err(Error::io(format!("writing {}", target.display())))?;
        Ok(target)
    }
}

impl Repositories {
    /// Removes what clones have left below the roots whose servers were killed, where it is older than `age`. Says how many
    /// folders that were.
    pub fn remove_abandoned(&self, age: Duration) -> usize {
        let is_old =
            |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|old| old >= age));
        self.roots()
            .named()
            .iter()
            .map(|root| {
                remove_abandoned(root, &is_old)
                    + root.parent().map_or(0, |above| if self.roots().contains(above) { remove_abandoned(above, &is_old) } else { 0 })
            })
            .sum()
    }
}

/// What the folder of a clone is called until it is whole.
const PARTIAL: &str = ".clone-";

/// A folder that is removed with everything in it, where it is still there.
struct Cleared<'a>(&'a Path);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0).ok();
    }
}

/// Folders that were made on the way to `last`: those that are empty in the end are removed.
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

/// Removes what clones of servers that were killed have left.
fn remove_abandoned(parent: &Path, is_meant: &dyn Fn(&Path) -> bool) -> usize {
    let mut removed = 0;
    let Ok(entries) = fs::read_dir(parent) else { return removed };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.strip_prefix(PARTIAL)).and_then(|rest| rest.split_once('-'));
        let is_key = |key: &str| key.len() == crate::lock::key(parent).len() && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let pid = parts.filter(|(_, key)| is_key(key)).map(|(pid, _)| pid);
        let is_dead =
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists());
        if is_dead && is_meant(&entry.path()) && fs::remove_dir_all(entry.path()).is_ok() {
            removed += 1;
        }
    }
    removed
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Update> {
    let short = |id: Option<&String>| id.map_or("nothing", |id| id.get(..12).unwrap_or(id)).to_owned();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let update = |name: &String| {
        let (old, new) = (before.get(name), after.get(name));
        let sign = match (old, new) {
            (None, _) => '*',
            (_, None) => '-',
            _ => ' ',
        };
        (old != new).then(|| Update { sign, name: name.clone(), summary: format!("{} -> {}", short(old), short(new)) })
    };
    names.into_iter().filter_map(update).collect()
}

/// Reads `FLAG OLD NEW REF` lines.
fn fetched(output: &[u8]) -> Vec<Update> {
    let line = |line: &[u8]| {
        let text = line.to_str_lossy();
        let mut chars = text.chars();
        let sign = chars.next()?;
        let mut fields = chars.as_str().trim_start().splitn(3, ' ');
        let (old, new, name) = (fields.next()?, fields.next()?, fields.next()?);
        let short = |id: &str| if id.bytes().all(|byte| byte == b'0') { "nothing".to_owned() } else { id.chars().take(12).collect() };
        Some(Update { sign, name: name.to_owned(), summary: format!("{} -> {}", short(old), short(new)) })
    };
    output.lines().filter_map(line).collect()
}

/// Reads `FLAG<TAB>FROM:TO<TAB>SUMMARY` lines.
fn pushed(output: &[u8]) -> Vec<Update> {
    let line = |line: &[u8]| {
        let text = line.to_str_lossy();
        let mut fields = text.splitn(3, '\t');
        let (sign, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
        let mut signs = sign.chars();
        let (Some(sign), None) = (signs.next(), signs.next()) else { return None };
        let name = refs.rsplit_once(':')?.1;
        Some(Update { sign, name: name.to_owned(), summary: summary.to_owned() })
    };
    output.lines().filter_map(line).collect()
}

/// What the other side and hooks on this one wrote.
fn words(ended: &Ended) -> String {
    let summary = |line: &&str| line.starts_with("error: failed to push some refs") || line.starts_with("To ");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !summary(line)).map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_seen_without_a_listing() {
        let refs = |list: &[(&str, &str)]| list.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect::<BTreeMap<_, _>>();
        let updates = differences(&refs(&[("a", "1"), ("b", "1"), ("c", "1")]), &refs(&[("b", "2"), ("c", "1"), ("d", "1")]));
        let found: Vec<(char, &str)> = updates.iter().map(|update| (update.sign, update.name.as_str())).collect();
        assert_eq!(found, [('-', "a"), (' ', "b"), ('*', "d")]);
    }

    #[test]
    fn listings_of_git_are_read() {
        let zero = "0".repeat(40);
        let one = "1".repeat(40);
        let text = format!(
            "* {zero} {one} refs/remotes/origin/new\n  {one} {one} refs/remotes/origin/a b\n- {one} {zero} refs/remotes/origin/gone\n"
        );
        let found: Vec<(char, String)> = fetched(text.as_bytes()).into_iter().map(|update| (update.sign, update.summary)).collect();
        let short = "1".repeat(12);
        assert_eq!(
            found,
            [('*', format!("nothing -> {short}")), (' ', format!("{short} -> {short}")), ('-', format!("{short} -> nothing"))]
        );
        let text = b"To x\n!\trefs/heads/a:refs/heads/b\t[rejected] (fetch first)\n=\trefs/heads/c:refs/heads/c\t[up to date]\nDone\n";
        let found: Vec<(char, String)> = pushed(text).into_iter().map(|update| (update.sign, update.name)).collect();
        assert_eq!(found, [('!', "refs/heads/b".to_owned()), ('=', "refs/heads/c".to_owned())]);
    }
}

//! What ended processes leave in repositories: stale locks, and operations in progress.

use super::{
    Finding, Patient,
    files::{files_below, linked_worktrees},
    finding::{self, command_on},
};
use crate::cli::processes::{are_listed, at_work_in, holder_of};
use git::Repo;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The age below which a lock may be one of a process at work.
const OLD: Duration = Duration::from_mins(10);
/// Locks of a worktree, in its own git directory.
const OWN: [&str; 11] = [
    "index.lock",
    "HEAD.lock",
    "ORIG_HEAD.lock",
    "FETCH_HEAD.lock",
    "MERGE_HEAD.lock",
    "CHERRY_PICK_HEAD.lock",
    "REVERT_HEAD.lock",
    "BISECT_HEAD.lock",
    "AUTO_MERGE.lock",
    "config.worktree.lock",
    "info/sparse-checkout.lock",
];
/// Locks of a repository, in the directory that its worktrees share.
const SHARED: [&str; 7] = [
    "shallow.lock",
    "packed-refs.lock",
    "config.lock",
    "objects/maintenance.lock",
    "objects/info/commit-graph.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/pack/multi-pack-index.lock",
];
/// Directories of references and their logs: each reference has a lock of its own there.
const REFERENCES: [&str; 3] = ["refs", "logs", "reftable"];
/// The most entries of such a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// The most findings of one kind for one repository.
const MAX_FINDINGS: usize = 20;

pub(super) fn locks(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for repo in patient.usable() {
        for (lock, age) in old_locks(repo) {
            // Worktrees share most of them.
            if !seen.contains(&lock) {
                findings.push(left(repo, &lock, age));
                seen.push(lock);
            }
        }
    }
    finding::or_fine(findings, || Finding::fine("no lock is older than ten minutes"))
}

/// The old locks of a repository and of all its worktrees.
fn old_locks(repo: &Repo) -> Vec<(PathBuf, Duration)> {
    let location = repo.location();
    let mut dirs = vec![location.git_dir.clone(), location.common_dir.clone()];
    dirs.extend(linked_worktrees(&location.common_dir).into_iter().map(|(dir, _)| dir));
    dirs.sort();
    dirs.dedup();
    let mut found: Vec<PathBuf> = SHARED.iter().map(|name| location.common_dir.join(name)).collect();
    for dir in dirs {
        found.extend(OWN.iter().map(|name| dir.join(name)));
        found.extend(REFERENCES.iter().flat_map(|name| reference_locks(&dir.join(name))));
    }
    let aged = found.into_iter().filter_map(|lock| {
        let meta = fs::symlink_metadata(&lock).ok().filter(fs::Metadata::is_file)?;
        let age = meta.modified().ok()?.elapsed().ok().filter(|age| *age >= OLD)?;
        Some((lock, age))
    });
    aged.take(MAX_FINDINGS).collect()
}

/// The locks below a directory of references. No reference has a name that ends so.
fn reference_locks(dir: &Path) -> Vec<PathBuf> {
    let files = files_below(dir, MAX_ENTRIES).into_iter();
    files.filter(|file| file.extension().is_some_and(|extension| extension == "lock")).collect()
}

/// The directories in which a git process that holds a lock of the repository may run.
fn workplaces(repo: &Repo) -> Vec<PathBuf> {
    let location = repo.location();
    let mut places = vec![repo.top().to_owned(), location.git_dir.clone(), location.common_dir.clone()];
    places.extend(location.common_dir.parent().filter(|_| location.common_dir.ends_with(".git")).map(Path::to_owned));
    places.extend(linked_worktrees(&location.common_dir).iter().filter_map(|(_, dot_git)| fs::canonicalize(dot_git.parent()?).ok()));
    places
}

fn left(repo: &Repo, lock: &Path, age: Duration) -> Finding {
    let shown = lock.display();
    let minutes = age.as_secs() / 60;
    let places = workplaces(repo);
    let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    // git closes a lock that it keeps while an editor is open.
    let owner = holder_of(lock).or_else(|| at_work_in("git", &places));
    if let Some(owner) = owner {
        let fix = format!("Wait for it, or end it: `kill {}`.", owner.pid);
        return Finding::note(format!("the lock {shown} is {minutes} minutes old, and {owner} is at work there"), fix);
    }
    let is_others = fs::symlink_metadata(lock).is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw());
    let is_hidden = !are_listed() || is_others && !rustix::process::geteuid().is_root();
    if is_hidden {
        let fix = command_on(lock, |lock| format!("Make sure that no git process of its owner is running, then `rm {lock}`."));
        return Finding::note(format!("the lock {shown} is {minutes} minutes old, and its process cannot be looked up"), fix);
    }
    Finding::problem(
        format!("{shown} is a stale lock: it is {minutes} minutes old, no process holds it, and every change that needs it fails"),
        command_on(lock, |lock| format!("rm {lock}")),
    )
}

pub(super) fn operations(patient: &Patient<'_>) -> Vec<Finding> {
    let findings = patient.usable().filter_map(|repo| {
        let operation = repo.in_progress()?;
        let fix = command_on(repo.top(), |top| match operation {
            "bisect" => format!("Go on with it, or end it with `git -C {top} bisect reset`."),
            _ => format!("`git -C {top} {operation} --continue` goes on with it; `git -C {top} {operation} --abort` aborts it."),
        });
        let article = if operation == "am" { "an" } else { "a" };
        let detail = format!("{article} {operation} is in progress in {}: most changes are refused until it ends", repo.top().display());
        Some(Finding::note(detail, fix))
    });
    finding::or_fine(findings.collect(), || Finding::fine("no merge, rebase, cherry-pick, revert, bisect or am is in progress"))
}

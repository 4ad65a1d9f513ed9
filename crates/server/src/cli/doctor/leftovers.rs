//! What ended processes have left in repositories: locks, and operations that are half done.

use super::{
    Finding, Patient,
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

/// A younger lock may be one of a process that works.
const OLD: Duration = Duration::from_mins(10);
/// The most entries below `refs/heads` that are looked at.
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

fn old_locks(repo: &Repo) -> Vec<(PathBuf, Duration)> {
    let location = repo.location();
    let own = ["index.lock", "HEAD.lock"].iter().map(|name| location.git_dir.join(name));
    let shared =
        ["index.lock", "HEAD.lock", "shallow.lock", "packed-refs.lock", "config.lock"].iter().map(|name| location.common_dir.join(name));
    let mut found: Vec<PathBuf> = own.chain(shared).collect();
    found.extend(branch_locks(&location.common_dir.join("refs/heads")));
    found.sort();
    found.dedup();
    let aged = found.into_iter().filter_map(|lock| {
        let meta = fs::symlink_metadata(&lock).ok().filter(fs::Metadata::is_file)?;
        let age = meta.modified().ok()?.elapsed().ok().filter(|age| *age >= OLD)?;
        Some((lock, age))
    });
    aged.take(MAX_FINDINGS).collect()
}

/// Files below `heads` that end as locks do. No link is followed.
fn branch_locks(heads: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![heads.to_owned()];
    let mut looked = 0;
    while let Some(dir) = queue.pop() {
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_symlink()) {
            continue;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            looked += 1;
            if looked > MAX_ENTRIES {
                return found;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push(entry.path()),
                Ok(kind) if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "lock") => {
                    found.push(entry.path());
                }
                _ => {}
            }
        }
    }
    found
}

fn left(repo: &Repo, lock: &Path, age: Duration) -> Finding {
    let detail = format!("{} was made {} minutes ago", lock.display(), age.as_secs() / 60);
    let location = repo.location();
    let folders = [repo.top(), location.git_dir.as_path(), location.common_dir.as_path()];
    // git closes a lock that it keeps while an editor is open.
    let owner = holder_of(lock).or_else(|| at_work_in("git", &folders));
    if let Some(owner) = owner {
        let fix = format!("Wait for it, or end it: `kill {}`.", owner.pid);
        return Finding::note(format!("{detail}, and {owner} is at work there"), fix);
    }
    let is_others = fs::symlink_metadata(lock).is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw());
    let is_hidden = !are_listed() || is_others && !rustix::process::geteuid().is_root();
    if is_hidden {
        let fix = command_on(lock, |lock| format!("Make sure that no git process of its owner runs, then `rm {lock}`."));
        return Finding::note(format!("{detail}, and its process cannot be looked for"), fix);
    }
    Finding::problem(
        format!("{detail}, and no process holds it: every change that needs it fails"),
        command_on(lock, |lock| format!("rm {lock}")),
    )
}

pub(super) fn operations(patient: &Patient<'_>) -> Vec<Finding> {
    let findings = patient.usable().filter_map(|repo| {
        let operation = repo.in_progress()?;
        let end = if operation == "bisect" { "reset" } else { "--abort" };
        let fix = command_on(repo.top(), |top| format!("git -C {top} {operation} {end}"));
        Some(Finding::problem(
            format!("a {operation} is in progress in {}: most changes are refused until it ends", repo.top().display()),
            fix,
        ))
    });
    finding::or_fine(findings.collect(), || Finding::fine("no merge, rebase, cherry-pick, revert, bisect or am is in progress"))
}

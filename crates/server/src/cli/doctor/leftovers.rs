//! What exited processes leave in repositories: stale locks, and operations in progress.

use super::{
    Finding, Patient,
    finding::{self, command_on},
};
use git::{Holder, LockFile};
use std::time::Duration;

/// Age below which a lock is assumed to be in use.
const OLD: Duration = Duration::from_mins(10);
/// Maximum number of findings per kind and repository.
const MAX_FINDINGS: usize = 20;

pub(super) fn locks(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for repo in patient.usable() {
        for lock in repo.lock_files(true).into_iter().filter(|lock| lock.age >= OLD).take(MAX_FINDINGS) {
            // Worktrees share most of the locks.
            if !seen.contains(&lock.path) {
                findings.push(judge(&lock));
                seen.push(lock.path);
            }
        }
    }
    finding::or_fine(findings, || Finding::fine("no lock is older than ten minutes"))
}

fn judge(lock: &LockFile) -> Finding {
    let (path, shown, minutes) = (&lock.path, lock.path.display(), lock.age.as_secs() / 60);
    match &lock.holder {
        Holder::Process(owner) => {
            let fix = format!("Wait for it, or end it: `kill {}`.", owner.pid);
            Finding::note(format!("the lock {shown} is {minutes} minutes old, and {owner} is working there"), fix)
        }
        Holder::Unknown => {
            let fix = command_on(path, |lock| format!("Make sure that no git process of its owner is running, then `rm {lock}`."));
            Finding::note(format!("the lock {shown} is {minutes} minutes old, and its process cannot be looked up"), fix)
        }
        Holder::None => Finding::problem(
            format!("{shown} is a stale lock: it is {minutes} minutes old, no process holds it, and every change that needs it fails"),
            command_on(path, |lock| format!("rm {lock}")),
        ),
    }
}

pub(super) fn operations(patient: &Patient<'_>) -> Vec<Finding> {
    let findings = patient.usable().filter_map(|repo| {
        let operation = repo.in_progress()?;
        let fix = command_on(repo.top(), |top| match operation {
            "bisect" => format!("Continue it, or end it with `git -C {top} bisect reset`."),
            _ => format!("`git -C {top} {operation} --continue` continues it; `git -C {top} {operation} --abort` aborts it."),
        });
        let article = if operation == "am" { "an" } else { "a" };
        let detail = format!("{article} {operation} is in progress in {}: most changes are refused until it ends", repo.top().display());
        Some(Finding::note(detail, fix))
    });
    finding::or_fine(findings.collect(), || Finding::fine("no merge, rebase, cherry-pick, revert, bisect or am is in progress"))
}

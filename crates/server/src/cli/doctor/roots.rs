//! The allowed directories and the repositories in them.

use super::{
    Finding, Patient, damage,
    finding::{self, command_on},
};
use crate::error;
use git::Location;
use rustix::fs::{Access, access};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Paths that decide which programs git runs, below the common git directory.
const POWERFUL: [&str; 5] = ["hooks", "config", "config.worktree", "info/attributes", "objects/info/alternates"];
/// Maximum number of hooks checked per repository.
const MAX_HOOKS: usize = 200;

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let named = &patient.config.repositories;
    let opened = patient.opened();
    let roots = patient.repositories.roots();
    if named.is_empty() && roots.named().is_empty() {
        let fix = "Start inside a repository, or name one with `-r PATH`.";
        return vec![Finding::note("no root is named, and the current directory is not in a repository", fix)];
    }
    let mut findings: Vec<Finding> = named.iter().filter_map(|root| usable(root, patient.config.selection.read_only)).collect();
    for root in roots.named() {
        let damaged = damage::bare(root);
        let has_none = damaged.is_empty() && !opened.iter().any(|(path, _)| path.starts_with(root)) && roots.locate(root).is_err();
        if root.is_dir() && has_none {
            let fix = command_on(root, |root| format!("git init {root}"));
            findings.push(Finding::note(format!("the root {} contains no repository", root.display()), fix));
        }
        findings.extend(damaged);
    }
    if patient.has_git() {
        let refused = opened.iter().filter_map(|(path, repo)| Some((path, repo.as_ref().err()?)));
        findings.extend(refused.map(|(path, err)| unusable(patient, path, err)));
        findings.extend(patient.usable().filter_map(|repo| damage::head(repo)));
    }
    finding::or_fine(findings, || {
        let many = match opened.len() {
            super::MAX_REPOSITORIES => format!("the first {} repositories", super::MAX_REPOSITORIES),
            number => finding::count(number, "repository"),
        };
        let fine = Finding::fine(format!("{many} can be used"));
        opened.iter().fold(fine, |fine, (path, _)| fine.because(path.display().to_string()))
    })
}

/// Why a root cannot be used.
fn usable(root: &Path, read_only: bool) -> Option<Finding> {
    let shown = root.display();
    let meta = match fs::metadata(root) {
        Ok(meta) => meta,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let finding = Finding::problem(format!("the root {shown} does not exist"), command_on(root, |root| format!("git init {root}")));
            return Some(finding.caused_by(&err));
        }
        Err(err) => {
            let fix = format!("Let this user reach {shown}: each directory above it needs the permission `x`.");
            return Some(Finding::problem(format!("the root {shown} cannot be used: {err}"), fix).caused_by(&err));
        }
    };
    if !meta.is_dir() {
        let fix = "Name its directory, or that of a repository, with `-r`.";
        return Some(Finding::problem(format!("the root {shown} is not a directory"), fix));
    }
    let wanted = if read_only { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK | Access::EXEC_OK | Access::WRITE_OK };
    let err = io::Error::from(access(root, wanted).err()?);
    let (what, mode) = if read_only { ("read", "u+rx") } else { ("read and written", "u+rwx") };
    let fix = if err.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "Start the server with --read-only: the file system is mounted read-only.".to_owned()
    } else if meta.uid() == rustix::process::geteuid().as_raw() {
        command_on(root, |root| format!("chmod {mode} {root}"))
    } else {
        command_on(root, |root| format!("sudo setfacl -R -m u:{}:rwX {root}", rustix::process::geteuid().as_raw()))
    };
    Some(Finding::problem(format!("the root {shown} cannot be {what}: {err}"), fix).caused_by(&err))
}

/// Why a repository cannot be opened.
fn unusable(patient: &Patient<'_>, path: &Path, err: &git::Error) -> Finding {
    let mut why = err.to_string();
    let fsck = || command_on(path, |path| format!("git -C {path} fsck"));
    let fix = match err {
        git::Error::UnsafeOwner { .. } => command_on(path, |path| format!("git config --global --add safe.directory {path}")),
        git::Error::NotReadable { path, .. } if damage::is_special(path) => command_on(path, |path| format!("rm {path}")),
        git::Error::NotReadable { path, .. } => format!("Correct {}, or move it out of the git directory.", path.display()),
        git::Error::OutsideRoots { path: outside, .. } => {
            format!("Name {} with `-r` too, if the repository may use it.", outside.display())
        }
        git::Error::NotARepository { .. } => {
            let (what, fix) = damage::unrecognised(patient, path);
            why = what;
            fix
        }
        git::Error::Unopened { .. } => {
            let damage = patient.repositories.roots().locate(path).ok().and_then(|location| damage::unopened(&location));
            let Some((what, fix)) = damage else {
                let fix =
                    "Install a newer git if it names a version or an extension; correct the configuration if it names a setting or file.";
                return Finding::problem(format!("the repository {} cannot be opened: {why}", path.display()), fix).caused_by(err);
            };
            why = what;
            fix
        }
        git::Error::NoSandbox { .. } | git::Error::EmbeddedBare { .. } => error::hint(err).unwrap_or_else(fsck),
        _ => fsck(),
    };
    Finding::problem(format!("the repository {} cannot be opened: {why}", path.display()), fix).caused_by(err)
}

/// Whether other users can change what git runs in trusted repositories.
pub(super) fn trust(patient: &Patient<'_>) -> Vec<Finding> {
    let tops = patient.usable().map(|repo| repo.top().to_owned());
    let tops = patient.repositories.roots().named().iter().cloned().chain(tops);
    // In a sticky directory, such as /tmp, users cannot replace each other's files.
    let mut open: BTreeSet<PathBuf> = tops.filter(|top| is_writable_by_all(top, 0o1000)).collect();
    for repo in patient.usable() {
        open.extend(powerful(repo.location()).into_iter().filter(|place| is_writable_by_all(place, 0)));
    }
    let findings = open.iter().map(|place| {
        let fix = command_on(place, |place| format!("chmod o-w {place}"));
        Finding::problem(format!("every user can write to {}, and so change what git runs", place.display()), fix)
    });
    finding::or_fine(findings.collect(), || Finding::fine("no root, hook or configuration of a repository is writable by every user"))
}

/// The files and directories of a repository that decide which programs git runs.
fn powerful(location: &Location) -> Vec<PathBuf> {
    let mut places = vec![location.common_dir.clone(), location.git_dir.join("config.worktree")];
    places.extend(POWERFUL.iter().map(|name| location.common_dir.join(name)));
    let hooks = fs::read_dir(location.common_dir.join("hooks")).into_iter().flatten().flatten().take(MAX_HOOKS).map(|entry| entry.path());
    // git does not run its samples.
    places.extend(hooks.filter(|hook| git::is_executable(hook) && hook.extension().is_none_or(|extension| extension != "sample")));
    places
}

/// Whether every user can write to it. Directories with one of the mode bits `excused` do not count, nor do links.
fn is_writable_by_all(place: &Path, excused: u32) -> bool {
    fs::symlink_metadata(place).is_ok_and(|meta| {
        let is_excused = meta.is_dir() && meta.mode() & excused != 0;
        !meta.is_symlink() && meta.mode() & 0o002 != 0 && !is_excused
    })
}

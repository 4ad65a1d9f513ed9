//! The folders that the operator allows, and the repositories in them.

use super::{
    Finding, Patient,
    finding::{self, command_on, out_of_the_way},
};
use crate::error;
use rustix::fs::{Access, access};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Folders of a repository whose content decides what git runs.
const POWERFUL: [&str; 3] = ["", "hooks", "config"];

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let named = &patient.config.repositories;
    let opened = patient.opened();
    if named.is_empty() && patient.repositories.roots().named().is_empty() {
        let fix = "Start inside a repository, or name one with `-r PATH`.";
        return vec![Finding::note("no root is named, and the current directory is in no repository", fix)];
    }
    let mut findings: Vec<Finding> = named.iter().filter_map(|root| usable(root, patient.config.selection.read_only)).collect();
    for root in patient.repositories.roots().named() {
        if root.is_dir() && !opened.iter().any(|(path, _)| path.starts_with(root)) && patient.repositories.roots().locate(root).is_err() {
            let fix = command_on(root, |root| format!("git init {root}"));
            findings.push(Finding::note(format!("the root {} holds no repository", root.display()), fix));
        }
    }
    if patient.has_git() {
        let refused = opened.iter().filter_map(|(path, repo)| Some((path, repo.as_ref().err()?)));
        findings.extend(refused.map(|(path, err)| unusable(path, err)));
    }
    finding::or_fine(findings, || {
        let many = match opened.len() {
            1 => "1 repository".to_owned(),
            super::MAX_REPOSITORIES => format!("the first {} repositories", super::MAX_REPOSITORIES),
            number => format!("{number} repositories"),
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
            let fix = format!("Let this user reach {shown}: each folder above it needs the permission `x`.");
            return Some(Finding::problem(format!("the root {shown} cannot be used: {err}"), fix).caused_by(&err));
        }
    };
    if !meta.is_dir() {
        let fix = "Name the folder that it is in, or the folder of a repository, with `-r`.";
        return Some(Finding::problem(format!("the root {shown} is no folder"), fix));
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
fn unusable(path: &Path, err: &git::Error) -> Finding {
    let fix = match err {
        git::Error::UnsafeOwner { .. } => command_on(path, |path| format!("git config --global --add safe.directory {path}")),
        git::Error::NotReadable { path, .. } => {
            command_on(path, |path| format!("Look at what {path} is, and put a regular file or nothing in its place."))
        }
        git::Error::OutsideRoots { path: outside, .. } => {
            format!("Name {} with `-r` too, where the repository may use it.", outside.display())
        }
        // git itself would wait for what is no regular file.
        git::Error::NotARepository { .. } => out_of_the_way(&path.join(".git")),
        _ => hint(err).unwrap_or_else(|| command_on(path, |path| format!("git -C {path} fsck"))),
    };
    Finding::problem(format!("the repository {} cannot be opened: {err}", path.display()), fix).caused_by(err)
}

/// What a caller would be told to do. The errors of the crate below cannot be cloned: only those are asked that have no content.
fn hint(err: &git::Error) -> Option<String> {
    match err {
        git::Error::NoSandbox { path, why } => error::Error::from(git::Error::NoSandbox { path: path.clone(), why }).hint,
        git::Error::EmbeddedBare { path } => error::Error::from(git::Error::EmbeddedBare { path: path.clone() }).hint,
        _ => None,
    }
}

/// Whether others can change what git runs in repositories whose hooks and filters are trusted.
pub(super) fn trust(patient: &Patient<'_>) -> Vec<Finding> {
    let roots = patient.repositories.roots().named().iter().cloned();
    let mut places: Vec<PathBuf> = roots.collect();
    for repo in patient.usable() {
        let location = repo.location();
        places.push(repo.top().to_owned());
        places.extend(POWERFUL.iter().map(|name| location.common_dir.join(name)));
    }
    // `join("")` leaves a slash behind.
    let mut places: Vec<PathBuf> = places.iter().map(|place| place.components().collect()).collect();
    places.sort();
    places.dedup();
    let open = places.iter().filter(|place| {
        // A link has no permissions of its own.
        fs::symlink_metadata(place).is_ok_and(|meta| !meta.is_symlink() && meta.mode() & 0o002 != 0)
    });
    let findings = open.map(|place| {
        let fix = command_on(place, |place| format!("chmod o-w {place}"));
        Finding::problem(format!("every user can write to {}, and so change what git runs there", place.display()), fix)
    });
    finding::or_fine(findings.collect(), || Finding::fine("no root, hook or configuration of a repository is writable by every user"))
}

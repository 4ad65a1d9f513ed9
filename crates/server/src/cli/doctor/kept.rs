//! Persistent state: the state directory and the database.

use super::{
    Finding, Patient, STEP,
    finding::{command_on, free_name, out_of_the_way, word},
};
use crate::output::counted_are;
use git::holders::{Owner, holder_of};
use rustix::fs::{Access, access, statvfs};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use store::{Address, Error, Opened, Store};

/// Minimum free bytes.
const ROOM: u64 = 100 << 20;
/// Minimum free inodes.
const INODES: u64 = 1000;
/// Suffixes of the files that `SQLite` keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Maximum size of a database to copy and check, in bytes.
const MAX_COPY: u64 = 256 << 20;
/// Attempts to copy a database in use, since a copy may be inconsistent.
const TRIES: usize = 3;

pub(super) fn state(patient: &Patient<'_>) -> Vec<Finding> {
    let folder = &patient.config.state_dir;
    // A flag overrides the variable.
    let elsewhere = if patient.config.origin.flags.state_dir.is_some() {
        "Name another directory with `--state-dir`."
    } else {
        "export MCP_GIT_STATE_DIR=\"$HOME/.mcp-server-git\""
    };
    let Some(existing) = folder.ancestors().find(|path| path.symlink_metadata().is_ok()) else {
        return vec![Finding::problem(format!("{} cannot be created", folder.display()), elsewhere)];
    };
    let meta = match fs::metadata(existing) {
        Ok(meta) => meta,
        Err(err) => return vec![Finding::problem(format!("{} cannot be used: {err}", existing.display()), elsewhere).caused_by(&err)],
    };
    let is_there = existing == folder;
    if !meta.is_dir() {
        let detail = format!("{} is not a directory, and the state directory belongs there", existing.display());
        return vec![Finding::problem(detail, out_of_the_way(existing))];
    }
    let own = rustix::process::geteuid().as_raw();
    if is_there && meta.uid() != own {
        let fix = command_on(folder, |path| format!("sudo chown -R {own} {path}"));
        return vec![Finding::problem(format!("{} belongs to another user (uid {})", folder.display(), meta.uid()), fix)];
    }
    if is_there && meta.mode() & 0o022 != 0 {
        let fix = command_on(folder, |path| format!("chmod go-w {path}"));
        return vec![Finding::problem(format!("other users can write to {}", folder.display()), fix)];
    }
    if let Err(err) = access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        let finding = Finding::problem(format!("{} cannot be written to: {}", existing.display(), io::Error::from(err)), elsewhere);
        return vec![finding.caused_by(&io::Error::from(err))];
    }
    let Ok(system) = statvfs(existing) else { return vec![Finding::fine(folder.display().to_string())] };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let fix = format!(
        "Free space on the file system of {} (`df -h {}` shows it), or name another directory with `--state-dir`.",
        folder.display(),
        word(existing)
    );
    if free < ROOM {
        return vec![Finding::problem(format!("only {} MiB are free for {}", free >> 20, folder.display()), fix)];
    }
    if system.f_files > 0 && system.f_favail < INODES {
        return vec![Finding::problem(format!("only {} free for {}", counted_are(system.f_favail, "inode"), folder.display()), fix)];
    }
    let made = if is_there { "belongs to this user" } else { "can be created" };
    vec![Finding::fine(format!("{} {made}, {} MiB are free", folder.display(), free >> 20))]
}

pub(super) fn database(patient: &Patient<'_>) -> Vec<Finding> {
    let address = &patient.config.database;
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return vec![Finding::skipped("the async runtime could not be started")];
    };
    let finding = match address {
        Address::File(path) => runtime.block_on(file(path)),
        Address::Url(_) => {
            let reached = runtime.block_on(async { tokio::time::timeout(STEP * 2, Store::try_to_reach(address)).await });
            let reached = reached.unwrap_or_else(|_| Err(Error::Unavailable("it does not answer".into())));
            match reached {
                Ok(()) => Finding::fine(format!("{address} accepts connections")),
                Err(err) => {
                    let cause = std::error::Error::source(&err).map_or_else(|| err.to_string(), ToString::to_string);
                    let fix =
                        "Start the PostgreSQL server or correct MCP_GIT_STORE_URL (`store.url`); `unset MCP_GIT_STORE_URL` uses a file.";
                    Finding::problem(format!("{address} cannot be reached: {cause}"), fix).caused_by(&err)
                }
            }
        }
    };
    runtime.shutdown_background();
    vec![finding]
}

/// Checks a copy: opening a damaged file would quarantine it, but the doctor changes nothing.
async fn file(path: &Path) -> Finding {
    let shown = path.display();
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            return Finding::fine(format!("{shown} is created when it is first needed"));
        }
        Err(err) => {
            let fix = format!("Let this user reach {shown}, or name another database with MCP_GIT_STORE_URL (`store.url`).");
            return Finding::problem(format!("{shown} cannot be used: {err}"), fix).caused_by(&err);
        }
    };
    let holder = holder_of(path);
    if !meta.is_file() {
        return Finding::problem(format!("{shown} is not a regular file"), renewal(path, holder.as_ref()));
    }
    if meta.len() > MAX_COPY {
        return Finding::skipped(format!("{shown} has {} MiB, too much to copy and check", meta.len() >> 20));
    }
    if let Err(err) = access(path, Access::READ_OK | Access::WRITE_OK) {
        let fix = command_on(path, |path| format!("chmod u+rw {path}"));
        return Finding::problem(format!("{shown} cannot be read and written: {}", io::Error::from(err)), fix);
    }
    let mut opened = copied(path).await;
    for _ in 1..TRIES {
        if holder.is_some() && matches!(opened, Ok(Some(())) | Err(Failure::Store(Error::Corrupt(_)))) {
            opened = copied(path).await;
        }
    }
    judge(path, holder.as_ref(), opened)
}

/// The finding from the copy of a database.
fn judge(path: &Path, holder: Option<&Owner>, opened: Result<Option<()>, Failure>) -> Finding {
    let shown = path.display();
    let used = holder.map(|holder| format!(", in use by {holder}")).unwrap_or_default();
    match opened {
        Ok(None) => Finding::fine(format!("{shown} passes SQLite's checks{used}")),
        Ok(Some(())) | Err(Failure::Store(Error::Corrupt(_))) => {
            Finding::problem(format!("{shown} is damaged{used}"), renewal(path, holder))
                .because("a copy of it did not pass SQLite's checks")
        }
        Err(Failure::Store(err @ Error::Newer { .. })) => {
            let before = holder.map(|holder| format!("stop {holder} and ")).unwrap_or_default();
            let fix = format!("Install the release that created it, or {before}start with a new database: `{}`.", move_aside(path));
            Finding::problem(format!("{shown}: {err}"), fix).caused_by(&err)
        }
        // The disk is full or too slow for the copy.
        Err(Failure::Store(err)) if err.is_outage() => {
            Finding::skipped(format!("a copy of {shown} could not be opened: {err}")).caused_by(&err)
        }
        Err(Failure::Store(err)) => Finding::problem(format!("{shown} cannot be used: {err}"), renewal(path, holder)).caused_by(&err),
        Err(Failure::Copy(err)) => Finding::skipped(format!("{shown} could not be copied for the check: {err}")).caused_by(&err),
    }
}

/// The fix that gives a server a new database. A process that has the old one open would keep using it.
fn renewal(path: &Path, holder: Option<&Owner>) -> String {
    match holder {
        Some(holder) => format!("Stop {holder} first, as with `kill {}`; then run `{}`.", holder.pid, move_aside(path)),
        None => move_aside(path),
    }
}

/// The command that moves a database to a new directory, with the files beside it, which a new database would read.
fn move_aside(path: &Path) -> String {
    command_on(path, |shown| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = word(free_name(&path.with_file_name(format!("aside-{name}"))));
        let others = BESIDE.iter().map(|suffix| beside(path, suffix)).filter(|file| file.symlink_metadata().is_ok());
        let all = others.fold(shown.to_owned(), |all, file| format!("{all} {}", word(file)));
        format!("mkdir {folder} && mv {all} {folder}/")
    })
}

/// Why a database cannot be checked by its copy.
enum Failure {
    /// It cannot be copied.
    Copy(io::Error),
    /// The copy cannot be opened.
    Store(Error),
}

/// Opens a copy of a database, and removes it. `Some` if it is damaged.
async fn copied(path: &Path) -> Result<Option<()>, Failure> {
    let folder = tempfile::Builder::new().prefix("mcp-git-doctor").tempdir().map_err(Failure::Copy)?;
    let copy = folder.path().join("store.db");
    fs::copy(path, &copy).map_err(Failure::Copy)?;
    // The logs hold the latest writes. SQLite rebuilds the shared-memory index.
    for suffix in ["-wal", "-journal"] {
        let log = beside(path, suffix);
        if fs::metadata(&log).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_COPY) {
            fs::copy(&log, beside(&copy, suffix)).map_err(Failure::Copy)?;
        }
    }
    let Opened { store, quarantined, .. } = Store::open(&Address::File(copy)).await.map_err(Failure::Store)?;
    let answered = store.ping().await;
    store.close().await;
    answered.map_err(Failure::Store)?;
    Ok(quarantined.map(|_| ()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

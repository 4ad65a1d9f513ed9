//! What is kept: the state folder and the database.

use super::{
    Finding, Patient, STEP,
    finding::{command_on, free_name, out_of_the_way, word},
};
use crate::cli::processes::holder_of;
use rustix::fs::{Access, access, statvfs};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use store::{Address, Error, Opened, Store};

/// Bytes that should be free.
const ROOM: u64 = 100 << 20;
/// Files for which there should be room.
const INODES: u64 = 1000;
/// The largest database that is copied to be looked at.
const MAX_COPY: u64 = 256 << 20;
/// How often a database in use is copied, as a copy may be of two moments.
const TRIES: usize = 3;

const ELSEWHERE: &str = "export MCP_GIT_STATE_DIR=\"$HOME/.mcp-server-git\"";

pub(super) fn state(patient: &Patient<'_>) -> Vec<Finding> {
    let folder = &patient.config.state_dir;
    let Some(existing) = folder.ancestors().find(|path| path.symlink_metadata().is_ok()) else {
        return vec![Finding::problem(format!("{} cannot be made", folder.display()), ELSEWHERE)];
    };
    let meta = match fs::metadata(existing) {
        Ok(meta) => meta,
        Err(err) => return vec![Finding::problem(format!("{} cannot be used: {err}", existing.display()), ELSEWHERE).caused_by(&err)],
    };
    let is_there = existing == folder;
    if !meta.is_dir() {
        let detail = format!("{} is no folder, and the state folder is to be there", existing.display());
        return vec![Finding::problem(detail, out_of_the_way(existing))];
    }
    let own = rustix::process::geteuid().as_raw();
    if is_there && meta.uid() != own {
        let fix = command_on(folder, |path| format!("sudo chown -R {own} {path}"));
        return vec![Finding::problem(format!("{} belongs to another user (number {})", folder.display(), meta.uid()), fix)];
    }
    if is_there && meta.mode() & 0o022 != 0 {
        let fix = command_on(folder, |path| format!("chmod go-w {path}"));
        return vec![Finding::problem(format!("others may write to {}", folder.display()), fix)];
    }
    if let Err(err) = access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        let finding = Finding::problem(format!("{} cannot be written to: {}", existing.display(), io::Error::from(err)), ELSEWHERE);
        return vec![finding.caused_by(&io::Error::from(err))];
    }
    let Ok(system) = statvfs(existing) else { return vec![Finding::fine(folder.display().to_string())] };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let fix = format!(
        "Free room on the file system of {} (`df -h {}` shows it), or name another folder with `--state-dir`.",
        folder.display(),
        word(existing)
    );
    if free < ROOM {
        return vec![Finding::problem(format!("only {} MiB are free for {}", free >> 20, folder.display()), fix)];
    }
    if system.f_files > 0 && system.f_favail < INODES {
        return vec![Finding::problem(
            format!("only {} files can be made on the file system of {}", system.f_favail, folder.display()),
            fix,
        )];
    }
    let made = if is_there { "belongs to this user" } else { "can be made" };
    vec![Finding::fine(format!("{} {made}, {} MiB are free", folder.display(), free >> 20))]
}

pub(super) fn database(patient: &Patient<'_>) -> Vec<Finding> {
    let address = &patient.config.resilience.store;
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return vec![Finding::skipped("it needs threads, and there are none")];
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

/// Looks at a copy: opening a damaged file puts it aside, and the doctor changes nothing.
async fn file(path: &Path) -> Finding {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            return Finding::fine(format!("{} is made when it is first needed", path.display()));
        }
        Err(err) => return Finding::problem(format!("{} cannot be used: {err}", path.display()), ELSEWHERE).caused_by(&err),
    };
    // With its log, which would be taken for that of the next one.
    let aside = || {
        command_on(path, |shown| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = word(free_name(&path.with_file_name(format!("aside-{name}"))));
            format!("mkdir {folder} && mv {shown}* {folder}/")
        })
    };
    if !meta.is_file() {
        return Finding::problem(format!("{} is no file", path.display()), aside());
    }
    if meta.len() > MAX_COPY {
        return Finding::skipped(format!("{} has {} MiB, too many to be copied and looked at", path.display(), meta.len() >> 20));
    }
    if let Err(err) = access(path, Access::READ_OK | Access::WRITE_OK) {
        let fix = command_on(path, |path| format!("chmod u+rw {path}"));
        return Finding::problem(format!("{} cannot be read and written: {}", path.display(), io::Error::from(err)), fix);
    }
    let holder = holder_of(path);
    let mut opened = copied(path).await;
    for _ in 1..TRIES {
        if holder.is_some() && matches!(opened, Ok(Some(())) | Err(Failure::Store(Error::Corrupt(_)))) {
            opened = copied(path).await;
        }
    }
    let used = holder.map(|holder| format!(", in use by {holder}")).unwrap_or_default();
    match opened {
        Ok(None) => Finding::fine(format!("{} is sound{used}", path.display())),
        Ok(Some(())) | Err(Failure::Store(Error::Corrupt(_))) => Finding::problem(format!("{} is damaged{used}", path.display()), aside())
            .because("a copy of it was opened, and did not pass the checks of SQLite"),
        Err(Failure::Store(err @ Error::Newer { .. })) => {
            let finding = Finding::problem(
                format!("{}: {err}", path.display()),
                format!("Install the release that made it, or begin anew: `{}`.", aside()),
            );
            finding.caused_by(&err)
        }
        Err(Failure::Store(err)) => Finding::problem(format!("{} cannot be used: {err}", path.display()), aside()).caused_by(&err),
        Err(Failure::Copy(err)) => {
            Finding::skipped(format!("{} could not be copied to be looked at: {err}", path.display())).caused_by(&err)
        }
    }
}

enum Failure {
    Copy(io::Error),
    Store(Error),
}

/// Opens a copy of a database and throws it away. Something, where it is damaged.
async fn copied(path: &Path) -> Result<Option<()>, Failure> {
    let folder = tempfile::Builder::new().prefix("mcp-git-doctor").tempdir().map_err(Failure::Copy)?;
    let copy = folder.path().join("store.db");
    fs::copy(path, &copy).map_err(Failure::Copy)?;
    let log = beside(path, "-wal");
    if fs::metadata(&log).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_COPY) {
        fs::copy(&log, beside(&copy, "-wal")).map_err(Failure::Copy)?;
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

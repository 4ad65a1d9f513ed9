//! An `SQLite` file: private, checked on open, quarantined if damaged.

use crate::{
    address,
    error::Error,
    place::{FileId, Place, file_id},
    schema,
    store::{Kind, Opened, Store},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{
    AnyConnection, AnyPool, ConnectOptions, Connection, Row,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, sleep};

/// Timeout for the folder's lock, held while another server opens a file there, and for a pooled connection.
const BUSY: Duration = Duration::from_secs(5);
/// Timeout for another process's lock. A call waits once, then continues without the store.
const LOCKED: Duration = Duration::from_secs(1);
/// The same timeout, for `SQLite`.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 1000";
/// Retry interval for a held lock.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How long an idle connection is kept. Each costs a thread and a cache.
const IDLE: Duration = Duration::from_secs(30);
/// `SQLite` has one writer at a time; further connections would only wait for each other.
const CONNECTIONS: u32 = 4;
/// Files up to this size are checked completely when opened.
const CHECKED: u64 = 64 << 20;
/// A crash of the machine may lose the last transactions, but does not corrupt the file.
const NORMAL: &str = "PRAGMA busy_timeout = 1000; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512";
/// Each commit is on disk before it returns, with all earlier ones.
const FULL: &str = "PRAGMA busy_timeout = 1000; PRAGMA synchronous = FULL; PRAGMA cache_size = -512";

/// Opens the file at `path`; `replaces` if this process had another file open there.
pub(crate) async fn open(path: &Path, replaces: bool) -> Result<Opened, Error> {
    let (Some(name), Some(dir)) = (path.file_name(), path.parent()) else {
        return Err(Error::Address("the path of the database does not name a file"));
    };
    let dir = std::path::absolute(dir.join(".")).map_err(Error::io)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Error::io)?;
    // Without links and dots, which the driver would resolve as parts of a URL.
    let dir = fs::canonicalize(dir).map_err(Error::io)?;
    let path = dir.join(name);
    // Held until the file is ready: two processes that find it damaged must not quarantine each other's new file.
    let _lock = lock_folder(&dir).await?;
    if replaces {
        remove_own_logs(&path);
    }
    let quarantined = match prepare(&path).await {
        Err(Error::Corrupt(_)) => {
            let aside = quarantine(&path).map_err(Error::io)?;
            prepare(&path).await?;
            Some(aside)
        }
        prepared => {
            prepared?;
            None
        }
    };
    let place = Arc::new(Place::of(&path).map_err(Error::io)?);
    let (pool, durable) = (pool(&place, NORMAL, CONNECTIONS)?, pool(&place, FULL, 1)?);
    let store = Store { kind: Kind::Sqlite, pool, durable, place: Some(place), server: None };
    Ok(Opened { store, quarantined, rescued: None })
}

/// Removes the log and index beside `path` if this process has them open but not the file itself: they belong to the previous
/// file, and `SQLite` would apply them to the new one.
fn remove_own_logs(path: &Path) {
    let own: Vec<FileId> = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter_map(|fd| open_file(&fd.path())).collect();
    let is_own = |path: &Path| file_id(path).is_ok_and(|id| own.contains(&id));
    if is_own(path) {
        return;
    }
    for log in ["-wal", "-shm"].map(|suffix| beside(path, suffix)) {
        if is_own(&log) {
            let _ = fs::remove_file(log);
        }
    }
}

/// The file behind a descriptor.
fn open_file(fd: &Path) -> Option<FileId> {
    let found = fs::metadata(fd).ok().filter(fs::Metadata::is_file)?;
    Some((found.dev(), found.ino(), found.created().ok()))
}

/// Locks the folder, as every process does that opens a database in it.
async fn lock_folder(dir: &Path) -> Result<File, Error> {
    let file = File::open(dir).map_err(Error::io)?;
    let deadline = Instant::now() + BUSY;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL).await,
            Err(err) => return Err(Error::io(err.into())),
        }
    }
}

/// Creates the file if absent, and ensures that it is sound and migrated.
async fn prepare(path: &Path) -> Result<(), Error> {
    let new = create(path).map_err(Error::io)?;
    if new {
        // Leftovers of a removed file do not belong to the new one.
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(path, suffix));
        }
    } else {
        // SQLite treats a file of one byte as empty: it would remove the log and silently start over.
        if length(path) <= 1 && length(&beside(path, "-wal")) > 0 {
            return Err(Error::Corrupt("an empty file with a log beside it".into()));
        }
        refuse_newer(path).await?;
    }
    let deadline = Instant::now() + LOCKED;
    loop {
        match settle(path).await {
            // SQLite does not wait for other connections when it switches to WAL or ends a journal.
            Err(err) if err.is_busy() && Instant::now() < deadline => sleep(POLL).await,
            settled => return settled,
        }
    }
}

/// Creates an empty file readable by its owner only; the log and index inherit its mode. Returns whether it was created.
fn create(path: &Path) -> io::Result<bool> {
    // Only created here, never opened: closing it would release the locks that this process holds through SQLite.
    // `create_new` does not follow links.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(true),
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
        Err(err) => return Err(err),
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the database is not a regular file"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(false)
}

/// Rejects a file of a later release, over a read-only connection: a writable one would merge the log into the file when it
/// closes.
async fn refuse_newer(path: &Path) -> Result<(), Error> {
    // Other errors are left to the writable connection, which can recover.
    let Ok(mut conn) = options(path, "ro")?.connect().await else { return Ok(()) };
    sqlx::raw_sql(BUSY_TIMEOUT).execute(&mut conn).await?;
    let found = schema::version(&mut conn, Kind::Sqlite).await;
    let _ = conn.close().await;
    match found {
        Err(err @ Error::Newer { .. }) => Err(err),
        _ => Ok(()),
    }
}

async fn settle(path: &Path) -> Result<(), Error> {
    let mut conn = options(path, "rw")?.connect().await?;
    sqlx::raw_sql(BUSY_TIMEOUT).execute(&mut conn).await?;
    let settled = check(&mut conn, length(path) < CHECKED).await;
    // Even after an error: the file may be quarantined next.
    let _ = conn.close().await;
    settled
}

async fn check(conn: &mut AnyConnection, whole: bool) -> Result<(), Error> {
    // Before any write.
    schema::version(conn, Kind::Sqlite).await?;
    if whole {
        let found: String = sqlx::query("PRAGMA quick_check(1)").persistent(false).fetch_one(&mut *conn).await?.try_get(0)?;
        if found != "ok" {
            return Err(Error::Corrupt(found.into()));
        }
    }
    sqlx::query("PRAGMA journal_mode = WAL").persistent(false).execute(&mut *conn).await?;
    schema::migrate(conn, Kind::Sqlite).await
}

fn length(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |found| found.len())
}

/// Moves the file and its log and index aside. Returns the new path.
fn quarantine(path: &Path) -> io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut aside = beside(path, &format!(".corrupt-{seconds}"));
    let mut n = 0;
    while fs::symlink_metadata(&aside).is_ok() {
        n += 1;
        aside = beside(path, &format!(".corrupt-{seconds}-{n}"));
    }
    // The file last: as long as it is there, an interrupted run is repeated.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(err) if err.kind() != ErrorKind::NotFound || suffix.is_empty() => return Err(err),
            _ => {}
        }
    }
    Ok(aside)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn pool(place: &Arc<Place>, settings: &'static str, connections: u32) -> Result<AnyPool, Error> {
    let own = Arc::clone(place);
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .idle_timeout(IDLE)
        .max_lifetime(None)
        // Connections are threads of this process and cannot drop silently.
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            let own = Arc::clone(&own);
            Box::pin(async move {
                // All connections must be to the same file, so that its rows can be copied when it is removed.
                if !own.is_current() {
                    return Err(sqlx::Error::Io(io::Error::new(ErrorKind::NotFound, "the file of the database was removed or replaced")));
                }
                sqlx::raw_sql(settings).execute(conn).await.map(drop)
            })
        });
    Ok(pool.connect_lazy_with(options(&place.path, "rw")?))
}

/// What a path of a URL does not hold as it is.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Connection options for the file in `mode`; never creates it.
fn options(path: &Path, mode: &str) -> Result<AnyConnectOptions, Error> {
    let Some(path) = path.to_str() else {
        return Err(Error::Address("the path of the database is not UTF-8"));
    };
    let path = utf8_percent_encode(path, &RESERVED);
    address::options(&format!("sqlite://{path}?mode={mode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn setting(pool: &AnyPool, pragma: &'static str) -> Result<String, Error> {
        let row = sqlx::query(pragma).fetch_one(pool).await?;
        Ok(row.try_get::<i64, _>(0).map(|number| number.to_string()).or_else(|_| row.try_get(0))?)
    }

    #[tokio::test]
    async fn connections_are_configured() -> Result<(), Error> {
        sqlx::any::install_default_drivers();
        let dir = tempfile::tempdir().map_err(Error::io)?;
        let store = open(&dir.path().join("store.db"), false).await?.store;
        for (pool, synchronous) in [(&store.pool, "1"), (&store.durable, "2")] {
            assert_eq!(setting(pool, "PRAGMA synchronous").await?, synchronous);
            assert_eq!(setting(pool, "PRAGMA journal_mode").await?, "wal");
            assert_eq!(setting(pool, "PRAGMA busy_timeout").await?, LOCKED.as_millis().to_string());
        }
        Ok(())
    }
}

//! A file of `SQLite`: made private, checked before use, put aside when damaged.

use crate::{
    address,
    error::Error,
    place::{FileId, Place, file_id},
    schema,
    store::{Kind, Opened, Store},
};
use sqlx::{
    AnyConnection, AnyPool, ConnectOptions, Connection, Row,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use std::{
    ffi::OsString,
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, sleep};

/// How long to wait for other servers that open a file of the same folder, and for a connection of the pool.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for the lock of another process. A call waits for it once, and then does without the store.
const LOCKED: Duration = Duration::from_secs(1);
/// The same, for `SQLite`.
const PATIENCE: &str = "PRAGMA busy_timeout = 1000";
/// How often a lock that is held is tried again.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How long a connection is kept that nobody needs. Each is a thread and a cache.
const IDLE: Duration = Duration::from_secs(30);
/// `SQLite` has one writer at a time; more connections than these would only wait for each other.
const CONNECTIONS: u32 = 4;
/// Bytes up to which a file is read through when it is opened.
const CHECKED: u64 = 64 << 20;
/// A crash of the machine may cost the last transactions, never the file.
const NORMAL: &str = "PRAGMA busy_timeout = 1000; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512";
/// Each transaction is on the disk before it ends, and all those before it.
const FULL: &str = "PRAGMA busy_timeout = 1000; PRAGMA synchronous = FULL; PRAGMA cache_size = -512";

/// Opens the file at `path`; `succeeds` where this process has had another file open there.
pub(crate) async fn open(path: &Path, succeeds: bool) -> Result<Opened, Error> {
    let (Some(name), Some(dir)) = (path.file_name(), path.parent()) else {
        return Err(Error::Address("the path of the database names no file"));
    };
    let dir = std::path::absolute(dir.join(".")).map_err(Error::io)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Error::io)?;
    // Without links and dots, which the driver would read as parts of a URL.
    let dir = fs::canonicalize(dir).map_err(Error::io)?;
    let path = dir.join(name);
    // Held until the file is in order: two that find it damaged must not put aside each other's new one.
    let _alone = alone(&dir).await?;
    if succeeds {
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

/// Removes the log and the index beside `path` where this process has them open and the file itself not, and so they belong to
/// the one that was there before. `SQLite` would take them for those of the new one.
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

/// The file that a descriptor leads to.
fn open_file(fd: &Path) -> Option<FileId> {
    let found = fs::metadata(fd).ok().filter(fs::Metadata::is_file)?;
    Some((found.dev(), found.ino(), found.created().ok()))
}

/// Takes the lock of the folder, which all who open a file in it take.
async fn alone(dir: &Path) -> Result<File, Error> {
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

/// Makes the file when there is none, and makes sure that it is sound and up to date.
async fn prepare(path: &Path) -> Result<(), Error> {
    let new = create(path).map_err(Error::io)?;
    if new {
        // What a file that was removed has left there is none of this one's.
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(path, suffix));
        }
    } else {
        // SQLite, for which one byte is none, would remove the log, and go on as if nothing had been there.
        if length(path) <= 1 && length(&beside(path, "-wal")) > 0 {
            return Err(Error::Corrupt("an empty file, with a log beside it".into()));
        }
        refuse_newer(path).await?;
    }
    let deadline = Instant::now() + LOCKED;
    loop {
        match settle(path).await {
            // SQLite does not wait for other connections when it changes to WAL or ends a journal.
            Err(err) if err.is_busy() && Instant::now() < deadline => sleep(POLL).await,
            settled => return settled,
        }
    }
}

/// Makes an empty file that only its owner can read, and says whether it did. The log and the index beside it get its mode.
fn create(path: &Path) -> io::Result<bool> {
    // Only ever made here, never opened: to close it would take away the locks which this process holds through SQLite.
    // `create_new` follows no link.
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

/// Refuses a file of a later release, through a connection that cannot write: one that can would merge the log into the file
/// when it closes.
async fn refuse_newer(path: &Path) -> Result<(), Error> {
    // All else is left to the connection that can write, and so recover.
    let Ok(mut conn) = options(path, "ro")?.connect().await else { return Ok(()) };
    sqlx::raw_sql(PATIENCE).execute(&mut conn).await?;
    let found = schema::version(&mut conn, Kind::Sqlite).await;
    let _ = conn.close().await;
    match found {
        Err(err @ Error::Newer { .. }) => Err(err),
        _ => Ok(()),
    }
}

async fn settle(path: &Path) -> Result<(), Error> {
    let mut conn = options(path, "rw")?.connect().await?;
    sqlx::raw_sql(PATIENCE).execute(&mut conn).await?;
    let settled = check(&mut conn, length(path) < CHECKED).await;
    // Whatever came of it: the file may be put aside next.
    let _ = conn.close().await;
    settled
}

async fn check(conn: &mut AnyConnection, whole: bool) -> Result<(), Error> {
    // Before anything is written.
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

/// Puts the file aside with what belongs to it, and says where it is now.
fn quarantine(path: &Path) -> io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut aside = beside(path, &format!(".corrupt-{seconds}"));
    let mut n = 0;
    while fs::symlink_metadata(&aside).is_ok() {
        n += 1;
        aside = beside(path, &format!(".corrupt-{seconds}-{n}"));
    }
    // The file last: while it is there, an interrupted run begins again here.
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
        // A thread of this process does not go away unseen.
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            let own = Arc::clone(&own);
            Box::pin(async move {
                // All connections are to one file: what they know can then be copied when it is gone.
                if !own.is_current() {
                    return Err(sqlx::Error::Io(io::Error::new(ErrorKind::NotFound, "the file of the database was removed or replaced")));
                }
                sqlx::raw_sql(settings).execute(conn).await.map(drop)
            })
        });
    Ok(pool.connect_lazy_with(options(&place.path, "rw")?))
}

/// How to connect to the file in `mode`, never making it.
fn options(path: &Path, mode: &str) -> Result<AnyConnectOptions, Error> {
    let Some(path) = path.to_str() else {
        return Err(Error::Address("the path of the database is not UTF-8"));
    };
    let mut url = "sqlite://".to_owned();
    for byte in path.bytes() {
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => write!(url, "{}", char::from(byte)),
            _ => write!(url, "%{byte:02X}"),
        };
    }
    address::options(&format!("{url}?mode={mode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn setting(pool: &AnyPool, pragma: &'static str) -> Result<String, Error> {
        let row = sqlx::query(pragma).fetch_one(pool).await?;
        Ok(row.try_get::<i64, _>(0).map(|number| number.to_string()).or_else(|_| row.try_get(0))?)
    }

    #[tokio::test]
    async fn connections_are_set_up() -> Result<(), Error> {
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

//! `SQLite` files: their mode and identity, and how damaged ones are handled.

#![allow(clippy::disallowed_methods, reason = "several processes open the file")]
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use sqlx::Connection;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use store::{Address, Error, Opened, OperationEnd, OperationRow, SessionRow, Store};

const OPENER: &str = "MCPGIT_STORE_TEST_FILE";

async fn open(path: &Path) -> Result<Opened, Error> {
    Store::open(&Address::File(path.to_owned())).await
}

async fn begin(store: &Store, id: &str) {
    let row = OperationRow { id: id.to_owned(), state: "running".to_owned(), before: "x".repeat(500), ..OperationRow::default() };
    store.begin_operation(&row).await.unwrap();
}

async fn running(store: &Store) -> usize {
    store.running_operations().await.unwrap().len()
}

/// Creates and closes a file of some pages.
async fn filled(path: &Path) -> Vec<u8> {
    let store = open(path).await.unwrap().store;
    for n in 0..100 {
        begin(&store, &n.to_string()).await;
    }
    store.close().await;
    assert_eq!(names(path.parent().unwrap()), ["store.db"], "the last connection to close merges the log");
    fs::read(path).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/store #1%20?.db");
    let store = open(&path).await.unwrap().store;
    begin(&store, "o").await;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&with(&path, "-wal")), 0o600);
    assert_eq!(mode(&with(&path, "-shm")), 0o600);
    assert_eq!((mode(&dir.path().join("a")), mode(&dir.path().join("a/b"))), (0o700, 0o700));
    store.close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(running(&open(&path).await.unwrap().store).await, 1);
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = (dir.path().join("store.db"), dir.path().join("target"));
    fs::write(&target, "mine").unwrap();
    symlink(&target, &path).unwrap();
    assert!(matches!(open(&path).await, Err(Error::Unavailable(_))));
    assert_eq!(fs::read(&target).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["store.db", "target"]);
}

#[tokio::test]
async fn a_damaged_file_is_quarantined() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let sound = filled(&path).await;
    assert!(sound.len() > 10 * 4096);
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        bytes
    };
    let mut damaged = vec![b"not a database".to_vec(), vec![0; 5000], b"garbage ".repeat(2000)];
    damaged.extend([2, 50, 99, 100, 512, 4095, 4096, sound.len() / 2, sound.len() - 4096].map(|length| sound[..length].to_vec()));
    // Magic string, page size, type of the first and of a later page, cell count.
    damaged.extend([0, 16, 100, 4096, 5 * 4096, 2 * 4096 + 3].map(flipped));
    for (n, bytes) in damaged.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        fs::write(&path, bytes).unwrap();
        let opened = open(&path).await.unwrap();
        let aside = opened.quarantined.unwrap_or_else(|| panic!("damage {n} is not detected"));
        assert_eq!(aside.parent().unwrap(), fs::canonicalize(dir.path()).unwrap());
        assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("store.db.corrupt-"), "{aside:?}");
        assert!(fs::read(&aside).unwrap() == *bytes, "damaged file {n} must be kept unchanged");
        begin(&opened.store, "o").await;
        assert_eq!(running(&opened.store).await, 1);
        assert_eq!(mode(&path), 0o600);
        opened.store.close().await;
        assert_eq!(open(&path).await.unwrap().quarantined, None);
    }
}

#[tokio::test]
async fn a_damaged_file_is_quarantined_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    fs::write(&path, "").unwrap();
    fs::write(with(&path, "-wal"), "log").unwrap();
    let opened = open(&path).await.unwrap();
    let aside = opened.quarantined.unwrap();
    assert_eq!(fs::read(with(&aside, "-wal")).unwrap(), b"log");
    opened.store.close().await;
    // Quarantined files get distinct names even within the same second.
    for _ in 0..3 {
        fs::write(&path, "garbage").unwrap();
        let opened = open(&path).await.unwrap();
        opened.store.close().await;
        assert_eq!(fs::read(opened.quarantined.unwrap()).unwrap(), b"garbage");
    }
    assert_eq!(names(dir.path()).iter().filter(|name| name.contains(".corrupt-") && !name.ends_with("-wal")).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_opens_quarantine_a_damaged_file_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    fs::write(&path, "garbage").unwrap();
    let opening: Vec<_> = (0..6)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move {
                let opened = open(&path).await.unwrap();
                begin(&opened.store, &n.to_string()).await;
                opened.quarantined.is_some()
            })
        })
        .collect();
    let mut aside = 0;
    for opened in opening {
        aside += usize::from(opened.await.unwrap());
    }
    assert_eq!(aside, 1);
    assert_eq!(running(&open(&path).await.unwrap().store).await, 6);
}

#[tokio::test]
async fn rows_of_a_removed_file_are_copied_to_its_replacement() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let address = Address::File(path.clone());
    let old = open(&path).await.unwrap().store;
    for n in 0..600 {
        begin(&old, &n.to_string()).await;
    }
    let session = SessionRow { id: "s".to_owned(), log_level: "info".to_owned(), ..SessionRow::default() };
    old.put_session(&session).await.unwrap();
    assert!(old.is_in_place());
    // Its log and index stay behind.
    fs::remove_file(&path).unwrap();
    assert!(!old.is_in_place());
    let new = old.reopen(&address).await.unwrap();
    assert_eq!((new.rescued, new.quarantined), (Some(601), None));
    let new = new.store;
    assert!(new.is_in_place() && running(&new).await == 600);
    assert_eq!(new.session("s").await.unwrap().unwrap().log_level, "info");
    // A second process reopens later, and changes made since by the first one are kept.
    let end = OperationEnd { state: "done".to_owned(), ..OperationEnd::default() };
    assert!(new.end_operation("7", &end).await.unwrap());
    assert_eq!(old.reopen(&address).await.unwrap().rescued, Some(0));
    old.close().await;
    assert!(with(&path, "-wal").exists(), "closing the old store must keep the log of the new one");
    begin(&new, "more").await;
    new.close().await;
    assert_eq!(names(dir.path()), ["store.db"]);
    assert_eq!(running(&open(&path).await.unwrap().store).await, 600);
}

#[tokio::test]
async fn a_replacement_file_does_not_inherit_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy"));
    filled(&path).await;
    fs::copy(&path, &copy).unwrap();
    let old = open(&path).await.unwrap().store;
    begin(&old, "only in the log").await;
    fs::rename(&copy, &path).unwrap();
    assert!(!old.is_in_place());
    let new = old.reopen(&Address::File(path.clone())).await.unwrap();
    assert_eq!((new.rescued, new.quarantined), (Some(1), None));
    assert_eq!(running(&new.store).await, 101);
    // Without an open connection nothing can be copied.
    old.close().await;
    assert_eq!(old.reopen(&Address::File(path)).await.unwrap().rescued, None);
}

#[tokio::test]
async fn a_locked_file_can_be_read_but_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path).await.unwrap().store;
    let mut other = sqlx::AnyConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    assert!(store.ping().await.is_ok() && store.ping_writing().await.unwrap_err().is_outage());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(store.ping_writing().await.is_ok());
}

#[tokio::test]
async fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    let store = open(&path).await.unwrap().store;
    begin(&store, "o").await;
    // The files as a killed process leaves them.
    for suffix in ["", "-wal"] {
        fs::copy(with(&path, suffix), with(&copy, suffix)).unwrap();
    }
    let opened = open(&copy).await.unwrap();
    assert_eq!((opened.quarantined, running(&opened.store).await), (None, 1));
}

#[tokio::test]
async fn a_newer_file_is_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    filled(&path).await;
    let mut conn = sqlx::AnyConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query("UPDATE mcpgit_meta SET value = value + 1").execute(&mut conn).await.unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(with(&path, suffix), with(&copy, suffix)).unwrap();
    }
    conn.close().await.unwrap();
    // Once closed, and once as left by a killed process.
    for path in [path, copy] {
        let before = (fs::read(&path).unwrap(), fs::read(with(&path, "-wal")).unwrap_or_default());
        assert!(matches!(open(&path).await, Err(Error::Newer { found: 2, known: 1 })));
        let after = (fs::read(&path).unwrap(), fs::read(with(&path, "-wal")).unwrap_or_default());
        assert!(before == after, "{} has changed", path.display());
    }
    assert!(!names(dir.path()).iter().any(|name| name.contains("corrupt")));
}

#[tokio::test]
async fn processes_share_a_file() {
    if let Some(path) = std::env::var_os(OPENER) {
        let store = open(Path::new(&path)).await.unwrap().store;
        for n in 0..30 {
            begin(&store, &format!("{}-{n}", std::process::id())).await;
        }
        store.close().await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let this = std::env::current_exe().unwrap();
    let opener = || Command::new(&this).args(["--exact", "processes_share_a_file"]).env(OPENER, &path).spawn().unwrap();
    let openers: Vec<_> = (0..4).map(|_| opener()).collect();
    for mut opener in openers {
        assert!(opener.wait().unwrap().success());
    }
    assert_eq!(running(&open(&path).await.unwrap().store).await, 120);
}

#[tokio::test]
async fn an_inaccessible_file_is_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(open(&dir.path().join("file/store.db")).await.unwrap_err().is_outage());
    assert!(open(dir.path()).await.unwrap_err().is_outage());
    assert!(matches!(open(Path::new("/")).await, Err(Error::Address(_))));
}

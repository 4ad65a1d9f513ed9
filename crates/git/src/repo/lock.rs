//! File locks that serialise changes across processes, kept with the server's state and never in a repository.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
};
use gix::hash::Kind;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Interval between attempts to acquire a held lock.
const POLL: Duration = Duration::from_millis(10);
/// Initial delay if another process is already waiting. Longer than [`POLL`], so that the other process acquires the lock
/// first.
const COURTESY: Duration = Duration::from_millis(25);
/// Description of an unknown holder.
const UNKNOWN: &str = "another process";
/// Maximum bytes read of a lock file.
const MAX_TEXT: u64 = 64 << 10;

/// A directory of lock files.
#[derive(Clone, Debug)]
pub struct Locks {
    dir: PathBuf,
}

/// A held lock, released when dropped.
///
/// Child git processes inherit it: if this process is killed, its children hold the lock until they exit.
#[derive(Debug)]
pub struct Held {
    file: File,
    /// Offset of the note.
    notes_at: u64,
    /// The note of a crashed previous holder, until recovery has run.
    left: Option<String>,
}

impl Held {
    /// Whether the previous holder crashed and recovery has not run.
    pub fn previous_holder_crashed(&self) -> bool {
        self.left.is_some()
    }

    /// The note of the crashed holder; empty if it had not written one.
    pub fn left(&self) -> &str {
        self.left.as_deref().unwrap_or_default()
    }

    /// Marks recovery as done.
    pub fn mark_recovered(&mut self) {
        self.left = None;
    }

    /// Records what its holder is about to do, for the next holder if this process crashes. It survives the process, but
    /// not necessarily a reboot.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn note(&self, text: &str) -> Result<()> {
        let end = self.notes_at + text.len() as u64;
        let written = self.file.write_all_at(text.as_bytes(), self.notes_at).and_then(|()| {
            // The previous note was longer.
            if self.file.metadata()?.len() > end { self.file.set_len(end) } else { Ok(()) }
        });
        written.map_err(Error::io("writing a lock file"))
    }
}

/// The key for state about `path`: the same in every process.
pub fn key(path: &Path) -> String {
    digest(path.as_os_str().as_bytes())
}

/// A short digest of `bytes`, the same in every process.
pub fn digest(bytes: &[u8]) -> String {
    let id = gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, bytes);
    id.map_or_else(|_| "unnamed".to_owned(), |id| id.to_hex_with_len(20).to_string())
}

impl Locks {
    /// Keeps locks in `dir`, which is created on first use.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The error for a lock of `path` not acquired in time: names its holder, in this process or another.
    pub fn occupied(&self, path: &Path) -> Error {
        let file = open(&self.dir.join(key(path)).with_extension("lock"));
        Error::Occupied { path: path.to_owned(), holder: file.map_or_else(|_| UNKNOWN.to_owned(), |mut file| describe(&mut file)) }
    }

    /// Acquires the lock of `path` for `holder`.
    ///
    /// # Errors
    ///
    /// [`Error::Occupied`] if another process holds it for all of `wait`, or until the deadline; [`Error::Cancelled`].
    pub fn take(&self, path: &Path, holder: &str, wait: Duration, cancel: &Cancel) -> Result<Held> {
        fs::create_dir_all(&self.dir).map_err(Error::io(format!("creating {}", self.dir.display())))?;
        let name = self.dir.join(key(path));
        let mut file = open(&name.with_extension("lock"))?;
        let queue = open(&name.with_extension("queue"))?;
        let start = Instant::now();
        // Waiting processes share the queue lock: if it can be locked exclusively, no process is waiting.
        let mut waits = queue.try_lock().is_err();
        if waits {
            cancel.pause(COURTESY)?;
        } else {
            queue.unlock().map_err(Error::io("unlocking a queue"))?;
        }
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(err)) => return Err(Error::io(format!("locking {}", name.display()))(err)),
                Err(TryLockError::WouldBlock) if start.elapsed() >= wait => {
                    return Err(Error::Occupied { path: path.to_owned(), holder: describe(&mut file) });
                }
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut waits, true) {
                        let _ = queue.try_lock_shared();
                    }
                    match cancel.pause(POLL) {
                        Err(Error::TimedOut) => return Err(Error::Occupied { path: path.to_owned(), holder: describe(&mut file) }),
                        paused => paused?,
                    }
                }
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{}\n{since}\n{holder}\n", std::process::id());
        // Releasing a lock empties its file.
        let is_left = file.metadata().is_ok_and(|meta| meta.len() > 0);
        let left = is_left.then(|| note_of(&text_of(&mut file)).to_owned());
        let all = [text.as_bytes(), left.as_deref().unwrap_or_default().as_bytes()].concat();
        let emptied = if is_left { file.set_len(0).and_then(|()| file.rewind()) } else { Ok(()) };
        let written = emptied.and_then(|()| file.write_all(&all));
        written.map_err(Error::io(format!("writing {}", name.display())))?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(|err| Error::io("sharing a lock")(err.into()))?;
        Ok(Held { file, notes_at: text.len() as u64, left })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A crashed holder's note stays for the next holder.
        let emptied = if self.previous_holder_crashed() { Ok(()) } else { self.file.set_len(0) };
        // Releases it even if children still have it open.
        let _ = emptied.and_then(|()| self.file.unlock());
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of this program, in its state directory")]
fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(Error::io(format!("opening {}", path.display())))
}

/// The content of a lock file; empty if unreadable.
fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let _ = file.rewind().and_then(|()| (&*file).take(MAX_TEXT).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// The note, after three lines about the holder.
fn note_of(text: &str) -> &str {
    text.splitn(4, '\n').nth(3).unwrap_or_default()
}

/// Describes the holder of a lock.
fn describe(file: &mut File) -> String {
    let text = text_of(file);
    let mut lines = text.lines();
    let (Some(pid), Some(since), Some(what)) = (lines.next(), lines.next(), lines.next()) else {
        return UNKNOWN.to_owned();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(since.parse().unwrap_or(now));
    if Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists() {
        return format!("orphaned processes of {what}, started {seconds}s ago; its server (process {pid}) was killed");
    }
    format!("{what} in process {pid}, for {seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_its_holder_is_named() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let locks = Locks::new(dir.path().join("locks"));
        let (here, there) = (Path::new("/a"), Path::new("/b"));
        let held = locks.take(here, "git_commit", Duration::ZERO, &Cancel::never())?;
        let _other = locks.take(there, "git_add", Duration::ZERO, &Cancel::never())?;
        let refused = locks.take(here, "git_add", Duration::ZERO, &Cancel::never()).map(drop).map_err(|err| err.to_string());
        let expect = format!("git_commit in process {}", std::process::id());
        assert!(refused.as_ref().is_err_and(|text| text.contains(&expect)), "{refused:?}");
        drop(held);
        assert!(!locks.take(here, "git_add", Duration::ZERO, &Cancel::never())?.previous_holder_crashed());
        Ok(())
    }

    #[test]
    fn a_crashed_holders_note_is_kept_until_recovery() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let locks = Locks::new(dir.path().to_owned());
        let take = || locks.take(Path::new("/a"), "git_add", Duration::ZERO, &Cancel::never());
        drop(take()?);
        fs::write(dir.path().join(key(Path::new("/a"))).with_extension("lock"), "1\n2\ngit_commit\nto do\n")
            .map_err(Error::io("a lock"))?;
        assert_eq!(take()?.left(), "to do\n");
        let mut held = take()?;
        assert_eq!((held.previous_holder_crashed(), held.left()), (true, "to do\n"));
        held.mark_recovered();
        held.note("something else\n")?;
        drop(held);
        assert!(!take()?.previous_holder_crashed());
        Ok(())
    }

    #[test]
    fn a_note_replaces_the_previous_one() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let file = dir.path().join(key(Path::new("/a"))).with_extension("lock");
        let held = Locks::new(dir.path().to_owned()).take(Path::new("/a"), "git_add", Duration::ZERO, &Cancel::never())?;
        held.note("the longer one\n")?;
        held.note("short\n")?;
        let text = text_of(&mut open(&file)?);
        assert_eq!((note_of(&text), text.lines().nth(2)), ("short\n", Some("git_add")));
        Ok(())
    }

    #[test]
    fn waiting_ends_with_the_holder_or_the_caller() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let locks = Locks::new(dir.path().to_owned());
        let held = locks.take(Path::new("/a"), "one", Duration::ZERO, &Cancel::never())?;
        let cancelled = Cancel::never();
        cancelled.cancel();
        assert!(matches!(locks.take(Path::new("/a"), "two", Duration::from_mins(1), &cancelled), Err(Error::Cancelled)));
        let waiting = std::thread::spawn({
            let locks = locks.clone();
            move || locks.take(Path::new("/a"), "two", Duration::from_mins(1), &Cancel::never()).is_ok()
        });
        drop(held);
        assert!(waiting.join().is_ok_and(|taken| taken));
        Ok(())
    }
}

//! One change at a time across processes: file locks, kept beside the server's state and never in a repository.

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

/// How often a lock that is held is tried again.
const POLL: Duration = Duration::from_millis(10);
/// How long a newcomer stands back where another process waits already. Longer than [`POLL`], so that the other one wins.
const COURTESY: Duration = Duration::from_millis(25);
/// What is said of a holder that has not said anything.
const UNKNOWN: &str = "another process";
/// The most that is read of what a lock's holder has written into it.
const MAX_TEXT: u64 = 64 << 10;

/// A folder of lock files.
#[derive(Clone, Debug)]
pub struct Locks {
    dir: PathBuf,
}

/// A lock, given back when dropped.
///
/// The git processes that run meanwhile inherit it: when this process is killed, what it started keeps the lock until
/// it has ended, too.
#[derive(Debug)]
pub struct Held {
    file: File,
    /// Where notes begin.
    notes_at: u64,
    /// The note of a holder that crashed, until recovery has run.
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

    /// Records that recovery has run.
    pub fn mark_recovered(&mut self) {
        self.left = None;
    }

    /// Notes what its holder is about to do, for whoever has the lock next should this process be killed. It outlives the
    /// process, and need not outlive the machine.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn note(&self, text: &str) -> Result<()> {
        let end = self.notes_at + text.len() as u64;
        let written = self.file.write_all_at(text.as_bytes(), self.notes_at).and_then(|()| {
            // Where there was a longer one.
            if self.file.metadata()?.len() > end { self.file.set_len(end) } else { Ok(()) }
        });
        written.map_err(Error::io("writing into a lock"))
    }
}

/// The name under which state about `path` is kept: the same in every process.
pub fn key(path: &Path) -> String {
    digest(path.as_os_str().as_bytes())
}

/// A short name for `bytes`, the same in every process.
pub fn digest(bytes: &[u8]) -> String {
    let id = gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, bytes);
    id.map_or_else(|_| "unnamed".to_owned(), |id| id.to_hex_with_len(20).to_string())
}

impl Locks {
    /// Keeps locks in `dir`, which is made when it is first needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Why `path` could not be changed in time: who holds its lock, in this process or another one.
    pub fn occupied(&self, path: &Path) -> Error {
        let file = open(&self.dir.join(key(path)).with_extension("lock"));
        Error::Occupied { path: path.to_owned(), holder: file.map_or_else(|_| UNKNOWN.to_owned(), |mut file| describe(&mut file)) }
    }

    /// Takes the lock of `path`, on behalf of `holder`.
    ///
    /// # Errors
    ///
    /// [`Error::Occupied`] when another process has held it for `wait`, or until the deadline; [`Error::Cancelled`].
    pub fn take(&self, path: &Path, holder: &str, wait: Duration, cancel: &Cancel) -> Result<Held> {
        fs::create_dir_all(&self.dir).map_err(Error::io(format!("making {}", self.dir.display())))?;
        let name = self.dir.join(key(path));
        let mut file = open(&name.with_extension("lock"))?;
        let queue = open(&name.with_extension("queue"))?;
        let start = Instant::now();
        // Nobody waits: the queue, which those who wait share, can be had alone.
        let mut waits = queue.try_lock().is_err();
        if waits {
            cancel.pause(COURTESY)?;
        } else {
            queue.unlock().map_err(Error::io("giving a queue back"))?;
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
        // Whoever gives it back leaves nothing in it.
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
        // What a kill has left is there for whoever comes next.
        let emptied = if self.previous_holder_crashed() { Ok(()) } else { self.file.set_len(0) };
        // For good, whatever children still have it open.
        let _ = emptied.and_then(|()| self.file.unlock());
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of this program's own, in its state folder")]
fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(Error::io(format!("opening {}", path.display())))
}

/// What is in a lock. Where it cannot be read, nothing is known of its holder.
fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let _ = file.rewind().and_then(|()| (&*file).take(MAX_TEXT).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// The note in it, behind three lines about the holder.
fn note_of(text: &str) -> &str {
    text.splitn(4, '\n').nth(3).unwrap_or_default()
}

/// Who holds a lock, in words.
fn describe(file: &mut File) -> String {
    let text = text_of(file);
    let mut lines = text.lines();
    let (Some(pid), Some(since), Some(what)) = (lines.next(), lines.next(), lines.next()) else {
        return UNKNOWN.to_owned();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(since.parse().unwrap_or(now));
    if Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists() {
        return format!("what is left of {what}, whose server (process {pid}) was killed {seconds}s after it began or later");
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
    fn what_a_kill_has_left_is_seen_until_somebody_looks_after_it() -> Result<()> {
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
    fn a_note_takes_the_place_of_the_one_before() -> Result<()> {
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

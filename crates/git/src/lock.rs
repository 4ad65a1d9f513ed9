//! One change at a time across processes: file locks, kept beside the server's state and never in a repository.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
};
use gix::hash::Kind;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How often a lock that is held is tried again.
const POLL: Duration = Duration::from_millis(10);
/// How long a newcomer stands back where another process waits already. Longer than [`POLL`], so that the other one wins.
const COURTESY: Duration = Duration::from_millis(25);

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
    follows_a_kill: bool,
}

impl Held {
    /// True where whoever had it before was killed with it, and nobody has looked after that yet.
    pub fn follows_a_kill(&self) -> bool {
        self.follows_a_kill
    }

    /// Says that what a kill has left has been looked after.
    pub fn looked_after(&mut self) {
        self.follows_a_kill = false;
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

    /// Takes the lock of `path`, on behalf of `holder`.
    ///
    /// # Errors
    ///
    /// [`Error::Occupied`] when another process has held it for `wait`; [`Error::Cancelled`].
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
                    cancel.pause(POLL)?;
                }
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{}\n{since}\n{holder}\n", std::process::id());
        // Whoever gives it back leaves nothing in it.
        let follows_a_kill = file.metadata().is_ok_and(|meta| meta.len() > 0);
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(Error::io(format!("writing {}", name.display())))?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(|err| Error::io("sharing a lock")(err.into()))?;
        Ok(Held { file, follows_a_kill })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What a kill has left is there for whoever comes next.
        let emptied = if self.follows_a_kill { Ok(()) } else { self.file.set_len(0) };
        // For good, whatever children still have it open.
        let _ = emptied.and_then(|()| self.file.unlock());
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(Error::io(format!("opening {}", path.display())))
}

/// Who holds a lock, in words.
fn describe(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| (&*file).take(4096).read_to_string(&mut text));
    let mut lines = text.lines();
    let (Ok(_), Some(pid), Some(since), Some(what)) = (read, lines.next(), lines.next(), lines.next()) else {
        return "another process".to_owned();
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
        assert!(!locks.take(here, "git_add", Duration::ZERO, &Cancel::never())?.follows_a_kill());
        Ok(())
    }

    #[test]
    fn what_a_kill_has_left_is_seen_until_somebody_looks_after_it() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let locks = Locks::new(dir.path().to_owned());
        let take = || locks.take(Path::new("/a"), "git_add", Duration::ZERO, &Cancel::never());
        drop(take()?);
        fs::write(dir.path().join(key(Path::new("/a"))).with_extension("lock"), "1\n2\ngit_commit\n").map_err(Error::io("a lock"))?;
        assert!(take()?.follows_a_kill());
        let mut held = take()?;
        assert!(held.follows_a_kill());
        held.looked_after();
        drop(held);
        assert!(!take()?.follows_a_kill());
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

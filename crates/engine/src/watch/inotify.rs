//! Watches by Linux's inotify.

use super::{Changes, MAX_WATCHES};
use crate::{
    beneath::{Folder, to_path},
    error::{Error, Result},
};
use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use std::{
    collections::{HashMap, HashSet},
    io,
    mem::MaybeUninit,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The folders watched by this process: the kernel's limit is one for all programs of a user.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// File systems that report every change of this machine. Others are shared with machines or programs whose changes are
/// not reported, or report those of one layer only.
const SUITABLE: [u64; 7] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
];

/// Further file systems of this machine alone.
const LOCAL: [u64; 3] = [
    0x794C_7630, // overlay
    0x8584_58F6, // ramfs
    0x7371_7368, // squashfs
];

/// Whether the path, or the nearest folder above it that exists, is on a file system that cannot hang as a network's.
pub fn is_local(path: &Path) -> bool {
    let kind = path.ancestors().find_map(|path| rustix::fs::statfs(path).ok()).and_then(|system| u64::try_from(system.f_type).ok());
    kind.is_some_and(|kind| SUITABLE.contains(&kind) || LOCAL.contains(&kind))
}

/// A set of watched folders.
#[derive(Debug)]
pub struct Watch {
    queue: OwnedFd,
    by_number: HashMap<i32, Key>,
    watched: HashSet<Key>,
}

/// A folder: the path of the one it is below, and its path from there.
type Key = (Box<[u8]>, Box<[u8]>);

impl Watch {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], for example at the limit of queues.
    pub fn new() -> Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed("creating a queue of file events"))?;
        Ok(Self { queue, by_number: HashMap::new(), watched: HashSet::new() })
    }

    /// Watches the entries of the folder at `path` below `top`, from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a file system that does not report every change, and at the limit of watches;
    /// [`Error::Io`] if there is no such folder.
    pub fn add(&mut self, top: &Folder, path: &[u8]) -> Result<()> {
        let key = key(top, path);
        if self.watched.contains(&key) {
            return Ok(());
        }
        let folder = top.folder(to_path(path)).map_err(Error::io("opening a folder to watch"))?;
        let system = rustix::fs::fstatfs(&folder).map_err(failed("finding the file system of a folder"))?;
        if !u64::try_from(system.f_type).is_ok_and(|kind| SUITABLE.contains(&kind)) {
            return Err(Error::Unsupported("a file system that does not report every change"));
        }
        if WATCHED.fetch_add(1, Ordering::Relaxed) >= MAX_WATCHES {
            WATCHED.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Unsupported("more folders than can be watched"));
        }
        let wanted = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // By its descriptor: its path could lead elsewhere by now.
        let opened = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
        match inotify::add_watch(&self.queue, opened, wanted) {
            // A folder that is mounted at two places has one number.
            Ok(number) if self.by_number.insert(number, key.clone()).is_some() => {
                WATCHED.fetch_sub(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) => {
                WATCHED.fetch_sub(1, Ordering::Relaxed);
                return Err(failed("watching a folder")(error));
            }
        }
        self.watched.insert(key);
        Ok(())
    }

    /// Whether the folder is watched.
    pub fn has(&self, top: &Folder, path: &[u8]) -> bool {
        self.watched.contains(&key(top, path))
    }

    /// What changed since the last look.
    pub fn drain(&mut self) -> Changes {
        let mut buffer = [MaybeUninit::uninit(); 8 << 10];
        let mut found = Changes::Nothing;
        let mut ended = Vec::new();
        {
            let mut events = inotify::Reader::new(&self.queue, &mut buffer);
            loop {
                let event = match events.next() {
                    Ok(event) => event,
                    Err(Errno::INTR) => continue,
                    Err(Errno::AGAIN) => break,
                    Err(_) => return Changes::Lost,
                };
                if event.events().intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
                    return Changes::Lost;
                }
                let is_folder = event.events().intersects(ReadFlags::ISDIR | ReadFlags::IGNORED);
                found = found.max(if is_folder { Changes::Folders } else { Changes::Files });
                if event.events().contains(ReadFlags::IGNORED) {
                    ended.push(event.wd());
                }
            }
        }
        for number in ended {
            if let Some(key) = self.by_number.remove(&number) {
                self.watched.remove(&key);
                WATCHED.fetch_sub(1, Ordering::Relaxed);
            }
        }
        found
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.fetch_sub(self.by_number.len(), Ordering::Relaxed);
    }
}

fn key(top: &Folder, path: &[u8]) -> Key {
    use std::os::unix::ffi::OsStrExt;
    (top.path().as_os_str().as_bytes().into(), path.strip_suffix(b"/").unwrap_or(path).into())
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Io { doing: doing.to_owned(), source: io::Error::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    type Change<'a> = (Changes, &'a dyn Fn() -> io::Result<()>);
    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn each_kind_of_change_is_seen_before_its_call_returns_and_reading_is_none() -> Outcome {
        let home = tempfile::tempdir()?;
        let top = home.path().canonicalize()?;
        fs::create_dir_all(top.join("a/b"))?;
        fs::write(top.join("a/b/file"), "1")?;
        let folder = Folder::open(&top)?;
        let mut watch = Watch::new()?;
        for dir in [&b""[..], b"a", b"a/b/"] {
            watch.add(&folder, dir)?;
        }
        assert!(watch.has(&folder, b"a/b") && !watch.has(&folder, b"c"));
        folder.read("a/b/file", crate::beneath::Kind::Line)?;
        fs::read_dir(top.join("a/b"))?.count();
        assert_eq!(watch.drain(), Changes::Nothing);
        let changes: [Change<'_>; 7] = [
            (Changes::Files, &|| fs::write(top.join("a/b/file"), "22")),
            (Changes::Files, &|| fs::write(top.join("a/b/new"), "")),
            (Changes::Files, &|| fs::rename(top.join("a/b/new"), top.join("a/b/newer"))),
            (Changes::Files, &|| fs::remove_file(top.join("a/b/newer"))),
            (Changes::Folders, &|| fs::create_dir(top.join("c"))),
            (Changes::Files, &|| fs::set_permissions(top.join("a/b/file"), std::os::unix::fs::PermissionsExt::from_mode(0o600))),
            (Changes::Files, &|| std::os::unix::fs::symlink("x", top.join("a/link"))),
        ];
        for (at, (expect, change)) in changes.iter().enumerate() {
            change()?;
            assert_eq!((watch.drain(), watch.drain()), (*expect, Changes::Nothing), "change {at}");
        }
        fs::remove_dir_all(top.join("a/b"))?;
        assert_eq!(watch.drain(), Changes::Folders);
        assert!(!watch.has(&folder, b"a/b"));
        fs::rename(top.join("a"), top.join("moved"))?;
        assert_eq!(watch.drain(), Changes::Lost);
        assert!(watch.add(&folder, b"nothing").is_err());
        Ok(())
    }
}

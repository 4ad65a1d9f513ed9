//! The only module that opens repository files: relative to a directory descriptor, following no symbolic link, never
//! blocking on a pipe, and up to a size limit.

mod change;

use crate::error::{Error, Result};
pub use rustix::fs::Stat;
use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Kinds of repository files, each with its size limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A one-line file: `HEAD`, `.git`, `commondir`, a step counter.
    Line,
    /// `config` and similar files. gix uses about fifty bytes of memory per byte.
    Config,
    /// Attributes, ignore patterns, `.gitmodules`, alternates.
    Rules,
    /// Remaining steps of a sequencer operation, and the bisect log.
    Steps,
    /// `FETCH_HEAD`.
    Fetched,
    /// The message of a pending commit.
    Message,
    /// An index file.
    Index,
}

impl Kind {
    /// The size limit in bytes.
    pub fn limit(self) -> u64 {
        match self {
            Self::Line => 64 << 10,
            Self::Config => 9 << 18,
            Self::Rules => 1 << 20,
            Self::Steps => 4 << 20,
            Self::Fetched | Self::Message => 16 << 20,
            Self::Index => 1 << 30,
        }
    }
}

/// The kind of a directory entry, without following links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// An open directory. It stays the same even if its path is renamed.
#[derive(Debug)]
pub struct Folder {
    dir: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the directory at `path`; no component may be a symbolic link.
    ///
    /// # Errors
    ///
    /// The system's; `ELOOP` for symbolic links.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: open_folder(path)?, path: path.to_owned() })
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its path still leads to it.
    pub fn is_in_place(&self) -> bool {
        let held = rustix::fs::fstat(&self.dir).map(|stat| (stat.st_dev, stat.st_ino));
        let there = rustix::fs::lstat(&self.path).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }

    /// Opens the regular file at `path`; no component may be a symbolic link.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file; `ELOOP` for symbolic links.
    pub fn file(&self, path: impl AsRef<Path>) -> io::Result<(File, Metadata)> {
        let file = resolve(self, path.as_ref(), rustix::fs::OFlags::RDONLY)?;
        let found = file.metadata()?;
        // A pipe or a device could block or never end.
        if found.is_file() { Ok((file, found)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// The names of the folders in the folder at `path`.
    ///
    /// # Errors
    ///
    /// As for [`Folder::folder`].
    pub fn folders_in(&self, path: impl AsRef<Path>) -> io::Result<Vec<std::ffi::OsString>> {
        let mut found = Vec::new();
        self.folder(path)?.entries(&mut Vec::new(), |name, kind| {
            if kind == EntryKind::Folder {
                found.push(std::ffi::OsStr::from_bytes(name).to_owned());
            }
            true
        })?;
        Ok(found)
    }

    /// Opens the regular file `name`, which lies directly in this directory, and returns its size. Not a symbolic link.
    ///
    /// Costs less than [`Folder::file`] for many files of one directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file, or `name` has more than one component.
    pub fn own_file(&self, name: &[u8]) -> io::Result<(File, u64)> {
        use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
        if name.is_empty() || name.contains(&b'/') || matches!(name, b"." | b"..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let file = openat(&self.dir, name, flags, Mode::empty())?;
        let found = fstat(&file)?;
        let is_regular = FileType::from_raw_mode(found.st_mode).is_file();
        let size = u64::try_from(found.st_size).ok().filter(|_| is_regular).ok_or(io::ErrorKind::InvalidInput)?;
        Ok((File::from(file), size))
    }

    /// Replaces the content of the regular file at `path`; no component may be a symbolic link.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file; the system's.
    pub fn write(&self, path: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        use rustix::fs::OFlags;
        let mut file = resolve(self, path.as_ref(), OFlags::WRONLY | OFlags::CREATE)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.set_len(0)?;
        io::Write::write_all(&mut file, content)
    }

    /// The content of the file at `path`; `None` if absent.
    ///
    /// # Errors
    ///
    /// [`Error::NotReadable`] for a symbolic link, a file that is not regular, or one over the size limit of its kind.
    pub fn read(&self, path: impl AsRef<Path>, kind: Kind) -> Result<Option<Vec<u8>>> {
        Ok(self.read_with_metadata(path, kind)?.map(|(content, _)| content))
    }

    /// [`Folder::read`], with the metadata of the file.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read_with_metadata(&self, path: impl AsRef<Path>, kind: Kind) -> Result<Option<(Vec<u8>, Metadata)>> {
        let path = path.as_ref();
        let refused = |why| Err(Error::NotReadable { path: self.path.join(path), why });
        let (file, found) = match self.file(path) {
            Ok(opened) => opened,
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => return refused("is not a regular file"),
            Err(err) if is_link(&err) => return refused("is a symbolic link, or lies below one"),
            Err(err) => return Err(Error::io(format!("opening {}", self.path.join(path).display()))(err)),
        };
        let limit = kind.limit();
        let mut content = Vec::with_capacity(usize::try_from(found.len().min(limit)).unwrap_or_default());
        let read = file.take(limit + 1).read_to_end(&mut content);
        read.map_err(Error::io(format!("reading {}", self.path.join(path).display())))?;
        if content.len() as u64 > limit { refused("exceeds the size limit") } else { Ok(Some((content, found))) }
    }

    /// The first line of the file at `path`, without trailing whitespace; `None` if absent.
    pub fn line(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let text = self.read(path, Kind::Line).ok()??;
        Some(text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end().to_vec())
    }

    /// The target of the symbolic link at `path`, as written; `None` for anything else.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        rustix::fs::readlinkat(&self.dir, path.as_ref(), Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }

    /// Opens the directory at `path` below it; no component may be a symbolic link. An empty path opens it anew.
    ///
    /// # Errors
    ///
    /// The system's; `ELOOP` for symbolic links.
    pub fn folder(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let (below, whole) = if path.as_os_str().is_empty() { (Path::new("."), self.path.clone()) } else { (path, self.path.join(path)) };
        let dir = OwnedFd::from(resolve(self, below, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY)?);
        Ok(Self { dir, path: whole })
    }

    /// Calls `each` with the name and the kind of every entry, in the file system's order. `buffer` is reused memory.
    /// It stops early once `each` is false.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn entries(&mut self, buffer: &mut Vec<u8>, mut each: impl FnMut(&[u8], EntryKind) -> bool) -> io::Result<()> {
        rustix::fs::seek(&self.dir, rustix::fs::SeekFrom::Start(0))?;
        read_entries(&self.dir, buffer, |name, kind| {
            if matches!(name, b"." | b"..") {
                return Ok(true);
            }
            let kind = match kind {
                // Some file systems do not store it.
                rustix::fs::FileType::Unknown => match self.stat(to_path(name)) {
                    Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(true),
                    found => rustix::fs::FileType::from_raw_mode(found?.st_mode),
                },
                kind => kind,
            };
            Ok(each(name, entry_kind(kind)))
        })
    }

    /// The metadata of the entry `path`, itself and not the target of a link. Links above it are followed.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn stat(&self, path: impl AsRef<Path>) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.dir, path.as_ref(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Its own metadata.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn own_stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.dir)?)
    }

    /// Whether `path` exists, whatever its type.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        rustix::fs::statat(&self.dir, path.as_ref(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The kind of an entry with this metadata.
pub fn kind_of(stat: &Stat) -> EntryKind {
    entry_kind(rustix::fs::FileType::from_raw_mode(stat.st_mode))
}

fn entry_kind(kind: rustix::fs::FileType) -> EntryKind {
    match kind {
        rustix::fs::FileType::RegularFile => EntryKind::File,
        rustix::fs::FileType::Directory => EntryKind::Folder,
        rustix::fs::FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

/// Size of the buffer for directory entries.
#[cfg(target_os = "linux")]
const ENTRIES: usize = 32 << 10;

#[cfg(target_os = "linux")]
fn read_entries(
    dir: &OwnedFd,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], rustix::fs::FileType) -> io::Result<bool>,
) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(ENTRIES);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !each(entry.file_name().to_bytes(), entry.file_type())? {
            break;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn read_entries(dir: &OwnedFd, _: &mut Vec<u8>, mut each: impl FnMut(&[u8], rustix::fs::FileType) -> io::Result<bool>) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        if !each(entry.file_name().to_bytes(), entry.file_type())? {
            break;
        }
    }
    Ok(())
}

/// Creates a new file; fails if it exists.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if there is one.
#[expect(clippy::disallowed_methods, reason = "the only place that creates repository files")]
pub fn create_new(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

/// Opens a file of the operator or of this program, following symbolic links. Never blocks.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open_own(path: &Path) -> io::Result<(File, Metadata)> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The content of such a file, up to the size limit of its kind.
///
/// # Errors
///
/// As for [`open_own`]; [`io::ErrorKind::FileTooLarge`] beyond the limit.
pub fn read_own(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    let (file, _) = open_own(path)?;
    let mut content = Vec::new();
    file.take(kind.limit() + 1).read_to_end(&mut content)?;
    if content.len() as u64 > kind.limit() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
}

/// Whether the system refused to follow a symbolic link.
pub fn is_link(err: &io::Error) -> bool {
    err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(target_os = "linux")]
fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)?;
    Ok(opened)
}

/// Why no repository can be opened on this system, if so: each file is opened with `openat2`.
///
/// # Errors
///
/// The reason.
pub fn support() -> std::result::Result<(), &'static str> {
    match open_folder(Path::new("/")) {
        Err(err) if err.kind() == io::ErrorKind::Unsupported => {
            Err("the system call openat2 is unavailable: it needs Linux 5.6, and no filter that forbids it (systemd: RestrictSUIDSGID=no)")
        }
        _ => Ok(()),
    }
}

/// Opens `path` for a Landlock rule; no component may be a symbolic link. `None` if absent; the flag is true for a
/// directory.
///
/// # Errors
///
/// `ELOOP` for symbolic links.
#[cfg(target_os = "linux")]
pub fn hold(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
    let way = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), way) {
        Ok(held) => {
            let kind = FileType::from_raw_mode(fstat(&held)?.st_mode);
            Ok(Some((held, kind.is_dir())))
        }
        Err(err) if matches!(io::Error::from(err).kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

#[cfg(target_os = "linux")]
fn resolve(folder: &Folder, path: &Path, access: rustix::fs::OFlags) -> io::Result<File> {
    use rustix::fs::{OFlags, ResolveFlags, openat2};
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(File::from(openat2(&folder.dir, path, flags, mode_of(access), beneath)?))
}

#[cfg(not(target_os = "linux"))]
fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    Ok(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens each directory on the path separately, to refuse symbolic links.
#[cfg(not(target_os = "linux"))]
fn resolve(folder: &Folder, path: &Path, access: rustix::fs::OFlags) -> io::Result<File> {
    use rustix::fs::{OFlags, openat};
    let flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let mut dir = folder.dir.try_clone()?;
    let parts: Vec<_> = path.components().collect();
    for (at, part) in parts.iter().enumerate() {
        let name = match part {
            std::path::Component::Normal(name) => name,
            std::path::Component::CurDir => std::ffi::OsStr::new("."),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let own = if at + 1 < parts.len() { OFlags::RDONLY | OFlags::DIRECTORY } else { access };
        dir = openat(&dir, name, flags | own, mode_of(own))?;
    }
    Ok(File::from(dir))
}

/// The mode of a new file.
fn mode_of(access: rustix::fs::OFlags) -> rustix::fs::Mode {
    use rustix::fs::{Mode, OFlags};
    if access.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() }
}

/// A path that git wrote into a file.
pub fn to_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_small_regular_files_are_read_and_nothing_blocks() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let top = fs::canonicalize(home.path())?.join("top");
        fs::create_dir_all(top.join("dir"))?;
        fs::write(top.join("dir/file"), "line \nmore")?;
        fs::write(home.path().join("secret"), "secret")?;
        std::os::unix::fs::symlink("../secret", top.join("link"))?;
        std::os::unix::fs::symlink("dir", top.join("folder"))?;
        rustix::fs::mknodat(rustix::fs::CWD, top.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)?;
        fs::File::create(top.join("sparse"))?.set_len(1 << 40)?;
        let folder = Folder::open(&top)?;
        assert_eq!(folder.line("dir/file").as_deref(), Some(&b"line"[..]));
        assert_eq!(folder.read("nothing", Kind::Line)?, None);
        assert_eq!(folder.read("dir/file/below", Kind::Line)?, None);
        for refused in ["link", "folder/file", "pipe", "sparse", "dir"] {
            assert!(matches!(folder.read(refused, Kind::Rules), Err(Error::NotReadable { .. })), "{refused}");
        }
        assert!(folder.read("../secret", Kind::Line).is_err());
        let (mut inner, mut seen) = (folder.folder("")?, Vec::new());
        for _ in 0..2 {
            seen.clear();
            inner.entries(&mut Vec::new(), |name, kind| {
                seen.push((name.to_vec(), kind));
                true
            })?;
        }
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let expect = [("dir", EntryKind::Folder), ("folder", EntryKind::Link), ("link", EntryKind::Link), ("pipe", EntryKind::Other)];
        let expect = expect.into_iter().chain([("sparse", EntryKind::File)]);
        assert_eq!(seen, expect.map(|(name, kind)| (name.as_bytes().to_vec(), kind)).collect::<Vec<_>>());
        assert!(folder.folder("folder").is_err() && folder.folder("..").is_err() && folder.folder("dir").is_ok());
        assert!(Folder::open(&top.join("folder")).is_err());
        fs::rename(&top, home.path().join("moved"))?;
        assert!(!folder.is_in_place());
        let below = folder.folder("dir")?;
        assert_eq!(below.own_file(b"file")?.1, 10);
        for refused in [&b"."[..], b"..", b"", b"../pipe", b"/etc/passwd", b"absent"] {
            assert!(below.own_file(refused).is_err());
        }
        for refused in [&b"link"[..], b"pipe", b"dir"] {
            assert!(folder.own_file(refused).is_err());
        }
        assert!(folder.folder("folder").is_err() && folder.folder("sparse").is_err() && folder.folder("..").is_err());
        assert_eq!(folder.line("dir/file").as_deref(), Some(&b"line"[..]));
        Ok(())
    }
}

//! Changes of the files below an open directory: they are created, replaced and removed through no link.

use super::{Folder, resolve};
use std::{fs::File, io, path::Path};

impl Folder {
    /// Creates a regular file in it; fails if the name exists.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`]; the system's.
    pub fn create_new(&self, name: impl AsRef<Path>) -> io::Result<File> {
        use rustix::fs::OFlags;
        resolve(self, name.as_ref(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens the regular file at `path` to append to it, and creates it if absent; no component may be a symbolic link.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file; the system's.
    pub fn appending(&self, path: impl AsRef<Path>) -> io::Result<File> {
        use rustix::fs::OFlags;
        let file = resolve(self, path.as_ref(), OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Opens the directory at `path` below it, and creates those that are absent.
    ///
    /// # Errors
    ///
    /// The system's; `ELOOP` for symbolic links.
    pub fn make_folder(&self, path: &Path) -> io::Result<Self> {
        let mut made = self.folder("")?;
        for part in path.components() {
            match rustix::fs::mkdirat(&made.dir, part.as_os_str(), rustix::fs::Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(err) => return Err(err.into()),
            }
            made = made.folder(part)?;
        }
        Ok(made)
    }

    /// Renames an entry of it; replaces a file of the new name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn rename(&self, name: impl AsRef<Path>, new: impl AsRef<Path>) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, name.as_ref(), &self.dir, new.as_ref())?)
    }

    /// Removes a file of it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, name.as_ref(), rustix::fs::AtFlags::empty())?)
    }

    /// Sets the times of a regular file to now; fails if it is absent.
    ///
    /// # Errors
    ///
    /// The same as of [`Folder::file`]; the system's.
    pub fn touch(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let now = std::time::SystemTime::now();
        self.file(path)?.0.set_times(std::fs::FileTimes::new().set_accessed(now).set_modified(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write as _};

    #[test]
    fn files_are_changed_below_the_folder_only() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let top = fs::canonicalize(home.path())?.join("top");
        fs::create_dir(&top)?;
        fs::create_dir(home.path().join("outside"))?;
        std::os::unix::fs::symlink("../outside", top.join("link"))?;
        std::os::unix::fs::symlink("../outside/file", top.join("file-link"))?;
        let folder = Folder::open(&top)?;
        let below = folder.make_folder(Path::new("a/b"))?;
        assert!(folder.make_folder(Path::new("a/b")).is_ok());
        below.create_new("x.lock")?.write_all(b"new\n")?;
        assert_eq!(below.create_new("x.lock").map_err(|err| err.kind()).err(), Some(io::ErrorKind::AlreadyExists));
        below.rename("x.lock", "x")?;
        folder.appending("a/b/x")?.write_all(b"more\n")?;
        assert_eq!(folder.read("a/b/x", crate::beneath::Kind::Line)?.as_deref(), Some(&b"new\nmore\n"[..]));
        folder.touch("a/b/x")?;
        below.remove("x")?;
        assert!(folder.touch("a/b/x").is_err() && !top.join("a/b/x").exists());
        for outside in ["link/file", "file-link", "../outside/file"] {
            assert!(folder.create_new(outside).is_err() && folder.appending(outside).is_err() && folder.touch(outside).is_err());
        }
        assert!(folder.make_folder(Path::new("link/deeper")).is_err() && folder.make_folder(Path::new("../outside/deeper")).is_err());
        assert_eq!(fs::read_dir(home.path().join("outside"))?.count(), 0);
        Ok(())
    }
}

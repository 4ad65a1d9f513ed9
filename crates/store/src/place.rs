//! The identity of a database file.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A path, and the identity of the file opened there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    file: FileId,
}

/// Device, inode and creation time, if the system records it: inode numbers are reused.
pub(crate) type FileId = (u64, u64, Option<SystemTime>);

impl Place {
    /// The file currently at `path`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: file_id(path)? })
    }

    /// Whether that file is still at its path.
    pub(crate) fn is_current(&self) -> bool {
        match file_id(&self.path) {
            Ok(found) => found == self.file,
            // Any other error says nothing about the file.
            Err(err) => !matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }
}

/// The identity of the file at `path`.
pub(crate) fn file_id(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.created().ok()))
}

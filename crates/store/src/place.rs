//! Which file a database is in.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file, and which one it was when it was opened.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    file: FileId,
}

/// A number is used again once its file is gone; the time of its making tells the two apart, where the system knows it.
pub(crate) type FileId = (u64, u64, Option<SystemTime>);

impl Place {
    /// The file that is at `path` now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: file_id(path)? })
    }

    /// False once the file was removed, or another one has taken its place.
    pub(crate) fn is_current(&self) -> bool {
        match file_id(&self.path) {
            Ok(found) => found == self.file,
            // Any other error says nothing of the file.
            Err(err) => !matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }
}

/// Which file is at `path`.
pub(crate) fn file_id(path: &Path) -> io::Result<FileId> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.created().ok()))
}

//! Reads the index file of a repository.

use super::{Index, Time};
use crate::{
    beneath::{Folder, Kind as File},
    error::{Error, Result},
    stop::Stop,
};
use gix::{ObjectId, hash::Kind};
use std::{fs::Metadata, os::unix::fs::MetadataExt};

/// The name of the index in a git dir.
const NAME: &str = "index";

/// What identifies one state of a file: a file that is replaced or written has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl FileStamp {
    /// The stamp of an open or inspected file.
    pub fn of(found: &Metadata) -> Self {
        Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Time {
    /// A time of the system, as the index stores it.
    pub fn new(seconds: i64, nanoseconds: i64) -> Self {
        Self { seconds: low(seconds), nanoseconds: low(nanoseconds) }
    }
}

/// The lower 32 bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the index has only the lower half")]
fn low(value: i64) -> u32 {
    value as u32
}

impl Index {
    /// Reads the index in a git dir; `None` if absent, which to git is an empty index.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if git would refuse it; [`Error::Unsupported`] if only git knows what it means;
    /// [`Error::NotReadable`] if it is not a regular file, or too large.
    pub fn read(git_dir: &Folder, kind: Kind, stop: &dyn Stop) -> Result<Option<(Self, FileStamp)>> {
        let Some((content, found)) = git_dir.read_with_metadata(NAME, File::Index)? else { return Ok(None) };
        let shared = |base: ObjectId| {
            let name = format!("sharedindex.{base}");
            git_dir.read(&name, File::Index)?.ok_or_else(|| Error::corrupt(format_args!("{name} is missing")))
        };
        let mut index = Self::parse_until(&content, kind, stop, shared)?;
        index.timestamp = Time::new(found.mtime(), found.mtime_nsec());
        Ok(Some((index, FileStamp::of(&found))))
    }

    /// The stamp of the index in a git dir; `None` if absent or not a regular file.
    pub fn stamp(git_dir: &Folder) -> Option<FileStamp> {
        git_dir.file(NAME).ok().map(|(_, found)| FileStamp::of(&found))
    }
}

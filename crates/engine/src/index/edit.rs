//! Changes of the entries.

use super::{Entry, Flags, Index, Stat, Time};
use crate::{
    beneath,
    error::{Error, Result},
};
use gix::ObjectId;
use std::{collections::BTreeMap, fs::Metadata, os::unix::fs::MetadataExt};

/// The new state of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The file's state.
    pub stat: Stat,
    /// Its object.
    pub id: ObjectId,
    /// Type and permissions.
    pub mode: u32,
}

impl Stat {
    /// The state of a file, as git stores it.
    pub fn of(found: &Metadata) -> Self {
        Self {
            ctime: Time::new(found.ctime(), found.ctime_nsec()),
            mtime: Time::new(found.mtime(), found.mtime_nsec()),
            dev: low(found.dev()),
            ino: low(found.ino()),
            uid: found.uid(),
            gid: found.gid(),
            size: size(found.size()),
        }
    }

    /// The same, for metadata that was read below an open directory.
    pub fn from_system(found: &beneath::Stat) -> Self {
        let nanoseconds = |value| i64::try_from(value).unwrap_or_default();
        Self {
            ctime: Time::new(found.st_ctime, nanoseconds(found.st_ctime_nsec)),
            mtime: Time::new(found.st_mtime, nanoseconds(found.st_mtime_nsec)),
            dev: low(found.st_dev),
            ino: low(found.st_ino),
            uid: found.st_uid,
            gid: found.st_gid,
            size: size(u64::try_from(found.st_size).unwrap_or_default()),
        }
    }
}

/// The lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the index has only the lower half")]
fn low(value: u64) -> u32 {
    value as u32
}

/// The lower 32 bits of a size. Zero has a meaning of its own, so a multiple of 4 GiB gets another value.
fn size(value: u64) -> u32 {
    if value != 0 && low(value) == 0 { 1 << 31 } else { low(value) }
}

impl Index {
    /// Sets or removes paths. A new file replaces all stages of a conflict, and a directory in its place or above it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the index becomes too large.
    pub fn apply(&mut self, changes: &BTreeMap<Vec<u8>, Option<NewEntry>>) -> Result<()> {
        let (mut removed, mut added, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        for (path, new) in changes {
            if let Some(tree) = &mut self.tree {
                tree.invalidate(path);
            }
            let start = self.position(path, 0).unwrap_or_else(|start| start);
            let same = self.entries.iter().skip(start).take_while(|entry| self.path(entry) == path).count();
            let Some(new) = new else {
                removed.extend(start..start + same);
                continue;
            };
            let is_merged = self.entries.get(start).is_some_and(|entry| entry.flags.stage() == 0);
            if let (1, true, Some(entry)) = (same, is_merged, self.entries.get_mut(start)) {
                (entry.stat, entry.id, entry.mode, entry.flags) = (new.stat, new.id, new.mode, Flags::default());
                continue;
            }
            removed.extend(start..start + same);
            removed.extend(self.range_of_dir(path));
            let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(end, _)| path.get(..end));
            removed.extend(above.filter_map(|above| self.position(above, 0).ok()));
            let wrong = || Error::Unsupported("an index with so long names");
            let (length, at) = (u16::try_from(path.len()).map_err(|_| wrong())?, u32::try_from(paths.len()).map_err(|_| wrong())?);
            paths.extend_from_slice(path);
            added.push(Entry { stat: new.stat, id: new.id, mode: new.mode, flags: Flags::default(), length, path: at });
        }
        removed.sort_unstable();
        removed.dedup();
        let mut removed = removed.into_iter().peekable();
        if removed.peek().is_some() {
            let mut at = 0;
            self.entries.retain(|_| {
                at += 1;
                removed.next_if_eq(&(at - 1)).is_none()
            });
        }
        if added.is_empty() { Ok(()) } else { self.merge(&added, &paths) }
    }

    /// Sets the state of the file of the entry at this position, whose content is the same.
    pub fn refresh(&mut self, at: usize, stat: Stat) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.stat = stat;
        }
    }

    /// Makes git compare the content of the file of the entry at this position: its metadata is that of other content.
    pub fn smudge(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.stat.size = 0;
        }
    }
}

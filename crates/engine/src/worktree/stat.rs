//! Whether a tracked file is unchanged, judged by its metadata alone.

use crate::{
    beneath::{self, EntryKind},
    index::{Entry, Index},
};

/// File type bits of a mode.
const TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// Which metadata counts (`core.trustCtime`, `core.checkStat`, `core.fileMode`).
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The time of the last change of metadata counts.
    pub trust_ctime: bool,
    /// Metadata other than size and modification time counts.
    pub whole_stat: bool,
    /// The executable bit counts.
    pub file_mode: bool,
}

impl Default for Comparison {
    fn default() -> Self {
        Self { trust_ctime: true, whole_stat: true, file_mode: true }
    }
}

/// What metadata reveals about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Unchanged.
    Same,
    /// Changed, with the letter of `git status --short`.
    Changed(u8),
    /// The content decides; `M` if it differs.
    Content(Why),
}

/// Why the content decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The metadata differs, but not the size.
    Touched,
    /// The file may have changed within the second in which the index was written.
    Racy,
    /// Only nanoseconds differ: builds of git disagree whether they count.
    Nanoseconds,
}

impl Comparison {
    /// Compares the file with its entry, which is neither a submodule nor a directory.
    pub(super) fn verdict(self, index: &Index, entry: &Entry, found: &beneath::Stat) -> Verdict {
        let kind = beneath::kind_of(found);
        let is_link = entry.mode & TYPE == LINK;
        let same_type = if is_link { kind == EntryKind::Link } else { kind == EntryKind::File };
        let same_mode = is_link || !self.file_mode || (entry.mode ^ found.st_mode) & 0o100 == 0;
        if !same_type || !same_mode {
            return Verdict::Changed(letter(entry.mode, mode_of(kind)));
        }
        let known = &entry.stat;
        if known.size != 0 && known.size != size(found) {
            return Verdict::Changed(b'M');
        }
        // An entry whose content was never compared, or a racy one that git marked, has the size zero.
        let is_marked = known.size == 0 && (size(found) != 0 || !entry.id.is_empty_blob());
        if is_marked || self.differs(entry, found) {
            return Verdict::Content(Why::Touched);
        }
        if index.is_racy(entry) {
            return Verdict::Content(Why::Racy);
        }
        let nanoseconds =
            known.mtime.nanoseconds != low(found.st_mtime_nsec) || self.trust_ctime && known.ctime.nanoseconds != low(found.st_ctime_nsec);
        if self.whole_stat && nanoseconds { Verdict::Content(Why::Nanoseconds) } else { Verdict::Same }
    }

    /// Whether metadata differs that every build of git compares. The device is not part of it.
    fn differs(self, entry: &Entry, found: &beneath::Stat) -> bool {
        let known = &entry.stat;
        known.mtime.seconds != low(found.st_mtime)
            || self.whole_stat
                && (self.trust_ctime && known.ctime.seconds != low(found.st_ctime)
                    || known.uid != found.st_uid
                    || known.gid != found.st_gid
                    || known.ino != low(found.st_ino))
    }
}

/// The lower 32 bits, as the index stores numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the index stores the lower 32 bits")]
fn low(value: impl TryInto<i128>) -> u32 {
    value.try_into().map(|value| value as u32).unwrap_or_default()
}

/// The size as the index stores it: a multiple of 4 GiB is not zero, which marks an entry.
fn size(found: &beneath::Stat) -> u32 {
    match low(found.st_size) {
        0 if found.st_size != 0 => 0x8000_0000,
        size => size,
    }
}

/// The type git gives a file of this kind. Anything but links and directories counts as a regular file.
fn mode_of(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::Link => LINK,
        EntryKind::Folder => SUBMODULE,
        EntryKind::File | EntryKind::Other => FILE,
    }
}

/// The letter of a tracked file that now has the type of `now`.
fn letter(known: u32, now: u32) -> u8 {
    if (known ^ now) & TYPE == 0 { b'M' } else { b'T' }
}

/// The letter of a submodule in whose place is something else.
pub(super) fn letter_of_submodule(kind: EntryKind) -> u8 {
    letter(SUBMODULE, mode_of(kind))
}

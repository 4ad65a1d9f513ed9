//! The index: which content git will commit, and what each file was like when git last read it.

mod bytes;
mod decode;
mod edit;
mod encode;
mod ewah;
mod file;
mod names;
mod split;
mod staged;
mod tree_cache;
mod trees;

pub use edit::NewEntry;
pub use encode::WriteOptions;
pub use file::FileStamp;
pub use staged::{Side, Staged};
pub use tree_cache::{CachedTree, TreeCache};
pub use trees::Objects;

use gix::{ObjectId, hash::Kind};
use std::ops::Range;

/// An index in memory: entries sorted by name and stage, and all names in one buffer.
#[derive(Clone, Debug)]
pub struct Index {
    kind: Kind,
    version: u32,
    entries: Vec<Entry>,
    paths: Vec<u8>,
    checksum: ObjectId,
    timestamp: Time,
    tree: Option<TreeCache>,
    resolve_undo: Option<Vec<u8>>,
    untracked: Option<Vec<u8>>,
    fsmonitor: Option<Vec<u8>>,
    base: Option<ObjectId>,
    is_sparse: bool,
}

/// A moment as the index stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970, without the upper 32 bits.
    pub seconds: u32,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// A file's state when git last compared its content. Each field has the lower 32 bits of the system's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Last change of the file or of its attributes.
    pub ctime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// The device.
    pub dev: u32,
    /// The file's number on the device.
    pub ino: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size in bytes. Zero also marks an entry that git must compare by content.
    pub size: u32,
}

/// The flags of an entry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    const STAGE: u16 = 0x3000;
    const ASSUME_VALID: u16 = 0x8000;
    // The upper four bits of the second flag word, moved down by eight.
    const SKIP_WORKTREE: u16 = 0x40;
    const INTENT_TO_ADD: u16 = 0x20;

    /// The second flag word in the file; zero if there is none.
    fn second_word(self) -> u16 {
        (self.0 & (Self::SKIP_WORKTREE | Self::INTENT_TO_ADD)) << 8
    }

    /// 0 for a normal entry; in a conflict 1 for the common ancestor, 2 for ours, 3 for theirs.
    pub fn stage(self) -> u8 {
        u8::try_from((self.0 & Self::STAGE) >> 12).unwrap_or_default()
    }

    /// The file counts as unchanged (`git update-index --assume-unchanged`).
    pub fn assume_valid(self) -> bool {
        self.0 & Self::ASSUME_VALID != 0
    }

    /// The file is not in a sparse working tree.
    pub fn skip_worktree(self) -> bool {
        self.0 & Self::SKIP_WORKTREE != 0
    }

    /// The path is known, its content not yet (`git add --intent-to-add`).
    pub fn intent_to_add(self) -> bool {
        self.0 & Self::INTENT_TO_ADD != 0
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        list.entry(&self.stage());
        for (name, is_set) in
            [("assume-valid", self.assume_valid()), ("skip-worktree", self.skip_worktree()), ("intent-to-add", self.intent_to_add())]
        {
            if is_set {
                list.entry(&name);
            }
        }
        list.finish()
    }
}

/// A file, symbolic link or submodule of the index, or a directory that a sparse index does not expand.
///
/// Its path is in the buffer of its [`Index`]: see [`Index::path`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file's state when git last compared it.
    pub stat: Stat,
    /// The object.
    pub id: ObjectId,
    /// The type and permissions as git stores them, such as `0o100644`.
    pub mode: u32,
    /// Stage and marks.
    pub flags: Flags,
    length: u16,
    path: u32,
}

impl Entry {
    /// A submodule.
    pub fn is_submodule(&self) -> bool {
        self.mode == 0o160_000
    }

    /// A directory that a sparse index does not expand. Its path ends with a slash.
    pub fn is_sparse_folder(&self) -> bool {
        self.mode == 0o40_000
    }

    fn path_in<'a>(&self, paths: &'a [u8]) -> &'a [u8] {
        let start = self.path as usize;
        paths.get(start..start + usize::from(self.length)).unwrap_or_default()
    }
}

impl Index {
    /// An index without entries.
    pub fn empty(kind: Kind) -> Self {
        Self {
            kind,
            version: 2,
            entries: Vec::new(),
            paths: Vec::new(),
            checksum: kind.null(),
            timestamp: Time::default(),
            tree: None,
            resolve_undo: None,
            untracked: None,
            fsmonitor: None,
            base: None,
            is_sparse: false,
        }
    }

    /// The kind of the object ids.
    pub fn hash_kind(&self) -> Kind {
        self.kind
    }

    /// The version of the file format: 2, 3 or 4.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All entries, sorted by path, then by stage.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The path of an entry of this index, relative to the working tree.
    pub fn path(&self, entry: &Entry) -> &[u8] {
        entry.path_in(&self.paths)
    }

    /// The entry with this path and stage.
    pub fn find(&self, path: &[u8], stage: u8) -> Option<&Entry> {
        self.entries.get(self.position(path, stage).ok()?)
    }

    /// Where the entry with this path and stage is, or else where it would be inserted.
    ///
    /// # Errors
    ///
    /// The position for a new entry, if there is no such entry.
    pub fn position(&self, path: &[u8], stage: u8) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (self.path(entry), entry.flags.stage()).cmp(&(path, stage)))
    }

    /// The positions of all entries below `folder`, which has no trailing slash; empty means the whole index. A sparse
    /// directory is among them itself.
    pub fn range_of_dir(&self, folder: &[u8]) -> Range<usize> {
        if folder.is_empty() {
            return 0..self.entries.len();
        }
        // `folder-a` sorts before `folder/a`, and `folder0` after it.
        let below = |entry: &Entry| {
            let path = self.path(entry);
            let head = path.get(..folder.len()).unwrap_or(path);
            head.cmp(folder).then_with(|| path.get(folder.len()).cmp(&Some(&b'/')))
        };
        let start = self.entries.partition_point(|entry| below(entry).is_lt());
        let end = self.entries.partition_point(|entry| below(entry).is_le());
        start..end
    }

    /// The trees of the index's directories, as far as they are known.
    pub fn tree(&self) -> Option<&TreeCache> {
        self.tree.as_ref()
    }

    /// When the file was written. An entry whose file was modified then or later may be racy.
    pub fn timestamp(&self) -> Time {
        self.timestamp
    }

    /// True if a file may have changed without a change of its times: it was modified in the second in which the index was
    /// written, or later.
    pub fn is_racy(&self, entry: &Entry) -> bool {
        self.timestamp.seconds != 0 && self.timestamp.seconds <= entry.stat.mtime.seconds && !entry.is_submodule()
    }

    /// True if some entries are directories (`index.sparse`).
    pub fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    /// True if a part of the entries is in a shared file.
    pub fn is_split(&self) -> bool {
        self.base.is_some()
    }

    /// True if git keeps a cache of untracked files here.
    pub fn has_untracked_cache(&self) -> bool {
        self.untracked.is_some()
    }

    /// True if an fsmonitor marks entries here.
    pub fn has_fsmonitor(&self) -> bool {
        self.fsmonitor.is_some()
    }

    /// True if the index remembers resolved conflicts.
    pub fn has_resolved_conflicts(&self) -> bool {
        self.resolve_undo.is_some()
    }

    /// True if a path is in conflict.
    pub fn has_conflicts(&self) -> bool {
        self.entries.iter().any(|entry| entry.flags.stage() != 0)
    }

    /// The checksum at the end of the file; null with `index.skipHash`.
    pub fn checksum(&self) -> &ObjectId {
        &self.checksum
    }
}

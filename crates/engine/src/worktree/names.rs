//! The sorted names of one directory on disk.

use crate::{
    beneath::{EntryKind, Folder},
    error::{Error, Result},
};

/// Maximum number of names in one directory.
const MAX_NAMES: usize = 4_000_000;

/// An entry on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    start: u32,
    length: u16,
    pub(super) kind: EntryKind,
    /// Whether the index has a file of this name, a submodule included.
    pub(super) is_tracked: bool,
    /// Whether the index has files below this name.
    pub(super) is_above_tracked: bool,
}

/// The names in a directory. The memory is reused from one directory to the next.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    list: Vec<Name>,
    buffer: Vec<u8>,
    /// Where the next name to find probably is: names are looked up in their order.
    next: usize,
}

impl Names {
    /// Reads and sorts the names of a directory.
    pub(super) fn read(&mut self, folder: &mut Folder) -> Result<()> {
        self.bytes.clear();
        self.list.clear();
        self.next = 0;
        let (bytes, list) = (&mut self.bytes, &mut self.list);
        let mut is_bounded = true;
        let read = folder.entries(&mut self.buffer, |name, kind| {
            let (Ok(start), Ok(length)) = (u32::try_from(bytes.len()), u16::try_from(name.len())) else {
                is_bounded = false;
                return false;
            };
            bytes.extend_from_slice(name);
            list.push(Name { start, length, kind, is_tracked: false, is_above_tracked: false });
            is_bounded = list.len() < MAX_NAMES;
            is_bounded
        });
        read.map_err(Error::io(format!("listing {}", folder.path().display())))?;
        if !is_bounded {
            return Err(Error::Unsupported("a directory with millions of entries"));
        }
        let bytes = &self.bytes;
        self.list.sort_unstable_by(|a, b| text(bytes, a).cmp(text(bytes, b)));
        Ok(())
    }

    /// The position of a name.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<usize> {
        let is_next = self.list.get(self.next).is_some_and(|next| text(&self.bytes, next) == name);
        let at = if is_next { self.next } else { self.list.binary_search_by(|one| text(&self.bytes, one).cmp(name)).ok()? };
        self.next = at + 1;
        Some(at)
    }

    /// Whether there is such a name, and its kind.
    pub(super) fn kind(&self, name: &[u8]) -> Option<EntryKind> {
        let at = self.list.binary_search_by(|one| text(&self.bytes, one).cmp(name)).ok()?;
        self.list.get(at).map(|name| name.kind)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Name> {
        self.list.get_mut(at)
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// All names, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Name)> {
        self.list.iter().map(|name| (text(&self.bytes, name), *name))
    }
}

fn text<'a>(bytes: &'a [u8], name: &Name) -> &'a [u8] {
    let start = name.start as usize;
    bytes.get(start..start + usize::from(name.length)).unwrap_or_default()
}

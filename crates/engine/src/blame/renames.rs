//! Finds the removed file that a new one was renamed from.

use super::{
    objects::Objects,
    trees::{Place, Removed, removed},
};
use crate::{
    diff::{
        patch::is_binary,
        renames::{Contents, Lone, find},
    },
    error::{Error, Result},
    stop::Stop,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::cell::RefCell;

/// Maximum number of removed files.
const MAX_REMOVED: usize = 100_000;
/// git's limit of candidates. Blame does not read `diff.renameLimit`.
const LIMIT: usize = 1000;

/// A new file.
pub(super) struct Added<'a> {
    pub(super) path: &'a [u8],
    pub(super) place: &'a Place,
}

/// The file of the tree `old` from which the one of the tree `new` was renamed.
pub(super) fn source(
    objects: &mut Objects<'_>,
    [old, new]: [ObjectId; 2],
    added: &Added<'_>,
    binary: &dyn Fn(&[u8]) -> Result<Option<bool>>,
    stop: &dyn Stop,
) -> Result<Option<Removed>> {
    let gone = removed(objects, old, new, MAX_REMOVED, stop)?;
    let deleted: Vec<Lone<'_>> = gone.iter().map(|file| Lone { path: &file.path, mode: file.mode, id: file.blob, binary: None }).collect();
    let added = Lone { path: added.path, mode: added.place.mode, id: added.place.blob, binary: None };
    let found = find(&deleted, &[added], LIMIT, &Versions { objects: RefCell::new(objects), binary }, stop)?;
    Ok(found.first().and_then(|rename| gone.get(rename.from)).cloned())
}

/// The files that are compared.
struct Versions<'a, 'o> {
    objects: RefCell<&'a mut Objects<'o>>,
    binary: &'a dyn Fn(&[u8]) -> Result<Option<bool>>,
}

impl Contents for Versions<'_, '_> {
    fn size(&self, file: &Lone) -> Result<u64> {
        self.objects.borrow().size(file.id)
    }

    fn read(&self, file: &Lone) -> Result<Vec<u8>> {
        let content = self.objects.borrow_mut().blob(file.id)?;
        // Only then it matters whether a file is a text, and attributes are asked.
        if content.contains_str(b"\r\n") && (self.binary)(file.path)?.is_some_and(|forced| forced != is_binary(&content)) {
            return Err(Error::Unsupported("a text that attributes make binary, or the reverse"));
        }
        Ok(content.to_vec())
    }
}

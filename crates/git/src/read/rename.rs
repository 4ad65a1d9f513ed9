//! Pairs deleted and added files as renames, as git would.

use crate::{error::Result, repo::route::only_git};
use gix::ObjectId;

/// A file that exists on one side only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lone {
    pub(crate) id: ObjectId,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// Maximum number of pairs compared.
const MAX_PAIRS: usize = 100_000;

/// Pairs files with equal content, by index, if that is unambiguous and no others can be similar.
///
/// # Errors
///
/// [`only_git`] if the content decides, or more than one pairing is possible.
///
/// git's default threshold is 50%: files cannot be similar if one is more than twice as large as the other.
pub(crate) fn pair(deleted: &[Lone], added: &[Lone]) -> Result<Vec<(usize, usize)>> {
    let undecided = || only_git("renames that depend on content");
    if deleted.len().saturating_mul(added.len()) > MAX_PAIRS {
        return Err(undecided());
    }
    let mut pairs = Vec::new();
    for (from, old) in deleted.iter().enumerate() {
        let mut same = added.iter().enumerate().filter(|(_, new)| new.id == old.id);
        let Some((to, new)) = same.next() else { continue };
        let unique = same.next().is_none() && deleted.iter().filter(|other| other.id == old.id).count() == 1;
        if !unique || kind(old.mode) != REGULAR || kind(new.mode) != REGULAR {
            return Err(undecided());
        }
        pairs.push((from, to));
    }
    for (from, old) in deleted.iter().enumerate() {
        for (to, new) in added.iter().enumerate() {
            let paired = pairs.iter().any(|&(f, t)| f == from || t == to);
            let regular = kind(old.mode) == REGULAR && kind(new.mode) == REGULAR;
            let (small, large) = (old.size.min(new.size), old.size.max(new.size));
            if !paired && regular && small.saturating_mul(2) >= large && large > 0 {
                return Err(undecided());
            }
        }
    }
    Ok(pairs)
}

const REGULAR: u32 = 0o100_000;

fn kind(mode: u32) -> u32 {
    mode & 0o170_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lone(byte: u8, size: u64) -> Lone {
        Lone { id: ObjectId::from_bytes_or_panic(&[byte; 20]), mode: 0o100_644, size }
    }

    #[test]
    fn equal_content_is_a_rename_and_similar_sizes_are_left_to_git() {
        let decided = |deleted: &[Lone], added: &[Lone]| pair(deleted, added).ok();
        assert_eq!(decided(&[lone(1, 10)], &[lone(1, 10)]), Some(vec![(0, 0)]));
        assert_eq!(decided(&[lone(1, 10)], &[lone(2, 21)]), Some(vec![]));
        assert_eq!(decided(&[lone(1, 10)], &[lone(2, 20)]), None);
        assert_eq!(decided(&[lone(1, 10)], &[lone(1, 10), lone(1, 10)]), None);
        assert_eq!(decided(&[], &[lone(2, 20)]), Some(vec![]));
    }
}

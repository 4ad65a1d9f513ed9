//! Which deleted and added files git could pair as renames.

use gix::ObjectId;

/// A file that is only on one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lone {
    pub(crate) id: ObjectId,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// What can be said without comparing content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Renames {
    /// These pairs, by index into deleted and added, and certainly no others.
    Exact(Vec<(usize, usize)>),
    /// Content decides, or more than one pairing is possible: git has to say.
    Undecided,
}

/// The most pairs looked at.
const MAX_PAIRS: usize = 100_000;

/// Pairs files with equal content, where that is unambiguous and nothing else can be similar.
///
/// git's default threshold is half: where one file is more than twice as large as the other they cannot be similar.
pub(crate) fn pair(deleted: &[Lone], added: &[Lone]) -> Renames {
    if deleted.len().saturating_mul(added.len()) > MAX_PAIRS {
        return Renames::Undecided;
    }
    let mut pairs = Vec::new();
    for (from, old) in deleted.iter().enumerate() {
        let mut same = added.iter().enumerate().filter(|(_, new)| new.id == old.id);
        let Some((to, new)) = same.next() else { continue };
        let unique = same.next().is_none() && deleted.iter().filter(|other| other.id == old.id).count() == 1;
        if !unique || kind(old.mode) != REGULAR || kind(new.mode) != REGULAR {
            return Renames::Undecided;
        }
        pairs.push((from, to));
    }
    for (from, old) in deleted.iter().enumerate() {
        for (to, new) in added.iter().enumerate() {
            let paired = pairs.iter().any(|&(f, t)| f == from || t == to);
            let regular = kind(old.mode) == REGULAR && kind(new.mode) == REGULAR;
            let (small, large) = (old.size.min(new.size), old.size.max(new.size));
            if !paired && regular && small.saturating_mul(2) >= large && large > 0 {
                return Renames::Undecided;
            }
        }
    }
    Renames::Exact(pairs)
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
    fn equal_content_is_a_rename_and_similar_size_is_for_git_to_decide() {
        assert_eq!(pair(&[lone(1, 10)], &[lone(1, 10)]), Renames::Exact(vec![(0, 0)]));
        assert_eq!(pair(&[lone(1, 10)], &[lone(2, 21)]), Renames::Exact(vec![]));
        assert_eq!(pair(&[lone(1, 10)], &[lone(2, 20)]), Renames::Undecided);
        assert_eq!(pair(&[lone(1, 10)], &[lone(1, 10), lone(1, 10)]), Renames::Undecided);
        assert_eq!(pair(&[], &[lone(2, 20)]), Renames::Exact(vec![]));
    }
}

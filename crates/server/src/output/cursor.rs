//! Where a listing goes on: a position, bound to what was listed.

use crate::error::{Error, Kind};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A position in a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// How many items were listed before.
    pub(crate) item: u64,
    /// How many bytes of the next item were shown before.
    pub(crate) offset: u64,
}

impl Cursor {
    /// Writes the cursor for a listing with this fingerprint.
    pub(crate) fn encode(self, fingerprint: u64) -> String {
        format!("{}.{}.{:08x}", self.item, self.offset, short(fingerprint))
    }

    /// Where a cursor points, before it is known whether that still is good: [`Cursor::decode`] says so.
    ///
    /// # Errors
    ///
    /// `BadInput` for text that is no cursor.
    pub(crate) fn position(text: Option<&str>) -> Result<Self, Error> {
        text.map_or(Ok(Self::default()), |text| read(text).map(|(position, _)| position))
    }

    /// Reads a cursor that must belong to the listing with this fingerprint; the start when there is none.
    ///
    /// # Errors
    ///
    /// `BadInput` for text that is no cursor, and for a listing that has changed since.
    pub(crate) fn decode(text: Option<&str>, fingerprint: u64) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Self::default()) };
        let (position, mark) = read(text)?;
        if mark != short(fingerprint) {
            return Err(Error::new(Kind::Stale, "the cursor is stale: what it pages through has changed, or the arguments have")
                .hint("Repeat the call without `cursor` to start over."));
        }
        Ok(position)
    }
}

fn read(text: &str) -> Result<(Cursor, u32), Error> {
    parse(text).ok_or_else(|| {
        Error::new(Kind::BadInput, "`cursor` is not one that this server gave out").hint("Repeat the call without `cursor`.")
    })
}

fn parse(text: &str) -> Option<(Cursor, u32)> {
    let mut parts = text.split('.');
    let cursor = Cursor { item: parts.next()?.parse().ok()?, offset: parts.next()?.parse().ok()? };
    let mark = u32::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((cursor, mark))
}

fn short(fingerprint: u64) -> u32 {
    let folded = fingerprint ^ (fingerprint >> 32);
    u32::try_from(folded & 0xffff_ffff).unwrap_or_default()
}

/// A fingerprint of what a listing depends on.
pub(crate) fn fingerprint(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_and_only_for_its_listing(item: u64, offset: u64, fingerprint: u64) {
            let cursor = Cursor { item, offset };
            let text = cursor.encode(fingerprint);
            prop_assert_eq!(Cursor::decode(Some(&text), fingerprint).ok(), Some(cursor));
            prop_assert!(Cursor::decode(Some(&text), fingerprint ^ 1).is_err());
        }

        #[test]
        fn any_text_is_survived(text in ".{0,40}") {
            let _ = Cursor::decode(Some(&text), 0);
        }
    }
}

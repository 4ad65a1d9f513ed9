//! Positions in listings, each bound to the listed content.

use crate::error::{Error, Kind};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A position in a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Number of items already listed.
    pub(crate) item: u64,
    /// Number of bytes of the next item already shown.
    pub(crate) offset: u64,
}

impl Cursor {
    /// Encodes the cursor for a listing with this fingerprint.
    pub(crate) fn encode(self, fingerprint: u64) -> String {
        format!("{}.{}.{:08x}", self.item, self.offset, short(fingerprint))
    }

    /// Decodes a cursor's position without validating it, as [`Cursor::decode`] does.
    ///
    /// # Errors
    ///
    /// `BadInput` for text that is no cursor.
    pub(crate) fn position(text: Option<&str>) -> Result<Self, Error> {
        text.map_or(Ok(Self::default()), |text| read(text).map(|(position, _)| position))
    }

    /// Decodes a cursor and checks that it belongs to the listing with this fingerprint; the start if `None`.
    ///
    /// # Errors
    ///
    /// `BadInput` for text that is no cursor, `Stale` if the listing has changed since.
    pub(crate) fn decode(text: Option<&str>, fingerprint: u64) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Self::default()) };
        let (position, mark) = read(text)?;
        if mark != short(fingerprint) {
            return Err(Error::new(Kind::Stale, "the cursor is stale: the listing or the arguments have changed")
                .hint("Repeat the call without `cursor` to start over."));
        }
        Ok(position)
    }
}

fn read(text: &str) -> Result<(Cursor, u32), Error> {
    parse(text)
        .ok_or_else(|| Error::new(Kind::BadInput, "`cursor` was not issued by this server").hint("Repeat the call without `cursor`."))
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

/// A fingerprint of a listing's content.
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
        fn a_cursor_decodes_only_for_its_listing(item: u64, offset: u64, fingerprint: u64) {
            let cursor = Cursor { item, offset };
            let text = cursor.encode(fingerprint);
            prop_assert_eq!(Cursor::decode(Some(&text), fingerprint).ok(), Some(cursor));
            prop_assert!(Cursor::decode(Some(&text), fingerprint ^ 1).is_err());
        }

        #[test]
        fn decoding_never_panics(text in ".{0,40}") {
            let _ = Cursor::decode(Some(&text), 0);
        }
    }
}

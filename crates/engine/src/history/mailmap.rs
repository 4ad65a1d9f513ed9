//! Mailmaps: the names and addresses that authors are shown with.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// A line of this length or more is split by git.
const MAX_LINE: usize = 1023;

/// A parsed mailmap.
#[derive(Clone, Debug, Default)]
pub struct Mailmap(HashMap<Vec<u8>, Address>);

/// The replacements for an address.
#[derive(Clone, Debug, Default)]
struct Address {
    any: Shown,
    by_name: HashMap<Vec<u8>, Shown>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    name: Option<Vec<u8>>,
    email: Option<Vec<u8>>,
}

impl Mailmap {
    /// Parses the content of a `.mailmap`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a line that git splits or cuts off.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut map = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            if line.len() >= MAX_LINE || line.contains(&0) {
                return Err(Error::Unsupported("a mailmap with such a line"));
            }
            if !line.starts_with(b"#") {
                map.add(line);
            }
        }
        Ok(map)
    }

    /// The name and the address to show for an author.
    pub fn map<'a>(&'a self, name: &'a [u8], email: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let Some(address) = self.0.get(&email.to_ascii_lowercase()) else { return (name, email) };
        let shown = address.by_name.get(&name.to_ascii_lowercase()).unwrap_or(&address.any);
        (shown.name.as_deref().unwrap_or(name), shown.email.as_deref().unwrap_or(email))
    }

    fn add(&mut self, line: &[u8]) {
        let Some((shown, rest)) = person(line, false) else { return };
        let (email, old) = match person(rest, true) {
            Some((old, _)) => (Some(shown.email), old),
            None => (None, Person { name: None, email: shown.email }),
        };
        let address = self.0.entry(old.email.to_ascii_lowercase()).or_default();
        let (name, email) = (shown.name.map(<[u8]>::to_vec), email.map(<[u8]>::to_vec));
        if let Some(old_name) = old.name {
            address.by_name.insert(old_name.to_ascii_lowercase(), Shown { name, email });
        } else {
            // A later line replaces only the parts that it has.
            address.any.name = name.or(address.any.name.take());
            address.any.email = email.or(address.any.email.take());
        }
    }
}

/// A part of a line.
#[derive(Clone, Copy)]
struct Person<'a> {
    name: Option<&'a [u8]>,
    email: &'a [u8],
}

/// Splits `Name <email> rest`.
fn person(text: &[u8], may_be_empty: bool) -> Option<(Person<'_>, &[u8])> {
    let left = text.iter().position(|&byte| byte == b'<')?;
    let (before, after) = (text.get(..left)?, text.get(left + 1..)?);
    let right = after.iter().position(|&byte| byte == b'>')?;
    let (email, rest) = (after.get(..right)?, after.get(right + 1..)?);
    if email.is_empty() && !may_be_empty {
        return None;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = before.iter().position(|byte| !is_space(byte));
    let end = before.iter().rposition(|byte| !is_space(byte)).map(|end| end + 1);
    let name = start.zip(end).and_then(|(start, end)| before.get(start..end));
    Some((Person { name, email }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authors_are_mapped() -> Result<()> {
        let map = Mailmap::parse(
            b"# comment <x@y>\nProper <one@x>\n<new@x> <OLD@x>\nFull Name <full@x> nick <nick@x>\nOther <other@x> <nick@x>\nSecond <one@X>\n<> <a@b>\n",
        )?;
        for (name, email, expect) in [
            ("anyone", "one@x", "Second one@x"),
            ("A", "old@X", "A new@x"),
            ("NICK", "nick@x", "Full Name full@x"),
            ("B", "nick@x", "Other other@x"),
            ("C", "a@b", "C a@b"),
            ("D", "x@y", "D x@y"),
        ] {
            let (name, email) = map.map(name.as_bytes(), email.as_bytes());
            assert_eq!(format!("{} {}", String::from_utf8_lossy(name), String::from_utf8_lossy(email)), expect);
        }
        assert!(Mailmap::parse(&[b'x'; 2000]).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200), text in "[a<> @#\n]{0,80}") {
            for data in [&data[..], text.as_bytes()] {
                let _ = Mailmap::parse(data).map(|map| map.map(data, data).0.len());
            }
        }
    }
}

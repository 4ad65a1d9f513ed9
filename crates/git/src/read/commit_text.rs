//! Parses commit headers as git does (`ident.c` and `commit.c` of 2.47): malformed parts are skipped, never an error.

use gix::{bstr::ByteSlice, date::time::format};

/// The last second of the year 9999. Later dates are left to git.
const LAST: i64 = 253_402_300_799;

/// The displayed parts of a commit.
pub(crate) struct CommitText<'a> {
    author: &'a [u8],
    /// Whether the commit declares an encoding.
    pub(crate) is_encoded: bool,
    pub(crate) message: &'a [u8],
}

impl<'a> CommitText<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Self {
        let (header, message) = match data.find(b"\n\n") {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (data, &[][..]),
        };
        let value = |name: &[u8]| header.lines().find_map(|line| line.strip_prefix(name));
        Self { author: value(b"author ").unwrap_or_default(), is_encoded: value(b"encoding ").is_some(), message }
    }

    /// The author; `None` if it has no address, where git shows none either.
    pub(crate) fn author(&self) -> Option<Ident<'a>> {
        Ident::of(self.author)
    }
}

/// A person and a time.
pub(crate) struct Ident<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) email: &'a [u8],
    pub(crate) stamp: Stamp,
}

impl<'a> Ident<'a> {
    pub(crate) fn of(line: &'a [u8]) -> Option<Self> {
        let begin = line.find_byte(b'<')? + 1;
        let name = line[..begin - 1].trim_ascii_end();
        let email = &line[begin..begin + line[begin..].find_byte(b'>')?];
        // An address may contain `>`: the time follows the last one.
        let after = &line[line.rfind_byte(b'>')? + 1..];
        Some(Self { name, email, stamp: Stamp::of(after).unwrap_or_default() })
    }
}

/// A time in git's format. Defaults to the first second of 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// Hours and minutes of the zone, as in `-0130`; not validated.
    pub(crate) zone: i32,
}

impl Stamp {
    /// Parses `1700000000 +0100`.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        let digits = digits(text);
        let zone = text[digits..].trim_ascii_start();
        let (sign, number) = (zone.first()?, zone.get(1..)?);
        let number = &number[..self::digits(number)];
        if digits == 0 || number.is_empty() || !matches!(sign, b'+' | b'-') {
            return None;
        }
        let Some(seconds) = parse(&text[..digits]) else { return Some(Self::default()) };
        let zone = parse(number).and_then(|number| i32::try_from(number).ok()).unwrap_or_default();
        Some(Self { seconds, zone: if *sign == b'-' { -zone } else { zone } })
    }

    /// Seconds in its own zone, up to the year 9999.
    fn local(self) -> Option<i64> {
        let minutes = i64::from(self.zone / 100) * 60 + i64::from(self.zone % 100);
        Some(self.seconds.checked_add(minutes * 60)?).filter(|local| *local <= LAST)
    }

    /// `2026-01-31T23:59:59+00:00`, as git's `%aI`; `None` if only git can format it.
    pub(crate) fn iso(self) -> Option<String> {
        let text = gix::date::Time::new(self.local()?, 0).format_or_unix(format::ISO8601_STRICT);
        let date = text.get(..19)?;
        let sign = if self.zone < 0 { '-' } else { '+' };
        let zone = self.zone.unsigned_abs();
        Some(format!("{date}{sign}{:02}:{:02}", zone / 100, zone % 100))
    }

    /// `2026-01-31`, or `@SECONDS` if the year has more than four digits.
    pub(crate) fn day(self) -> String {
        let day = self.iso().and_then(|iso| iso.get(..10).map(str::to_owned));
        day.unwrap_or_else(|| format!("@{}", self.seconds))
    }

    /// `Tue Nov 14 22:13:20 2023 +0000`, as `git log` shows it; `None` if only git can format it.
    pub(crate) fn shown(self) -> Option<String> {
        let text = gix::date::Time::new(self.local()?, 0).format_or_unix(format::DEFAULT);
        Some(format!("{} {:+05}", text.strip_suffix(" +0000")?, self.zone))
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn parse(digits: &[u8]) -> Option<i64> {
    digits.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_as_git_does() {
        for (text, iso, shown) in [
            (" 1700000000 +0100", "2023-11-14T23:13:20+01:00", "Tue Nov 14 23:13:20 2023 +0100"),
            (" 1700000000 -0130", "2023-11-14T20:43:20-01:30", "Tue Nov 14 20:43:20 2023 -0130"),
            // As git 2.47.3 shows it.
            (" 1700000000 +9999", "2023-11-19T02:52:20+99:99", "Sun Nov 19 02:52:20 2023 +9999"),
            (" 1700000000 EST", "1970-01-01T00:00:00+00:00", "Thu Jan 1 00:00:00 1970 +0000"),
            (" 1700000000", "1970-01-01T00:00:00+00:00", "Thu Jan 1 00:00:00 1970 +0000"),
            (" -5 +0000", "1970-01-01T00:00:00+00:00", "Thu Jan 1 00:00:00 1970 +0000"),
            (" 99999999999999999999 +0000", "1970-01-01T00:00:00+00:00", "Thu Jan 1 00:00:00 1970 +0000"),
            ("", "1970-01-01T00:00:00+00:00", "Thu Jan 1 00:00:00 1970 +0000"),
        ] {
            let stamp = Stamp::of(text.as_bytes()).unwrap_or_default();
            assert_eq!((stamp.iso().as_deref(), stamp.shown().as_deref()), (Some(iso), Some(shown)), "{text}");
        }
        assert_eq!(Stamp::of(b"9999999999999 +0000").and_then(Stamp::iso), None);
    }

    #[test]
    fn idents_are_read_as_git_does() {
        for (line, expect) in [
            ("A B <a@b> 1 +0000", Some(("A B", "a@b", 1))),
            ("A <a <x> b> 1 +0000", Some(("A", "a <x", 1))),
            (" <> 1 +0000", Some(("", "", 1))),
            ("A <a@b>", Some(("A", "a@b", 0))),
            ("A a@b> 1 +0000", None),
            ("A <a@b 1 +0000", None),
        ] {
            let seen = Ident::of(line.as_bytes()).map(|ident| (ident.name.to_vec(), ident.email.to_vec(), ident.stamp.seconds));
            assert_eq!(seen, expect.map(|(name, email, seconds)| (name.into(), email.into(), seconds)), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = CommitText::of(&data);
            let _ = text.author().map(|ident| (ident.stamp.iso(), ident.stamp.shown()));
            let _ = (Ident::of(&data), Stamp::of(&data));
        }
    }
}

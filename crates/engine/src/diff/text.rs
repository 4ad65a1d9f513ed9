//! Text as lines.

use crate::error::{Error, Result};
use gix::bstr::ByteSlice;
use std::ops::Range;

/// Maximum bytes of a compared text; git refuses larger ones too.
pub const MAX_TEXT: usize = (1 << 30) - 1;

/// A text split into lines, each with its line break.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    text: &'a [u8],
    /// The end of each line.
    ends: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// Splits `text`; the last line may lack a line break.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if it is larger than [`MAX_TEXT`].
    pub fn of(text: &'a [u8]) -> Result<Self> {
        if text.len() > MAX_TEXT {
            return Err(Error::Unsupported("a text too large to be compared"));
        }
        let mut ends = Vec::with_capacity(text.len() / 32);
        let mut at = 0;
        while let Some(len) = text[at..].find_byte(b'\n') {
            at += len + 1;
            ends.push(position(at));
        }
        if at < text.len() {
            ends.push(position(text.len()));
        }
        Ok(Self { text, ends })
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The line `at`, with its line break; empty if there is no such line.
    pub fn get(&self, at: usize) -> &'a [u8] {
        let Some(&end) = self.ends.get(at) else { return &[] };
        &self.text[self.start(at)..end as usize]
    }

    /// The text of some lines.
    pub fn text(&self, lines: Range<usize>) -> &'a [u8] {
        let end = self.start(lines.end.min(self.len()));
        self.text.get(self.start(lines.start)..end).unwrap_or_default()
    }

    /// The offset of the line `at`, or the end of the text.
    fn start(&self, at: usize) -> usize {
        let before = at.checked_sub(1).map(|before| self.ends.get(before));
        before.map_or(0, |end| end.map_or(self.text.len(), |end| *end as usize))
    }
}

/// A position in a text of at most [`MAX_TEXT`] bytes.
pub(crate) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_add_up_to_the_text(text in "[a\n]{0,20}") {
            let lines = Lines::of(text.as_bytes())?;
            let expect: Vec<&str> = text.split_inclusive('\n').collect();
            let seen: Vec<&[u8]> = (0..lines.len()).map(|at| lines.get(at)).collect();
            prop_assert_eq!(seen, expect.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
            for (from, to) in (0..=lines.len()).flat_map(|to| (0..=to).map(move |from| (from, to))) {
                let expect = expect[from..to].concat();
                prop_assert_eq!(lines.text(from..to), expect.as_bytes());
            }
        }
    }
}

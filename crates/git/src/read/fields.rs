//! Splits git's listings into fields and truncates long ones, to bound memory.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    process::{Process, stderr::Ended},
};
use gix::bstr::ByteSlice;
use std::ops::ControlFlow;

/// Maximum bytes kept of a name, a value or a reason. A field of this length may be truncated.
pub const MAX_FIELD: usize = 8 << 10;
/// Maximum bytes kept of a subject.
pub const MAX_SUBJECT: usize = 2 << 10;
/// Maximum bytes kept of one listing.
const MAX_KEPT: usize = 256 << 20;

/// A field truncated to `limit` bytes.
pub(crate) fn clipped(field: &[u8], limit: usize) -> Vec<u8> {
    field[..field.len().min(limit)].to_vec()
}

/// The format of a listing.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// The field terminator.
    pub(crate) separator: u8,
    /// Separates the two parts of a field. The limit applies to each part.
    pub(crate) divider: Option<u8>,
    /// Maximum bytes kept of the field with this index.
    pub(crate) limit: &'a dyn Fn(usize) -> usize,
}

impl Layout<'_> {
    /// NUL-terminated fields.
    pub(crate) const NUL: Self = Self { separator: 0, divider: None, limit: &|_| MAX_FIELD };
}

/// Splits streamed output into fields.
struct Fields<'a> {
    layout: Layout<'a>,
    found: Vec<Vec<u8>>,
    field: Vec<u8>,
    /// Start of the current part of the field.
    part: usize,
    is_divided: bool,
    kept: usize,
}

impl<'a> Fields<'a> {
    fn new(layout: Layout<'a>) -> Self {
        Self { layout, found: Vec::new(), field: Vec::new(), part: 0, is_divided: false, kept: 0 }
    }

    fn push(&mut self, chunk: &[u8]) -> ControlFlow<()> {
        let mut rest = chunk;
        while let Some(end) = rest.find_byte(self.layout.separator) {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            self.end();
        }
        self.keep(rest);
        if self.kept > MAX_KEPT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(at) = self.layout.divider.filter(|_| !self.is_divided).and_then(|divider| rest.find_byte(divider)) {
            self.add(&rest[..at]);
            self.field.push(rest[at]);
            (self.part, self.is_divided) = (self.field.len(), true);
            rest = &rest[at + 1..];
        }
        self.add(rest);
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = (self.part + (self.layout.limit)(self.found.len())).saturating_sub(self.field.len());
        self.field.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self) {
        self.kept += self.field.len();
        self.found.push(std::mem::take(&mut self.field));
        (self.part, self.is_divided) = (0, false);
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.field.is_empty() {
            self.end();
        }
        self.found
    }
}

impl Process<'_> {
    /// Runs the process and returns the fields of its output, truncated.
    ///
    /// # Errors
    ///
    /// As [`Process::stream`]; [`Error::TooLarge`] for too many fields.
    pub(crate) fn fields(self, layout: Layout<'_>, cancel: &Cancel) -> Result<(Ended, Vec<Vec<u8>>)> {
        let what = format!("the output of git {}", self.name());
        let mut fields = Fields::new(layout);
        let ended = self.stream(cancel, |chunk| fields.push(chunk))?;
        if ended.full {
            return Err(Error::TooLarge { what, size: fields.kept as u64, unit: "bytes", limit: MAX_KEPT as u64 });
        }
        Ok((ended, fields.finish()))
    }

    /// As [`Process::fields`], for a process that must succeed.
    pub(crate) fn fields_of_success(self, layout: Layout<'_>, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        let name = self.name();
        let (ended, fields) = self.fields(layout, cancel)?;
        ended.require(&name)?;
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_truncated_whatever_the_chunks() {
        let text = b"a=1\0long key=and a long value=with more\0=\0\0last";
        for size in 1..text.len() {
            let mut fields = Fields::new(Layout { separator: 0, divider: Some(b'='), limit: &|at| if at == 1 { 6 } else { 3 } });
            for chunk in text.chunks(size) {
                assert!(fields.push(chunk).is_continue());
            }
            let found: Vec<String> = fields.finish().iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            assert_eq!(found, ["a=1", "long k=and a ", "=", "", "las"]);
        }
    }
}

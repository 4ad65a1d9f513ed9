//! Prints the matches in a file.

use grep_searcher::{Searcher, Sink, SinkContext, SinkMatch};
use std::{
    io::{self, Write},
    ops::ControlFlow,
};

/// Bytes at the start of a file in which git looks for a NUL.
pub(super) const HEAD: usize = 8000;
/// Output of one file that is collected; the rest is streamed.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// Takes parts of the output, each of whole lines.
pub(super) type Take<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// Prints matches as `git grep -n` does.
pub(super) struct Printer<'a> {
    /// The content of the file.
    pub(super) content: &'a [u8],
    /// Writes the path.
    pub(super) label: &'a dyn Fn(&mut Vec<u8>),
    /// The path, once written.
    pub(super) path: Vec<u8>,
    /// The output.
    pub(super) text: Vec<u8>,
    /// Takes the output when there is much; if absent, the search ends there.
    pub(super) take: Option<&'a mut Take<'a>>,
    /// Whether the search ended before the end of the file.
    pub(super) ended: bool,
}

impl<'a> Printer<'a> {
    pub(super) fn new(content: &'a [u8], label: &'a dyn Fn(&mut Vec<u8>)) -> Self {
        Self { content, label, path: Vec::new(), text: Vec::new(), take: None, ended: false }
    }

    /// Prints a line. False ends the search.
    fn line(&mut self, separator: u8, number: Option<u64>, line: &[u8]) -> io::Result<bool> {
        if self.path.is_empty() {
            // git does not search binary files. Most files match nothing, and need no check.
            if self.content.iter().take(HEAD).any(|&byte| byte == 0) {
                return Ok(false);
            }
            (self.label)(&mut self.path);
        }
        self.text.extend_from_slice(&self.path);
        self.text.push(separator);
        write!(self.text, "{}", number.unwrap_or_default())?;
        self.text.push(separator);
        self.text.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            self.text.push(b'\n');
        }
        if self.text.len() < MAX_TEXT {
            return Ok(true);
        }
        self.ended = self.take.as_mut().is_none_or(|take| take(&self.text).is_break());
        if !self.ended {
            self.text.clear();
        }
        Ok(!self.ended)
    }
}

impl Sink for Printer<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.line(b':', found.line_number(), found.bytes())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.line(b'-', context.line_number(), context.bytes())
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.text.extend_from_slice(b"--\n");
        Ok(true)
    }
}

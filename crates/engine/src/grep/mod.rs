//! Searches files of the working tree and of revisions, as `git grep -nI` does.

mod content;
mod printer;

use crate::{
    beneath::Folder,
    error::{Error, Result},
    queue::in_order,
    stop::Stop,
};
use content::{Read, Reader};
use gix::ObjectId;
use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, MmapChoice, Searcher, SearcherBuilder};
use printer::Printer;
use std::ops::ControlFlow;

/// Files per item of work.
const CHUNK: usize = 32;
/// Minimum number of files for which threads pay off.
const WORTH_THREADS: usize = 64;
/// Memory limit of a compiled pattern.
const PATTERN_LIMIT: usize = 10 << 20;

/// A compiled regular expression, matched line by line.
#[derive(Clone, Debug)]
pub struct Pattern(RegexMatcher);

impl Pattern {
    /// Compiles `pattern`, in the syntax of the `regex` crate.
    ///
    /// # Errors
    ///
    /// Why it is not a regular expression.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(ignore_case)
            .line_terminator(Some(b'\n'))
            .size_limit(PATTERN_LIMIT)
            .dfa_size_limit(PATTERN_LIMIT)
            .build(pattern);
        matcher.map(Self).map_err(|err| err.to_string())
    }
}

/// A file to search.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// The object with its content; absent for the file of the working tree.
    pub id: Option<ObjectId>,
}

/// A search.
pub struct Search<'a> {
    /// What to search for.
    pub pattern: &'a Pattern,
    /// Lines of context around each match.
    pub context: usize,
    /// The working tree.
    pub worktree: Option<&'a Folder>,
    /// The objects.
    pub objects: Option<&'a gix::ThreadSafeRepository>,
    /// Writes a path as it is printed.
    pub label: &'a (dyn Fn(&[u8], &mut Vec<u8>) + Sync),
    /// Stops the search.
    pub stop: &'a dyn Stop,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of files with a match so far.
    pub files: usize,
    /// Number of files too large to search.
    pub too_large: usize,
    /// An object that is missing or damaged, where the search ended.
    pub missing: Option<ObjectId>,
}

/// The result for one file; files without a match have none.
enum Found<'a> {
    Text(Vec<u8>),
    /// The output is too long to collect.
    Long(&'a File<'a>),
    TooLarge,
    Missing(ObjectId),
}

impl<'a> Search<'a> {
    /// Searches `files` on all processors, and passes matches to `each` in their order, until it breaks.
    ///
    /// A part of the output consists of whole lines of one file. Memory is bounded however much matches.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk failed; [`Error::Stopped`].
    pub fn run(&self, files: &'a [File<'a>], each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut chunks = files.chunks(CHUNK);
        let chunks: Vec<&[File<'_>]> = chunks.by_ref().collect();
        let threads = if files.len() < WORTH_THREADS { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
        let worker = || {
            let (mut reader, mut searcher) = (self.reader(), self.searcher());
            let chunks = &chunks;
            move |item: usize| {
                let mut found = Vec::new();
                let files = chunks.get(item).copied().unwrap_or_default();
                let result = files.iter().try_for_each(|file| self.file(file, &mut reader, &mut searcher, &mut found));
                let bytes = found.iter().map(|found| if let Found::Text(text) = found { text.capacity() } else { 0 }).sum();
                (result.map(|()| found), bytes)
            }
        };
        in_order(chunks.len(), threads, worker, |found| self.pass_on(found, &mut summary, each))?;
        Ok(summary)
    }

    /// Passes the results of some files on.
    fn pass_on(
        &self,
        found: Vec<Found<'a>>,
        summary: &mut Summary,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        for found in found {
            match found {
                Found::TooLarge => summary.too_large += 1,
                Found::Missing(id) => {
                    summary.missing = Some(id);
                    return Ok(ControlFlow::Break(()));
                }
                Found::Text(_) | Found::Long(_) => {
                    summary.files += 1;
                    if summary.files > 1 && self.context > 0 && each(b"--\n").is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    let flow = match found {
                        Found::Text(text) => each(&text),
                        Found::Long(file) => self.stream(file, each)?,
                        Found::TooLarge | Found::Missing(_) => ControlFlow::Continue(()),
                    };
                    if flow.is_break() {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn reader(&self) -> Reader<'a> {
        Reader::new(self.worktree, self.objects.map(gix::ThreadSafeRepository::to_thread_local))
    }

    fn searcher(&self) -> Searcher {
        SearcherBuilder::new()
            .line_terminator(LineTerminator::byte(b'\n'))
            .line_number(true)
            .before_context(self.context)
            .after_context(self.context)
            .binary_detection(BinaryDetection::none())
            .bom_sniffing(false)
            .memory_map(MmapChoice::never())
            .build()
    }

    fn file(&self, file: &'a File<'a>, reader: &mut Reader<'a>, searcher: &mut Searcher, found: &mut Vec<Found<'a>>) -> Result<()> {
        self.stop.check()?;
        match reader.read(file) {
            Read::Whole => {}
            Read::Skipped => return Ok(()),
            Read::TooLarge => {
                found.push(Found::TooLarge);
                return Ok(());
            }
            Read::Missing(id) => {
                found.push(Found::Missing(id));
                return Ok(());
            }
            Read::Failed(err) => return Err(Error::io(format!("reading {}", self.path(file)))(err)),
        }
        let label = |out: &mut Vec<u8>| (self.label)(file.path, out);
        let mut printer = Printer::new(&reader.buffer, &label);
        searcher.search_slice(&self.pattern.0, &reader.buffer, &mut printer).map_err(Error::io("searching"))?;
        if printer.ended {
            found.push(Found::Long(file));
        } else if !printer.text.is_empty() {
            found.push(Found::Text(printer.text));
        }
        Ok(())
    }

    /// Searches a file whose output is long.
    fn stream(&self, file: &File<'a>, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<ControlFlow<()>> {
        let mut reader = self.reader();
        if !matches!(reader.read(file), Read::Whole) {
            return Ok(ControlFlow::Continue(()));
        }
        let label = |out: &mut Vec<u8>| (self.label)(file.path, out);
        let mut take = |text: &[u8]| if self.stop.is_stopped() { ControlFlow::Break(()) } else { each(text) };
        let mut printer = Printer { take: Some(&mut take), ..Printer::new(&reader.buffer, &label) };
        self.searcher().search_slice(&self.pattern.0, &reader.buffer, &mut printer).map_err(Error::io("searching"))?;
        let (ended, text) = (printer.ended, std::mem::take(&mut printer.text));
        drop(printer);
        self.stop.check()?;
        Ok(if ended { ControlFlow::Break(()) } else { each(&text) })
    }

    fn path(&self, file: &File<'_>) -> String {
        let mut label = Vec::new();
        (self.label)(file.path, &mut label);
        String::from_utf8_lossy(&label).into_owned()
    }
}

//! Searching tracked files, in the working tree or in a revision.

use crate::{
    beneath::{Folder, to_path},
    cancel::Cancel,
    error::{EIO, Error, Result},
    name::{RelPath, Rev},
    process::Mode,
    quote,
    read::{diff::MAX_BLOB, trees::Walk},
    repo::{Repo, index_file::index_now, route::Route},
};
use engine::diff::patch::is_binary;
use gix::{ObjectId, bstr::ByteSlice};
use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, MmapChoice, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use parking_lot::Mutex;
use std::{
    io::{self, Read},
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Files searched per batch.
const BATCH: usize = 512;
/// Output size that ends a batch early, to bound memory.
const BATCH_OUTPUT: usize = 16 << 20;
/// Maximum number of files searched in a revision.
const MAX_FILES: usize = 500_000;
/// Minimum number of files for which threads pay off.
const WORTH_THREADS: usize = 64;
/// Memory limit of a compiled pattern.
const PATTERN_LIMIT: usize = 10 << 20;
const LIST_LIMIT: usize = 256 << 20;

/// What to search for, and where.
#[derive(Clone, Debug)]
pub struct GrepQuery {
    /// A regular expression in the syntax of Rust's `regex` crate, matched line by line.
    pub pattern: String,
    /// The revision; the working tree when absent.
    pub rev: Option<Rev>,
    /// Only these paths; all when empty.
    pub paths: Vec<RelPath>,
    /// Whether to ignore case.
    pub ignore_case: bool,
    /// Lines of context around each match.
    pub context: usize,
}

/// The summary of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrepSummary {
    /// Number of files with a match so far.
    pub files: usize,
    /// Number of files too large to search.
    pub too_large: usize,
}

/// A file to search.
struct Candidate {
    path: Vec<u8>,
    id: Option<ObjectId>,
}

/// The matches in one file.
#[derive(Default)]
struct Hits {
    text: Vec<u8>,
    too_large: bool,
}

impl Repo {
    /// Passes matches in the format of `git grep -nI` to `each`, one file at a time, until it breaks.
    ///
    /// # Errors
    ///
    /// [`Error::BadPattern`]; [`Error::UnknownRevision`].
    pub fn grep(
        &self,
        query: &GrepQuery,
        cancel: &Cancel,
        each: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    ) -> Result<(GrepSummary, Route)> {
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(query.ignore_case)
            .line_terminator(Some(b'\n'))
            .size_limit(PATTERN_LIMIT)
            .dfa_size_limit(PATTERN_LIMIT)
            .build(&query.pattern)
            .map_err(|err| Error::BadPattern(err.to_string()))?;
        if let Some(rev) = &query.rev {
            let mut needs = self.needs(cancel);
            needs.files(self.resolve(rev, cancel)?, &query.paths)?;
            needs.check()?;
        }
        match &query.rev {
            Some(rev) if self.engine.is_none() => self.grep_with_git(rev, query, cancel, each),
            _ => {
                let found = self.within(Mode::Read, || self.search_files(query, matcher, cancel, each))?;
                found.map_err(|err| {
                    query.rev.as_ref().map_or(Ok(()), |rev| self.check_tree(rev, &err, cancel)).map_or_else(|why| why, |()| err)
                })
            }
        }
    }

    /// Returns git's error for an object the engine could not read.
    fn check_tree(&self, rev: &Rev, err: &Error, cancel: &Cancel) -> Result<()> {
        match err {
            Error::MissingObject(id) => self.object(self.resolve(&Rev::new(id.as_str())?, cancel)?, cancel).map(drop),
            Error::Engine(_) => {
                let tree = self.resolve(rev, cancel)?.to_string();
                self.read(&["ls-tree", "-r", "-z", "--name-only"]).arg(tree).success(cancel, LIST_LIMIT).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Searches in-process.
    fn search_files(
        &self,
        query: &GrepQuery,
        matcher: RegexMatcher,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(GrepSummary, Route)> {
        let candidates = match (&query.rev, &self.engine) {
            (Some(rev), Some(engine)) => self.files_in(&engine.to_thread_local(), rev, query, cancel)?,
            _ => self.tracked_files(query, cancel)?,
        };
        let worktree = self.worktree_folder().ok();
        let search = Search { engine: self.engine.as_ref(), worktree, matcher, context: query.context };
        let mut summary = GrepSummary::default();
        let mut next = 0;
        let mut printed = false;
        while next < candidates.len() {
            let batch = &candidates[next..candidates.len().min(next + BATCH)];
            let found = search.batch(batch, cancel)?;
            next += found.len();
            for hits in found {
                summary.too_large += usize::from(hits.too_large);
                if hits.text.is_empty() {
                    continue;
                }
                summary.files += 1;
                if printed && query.context > 0 && each(b"--\n").is_break() {
                    return Ok((summary, Route::Engine));
                }
                printed = true;
                if each(&hits.text).is_break() {
                    return Ok((summary, Route::Engine));
                }
            }
        }
        Ok((summary, Route::Engine))
    }

    fn files_in(&self, engine: &gix::Repository, rev: &Rev, query: &GrepQuery, cancel: &Cancel) -> Result<Vec<Candidate>> {
        let id = self.resolve(rev, cancel)?;
        let object = engine.find_object(id).map_err(Error::engine)?;
        if object.kind == gix::objs::Kind::Blob {
            return Err(Error::UnknownRevision(rev.to_string()));
        }
        let tree = object.peel_to_tree().map_err(Error::engine)?;
        let walk = Walk { engine, paths: &query.paths, limit: MAX_FILES, cancel };
        let found = walk.compare(None, Some(tree.id))?;
        let regular = |change: crate::read::trees::Change| match change.new {
            Some((0o100_644 | 0o100_755 | 0o100_664, id)) => Some(Candidate { path: change.path, id: Some(id) }),
            _ => None,
        };
        let files = found.changes.into_iter().filter_map(regular).collect();
        Ok(files)
    }

    fn tracked_files(&self, query: &GrepQuery, cancel: &Cancel) -> Result<Vec<Candidate>> {
        self.worktree()?;
        if let Some(engine) = &self.engine
            && let Ok(index) = index_now(&engine.to_thread_local())
            && !index.is_sparse()
        {
            use gix::index::entry::{Flags, Mode};
            let regular = index
                .entries()
                .iter()
                .filter(|entry| matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE) && !entry.flags.contains(Flags::SKIP_WORKTREE));
            let mut files: Vec<Candidate> = regular
                .map(|entry| {
                    // As git, use the index's content for files marked assume-valid.
                    let id = entry.flags.contains(Flags::ASSUME_VALID).then_some(entry.id);
                    Candidate { path: entry.path(&index).to_vec(), id }
                })
                .filter(|file| wanted(&file.path, query))
                .collect();
            files.dedup_by(|a, b| a.path == b.path);
            return Ok(files);
        }
        let output = self.read(&["ls-files", "-z"]).success(cancel, LIST_LIMIT)?;
        let mut paths: Vec<Vec<u8>> =
            output.split(|&byte| byte == 0).filter(|path| !path.is_empty() && wanted(path, query)).map(<[u8]>::to_vec).collect();
        paths.dedup();
        Ok(paths.into_iter().map(|path| Candidate { path, id: None }).collect())
    }

    /// Searches a revision of a repository only git can read, with git's extended regular expressions.
    fn grep_with_git(
        &self,
        rev: &Rev,
        query: &GrepQuery,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(GrepSummary, Route)> {
        let tree = self.resolve(rev, cancel)?.to_string();
        let args = ["grep", "--line-number", "-I", "--no-color", "--extended-regexp", "--no-textconv", "--full-name"];
        let mut process = self.read(&args).arg(format!("--context={}", query.context));
        if query.ignore_case {
            process = process.arg("--ignore-case");
        }
        let paths = query.paths.iter().map(RelPath::literal);
        let process = process.arg("-e").arg(&query.pattern).arg(tree).arg("--").args(paths);
        let ended = process.stream(cancel, |chunk| each(chunk))?;
        // Exit code 1 is "no match", even if an object could not be read.
        if ended.stderr.contains("error: ") && !ended.full {
            return Err(ended.unreadable());
        }
        if ended.code != Some(1) {
            ended.require("grep")?;
        }
        Ok((GrepSummary::default(), Route::Cli))
    }
}

fn wanted(path: &[u8], query: &GrepQuery) -> bool {
    query.paths.is_empty() || query.paths.iter().any(|only| only.covers(path))
}

struct Search<'a> {
    engine: Option<&'a gix::ThreadSafeRepository>,
    worktree: Option<&'a Folder>,
    matcher: RegexMatcher,
    context: usize,
}

impl Search<'_> {
    /// Searches the first files of `batch`, at least one, and returns their results in order.
    fn batch(&self, batch: &[Candidate], cancel: &Cancel) -> Result<Vec<Hits>> {
        let threads = if batch.len() < WORTH_THREADS { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
        let (next, produced) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let slots: Vec<Mutex<Option<Hits>>> = batch.iter().map(|_| Mutex::new(None)).collect();
        let work = || -> Result<()> {
            let engine = self.engine.map(gix::ThreadSafeRepository::to_thread_local);
            let mut searcher = self.searcher();
            while produced.load(Ordering::Relaxed) < BATCH_OUTPUT {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = batch.get(at) else { break };
                cancel.check()?;
                let hits = self.file(engine.as_ref(), &mut searcher, file)?;
                produced.fetch_add(hits.text.len(), Ordering::Relaxed);
                *slots[at].lock() = Some(hits);
            }
            Ok(())
        };
        if threads == 1 {
            work()?;
        } else {
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                workers
                    .into_iter()
                    .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(Error::Engine("a search thread failed".to_owned()))))
            })?;
        }
        // Files are taken in order, so the searched ones are a prefix.
        Ok(slots.into_iter().map_while(parking_lot::Mutex::into_inner).collect())
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

    fn file(&self, engine: Option<&gix::Repository>, searcher: &mut Searcher, file: &Candidate) -> Result<Hits> {
        let unread = |id: ObjectId| move |_| Error::MissingObject(id.to_string());
        let content = match (file.id, engine) {
            (Some(id), Some(engine)) if engine.find_header(id).map_err(unread(id))?.size() > MAX_BLOB => None,
            (Some(id), Some(engine)) => Some(engine.find_object(id).map_err(unread(id))?.detach().data),
            _ => match self.read(&file.path) {
                Ok(content) => content,
                Err(err) if err.raw_os_error() == Some(EIO) => {
                    return Err(Error::io(format!("reading {}", quote::listed(&file.path)))(err));
                }
                // Deleted, replaced by a directory or a symbolic link, or unreadable: git skips it as well.
                Err(_) => return Ok(Hits::default()),
            },
        };
        let Some(content) = content else { return Ok(Hits { too_large: true, ..Hits::default() }) };
        let mut printer = Printer { path: quote::listed(&file.path).into_bytes(), text: Vec::new() };
        if !is_binary(&content) {
            searcher.search_slice(&self.matcher, &content, &mut printer).map_err(Error::io("searching"))?;
        }
        Ok(Hits { text: printer.text, too_large: false })
    }

    /// The content of a regular file of the working tree; `None` if it is too large.
    fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(worktree) = &self.worktree else { return Err(io::ErrorKind::NotFound.into()) };
        let (mut file, _) = worktree.file(to_path(path))?;
        let mut content = Vec::new();
        Read::by_ref(&mut file).take(MAX_BLOB + 1).read_to_end(&mut content)?;
        Ok((content.len() as u64 <= MAX_BLOB).then_some(content))
    }
}

/// Prints matches as `git grep -n` does.
struct Printer {
    path: Vec<u8>,
    text: Vec<u8>,
}

impl Printer {
    fn line(&mut self, separator: u8, number: Option<u64>, line: &[u8]) {
        self.text.extend_from_slice(&self.path);
        self.text.push(separator);
        self.text.extend_from_slice(number.unwrap_or_default().to_string().as_bytes());
        self.text.push(separator);
        self.text.extend_from_slice(line);
        if !line.ends_with_str("\n") {
            self.text.push(b'\n');
        }
    }
}

impl Sink for Printer {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.line(b':', found.line_number(), found.bytes());
        Ok(true)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.line(b'-', context.line_number(), context.bytes());
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.text.extend_from_slice(b"--\n");
        Ok(true)
    }
}

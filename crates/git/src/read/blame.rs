//! The last commit of each line of a file.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    read::{
        commit_text::Stamp,
        fields::{MAX_FIELD, MAX_SUBJECT, clipped},
        filtered::{NotCompared, Unseen},
    },
    repo::{Repo, route::Route},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashMap, ffi::OsStr, ops::ControlFlow, os::unix::ffi::OsStrExt};

/// Maximum bytes kept of a line.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Maximum size of a file with a filter.
const MAX_CONTENT: usize = 32 << 20;

/// The lines to blame.
#[derive(Clone, Debug)]
pub struct BlameQuery {
    /// The file.
    pub path: RelPath,
    /// The revision; the working tree if absent.
    pub rev: Option<Rev>,
    /// The first line, from 1.
    pub start_line: Option<u64>,
    /// The last line.
    pub end_line: Option<u64>,
}

/// The commit a line comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The full id; all zeros for lines that are not committed yet.
    pub id: String,
    /// The author's name, possibly truncated.
    pub author: Vec<u8>,
    /// The author date in the author's zone: `2026-01-31`.
    pub day: String,
    /// The subject.
    pub summary: Vec<u8>,
}

/// One line.
#[derive(Debug)]
pub struct BlamedLine<'a> {
    /// The line's number, from 1.
    pub number: u64,
    /// Its commit.
    pub origin: &'a Origin,
    /// Its text, without the line break; capped.
    pub text: &'a [u8],
    /// The length of the whole line in bytes.
    pub len: usize,
}

/// The version of the file to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// That of a commit.
    Committed,
    /// That of the working tree, which may not be a file.
    Worktree { is_file: bool },
}

impl Repo {
    /// Passes the lines of `query` to `each` until it breaks.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`], [`Error::UnknownRevision`]; [`Error::BadName`] if the file does not have these lines.
    pub fn blame(&self, query: &BlameQuery, cancel: &Cancel, each: &mut dyn FnMut(BlamedLine<'_>) -> ControlFlow<()>) -> Result<Route> {
        let rev = query.rev.clone().unwrap_or_else(Rev::head);
        let commit = self.resolve_commit(&rev, cancel)?;
        self.check_ignored_revs(cancel)?;
        if query.rev.is_none() {
            self.check_no_link_above(&query.path)?;
        }
        let in_worktree =
            query.rev.is_none() && self.location.worktree.as_ref().is_some_and(|top| top.join(query.path.as_path()).is_file());
        let committed = self.resolve_path(&Rev::new(commit.to_string())?, &query.path, cancel);
        match committed {
            Err(error @ Error::NoSuchPath { .. }) => self.check_tracked(&query.path, error, in_worktree, cancel)?,
            committed if !in_worktree => drop(committed?),
            _ => {}
        }
        let mut needs = self.needs(cancel);
        needs.history(commit, &query.path)?;
        needs.check()?;
        let from_worktree = query.rev.is_none() && self.location.worktree.is_some();
        let version = if from_worktree { Version::Worktree { is_file: in_worktree } } else { Version::Committed };
        let by_engine = |engine: &gix::Repository| self.blame_in_process(engine, query, commit, version, cancel).map(Some);
        let by_git = || self.blame_with_git(query, commit, version, cancel, each).map(|()| None);
        let (blamed, route) = self.answer("blame", by_engine, by_git)?;
        if let Some(blamed) = blamed {
            blamed.print(each);
        }
        Ok(route)
    }

    /// Blames in a git process.
    fn blame_with_git(
        &self,
        query: &BlameQuery,
        commit: ObjectId,
        version: Version,
        cancel: &Cancel,
        each: &mut dyn FnMut(BlamedLine<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let args = ["blame", "--porcelain", "--root", "--no-textconv"];
        let mut process = self.read_worktree(&args, cancel)?;
        let range = match (query.start_line, query.end_line) {
            (None, None) => None,
            (start, end) => Some(format!("-L{},{}", start.unwrap_or(1), end.map(|end| end.to_string()).unwrap_or_default())),
        };
        if let Some(range) = range {
            process = process.arg(range);
        }
        match version {
            Version::Committed => process = process.arg(commit.to_string()),
            Version::Worktree { is_file: true } => {
                if let Some(content) = self.content_without_filter(&query.path, cancel)? {
                    process = process.args(["--contents", "-"]).stdin(content);
                }
            }
            Version::Worktree { is_file: false } => {}
        }
        let process = process.arg("--").arg(OsStr::from_bytes(query.path.as_bytes()));
        let mut parser = Porcelain::default();
        let ended = process.may_die().stream(cancel, |chunk| parser.push(chunk, each))?;
        if ended.code == Some(128) && !ended.full && parser.lines == 0 && query.start_line.is_some() {
            let what = format!("{}-{}", query.start_line.unwrap_or(1), query.end_line.map(|end| end.to_string()).unwrap_or_default());
            // git also dies if it cannot read the repository.
            if ended.stderr.contains(" has only ") {
                return Err(Error::bad_name(what, "a range of lines", "the file has no such lines"));
            }
        }
        if ended.code == Some(128) && !ended.full { Err(ended.unreadable()) } else { ended.require("blame") }
    }
}

impl Repo {
    /// The error for a path that is not in `HEAD`; none for a staged file.
    fn check_tracked(&self, path: &RelPath, error: Error, in_worktree: bool, cancel: &Cancel) -> Result<()> {
        let staged = self.read(&["ls-files", "--stage", "-z"]).success(cancel, MAX_CONTENT)?;
        for entry in staged.split(|&byte| byte == 0) {
            let Some((meta, name)) = entry.split_once_str("\t") else { continue };
            if in_worktree && name == path.as_bytes() {
                return Ok(());
            }
            let id = meta.strip_prefix(b"160000 ").and_then(|rest| ObjectId::from_hex(rest.split(|&byte| byte == b' ').next()?).ok());
            if let Some(id) = id.filter(|_| RelPath::from_git(name).covers(path.as_bytes())) {
                return Err(Error::Submodule { path: crate::quote::listed(name), id });
            }
        }
        if in_worktree { Err(Error::NoSuchPath { path: path.to_string(), place: "the tracked files".to_owned() }) } else { Err(error) }
    }

    /// The index's content of an unmodified file whose filter reads do not run.
    fn content_without_filter(&self, path: &RelPath, cancel: &Cancel) -> Result<Option<Vec<u8>>> {
        if self.filter_of(path, cancel)?.is_none() {
            return Ok(None);
        }
        if let Some(NotCompared { why: Unseen::Filter(filter), .. }) = self.not_compared(std::slice::from_ref(path), cancel)?.pop() {
            return Err(Error::NotCompared { path: path.to_string(), filter });
        }
        let staged = self.resolve_staged(0, path, cancel)?;
        self.read(&["cat-file", "blob"]).arg(staged.to_string()).success(cancel, MAX_CONTENT).map(Some)
    }

    /// Refuses an ignored-revisions file outside the working tree: git prints the content of one it cannot parse.
    fn check_ignored_revs(&self, cancel: &Cancel) -> Result<()> {
        if !(self.settings.local_ignore_revs || self.settings.conditional) {
            return Ok(());
        }
        let (_, output) = self.read(&["config", "--get-all", "-z", "--type=path", "blame.ignoreRevsFile"]).output(cancel, 1 << 20)?;
        for name in output.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let path = self.top().join(OsStr::from_bytes(name));
            let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if !target.starts_with(self.top()) {
                return Err(Error::OutsideRoots { path, what: "blame.ignoreRevsFile" });
            }
        }
        Ok(())
    }
}

/// Parses `git blame --porcelain`.
#[derive(Default)]
struct Porcelain {
    line: Vec<u8>,
    len: usize,
    origins: HashMap<String, Origin>,
    current: String,
    number: u64,
    lines: u64,
    /// The seconds of the commit being parsed.
    time: Vec<u8>,
}

impl Porcelain {
    fn push(&mut self, chunk: &[u8], each: &mut dyn FnMut(BlamedLine<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut rest = chunk;
        while let Some(end) = rest.find_byte(b'\n') {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            let (line, len) = (std::mem::take(&mut self.line), std::mem::take(&mut self.len));
            self.complete(&line, len, each)?;
        }
        self.keep(rest);
        ControlFlow::Continue(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len += bytes.len();
    }

    fn complete(&mut self, line: &[u8], len: usize, each: &mut dyn FnMut(BlamedLine<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        if let Some(text) = line.strip_prefix(b"\t") {
            self.lines += 1;
            let unknown = Origin::default();
            let origin = self.origins.get(&self.current).unwrap_or(&unknown);
            return each(BlamedLine { number: self.number, origin, text, len: len - 1 });
        }
        let (key, value) = line.split_once_str(b" ").unwrap_or((line, b""));
        if ObjectId::from_hex(key).is_ok() {
            self.current = key.to_str_lossy().into_owned();
            self.number = value.to_str().ok().and_then(|text| text.split(' ').nth(1)?.parse().ok()).unwrap_or_default();
            let id = self.current.clone();
            self.origins.entry(id.clone()).or_insert_with(|| Origin { id, ..Origin::default() });
        } else if let Some(origin) = self.origins.get_mut(&self.current) {
            match key {
                b"author" => origin.author = clipped(value, MAX_FIELD),
                b"author-time" => self.time = value.to_vec(),
                b"author-tz" => {
                    let stamp = Stamp::of(&[&self.time, &b" "[..], value].concat()).unwrap_or_default();
                    origin.day = stamp.day();
                }
                b"summary" => origin.summary = clipped(value, MAX_SUBJECT),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_have_their_commit_and_number() {
        let id = "b".repeat(40);
        let text = format!("{id} 1 1 2\nauthor A B\nauthor-time 5\nauthor-tz -0100\nsummary s\nfilename f\n\tone\n{id} 2 2\n\t\ttwo\n");
        for size in 1..text.len() {
            let mut parser = Porcelain::default();
            let mut seen = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                let _ = parser.push(chunk, &mut |line| {
                    seen.push((line.number, line.origin.day.clone(), line.origin.author.clone(), line.text.to_vec()));
                    ControlFlow::Continue(())
                });
            }
            let day = || "1969-12-31".to_owned();
            assert_eq!(seen, [(1, day(), b"A B".to_vec(), b"one".to_vec()), (2, day(), b"A B".to_vec(), b"\ttwo".to_vec())]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Porcelain::default().push(&text, &mut |_| ControlFlow::Continue(()));
        }
    }
}

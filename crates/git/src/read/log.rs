//! History: the commits reachable from a revision, in git's order.

use crate::{
    cancel::Cancel,
    date,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::{Mode, Process},
    read::{
        commit_text::Stamp,
        fields::{MAX_FIELD, MAX_SUBJECT},
    },
    repo::{
        Repo,
        route::{Route, only_git},
    },
};
use engine::history::{History, Tip};
use gix::{ObjectId, bstr::ByteSlice};
use regex::bytes::{Regex, RegexBuilder};
use std::ops::ControlFlow;

/// Maximum bytes kept of a commit's parents and of the text it is filtered by.
pub(crate) const MAX_TEXT: usize = 1 << 20;

/// The commits to list.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// The start or range; `HEAD` if absent.
    pub rev: Option<Rev>,
    /// Only commits that change one of these paths.
    pub paths: Vec<RelPath>,
    /// Only commits whose author, as in [`Commit`], matches this regular expression.
    pub author: Option<String>,
    /// Only commits whose message matches this regular expression.
    pub grep: Option<String>,
    /// Only commits after this date.
    pub since: Option<String>,
    /// Only commits up to this date.
    pub until: Option<String>,
    /// How many commits to skip first.
    pub skip: usize,
    /// Maximum number of commits to list.
    pub max_count: usize,
}

/// One commit of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The full id.
    pub id: ObjectId,
    /// The abbreviated id.
    pub short: String,
    /// The ids of the parents.
    pub parents: Vec<ObjectId>,
    /// The author's name as the mailmap maps it, up to [`MAX_FIELD`] bytes.
    pub author: Vec<u8>,
    /// The author's address, likewise.
    pub email: Vec<u8>,
    /// The author date in the author's zone: `2026-01-31T23:59:59+00:00`.
    pub date: String,
    /// The first paragraph of the message on one line, up to [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
}

impl Repo {
    /// Passes the commits of `query` to `each`, newest first, until it breaks.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::BadName`] for an invalid date.
    pub fn log(&self, query: &LogQuery, cancel: &Cancel, each: &mut (dyn FnMut(Commit) -> ControlFlow<()> + Send)) -> Result<Route> {
        let date = |text: &Option<String>| text.as_deref().map(date::for_git).transpose();
        let query = &LogQuery { since: date(&query.since)?, until: date(&query.until)?, ..query.clone() };
        let start = self.start(query.rev.as_ref(), cancel)?;
        let filter = &Filter::new(query)?;
        let mut given = 0;
        let mut count = |commit| {
            given += 1;
            each(commit)
        };
        let walk = |engine: &gix::Repository| self.walk(engine, &start, query, filter.as_ref(), cancel, &mut count);
        match self.with_engine(Mode::Read, walk)?.unwrap_or_else(|| Err(only_git("the format of the repository"))) {
            Err(Error::Engine(why)) => {
                tracing::debug!(read = "log", why, "left to git");
                let rest = LogQuery { skip: query.skip + given, max_count: query.max_count.saturating_sub(given), ..query.clone() };
                self.log_with_git(&self.tips(&start, cancel)?, &rest, filter.as_ref(), cancel, each).map(|()| Route::Cli)
            }
            walked => {
                tracing::debug!(read = "log", "answered in-process");
                walked.map(|()| Route::Engine)
            }
        }
    }

    /// Whether a mailmap may map the names of authors.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn maps_authors(&self) -> Result<bool> {
        Ok(self.with_engine(Mode::Read, |engine| self.has_mailmap(engine))?.unwrap_or(true))
    }

    /// The same, with the engine. A bare repository has the mailmap of its `HEAD`.
    pub(crate) fn has_mailmap(&self, engine: &gix::Repository) -> bool {
        let is_committed = || engine.head_tree().map_or(true, |tree| tree.find_entry(".mailmap").is_some());
        let worktree = self.location.worktree.as_ref();
        let is_there = worktree.map_or_else(is_committed, |top| top.join(".mailmap").symlink_metadata().is_ok());
        is_there || self.settings.names_mailmap || self.settings.conditional
    }

    /// The commits that a revision or range starts from.
    fn start(&self, rev: Option<&Rev>, cancel: &Cancel) -> Result<Start> {
        let head = Rev::head();
        let rev = rev.unwrap_or(&head);
        let Some(range) = rev.range()? else { return Ok(Start::One(self.resolve_commit(rev, cancel)?)) };
        let (from, to) = (self.resolve_commit(&range.from, cancel)?, self.resolve_commit(&range.to, cancel)?);
        Ok(if range.symmetric { Start::Symmetric { left: from, right: to } } else { Start::Range { from, to } })
    }

    /// The same as tips, in git's order, which decides between commits of the same second.
    fn tips(&self, start: &Start, cancel: &Cancel) -> Result<Vec<Tip>> {
        let tip = |hidden| move |id| Tip { id, hidden };
        Ok(match *start {
            Start::One(id) => vec![tip(false)(id)],
            Start::Range { from, to } => vec![tip(true)(from), tip(false)(to)],
            Start::Symmetric { left, right } => {
                let bases = self.merge_bases(left, right, cancel)?.into_iter().map(tip(true));
                bases.chain([left, right].map(tip(false))).collect()
            }
        })
    }

    /// The tips of `rev` as git arguments.
    pub(crate) fn tips_as_args(&self, rev: &Rev, cancel: &Cancel) -> Result<Vec<String>> {
        let tips = self.tips(&self.start(Some(rev), cancel)?, cancel)?;
        Ok(tips.iter().map(|tip| format!("{}{}", if tip.hidden { "^" } else { "" }, tip.id)).collect())
    }

    /// The best common ancestors of two commits.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn merge_bases(&self, one: ObjectId, other: ObjectId, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let in_process = |engine: &gix::Repository| Ok(History::open(engine, cancel)?.merge_bases(one, other)?);
        Ok(self.answer("merge-base", in_process, || self.merge_bases_with_git(one, other, cancel))?.0)
    }

    fn merge_bases_with_git(&self, one: ObjectId, other: ObjectId, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let process = self.read(&["merge-base", "--all"]).arg(one.to_string()).arg(other.to_string());
        let (ended, output) = process.output(cancel, 1 << 20)?;
        // Exit code 1 without output: unrelated histories.
        if ended.code != Some(0) && ended.code != Some(1) {
            return Err(ended.failed("merge-base"));
        }
        Ok(output.lines().filter_map(|line| ObjectId::from_hex(line).ok()).collect())
    }

    /// `git log` in the format of [`Records`], with the text that commits are filtered by if `filtered`.
    fn log_process(&self, filtered: bool) -> Process<'_> {
        self.read(&["log", "-z", "--no-color", "--no-show-signature", "--no-decorate", "--encoding=UTF-8"])
            .arg(format!("--format={FORMAT}{}", if filtered { FILTERED } else { "" }))
    }

    /// A commit as git shows it.
    pub(crate) fn record_with_git(&self, id: ObjectId, filtered: bool, cancel: &Cancel) -> Result<Record> {
        let process = self.log_process(filtered).arg("--no-walk").arg(id.to_string()).arg("--");
        let (mut records, mut found) = (Records::default(), None);
        let mut keep = |record| {
            found = Some(record);
            ControlFlow::Break(())
        };
        let ended = process.stream(cancel, |chunk| records.push(chunk, &mut keep))?;
        if !ended.full {
            ended.require("log")?;
        }
        found.or_else(|| parse_record(&records.partial)).ok_or_else(|| only_git("a commit that git shows differently"))
    }

    fn log_with_git(
        &self,
        tips: &[Tip],
        query: &LogQuery,
        filter: Option<&Filter>,
        cancel: &Cancel,
        each: &mut dyn FnMut(Commit) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut process = self.log_process(filter.is_some());
        if filter.is_none() {
            process = process.arg(format!("--max-count={}", query.max_count)).arg(format!("--skip={}", query.skip));
        }
        for (option, value) in [("--since", &query.since), ("--until", &query.until)] {
            if let Some(value) = value {
                process = process.arg(format!("{option}={value}"));
            }
        }
        for tip in tips {
            process = process.arg(format!("{}{}", if tip.hidden { "^" } else { "" }, tip.id));
        }
        process = process.arg("--").args(query.paths.iter().map(RelPath::literal));
        let (mut passed, end) = (0, query.skip.saturating_add(query.max_count));
        let mut wanted = |record: Record| {
            let Some(filter) = filter else { return each(record.commit) };
            if !filter.matches(&record) {
                return ControlFlow::Continue(());
            }
            passed += 1;
            if passed > query.skip {
                each(record.commit)?;
            }
            if passed >= end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut records = Records::default();
        let ended = process.stream(cancel, |chunk| records.push(chunk, &mut wanted))?;
        ended.require("log")?;
        if !ended.full
            // `-z` separates records; the last one has no separator.
            && let Some(record) = parse_record(&records.partial)
        {
            let _ = wanted(record);
        }
        Ok(())
    }
}

/// The format of a record: see [`parse_record`].
const FORMAT: &str = "%H%n%h%n%P%n%aN%n%aE%n%aI%n%s";
/// Line numbers in a record.
const PARENTS: usize = 2;
const SUBJECT: usize = 6;
const AUTHOR: usize = 7;
const MESSAGE: usize = 8;
/// Additional fields if commits are filtered.
const FILTERED: &str = "%n%aN <%aE>%n%B";
/// Memory limit of a compiled pattern.
const PATTERN_LIMIT: usize = 10 << 20;

/// Patterns for author and message. They are matched here, in linear time: the C library's matcher, which git uses,
/// needs gigabytes for some patterns.
pub(crate) struct Filter {
    author: Option<Regex>,
    message: Option<Regex>,
}

impl Filter {
    fn new(query: &LogQuery) -> Result<Option<Self>> {
        let compile = |pattern: &Option<String>| {
            let build = |pattern: &String| {
                RegexBuilder::new(pattern).multi_line(true).size_limit(PATTERN_LIMIT).dfa_size_limit(PATTERN_LIMIT).build()
            };
            pattern.as_ref().map(build).transpose().map_err(|err| Error::BadPattern(err.to_string()))
        };
        let filter = Self { author: compile(&query.author)?, message: compile(&query.grep)? };
        Ok((filter.author.is_some() || filter.message.is_some()).then_some(filter))
    }

    pub(crate) fn matches(&self, record: &Record) -> bool {
        let found = |pattern: &Option<Regex>, text: &[u8]| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        found(&self.author, &record.author) && found(&self.message, &record.message)
    }
}

/// A commit and the text it is filtered by.
pub(crate) struct Record {
    pub(crate) commit: Commit,
    pub(crate) author: Vec<u8>,
    pub(crate) message: Vec<u8>,
}

/// Where a log starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    One(ObjectId),
    Range { from: ObjectId, to: ObjectId },
    Symmetric { left: ObjectId, right: ObjectId },
}

/// The first paragraph on one line, as git's `%s`.
pub(crate) fn subject(message: &[u8]) -> Vec<u8> {
    let lines = message.lines().map(<[u8]>::trim_ascii_end);
    let lines = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(&b' ')
}

/// Normalises the zone of UTC, which differs between versions of git. For a commit without a valid time git 2.47.3
/// leaves the placeholder here, and elsewhere shows [`Stamp::default`].
fn numeric_zone(date: String) -> String {
    match date.strip_suffix('Z') {
        Some(start) => format!("{start}+00:00"),
        None if date.starts_with('%') => Stamp::default().iso().unwrap_or(date),
        None => date,
    }
}

/// Splits `-z` output into commits.
#[derive(Default)]
struct Records {
    partial: Vec<u8>,
    /// The current line of the record, and its bytes read so far.
    line: usize,
    seen: usize,
}

impl Records {
    fn push(&mut self, chunk: &[u8], each: &mut dyn FnMut(Record) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut rest = chunk;
        while let Some(end) = rest.find_byte(0) {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            let record = std::mem::take(&mut self.partial);
            (self.line, self.seen) = (0, 0);
            if let Some(record) = parse_record(&record) {
                each(record)?;
            }
        }
        self.keep(rest);
        ControlFlow::Continue(())
    }

    /// Truncates each line: a long one must not hide the next ones.
    fn keep(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let end = if self.line < MESSAGE { rest.find_byte(b'\n') } else { None };
            let piece = &rest[..end.unwrap_or(rest.len())];
            let limit = match self.line {
                PARENTS | AUTHOR | MESSAGE => MAX_TEXT,
                SUBJECT => MAX_SUBJECT,
                _ => MAX_FIELD,
            };
            self.partial.extend_from_slice(&piece[..piece.len().min(limit.saturating_sub(self.seen))]);
            self.seen += piece.len();
            let Some(end) = end else { return };
            self.partial.push(b'\n');
            (self.line, self.seen) = (self.line + 1, 0);
            rest = &rest[end + 1..];
        }
    }
}

fn parse_record(record: &[u8]) -> Option<Record> {
    let mut fields = record.splitn(9, |&byte| byte == b'\n');
    let mut next = || fields.next();
    // Of an author line that it cannot read, git 2.47 shows these placeholders themselves, and nothing for `%an` and `%ae`.
    let mapped = |field: &[u8], placeholder: &[u8]| if field == placeholder { Vec::new() } else { field.to_vec() };
    let commit = Commit {
        id: ObjectId::from_hex(next()?).ok()?,
        short: next()?.to_str().ok()?.to_owned(),
        parents: next()?.split(|&byte| byte == b' ').filter_map(|id| ObjectId::from_hex(id).ok()).collect(),
        author: mapped(next()?, b"%aN"),
        email: mapped(next()?, b"%aE"),
        date: numeric_zone(next()?.to_str_lossy().into_owned()),
        subject: next()?.to_vec(),
    };
    Some(Record { commit, author: next().unwrap_or_default().to_vec(), message: next().unwrap_or_default().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_the_first_paragraph_on_one_line() {
        assert_eq!(subject(b"\n\none  \ntwo\n\nbody\n"), b"one two");
        assert_eq!(subject(b""), b"");
    }

    #[test]
    fn a_long_author_hides_neither_the_commit_nor_later_fields() {
        let (id, long) = ("a".repeat(40), "A".repeat(3 << 20));
        let text = format!("{id}\naaaaaaa\n\n{long}\n{long}\n2026-01-01T00:00:00+00:00\n{long}\n{long}\nwords\nof a message\0");
        let mut records = Records::default();
        let mut seen = Vec::new();
        for chunk in text.as_bytes().chunks(1 << 16) {
            let _ = records.push(chunk, &mut |record| {
                seen.push(record);
                ControlFlow::Continue(())
            });
        }
        let [Record { commit, author, message }] = seen.as_slice() else { panic!("one commit") };
        assert_eq!((commit.author.len(), commit.email.len(), commit.subject.len()), (MAX_FIELD, MAX_FIELD, MAX_SUBJECT));
        assert_eq!((author.len(), message.as_slice()), (MAX_TEXT, &b"words\nof a message"[..]));
    }

    #[test]
    fn records_are_parsed_whatever_the_chunks() {
        let id = "a".repeat(40);
        let text = format!("{id}\naaaaaaa\n\nA\na@b\n2026-01-01T00:00:00+00:00\nx\0{id}\naaaaaaa\n{id} {id}\nB\nb@b\nd\ny\0");
        for size in 1..text.len() {
            let mut records = Records::default();
            let mut seen = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                assert!(
                    records
                        .push(chunk, &mut |record| {
                            seen.push(record.commit);
                            ControlFlow::Continue(())
                        })
                        .is_continue()
                );
            }
            assert_eq!(seen.iter().map(|c| (c.author.as_slice(), c.parents.len())).collect::<Vec<_>>(), [(&b"A"[..], 0), (b"B", 2)]);
        }
    }
}

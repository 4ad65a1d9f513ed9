//! The log in-process: commits of a walk with the fields that git shows.

use crate::{
    beneath::Kind,
    cancel::Cancel,
    date,
    error::{Error, Result},
    read::{
        commit_text::{CommitText, Stamp},
        fields::{MAX_FIELD, MAX_SUBJECT, clipped},
        log::{self, Commit, Filter, LogQuery, MAX_TEXT, Record, Start},
    },
    repo::{Repo, rev::Abbreviator, route::only_git},
};
use engine::history::{History, Mailmap, Selection, Tip, Walk};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    ops::ControlFlow,
    time::{SystemTime, UNIX_EPOCH},
};

/// Maximum size of a committed mailmap.
const MAX_MAILMAP: u64 = 1 << 20;

impl Repo {
    /// Walks in-process as `git log` does.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the rest is left to git.
    pub(crate) fn walk(
        &self,
        engine: &gix::Repository,
        start: &Start,
        query: &LogQuery,
        filter: Option<&Filter>,
        cancel: &Cancel,
        each: &mut dyn FnMut(Commit) -> ControlFlow<()>,
    ) -> Result<()> {
        // With it, git follows the renames of a single path.
        if query.paths.len() == 1 && engine.config_snapshot().boolean("log.follow").unwrap_or(false) {
            return Err(only_git("log.follow"));
        }
        let paths = query.paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let selection = Selection { paths, since: seconds(query.since.as_deref())?, until: seconds(query.until.as_deref())? };
        let history = History::open(engine, cancel)?;
        let mut walk = match *start {
            Start::One(id) => history.walk(&[Tip { id, hidden: false }], selection)?,
            Start::Range { from, to } => history.walk(&[Tip { id: from, hidden: true }, Tip { id: to, hidden: false }], selection)?,
            Start::Symmetric { left, right } => history.symmetric_difference(left, right, selection)?,
        };
        let view = View { repo: self, abbreviate: Abbreviator::of(engine), mailmap: self.mailmap(engine)?, cancel };
        let end = query.skip.saturating_add(query.max_count);
        let mut passed = 0;
        while passed < end
            && let Some(id) = walk.advance()?
        {
            // A skipped commit is read only if a filter may drop it.
            if filter.is_some() || passed >= query.skip {
                let record = view.record(id, &mut walk, filter.is_some())?;
                if !filter.is_none_or(|filter| filter.matches(&record)) {
                    continue;
                }
                if passed >= query.skip && each(record.commit).is_break() {
                    break;
                }
            }
            passed += 1;
        }
        Ok(())
    }

    /// The mailmap that git uses.
    pub(crate) fn mailmap(&self, engine: &gix::Repository) -> Result<Mailmap> {
        if self.settings.names_mailmap || self.settings.conditional {
            return Err(only_git("a configured mailmap"));
        }
        let text = match self.worktree_folder() {
            Ok(top) => top.read(".mailmap", Kind::Rules).map_err(Error::engine)?,
            Err(_) => committed_mailmap(engine)?,
        };
        Ok(Mailmap::parse(&text.unwrap_or_default())?)
    }
}

/// The mailmap of a bare repository: that of `HEAD`.
fn committed_mailmap(engine: &gix::Repository) -> Result<Option<Vec<u8>>> {
    let tree = match engine.head_tree() {
        Ok(tree) => tree,
        // Without a commit there is no mailmap.
        Err(_) if engine.head().is_ok_and(|head| head.is_unborn()) => return Ok(None),
        Err(err) => return Err(Error::engine(err)),
    };
    let Some(entry) = tree.find_entry(".mailmap") else { return Ok(None) };
    let id = entry.object_id();
    if !entry.mode().is_blob() || engine.find_header(id).map_err(Error::engine)?.size() > MAX_MAILMAP {
        return Err(only_git("a committed mailmap that is no small file"));
    }
    Ok(Some(engine.find_object(id).map_err(Error::engine)?.detach().data))
}

/// A date of a query in seconds since 1970.
fn seconds(date: Option<&str>) -> Result<Option<u64>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    date.map(|date| date::seconds(date, now).ok_or_else(|| only_git("a date in local time"))).transpose()
}

/// Reads the fields of commits.
struct View<'a> {
    repo: &'a Repo,
    abbreviate: Abbreviator,
    mailmap: Mailmap,
    cancel: &'a Cancel,
}

impl View<'_> {
    /// The commit that a walk found, with the text it is filtered by if `filtered`.
    fn record(&self, id: ObjectId, walk: &mut Walk<'_>, filtered: bool) -> Result<Record> {
        let parents = walk.parents()?;
        let stored = walk.text()?;
        let text = CommitText::of(stored);
        let author = text.author();
        let date = author.as_ref().map_or(Stamp::default(), |author| author.stamp).iso();
        let Some(date) = date.filter(|_| !text.is_encoded && stored.find_byte(0).is_none()) else {
            // Only git re-encodes such messages, ends them at a NUL, or formats such years.
            return self.repo.record_with_git(id, filtered, self.cancel);
        };
        let shown = author.map(|author| self.mailmap.map(author.name, author.email));
        let (name, email) = shown.unwrap_or_default();
        let commit = Commit {
            id,
            short: self.abbreviate.short(id),
            parents,
            author: clipped(name, MAX_FIELD),
            email: clipped(email, MAX_FIELD),
            date,
            subject: clipped(&log::subject(text.message), MAX_SUBJECT),
        };
        if !filtered {
            return Ok(Record { commit, author: Vec::new(), message: Vec::new() });
        }
        // git leaves the placeholders of an author line that it cannot read.
        let author = shown.map_or_else(|| b"%aN <%aE>".to_vec(), |(name, email)| [name, b" <", email, b">"].concat());
        Ok(Record { commit, author: clipped(&author, MAX_TEXT), message: clipped(text.message, MAX_TEXT) })
    }
}

//! The operation journal: rows in the store, used for undo and for idempotency keys.
//!
//! A change is recorded when it begins and when it ends; its end is on disk before the caller gets the result. Its
//! beginning goes into the change's lock file, where crash recovery finds it. A store that no other machine shares gets
//! the beginning while git works. While the store is unavailable, lines go into one file per repository, which is imported
//! later.

mod late;
mod record;
mod row;
mod table;

use crate::{
    caller::Caller,
    error::{Error, Kind},
    output::Reply,
    persistence::{Failed, Persistence},
    process::{is_running, own_start},
};
use git::{Cancel, Change, Held, Repo, Snapshot};
pub(crate) use record::Record;
use record::Writing;
use row::{Begun, Ended, Line, State};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::OperationRow;
use table::{Table, Wanted};
use tokio::runtime::Handle;

/// Maximum size of an index to copy, and number of copies kept.
const MAX_INDEX: u64 = 64 << 20;
const MAX_COPIES: usize = 64;
/// Maximum number of changes undo searches.
const FAR: i64 = 1_000;
/// Maximum length of a result kept for an idempotency key.
const MAX_TEXT: usize = 64 << 10;
/// Maximum number of lost files named in an error.
const MAX_LOST: usize = 20;
/// Time limit for recording the end of a change, independent of the change's own.
const RECORDING: Duration = Duration::from_secs(10);

/// The journals of all repositories.
#[derive(Clone)]
pub(crate) struct Journal {
    table: Arc<Table>,
}

/// An operation in one line.
pub(crate) fn described(row: &OperationRow) -> String {
    format!("{} {} in {}", row.id, row.tool, row.worktree)
}

/// A change to be recorded.
pub(crate) struct Request<'a> {
    pub(crate) tool: &'static str,
    pub(crate) key: Option<&'a str>,
    /// The caller. A key is valid only for its owner.
    pub(crate) principal: &'a str,
    /// Digest of the arguments.
    pub(crate) digest: String,
    /// Whether it holds the worktree's lock, so that all differences afterwards are its own.
    pub(crate) worktree_locked: bool,
    /// The first lock it holds.
    pub(crate) lock: Option<&'a Held>,
    /// Whether the worktree's previous holder may have crashed.
    pub(crate) previous_holder_crashed: bool,
    /// Set once recovery has run.
    pub(crate) recovered: Cell<bool>,
}

/// A past change that may be undone.
pub(crate) struct Past {
    pub(crate) id: String,
    pub(crate) tool: String,
    /// The principal; the local user when absent.
    pub(crate) by: Option<String>,
    pub(crate) age: Duration,
    pub(crate) change: Change,
    /// References that other processes moved meanwhile; undo leaves them unchanged.
    pub(crate) beside: Vec<String>,
}

impl Journal {
    /// Keeps index copies in `dir`, created on first use, and records in the store; without a store, in files in `dir`.
    pub(crate) fn new(dir: PathBuf, persistence: Option<Arc<Persistence>>) -> Self {
        Self { table: Arc::new(Table::new(dir, persistence)) }
    }

    /// Marks the running operations of dead servers as interrupted, and returns them, by id.
    pub(crate) async fn interrupt_dead(persistence: &Persistence) -> Result<Vec<OperationRow>, Failed> {
        let mut found: Vec<OperationRow> = table::interrupt_dead(persistence).await?.into_values().collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// Runs `work` between two journal lines. A repeated key returns the first result.
    pub(crate) fn record(
        &self,
        repo: &Repo,
        request: &Request<'_>,
        cancel: &Cancel,
        work: impl FnOnce(&Record<'_>) -> Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        if let Some(key) = request.key
            && let Some(reply) = self.answered(repo, (key, request.principal), &request.digest)?
        {
            return Ok(reply);
        }
        if let Some(line) = request.lock.and_then(|lock| serde_json::from_str(lock.left()).ok()) {
            // A killed change may not have written its beginning to the store.
            self.append(repo, &line, false).map_err(|err| unwritable(&err))?;
        }
        let interrupted = if request.previous_holder_crashed { self.interrupted(repo) } else { None };
        if request.previous_holder_crashed
            && let Err(err) = repo.remove_leftovers()
        {
            tracing::warn!(%err, "could not remove leftovers of a killed server");
        }
        request.recovered.set(true);
        let record = self.begin(repo, request, cancel)?;
        let start = SystemTime::now();
        let result = work(&record).map_err(|error| record.with_effects(record.with_losses(error, start)));
        let recorded = record.end(&result);
        let mut reply = match (result, &interrupted) {
            (Ok(reply), _) => reply,
            (Err(mut error), Some(text)) => {
                error.message = format!("{}\n{text}", error.message);
                return Err(error);
            }
            (Err(error), None) => return Err(error),
        };
        if let Err(err) = recorded {
            tracing::error!(%err, "a change could not be recorded");
            reply.say(&format!("the change was made, but could not be recorded for git_undo: {err}"));
        }
        let moved_too = record.moved_too(&reply.text);
        for text in [interrupted, record.not_kept(), record.not_removed(), moved_too, record.moved_beside()].into_iter().flatten() {
            reply.say(&text);
        }
        Ok(reply)
    }

    fn begin<'a>(&'a self, repo: &'a Repo, request: &Request<'_>, cancel: &Cancel) -> Result<Record<'a>, Error> {
        let before = if request.worktree_locked { repo.snapshot(cancel)? } else { Snapshot::default() };
        self.copy_index(repo, &before).map_err(|err| unwritable(&err))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = format!("{:x}-{:x}", now.as_nanos() / 1000, std::process::id());
        let begun = Begun {
            id,
            at: u64::try_from(now.as_millis()).unwrap_or_default(),
            pid: std::process::id(),
            pid_start: own_start(),
            tool: request.tool.to_owned(),
            worktree: repo.top().to_owned(),
            key: request.key.map(str::to_owned),
            digest: request.digest.clone(),
            by: (request.principal != Caller::LOCAL).then(|| request.principal.to_owned()),
            before: State::of(&before),
        };
        let line = Line::Begun(Box::new(begun.clone()));
        let beginning = match (request.lock, Handle::try_current()) {
            // Other processes look up keys in the store.
            (Some(lock), Ok(runtime)) if request.key.is_none() && self.table.is_ours() => {
                lock.note(&serde_json::to_string(&line).map_err(|err| unwritable(&err.into()))?)?;
                Some(Writing(runtime.spawn(Arc::clone(&self.table).append_aside(key(repo), line, false))))
            }
            _ => {
                self.append(repo, &line, false).map_err(|err| unwritable(&err))?;
                None
            }
        };
        let mut notes = record::Notes::default();
        if request.worktree_locked && repo.moves_others() {
            (notes.refs, notes.updates) = (Some(repo.movable_refs(cancel)?), repo.updates());
        }
        let (notes, beginning) = (RefCell::new(notes), RefCell::new(beginning));
        Ok(Record { journal: self, repo, begun, worktree_locked: request.worktree_locked, notes, beginning, settled: RefCell::default() })
    }

    /// The last change in this worktree that was not undone. One that ended an operation stands for the whole operation.
    pub(crate) fn last(&self, repo: &Repo) -> Result<Option<Past>, Error> {
        let (ended, undone) = self.ended(repo)?;
        let mut ended = ended.into_iter().peekable();
        while let Some(change) = ended.next() {
            let is_undone = undone.contains(&change.begun.id);
            let whole = if change.ends_an_operation() {
                change.with_beginning(&mut ended)
            } else if change.aborts_conflicts() {
                row::skip_conflicts(&mut ended);
                None
            } else {
                Some(change)
            };
            if let Some(change) = whole.filter(|change| !is_undone && change.is_undoable()) {
                return Ok(change.past(&self.copies(repo)));
            }
        }
        Ok(None)
    }

    /// Whether a recorded change began the operation in progress.
    pub(crate) fn knows_beginning(&self, repo: &Repo) -> Result<bool, Error> {
        let (ended, _) = self.ended(repo)?;
        let first = ended.into_iter().find(|change| change.begun.before.in_progress.is_none());
        Ok(first.is_some_and(|change| change.after.in_progress.is_some()))
    }

    /// The finished changes of this worktree, newest first, and the ids of undone ones.
    fn ended(&self, repo: &Repo) -> Result<(Vec<Ended>, HashSet<String>), Error> {
        let (mut ended, mut undone) = (Vec::new(), HashSet::new());
        let lines = self.table.lines(&key(repo), Wanted::Last(FAR)).map_err(|why| unreadable(&why))?;
        for line in lines.into_iter().rev() {
            match line {
                Line::Undone { id } => drop(undone.insert(id)),
                Line::Ended(change) if change.is_of(repo) => ended.push(*change),
                Line::Ended(_) | Line::Begun(_) | Line::Noted { .. } => {}
            }
        }
        Ok((ended, undone))
    }

    /// Records that a change was undone.
    pub(crate) fn undone(&self, repo: &Repo, id: &str) -> io::Result<()> {
        self.append(repo, &Line::Undone { id: id.to_owned() }, true)
    }

    /// The reply recorded for this key.
    fn answered(&self, repo: &Repo, (key, principal): (&str, &str), digest: &str) -> Result<Option<Reply>, Error> {
        let (mut begun, mut found) = (None, None);
        let is_it = |line: &Begun| {
            let owner = line.by.as_deref().unwrap_or(Caller::LOCAL);
            line.worktree == repo.top() && line.key.as_deref() == Some(key) && owner == principal
        };
        let lines = self.table.lines(&self::key(repo), Wanted::Key(key, principal)).map_err(|why| unreadable(&why))?;
        for line in lines {
            match line {
                Line::Undone { id } if found.as_ref().is_some_and(|(undone, _)| *undone == id) => found = None,
                Line::Ended(ended) if is_it(&ended.begun) => {
                    begun = None;
                    if ended.begun.digest != digest {
                        return Err(Error::new(Kind::BadInput, "this idempotency key was used with other arguments"));
                    }
                    if ended.done
                        && let Some(text) = ended.text
                    {
                        found = Some((ended.begun.id, Reply { text, structured: None }));
                    }
                }
                Line::Begun(line) if is_it(&line) => begun = Some(line),
                _ => {}
            }
        }
        match begun {
            Some(begun) if !is_running(begun.pid, begun.pid_start) => Err(Error::new(
                Kind::Refused,
                format!(
                    "the server was killed while it ran {} with this idempotency key; the change may or may not have been made",
                    begun.tool
                ),
            )
            .hint("Check git_status and git_log, and repeat the call with another key if it was not made.")),
            _ => Ok(found.map(|(_, reply)| reply)),
        }
    }

    /// Describes the change that a crash interrupted, and the state before it.
    fn interrupted(&self, repo: &Repo) -> Option<String> {
        let mut open: Option<Box<Begun>> = None;
        let mut kept = String::new();
        // An unreadable journal is not reported here.
        for line in self.table.lines(&key(repo), Wanted::Newest(repo.top())).unwrap_or_default() {
            match line {
                Line::Begun(begun) if begun.worktree == repo.top() => open = Some(begun),
                Line::Ended(ended) if open.as_ref().is_some_and(|open| open.id == ended.begun.id) => open = None,
                Line::Noted { id, saved } if open.as_ref().is_some_and(|open| open.id == id) => {
                    kept = format!("; the files' content before it is saved as commit {saved}");
                }
                _ => {}
            }
        }
        let open = open.filter(|open| !is_running(open.pid, open.pid_start))?;
        let at = open.before.commit.as_deref().map_or("no commit", |commit| &commit[..commit.len().min(12)]);
        Some(format!(
            "the server was killed during an earlier {}, which may or may not have finished; HEAD was at {at} before it{kept}. \
             git_status and git_log show the current state",
            open.tool
        ))
    }

    fn append(&self, repo: &Repo, line: &Line, durable: bool) -> io::Result<()> {
        self.table.append(&key(repo), line, durable)
    }

    /// The folder of this worktree's index copies, named by [`Snapshot::index`].
    fn copies(&self, repo: &Repo) -> PathBuf {
        self.table.dir().join("index").join(git::key(repo.top()))
    }

    /// Copies the index, and removes old copies. Without a copy, undo refuses to touch the index.
    fn copy_index(&self, repo: &Repo, state: &Snapshot) -> io::Result<()> {
        let Some(key) = &state.index else { return Ok(()) };
        let dir = self.copies(repo);
        let copy = dir.join(key);
        if fs::metadata(repo.index_file())?.len() > MAX_INDEX || copy.exists() {
            return Ok(());
        }
        fs::create_dir_all(&dir)?;
        let mut copies: Vec<PathBuf> = fs::read_dir(&dir)?.flatten().map(|entry| entry.path()).collect();
        if copies.len() >= MAX_COPIES {
            // Half of them at once, so that not every change has to read their times.
            copies.sort_by_key(|copy| fs::metadata(copy).and_then(|meta| meta.modified()).ok());
            for old in &copies[..MAX_COPIES / 2] {
                fs::remove_file(old)?;
            }
        }
        // git replaces the index and never writes into it, so a hard link is enough.
        if fs::hard_link(repo.index_file(), &copy).is_ok() {
            return Ok(());
        }
        // Under another name first, so that a file with the final name is complete.
        let partial = dir.join(format!("{}.partial", std::process::id()));
        fs::copy(repo.index_file(), &partial)?;
        let time = fs::metadata(repo.index_file())?.modified()?;
        File::options().write(true).open(&partial)?.set_modified(time)?;
        fs::rename(partial, copy)
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn unwritable(err: &io::Error) -> Error {
    Error::new(Kind::Refused, format!("the operation journal cannot be written: {err}"))
        .hint("Nothing was changed. Ask the operator to free space, or to name another folder with --state-dir.")
}

/// The error for a call that depends on earlier operations while the journal is unavailable.
fn unreadable(why: &Failed) -> Error {
    let mut error = Error::new(Kind::Unavailable, format!("the operation journal is unavailable: {why}"))
        .hint("Nothing was changed. Changes without an idempotency key still work; retry this call once the store is back.");
    error.retry_after = Some(Duration::from_secs(5));
    error
}

/// A repository's key in the journal.
pub(crate) fn key(repo: &Repo) -> String {
    git::key(&repo.location().common_dir)
}

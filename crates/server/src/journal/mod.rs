//! What changes did: rows of the store's operations. They are the undo log and the memory of idempotency keys.
//!
//! A change is written down before it begins and when it has ended; the second is on disk before the caller hears of it.
//! The first goes into the lock that the change holds, where whoever comes after a kill finds it; the store, where it is
//! this machine's alone, is told while git works. While the store is away, lines go into a file for each repository, which
//! is taken over when it is back.

mod row;
mod table;

use crate::{
    caller::Caller,
    error::{Error, Kind},
    output::Reply,
    persistence::{Failed, Persistence},
    process::{is_running, own_start},
};
use git::{Cancel, Change, Held, Moved, ObjectId, Reach, Refs, Repo, Snapshot};
use row::{Begun, Ended, Line, Move, Scope, State};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use table::{Table, Wanted};
use tokio::{runtime::Handle, task::JoinHandle};

/// The largest index of which a copy is kept, and how many copies.
const MAX_INDEX: u64 = 64 << 20;
const MAX_COPIES: usize = 64;
/// How many changes back one is looked for that can be taken back.
const FAR: i64 = 1_000;
/// The longest text that is kept for an idempotency key.
const MAX_TEXT: usize = 64 << 10;
/// The most lost files that an error names.
const MAX_LOST: usize = 20;
/// How long recording the end of a change may take, once its own time is up.
const RECORDING: Duration = Duration::from_secs(10);

/// The journals of all repositories.
#[derive(Clone)]
pub(crate) struct Journal {
    table: Arc<Table>,
}

/// A call that changes something, as it is recorded.
pub(crate) struct Request<'a> {
    pub(crate) tool: &'static str,
    pub(crate) key: Option<&'a str>,
    /// Who makes it. A key is good for its owner alone.
    pub(crate) principal: &'a str,
    /// Stands for the arguments.
    pub(crate) digest: String,
    /// The worktree is locked for it, so that what differs afterwards is its doing.
    pub(crate) alone: bool,
    /// The first of the locks that it holds.
    pub(crate) lock: Option<&'a Held>,
    /// What had the worktree before it may have been killed.
    pub(crate) follows_a_kill: bool,
    /// Set once that has been looked after.
    pub(crate) looked_after: Cell<bool>,
}

/// The record of a running change.
pub(crate) struct Record<'a> {
    journal: &'a Journal,
    repo: &'a Repo,
    begun: Begun,
    alone: bool,
    notes: RefCell<Notes>,
    /// The line of the beginning is on its way into the store.
    beginning: RefCell<Option<Writing>>,
    /// The line of the end is written, and is on its way to the disk.
    settled: RefCell<Option<Writing>>,
}

/// A line on its way, while the thread that writes it does something else. Somebody else drives it: the store must not
/// wait for a change that takes long.
struct Writing(JoinHandle<io::Result<()>>);

#[derive(Default)]
struct Notes {
    reach: Reach,
    saved: Option<ObjectId>,
    /// What files hold is overwritten, and `saved` is what that was.
    overwrites: bool,
    paths: Vec<Vec<u8>>,
    /// Branches and the stash before, where the change moves them.
    refs: Option<Refs>,
}

/// A change that can be asked to be taken back.
pub(crate) struct Past {
    pub(crate) id: String,
    pub(crate) tool: String,
    /// Who made it; whoever has started the server when absent.
    pub(crate) by: Option<String>,
    pub(crate) age: Duration,
    pub(crate) change: Change,
}

impl Journal {
    /// Keeps copies of indexes in `dir`, which is made when it is first needed, and the rest in the store; in files in `dir`
    /// without one.
    pub(crate) fn new(dir: PathBuf, persistence: Option<Arc<Persistence>>) -> Self {
        Self { table: Arc::new(Table::new(dir, persistence)) }
    }

    /// Marks what was running when its server ended, and says what that was.
    pub(crate) async fn interrupt_dead(persistence: &Persistence) -> Result<Vec<String>, Failed> {
        let found = table::interrupt_dead(persistence).await?;
        let mut said: Vec<String> = found.into_values().map(|row| format!("{} {} in {}", row.id, row.tool, row.worktree)).collect();
        said.sort();
        Ok(said)
    }

    /// Does `work` between two lines of the journal. A key that was seen gets the first result again.
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
            // What was killed may not have come so far as to tell the store.
            self.append(repo, &line, false).map_err(|err| unwritable(&err))?;
        }
        let interrupted = if request.follows_a_kill { self.interrupted(repo) } else { None };
        if request.follows_a_kill
            && let Err(err) = repo.remove_leftovers()
        {
            tracing::warn!(%err, "what a killed server has left cannot be removed");
        }
        request.looked_after.set(true);
        let record = self.begin(repo, request, cancel)?;
        let start = SystemTime::now();
        let result = work(&record).map_err(|error| record.with_losses(error, start));
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
            reply.say(&format!("the change is made, and could not be recorded for git_undo: {err}"));
        }
        if let Some(text) = interrupted {
            reply.say(&text);
        }
        Ok(reply)
    }

    fn begin<'a>(&'a self, repo: &'a Repo, request: &Request<'_>, cancel: &Cancel) -> Result<Record<'a>, Error> {
        let before = if request.alone { repo.snapshot(cancel)? } else { Snapshot::default() };
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
            // A key is looked up by others.
            (Some(lock), Ok(runtime)) if request.key.is_none() && self.table.is_ours() => {
                lock.note(&serde_json::to_string(&line).map_err(|err| unwritable(&err.into()))?)?;
                Some(Writing(runtime.spawn(Arc::clone(&self.table).append_aside(key(repo), line, false))))
            }
            _ => {
                self.append(repo, &line, false).map_err(|err| unwritable(&err))?;
                None
            }
        };
        let (notes, beginning) = (RefCell::default(), RefCell::new(beginning));
        Ok(Record { journal: self, repo, begun, alone: request.alone, notes, beginning, settled: RefCell::default() })
    }

    /// The last change in this worktree that was not taken back. One that has ended an operation stands for all of it.
    pub(crate) fn last(&self, repo: &Repo) -> Result<Option<Past>, Error> {
        let (ended, undone) = self.ended(repo)?;
        let mut ended = ended.into_iter().peekable();
        while let Some(change) = ended.next() {
            let is_undone = undone.contains(&change.begun.id);
            let whole = if change.ends_an_operation() { change.with_beginning(&mut ended) } else { Some(change) };
            if let Some(change) = whole.filter(|change| !is_undone && change.is_undoable()) {
                return Ok(change.past(&self.copies(repo)));
            }
        }
        Ok(None)
    }

    /// True where the operation that is in progress was begun by a change that is recorded.
    pub(crate) fn knows_beginning(&self, repo: &Repo) -> Result<bool, Error> {
        let (ended, _) = self.ended(repo)?;
        let first = ended.into_iter().find(|change| change.begun.before.in_progress.is_none());
        Ok(first.is_some_and(|change| change.after.in_progress.is_some()))
    }

    /// The changes of this worktree that have ended, the newest first, and the names of those that were taken back.
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

    /// Notes that a change was taken back.
    pub(crate) fn undone(&self, repo: &Repo, id: &str) -> io::Result<()> {
        self.append(repo, &Line::Undone { id: id.to_owned() }, true)
    }

    /// What was answered to this key.
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
                        return Err(Error::new(Kind::BadInput, "this idempotency key was used for a call with other arguments"));
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
                    "the server was killed while it ran {} with this idempotency key, and whether the change was made is not known",
                    begun.tool
                ),
            )
            .hint("Look with git_status and git_log, and repeat the call with another key if it was not.")),
            _ => Ok(found.map(|(_, reply)| reply)),
        }
    }

    /// Says which change was cut off by the end of its server, and where that has left the repository.
    fn interrupted(&self, repo: &Repo) -> Option<String> {
        let mut open: Option<Box<Begun>> = None;
        let mut kept = String::new();
        // Where it cannot be read nothing is said of it.
        for line in self.table.lines(&key(repo), Wanted::Newest(repo.top())).unwrap_or_default() {
            match line {
                Line::Begun(begun) if begun.worktree == repo.top() => open = Some(begun),
                Line::Ended(ended) if open.as_ref().is_some_and(|open| open.id == ended.begun.id) => open = None,
                Line::Noted { id, saved } if open.as_ref().is_some_and(|open| open.id == id) => {
                    kept = format!("; what files held before it is kept as commit {saved}");
                }
                _ => {}
            }
        }
        let open = open.filter(|open| !is_running(open.pid, open.pid_start))?;
        let at = open.before.commit.as_deref().map_or("no commit", |commit| &commit[..commit.len().min(12)]);
        Some(format!(
            "the server was killed during an earlier {}, which may or may not have been finished; HEAD was at {at} before it{kept}. \
             git_status and git_log show what it left",
            open.tool
        ))
    }

    fn append(&self, repo: &Repo, line: &Line, durable: bool) -> io::Result<()> {
        self.table.append(&key(repo), line, durable)
    }

    /// Where copies of the index of this worktree are, by [`Snapshot::index`].
    fn copies(&self, repo: &Repo) -> PathBuf {
        self.table.dir().join("index").join(git::key(repo.top()))
    }

    /// Keeps the index, and few enough of them. Without it, undoing refuses to touch the index.
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
            // Half of them at once, so that their times are not looked at for each change.
            copies.sort_by_key(|copy| fs::metadata(copy).and_then(|meta| meta.modified()).ok());
            for old in &copies[..MAX_COPIES / 2] {
                fs::remove_file(old)?;
            }
        }
        // git never writes into an index, but puts another in its place: so the old one need not be copied, only named.
        if fs::hard_link(repo.index_file(), &copy).is_ok() {
            return Ok(());
        }
        // Under another name first: what has the name is whole.
        let partial = dir.join(format!("{}.partial", std::process::id()));
        fs::copy(repo.index_file(), &partial)?;
        let time = fs::metadata(repo.index_file())?.modified()?;
        File::options().write(true).open(&partial)?.set_modified(time)?;
        fs::rename(partial, copy)
    }
}

impl Record<'_> {
    /// Says what the change touches, before it does.
    pub(crate) fn note(&self, reach: Reach) {
        self.notes.borrow_mut().reach = reach;
    }

    /// Says that the change overwrites files at `paths`, or anywhere, and where what they hold is kept.
    pub(crate) fn overwrites(&self, saved: Option<ObjectId>, paths: Vec<Vec<u8>>) -> Result<(), Error> {
        if let Some(saved) = saved {
            let line = Line::Noted { id: self.begun.id.clone(), saved: saved.to_string() };
            self.beginning.take().map_or(Ok(()), Writing::end).map_err(|err| unwritable(&err))?;
            self.journal.append(self.repo, &line, true).map_err(|err| unwritable(&err))?;
        }
        let mut notes = self.notes.borrow_mut();
        (notes.reach, notes.saved, notes.overwrites, notes.paths) = (Reach::Worktree, saved, true, paths);
        Ok(())
    }

    /// Says that the change makes, deletes or moves references besides the branch that is checked out, before it does.
    pub(crate) fn moves_refs(&self, cancel: &Cancel) -> Result<(), Error> {
        self.notes.borrow_mut().refs = Some(self.repo.movable_refs(cancel)?);
        Ok(())
    }

    /// Notes that a change was taken back.
    pub(crate) fn undone(&self, id: &str) -> io::Result<()> {
        self.journal.undone(self.repo, id)
    }

    /// Says that the change is made, so that its record reaches the disk while the result is being put together.
    pub(crate) fn settle(&self) {
        let is_open = self.begun.key.is_none() && self.settled.borrow().is_none();
        if let (true, Ok(line), Ok(runtime)) = (is_open, self.ending(true, None), Handle::try_current()) {
            let beginning = self.beginning.take();
            let write = Arc::clone(&self.journal.table).append_aside(key(self.repo), line, true);
            *self.settled.borrow_mut() = Some(Writing(runtime.spawn(async {
                if let Some(Writing(beginning)) = beginning {
                    // Should it have failed, the line of the end says what it would have said.
                    let _ = beginning.await;
                }
                write.await
            })));
        }
    }

    fn end(&self, result: &Result<Reply, Error>) -> Result<(), Error> {
        let unrecorded = |err: io::Error| Error::new(Kind::Internal, format!("the journal cannot be written: {err}"));
        if let Some(settled) = self.settled.take() {
            return settled.end().map_err(unrecorded);
        }
        // As above.
        let _ = self.beginning.take().map(Writing::end);
        let text = result.as_ref().ok().filter(|_| self.begun.key.is_some()).map(|reply| cut(&reply.text).to_owned());
        self.journal.append(self.repo, &self.ending(result.is_ok(), text)?, true).map_err(unrecorded)
    }

    /// Adds to an error which files the change has lost, and the way back.
    fn with_losses(&self, mut error: Error, start: SystemTime) -> Error {
        use git::Error as Git;
        // At a conflict a file that one side has deleted is missing by right.
        let begun = !matches!(error.cause(), None | Some(Git::Stopped { .. } | Git::Unmerged(_)));
        let reach = self.notes.borrow().reach;
        if !begun || reach != Reach::Worktree {
            return error;
        }
        let soon = Cancel::new(Some(Instant::now() + RECORDING));
        let lost = self.repo.lost_since(start, &soon).unwrap_or_default();
        if lost.is_empty() {
            return error;
        }
        let mut names: Vec<String> = lost.iter().take(MAX_LOST).map(ToString::to_string).collect();
        names.extend((lost.len() > MAX_LOST).then(|| format!("and {} more", lost.len() - MAX_LOST)));
        error.message = format!("{}\nmissing or empty since: {}", error.message, names.join(", "));
        let undoable =
            self.notes.borrow().saved.is_some() || self.repo.snapshot(&soon).is_ok_and(|after| State::of(&after) != self.begun.before);
        if !matches!(error.cause(), Some(Git::HalfStashed { .. })) {
            let back = if undoable { "git_undo brings them back." } else { "git_restore with these `paths` brings them back." };
            error.hint = Some(error.hint.into_iter().chain([back.to_owned()]).collect::<Vec<_>>().join(" "));
        }
        error
    }

    /// Keeps what only this change's record still leads to, so that the collection of garbage leaves it to an undo.
    fn keep(&self, after: &Snapshot, left: Option<ObjectId>, moved: &[Moved], cancel: &Cancel) {
        let before = self.begun.before.commit.as_deref().and_then(|commit| ObjectId::from_hex(commit.as_bytes()).ok());
        // Another branch than the one that is checked out now still has its commit.
        let before = before.filter(|_| self.begun.before.branch.is_none() || self.begun.before.branch == after.branch);
        let is_left_behind = |before: &ObjectId| after.commit.is_none_or(|after| !self.repo.is_at_or_below(*before, after));
        let mut objects: Vec<ObjectId> = before.filter(is_left_behind).into_iter().collect();
        objects.extend(self.notes.borrow().saved.into_iter().chain(left.filter(|left| Some(*left) != after.commit)));
        objects.extend(moved.iter().filter_map(|moved| moved.before));
        if !objects.is_empty()
            && let Err(err) = self.repo.keep(&self.begun.id, &objects, cancel)
        {
            tracing::warn!(%err, "objects that git_undo needs are not protected from the collection of garbage");
        }
    }

    /// The line of the end.
    fn ending(&self, done: bool, text: Option<String>) -> Result<Line, Error> {
        let soon = Cancel::new(Some(Instant::now() + RECORDING));
        let after = if self.alone { self.repo.snapshot(&soon)? } else { Snapshot::default() };
        let kept = self.journal.copy_index(self.repo, &after);
        kept.map_err(|err| Error::new(Kind::Internal, format!("the index cannot be kept: {err}")))?;
        let notes = self.notes.borrow();
        let left = if notes.overwrites { self.repo.save(&soon)?.or(after.commit) } else { None };
        let name = |id: ObjectId| id.to_string();
        let moved = match &notes.refs {
            Some(before) => self.repo.moved_since(before, &soon)?,
            None => Vec::new(),
        };
        self.keep(&after, left, &moved, &soon);
        let moved = moved.into_iter();
        let ended = Ended {
            begun: self.begun.clone(),
            done,
            after: State::of(&after),
            moved: moved
                .map(|Moved { name: moved, before, after }| Move { name: moved, before: before.map(name), after: after.map(name) })
                .collect(),
            reach: match notes.reach {
                Reach::Refs => Scope::Refs,
                Reach::Index => Scope::Index,
                Reach::Worktree => Scope::Worktree,
            },
            saved: notes.saved.map(name),
            left: left.map(name),
            paths: notes.paths.iter().map(|path| git::quote::listed(path)).collect(),
            text,
        };
        Ok(Line::Ended(Box::new(ended)))
    }
}

impl Writing {
    /// Waits on a thread that may.
    fn end(self) -> io::Result<()> {
        Handle::try_current().map_err(io::Error::other)?.block_on(self.0).map_err(io::Error::other)?
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn unwritable(err: &io::Error) -> Error {
    Error::new(Kind::Refused, format!("the journal of changes cannot be written: {err}"))
        .hint("Nothing was changed. The operator frees space, or names another folder with --state-dir.")
}

/// What was done before decides, and cannot be had.
fn unreadable(why: &Failed) -> Error {
    let mut error = Error::new(Kind::Unavailable, format!("what was done here before cannot be read: {why}"))
        .hint("Nothing was changed. Changes without an idempotency key go on; this call works again when the store is back.");
    error.retry_after = Some(Duration::from_secs(5));
    error
}

/// What a repository is called in the journal.
pub(crate) fn key(repo: &Repo) -> String {
    git::key(&repo.location().common_dir)
}

//! What changes did: one append-only file for each repository in the state folder. It is the undo log and the memory
//! of idempotency keys.
//!
//! A change writes a line before it begins and one when it has ended; the second is on disk before the caller hears of
//! it. A line is complete in itself, so that a torn one, or a file that was rotated in between, costs nothing but itself.

mod row;

use crate::{
    caller::Caller,
    error::{Error, Kind},
    output::Reply,
};
use git::{Cancel, Change, Moved, ObjectId, Reach, Repo, Snapshot};
use row::{Begun, Ended, Line, Move, Scope, State};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The size at which a file is put aside. One older file is kept.
const ROTATE: u64 = 4 << 20;
/// How far back the last change is looked for.
const TAIL: u64 = ROTATE;
/// The largest index of which a copy is kept, and how many copies.
const MAX_INDEX: u64 = 64 << 20;
const MAX_COPIES: usize = 64;
/// How far back a change that was cut off is looked for.
const RECENT: u64 = 64 << 10;
/// The longest text that is kept for an idempotency key.
const MAX_TEXT: usize = 64 << 10;
/// How long recording the end of a change may take, once its own time is up.
const RECORDING: Duration = Duration::from_secs(10);

/// The journals of all repositories.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    /// How long each file was when this process last wrote to it.
    lengths: Mutex<HashMap<PathBuf, u64>>,
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
}

/// The record of a running change.
pub(crate) struct Record<'a> {
    journal: &'a Journal,
    repo: &'a Repo,
    begun: Begun,
    alone: bool,
    notes: RefCell<Notes>,
    /// The line of the end is written, and is on its way to the disk.
    settled: RefCell<Option<JoinHandle<io::Result<()>>>>,
}

#[derive(Default)]
struct Notes {
    reach: Reach,
    saved: Option<ObjectId>,
    /// What files hold is overwritten, and `saved` is what that was.
    overwrites: bool,
    paths: Vec<Vec<u8>>,
    /// Branches and the stash before, where the change moves them.
    refs: Option<BTreeMap<String, ObjectId>>,
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
    /// Keeps the files in `dir`, which is made when it is first needed.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, lengths: Mutex::new(HashMap::new()) }
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
        let interrupted = self.interrupted(repo);
        let record = self.begin(repo, request, cancel)?;
        let result = work(&record);
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
            tool: request.tool.to_owned(),
            worktree: repo.top().to_owned(),
            key: request.key.map(str::to_owned),
            digest: request.digest.clone(),
            by: (request.principal != Caller::LOCAL).then(|| request.principal.to_owned()),
            before: State::of(&before),
        };
        self.append(repo, &Line::Begun(Box::new(begun.clone())), false).map_err(|err| unwritable(&err))?;
        let notes = RefCell::new(Notes::default());
        Ok(Record { journal: self, repo, begun, alone: request.alone, notes, settled: RefCell::default() })
    }

    /// The last change in this worktree that was not taken back, or the one called `id` if that is the last.
    pub(crate) fn last(&self, repo: &Repo) -> Option<Past> {
        let mut undone = HashSet::new();
        let lines = self.tail(repo, TAIL);
        for line in lines.into_iter().rev() {
            match line {
                Line::Undone { id } => drop(undone.insert(id)),
                Line::Ended(ended) if ended.is_undoable(repo) && !undone.contains(&ended.begun.id) => {
                    return ended.past(&self.copies(repo));
                }
                Line::Ended(_) | Line::Begun(_) | Line::Noted { .. } => {}
            }
        }
        None
    }

    /// Notes that a change was taken back.
    pub(crate) fn undone(&self, repo: &Repo, id: &str) -> io::Result<()> {
        self.append(repo, &Line::Undone { id: id.to_owned() }, true).map(drop)
    }

    /// What was answered to this key.
    fn answered(&self, repo: &Repo, (key, principal): (&str, &str), digest: &str) -> Result<Option<Reply>, Error> {
        let (mut begun, mut found) = (None, None);
        let is_it = |line: &Begun| {
            let owner = line.by.as_deref().unwrap_or(Caller::LOCAL);
            line.worktree == repo.top() && line.key.as_deref() == Some(key) && owner == principal
        };
        for line in self.tail(repo, 2 * ROTATE) {
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
            Some(begun) if !is_running(begun.pid) => Err(Error::new(
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
        let file = self.file(repo);
        let length = fs::metadata(&file).map_or(0, |meta| meta.len());
        if self.lengths.lock().unwrap_or_else(PoisonError::into_inner).get(&file) == Some(&length) {
            // Nobody else has written since this process has.
            return None;
        }
        let mut open: Option<Box<Begun>> = None;
        let mut kept = String::new();
        for line in self.tail(repo, RECENT) {
            match line {
                Line::Begun(begun) if begun.worktree == repo.top() => open = Some(begun),
                Line::Ended(ended) if open.as_ref().is_some_and(|open| open.id == ended.begun.id) => open = None,
                Line::Noted { id, saved } if open.as_ref().is_some_and(|open| open.id == id) => {
                    kept = format!("; what files held before it is kept as commit {saved}");
                }
                _ => {}
            }
        }
        let open = open.filter(|open| !is_running(open.pid))?;
        let at = open.before.commit.as_deref().map_or("no commit", |commit| &commit[..commit.len().min(12)]);
        Some(format!(
            "the server was killed during an earlier {}, which may or may not have been finished; HEAD was at {at} before it{kept}. \
             git_status and git_log show what it left",
            open.tool
        ))
    }

    fn file(&self, repo: &Repo) -> PathBuf {
        self.dir.join(git::key(&repo.location().common_dir)).with_extension("jsonl")
    }

    fn append(&self, repo: &Repo, line: &Line, to_disk: bool) -> io::Result<File> {
        let path = self.file(repo);
        fs::create_dir_all(&self.dir)?;
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > ROTATE) {
            fs::rename(&path, path.with_extension("jsonl.1"))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        // In one piece, so that lines of several processes do not mix.
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
        if to_disk {
            file.sync_data()?;
        }
        let length = file.metadata()?.len();
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).insert(path, length);
        Ok(file)
    }

    /// The last lines, up to `bytes` of them, the oldest first. What cannot be read is left out.
    fn tail(&self, repo: &Repo, bytes: u64) -> Vec<Line> {
        let path = self.file(repo);
        let mut lines = Vec::new();
        for path in [path.with_extension("jsonl.1"), path] {
            let text = read_tail(&path, bytes).unwrap_or_default();
            lines.extend(text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
        lines
    }

    /// Where copies of the index of this worktree are, by [`Snapshot::index`].
    fn copies(&self, repo: &Repo) -> PathBuf {
        self.dir.join("index").join(git::key(repo.top()))
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
            self.journal.append(self.repo, &line, true).map_err(|err| unwritable(&err)).map(drop)?;
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
        if let (true, Ok(file)) = (is_open, self.write_end(true, None, false)) {
            *self.settled.borrow_mut() = Some(std::thread::spawn(move || file.sync_data()));
        }
    }

    fn end(&self, result: &Result<Reply, Error>) -> Result<(), Error> {
        if let Some(settled) = self.settled.take() {
            let synced = settled.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
            return synced.map_err(|err| Error::new(Kind::Internal, format!("the journal cannot be written: {err}")));
        }
        let text = result.as_ref().ok().filter(|_| self.begun.key.is_some()).map(|reply| cut(&reply.text).to_owned());
        self.write_end(result.is_ok(), text, true).map(drop)
    }

    /// Writes the line of the end.
    fn write_end(&self, done: bool, text: Option<String>, to_disk: bool) -> Result<File, Error> {
        let soon = Cancel::new(Some(Instant::now() + RECORDING));
        let after = if self.alone { self.repo.snapshot(&soon)? } else { Snapshot::default() };
        let kept = self.journal.copy_index(self.repo, &after);
        kept.map_err(|err| Error::new(Kind::Internal, format!("the index cannot be kept: {err}")))?;
        let notes = self.notes.borrow();
        let left = if notes.overwrites { self.repo.save(&soon)?.or(after.commit) } else { None };
        let name = |id: ObjectId| id.to_string();
        let moved = match &notes.refs {
            Some(before) => git::moved(before, &self.repo.movable_refs(&soon)?),
            None => Vec::new(),
        };
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
        let written = self.journal.append(self.repo, &Line::Ended(Box::new(ended)), to_disk);
        written.map_err(|err| Error::new(Kind::Internal, format!("the journal cannot be written: {err}")))
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn unwritable(err: &io::Error) -> Error {
    Error::new(Kind::Refused, format!("the journal of changes cannot be written: {err}"))
        .hint("Nothing was changed. The operator frees space, or names another folder with --state-dir.")
}

fn is_running(pid: u32) -> bool {
    pid == std::process::id() || Path::new("/proc").join(pid.to_string()).exists() || !Path::new("/proc/self").exists()
}

fn read_tail(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

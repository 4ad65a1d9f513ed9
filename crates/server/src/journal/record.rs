//! The record of a running change: what it declares, and the references found moved when it ends.

use super::{
    Journal, MAX_LOST, RECORDING, cut, key,
    row::{Begun, Ended, FileRow, Line, Move, State},
    unwritable,
};
use crate::{
    error::{Error, Kind},
    output::{Field, Reply, word},
};
use git::{Cancel, Moved, ObjectId, RawFile, Reach, Refs, RelPath, Repo, Snapshot};
use std::{
    cell::RefCell,
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};
use tokio::{runtime::Handle, task::JoinHandle};

/// The record of a running change.
pub(crate) struct Record<'a> {
    pub(super) journal: &'a Journal,
    pub(super) repo: &'a Repo,
    pub(super) begun: Begun,
    pub(super) worktree_locked: bool,
    pub(super) notes: RefCell<Notes>,
    /// The pending write of the `Begun` line, into the store.
    pub(super) beginning: RefCell<Option<Writing>>,
    /// The pending write of the `Ended` line, to disk.
    pub(super) settled: RefCell<Option<Writing>>,
}

/// A pending write of a line, while the change's thread continues. It runs as a task of its own: the store must not wait
/// for a long change.
pub(super) struct Writing(pub(super) JoinHandle<io::Result<()>>);

#[derive(Default)]
pub(super) struct Notes {
    reach: Reach,
    saved: Option<ObjectId>,
    /// Whether files are overwritten; `saved` has their previous content.
    overwrites: bool,
    paths: Vec<RelPath>,
    /// References before the change, if it may move any.
    pub(super) refs: Option<Refs>,
    /// Whether the change declares that it moves references.
    moves: bool,
    /// Branches that the rebase in progress moves when it ends.
    pub(super) updates: Vec<String>,
    /// Files that git alone could not restore.
    files: Vec<RawFile>,
    /// Those that exceed the limits of what is kept.
    beyond: Vec<RelPath>,
    /// Those that exceed them and did not exist.
    absent: Vec<RelPath>,
    /// The object with the configuration of a deleted branch.
    config: Option<ObjectId>,
    /// The dropped stash entry.
    stash: Option<ObjectId>,
    /// References that other processes moved meanwhile, for the `Ended` line.
    beside: Vec<Moved>,
    /// Other references the change moved: branches of a stack, notes of rewritten commits.
    moved_too: Vec<Moved>,
}

/// Maximum number of references or files named in one line.
const MAX_BESIDE: usize = 6;

/// The first paths and the number of the others; `None` without paths.
fn listed(paths: &[RelPath]) -> Option<String> {
    let named: Vec<String> = paths.iter().take(MAX_BESIDE).map(|path| word(Field::Path, path.as_bytes(), "`git ls-files --eol`")).collect();
    let more = paths.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| named.join(", ") + &more)
}

fn describe(moved: &Moved) -> String {
    let name = word(Field::Ref, &moved.name, "`git for-each-ref`");
    let short = |id: ObjectId| id.to_hex_with_len(12).to_string();
    match (moved.before, moved.after) {
        (Some(from), Some(to)) => format!("{name} from {} to {}", short(from), short(to)),
        (Some(from), None) => format!("{name} deleted, was at {}", short(from)),
        (None, to) => format!("{name} created at {}", to.map(short).unwrap_or_default()),
    }
}

impl Record<'_> {
    /// Declares what the change will touch.
    pub(crate) fn note(&self, reach: Reach) {
        self.notes.borrow_mut().reach = reach;
    }

    /// Declares that the change overwrites files at `paths`, or anywhere; `saved` has their content.
    pub(crate) fn overwrites(&self, saved: Option<ObjectId>, paths: &[RelPath]) -> Result<(), Error> {
        if let Some(saved) = saved {
            let line = Line::Noted { id: self.begun.id.clone(), saved: saved.to_string() };
            self.beginning.take().map_or(Ok(()), Writing::end).map_err(|err| unwritable(&err))?;
            self.journal.append(self.repo, &line, true).map_err(|err| unwritable(&err))?;
        }
        let mut notes = self.notes.borrow_mut();
        (notes.reach, notes.saved, notes.overwrites, notes.paths) = (Reach::Worktree, saved, true, paths.to_vec());
        Ok(())
    }

    /// Declares that the change will create, delete or move references besides the checked-out branch.
    pub(crate) fn moves_refs(&self, cancel: &Cancel) -> Result<(), Error> {
        let mut notes = self.notes.borrow_mut();
        (notes.refs, notes.moves) = (Some(self.repo.movable_refs(cancel)?), true);
        Ok(())
    }

    /// Whether overwritten content is saved, so that the change can be undone although HEAD did not move.
    pub(crate) fn has_kept(&self) -> bool {
        self.notes.borrow().overwrites
    }

    /// Declares files that git alone could not restore: with their previous content, beyond the limits, and beyond them and
    /// `absent` so far.
    pub(crate) fn keeps_files(&self, files: Vec<RawFile>, beyond: Vec<RelPath>, absent: Vec<RelPath>) {
        let mut notes = self.notes.borrow_mut();
        notes.files.extend(files);
        notes.beyond.extend(beyond);
        notes.absent.extend(absent);
    }

    /// A line for the caller on files that `git_undo` cannot restore exactly.
    pub(crate) fn not_kept(&self) -> Option<String> {
        let named = listed(&self.notes.borrow().beyond)?;
        Some(format!("git_undo cannot restore the exact bytes of {named}: it keeps 200 files, each up to 64 MiB"))
    }

    /// A line for the caller on new files that `git_undo` leaves, if they were created.
    pub(super) fn not_removed(&self) -> Option<String> {
        let top = self.repo.worktree().ok()?;
        let created: Vec<RelPath> =
            self.notes.borrow().absent.iter().filter(|path| top.join(path.as_path()).symlink_metadata().is_ok()).cloned().collect();
        Some(format!("git_undo does not remove {}: it removes 200 new files", listed(&created)?))
    }

    /// Declares the object with the configuration of a deleted branch.
    pub(crate) fn keeps_config(&self, config: Option<ObjectId>) {
        self.notes.borrow_mut().config = config;
    }

    /// Declares the dropped stash entry.
    pub(crate) fn drops_stash(&self, id: ObjectId) {
        self.notes.borrow_mut().stash = Some(id);
    }

    /// A line for the caller on references that other processes moved meanwhile.
    pub(super) fn moved_beside(&self) -> Option<String> {
        let notes = self.notes.borrow();
        let mut named: Vec<String> = notes.beside.iter().take(MAX_BESIDE).map(describe).collect();
        named.extend((notes.beside.len() > MAX_BESIDE).then(|| format!("{} more", notes.beside.len() - MAX_BESIDE)));
        let text = named.join("; ");
        (!named.is_empty()).then(|| format!("moved meanwhile by a hook or another process, and not undone by git_undo: {text}"))
    }

    /// A line for the caller on references the change moved but its result does not name.
    pub(super) fn moved_too(&self, result: &str) -> Option<String> {
        let notes = self.notes.borrow();
        let is_named = |moved: &&Moved| result.contains(moved.name.splitn(3, '/').last().unwrap_or(&moved.name));
        let unnamed: Vec<&Moved> = notes.moved_too.iter().filter(|moved| !is_named(moved)).collect();
        let mut named: Vec<String> = unnamed.iter().copied().take(MAX_BESIDE).map(describe).collect();
        named.extend((unnamed.len() > MAX_BESIDE).then(|| format!("{} more", unnamed.len() - MAX_BESIDE)));
        (!named.is_empty()).then(|| format!("also moved: {}", named.join("; ")))
    }

    /// Records that a change was undone.
    pub(crate) fn undone(&self, id: &str) -> io::Result<()> {
        self.journal.undone(self.repo, id)
    }

    /// Marks the change as made, so that its record reaches the disk while the result is built.
    pub(crate) fn settle(&self) {
        let is_open = self.begun.key.is_none() && self.settled.borrow().is_none();
        if let (true, Ok(line), Ok(runtime)) = (is_open, self.ending(true, None), Handle::try_current()) {
            let beginning = self.beginning.take();
            let write = Arc::clone(&self.journal.table).append_aside(key(self.repo), line, true);
            *self.settled.borrow_mut() = Some(Writing(runtime.spawn(async {
                if let Some(Writing(beginning)) = beginning {
                    // If it failed, the `Ended` line repeats its content.
                    let _ = beginning.await;
                }
                write.await
            })));
        }
    }

    pub(super) fn end(&self, result: &Result<Reply, Error>) -> Result<(), Error> {
        let unrecorded = |err: io::Error| Error::new(Kind::Internal, format!("the operation journal cannot be written: {err}"));
        if let Some(settled) = self.settled.take() {
            return settled.end().map_err(unrecorded);
        }
        // As above.
        let _ = self.beginning.take().map(Writing::end);
        let text = result.as_ref().ok().filter(|_| self.begun.key.is_some()).map(|reply| cut(&reply.text).to_owned());
        self.journal.append(self.repo, &self.ending(result.is_ok(), text)?, true).map_err(unrecorded)
    }

    /// Adds to an error the files the change has lost, and how to restore them.
    pub(super) fn with_losses(&self, mut error: Error, start: SystemTime) -> Error {
        use git::Error as Git;
        // In a conflict, a file that one side deleted is rightly missing.
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
        error.message = format!("{}\nmissing or empty now: {}", error.message, names.join(", "));
        let undoable =
            self.notes.borrow().saved.is_some() || self.repo.snapshot(&soon).is_ok_and(|after| State::of(&after) != self.begun.before);
        if !matches!(error.cause(), Some(Git::HalfStashed { .. })) {
            let back = if undoable { "git_undo restores them." } else { "git_restore with these `paths` restores them." };
            error.hint = Some(error.hint.into_iter().chain([back.to_owned()]).collect::<Vec<_>>().join(" "));
        }
        error
    }

    /// Protects objects that only this record refers to from garbage collection, for undo.
    fn keep(&self, after: &Snapshot, left: Option<ObjectId>, moved: &[Moved], cancel: &Cancel) {
        let before = self.begun.before.commit.as_deref().and_then(|commit| ObjectId::from_hex(commit.as_bytes()).ok());
        // If another branch was checked out, it still has its commit.
        let before = before.filter(|_| self.begun.before.branch.is_none() || self.begun.before.branch == after.branch);
        let is_left_behind = |before: &ObjectId| after.commit.is_none_or(|after| !self.repo.is_at_or_below(*before, after));
        let mut objects: Vec<ObjectId> = before.filter(is_left_behind).into_iter().collect();
        objects.extend(self.notes.borrow().saved.into_iter().chain(left.filter(|left| Some(*left) != after.commit)));
        objects.extend(moved.iter().filter_map(|moved| moved.before));
        let notes = self.notes.borrow();
        objects.extend(notes.config.into_iter().chain(notes.stash));
        objects.extend(notes.files.iter().filter_map(|file| file.before));
        drop(notes);
        if !objects.is_empty()
            && let Err(err) = self.repo.keep(&self.begun.id, &objects, cancel)
        {
            tracing::warn!(%err, "could not protect objects that git_undo needs from garbage collection");
        }
    }

    /// References the change moved besides its own branch. Notes those that other processes moved.
    fn sort_moved(&self, after: &Snapshot, soon: &Cancel) -> Result<Vec<Moved>, Error> {
        let mut notes = self.notes.borrow_mut();
        let Some(before) = &notes.refs else { return Ok(Vec::new()) };
        let own = [self.begun.before.branch.as_ref(), after.branch.as_ref()];
        let all = self.repo.moved_since(before, soon)?;
        // A change that declares creating or deleting references did not move an existing branch: another worktree may have
        // it checked out.
        let is_declared = |moved: &Moved| {
            let is_single = moved.before.is_none() || moved.after.is_none() || !moved.name.starts_with("refs/heads/");
            notes.moves && is_single
        };
        let is_update =
            |moved: &Moved| notes.updates.contains(&moved.name) || self.repo.rewrites_notes() && moved.name.starts_with("refs/notes/");
        let (mut moved, rest): (Vec<Moved>, Vec<Moved>) = all.into_iter().partition(|one| is_declared(one));
        let (updated, mut beside): (Vec<Moved>, Vec<Moved>) = rest.into_iter().partition(|one| is_update(one));
        beside.retain(|moved| !own.contains(&Some(&moved.name)));
        if !self.repo.moves_others() && notes.updates.is_empty() {
            beside.clear();
        }
        if beside.iter().any(|moved| moved.name.starts_with("refs/heads/")) {
            let elsewhere = self.repo.worktrees(soon)?;
            beside.retain(|moved| elsewhere.iter().all(|worktree| worktree.branch.as_ref() != Some(&moved.name)));
        }
        moved.extend(updated);
        notes.moved_too = moved.iter().filter(|moved| !own.contains(&Some(&moved.name)) && moved.name != "refs/stash").cloned().collect();
        notes.beside = beside;
        Ok(moved)
    }

    /// Builds the `Ended` line.
    fn ending(&self, done: bool, text: Option<String>) -> Result<Line, Error> {
        let soon = Cancel::new(Some(Instant::now() + RECORDING));
        let after = if self.worktree_locked { self.repo.snapshot(&soon)? } else { Snapshot::default() };
        let kept = self.journal.copy_index(self.repo, &after);
        kept.map_err(|err| Error::new(Kind::Internal, format!("the index cannot be copied: {err}")))?;
        let moved = self.sort_moved(&after, &soon)?;
        let files = self.repo.raw_after(&self.notes.borrow().files)?;
        self.notes.borrow_mut().files.clone_from(&files);
        let notes = self.notes.borrow();
        // With conflicts, it cannot be saved.
        let save = || self.repo.save_at(&notes.paths, &soon);
        let left = if notes.overwrites { save().map_or(None, |left| left.or(after.commit)) } else { None };
        let name = |id: ObjectId| id.to_string();
        self.keep(&after, left, &moved, &soon);
        let row = |Moved { name: full, before, after, target }: Moved| Move {
            name: full,
            before: before.map(name),
            after: after.map(name),
            target,
        };
        let ended = Ended {
            begun: self.begun.clone(),
            done,
            after: State::of(&after),
            moved: moved.into_iter().map(row).collect(),
            beside: notes.beside.iter().cloned().map(row).collect(),
            files: files.iter().map(FileRow::of).collect(),
            config: notes.config.map(name),
            stash: notes.stash.map(name),
            reach: notes.reach,
            saved: notes.saved.map(name),
            left: left.map(name),
            paths: notes.paths.iter().map(ToString::to_string).collect(),
            text,
        };
        Ok(Line::Ended(Box::new(ended)))
    }
}

impl Writing {
    /// Waits, on a blocking thread.
    pub(super) fn end(self) -> io::Result<()> {
        Handle::try_current().map_err(io::Error::other)?.block_on(self.0).map_err(io::Error::other)?
    }
}

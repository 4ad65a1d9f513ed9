//! Distributes the directories of a scan: one thread reads a small working tree, all processors a large one.

use crate::{
    error::{Error, Result},
    stop::Stop,
    worktree::{
        folder::{Reader, Unit},
        scan::{Scan, Worktree},
    },
};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Number of entries from which several threads are faster.
const LARGE: usize = 2_000;
/// Maximum number of threads.
const MAX_THREADS: usize = 8;
/// Maximum number of differences collected.
const MAX_ENTRIES: usize = 500_000;
/// Maximum number of directories.
const MAX_FOLDERS: usize = 1_000_000;
/// The reason when a thread panicked.
const FAILED: &str = "a working tree on which the engine fails";
/// Number of directories that a thread takes at a time.
const BATCH: usize = 16;

/// Asking the system takes longer than reading a small working tree.
pub(super) static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS));

impl Worktree<'_> {
    /// Compares the whole working tree with the index.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Error::Unsupported) for what only git compares, [`Stopped`](crate::Error::Stopped).
    pub fn scan(&self, stop: &dyn Stop) -> Result<Scan> {
        let mut scan = scan(self, stop)?;
        scan.changes.sort_unstable();
        let Scan { untracked, directories, hard_linked, racy, mounts, unsettled, .. } = &mut scan;
        for list in [untracked, directories, hard_linked, racy, mounts, unsettled] {
            list.sort_unstable();
        }
        Ok(scan)
    }
}

fn scan(tree: &Worktree<'_>, stop: &dyn Stop) -> Result<Scan> {
    let mut reader = Reader::new(tree, stop)?;
    let mut units = vec![Unit::top(tree)];
    let limits = Limits::default();
    while let Some(unit) = units.pop() {
        reader.run(unit, &mut units)?;
        if limits.reached_by(&mut reader) {
            reader.found.truncated = true;
            return Ok(reader.found);
        }
        if reader.seen + tree.index.entries().len() > LARGE && units.len() > 1 && *PROCESSORS > 1 {
            return shared(tree, stop, reader, units, &limits);
        }
    }
    Ok(reader.found)
}

/// The limits of all threads together.
#[derive(Default)]
struct Limits {
    differences: AtomicUsize,
    folders: AtomicUsize,
}

impl Limits {
    /// Counts the reader's new results, and whether there are more differences than are collected.
    fn reached_by(&self, reader: &mut Reader<'_>) -> bool {
        let (differences, folders) = reader.count();
        let all = self.differences.fetch_add(differences, Ordering::Relaxed) + differences;
        let visited = self.folders.fetch_add(folders, Ordering::Relaxed) + folders;
        all > MAX_ENTRIES || visited > MAX_FOLDERS
    }
}

/// The directories that wait for a thread.
#[derive(Default)]
struct Waiting {
    units: Vec<Unit>,
    /// Threads that have directories of their own. They may add to these.
    busy: usize,
    is_over: bool,
    /// A limit was reached.
    is_full: bool,
    failed: Option<Error>,
}

struct Shared<'a> {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Threads that wait for work.
    hungry: AtomicUsize,
    limits: &'a Limits,
}

fn shared(tree: &Worktree<'_>, stop: &dyn Stop, reader: Reader<'_>, units: Vec<Unit>, limits: &Limits) -> Result<Scan> {
    let waiting = Mutex::new(Waiting { units, ..Waiting::default() });
    let shared = Shared { waiting, changed: Condvar::new(), hungry: AtomicUsize::new(0), limits };
    let mut scan = thread::scope(|scope| {
        let other = || {
            let Ok(reader) = Reader::new(tree, stop) else { return Scan::default() };
            shared.work(reader)
        };
        // Without threads, this one does all of the work.
        let others: Vec<_> = (1..*PROCESSORS).map_while(|_| thread::Builder::new().spawn_scoped(scope, other).ok()).collect();
        let mut scan = shared.work(reader);
        for other in others {
            match other.join() {
                Ok(part) => scan.absorb(part),
                Err(_) => shared.end(|waiting| waiting.failed = Some(Error::Unsupported(FAILED))),
            }
        }
        scan
    });
    let end = shared.waiting.into_inner();
    scan.truncated |= end.is_full;
    end.failed.map_or(Ok(scan), Err)
}

impl Shared<'_> {
    /// Reads directories until there are none.
    fn work(&self, mut reader: Reader<'_>) -> Scan {
        // Also when this thread panics, the others must not wait for it.
        let _over = OnPanic(self);
        let mut own = Vec::new();
        while self.take(&mut own) {
            while let Some(unit) = own.pop() {
                if let Err(err) = reader.run(unit, &mut own) {
                    self.end(|waiting| {
                        waiting.failed.get_or_insert(err);
                    });
                    return reader.found;
                }
                if self.limits.reached_by(&mut reader) {
                    self.end(|waiting| waiting.is_full = true);
                    return reader.found;
                }
                if own.len() > 1 && self.hungry.load(Ordering::Relaxed) > 0 {
                    let mut waiting = self.waiting.lock();
                    if waiting.is_over {
                        return reader.found;
                    }
                    waiting.units.extend(own.drain(..own.len() / 2));
                    self.changed.notify_all();
                }
            }
            self.waiting.lock().busy -= 1;
        }
        reader.found
    }

    /// Takes some of the directories that wait. False once all are read.
    fn take(&self, own: &mut Vec<Unit>) -> bool {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.is_over {
                return false;
            }
            if !waiting.units.is_empty() {
                let share = (waiting.units.len() / 2).clamp(1, BATCH);
                let start = waiting.units.len() - share;
                own.extend(waiting.units.drain(start..));
                waiting.busy += 1;
                return true;
            }
            if waiting.busy == 0 {
                waiting.is_over = true;
                self.changed.notify_all();
                return false;
            }
            self.hungry.fetch_add(1, Ordering::Relaxed);
            self.changed.wait(&mut waiting);
            self.hungry.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends the work of all threads.
    fn end(&self, why: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock();
        waiting.is_over = true;
        why(&mut waiting);
        self.changed.notify_all();
    }
}

/// Ends the other threads when this one panics.
struct OnPanic<'a>(&'a Shared<'a>);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end(|waiting| waiting.failed = Some(Error::Unsupported(FAILED)));
        }
    }
}

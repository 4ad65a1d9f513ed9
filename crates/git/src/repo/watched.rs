//! Watches a repository in use, so that an answer can be given again while nothing has changed.
//!
//! Watched are the folders of tracked files, those that a status reads besides, and the git directories. The other
//! files that answers depend on are compared by their metadata. What the watch misses ends with [`RECHECK`].

use crate::{
    error::{Error, Result},
    process::Mode,
    repo::{Repo, index_file::index_now, settings::Settings, shape::FileState},
};
use engine::{
    beneath::Folder,
    watch::{self, Changes, Watch},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A repository is watched once it is read twice within this time.
const IN_USE: Duration = Duration::from_mins(1);
/// How long an answer is given again: changes through a memory map, a second name of a file, or a mount are not reported.
const RECHECK: Duration = Duration::from_secs(10);
/// Maximum number of watched folders of a repository.
const MAX_FOLDERS: usize = 20_000;
/// Folders of the git directories whose files decide answers. Those below `refs` and `worktrees` are watched, too.
const OWN: [&str; 6] = ["info", "logs/refs", "rebase-merge", "rebase-apply", "sequencer", "refs"];
const SHARED: [&str; 5] = ["info", "logs/refs", "refs", "worktrees", "objects/info"];
/// Their nesting depth.
const MAX_DEPTH: usize = 16;

/// A state of a repository, unlike every other one of this process. An answer that was found in it holds for as long as
/// it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// The watch of a repository.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Not watched; when it was last read.
    #[default]
    Unused,
    Read(Instant),
    On(Box<On>),
    /// It cannot be watched.
    Off,
}

#[derive(Debug)]
struct On {
    watch: Watch,
    generation: Generation,
    /// When this generation began.
    since: Instant,
    /// Whether all folders of tracked files are watched.
    is_complete: bool,
    index: FileState,
    others: Vec<FileState>,
}

impl On {
    /// Ends the generation if anything has changed. False if the watch is of no more use.
    fn look(&mut self) -> bool {
        let changes = self.watch.drain();
        let has_ended = changes > Changes::Nothing || self.since.elapsed() > RECHECK || !self.others.iter().all(FileState::is_current);
        if has_ended {
            self.begin();
            for other in &mut self.others {
                *other = FileState::of(std::mem::take(&mut other.path));
            }
        }
        if changes > Changes::Nothing {
            let index = FileState::of(self.index.path.clone());
            // A new entry may be the first in its folder.
            self.is_complete &= changes < Changes::Folders && index == self.index;
            self.index = index;
        }
        changes != Changes::Lost
    }

    fn begin(&mut self) {
        self.generation = Generation::next();
        self.since = Instant::now();
    }

    /// Watches more folders. Whether all were watched before.
    fn add<'f>(&mut self, top: &Folder, folders: impl Iterator<Item = &'f [u8]>) -> Result<bool> {
        let mut had_all = true;
        for folder in folders.filter(|folder| !folder.split(|&byte| byte == b'/').any(|part| part == b".git")) {
            if !self.watch.has(top, folder) {
                had_all = false;
                match self.watch.add(top, folder) {
                    // Its parent is watched, so that its creation ends a generation.
                    Err(engine::Error::Io { source, .. }) if is_absent(&source) => had_all = true,
                    added => added?,
                }
            }
        }
        Ok(had_all)
    }
}

impl Repo {
    /// The state of the repository, if it is watched. This makes few system calls and reads no file.
    pub fn generation(&self) -> Option<Generation> {
        // A thread that completes the watch reads files meanwhile.
        let mut state = self.watched.0.try_lock()?;
        let State::On(on) = &mut *state else { return None };
        if !on.look() {
            *state = State::Unused;
            return None;
        }
        on.is_complete.then_some(on.generation)
    }

    /// The same for a read that begins. A repository that is read often is watched from now on.
    pub fn begin_read(&self) -> Option<Generation> {
        let now = Instant::now();
        let mut state = self.watched.0.try_lock()?;
        match &*state {
            State::Off => return None,
            State::Unused => {
                *state = State::Read(now);
                return None;
            }
            State::Read(last) if now.duration_since(*last) > IN_USE => {
                *state = State::Read(now);
                return None;
            }
            State::Read(_) | State::On(_) => {}
        }
        // Under the lock, so that no other read misses that its folders are not yet watched.
        let taken = std::mem::take(&mut *state);
        let on = self.within(Mode::Read, || self.complete(taken)).and_then(|completed| completed);
        let on = on.inspect_err(|why| tracing::debug!(%why, "a repository is not watched"));
        let found = on.as_ref().ok().map(|on| on.generation);
        *state = on.map_or(State::Off, State::On);
        found
    }

    fn complete(&self, state: State) -> Result<Box<On>> {
        let kept = match state {
            State::On(mut on) => on.look().then_some(on),
            State::Unused | State::Read(_) | State::Off => None,
        };
        if kept.is_none() {
            self.check_others_are_local()?;
        }
        let mut on = match kept {
            Some(on) => on,
            None => Box::new(On {
                watch: Watch::new()?,
                generation: Generation::next(),
                since: Instant::now(),
                is_complete: false,
                index: FileState::of(self.location.git_dir.join("index")),
                others: self.other_files().map(FileState::of).collect(),
            }),
        };
        if !on.is_complete {
            self.watch_git_folders(&mut on)?;
            let folders = self.tracked_folders()?;
            on.add(self.worktree_folder()?, folders.iter().map(Vec::as_slice))?;
            on.is_complete = true;
            on.begin();
        }
        Ok(on)
    }

    /// Watches folders that an answer depends on besides those of tracked files. An answer that was found before they
    /// were watched holds in no generation.
    pub(crate) fn also_watch<'f>(&self, folders: impl ExactSizeIterator<Item = &'f [u8]>) {
        let mut state = self.watched.0.lock();
        let State::On(on) = &mut *state else { return };
        let added = if folders.len() > MAX_FOLDERS {
            Err(Error::Engine("too many folders to watch".to_owned()))
        } else {
            self.worktree_folder().and_then(|top| on.add(top, folders))
        };
        match added {
            Ok(true) => {}
            Ok(false) => on.begin(),
            Err(why) => {
                tracing::debug!(%why, "a repository is no longer watched");
                *state = State::Off;
            }
        }
    }

    /// Files outside of the repository that answers depend on. Those that define it make its handle stale.
    fn other_files(&self) -> impl Iterator<Item = PathBuf> {
        let Settings { ignore_file, attribute_files, named_files, .. } = &self.settings;
        ignore_file.iter().chain(attribute_files).chain(named_files).cloned()
    }

    /// Fails if looking at a file outside of the repository could block.
    fn check_others_are_local(&self) -> Result<()> {
        let own = self.stamps.iter().map(|stamp| stamp.path.clone());
        match own.chain(self.other_files()).find(|path| !watch::is_local(path)) {
            Some(path) => Err(Error::Engine(format!("{} is not on a local file system", path.display()))),
            None => Ok(()),
        }
    }

    fn watch_git_folders(&self, on: &mut On) -> Result<()> {
        for (top, names) in [(&self.folders.git_dir, &OWN[..]), (&self.folders.common_dir, &SHARED[..])] {
            on.watch.add(top, b"")?;
            let mut queue: Vec<(PathBuf, usize)> = names.iter().map(|name| (PathBuf::from(name), 0)).collect();
            let mut seen = 0;
            while let Some((path, depth)) = queue.pop() {
                if !top.has(&path) {
                    continue;
                }
                seen += 1;
                if seen > MAX_FOLDERS || depth > MAX_DEPTH {
                    return Err(Error::Engine("too many folders of references to watch".to_owned()));
                }
                on.watch.add(top, path.as_os_str().as_encoded_bytes())?;
                if ["refs", "worktrees"].iter().any(|parent| path.starts_with(parent)) {
                    let below = top.folders_in(&path).map_err(Error::io("listing the folders of references"))?;
                    queue.extend(below.into_iter().map(|name| (path.join(name), depth + 1)));
                }
            }
        }
        Ok(())
    }

    /// The folders of tracked files, and those above them.
    fn tracked_folders(&self) -> Result<BTreeSet<Vec<u8>>> {
        let engine = self.engine.as_ref().ok_or_else(|| Error::Engine("the format of the repository".to_owned()))?;
        let index = index_now(&engine.to_thread_local())?;
        let mut folders = BTreeSet::from([Vec::new()]);
        let mut last: &[u8] = b"";
        for entry in index.entries() {
            if entry.mode == gix::index::entry::Mode::COMMIT {
                return Err(Error::Engine("a submodule, which is not watched".to_owned()));
            }
            let path: &[u8] = entry.path(&index);
            let Some(end) = path.iter().rposition(|&byte| byte == b'/') else { continue };
            let folder = path.get(..end).unwrap_or_default();
            if folder == last {
                continue;
            }
            last = folder;
            let mut above = Some(folder);
            while let Some(dir) = above.filter(|dir| !folders.contains(*dir)) {
                folders.insert(dir.to_vec());
                above = dir.iter().rposition(|&byte| byte == b'/').and_then(|end| dir.get(..end));
            }
            if folders.len() > MAX_FOLDERS {
                return Err(Error::Engine("too many folders to watch".to_owned()));
            }
        }
        Ok(folders)
    }
}

fn is_absent(err: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) || engine::beneath::is_link(err)
}

//! Changes, made with the user's own git.

mod bisect;
mod branch;
mod coming;
mod commit;
mod conflict;
mod files;
mod halt;
mod head;
mod hunks;
mod index;
mod index_write;
mod integrate;
mod keep;
mod locks;
mod maintenance;
mod message;
mod notes;
mod plan;
mod proceed;
mod raw;
mod record;
mod refs;
mod save;
mod skipped;
mod sparse;
mod stage;
mod stash;
mod submodule;
mod tag;
mod undo;
mod worktree;

pub use bisect::{Search, Terms, Verdict};
pub use branch::Checkout;
pub use commit::{CommitRequest, Committed};
pub use conflict::{Conflict, Side};
pub use files::CleanRequest;
pub use halt::{Idle, IdleHooks, Leftovers, Look};
pub use hunks::{ApplyRequest, Hunk, HunkAction};
pub use index::{ResetMode, Restore};
pub use integrate::{FastForward, MergeRequest, PickRequest, RebaseRequest, StrategyOption};
pub use maintenance::{MaintenanceTask, Setting, WRITABLE};
pub use notes::Note;
pub use plan::{Action, Step};
pub use proceed::{Proceeded, SequencerAction};
pub use raw::{Raw, RawFiles};
pub use refs::Former;
pub use skipped::RebaseStart;
pub use sparse::Sparse;
pub use stash::{Stash, StashPush};
pub use submodule::{Submodule, Updated};
pub use tag::{Tag, Verified};
pub use undo::{Change, RawFile, Reach};
pub use worktree::{AddedWorktree, Worktree, WorktreeAdd};

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{LITERAL, RelPath},
    process::{Process, stderr::Ended},
    repo::Repo,
};
use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

const MAX_OUTPUT: usize = 16 << 20;
/// Maximum number of files named in an error.
const NAMED: usize = 20;
/// The locks that any change may find taken.
const LOCKS: [&str; 2] = ["index.lock", "HEAD.lock"];
/// Maximum wait for another process's lock.
const LOCK_WAIT: Duration = Duration::from_secs(3);

impl Repo {
    /// Runs a change, with retries while another process holds the lock of the index or of `HEAD` and no operation was
    /// started.
    fn locked<'a>(&self, cancel: &Cancel, process: impl Fn() -> Process<'a>) -> Result<(Ended, Vec<u8>)> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let before = self.in_progress();
            let (ended, output) = process().output(cancel, MAX_OUTPUT)?;
            let in_the_way = || LOCKS.map(|name| self.location.git_dir.join(name)).into_iter().find(|lock| is_in_the_way(lock, &ended));
            let Some(lock) = (ended.code != Some(0)).then(in_the_way).flatten().filter(|_| self.in_progress() == before) else {
                return Ok((ended, output));
            };
            if start.elapsed() >= LOCK_WAIT {
                return Err(Error::Locked(self.lock_file(lock)));
            }
            cancel.pause(pause)?;
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }
}

impl Repo {
    /// Fails if git reports success although files were lost: for unreadable content it only prints a line.
    fn require_whole(&self, ended: &Ended, command: &str, begin: SystemTime, cancel: &Cancel) -> Result<()> {
        ended.require(command)?;
        if ended.stderr.trim().is_empty() || self.lost_since(begin, cancel)?.is_empty() { Ok(()) } else { Err(ended.failed(command)) }
    }
}

impl Repo {
    /// Fails while files are in conflict.
    ///
    /// # Errors
    ///
    /// [`Error::Unmerged`].
    fn check_merged(&self, cancel: &Cancel) -> Result<()> {
        let unmerged = self.unmerged(cancel)?;
        if unmerged.is_empty() { Ok(()) } else { Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect())) }
    }
}

/// True if git failed because of this lock. It may be released by now; then only git's output mentions it.
fn is_in_the_way(lock: &Path, ended: &Ended) -> bool {
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    lock.exists() || ended.stderr.contains(&format!("/{name}': File exists"))
}

fn nul_separated(paths: &[RelPath]) -> Vec<u8> {
    paths.iter().flat_map(|path| [LITERAL, path.as_bytes(), b"\0"].concat()).collect()
}

//! Changes, made by the user's own git.

mod bisect;
mod branch;
mod commit;
mod conflict;
mod files;
mod hunks;
mod index;
mod integrate;
mod maintenance;
mod notes;
mod sparse;
mod stash;
mod submodule;
mod tag;
mod undo;
mod worktree;

pub use bisect::{Search, Verdict};
pub use branch::Checkout;
pub use commit::{CommitRequest, Committed};
pub use conflict::{Conflict, Side};
pub use files::CleanRequest;
pub use hunks::{ApplyRequest, Hunk, HunkAction};
pub use index::{ResetMode, Restore};
pub use integrate::{Action, FastForward, Favour, MergeRequest, PickRequest, RebaseRequest, Step, Way};
pub use maintenance::{Care, Setting, WRITABLE};
pub use sparse::Sparse;
pub use stash::{Stash, StashPush};
pub use submodule::Submodule;
pub use tag::Tag;
pub use undo::{Change, Moved, Reach, moved};
pub use worktree::{Worktree, WorktreeAdd};

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Ended, Process},
    repo::Repo,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

const MAX_OUTPUT: usize = 16 << 20;
/// How long another process's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(3);

impl Repo {
    /// Runs a change, again for a while where another process holds the index lock.
    fn locked<'a>(&self, cancel: &Cancel, process: impl Fn() -> Process<'a>) -> Result<(Ended, Vec<u8>)> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let (ended, output) = process().output(cancel, MAX_OUTPUT)?;
            let lock = self.location.git_dir.join("index.lock");
            if ended.code == Some(0) || !lock.exists() {
                return Ok((ended, output));
            }
            if start.elapsed() >= LOCK_WAIT {
                return Err(Error::Locked { age: age(&lock), path: lock });
            }
            cancel.pause(pause)?;
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }
}

pub(super) fn age(path: &PathBuf) -> Duration {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

fn nul_separated(paths: &[RelPath]) -> Vec<u8> {
    paths.iter().flat_map(|path| path.pathspec().iter().copied().chain([0])).collect()
}

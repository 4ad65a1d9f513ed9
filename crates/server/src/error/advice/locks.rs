//! Hints for locks that others hold.

use super::Advice;
use crate::error::Kind;
use std::time::Duration;

/// Delay before another attempt to take a lock.
pub(super) const RETRY: Duration = Duration::from_secs(2);

/// What a caller gets for a lock file. A retry helps if a process holds it, or may hold it.
pub(super) fn of_a_lock(lock: &git::LockFile) -> Advice {
    if lock.is_stale() {
        return Kind::Refused.with(
            "Next: git_maintenance {\"action\":\"remove_locks\"}, which is in the toolset `maintenance` and removes locks that no process \
             holds. Or ask the operator to remove the file.",
        );
    }
    let hint = match lock.holder {
        git::Holder::Process(_) => "Try again when that process has ended.",
        git::Holder::None => "Try again. Once it is one minute old, git_maintenance with `action`: \"remove_locks\" removes it.",
        git::Holder::Unknown => {
            "Try again. If no git of another user or machine is using this repository, ask the operator to remove the file."
        }
    };
    Kind::Busy.with(hint).retry_after(RETRY)
}

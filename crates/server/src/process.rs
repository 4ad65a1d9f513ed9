//! Processes by id and start time, since ids are reused.

use std::{fs, path::Path, sync::OnceLock};

/// Whether the process with this id and start time is running.
pub(crate) fn is_running(pid: u32, start: Option<i64>) -> bool {
    if !Path::new("/proc/self").exists() {
        return true;
    }
    match (started_at(pid), start.filter(|start| *start > 0)) {
        (None, _) => false,
        (Some(now), Some(then)) => now == then,
        (Some(_), None) => true,
    }
}

/// A process's start time, in ticks since boot.
fn started_at(pid: u32) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// This process's start time.
pub(crate) fn own_start() -> Option<i64> {
    static START: OnceLock<Option<i64>> = OnceLock::new();
    *START.get_or_init(|| started_at(std::process::id()))
}

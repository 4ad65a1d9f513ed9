//! Processes by number and beginning: numbers are used again.

use std::{fs, path::Path, sync::OnceLock};

/// True while the process runs that had this number when it began then.
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

/// When a process began, in ticks since the machine did.
fn started_at(pid: u32) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// When this process began.
pub(crate) fn own_start() -> Option<i64> {
    static START: OnceLock<Option<i64>> = OnceLock::new();
    *START.get_or_init(|| started_at(std::process::id()))
}

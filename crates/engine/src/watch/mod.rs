//! Watches folders, so that what was read once need not be read again while nothing changes.
//!
//! The kernel queues an event before the call that caused it returns, so a drained queue without events means that no
//! watched folder has changed. It misses writes through a memory map, through another name of a file, and mounts: who
//! relies on it reads everything again from time to time.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod inotify;

pub use inotify::{Watch, is_local};

/// What changed since the last look, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changes {
    /// Nothing.
    Nothing,
    /// Files of watched folders.
    Files,
    /// Folders in watched folders came or went, too.
    Folders,
    /// Events were lost, or a watched folder moved: the watch is of no more use.
    Lost,
}

/// Maximum number of folders watched by this process, on all repositories. Each takes about 1 KB of kernel memory.
pub const MAX_WATCHES: usize = 65_536;

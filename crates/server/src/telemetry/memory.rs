//! Memory that is returned to the system.

use super::process;

/// Resident memory before and after free memory was returned to the system, in bytes. `None` if the system does not
/// report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Before.
    pub before: Option<u64>,
    /// After.
    pub after: Option<u64>,
}

impl Trimmed {
    /// The difference, in bytes; 0 if the memory grew.
    pub fn recovered(self) -> Option<u64> {
        self.before.zip(self.after).map(|(before, after)| before.saturating_sub(after))
    }
}

/// Returns free memory to the system. Takes milliseconds if there is much; meanwhile other threads wait in the allocator.
///
/// Caches are kept: [`Caches::clear_all`](crate::Caches::clear_all) drops them.
#[doc(alias = "collect")]
pub fn trim() -> Trimmed {
    let ((), trimmed) = trim_after(|| ());
    trimmed
}

/// Drops what `free` drops, and returns it to the system.
pub(crate) fn trim_after<T>(free: impl FnOnce() -> T) -> (T, Trimmed) {
    let before = process::rss();
    let freed = free();
    guard::memory::trim();
    (freed, Trimmed { before, after: process::rss() })
}

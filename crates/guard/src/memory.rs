//! What the allocator of the system holds, and memory that nobody uses any more.

/// Gives back to the system what the allocator keeps for later: all of it after a rush, not only what lies at the end of
/// its heaps. Takes milliseconds where there is much; other threads wait for their memory meanwhile.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a function of the C library that no crate offers")]
    // SAFETY: it may be called at any time and from any thread, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of the allocator of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Those in use.
    pub used: u64,
    /// Those that were freed and kept for later.
    pub free: u64,
}

/// What the allocator holds; `None` where the system does not tell.
pub fn allocated() -> Option<Allocated> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a function of the C library that no crate offers")]
        // SAFETY: it has no arguments, takes the locks that it needs, and returns numbers.
        let info = unsafe { libc::mallinfo2() };
        // Large blocks are mapped apart from the heaps.
        Some(Allocated { used: (info.uordblks + info.hblkhd) as u64, free: info.fordblks as u64 })
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_blocks_are_counted() {
        let used = || allocated().map_or(0, |all| all.used);
        let before = used();
        let held = (vec![1_u8; 64 << 20], (0..100_000).map(|_| Box::new([1_u8; 100])).collect::<Vec<_>>());
        let during = used();
        assert!(during >= before + (70 << 20), "{before} {during}");
        drop(held);
        assert!(used() < during - (70 << 20));
    }
}

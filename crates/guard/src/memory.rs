//! Memory that the system allocator uses, and memory that it caches.

/// Returns cached free memory to the system, from anywhere in the heaps and not only from their end. Takes milliseconds if
/// there is much; meanwhile other threads wait in the allocator.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a function of the C library that no crate offers")]
    // SAFETY: may be called at any time from any thread, and does not touch memory in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes held by the system allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// In use.
    pub used: u64,
    /// Freed by the program, but not returned to the system.
    pub free: u64,
}

/// Bytes held by the allocator; `None` if the system does not report them.
pub fn allocated() -> Option<Allocated> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a function of the C library that no crate offers")]
        // SAFETY: takes no arguments, does its own locking, and returns numbers.
        let info = unsafe { libc::mallinfo2() };
        // Large blocks are mapped outside the heaps.
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

//! Memory that nobody uses any more.

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

//! How the C library's allocator, which libtorch's tensors come from, deals with large blocks.

/// Keeps memory that is freed for the next allocation, instead of handing every large block back to the system and getting it again,
/// cleared page by page: each step of a training run frees and allocates the same tens of megabytes. What the user has set by
/// glibc's own environment variables stays; elsewhere than with glibc it does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {
    /// Larger blocks come from the system and go back there.
    const LARGEST_KEPT: libc::c_int = 1 << 30;
    let settings = [
        ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, LARGEST_KEPT),
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
        // Threads that prepare batches come and go with each epoch and validation: of as many arenas as they could have, each would
        // keep what it once had.
        ("MALLOC_ARENA_MAX", libc::M_ARENA_MAX, 1),
    ];
    let tuned =
        std::env::var_os("GLIBC_TUNABLES").is_some_and(|text| text.to_string_lossy().contains("malloc"));
    for (variable, parameter, value) in settings {
        if !tuned && std::env::var_os(variable).is_none() {
            // SAFETY: it changes a number of the allocator; the parameters are glibc's own. One that it refuses changes nothing.
            let _ = unsafe { libc::mallopt(parameter, value) };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() {}

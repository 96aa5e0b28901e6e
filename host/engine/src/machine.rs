//! What the system tells of this process and its processor: how much memory it takes; and what can be given back.

/// The most memory that the process has had resident so far, in bytes; `None` where the system does not tell.
pub(crate) fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes that the C library's allocator has given out and not got back; `None` where it does not tell.
pub(crate) fn in_use() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: a function of the C library without preconditions, which only reads the allocator's own numbers.
        let numbers = unsafe { libc::mallinfo2() };
        Some((numbers.uordblks + numbers.hblkhd) as u64)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        None
    }
}

/// The name of the processor; `None` where the system does not tell.
pub(crate) fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

/// Gives memory back to the system that the allocator holds and nobody uses. It is held for the next step, which is what makes steps
/// fast; but lengths differ from batch to batch, and in time pieces are held that no batch needs any more.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: a function of the C library without preconditions, which may be called by any thread at any time.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

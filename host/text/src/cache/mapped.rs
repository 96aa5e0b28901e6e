//! Files of the cache, mapped: the only files of this crate that are.

use std::{fs::File, io, ops::Deref};

use memmap2::Mmap;

/// A mapped file of the cache.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this type and only ever read, as plain bytes and numbers of which every value is
        // valid. The file has its name only since it was complete; this crate never writes to such a file nor shortens one,
        // it only takes names away, which leaves a mapped file as it is. That nothing else changes files of the cache
        // directory is asked of users in the documentation of `Cache`.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

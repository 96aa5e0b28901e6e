//! Hashes of content: by them a file of the cache belongs to a corpus, and damage is noticed. BLAKE3 throughout.

use std::fmt;

/// The BLAKE3 hash of some content; `Display` writes it in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash over several things, each with its length, so that no two lists of things are alike to it.
pub(crate) struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    /// `purpose` keeps keys of different kinds apart.
    pub(crate) fn new(purpose: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.bytes(purpose.as_bytes());
        hasher
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn hash(&mut self, hash: ContentHash) {
        self.0.update(&hash.0);
    }

    pub(crate) fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

//! Words as fixed-size keys, for tables in which looking a word up is one visit to memory: up to 16 bytes are the key itself.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

/// The most bytes of a word that its key determines.
const WHOLE: usize = 16;

/// The first and the last bytes of a word, which may overlap, and its length: the whole of a word of up to [`WHOLE`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// In bytes. A line has less than 2^31.
    pub(crate) length: u32,
}

impl Key {
    #[inline]
    pub(crate) fn new(word: &[u8]) -> Self {
        let length = word.len() as u32;
        let (first, last) = if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
        } else {
            // Up to three bytes.
            let byte = |at: usize| u64::from(word.get(at).copied().unwrap_or(0));
            (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
        };
        Self { first, last, length }
    }

    /// Whether no other word has this key.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.length as usize <= WHOLE
    }

    /// The hash of the word.
    #[inline]
    pub(crate) fn hash<'a>(&self, hasher: &DefaultHashBuilder, word: impl FnOnce() -> &'a [u8]) -> u64 {
        if self.is_whole() {
            hasher.hash_one((self.first, self.last ^ u64::from(self.length) << 56))
        } else {
            hasher.hash_one(word())
        }
    }

    /// The word, where the key is whole: as many of the bytes as there are.
    pub(crate) fn spell(&self) -> ([u8; WHOLE], usize) {
        let mut bytes = [0; WHOLE];
        let length = (self.length as usize).min(WHOLE);
        let (first, last) = (self.first.to_le_bytes(), self.last.to_le_bytes());
        // How many bytes either half has.
        let half = match length {
            0..4 => 0,
            4..8 => 4,
            _ => 8,
        };
        if half == 0 {
            bytes[..length].copy_from_slice(&first[..length]);
        } else {
            bytes[..half].copy_from_slice(&first[..half]);
            bytes[length - half..length].copy_from_slice(&last[..half]);
        }
        (bytes, length)
    }
}

/// A word with what it is looked up by.
#[derive(Clone, Copy)]
pub(crate) struct Hashed<'a> {
    pub(crate) key: Key,
    pub(crate) hash: u64,
    pub(crate) word: &'a [u8],
}

/// Gives `look_up` the words in their order, some at a time.
///
/// Looking words up is waiting for memory, nearly all of it. Where `look_up` first touches the entries of all the words it is
/// given, with nothing that depends on what it finds there, the processor waits for them all at once.
pub(crate) fn in_groups<'a>(
    mut words: impl Iterator<Item = &'a str>,
    hasher: &DefaultHashBuilder,
    mut look_up: impl FnMut(&[Hashed<'a>]),
) {
    let mut group = [Hashed { key: Key::new(&[]), hash: 0, word: &[] }; TOGETHER];
    loop {
        let mut count = 0;
        for (place, word) in group.iter_mut().zip(&mut words) {
            let word = word.as_bytes();
            let key = Key::new(word);
            *place = Hashed { key, hash: key.hash(hasher, || word), word };
            count += 1;
        }
        look_up(&group[..count]);
        if count < TOGETHER {
            return;
        }
    }
}

/// Words that are looked up together.
const TOGETHER: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_words_are_their_keys(word in prop::collection::vec(any::<u8>(), 0..17)) {
            let key = Key::new(&word);
            prop_assert!(key.is_whole());
            let (bytes, length) = key.spell();
            prop_assert_eq!(&bytes[..length], &word[..]);
        }

        #[test]
        fn keys_tell_short_words_apart(a in "[ab\0]{0,17}", b in "[ab\0]{0,17}") {
            let (key, other) = (Key::new(a.as_bytes()), Key::new(b.as_bytes()));
            if a.len() <= WHOLE || b.len() <= WHOLE {
                prop_assert_eq!(key == other, a == b);
            }
            let hasher = DefaultHashBuilder::default();
            if a == b {
                prop_assert_eq!(key.hash(&hasher, || a.as_bytes()), other.hash(&hasher, || b.as_bytes()));
            }
        }
    }
}

//! Writes records at compile time: every function here is `const`.

use crate::{FORMAT_VERSION, HEADER_LENGTH, MAGIC};

/// Bytes that [`encode`] needs for a record of these fields.
#[must_use]
pub const fn encoded_length(fields: &[(&str, &str)]) -> usize {
    let mut length = HEADER_LENGTH;
    let mut i = 0;
    while i < fields.len() {
        length += 8 + fields[i].0.len() + fields[i].1.len();
        i += 1;
    }
    length
}

/// A record: [`MAGIC`], format version and length of what follows (`u32`, little endian), then each field as length of
/// key, length of value (`u32` each), key, value.
///
/// `N` must be what [`encoded_length`] gives for the same fields; anything else stops the compilation.
#[must_use]
pub const fn encode<const N: usize>(fields: &[(&str, &str)]) -> [u8; N] {
    assert!(N == encoded_length(fields), "N must be the encoded length of the fields");
    let mut out = [0u8; N];
    let mut at = put(&mut out, 0, &MAGIC);
    at = put(&mut out, at, &FORMAT_VERSION.to_le_bytes());
    at = put(&mut out, at, &((N - HEADER_LENGTH) as u32).to_le_bytes());
    let mut i = 0;
    while i < fields.len() {
        let (key, value) = (fields[i].0.as_bytes(), fields[i].1.as_bytes());
        at = put(&mut out, at, &(key.len() as u32).to_le_bytes());
        at = put(&mut out, at, &(value.len() as u32).to_le_bytes());
        at = put(&mut out, at, key);
        at = put(&mut out, at, value);
        i += 1;
    }
    out
}

const fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        out[at + i] = bytes[i];
        i += 1;
    }
    at + bytes.len()
}

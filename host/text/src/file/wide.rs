//! Recognising UTF-16 and UTF-32, which are text but not ours, and gzip, which may hold text that is.

use std::path::Path;

use crate::{Error, Result};

/// Bytes looked at to recognise UTF-16 without a byte order mark.
const SAMPLE: usize = 4096;

/// How a file of gzip begins: its mark and the only method there is.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// Refuses a file whose first bytes are those of UTF-16 or UTF-32 text, or of gzip.
pub(crate) fn refuse(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(&GZIP) {
        return Err(Error::Compressed { file: path.to_owned() });
    }
    let (encoding, evidence) = match bytes {
        [0xff, 0xfe, 0, 0, ..] => ("UTF-32LE", "its byte order mark"),
        [0, 0, 0xfe, 0xff, ..] => ("UTF-32BE", "its byte order mark"),
        [0xff, 0xfe, ..] => ("UTF-16LE", "its byte order mark"),
        [0xfe, 0xff, ..] => ("UTF-16BE", "its byte order mark"),
        _ => {
            let sample = &bytes[..bytes.len().min(SAMPLE)];
            let pairs = sample.len() / 2;
            let zeros = |offset: usize| sample.chunks_exact(2).filter(|pair| pair[offset] == 0).count();
            let (first, second) = (zeros(0), zeros(1));
            // Text in an alphabet has a zero byte in at least every second of its 16-bit units (spaces and ASCII, if
            // nothing else, in every fifth); zero bytes on both sides alike are not text at all, and one alone is an accident.
            let mostly = |zeros: usize, others: usize| zeros > 1 && zeros * 5 > pairs && others * 20 <= pairs;
            if mostly(second, first) {
                ("UTF-16LE", "a zero in every second byte")
            } else if mostly(first, second) {
                ("UTF-16BE", "a zero in every second byte")
            } else {
                return Ok(());
            }
        }
    };
    Err(Error::WideCharacters { file: path.to_owned(), encoding, evidence })
}

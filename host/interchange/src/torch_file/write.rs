//! The zip container as torch 1.6 and later write it: a pickle, the storages, byte order and version, in one folder, stored as
//! they are and each at a multiple of 64 bytes.

use std::borrow::Cow;
use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The folder's name, as `torch.save` gives it when it writes to a buffer.
const FOLDER: &str = "archive";

/// As in torch's writer, so that storages can be mapped.
const ALIGNMENT: u16 = 64;

/// Writes a file: `pickle`, and the storages with the keys `"0"`, `"1"` and so on, each asked for when its turn comes. The same
/// content gives the same bytes.
///
/// # Errors
/// What `out` or `storage` gives.
pub fn write<'a, W: Write + Seek>(
    out: W,
    pickle: &[u8],
    storages: usize,
    mut storage: impl FnMut(usize) -> io::Result<Cow<'a, [u8]>>,
) -> io::Result<W> {
    let mut zip = ZipWriter::new(out);
    let mut entry = |name: &str, bytes: &[u8]| {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .with_alignment(ALIGNMENT)
            .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
        zip.start_file(format!("{FOLDER}/{name}"), options)?;
        zip.write_all(bytes)
    };
    entry("data.pkl", pickle)?;
    entry("byteorder", b"little")?;
    for index in 0..storages {
        entry(&format!("data/{index}"), &storage(index)?)?;
    }
    entry("version", b"3\n")?;
    Ok(zip.finish()?)
}

//! The tarball: unpacked anywhere, it runs where it lies.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::contents::{Contents, DOCUMENTS, is_executable};
use super::{VERSION, persist};

/// What lies at the top, where people look first.
const AT_THE_TOP: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Writes it; its path.
pub(super) fn write(contents: &Contents, folder: &Path) -> Result<PathBuf> {
    let stem = format!("kiwi-host-{VERSION}-{}", kiwi_plugin_metadata::TARGET);
    let path = folder.join(format!("{stem}.tar.gz"));
    persist(&path, |file| pack(contents, &stem, file))?;
    Ok(path)
}

fn pack(contents: &Contents, stem: &str, file: &mut File) -> Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    for name in AT_THE_TOP {
        let bytes =
            contents.files.get(&format!("{DOCUMENTS}/{name}")).with_context(|| format!("no {name}"))?;
        add(&mut tar, &format!("{stem}/{name}"), bytes, false)?;
    }
    for (path, bytes) in &contents.files {
        add(&mut tar, &format!("{stem}/{path}"), bytes, is_executable(path))?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// An entry that depends on name and content alone.
fn add(
    tar: &mut tar::Builder<impl std::io::Write>,
    name: &str,
    bytes: &[u8],
    executable: bool,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    tar.append_data(&mut header, name, bytes)?;
    Ok(())
}

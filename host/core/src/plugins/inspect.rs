//! Reads what a plugin file says about itself, without running anything of it and without trusting any length in it.
//!
//! Only ELF is read: Linux is what libtorch's plugins are built for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use kiwi_plugin_metadata::reader::{self, PluginMetadata};
use kiwi_plugin_metadata::{SECTION, TARGET};
use object::elf;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef};
use sha2::{Digest, Sha256};

use super::compatibility::{Host, Rejection, check};

#[cfg(target_pointer_width = "64")]
type Header = elf::FileHeader64<Endianness>;
#[cfg(target_pointer_width = "32")]
type Header = elf::FileHeader32<Endianness>;

/// What reading a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it says about itself, where that could be read.
    pub metadata: Option<PluginMetadata>,
    /// Why this host cannot use it; empty if it can.
    pub rejections: Vec<Rejection>,
}

/// Reads the metadata of a file and judges whether this host can run it. Of the file only its headers and the metadata
/// are read.
#[must_use]
pub fn inspect(path: &Path) -> Inspection {
    match open(path).and_then(|file| read_metadata(&ReadCache::new(file))) {
        Ok(metadata) => judge(metadata),
        Err(rejection) => Inspection { metadata: None, rejections: vec![rejection] },
    }
}

/// As [`inspect`], from bytes that were read already: what is opened later can be held against the same bytes.
#[must_use]
pub fn inspect_bytes(bytes: &[u8]) -> Inspection {
    match read_metadata(bytes) {
        Ok(metadata) => judge(metadata),
        Err(rejection) => Inspection { metadata: None, rejections: vec![rejection] },
    }
}

fn judge(metadata: PluginMetadata) -> Inspection {
    let rejections = check(&metadata, &Host::this());
    Inspection { metadata: Some(metadata), rejections }
}

/// SHA-256 of some bytes, in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a file whole, refusing what is no file.
///
/// # Errors
///
/// It is no file, or it cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Rejection> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, Rejection> {
    let unreadable = |error: io::Error| Rejection::Unreadable(error.to_string());
    // Asked before opening: opening a pipe waits for its other end.
    let kind = fs::metadata(path).map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Rejection::NotAFile("a directory"));
    }
    if !kind.is_file() {
        return Err(Rejection::NotAFile("a pipe, socket or device"));
    }
    File::open(path).map_err(unreadable)
}

fn read_metadata<'data, R: ReadRef<'data>>(data: R) -> Result<PluginMetadata, Rejection> {
    let length = data.len().map_err(|()| Rejection::Unreadable("its length is not known".to_owned()))?;
    if length == 0 {
        return Err(Rejection::Empty);
    }
    let start = data.read_bytes_at(0, length.min(64)).unwrap_or_default();
    if !start.starts_with(&elf::ELFMAG) {
        return Err(Rejection::NotElf { found: looks_like(start) });
    }

    let damaged = |error: object::Error| Rejection::Damaged { reason: error.to_string() };
    let expected_class =
        if cfg!(target_pointer_width = "64") { elf::ELFCLASS64 } else { elf::ELFCLASS32 };
    match start.get(4).map(|class| elf::FileClass(*class)) {
        Some(class) if class == expected_class => {}
        Some(elf::ELFCLASS32) => return Err(architecture("a 32-bit processor".to_owned())),
        Some(elf::ELFCLASS64) => return Err(architecture("a 64-bit processor".to_owned())),
        _ => return Err(Rejection::Damaged { reason: "its word size is not known".to_owned() }),
    }
    let header = Header::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if host_machine().is_some_and(|machine| machine != header.e_machine(endian)) {
        return Err(architecture(machine_name(header.e_machine(endian))));
    }
    match header.e_type(endian) {
        elf::ET_DYN => {}
        elf::ET_EXEC => return Err(Rejection::NotShared { found: "a program" }),
        elf::ET_REL => return Err(Rejection::NotShared { found: "an object file" }),
        elf::ET_CORE => return Err(Rejection::NotShared { found: "a core dump" }),
        _ => return Err(Rejection::NotShared { found: "an ELF file of an unknown type" }),
    }

    let sections = header.sections(endian, data).map_err(damaged)?;
    let mut records = Vec::new();
    let mut found = false;
    // A linker may leave two sections of one name where their flags differ.
    for section in sections.iter() {
        if sections.section_name(endian, section).map_err(damaged)? == SECTION.as_bytes() {
            found = true;
            records.extend_from_slice(section.data(endian, data).map_err(damaged)?);
        }
    }
    if !found {
        return Err(Rejection::NoMetadata);
    }
    Ok(reader::read(&records)?)
}

fn architecture(found: String) -> Rejection {
    Rejection::Architecture { found, expected: std::env::consts::ARCH, target: TARGET }
}

/// The host's processor as ELF numbers it; `None` leaves the judgement to the target triple.
const fn host_machine() -> Option<elf::Machine> {
    if cfg!(target_arch = "x86_64") {
        Some(elf::EM_X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(elf::EM_AARCH64)
    } else {
        None
    }
}

fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86_64",
        elf::EM_386 => "x86",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_S390 => "s390",
        elf::EM_LOONGARCH => "loongarch",
        other => return format!("ELF machine {other:?}"),
    };
    name.to_owned()
}

fn looks_like(start: &[u8]) -> &'static str {
    match start {
        [b'M', b'Z', ..] => "a Windows library",
        [0xCF | 0xCE, 0xFA, 0xED, 0xFE, ..] | [0xCA, 0xFE, 0xBA, 0xBE, ..] => "a macOS library",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "a static archive or a linker script",
        [b'#', b'!', ..] => "a script",
        _ if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || *byte >= 0x80) => {
            "a text file"
        }
        _ => "a file of an unknown format",
    }
}

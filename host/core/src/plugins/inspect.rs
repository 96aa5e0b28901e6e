//! Reads what a plugin file says about itself, without running anything of it and without trusting any length in it.
//!
//! Only ELF is read: Linux is what libtorch's plugins are built for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use kiwi_plugin_metadata::compatibility;
use kiwi_plugin_metadata::reader::{self, PluginMetadata};
use kiwi_plugin_metadata::{SECTION, TARGET};
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, SectionTable};
use object::{Endianness, ReadCache, ReadRef};
use sha2::{Digest, Sha256};

use super::compatibility::Rejection;
use super::linkage::{self, Linkage};

#[cfg(target_pointer_width = "64")]
pub(super) type Header = elf::FileHeader64<Endianness>;
#[cfg(target_pointer_width = "32")]
pub(super) type Header = elf::FileHeader32<Endianness>;

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
    match open(path).and_then(|file| read(&ReadCache::new(file))) {
        Ok((metadata, linkage)) => judge(metadata, &linkage),
        Err(rejection) => Inspection { metadata: None, rejections: vec![rejection] },
    }
}

/// As [`inspect`], from bytes that were read already: what is opened later can be held against the same bytes.
#[must_use]
pub fn inspect_bytes(bytes: &[u8]) -> Inspection {
    match read(bytes) {
        Ok((metadata, linkage)) => judge(metadata, &linkage),
        Err(rejection) => Inspection { metadata: None, rejections: vec![rejection] },
    }
}

/// How a file is linked, whatever else it is.
///
/// # Errors
///
/// It is no shared library of this platform, or cannot be read.
pub fn linkage(path: &Path) -> Result<Linkage, Rejection> {
    let data = ReadCache::new(open(path)?);
    let library = library(&data)?;
    linkage::read(library.endian, &library.sections, &data)
}

fn judge(metadata: PluginMetadata, linkage: &Linkage) -> Inspection {
    let mismatches = compatibility::check(&metadata, &compatibility::Host::this());
    let second = linkage.second_libtorches().into_iter().map(Rejection::from);
    let rejections = mismatches.into_iter().map(Rejection::from).chain(second).collect();
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

pub(super) fn open(path: &Path) -> Result<File, Rejection> {
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

/// A shared library of this platform.
struct Library<'data, R: ReadRef<'data>> {
    length: u64,
    endian: Endianness,
    sections: SectionTable<'data, Header, R>,
}

fn library<'data, R: ReadRef<'data>>(data: R) -> Result<Library<'data, R>, Rejection> {
    let length = data.len().map_err(|()| Rejection::Unreadable("its length is not known".to_owned()))?;
    if length == 0 {
        return Err(Rejection::Empty);
    }
    let start = data.read_bytes_at(0, length.min(64)).unwrap_or_default();
    if !start.starts_with(&elf::ELFMAG) {
        return Err(Rejection::NotElf { found: looks_like(start) });
    }

    let damaged = |error: object::Error| Rejection::Damaged { reason: error.to_string() };
    let expected_class = if cfg!(target_pointer_width = "64") { elf::ELFCLASS64 } else { elf::ELFCLASS32 };
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
    Ok(Library { length, endian, sections })
}

fn read<'data, R: ReadRef<'data>>(data: R) -> Result<(PluginMetadata, Linkage), Rejection> {
    let Library { length, endian, sections } = library(data)?;
    let damaged = |error: object::Error| Rejection::Damaged { reason: error.to_string() };
    let mut records = Vec::new();
    let mut found = false;
    // A linker may leave two sections of one name where their flags differ.
    for section in sections.iter() {
        if sections.section_name(endian, section).map_err(damaged)? == SECTION.as_bytes() {
            found = true;
            // Many sections may say that they are the same part of the file; their sum is no more than the file.
            let (_, size) = section.file_range(endian).unwrap_or_default();
            if size > length.saturating_sub(records.len() as u64) {
                return Err(Rejection::Damaged {
                    reason: "its metadata are larger than the file".to_owned(),
                });
            }
            records.extend_from_slice(section.data(endian, data).map_err(damaged)?);
        }
    }
    if !found {
        return Err(Rejection::NoMetadata);
    }
    let metadata = reader::read(&records)?;
    Ok((metadata, linkage::read(endian, &sections, data)?))
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
        _ if start
            .iter()
            .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || *byte >= 0x80) =>
        {
            "a text file"
        }
        _ => "a file of an unknown format",
    }
}

#[cfg(test)]
mod tests {
    use kiwi_plugin_metadata::reader::MetadataError;
    use proptest::prelude::*;

    use super::*;
    use crate::plugins::testing::{library, library_of_section, metadata, section, with_component};

    fn rejection(bytes: &[u8]) -> Rejection {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libx.so");
        fs::write(&path, bytes).unwrap();
        let inspection = inspect(&path);
        assert_eq!(inspection, inspect_bytes(bytes), "both ways of reading agree");
        assert_eq!(inspection.metadata, None);
        inspection.rejections.into_iter().next().unwrap()
    }

    fn good() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = library(folder.path(), "liba.so", &with_component("a", "metric", "M"));
        fs::read(path).unwrap()
    }

    #[test]
    fn a_real_library_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = with_component("a", "metric", "M");
        let path = library(folder.path(), "liba.so", &plugin);
        assert_eq!(inspect(&path), Inspection { metadata: Some(plugin), rejections: Vec::new() });
    }

    #[test]
    fn what_is_no_library_is_named() {
        assert_eq!(rejection(b""), Rejection::Empty);
        for (bytes, found) in [
            (&b"INPUT(libx.so.1)\n"[..], "a text file"),
            (b"#!/bin/sh\n", "a script"),
            (b"MZ\x90\x00", "a Windows library"),
            (b"\xCF\xFA\xED\xFE\x07", "a macOS library"),
            (b"!<arch>\n", "a static archive or a linker script"),
            (b"\x00\x01\x02", "a file of an unknown format"),
        ] {
            assert_eq!(rejection(bytes), Rejection::NotElf { found });
        }
    }

    #[test]
    fn what_is_no_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let of = |path: &Path| inspect(path).rejections.into_iter().next().unwrap();
        assert_eq!(of(folder.path()), Rejection::NotAFile("a directory"));
        assert!(matches!(of(&folder.path().join("absent")), Rejection::Unreadable(_)));
        let pipe = folder.path().join("libpipe.so");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(of(&pipe), Rejection::NotAFile("a pipe, socket or device"));
    }

    #[test]
    fn a_library_that_was_not_copied_completely_is_damaged() {
        let bytes = good();
        for length in [5, 20, 63, 64, bytes.len() / 2, bytes.len() - 1] {
            let found = rejection(&bytes[..length]);
            assert!(matches!(found, Rejection::Damaged { .. }), "{length} bytes: {found:?}");
        }
    }

    #[test]
    fn other_processors_and_other_files_of_elf_are_told_apart() {
        let changed = |offset: usize, bytes: &[u8]| {
            let mut all = good();
            all[offset..offset + bytes.len()].copy_from_slice(bytes);
            rejection(&all)
        };
        let Rejection::Architecture { found, .. } = changed(4, &[1]) else { panic!("32 bits") };
        assert_eq!(found, "a 32-bit processor");
        let Rejection::Architecture { found, expected, target } = changed(18, &243u16.to_le_bytes()) else {
            panic!("RISC-V");
        };
        assert_eq!((found.as_str(), expected, target), ("riscv", std::env::consts::ARCH, TARGET));
        let kinds = [(1u16, "an object file"), (2, "a program"), (4, "a core dump")];
        for (kind, found) in kinds {
            assert_eq!(changed(16, &kind.to_le_bytes()), Rejection::NotShared { found });
        }
    }

    #[test]
    fn a_library_without_metadata_is_no_plugin_and_damaged_metadata_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let of = |section: Option<&[u8]>| {
            inspect(&library_of_section(folder.path(), "libx.so", section)).rejections
        };
        assert_eq!(of(None), [Rejection::NoMetadata]);
        assert_eq!(of(Some(b"?")), [Rejection::Metadata(MetadataError::NotARecord { offset: 0 })]);
        let both = [section(&metadata("a")), section(&metadata("b"))].concat();
        let two = MetadataError::TwoPlugins { first: "a".into(), second: "b".into() };
        assert_eq!(of(Some(&both)), [Rejection::Metadata(two)]);
    }

    #[test]
    fn sections_that_are_the_same_part_of_the_file_are_not_read_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = fs::read(library_of_section(folder.path(), "libx.so", Some(&[0; 3000]))).unwrap();
        // A table of a hundred sections at the end, all of them the metadata's and thirty times the size they had.
        let number = |bytes: &[u8], at: usize| {
            usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
        };
        let (table, entry, count) = (number(&bytes, 0x28), 64, usize::from(bytes[0x3C]));
        let original = (0..count)
            .map(|section| bytes[table + section * entry..][..entry].to_vec())
            .find(|section| number(section, 0x20) == 3000)
            .unwrap();
        let names = bytes[table + usize::from(bytes[0x3E]) * entry..][..entry].to_vec();
        let at = bytes.len() as u64;
        for section in 0..100 {
            bytes.extend_from_slice(if section == 1 { &names } else { &original });
        }
        bytes[0x28..0x30].copy_from_slice(&at.to_le_bytes());
        bytes[0x3C..0x3E].copy_from_slice(&100_u16.to_le_bytes());
        bytes[0x3E..0x40].copy_from_slice(&1_u16.to_le_bytes());
        let reason = "its metadata are larger than the file".to_owned();
        assert_eq!(inspect_bytes(&bytes).rejections, [Rejection::Damaged { reason }]);
    }

    #[test]
    fn a_plugin_that_does_not_fit_still_tells_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = PluginMetadata { panic: "abort".into(), ..metadata("a") };
        let inspection = inspect(&library(folder.path(), "liba.so", &plugin));
        assert_eq!(inspection.metadata, Some(plugin));
        assert_eq!(
            inspection.rejections,
            [Rejection::from(compatibility::Mismatch::Panic { found: "abort".into() })]
        );
    }

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_damage_to_a_library_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = GOOD.get_or_init(good).clone();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            let _ = inspect_bytes(&bytes);
        }
    }
}

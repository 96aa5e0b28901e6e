//! What a plugin file is linked with, read from its dynamic section and its symbols: which libraries it needs, where it has
//! them looked for, and whether it would bring a second libtorch into the process.
//!
//! Two libtorches in one process have two registries of operators, two allocators and two sets of types: at best the plugin
//! does not load, at worst tensors of one are freed by the other. The dynamic loader meets a need by the library's own name
//! (`DT_SONAME`) before it looks for files. So a `DT_RPATH` or `DT_RUNPATH` that leads to another libtorch is harmless for
//! `libc10.so` and `libtorch_cpu.so`, which the host has opened before any plugin. What is not harmless is a library
//! of another name, a library named by its path, and a libtorch that is linked into the plugin itself.

use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{Dyn, FileHeader, SectionHeader, SectionTable, Sym};
use object::{Endianness, ReadRef, SectionIndex};
use thiserror::Error;

use super::compatibility::Rejection;
use super::inspect::Header;

/// Libraries of libtorch, between `lib` and `.so`.
const LIBTORCH: [&str; 12] = [
    "c10",
    "c10_cuda",
    "c10_hip",
    "c10_xpu",
    "torch",
    "torch_cpu",
    "torch_cuda",
    "torch_cuda_linalg",
    "torch_global_deps",
    "torch_hip",
    "torch_python",
    "torch_xpu",
];

/// What libtorch defines once and no header of it does, so that whoever defines it has a libtorch of its own.
const OF_LIBTORCH_ALONE: [&[u8]; 6] = [
    b"_ZN3c1019UndefinedTensorImpl10_singletonE",
    b"_ZN3c106detail14torchCheckFailEPKcS2_jS2_",
    b"_ZN3c104impl8GPUTrace13gpuTraceStateE",
    b"_ZN2at13globalContextEv",
    b"_ZN5torch8autograd10deleteNodeEPNS0_4NodeE",
    b"aoti_torch_abi_version",
];

/// Where the functions lie through which libtorch's operators are called.
const OPERATORS: (&[u8], &[u8]) = (b"_ZN2at4_ops", b"4callE");

/// A table of symbols that is larger is not read: no plugin has one.
const LARGEST_TABLE: u64 = 1 << 30;

/// How a file would bring a second libtorch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecondLibtorch {
    /// It needs one.
    #[error(
        "needs `{found}`, a libtorch of its own, expected `{expected}`, which the host has opened: link libtorch \
         by name, as kiwi-plugin-api does, and pack no libtorch with the plugin \
         (`auditwheel repair --exclude {expected}`)"
    )]
    Needed {
        /// What it needs.
        found: String,
        /// What the host has of it.
        expected: String,
    },
    /// It has one in it.
    #[error(
        "has a libtorch of its own linked into it (it defines `{symbol}`), expected one that uses the host's: link \
         libtorch_cpu.so and libc10.so dynamically, as kiwi-plugin-api does, and no libtorch_cpu.a or libc10.a"
    )]
    LinkedIn {
        /// A symbol that only libtorch defines.
        symbol: String,
    },
}

/// How a file is linked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linkage {
    /// The libraries that it needs, by name (`DT_NEEDED`).
    pub needed: Vec<String>,
    /// Where they are looked for, in order: `DT_RUNPATH`, or else `DT_RPATH`.
    pub search: Vec<String>,
    /// Whether what it needs in turn is looked for there too, as by `DT_RPATH`.
    pub search_is_inherited: bool,
    /// A symbol of libtorch that it defines itself, if it does.
    pub own_libtorch: Option<String>,
}

impl Linkage {
    /// How the file would bring a second libtorch; empty if it would not.
    #[must_use]
    pub fn second_libtorches(&self) -> Vec<SecondLibtorch> {
        let other = self.needed.iter().filter_map(|needed| {
            let library = library_of_libtorch(needed)?;
            (*needed != library).then(|| SecondLibtorch::Needed { found: needed.clone(), expected: library })
        });
        let own = self.own_libtorch.iter().map(|symbol| SecondLibtorch::LinkedIn { symbol: symbol.clone() });
        other.chain(own).collect()
    }

    /// The directories of [`Self::search`] for a file in `folder`: `$ORIGIN` stands for it.
    pub fn directories(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.search.iter().map(|entry| match beside(entry) {
            Some(rest) => folder.join(rest),
            None => PathBuf::from(entry),
        })
    }

    /// The first library of libtorch that the file, lying in `folder`, would have the loader open from elsewhere than the
    /// host's libtorch. `opened` are the files that the process has opened.
    #[must_use]
    pub fn foreign_library(&self, folder: &Path, opened: &[PathBuf]) -> Option<PathBuf> {
        let is_opened =
            |name: &str| opened.iter().any(|file| file.file_name().is_some_and(|one| one == name));
        let host = opened.iter().find(|file| file.file_name().is_some_and(|name| name == "libtorch_cpu.so"));
        let host = host.and_then(|file| file.parent()?.canonicalize().ok())?;
        let wanted =
            self.needed.iter().filter(|name| library_of_libtorch(name).is_some() && !is_opened(name));
        wanted
            .filter_map(|name| {
                self.directories(folder).map(|directory| directory.join(name)).find(|file| file.is_file())
            })
            .find(|file| file.canonicalize().is_ok_and(|file| file.parent() != Some(host.as_path())))
    }
}

/// What stands after `$ORIGIN/` in an entry of a search path; empty for `$ORIGIN` itself.
pub(super) fn beside(entry: &str) -> Option<&str> {
    let rest = entry.strip_prefix("$ORIGIN").or_else(|| entry.strip_prefix("${ORIGIN}"))?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest.trim_start_matches('/')),
        None => rest.is_empty().then_some(rest),
    }
}

/// The name that this library of libtorch has in a libtorch, if it is one: `libtorch_cpu-1a2b3c4d.so`, as wheels carry it, and
/// `/opt/torch/lib/libtorch_cpu.so` are `libtorch_cpu.so`.
pub(super) fn library_of_libtorch(needed: &str) -> Option<String> {
    let file = needed.rsplit('/').next().unwrap_or(needed);
    let name = file.strip_prefix("lib")?;
    let known = LIBTORCH.iter().find(|known| {
        name.strip_prefix(**known).is_some_and(|rest| rest.starts_with(".so") || rest.starts_with('-'))
    })?;
    Some(format!("lib{known}.so"))
}

/// Reads how a file is linked.
pub(super) fn read<'data, R: ReadRef<'data>>(
    endian: Endianness,
    sections: &SectionTable<'data, Header, R>,
    data: R,
) -> Result<Linkage, Rejection> {
    let damaged = |error: object::Error| Rejection::Damaged { reason: error.to_string() };
    let mut linkage = Linkage::default();
    if let Some((entries, strings)) = sections.dynamic(endian, data).map_err(damaged)? {
        let strings = table(endian, sections, strings, data)?;
        let (mut rpath, mut runpath) = (None, None);
        for entry in entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL) {
            let text = || text_at(strings, entry.val(endian));
            match entry.tag(endian) {
                elf::DT_NEEDED => linkage.needed.push(text()?),
                elf::DT_RPATH => rpath = Some(text()?),
                elf::DT_RUNPATH => runpath = Some(text()?),
                _ => {}
            }
        }
        // With the second the loader does not look at the first.
        linkage.search_is_inherited = runpath.is_none();
        let search = runpath.or(rpath).unwrap_or_default();
        linkage.search = search.split(':').filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    }
    linkage.own_libtorch = own_libtorch(endian, sections, data)?;
    Ok(linkage)
}

/// A symbol of libtorch that is defined here. What is not exported counts as well: a plugin that hides what it has linked
/// in has it all the same.
fn own_libtorch<'data, R: ReadRef<'data>>(
    endian: Endianness,
    sections: &SectionTable<'data, Header, R>,
    data: R,
) -> Result<Option<String>, Rejection> {
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        let Some(section) = sections.iter().find(|section| section.sh_type(endian) == kind) else { continue };
        bounded(section.sh_size(endian))?;
        let symbols: &[<Header as FileHeader>::Sym] = section
            .data_as_array(endian, data)
            .map_err(|error| Rejection::Damaged { reason: error.to_string() })?;
        let strings = table(endian, sections, section.link(endian), data)?;
        let defined = symbols
            .iter()
            .filter(|symbol| symbol.st_shndx(endian) != elf::SHN_UNDEF && symbol.st_bind() != elf::STB_WEAK);
        let names = defined.filter_map(|symbol| {
            let start = usize::try_from(symbol.st_name(endian)).ok()?;
            strings.get(start..)
        });
        let own = names.filter_map(|rest| {
            let is = |known: &[u8]| rest.strip_prefix(known).is_some_and(|after| after.first() == Some(&0));
            if !rest.starts_with(b"_ZN") && !rest.starts_with(b"aoti") {
                return None;
            }
            let name = rest.split(|byte| *byte == 0).next()?;
            let operator = || {
                let (prefix, call) = OPERATORS;
                name.starts_with(prefix) && name.windows(call.len()).any(|window| window == call)
            };
            (OF_LIBTORCH_ALONE.iter().any(|known| is(known)) || operator())
                .then(|| String::from_utf8_lossy(name).into_owned())
        });
        if let Some(symbol) = own.into_iter().next() {
            return Ok(Some(symbol));
        }
    }
    Ok(None)
}

/// The bytes of a table of strings, read at once: reading name by name takes a call of the system for each.
fn table<'data, R: ReadRef<'data>>(
    endian: Endianness,
    sections: &SectionTable<'data, Header, R>,
    index: SectionIndex,
    data: R,
) -> Result<&'data [u8], Rejection> {
    let damaged = |error: object::Error| Rejection::Damaged { reason: error.to_string() };
    let section = sections.section(index).map_err(damaged)?;
    bounded(section.sh_size(endian))?;
    section.data(endian, data).map_err(damaged)
}

fn bounded(size: impl Into<u64>) -> Result<(), Rejection> {
    if size.into() > LARGEST_TABLE {
        return Err(Rejection::Damaged { reason: "a table of symbols is larger than 1 GiB".to_owned() });
    }
    Ok(())
}

fn text_at(strings: &[u8], offset: u64) -> Result<String, Rejection> {
    let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..));
    let text = rest.and_then(|rest| rest.split_inclusive(|byte| *byte == 0).next()?.strip_suffix(&[0]));
    match text {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None => Err(Rejection::Damaged { reason: "its dynamic section names what is not there".to_owned() }),
    }
}

#[cfg(test)]
mod tests;

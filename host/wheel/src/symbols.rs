//! Which versions of symbols an ELF file needs of the C libraries, as `GLIBC_2.34` of `libc.so.6`: it runs where they are.

use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, elf};

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no ELF file of 64 bits that can be read: {reason}")]
pub struct Unreadable {
    /// What is wrong with it.
    pub reason: String,
}

impl From<object::Error> for Unreadable {
    fn from(error: object::Error) -> Self {
        Self { reason: error.to_string() }
    }
}

/// A version of symbols that a file needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    /// The family of versions, as `GLIBC`, `GLIBCXX`, `CXXABI`, `GCC`.
    pub family: String,
    /// The numbers, the first being the most significant, as `[2, 34]`.
    pub numbers: Vec<u32>,
}

impl Needed {
    /// Reads `GLIBC_2.34`; nothing of a version without numbers, as `GLIBC_PRIVATE`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (family, numbers) = text.rsplit_once('_')?;
        let numbers: Option<Vec<u32>> = numbers.split('.').map(|number| number.parse().ok()).collect();
        Some(Self { family: family.to_owned(), numbers: numbers? })
    }
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        write!(f, "{}_{}", self.family, numbers.join("."))
    }
}

/// All versions that a file needs, sorted, each once.
///
/// # Errors
/// When the bytes are no ELF file of 64 bits, or a damaged one.
pub fn needed(bytes: &[u8]) -> Result<Vec<Needed>, Unreadable> {
    let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let mut found = Vec::new();
    for section in sections.iter() {
        let Some((mut libraries, strings)) = section.gnu_verneed(endian, bytes)? else { continue };
        let strings = sections.strings(endian, bytes, strings)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                found.extend(Needed::parse(&name));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let parse = |text| Needed::parse(text).unwrap();
        assert!(parse("GLIBC_2.4") < parse("GLIBC_2.34"));
        assert!(parse("GLIBC_2.2.5") < parse("GLIBC_2.3"));
        assert_eq!(parse("GLIBCXX_3.4.29").to_string(), "GLIBCXX_3.4.29");
        for without in ["GLIBC_PRIVATE", "GLIBC", "", "_"] {
            assert_eq!(Needed::parse(without), None, "{without}");
        }
    }

    #[test]
    fn this_test_needs_glibc() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needed = needed(&bytes).unwrap();
        assert!(needed.iter().any(|needed| needed.family == "GLIBC"), "{needed:?}");
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_errors(cut in 0_usize..4096, at in 0_usize..4096, byte in 0_u8..=255) {
            let mut bytes = std::fs::read("/proc/self/exe").unwrap();
            bytes.truncate(bytes.len().min(1 << 20) - cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = needed(&bytes);
        }
    }
}

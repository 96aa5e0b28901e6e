//! On which systems a wheel runs: the last part of its name.

use crate::symbols::Needed;

/// A platform of PEP 600, as `manylinux_2_34_x86_64`: Linux with this version of glibc or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// The minor version of glibc 2.
    pub glibc_minor: u32,
}

impl Tag {
    /// What kiwi-host itself is made for: glibc 2.34 and the C++ library of GCC 11.
    pub const OF_HOST: Self = Self { glibc_minor: 34 };
    /// What systems with the glibc of [`Self::OF_HOST`] have of the compiler's libraries (the policy `manylinux_2_34`).
    const COMPILER: [(&str, &[u32]); 2] = [("GLIBCXX", &[3, 4, 29]), ("CXXABI", &[1, 3, 13])];

    /// The first platform that has what a file needs, and no older one than [`Self::OF_HOST`]; an error names a version that no
    /// platform promises.
    ///
    /// # Errors
    /// When the file needs a later C++ library than the platform has.
    pub fn of(needed: &[Needed]) -> Result<Self, Needed> {
        let mut tag = Self::OF_HOST;
        for version in needed {
            let limit = Self::COMPILER.iter().find(|(family, _)| *family == version.family);
            match limit {
                Some((_, limit)) if version.numbers.as_slice() > *limit => return Err(version.clone()),
                None if version.family == "GLIBC" => {
                    let minor = version.numbers.get(1).copied().unwrap_or(0);
                    tag.glibc_minor = tag.glibc_minor.max(minor);
                }
                _ => {}
            }
        }
        Ok(tag)
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "manylinux_2_{}_{}", self.glibc_minor, std::env::consts::ARCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(versions: &[&str]) -> Result<Tag, Needed> {
        Tag::of(&versions.iter().map(|text| Needed::parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_platform_has_what_the_files_need() {
        assert_eq!(of(&["GLIBC_2.2.5", "GLIBCXX_3.4.29", "CXXABI_1.3.13"]), Ok(Tag::OF_HOST));
        assert_eq!(of(&["GLIBC_2.38", "GLIBC_2.3"]), Ok(Tag { glibc_minor: 38 }));
        assert_eq!(of(&["GLIBCXX_3.4.30"]), Err(Needed::parse("GLIBCXX_3.4.30").unwrap()));
        assert!(of(&["GLIBC_2.36"]).unwrap().to_string().starts_with("manylinux_2_36_"));
    }
}

//! Files of plugins that are not as they should be: real ones whose metadata were changed, and libraries of a few lines of C that say
//! they are a real one.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use crate::built;
use crate::workplace::Workplace;

/// The first bytes of a record of metadata.
const MAGIC: &[u8] = b"KIWIPLUG";

/// A plugin's file in memory, and where its metadata are.
pub struct PluginFile {
    pub bytes: Vec<u8>,
    section: Range<usize>,
}

impl PluginFile {
    /// Reads the built plugin of this name, as `optimizers`.
    ///
    /// # Panics
    /// When it cannot be read, or has no metadata.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = built::plugin_file(name);
        let bytes = fs::read(&path).expect("a plugin");
        let metadata = metadata_of(&path);
        // The first bytes of a record stand elsewhere too, in the code that reads records.
        let start = bytes
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, window)| *window == MAGIC)
            .map(|(at, _)| at)
            .find(|at| bytes[*at..].starts_with(&metadata))
            .expect("the metadata are in the file");
        Self { section: start..start + metadata.len(), bytes }
    }

    /// The metadata.
    pub fn metadata(&mut self) -> &mut [u8] {
        &mut self.bytes[self.section.clone()]
    }

    /// The value of a field of the first record that has it.
    ///
    /// # Panics
    /// When none has.
    #[must_use]
    pub fn value(&self, key: &str) -> String {
        let metadata = &self.bytes[self.section.clone()];
        let length =
            |at: usize| u32::from_le_bytes(metadata[at..at + 4].try_into().expect("4 bytes")) as usize;
        let at = (8..metadata.len())
            .find(|at| metadata[*at..].starts_with(key.as_bytes()) && length(at - 8) == key.len())
            .unwrap_or_else(|| panic!("no {key} in the metadata"));
        let value = &metadata[at + key.len()..][..length(at - 4)];
        String::from_utf8(value.to_vec()).expect("a text")
    }

    /// The same with other values of fields that are as long: (key, value, other value).
    ///
    /// # Panics
    /// When there is no such field, or the other value is not as long.
    #[must_use]
    pub fn with(&self, changes: &[(&str, &str, &str)]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (key, value, other) in changes {
            assert_eq!(value.len(), other.len(), "{key}");
            let field = format!("{key}{value}").into_bytes();
            let metadata = &mut bytes[self.section.clone()];
            let at = metadata.windows(field.len()).position(|window| window == field);
            let at = at.unwrap_or_else(|| panic!("no {key} {value} in the metadata"));
            metadata[at + key.len()..at + field.len()].copy_from_slice(other.as_bytes());
        }
        bytes
    }
}

/// The metadata in a plugin's file.
fn metadata_of(path: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("metadata");
    let section = format!(".kiwi_plugin={}", out.display());
    let done = Command::new("objcopy").arg("--dump-section").arg(section).arg(path).arg("/dev/null").status();
    let done = done.expect("objcopy, which comes with cc");
    assert!(done.success(), "the metadata of {}", path.display());
    fs::read(&out).expect("the metadata")
}

impl Workplace {
    /// Compiles `source`, C, to a library at `name` that says about itself what the built `plugin` says.
    ///
    /// # Panics
    /// When it does not compile.
    pub fn compile_as(&self, plugin: &str, source: &str, name: &str) {
        let source = self.write("constructor.c", source);
        let metadata = self.at("constructor.metadata");
        fs::write(&metadata, metadata_of(&built::plugin_file(plugin))).expect("a file");
        let library = self.at(name);
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(compiled.expect("cc").success(), "{name} compiles");
        let section = format!(".kiwi_plugin={}", metadata.display());
        let added = Command::new("objcopy").arg("--add-section").arg(section).arg(&library).status();
        assert!(added.expect("objcopy").success(), "{name} gets its metadata");
    }
}

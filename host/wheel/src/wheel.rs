//! The archive: what stands where in it, its metadata, and the record of its files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Seek, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::Tag;

/// Why a wheel cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, not the archive.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The archive.
    #[error("cannot write the archive: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// What a wheel says about itself: the fields of Python's core metadata 2.4.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The name by which it is installed, as `kiwi-host`.
    pub name: String,
    /// A version as Python has it.
    pub version: String,
    /// One line.
    pub summary: String,
    /// An SPDX expression, as `MIT OR Apache-2.0`.
    pub license: Option<String>,
    /// Who made it.
    pub authors: Vec<String>,
    /// What must be installed with it, as `torch==2.11.*`.
    pub requires: Vec<String>,
    /// The versions of Python it can be installed by, as `>=3.10`.
    pub requires_python: Option<String>,
    /// A page of Markdown.
    pub description: String,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Vec<u8>,
    executable: bool,
}

/// A wheel that is being put together.
#[derive(Debug, Clone)]
pub struct Wheel {
    project: Project,
    tag: Tag,
    /// By their paths in the archive.
    files: BTreeMap<String, File>,
    licenses: Vec<String>,
}

impl Wheel {
    /// A wheel without files.
    #[must_use]
    pub fn new(project: Project, tag: Tag) -> Self {
        Self { project, tag, files: BTreeMap::new(), licenses: Vec::new() }
    }

    /// Adds a program, which is installed where the environment has programs.
    pub fn script(&mut self, name: &str, bytes: Vec<u8>) {
        let path = format!("{}.data/scripts/{name}", self.stem());
        self.files.insert(path, File { bytes, executable: true });
    }

    /// Adds a file that is installed at this path below the environment's prefix.
    pub fn data(&mut self, path: &str, bytes: Vec<u8>) {
        let executable = path.ends_with(std::env::consts::DLL_SUFFIX);
        let path = format!("{}.data/data/{path}", self.stem());
        self.files.insert(path, File { bytes, executable });
    }

    /// Adds a licence, which stands among the metadata.
    pub fn license(&mut self, name: &str, bytes: Vec<u8>) {
        self.licenses.push(name.to_owned());
        self.about(&format!("licenses/{name}"), bytes);
    }

    /// Adds a list of what the wheel is made of (PEP 770), which stands among the metadata.
    pub fn bill_of_materials(&mut self, name: &str, bytes: Vec<u8>) {
        self.about(&format!("sboms/{name}"), bytes);
    }

    /// The name of the file, by which pip knows what it is.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-py3-none-{}.whl", self.stem(), self.tag)
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(mut self, out: impl Write + Seek) -> Result<(), Error> {
        self.about("METADATA", self.metadata().into_bytes());
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: kiwi-host\nRoot-Is-Purelib: false\nTag: py3-none-{}\n",
            self.tag
        );
        self.about("WHEEL", wheel.into_bytes());
        let record = format!("{}.dist-info/RECORD", self.stem());
        let mut lines = String::new();
        for (path, file) in &self.files {
            let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&file.bytes));
            // To a String: cannot fail.
            let _ = writeln!(lines, "{path},sha256={digest},{}", file.bytes.len());
        }
        lines += &format!("{record},,\n");
        let mut archive = ZipWriter::new(out);
        let record = (record, File { bytes: lines.into_bytes(), executable: false });
        // The metadata stand last, as PEP 427 recommends.
        let (about, content): (Vec<_>, Vec<_>) =
            self.files.into_iter().partition(|(path, _)| path.contains(".dist-info/"));
        for (path, file) in content.into_iter().chain(about).chain([record]) {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(9))
                .unix_permissions(if file.executable { 0o755 } else { 0o644 });
            archive.start_file(path, options)?;
            archive.write_all(&file.bytes)?;
        }
        archive.finish()?;
        Ok(())
    }

    fn about(&mut self, name: &str, bytes: Vec<u8>) {
        let path = format!("{}.dist-info/{name}", self.stem());
        self.files.insert(path, File { bytes, executable: false });
    }

    /// Name and version as the file names have them.
    fn stem(&self) -> String {
        let mut name = String::new();
        for character in self.project.name.to_lowercase().chars() {
            match character {
                '-' | '_' | '.' if name.ends_with('_') => {}
                '-' | '_' | '.' => name.push('_'),
                other => name.push(other),
            }
        }
        format!("{name}-{}", self.project.version)
    }

    fn metadata(&self) -> String {
        let project = &self.project;
        // A field is one line.
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut fields = vec![
            ("Metadata-Version", "2.4".to_owned()),
            ("Name", project.name.clone()),
            ("Version", project.version.clone()),
            ("Summary", line(&project.summary)),
        ];
        fields.extend((!project.authors.is_empty()).then(|| ("Author", line(&project.authors.join(", ")))));
        fields.extend(project.license.iter().map(|license| ("License-Expression", line(license))));
        fields.extend(self.licenses.iter().map(|name| ("License-File", name.clone())));
        fields.extend(project.requires_python.iter().map(|python| ("Requires-Python", python.clone())));
        fields.extend(project.requires.iter().map(|requirement| ("Requires-Dist", requirement.clone())));
        fields.push(("Description-Content-Type", "text/markdown".to_owned()));
        let fields: String = fields.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{fields}\n{}", project.description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read};

    fn example() -> Wheel {
        let project = Project {
            name: "Acme-Encoder".to_owned(),
            version: "1.0b2".to_owned(),
            summary: "Encodes\nwell".to_owned(),
            license: Some("MIT".to_owned()),
            requires: vec!["torch==2.11.*".to_owned()],
            description: "# Acme\n".to_owned(),
            ..Project::default()
        };
        let mut wheel = Wheel::new(project, Tag::OF_HOST);
        wheel.script("acme", b"#!/bin/sh\n".to_vec());
        wheel.data("lib/kiwi-host/plugins/libacme.so", vec![7; 1000]);
        wheel.license("LICENSE", b"Do what you like.".to_vec());
        wheel
    }

    fn written() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        example().write(&mut bytes).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_wheel_records_all_its_files() {
        assert!(example().file_name().starts_with("acme_encoder-1.0b2-py3-none-manylinux_2_34_"));
        let mut archive = zip::ZipArchive::new(Cursor::new(written())).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(
            names,
            [
                "acme_encoder-1.0b2.data/data/lib/kiwi-host/plugins/libacme.so",
                "acme_encoder-1.0b2.data/scripts/acme",
                "acme_encoder-1.0b2.dist-info/METADATA",
                "acme_encoder-1.0b2.dist-info/WHEEL",
                "acme_encoder-1.0b2.dist-info/licenses/LICENSE",
                "acme_encoder-1.0b2.dist-info/RECORD",
            ]
        );
        let mut read = |name: &str| {
            let mut text = String::new();
            archive
                .by_name(&format!("acme_encoder-1.0b2.dist-info/{name}"))
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        };
        let record = read("RECORD");
        assert_eq!(record.lines().count(), names.len());
        // The digest of ten bytes, as `sha256sum` has it, in the alphabet of URLs.
        assert!(record.contains("scripts/acme,sha256=") && record.ends_with("RECORD,,\n"), "{record}");
        let metadata = read("METADATA");
        assert!(
            metadata.contains("Name: Acme-Encoder\nVersion: 1.0b2\nSummary: Encodes well\n"),
            "{metadata}"
        );
        assert!(metadata.contains("License-File: LICENSE\nRequires-Dist: torch==2.11.*\n"), "{metadata}");
        assert!(metadata.ends_with("\n\n# Acme\n"), "{metadata}");
        let mode = archive.by_name("acme_encoder-1.0b2.data/scripts/acme").unwrap().unix_mode();
        assert_eq!(mode.map(|mode| mode & 0o777), Some(0o755));
    }

    #[test]
    fn wheels_of_the_same_content_are_the_same_bytes() {
        assert_eq!(written(), written());
    }
}

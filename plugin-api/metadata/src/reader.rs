//! Reads records from the bytes of a section. Whatever the bytes are, the answer is metadata or an error: lengths are
//! checked before they are used, and nothing is allocated that the section does not hold.
//!
//! Only the format is judged here. Whether a host can run such a plugin is the host's question.

use std::collections::HashSet;
use std::str;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{FORMAT_VERSION, HEADER_LENGTH, MAGIC, field, record};

/// What a plugin file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginMetadata {
    /// Its name, the name of its crate.
    pub name: String,
    /// Its own semantic version.
    pub version: String,
    /// One sentence; may be empty.
    pub description: String,
    /// SPDX expression; may be empty.
    pub license: String,
    /// Authors; may be empty.
    pub authors: Vec<String>,
    /// Version of `kiwi-plugin-api` it was built with.
    pub api_version: String,
    /// Oldest version of `kiwi-plugin-api` that a host must have to run it.
    pub minimum_host_api: String,
    /// libtorch release it was built against.
    pub torch: String,
    /// Target triple.
    pub target: String,
    /// Version line of the compiler.
    pub rustc: String,
    /// Panic strategy, `unwind` or `abort`.
    pub panic: String,
    /// The components, in the order of their records.
    pub components: Vec<ComponentMetadata>,
    /// The systems, in the order of their records.
    pub systems: Vec<SystemMetadata>,
}

/// What a plugin file says about one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentMetadata {
    /// One of [`crate::kind`]; a newer plugin may have kinds that this crate does not know.
    pub kind: String,
    /// The name that a config gives as `class_name`.
    pub class: String,
    /// One sentence; may be empty.
    pub summary: String,
}

/// What a plugin file says about one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemMetadata {
    /// The name that a config gives as `class_name`.
    pub class: String,
    /// One sentence; may be empty.
    pub summary: String,
    /// Class of its encoder unless the config names another.
    pub encoder: String,
    /// Class of its head unless the config names another.
    pub head: String,
}

/// Why a section is not the metadata of one plugin. Offsets count bytes from the start of the section.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// Something that is neither padding nor a record.
    #[error("the metadata is damaged at byte {offset}: expected a record, which begins with `KIWIPLUG`")]
    NotARecord {
        /// Where.
        offset: usize,
    },
    /// A length that reaches beyond what there is.
    #[error("the metadata is damaged at byte {offset}: {needed} bytes should follow, there are {left}")]
    Truncated {
        /// Where.
        offset: usize,
        /// Bytes that should follow.
        needed: usize,
        /// Bytes that do.
        left: usize,
    },
    /// A record of a format that this reader does not know.
    #[error("the metadata has format version {found}, and this host reads versions 1 to {supported}")]
    UnsupportedFormat {
        /// Version of the record.
        found: u32,
        /// Newest version this reader knows.
        supported: u32,
    },
    /// A key or a value that is not UTF-8.
    #[error("the metadata is damaged at byte {offset}: the text there is not UTF-8")]
    NotUtf8 {
        /// Where the key or value begins.
        offset: usize,
    },
    /// A field that its record must have is not there.
    #[error("the `{record}` record at byte {offset} lacks the field `{field}`")]
    MissingField {
        /// What the record describes.
        record: String,
        /// The field.
        field: &'static str,
        /// Where the record begins.
        offset: usize,
    },
    /// A field that must name something is empty.
    #[error("the `{record}` record at byte {offset} has an empty field `{field}`")]
    EmptyField {
        /// What the record describes.
        record: String,
        /// The field.
        field: &'static str,
        /// Where the record begins.
        offset: usize,
    },
    /// A field stands twice in one record.
    #[error("the `{record}` record at byte {offset} has the field `{field}` twice")]
    DuplicateField {
        /// What the record describes.
        record: String,
        /// The field.
        field: String,
        /// Where the record begins.
        offset: usize,
    },
    /// A record does not begin by saying what it describes.
    #[error("the record at byte {offset} does not begin with the field `record`")]
    Untyped {
        /// Where the record begins.
        offset: usize,
    },
    /// A name that nothing could be asked for by, or that does not belong on a terminal or in a path.
    #[error("the name of the {what} {name:?} has characters that names do not have")]
    Name {
        /// What has the name: `plugin`, `system`, or the kind of component.
        what: String,
        /// The name.
        name: String,
    },
    /// No record describes the plugin.
    #[error("the metadata has no `plugin` record")]
    NoPlugin,
    /// Two records describe the plugin.
    #[error(
        "the metadata has two `plugin` records, `{first}` and `{second}`: one library can be one plugin only"
    )]
    TwoPlugins {
        /// Name in the first.
        first: String,
        /// Name in the second.
        second: String,
    },
    /// Two components of one kind have the same class.
    #[error("the plugin registers the {kind} `{class}` twice")]
    DuplicateClass {
        /// Kind of component, or `system`.
        kind: String,
        /// The class.
        class: String,
    },
}

/// Reads the metadata of one plugin from the section [`crate::SECTION`] of its file.
///
/// Zero bytes between records are padding. Unknown fields and unknown records are ignored, so that a plugin built with
/// a later minor version of the API can still be read.
///
/// # Errors
///
/// The section is damaged, of a newer format, or does not describe exactly one plugin.
pub fn read(section: &[u8]) -> Result<PluginMetadata, MetadataError> {
    let mut plugin: Option<PluginMetadata> = None;
    let mut components = Vec::new();
    let mut systems = Vec::new();

    let mut cursor = Cursor { bytes: section, offset: 0 };
    while cursor.skip_padding() {
        let record = Record::read(&mut cursor)?;
        match record.describes {
            record::PLUGIN => {
                let read = record.plugin()?;
                if let Some(first) = plugin {
                    return Err(MetadataError::TwoPlugins { first: first.name, second: read.name });
                }
                plugin = Some(read);
            }
            record::COMPONENT => components.push(record.component()?),
            record::SYSTEM => systems.push(record.system()?),
            _ => {}
        }
    }

    let mut plugin = plugin.ok_or(MetadataError::NoPlugin)?;
    refuse_names(&plugin.name, &components, &systems)?;
    refuse_duplicates(&components, &systems)?;
    plugin.components = components;
    plugin.systems = systems;
    Ok(plugin)
}

/// Refuses names that hold what separates names (`::`), paths or lines, or what a terminal obeys.
fn refuse_names(
    plugin: &str,
    components: &[ComponentMetadata],
    systems: &[SystemMetadata],
) -> Result<(), MetadataError> {
    let of_components = components.iter().map(|c| (c.kind.as_str(), c.class.as_str()));
    let of_systems = systems.iter().map(|s| (record::SYSTEM, s.class.as_str()));
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    for (what, name) in [(record::PLUGIN, plugin)].into_iter().chain(of_components).chain(of_systems) {
        if !name.chars().all(sound) || name.starts_with('.') {
            return Err(MetadataError::Name { what: what.to_owned(), name: name.to_owned() });
        }
    }
    Ok(())
}

fn refuse_duplicates(
    components: &[ComponentMetadata],
    systems: &[SystemMetadata],
) -> Result<(), MetadataError> {
    let of_components = components.iter().map(|c| (c.kind.as_str(), c.class.as_str()));
    let of_systems = systems.iter().map(|s| (record::SYSTEM, s.class.as_str()));
    let mut seen = HashSet::new();
    for (kind, class) in of_components.chain(of_systems) {
        if !seen.insert((kind, class)) {
            return Err(MetadataError::DuplicateClass { kind: kind.to_owned(), class: class.to_owned() });
        }
    }
    Ok(())
}

/// A place in the section; every step is checked.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Goes to the next byte that is not zero; false at the end.
    fn skip_padding(&mut self) -> bool {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        self.offset += rest.iter().take_while(|byte| **byte == 0).count();
        self.offset < self.bytes.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MetadataError> {
        let left = self.bytes.len().saturating_sub(self.offset);
        let taken = self
            .offset
            .checked_add(length)
            .and_then(|end| self.bytes.get(self.offset..end))
            .ok_or(MetadataError::Truncated { offset: self.offset, needed: length, left })?;
        self.offset += length;
        Ok(taken)
    }

    fn take_u32(&mut self) -> Result<u32, MetadataError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    fn take_length(&mut self) -> Result<usize, MetadataError> {
        let offset = self.offset;
        let length = self.take_u32()?;
        usize::try_from(length).map_err(|_| MetadataError::Truncated {
            offset,
            needed: usize::MAX,
            left: self.bytes.len() - offset,
        })
    }

    fn take_text(&mut self, length: usize) -> Result<&'a str, MetadataError> {
        let offset = self.offset;
        str::from_utf8(self.take(length)?).map_err(|_| MetadataError::NotUtf8 { offset })
    }
}

/// One record: its fields as they stand in the section.
struct Record<'a> {
    describes: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    offset: usize,
}

impl<'a> Record<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, MetadataError> {
        let offset = cursor.offset;
        if cursor.take(MAGIC.len()).ok() != Some(&MAGIC) {
            return Err(MetadataError::NotARecord { offset });
        }
        let version = cursor.take_u32()?;
        if !(1..=FORMAT_VERSION).contains(&version) {
            return Err(MetadataError::UnsupportedFormat { found: version, supported: FORMAT_VERSION });
        }
        let length = cursor.take_length()?;
        debug_assert_eq!(cursor.offset, offset + HEADER_LENGTH);
        cursor.take(length)?;

        let end = cursor.offset;
        let mut inside = Cursor { bytes: cursor.bytes.get(..end).unwrap_or_default(), offset: end - length };
        let mut fields: Vec<(&str, &str)> = Vec::new();
        while inside.offset < end {
            let (key, value) = (inside.take_length()?, inside.take_length()?);
            fields.push((inside.take_text(key)?, inside.take_text(value)?));
        }
        match fields.first() {
            Some((field::RECORD, describes)) => Self { describes, fields, offset }.without_duplicates(),
            _ => Err(MetadataError::Untyped { offset }),
        }
    }

    fn without_duplicates(self) -> Result<Self, MetadataError> {
        let mut seen = HashSet::new();
        match self.fields.iter().find(|(key, _)| !seen.insert(*key)) {
            None => Ok(self),
            Some((key, _)) => Err(MetadataError::DuplicateField {
                record: self.describes.to_owned(),
                field: (*key).to_owned(),
                offset: self.offset,
            }),
        }
    }

    fn optional(&self, field: &str) -> String {
        let found = self.fields.iter().find(|(key, _)| *key == field);
        found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    }

    fn required(&self, field: &'static str) -> Result<String, MetadataError> {
        let record = || self.describes.to_owned();
        match self.fields.iter().find(|(key, _)| *key == field) {
            None => Err(MetadataError::MissingField { record: record(), field, offset: self.offset }),
            Some((_, "")) => Err(MetadataError::EmptyField { record: record(), field, offset: self.offset }),
            Some((_, value)) => Ok((*value).to_owned()),
        }
    }

    fn plugin(&self) -> Result<PluginMetadata, MetadataError> {
        let authors = self.optional(field::AUTHORS);
        Ok(PluginMetadata {
            name: self.required(field::NAME)?,
            version: self.required(field::VERSION)?,
            description: self.optional(field::DESCRIPTION),
            license: self.optional(field::LICENSE),
            authors: authors.split(':').filter(|author| !author.is_empty()).map(str::to_owned).collect(),
            api_version: self.required(field::API_VERSION)?,
            minimum_host_api: self.required(field::MINIMUM_HOST_API)?,
            torch: self.required(field::TORCH)?,
            target: self.required(field::TARGET)?,
            rustc: self.required(field::RUSTC)?,
            panic: self.required(field::PANIC)?,
            components: Vec::new(),
            systems: Vec::new(),
        })
    }

    fn component(&self) -> Result<ComponentMetadata, MetadataError> {
        Ok(ComponentMetadata {
            kind: self.required(field::KIND)?,
            class: self.required(field::CLASS)?,
            summary: self.optional(field::SUMMARY),
        })
    }

    fn system(&self) -> Result<SystemMetadata, MetadataError> {
        Ok(SystemMetadata {
            class: self.required(field::CLASS)?,
            summary: self.optional(field::SUMMARY),
            encoder: self.required(field::ENCODER)?,
            head: self.required(field::HEAD)?,
        })
    }
}

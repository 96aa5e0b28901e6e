//! The reader against records of the writer, against damaged ones, and against arbitrary bytes.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use kiwi_plugin_metadata::reader::{self, ComponentMetadata, MetadataError, SystemMetadata};
use kiwi_plugin_metadata::{FORMAT_VERSION, HEADER_LENGTH, MAGIC, writer};
use proptest::prelude::*;

const PLUGIN: &[(&str, &str)] = &[
    ("record", "plugin"),
    ("name", "kiwi-beispiel"),
    ("version", "1.2.3"),
    ("description", "Encoders für Übungszwecke."),
    ("license", "MIT"),
    ("authors", "Ada:Grace"),
    ("api_version", "0.1.4"),
    ("minimum_host_api", "0.1.2"),
    ("torch", "2.11.0"),
    ("target", "x86_64-unknown-linux-gnu"),
    ("rustc", "rustc 1.95.0"),
    ("panic", "unwind"),
];
const ENCODER: &[(&str, &str)] =
    &[("record", "component"), ("kind", "encoder"), ("class", "BagOfWords"), ("summary", "Sums embeddings.")];
const SYSTEM: &[(&str, &str)] =
    &[("record", "system"), ("class", "Bag"), ("summary", ""), ("encoder", "BagOfWords"), ("head", "Heads")];

// The very way of the macros: the length is a constant, and so is the record.
const PLUGIN_RECORD: [u8; writer::encoded_length(PLUGIN)] = writer::encode(PLUGIN);
const ENCODER_RECORD: [u8; writer::encoded_length(ENCODER)] = writer::encode(ENCODER);
const SYSTEM_RECORD: [u8; writer::encoded_length(SYSTEM)] = writer::encode(SYSTEM);

/// A record of fields that are not known at compile time.
fn record(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in fields {
        body.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
        body.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        body.extend(key.as_bytes());
        body.extend(value.as_bytes());
    }
    let mut out = MAGIC.to_vec();
    out.extend(FORMAT_VERSION.to_le_bytes());
    out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(body);
    out
}

fn section() -> Vec<u8> {
    // Components may come first, since the linker decides, and it pads.
    [&[0; 8][..], &ENCODER_RECORD, &[0; 3], &PLUGIN_RECORD, &SYSTEM_RECORD, &[0; 16]].concat()
}

#[test]
fn what_the_writer_wrote_is_read_back() {
    let read = reader::read(&section()).unwrap();
    assert_eq!(read.name, "kiwi-beispiel");
    assert_eq!(read.version, "1.2.3");
    assert_eq!(read.description, "Encoders für Übungszwecke.");
    assert_eq!(read.license, "MIT");
    assert_eq!(read.authors, ["Ada", "Grace"]);
    assert_eq!(read.api_version, "0.1.4");
    assert_eq!(read.minimum_host_api, "0.1.2");
    assert_eq!(read.torch, "2.11.0");
    assert_eq!(read.target, "x86_64-unknown-linux-gnu");
    assert_eq!(read.rustc, "rustc 1.95.0");
    assert_eq!(read.panic, "unwind");
    let encoder = ComponentMetadata {
        kind: "encoder".into(),
        class: "BagOfWords".into(),
        summary: "Sums embeddings.".into(),
    };
    assert_eq!(read.components, [encoder]);
    let system = SystemMetadata {
        class: "Bag".into(),
        summary: String::new(),
        encoder: "BagOfWords".into(),
        head: "Heads".into(),
    };
    assert_eq!(read.systems, [system]);
}

#[test]
fn the_test_writes_as_the_writer_does() {
    assert_eq!(record(PLUGIN), PLUGIN_RECORD);
    assert_eq!(record(SYSTEM), SYSTEM_RECORD);
}

#[test]
fn metadata_survives_json() {
    let read = reader::read(&section()).unwrap();
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<reader::PluginMetadata>(&json).unwrap(), read);
}

#[test]
fn unknown_fields_and_records_are_ignored() {
    let mut fields = ENCODER.to_vec();
    fields.push(("cuda_architectures", "90"));
    let bytes = [record(&fields), record(&[("record", "schedule"), ("class", "x")]), PLUGIN_RECORD.to_vec()];
    let read = reader::read(&bytes.concat()).unwrap();
    assert_eq!(read.components.len(), 1);
}

#[test]
fn a_newer_format_is_refused_and_both_versions_are_named() {
    let mut bytes = section();
    bytes[8 + MAGIC.len()] = 7;
    let error = reader::read(&bytes).unwrap_err();
    assert_eq!(error, MetadataError::UnsupportedFormat { found: 7, supported: 1 });
    assert!(error.to_string().contains("version 7") && error.to_string().contains("1 to 1"));
}

#[test]
fn every_field_of_a_plugin_that_matters_is_required() {
    let optional = ["record", "description", "license", "authors"];
    for field in PLUGIN.iter().map(|(key, _)| *key).filter(|key| !optional.contains(key)) {
        let kept: Vec<_> = PLUGIN.iter().copied().filter(|(key, _)| *key != field).collect();
        let error = reader::read(&record(&kept)).unwrap_err();
        assert_eq!(error, MetadataError::MissingField { record: "plugin".into(), field, offset: 0 });

        let emptied: Vec<_> = PLUGIN.iter().map(|(k, v)| (*k, if *k == field { "" } else { v })).collect();
        let error = reader::read(&record(&emptied)).unwrap_err();
        assert_eq!(error, MetadataError::EmptyField { record: "plugin".into(), field, offset: 0 });
    }
    for field in optional.into_iter().skip(1) {
        let kept: Vec<_> = PLUGIN.iter().copied().filter(|(key, _)| *key != field).collect();
        assert!(reader::read(&record(&kept)).is_ok(), "{field} may be left out");
    }
}

#[test]
fn exactly_one_plugin_is_described() {
    assert_eq!(reader::read(&[]).unwrap_err(), MetadataError::NoPlugin);
    assert_eq!(reader::read(&[0; 64]).unwrap_err(), MetadataError::NoPlugin);
    assert_eq!(reader::read(&ENCODER_RECORD).unwrap_err(), MetadataError::NoPlugin);

    let mut other = PLUGIN.to_vec();
    other[1].1 = "kiwi-example";
    let both = [PLUGIN_RECORD.to_vec(), record(&other)].concat();
    let expected = MetadataError::TwoPlugins { first: "kiwi-beispiel".into(), second: "kiwi-example".into() };
    assert_eq!(reader::read(&both).unwrap_err(), expected);
}

#[test]
fn a_class_stands_once_among_its_kind() {
    let twice = [&PLUGIN_RECORD[..], &ENCODER_RECORD, &ENCODER_RECORD].concat();
    let expected = MetadataError::DuplicateClass { kind: "encoder".into(), class: "BagOfWords".into() };
    assert_eq!(reader::read(&twice).unwrap_err(), expected);

    let head = record(&[("record", "component"), ("kind", "head"), ("class", "BagOfWords")]);
    let of_two_kinds = [&PLUGIN_RECORD[..], &ENCODER_RECORD, &head].concat();
    assert_eq!(reader::read(&of_two_kinds).unwrap().components.len(), 2);
}

#[test]
fn names_are_letters_digits_and_little_else() {
    for name in ["a::b", "../../x", "a b", "a\u{1b}[31m", "line\n", ".x"] {
        let class = record(&[("record", "component"), ("kind", "metric"), ("class", name)]);
        let expected = MetadataError::Name { what: "metric".into(), name: name.into() };
        assert_eq!(reader::read(&[&PLUGIN_RECORD[..], &class].concat()).unwrap_err(), expected);
        let plugin: Vec<_> = PLUGIN.iter().map(|(k, v)| (*k, if *k == "name" { name } else { v })).collect();
        let expected = MetadataError::Name { what: "plugin".into(), name: name.into() };
        assert_eq!(reader::read(&record(&plugin)).unwrap_err(), expected);
    }
    let class = record(&[("record", "component"), ("kind", "metric"), ("class", "Überlänge_2.x-y")]);
    assert!(reader::read(&[&PLUGIN_RECORD[..], &class].concat()).is_ok());
}

#[test]
fn damage_is_named_with_its_place() {
    let mut no_magic = section();
    no_magic[9] = b'?';
    assert_eq!(reader::read(&no_magic).unwrap_err(), MetadataError::NotARecord { offset: 8 });

    let cut = &PLUGIN_RECORD[..PLUGIN_RECORD.len() - 5];
    let MetadataError::Truncated { offset, needed, left } = reader::read(cut).unwrap_err() else {
        panic!("a record that is cut off is truncated");
    };
    assert_eq!((offset, needed - left), (HEADER_LENGTH, 5));

    let mut latin = PLUGIN_RECORD.to_vec();
    let at = latin.windows(4).position(|window| window == "für".as_bytes()).unwrap();
    latin[at + 1] = 0xFF;
    assert!(matches!(reader::read(&latin).unwrap_err(), MetadataError::NotUtf8 { .. }));

    let mut huge = PLUGIN_RECORD.to_vec();
    huge[HEADER_LENGTH..HEADER_LENGTH + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(reader::read(&huge).unwrap_err(), MetadataError::Truncated { .. }));

    let untyped = record(&[("name", "x"), ("record", "plugin")]);
    assert_eq!(reader::read(&untyped).unwrap_err(), MetadataError::Untyped { offset: 0 });

    let doubled = record(&[("record", "component"), ("kind", "head"), ("kind", "encoder"), ("class", "x")]);
    let expected =
        MetadataError::DuplicateField { record: "component".into(), field: "kind".into(), offset: 0 };
    assert_eq!(reader::read(&doubled).unwrap_err(), expected);
}

/// A length that is wrong, or none: the right one.
fn length() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        8 => Just(None),
        1 => prop::sample::select(vec![0, 1, u32::MAX, u32::MAX - 3, 1 << 31]).prop_map(Some),
        1 => (0..40_u32).prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = reader::read(&bytes);
        let _ = reader::read(&[&MAGIC[..], &1u32.to_le_bytes(), &bytes].concat());
    }

    #[test]
    fn records_with_any_lengths_never_panic(
        records in prop::collection::vec(
            (any::<bool>(), prop::collection::vec((length(), length(), "[a-z]{0,8}", "\\PC{0,8}"), 0..5), length()),
            0..4,
        ),
    ) {
        let mut bytes = Vec::new();
        for (right, fields, record_length) in records {
            let mut body = Vec::new();
            for (key_length, value_length, key, value) in fields {
                // Mostly the lengths that are right, or all would end at the first.
                let key_length = key_length.unwrap_or(key.len() as u32);
                let value_length = value_length.unwrap_or(value.len() as u32);
                body.extend(key_length.to_le_bytes());
                body.extend(value_length.to_le_bytes());
                body.extend(key.as_bytes());
                body.extend(value.as_bytes());
            }
            if right {
                bytes.extend(section());
            }
            bytes.extend(MAGIC);
            bytes.extend(FORMAT_VERSION.to_le_bytes());
            bytes.extend(record_length.unwrap_or(body.len() as u32).to_le_bytes());
            bytes.extend(body);
        }
        if let Ok(read) = reader::read(&bytes) {
            // What is read is in the section.
            let length: usize = read.components.iter().map(|c| c.kind.len() + c.class.len() + c.summary.len()).sum();
            prop_assert!(length <= bytes.len());
        }
    }

    #[test]
    fn mutated_sections_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = section();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let _ = reader::read(&bytes);
        let cut = cut.index(bytes.len());
        let _ = reader::read(&bytes[..cut]);
    }

    #[test]
    fn any_texts_come_back(
        name in "[\\p{L}0-9_-]{1,40}", summary in "\\PC{0,80}", class in "[\\p{L}0-9_-]{1,40}",
    ) {
        let mut fields = PLUGIN.to_vec();
        fields[1].1 = &name;
        let component = record(&[
            ("record", "component"), ("kind", "metric"), ("class", &class), ("summary", &summary),
        ]);
        let read = reader::read(&[record(&fields), component].concat()).unwrap();
        prop_assert_eq!(read.name, name);
        prop_assert_eq!(&read.components[0].class, &class);
        prop_assert_eq!(&read.components[0].summary, &summary);
    }
}

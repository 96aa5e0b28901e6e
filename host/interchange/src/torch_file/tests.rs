use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::pickle::{ElementType, Writer};

/// A pickle of nothing.
fn none() -> Vec<u8> {
    let mut out = Writer::new();
    out.none();
    out.finish()
}

fn zip_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip_of(entries, CompressionMethod::Stored)
}

fn refused(bytes: &[u8]) -> String {
    match TorchFile::parse(bytes) {
        Ok(_) => panic!("it was read"),
        Err(error) => {
            assert!(!error.help().is_empty());
            error.to_string()
        }
    }
}

/// Everywhere in `bytes`, `from` replaced by `to`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + from.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn other_files_are_named() {
    assert_eq!(refused(b""), "it is empty");
    assert_eq!(refused(b"{\"a\": 1}"), "it is a text file, not a file of torch.save");
    assert_eq!(refused(b"\x10\0\0\0\0\0\0\0{\"a\":0}"), "it is a safetensors file, not a file of torch.save");
    assert_eq!(refused(b"\x1f\x8b\x08\0"), "it is a gzip archive, not a file of torch.save");
    assert_eq!(
        refused(b"version https://git-lfs.github.com/spec/v1\n"),
        "it is the pointer of Git LFS, not the file itself, not a file of torch.save"
    );
    assert_eq!(refused(&[0xff; 9]), "it is something else, not a file of torch.save");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path()), Err(Error::Directory));
    assert_eq!(read(&folder.path().join("absent")), Err(Error::Missing));
}

#[test]
fn each_defect_of_a_zip_container_has_its_message() {
    let pickle = none();
    let good = stored(&[("a/data.pkl", &pickle), ("a/data/0", b"four"), ("a/version", b"3\n")]);
    let file = TorchFile::parse(&good).unwrap();
    let storage = |elements| StorageRef { kind: ElementType::F32, key: "0".into(), elements };
    assert_eq!(file.storage(&storage(1)), Ok(&b"four"[..]));
    let error = file.storage(&storage(2)).unwrap_err().to_string();
    assert_eq!(error, "storage 0 is said to have 2 elements of FloatStorage, and has 4 bytes");
    assert!(file.storage(&storage(usize::MAX)).is_err());
    let absent = StorageRef { key: "7".into(), ..storage(1) };
    assert_eq!(
        file.storage(&absent).unwrap_err().to_string(),
        "its pickle names storage \"7\", which is not in the file"
    );

    assert_eq!(
        refused(&stored(&[("a/data", &pickle)])),
        "it is a zip file without a `data.pkl`, which torch.save writes"
    );
    assert_eq!(refused(&good[..good.len() - 30]), "its zip directory is missing, as when a file is cut off");
    assert_eq!(refused(b"PK"), "its zip directory is missing, as when a file is cut off");
    for (name, shown) in
        [("../x", "../x"), ("/etc/x", "/etc/x"), ("a/../../x", "a/../../x"), ("C:\\x", "C:\\\\x")]
    {
        let bytes = stored(&[("a/data.pkl", &pickle), (&"n".repeat(name.len()), b"x")]);
        let said = refused(&replaced(&bytes, "n".repeat(name.len()).as_bytes(), name.as_bytes()));
        assert_eq!(
            said,
            format!(
                "its zip container has an entry with the path \"{shown}\", which leads out of its folder"
            )
        );
    }
    let twice = stored(&[("a/data.pkl", &pickle), ("a/data/0", b"one"), ("a/data/1", b"two")]);
    let twice = replaced(&twice, b"a/data/1", b"a/data/0");
    assert!(refused(&twice).starts_with("its zip container has two entries named \"a/data/0\""));
    let large = vec![0; 1 << 20];
    let packed = zip_of(&[("a/data.pkl", &pickle), ("a/data/0", &large)], CompressionMethod::Deflated);
    let said = refused(&packed);
    assert!(said.starts_with("its zip container has a compressed entry, \"a/data"), "{said}");
    let damaged = replaced(&good, b"four", b"five");
    assert_eq!(refused(&damaged), "its entry \"a/data/0\" is damaged: its checksum is not that of its bytes");
    let big = stored(&[("a/data.pkl", &pickle), ("a/byteorder", b"big")]);
    assert_eq!(refused(&big), "its numbers are big-endian, and only little-endian ones are read");
}

/// Where the directory's record of the entry with this number begins.
fn record(bytes: &[u8], number: usize) -> usize {
    bytes.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x01\x02").nth(number).unwrap().0
}

#[test]
fn a_directory_that_lies_is_found_out() {
    let pickle = none();
    let good = stored(&[("a/data.pkl", &pickle), ("a/data/0", b"four")]);
    let changed = |number: usize, at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        let at = record(&bytes, number) + at;
        bytes[at..at + value.len()].copy_from_slice(value);
        refused(&bytes)
    };
    // Both lengths, so that it seems not to be compressed.
    let huge = [0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f];
    assert!(changed(1, 20, &huge).contains("it speaks of byte 2147483647, and the file has"));
    assert!(
        changed(1, 24, &huge[..4])
            .contains("a compressed entry, \"a/data/0\", of 4 bytes that claim to be 2147483647")
    );
    assert!(changed(1, 20, &[0xff; 8]).contains("an entry lacks its 64-bit length"));
    assert!(changed(1, 42, &[1, 0, 0, 0]).contains("is not where its directory says"));
    assert!(changed(1, 42, &[0, 0, 0, 0]).contains("has another name where it lies"));
    assert!(changed(1, 8, &[1, 0]).contains("an encrypted entry"));
    assert!(changed(1, 28, &[0xff, 0xff]).contains("does not fit into it"));
    assert!(changed(0, 20, &[60, 0, 0, 0, 60, 0, 0, 0]).contains("two entries in the same bytes"));
    let mut fewer = good.clone();
    let end = fewer.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    fewer[end + 10] = 1;
    assert!(refused(&fewer).contains("its directory has 2 entries and says 1"));
    let mut start = good.clone();
    start[end + 16..end + 20].copy_from_slice(&[0xff, 0xff, 0, 0]);
    assert!(refused(&start).contains("it speaks of byte 65535"));
}

#[test]
fn a_container_with_64_bit_lengths_is_read() {
    let pickle = none();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, bytes) in [("a/data.pkl", &pickle[..]), ("a/data/0", b"four")] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let storage = StorageRef { kind: ElementType::U8, key: "0".into(), elements: 4 };
    assert_eq!(TorchFile::parse(&bytes).unwrap().storage(&storage), Ok(&b"four"[..]));

    // The end of the directory with 64 bits, as writers make it of more entries or bytes than the old one counts.
    let plain = stored(&[("a/data.pkl", &pickle), ("a/data/0", b"four")]);
    let (first, end) = (record(&plain, 0), plain.len() - 22);
    let mut wide = plain[..end].to_vec();
    let at = wide.len() as u64;
    wide.extend(b"PK\x06\x06");
    wide.extend(44_u64.to_le_bytes());
    wide.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [2, 2, (end - first) as u64, first as u64] {
        wide.extend(number.to_le_bytes());
    }
    wide.extend(b"PK\x06\x07\0\0\0\0");
    wide.extend(at.to_le_bytes());
    wide.extend([1, 0, 0, 0]);
    wide.extend(b"PK\x05\x06\0\0\0\0");
    wide.extend([0xff; 12]);
    wide.extend([0, 0]);
    assert_eq!(TorchFile::parse(&wide).unwrap().storage(&storage), Ok(&b"four"[..]));
}

/// A stream of torch before 1.6 whose parts are these pickles, and then `rest`.
fn stream(parts: &[&dyn Fn(&mut Writer)], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    for part in parts {
        let mut out = Writer::new();
        part(&mut out);
        bytes.extend(out.finish());
    }
    bytes.extend(rest);
    bytes
}

#[test]
fn each_defect_of_a_stream_has_its_message() {
    let machine = |little: bool| {
        move |out: &mut Writer| {
            out.dict(|out| {
                out.text("little_endian");
                out.bool(little);
            });
        }
    };
    let version = |out: &mut Writer| out.int(1001);
    let tensor = |out: &mut Writer| out.tensor(ElementType::F32, "k", &[2]);
    let keys = |out: &mut Writer| out.list(|out| out.text("k"));
    let elements = [2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let little = machine(true);
    let good = stream(&[&version, &little, &tensor, &keys], &elements);
    let file = TorchFile::parse(&good).unwrap();
    let storage = file.graph.storages().next().unwrap();
    assert_eq!(file.storage(storage), Ok(&elements[8..]));

    assert_eq!(
        refused(&none()),
        "it is a pickle, but not one of torch.save: its first value is not torch's magic number"
    );
    assert!(refused(&stream(&[&|out| out.int(7)], &[])).starts_with("it has version 7 of torch's format"));
    assert!(refused(&stream(&[&version, &machine(false)], &[])).starts_with("its numbers are big-endian"));
    assert!(
        refused(&stream(&[&version, &|out| out.none()], &[])).contains("it has None where torch.save writes")
    );
    let said = refused(&stream(&[&version, &little, &tensor, &|out| out.none()], &[]));
    assert_eq!(said, "it has None where torch.save writes a list of keys");
    let said = refused(&stream(&[&version, &little, &tensor, &|out| out.list(|out| out.text("x"))], &[]));
    assert_eq!(said, "its pickle names storage \"x\", which is not in the file");
    assert_eq!(refused(&good[..good.len() - 3]), "it is cut off: storage k needs 8 bytes and 5 are left");
    let huge = stream(&[&version, &little, &tensor, &keys], &[0xff; 16]);
    assert!(refused(&huge).starts_with("it is cut off: storage k needs 18446744073709551615 bytes"));
    assert_eq!(refused(&[&good[..], b"x"].concat()), "it goes on for 1 bytes after its last storage");
    let two = |out: &mut Writer| out.list(|out| ["k", "k"].iter().for_each(|key| out.text(key)));
    let said = refused(&stream(&[&version, &little, &tensor, &two], &[elements, elements].concat()));
    assert_eq!(said, "it has two storages with the key \"k\"");
    let said = refused(&good[..20]);
    assert!(said.starts_with("the pickle of its version cannot be read: it ends in the middle of"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(TorchFile::parse(&bytes).is_err());
        prop_assert!(TorchFile::parse(&[b"PK\x03\x04", &bytes[..], b"PK\x05\x06", &bytes].concat()).is_err());
        let _ = TorchFile::parse(&stream(&[], &bytes));
    }

    #[test]
    fn no_change_of_a_container_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = stored(&[("a/data.pkl", &none()), ("a/data/0", b"four")]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = TorchFile::parse(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

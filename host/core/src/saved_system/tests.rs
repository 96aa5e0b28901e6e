//! Files written and read back, by this module and by the `safetensors` crate alone; files that are none.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn part(class_name: &str, config: serde_json::Value) -> Part {
    let plugin =
        PluginIdentity { name: "kiwi-parts".into(), version: "0.1.0".into(), sha256: "ab".repeat(32) };
    Part { class_name: class_name.into(), config, plugin, extra: None }
}

fn header() -> SystemHeader {
    let words = |types: &[&str]| {
        ["<unk>", "<pad>", "<bos>", "<eos>", "<unaligned>"]
            .iter()
            .chain(types)
            .map(|w| (*w).to_owned())
            .collect()
    };
    SystemHeader {
        class_name: "Predictor".into(),
        encoder: part(
            "PredictorEncoder",
            json!({"rnn_layers": 3, "hidden_size": 400, "dropout": 0.5, "b": {"z": 1, "a": null}}),
        ),
        head: Part {
            extra: Some(json!({"seen": [1, 2]})),
            ..part("TLMOutputs", json!({"fine_tune": false}))
        },
        data_processing: json!({"share_input_fields_encoders": false, "vocab": {"max_size": null}}),
        training: Some(json!({"optimizer": {"class_name": "adam"}, "batch_size": {"train": 64}})),
        source_vocabulary: words(&["\"quoted\"", "back\\slash", "tab", "ä"]),
        target_vocabulary: words(&["中", "\u{1f95d}", "\u{feff}"]),
    }
}

const FLOATS: [u8; 24] = [7; 24];
const NUMBER: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
const FLAGS: [u8; 3] = [1, 0, 1];

fn tensor<'a>(name: &str, dtype: Dtype, shape: &[usize], bytes: &'a [u8]) -> TensorData<'a> {
    TensorData { name: name.into(), dtype, shape: shape.to_vec(), bytes }
}

fn tensors() -> Vec<TensorData<'static>> {
    vec![
        tensor("encoder.weight", Dtype::F32, &[2, 3], &FLOATS),
        tensor("a.flags", Dtype::BOOL, &[3], &FLAGS),
        tensor("head.steps", Dtype::I64, &[], &NUMBER),
        tensor("encoder.bias", Dtype::F32, &[0, 5], &[]),
    ]
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    (folder, path)
}

fn message<T>(folder: &TempDir, result: Result<T, Error>) -> String {
    let Err(error) = result else { panic!("this should have been refused") };
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_system_comes_back_as_it_was() {
    let (_folder, path) = folder();
    write(&path, &header(), tensors()).unwrap();
    let system = SavedSystem::open(&path).unwrap();
    assert_eq!(system.header(), &header());
    assert_eq!(system.path(), path);
    let names: Vec<_> = system.tensors().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["a.flags", "encoder.bias", "encoder.weight", "head.steps"]);
    for tensor in tensors() {
        assert_eq!(system.tensor(&tensor.name), Some(tensor));
    }
    assert_eq!(system.tensor("encoder.w"), None);
}

#[test]
fn equal_systems_are_equal_files_whatever_the_order() {
    let (folder, first) = folder();
    let second = folder.path().join("again.safetensors");
    write(&first, &header(), tensors()).unwrap();
    let mut reordered = header();
    reordered.encoder.config =
        json!({"b": {"a": null, "z": 1}, "dropout": 0.5, "hidden_size": 400, "rnn_layers": 3});
    write(&second, &reordered, tensors().into_iter().rev()).unwrap();
    let bytes = fs::read(&first).unwrap();
    assert!(bytes == fs::read(&second).unwrap());
    // The whole header, so that an accidental change of the format is seen.
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    assert_eq!(length % 8, 0);
    let text = str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(text.starts_with(r#"{"__metadata__":{"format":"pt","kiwi.format_version":"1","kiwi.system":"{\"class_name\":\"Predictor\",\"data_processing\":{"#), "{text}");
    let tensors = r#"},"a.flags":{"dtype":"BOOL","shape":[3],"data_offsets":[32,35]},"encoder.bias":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},"encoder.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},"head.steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#;
    assert!(text.trim_end().ends_with(tensors), "{text}");
}

#[test]
fn the_safetensors_crate_reads_it() {
    let (_folder, path) = folder();
    write(&path, &header(), tensors()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 4);
    for tensor in tensors() {
        let view = file.tensor(&tensor.name).unwrap();
        assert_eq!(
            (view.dtype(), view.shape(), view.data()),
            (tensor.dtype, &tensor.shape[..], tensor.bytes)
        );
        let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset % tensor.dtype.bitsize().div_ceil(8), 0, "{} is aligned", tensor.name);
    }
    let (_, contents) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = contents.metadata().clone().unwrap();
    assert_eq!(metadata["format"], "pt");
    let words: Vec<String> = serde_json::from_str(&metadata["kiwi.vocabulary.target"]).unwrap();
    assert_eq!(words, header().target_vocabulary);
}

#[test]
fn writing_replaces_a_file_and_leaves_nothing_else() {
    let (folder, path) = folder();
    fs::write(&path, "something older").unwrap();
    write(&path, &header(), tensors()).unwrap();
    // The name may be that of the system that is being read.
    let system = SavedSystem::open(&path).unwrap();
    write(&path, system.header(), system.tensors()).unwrap();
    assert_eq!(SavedSystem::open(&path).unwrap().header(), &header());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let ordinary = folder.path().join("ordinary");
        fs::write(&ordinary, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&ordinary));
    }
}

#[test]
fn tensors_that_cannot_be_written() {
    let (folder, path) = folder();
    let refused = |tensors: Vec<TensorData<'_>>| message(&folder, write(&path, &header(), tensors));
    assert_eq!(
        refused(vec![tensor("w", Dtype::F32, &[2, 2], &FLOATS)]),
        "tensor `w` of type F32 and shape [2, 2] was given as 24 bytes: the shape takes 16"
    );
    assert!(
        refused(vec![tensor("w", Dtype::F32, &[usize::MAX, 2], &[])])
            .ends_with("no number of bytes that could be given")
    );
    assert!(refused([tensors(), tensors()].concat()).starts_with("two tensors are named `encoder.weight`"));
    assert!(
        refused(vec![tensor("__metadata__", Dtype::BOOL, &[3], &FLAGS)])
            .starts_with("a tensor cannot be named")
    );
    let nowhere = folder.path().join("missing/best.safetensors");
    let text = message(&folder, write(&nowhere, &header(), tensors()));
    assert!(text.starts_with("missing/best.safetensors cannot be written: No such file"), "{text}");
    let mut large = header();
    large.source_vocabulary = vec!["x".repeat(1_000_000); 101];
    let text = message(&folder, write(&path, &large, tensors()));
    assert!(text.contains("the safetensors format allows 100000000; the vocabularies take"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn files_that_are_none() {
    let (folder, path) = folder();
    write(&path, &header(), tensors()).unwrap();
    let whole = fs::read(&path).unwrap();
    let other = folder.path().join("other");
    let refused = |bytes: &[u8]| {
        fs::write(&other, bytes).unwrap();
        message(&folder, SavedSystem::open(&other))
    };
    assert!(refused(b"").starts_with("other is not a saved system: the file is empty"));
    assert!(refused(b"{\"run\": {}}\n").starts_with("other is not a saved system: it is a text file"));
    assert!(refused("ein längerer Text ".repeat(99).as_bytes()).contains("it is a text file"));
    assert!(refused(b"version https://git-lfs.github.com/spec/v1\n").contains("run `git lfs pull`"));
    let cut = whole.len() - 5;
    assert!(refused(&whole[..cut]).contains(&format!("it is cut off after {cut} of {} bytes", whole.len())));
    assert!(refused(&whole[..100]).contains("it is cut off after 100 bytes"));
    assert!(refused(&whole[..7]).contains("it is cut off after 7 bytes"));
    assert!(
        refused(&[&whole[..], b"x"].concat()).contains(&format!("where its header says {}", whole.len()))
    );
    assert!(refused(&[0xff; 64]).contains("it is no valid safetensors file (header too large)"));
    assert!(
        message(&folder, SavedSystem::open(&folder.path().join("bets.safetensors")))
            .ends_with("did you mean best.safetensors?")
    );
    assert!(
        message(&folder, SavedSystem::open(&folder.path().join("no/such")))
            .contains("no/such does not exist; check")
    );
    assert!(
        message(&folder, SavedSystem::open(folder.path()))
            .contains("is a folder, not the file of a saved system")
    );
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    for name in [
        "openkiwi-2.1.0.torch",
        "openkiwi-2.1.0.legacy.torch",
        "openkiwi-2.1.0.ckpt",
        "openkiwi-2.1.0.shared.torch",
    ] {
        let Err(error) = SavedSystem::open(&golden.join(name)) else { panic!("{name} was opened") };
        assert!(error.to_string().contains("it is a PyTorch checkpoint (pickled objects)"), "{error}");
    }
    let Err(error) = SavedSystem::open(&golden.join("text.safetensors")) else {
        panic!("a golden case was opened")
    };
    assert!(error.to_string().contains("its metadata lack `kiwi.format_version` (it has none)"), "{error}");
}

#[test]
fn metadata_that_are_not_ours_or_newer() {
    let (folder, path) = folder();
    let refused = |key: &str, value: Option<&str>| {
        let mut metadata = header().to_metadata();
        match value {
            Some(value) => metadata.insert(key.to_owned(), value.to_owned()),
            None => metadata.remove(key),
        };
        archive::write(&path, &metadata, tensors()).unwrap();
        message(&folder, SavedSystem::open(&path))
    };
    assert_eq!(
        refused("kiwi.format_version", Some("2")),
        "best.safetensors has format version 2 and this kiwi-host reads up to version 1: use the version that saved it, or a newer one"
    );
    assert!(
        refused("kiwi.format_version", Some("0")).contains("is \"0\", which is no version of the format")
    );
    assert!(refused("kiwi.format_version", Some("")).contains("is \"\", which is no version"));
    assert!(
        refused("kiwi.vocabulary.source", None)
            .contains("lack `kiwi.vocabulary.source` (it has format, kiwi.format_version, kiwi.system, kiwi.vocabulary.target)")
    );
    assert!(
        refused("kiwi.vocabulary.target", Some("[1]"))
            .contains("`kiwi.vocabulary.target` cannot be understood (invalid type")
    );
    assert!(
        refused("kiwi.system", Some("{}"))
            .contains("`kiwi.system` cannot be understood (missing field `class_name`")
    );
    assert!(
        refused("kiwi.system", Some(&"[".repeat(100_000))).contains("`kiwi.system` cannot be understood")
    );
}

/// A file of a system, for changing some of its bytes.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_folder, path) = folder();
    write(&path, &header(), tensors()).unwrap();
    fs::read(&path).unwrap()
});

fn open_bytes(bytes: &[u8]) -> Result<(), Error> {
    let (_folder, path) = folder();
    fs::write(&path, bytes).unwrap();
    let system = SavedSystem::open(&path)?;
    let total: usize = system.tensors().map(|tensor| tensor.bytes.len()).sum();
    assert!(total <= bytes.len());
    Ok(())
}

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: chosen.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

/// Sizes that lie at the edges of what numbers hold and of what memory has.
fn claim() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(1 << 60),
        Just(u64::MAX),
        Just(u64::MAX - 7),
        Just(1 << 63),
        Just(1 << 32),
        Just(100_000_000),
        Just(100_000_001),
        0..200_u64,
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in claim()) {
        prop_assert!(open_bytes(&bytes).is_err());
        prop_assert!(open_bytes(&[&length.to_le_bytes(), &bytes[..]].concat()).is_err());
    }

    #[test]
    fn no_claimed_size_makes_it_panic(
        length in prop::option::of(claim()),
        shape in prop::collection::vec(claim(), 0..4),
        offsets in (claim(), claim()),
        dtype in prop::sample::select(vec!["F32", "BOOL", "F64", "F4", "X"]),
    ) {
        let tensor = json!({"dtype": dtype, "shape": shape, "data_offsets": [offsets.0, offsets.1]});
        let header = json!({"__metadata__": {"format": "pt"}, "a": tensor}).to_string();
        let length = length.unwrap_or(header.len() as u64);
        let bytes = [&length.to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
        let Err(error) = open_bytes(&bytes) else { return Err(TestCaseError::fail("this is no system")) };
        prop_assert!(!error.to_string().is_empty());
    }

    #[test]
    fn no_change_of_bytes_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        digits in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 0..4),
    ) {
        let mut bytes = VALID.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Numbers are where checks of sizes go wrong.
        let numbers: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
        for (at, digit) in digits {
            bytes.insert(numbers[at.index(numbers.len())], digit);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if let Err(error) = open_bytes(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_header_makes_it_panic(header in "[\\[\\]{}\":,0-9a-z_.]{0,80}", data in prop::collection::vec(any::<u8>(), 0..16)) {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
        // A name and a number cannot make a system.
        prop_assert!(open_bytes(&bytes).is_err());
    }
}

proptest! {
    // Fewer: each waits for the disk.
    #![proptest_config(cases(40))]

    #[test]
    fn any_tensors_come_back(lengths in prop::collection::btree_map("[a-z.é]{1,8}", 0..40_usize, 0..12)) {
        let (_folder, path) = folder();
        let kinds = [Dtype::U8, Dtype::F16, Dtype::F32, Dtype::F64];
        let bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
        let tensors: Vec<_> = lengths.iter().enumerate().map(|(number, (name, length))| {
            let dtype = kinds[number % 4];
            tensor(name, dtype, &[*length], &bytes[number..number + length * dtype.bitsize() / 8])
        }).collect();
        archive::write(&path, &BTreeMap::new(), tensors.clone()).unwrap();
        let archive = archive::Archive::open(&path).unwrap();
        prop_assert_eq!(archive.tensors().collect::<Vec<_>>(), tensors);
    }
}

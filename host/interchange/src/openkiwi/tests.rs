use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::saved_system::{PluginIdentity, SavedSystem, SystemHeader, write};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::*;
use crate::pickle::{Class, Writer};
use crate::torch_file;

/// The recorded files, each with the case that says what is in it.
const FILES: [(&str, &str); 4] = [
    ("openkiwi-2.1.0.torch", "checkpoint"),
    ("openkiwi-2.1.0.legacy.torch", "checkpoint"),
    ("openkiwi-2.1.0.ckpt", "checkpoint"),
    ("openkiwi-2.1.0.shared.torch", "checkpoint_shared"),
];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn plugins() -> Plugins {
    let plugin = |name: &str| PluginIdentity {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        sha256: "ab".repeat(32),
    };
    Plugins { encoder: plugin("kiwi-encoders"), head: plugin("kiwi-heads") }
}

fn import_bytes(bytes: &[u8]) -> Result<Imported<'_>, crate::Error> {
    import(Path::new("it"), bytes, &plugins())
}

fn refused(bytes: &[u8]) -> String {
    match import_bytes(bytes) {
        Ok(_) => panic!("it was imported"),
        Err(error) => error.to_string(),
    }
}

fn case(name: &str) -> Json {
    serde_json::from_str(&fs::read_to_string(golden(&format!("{name}.json"))).unwrap()).unwrap()
}

/// Imports a file into a saved system in `folder`.
fn saved(folder: &Path, file: &Path) -> SavedSystem {
    let bytes = torch_file::read(file).unwrap();
    let imported = import(file, &bytes, &plugins()).unwrap();
    let path = folder.join(format!("{}.safetensors", file.file_name().unwrap().to_str().unwrap()));
    imported.write(&path).unwrap();
    SavedSystem::open(&path).unwrap()
}

#[test]
fn recorded_files_have_the_recorded_content() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in FILES {
        let saved = saved(folder.path(), &golden(file));
        let case = case(name);
        let header = saved.header();
        for (side, words) in [("source", &header.source_vocabulary), ("target", &header.target_vocabulary)] {
            assert_eq!(Json::from(words.as_slice()), case["vocab"][side], "{file}: {side}");
        }
        assert_eq!(header.class_name, "Predictor");
        assert_eq!(header.encoder.class_name, "PredictorEncoder");
        assert_eq!(header.encoder.plugin, plugins().encoder);
        assert_eq!(header.head.plugin, plugins().head);
        let mut expected = case["encoder_config"].clone();
        if expected.is_null() {
            expected = case["config"]["model"]["encoder"].clone();
        }
        assert_eq!(header.encoder.config, expected, "{file}");
        assert_eq!(header.head.config, serde_json::json!({"fine_tune": false}));
        let mut processing = case["config"]["data_processing"].clone();
        processing.as_object_mut().unwrap().remove("embeddings");
        let vocab = processing["vocab"].as_object_mut().unwrap();
        vocab.remove("keep_rare_words_with_embeddings");
        vocab.remove("add_embeddings_vocab");
        assert_eq!(header.data_processing, processing, "{file}");
        let training = header.training.as_ref().unwrap();
        assert_eq!(training["batch_size"], case["config"]["batch_size"], "{file}");
        assert_eq!(
            training["optimizer"]["learning_rate"], case["config"]["optimizer"]["learning_rate"],
            "{file}"
        );

        let bytes = fs::read(golden(&format!("{name}.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let parameters = case["parameters"].as_object().unwrap();
        assert_eq!(saved.tensors().len(), parameters.len(), "{file}");
        for name in parameters.keys() {
            let found = saved.tensor(&format!("encoder.{name}")).unwrap();
            let expected = tensors.tensor(&format!("weight.{name}")).unwrap();
            assert_eq!(found.shape, expected.shape(), "{file}: {name}");
            assert_eq!(found.bytes, expected.data(), "{file}: {name}");
        }
    }
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for (file, _) in FILES {
        let first = saved(folder.path(), &golden(file));
        let out = folder.path().join(format!("out-{file}"));
        let exported = export(&first, true).unwrap();
        assert_eq!(exported.warnings, []);
        exported.write(&out).unwrap();
        let second = saved(folder.path(), &out);
        assert_eq!(first.header(), second.header(), "{file}");
        assert_eq!(first.tensors().collect::<Vec<_>>(), second.tensors().collect::<Vec<_>>(), "{file}");
        assert_eq!(fs::read(first.path()).unwrap(), fs::read(second.path()).unwrap(), "{file}");

        let again = folder.path().join(format!("again-{file}"));
        export(&second, true).unwrap().write(&again).unwrap();
        assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap(), "equal systems are equal files");
        let error = exported.write(&out).unwrap_err().to_string();
        assert!(error.ends_with("exists already, and nothing is overwritten"), "{error}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
}

#[test]
fn an_exported_container_is_laid_out_as_torchs() {
    let folder = tempfile::tempdir().unwrap();
    let system = saved(folder.path(), &golden("openkiwi-2.1.0.shared.torch"));
    let out = folder.path().join("out.torch");
    export(&system, true).unwrap().write(&out).unwrap();
    let mut archive = zip::ZipArchive::new(fs::File::open(&out).unwrap()).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut expected = vec!["archive/data.pkl".to_owned(), "archive/byteorder".to_owned()];
    expected.extend((0..system.tensors().len()).map(|index| format!("archive/data/{index}")));
    expected.push("archive/version".to_owned());
    assert_eq!(names, expected);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
        assert_eq!(entry.data_start().unwrap() % 64, 0, "{}", entry.name().unwrap());
    }
}

#[test]
fn without_weights_there_are_vocabularies_only() {
    let folder = tempfile::tempdir().unwrap();
    let system = saved(folder.path(), &golden("openkiwi-2.1.0.torch"));
    let out = folder.path().join("out.torch");
    export(&system, false).unwrap().write(&out).unwrap();
    let bytes = fs::read(&out).unwrap();
    let file = torch_file::TorchFile::parse(&bytes).unwrap();
    assert_eq!(file.graph.storages().count(), 0);
    let vocabularies = file.graph.get(file.graph.root(), "vocab").unwrap();
    let words = vocabulary::words(&file.graph, vocabularies, "target").unwrap();
    assert_eq!(words, system.header().target_vocabulary);
    assert!(refused(&bytes).contains("it has vocabularies and options, and no weights"));
}

#[test]
fn systems_that_openkiwi_has_no_counterpart_of_are_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let system = saved(folder.path(), &golden("openkiwi-2.1.0.torch"));
    let path = folder.path().join("changed.safetensors");
    let changed = |change: &dyn Fn(&mut SystemHeader)| {
        let mut header = system.header().clone();
        change(&mut header);
        write(&path, &header, system.tensors()).unwrap();
        let saved = SavedSystem::open(&path).unwrap();
        export(&saved, true).map(|exported| exported.warnings).map_err(|error| error.to_string())
    };
    let refused = |change: &dyn Fn(&mut SystemHeader), part: &str| {
        let said = changed(change).unwrap_err();
        assert!(said.contains("changed.safetensors cannot be exported: ") && said.contains(part), "{said}");
    };
    refused(&|header| header.encoder.class_name = "Bag".to_owned(), "its encoder is a `Bag`");
    refused(&|header| header.head.class_name = "Other".to_owned(), "its head is a `Other`");
    refused(
        &|header| header.source_vocabulary[0] = "<UNK>".to_owned(),
        "its source vocabulary does not begin",
    );
    refused(&|header| header.target_vocabulary.push("more".to_owned()), "has the shape [9, 4]");
    refused(&|header| header.encoder.config["rnn_layers"] = 3.into(), "it lacks 16 of the encoder's tensors");
    refused(&|header| header.encoder.config["rnn_layers"] = 1.into(), "it has 16 tensors that its options");
    refused(&|header| header.data_processing["share_input_fields_encoders"] = true.into(), "and has two");
    let warnings = changed(&|header| header.encoder.extra = Some(serde_json::json!({"kept": 1}))).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.starts_with("what the encoder kept besides its tensors is left out"));
}

/// A system's pickle in which one thing is made otherwise.
fn system(change: &dyn Fn(&str, &mut Writer) -> bool) -> Vec<u8> {
    let mut out = Writer::new();
    let entry = |out: &mut Writer, path: &str, usual: &dyn Fn(&mut Writer)| {
        // The names of tensors have points in them.
        let (_, key) = path.split_once('/').or_else(|| path.rsplit_once('.')).unwrap_or(("", path));
        out.text(key);
        if !change(path, out) {
            usual(out);
        }
    };
    let field = |out: &mut Writer, side: &str| {
        out.dict(|out| {
            let at = |key: &str| format!("encoder.config.embeddings.{side}.{key}");
            entry(out, &at("dim"), &|out| out.int(1));
            for key in [
                "freeze",
                "use_position_embeddings",
                "sparse_embeddings",
                "scale_embeddings",
                "input_layer_norm",
            ] {
                entry(out, &at(key), &|out| out.bool(false));
            }
            entry(out, &at("dropout"), &|out| out.float(0.0));
            entry(out, &at("max_position_embeddings"), &|out| out.int(10));
        });
    };
    let vocabulary = |out: &mut Writer, side: &str| {
        out.object(Class::Vocabulary, |out| {
            entry(out, &format!("vocab.{side}.itos"), &|out| {
                out.list(|out| vocabulary::SPECIALS.iter().for_each(|word| out.text(word)));
            });
        });
    };
    out.dict(|out| {
        entry(out, "class_name", &|out| out.text("Predictor"));
        entry(out, "config", &|out| {
            out.dict(|out| {
                entry(out, "config.data_processing", &|out| {
                    out.dict(|out| {
                        entry(out, "config.data_processing.share_input_fields_encoders", &|out| {
                            out.bool(false)
                        });
                    });
                });
            });
        });
        entry(out, "vocab", &|out| {
            out.dict(|out| {
                for side in ["target", "source"] {
                    entry(out, &format!("vocab.{side}"), &|out| vocabulary(out, side));
                }
            });
        });
        entry(out, "encoder", &|out| {
            out.dict(|out| {
                entry(out, "encoder.class_name", &|out| out.text("PredictorEncoder"));
                entry(out, "encoder.config", &|out| {
                    out.dict(|out| {
                        for (key, value) in [("hidden_size", 1), ("rnn_layers", 1), ("out_embeddings_dim", 1)]
                        {
                            entry(out, &format!("encoder.config.{key}"), &|out| out.int(value));
                        }
                        entry(out, "encoder.config.dropout", &|out| out.float(0.0));
                        for key in [
                            "share_embeddings",
                            "use_mismatch_features",
                            "use_v0_buggy_strategy",
                            "v0_start_stop",
                        ] {
                            entry(out, &format!("encoder.config.{key}"), &|out| out.bool(false));
                        }
                        entry(out, "encoder.config.embeddings", &|out| {
                            out.dict(|out| {
                                for side in ["source", "target"] {
                                    out.text(side);
                                    field(out, side);
                                }
                                entry(out, "encoder.config.embeddings.source_pos", &|out| out.none());
                            });
                        });
                        // For options that are not usual.
                        change("encoder.config/more", out);
                    });
                });
                entry(out, "encoder.state_dict", &|out| {
                    out.dict(|out| {
                        for (index, (name, shape)) in tensors().iter().enumerate() {
                            entry(out, &format!("encoder.state_dict/{name}"), &|out| {
                                out.tensor(crate::pickle::ElementType::F32, &index.to_string(), shape);
                            });
                        }
                        change("encoder.state_dict/more", out);
                    });
                });
            });
        });
        entry(out, "tlm_outputs", &|out| {
            out.dict(|out| {
                entry(out, "tlm_outputs.class_name", &|out| out.text("TLMOutputs"));
                entry(out, "tlm_outputs.config", &|out| {
                    out.dict(|_| ());
                });
                entry(out, "tlm_outputs.state_dict", &|out| {
                    out.dict(|_| ());
                });
            });
        });
    });
    container(&out.finish())
}

/// The tensors of the system above.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let field = options::FieldOptions {
        dim: 1,
        freeze: false,
        dropout: 0.0,
        use_position_embeddings: false,
        max_position_embeddings: 10,
        sparse_embeddings: false,
        scale_embeddings: false,
        input_layer_norm: false,
    };
    let options = options::EncoderOptions {
        hidden_size: 1,
        rnn_layers: 1,
        dropout: 0.0,
        share_embeddings: false,
        out_embeddings_dim: Some(1),
        source: field.clone(),
        target: field,
    };
    parameters::of(&options, parameters::Sizes { source: 5, target: 5 }, 1)
}

fn container(pickle: &[u8]) -> Vec<u8> {
    let tensors = tensors();
    let out = std::io::Cursor::new(Vec::new());
    let out = torch_file::write(out, pickle, tensors.len(), |index| {
        Ok(vec![0; 4 * tensors[index].1.iter().product::<usize>()].into())
    });
    out.unwrap().into_inner()
}

/// An empty dictionary.
fn empty(out: &mut Writer) {
    out.dict(|_| ());
}

/// What is said of a system in which the value at `path` is another.
fn with(path: &str, value: impl Fn(&mut Writer)) -> String {
    let at = path.to_owned();
    refused(&system(&|path, out| {
        let meant = path == at;
        if meant {
            value(out);
        }
        meant
    }))
}

#[test]
fn a_system_as_it_should_be_is_imported() {
    let bytes = system(&|_, _| false);
    let imported = import_bytes(&bytes).unwrap();
    assert_eq!(imported.warnings, []);
    assert_eq!(imported.names().len(), tensors().len());
}

#[test]
fn systems_that_are_not_the_same_here_are_refused() {
    let says = |said: String, part: &str| assert!(said.contains(part), "{said}\n{part}");
    says(with("class_name", |out| out.text("PredictorEstimator")), "its system is a `PredictorEstimator`");
    says(with("encoder.class_name", |out| out.text("Bert")), "its encoder is a `Bert`");
    says(with("tlm_outputs.class_name", |out| out.text("QEOutputs")), "its head is a `QEOutputs`");
    says(
        with("encoder.config.use_v0_buggy_strategy", |out| out.bool(true)),
        "`encoder.config.use_v0_buggy_strategy` true, which only systems converted from Kiwi 0.3.4",
    );
    says(with("encoder.config.use_mismatch_features", |out| out.bool(true)), "are not implemented");
    says(with("encoder.config.embeddings.source_pos", empty), "parts of speech are not supported");
    says(with("encoder.config", empty), "it lacks the entry `encoder.config.embeddings`");
    says(with("encoder.config.hidden_size", |out| out.float(2.5)), "`encoder.config.hidden_size` is 2.5");
    says(with("encoder.config.hidden_size", |out| out.int(0)), "`encoder.config.hidden_size` is 0");
    says(
        with("encoder.config.out_embeddings_dim", |out| out.none()),
        "lacks the entry `encoder.config.out_embeddings_dim`",
    );
    says(with("encoder.config.rnn_layers", |out| out.int(1_000_000)), "of the encoder's tensors");
    says(with("encoder.config.hidden_size", |out| out.int(2)), "has the shape [2, 2]");
    says(
        with("encoder.state_dict/encode_target.W2", |out| out.none()),
        "`encoder.state_dict.encode_target.W2` is None",
    );
    says(with("encoder.state_dict", |out| out.int(3)), "`encoder.state_dict` is an integer");
    says(with("vocab", |out| out.none()), "it lacks the entry `vocab.source`");
    says(with("vocab.source", empty), "`vocab.source` is a dictionary");
    says(
        with("vocab.target.itos", |out| out.list(|out| out.text("<pad>"))),
        "does not begin with the special tokens",
    );
    says(
        with("vocab.target.itos", |out| {
            out.list(|out| ["a", "b", "a"].iter().for_each(|word| out.text(word)))
        }),
        r#"its target vocabulary has "a" twice, as entries 0 and 2"#,
    );
    says(with("vocab.target.itos", |out| out.list(|out| out.int(3))), "`vocab.target.itos[0]` is an integer");
    says(with("config.data_processing", |out| out.list(|_| ())), "`config.data_processing` is []");
    says(
        with("tlm_outputs.state_dict", |out| {
            out.dict(|out| {
                out.text("w");
                out.none();
            });
        }),
        "its head has tensors",
    );
    let unknown = refused(&system(&|path, out| {
        if path == "encoder.config/more" {
            out.text("hiden_size");
            out.int(3);
        }
        false
    }));
    says(unknown, "an option that is not known, `encoder.config.hiden_size`");
    let extra = refused(&system(&|path, out| {
        if path == "encoder.state_dict/more" {
            out.text("more");
            out.tensor(crate::pickle::ElementType::F32, "0", &[1]);
        }
        false
    }));
    says(extra, "it has 1 tensors that its options do not call for: `more`");
    says(
        with("encoder.state_dict/encode_target.W2", |out| {
            out.tensor(crate::pickle::ElementType::F64, "5", &[1, 1]);
        }),
        "its tensor `encode_target.W2` is a DoubleStorage",
    );
    says(
        with("encoder.state_dict/encode_target.W2", |out| {
            out.tensor(crate::pickle::ElementType::F32, "99", &[1, 1]);
        }),
        r#"names storage "99", which is not in the file"#,
    );
    says(
        refused(&container(&{
            let mut out = Writer::new();
            out.list(|_| ());
            out.finish()
        })),
        "it holds no system of OpenKiwi but a list",
    );
}

#[test]
fn a_dictionary_without_end_is_refused() {
    // Each level holds the one below twice: 2^60 values in a few hundred bytes; and one that holds itself.
    let doubled = with("config.data_processing", |out| {
        out.list(|out| {
            let mut below = out.dict(|_| ());
            for _ in 0..60 {
                below = out.dict(|out| {
                    for key in ["a", "b"] {
                        out.text(key);
                        out.get(below);
                    }
                });
            }
        });
    });
    assert!(doubled.contains("is nested or repeated without end"), "{doubled}");
}

#[test]
fn encode_source_and_other_versions_are_told() {
    let bytes = system(&|path, out| {
        if path == "encoder.config/more" {
            out.text("encode_source");
            out.bool(false);
        }
        false
    });
    let warnings = import_bytes(&bytes).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].path.as_deref(), Some("encoder.config.encode_source"));
}

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: chosen.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

/// Reads all there is; what is read is never more than the file has.
fn read_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    match import_bytes(bytes) {
        Err(error) => prop_assert!(!error.diagnostic().message.is_empty()),
        Ok(imported) => {
            let names: Vec<_> = imported.names().map(str::to_owned).collect();
            for name in names {
                let elements = imported.elements(&name);
                prop_assert!(elements.is_ok_and(|elements| elements.len() <= bytes.len()));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_change_of_bytes_makes_it_panic(
        file in prop::sample::select(FILES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
        doubled in prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1..200_usize)),
    ) {
        let mut bytes = fs::read(golden(file.0)).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((at, length)) = doubled {
            let at = at.index(bytes.len());
            let piece = bytes[at..bytes.len().min(at + length)].to_vec();
            bytes.splice(at..at, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        read_all(&bytes)?;
    }

    #[test]
    fn no_change_of_a_pickle_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        // The pickle within a container whose checksums are right.
        let bytes = fs::read(golden("openkiwi-2.1.0.torch")).unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
        let mut entries = BTreeMap::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            entries.insert(entry.name().unwrap().rsplit_once("openkiwi-2.1.0/").unwrap().1.to_owned(), content);
        }
        let mut pickle = entries["data.pkl"].clone();
        for (at, byte) in changes {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        let storages = entries.keys().filter(|name| name.starts_with("data/")).count();
        let out = std::io::Cursor::new(Vec::new());
        let out = torch_file::write(out, &pickle, storages, |index| Ok((&entries[&format!("data/{index}")]).into()));
        read_all(&out.unwrap().into_inner())?;
    }
}

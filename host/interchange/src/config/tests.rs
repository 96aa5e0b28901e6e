use std::fs;
use std::path::Path;

use kiwi_core::config::load_text;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::Content;
use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// A complaint on one line, without the folder.
fn line(one: &Diagnostic, folder: &Path) -> String {
    let file = |text: &str| text.replace(&format!("{}/", folder.display()), "");
    let place = one.location.as_ref().map(|location| {
        let column = location.column.map(|column| format!(":{column}")).unwrap_or_default();
        format!("{}:{}{column} ", file(&location.file.display().to_string()), location.line)
    });
    format!("{}{}", place.unwrap_or_default(), file(&one.message))
}

fn translated(files: &[(&str, &str)]) -> (Value, Vec<String>) {
    let folder = folder(files);
    match import_config(&folder.path().join(files[0].0)) {
        Ok(imported) => {
            assert!(load_text(Path::new("c"), &imported.json).is_ok(), "{}", imported.json);
            let changes = imported.changes.iter().map(|one| line(one, folder.path())).collect();
            (serde_json::from_str(&imported.json).unwrap(), changes)
        }
        Err(errors) => panic!("{errors:#?}"),
    }
}

fn refused(files: &[(&str, &str)]) -> Vec<String> {
    let folder = folder(files);
    match import_config(&folder.path().join(files[0].0)) {
        Ok(imported) => panic!("{}", imported.json),
        Err(errors) => {
            assert!(
                errors
                    .iter()
                    .all(|one| one.severity == Severity::Error
                        && (one.help.is_some() || one.expected.is_some())),
                "{errors:#?}"
            );
            errors.iter().map(|one| line(one, folder.path())).collect()
        }
    }
}

const DATA: &str = "\
data:
  train:
    input: {source: train.src, target: train.tgt}
  valid:
    input: {source: valid.src, target: valid.tgt}
";
const SYSTEM: &str = "\
system:
  class_name: Predictor
  batch_size: {train: 32, valid: 16}
  model:
    encoder:
      hidden_size: 8
      out_embeddings_dim: 4
";
const ADAM: &str = "  optimizer: {class_name: adam, learning_rate: 1e-3}\n";

/// A config with these lines before its sections, and those at its end.
fn config(first: &str, last: &str) -> String {
    format!("{first}{DATA}{SYSTEM}{ADAM}{last}")
}

#[test]
fn a_config_that_means_the_same_is_taken_over() {
    let (found, changes) =
        translated(&[("c.yaml", &config("run:\n  seed: 42\ntrainer:\n  epochs: 3\n", ""))]);
    assert_eq!(changes, [""; 0]);
    assert_eq!(
        found,
        json!({
            "run": {"seed": 42},
            "trainer": {"epochs": 3},
            "data": {
                "train": {"input": {"source": "train.src", "target": "train.tgt"}},
                "valid": {"input": {"source": "valid.src", "target": "valid.tgt"}},
            },
            "system": {
                "class_name": "Predictor",
                "batch_size": {"train": 32, "valid": 16},
                "model": {"encoder": {"hidden_size": 8, "out_embeddings_dim": 4}},
                "optimizer": {"class_name": "adam", "learning_rate": 0.001},
            },
        })
    );
}

#[test]
fn what_means_something_else_is_written_otherwise_and_told() {
    let text = format!(
        "\
hydra: {{run: {{dir: .}}}}
names: base
run:
  experiment_name: ${{names}} one
trainer:
  gradient_accumulation_steps: 2
  resume: true
  precision: 16
  amp_level: O0
  checkpoint: {{validation_steps: 1, early_stop_patience: 0}}
data:
  workers: 3
  train:
    input:
      source: train.src
      target: train.tgt
      alignments: train.align
    output: {{}}
  valid:
    input: {{source: valid.src, target: valid.tgt, post_edit: valid.pe}}
{SYSTEM}      encode_source: false
  optimizer: {{class_name: adamw, learning_rate: 0.1, warmup_steps: 1, training_steps: 100, load: state}}
  load_vocabs: runs/best.torch
  data_processing: {{vocab: {{min_frequency: 2, keep_rare_words_with_embeddings: true, add_embeddings_vocab: false}}}}
"
    );
    let (found, changes) = translated(&[("c.yaml", &text)]);
    assert_eq!(
        found,
        json!({
            "run": {"experiment_name": "base one"},
            "trainer": {
                "gradient_accumulation_steps": 2,
                "precision": 32,
                "checkpoint": {"validation_steps": 1.0, "early_stop_patience": 0},
            },
            "data": {
                "train": {"input": {"source": "train.src", "target": "train.tgt"}},
                "valid": {"input": {"source": "valid.src", "target": "valid.tgt"}},
            },
            "system": {
                "class_name": "Predictor",
                "batch_size": {"train": 32, "valid": 16},
                "model": {"encoder": {"hidden_size": 8, "out_embeddings_dim": 4}},
                "optimizer": {
                    "class_name": "adamw",
                    "learning_rate": 0.1,
                    "warmup_steps": 1.0,
                    "training_steps": 100,
                    "options": {"bias_correction": false, "eps": 1e-6, "weight_decay": 0.0},
                },
                "load_vocabs": "runs/best.safetensors",
                "data_processing": {"vocab": {"min_frequency": 2}},
            },
        })
    );
    let told = |part: &str| {
        let found: Vec<_> = changes.iter().filter(|change| change.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part:?} in {changes:#?}");
    };
    for part in [
        "c.yaml:1:1 `hydra` is left out",
        "c.yaml:2:1 `names` is left out: its value was put where other values refer to it",
        "c.yaml:6:3 `trainer.gradient_accumulation_steps` works otherwise",
        "`trainer.resume` is left out: OpenKiwi accepts it and does nothing",
        "c.yaml:8:3 `trainer.precision` becomes 32: OpenKiwi computes in 32 bits too",
        "c.yaml:9:3 `trainer.amp_level` is left out",
        "c.yaml:10:16 `trainer.checkpoint.validation_steps` becomes 1.0: OpenKiwi reads 1 as a share",
        "`trainer.checkpoint.early_stop_patience` works otherwise: 0 means never here",
        "`data.workers` is left out",
        "`data.train.input.alignments` is left out",
        "`data.train.output` is left out",
        "`data.valid.input.post_edit` is left out",
        "`system.model.encoder.encode_source` is left out",
        "`system.optimizer.class_name` works otherwise: OpenKiwi's `adamw` corrects no bias",
        "`system.optimizer.warmup_steps` becomes 1.0",
        "`system.optimizer.load` is left out",
        "`system.load_vocabs` becomes \"runs/best.safetensors\": import the system first",
        "`system.data_processing.vocab.keep_rare_words_with_embeddings` is left out",
    ] {
        told(part);
    }
    assert_eq!(changes.len(), 18, "{changes:#?}");
}

#[test]
fn every_value_that_is_not_supported_yet_goes() {
    // Of those that are missing today, by the very table that refuses them.
    let missing = |path: &str, value: Value| kiwi_core::config::not_supported_yet(path, &value).is_some();
    let (found, changes) = translated(&[(
        "c.yaml",
        &config("trainer: {gpus: -1, deterministic: false}\nrun: {use_mlflow: yes}\n", ""),
    )]);
    for (section, key, value) in [
        ("trainer", "gpus", json!(-1)),
        ("trainer", "deterministic", json!(false)),
        ("run", "use_mlflow", json!(true)),
    ] {
        let path = format!("{section}.{key}");
        let gone = missing(&path, value.clone());
        assert_eq!(found[section].get(key), (!gone).then_some(&value), "{path}");
        let told = format!("`{path}` is left out: ");
        assert_eq!(changes.iter().any(|change| change.contains(&told)), gone, "{path}: {changes:#?}");
    }
}

#[test]
fn sixteen_bits_are_what_openkiwi_makes_of_them() {
    for (trainer, expected) in [
        ("gpus: 1, precision: 16, amp_level: O1", json!({"gpus": 1, "precision": 16, "amp_level": "O1"})),
        ("gpus: -1, precision: 16, amp_level: O2", json!({"gpus": -1, "precision": 16, "amp_level": "O1"})),
        ("gpus: 1, precision: 16", json!({"gpus": 1, "precision": 32})),
        ("gpus: 0, precision: 16, amp_level: O1", json!({"gpus": 0})),
        ("gpus: 4, precision: 16, amp_level: O1", json!({"gpus": 4, "precision": 16, "amp_level": "O1"})),
        ("precision: 16, amp_level: O2", json!({})),
        ("precision: 16", json!({"precision": 32})),
        ("precision: 32, amp_level: O2", json!({"precision": 32})),
    ] {
        let (found, changes) = translated(&[("c.yaml", &config(&format!("trainer: {{{trainer}}}\n"), ""))]);
        assert_eq!(found["trainer"], expected, "{trainer}");
        assert!(!changes.is_empty() || trainer.ends_with("O1"), "{trainer}");
    }
}

#[test]
fn post_edits_are_kept_where_they_are_learnt() {
    let data = DATA
        .replace("train.tgt", "train.tgt, post_edit: train.pe")
        .replace("valid.tgt", "valid.tgt, pe: valid.pe");
    let text = format!("{data}{SYSTEM}    tlm_outputs: {{fine_tune: true}}\n{ADAM}");
    let (found, changes) = translated(&[("c.yaml", &text)]);
    assert_eq!(found["data"]["train"]["input"]["pe"], "train.pe");
    assert_eq!(found["data"]["valid"]["input"]["pe"], "valid.pe");
    assert_eq!(changes, ["c.yaml:3:51 `data.train.input.post_edit` becomes `pe`: the key is called so here"]);
}

#[test]
fn files_of_defaults_are_merged_as_hydra_does() {
    let first = "defaults:\n- data: news\n- trainer: long\n- optimizer: null\n- extra\ntrainer: {epochs: 3, log_interval: 7}\n";
    let files = [
        ("c.yaml", &*format!("{first}{SYSTEM}{ADAM}")),
        ("data/news.yaml", DATA),
        ("trainer/long.yaml", "epochs: 50\n"),
        ("extra.yaml", "# @package _global_\nrun: {seed: 3}\n"),
    ];
    let (found, changes) = translated(&files);
    assert_eq!(found["trainer"], json!({"epochs": 50, "log_interval": 7}));
    assert_eq!(found["run"]["seed"], 3);
    assert_eq!(found["data"]["train"]["input"]["source"], "train.src");
    assert_eq!(
        changes,
        [
            "trainer/long.yaml:1:9 `trainer.epochs`: two files give a value, and the later in `defaults` holds, as in Hydra up to 1.0"
        ]
    );

    let own_last = first.replace("- extra", "- extra\n- _self_");
    let files = [("c.yaml", &*format!("{own_last}{SYSTEM}{ADAM}")), files[1], files[2], files[3]];
    let (found, changes) = translated(&files);
    assert_eq!(found["trainer"]["epochs"], 3);
    assert_eq!(changes.len(), 1);

    let packaged = ("trainer/long.yaml", "# @package trainer.checkpoint\nsave_top_k: 2\n");
    let files = [files[0], files[1], packaged, files[3]];
    assert_eq!(translated(&files).0["trainer"]["checkpoint"], json!({"save_top_k": 2}));
}

#[test]
fn what_is_wrong_is_told_in_the_place_of_the_yaml_file() {
    let text = config("trainer:\n  epochs: 2.5\n  epoch: 3\n", "  num_data_workers: many\n");
    let said = refused(&[("c.yaml", &text)]);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("c.yaml:2:3 "), "{said:#?}");
    assert!(said[1].starts_with("c.yaml:3:3 unknown key `epoch`"), "{said:#?}");
    assert!(said[2].starts_with("c.yaml:17:3 "), "{said:#?}");
    let without_data = format!("{SYSTEM}{ADAM}");
    let said = refused(&[("c.yaml", &without_data)]);
    assert!(said[0].starts_with("c.yaml:1:1 "), "{said:#?}");
}

#[test]
fn files_that_are_none() {
    let said = |text: &str| refused(&[("c.yaml", text)]).join("\n");
    assert!(said("a: [1\n").starts_with("c.yaml:2:1 this is no YAML: "), "{}", said("a: [1\n"));
    assert_eq!(said("- a\n"), "c.yaml:1:1 the file holds a list where a config is a mapping");
    assert_eq!(said(""), "c.yaml:1:1 the file holds null where a config is a mapping");
    assert_eq!(said("a: 1\na: 2\n"), "c.yaml:2:1 the key `a` is given twice");
    assert_eq!(said("a: 1\n---\nb: 1\n"), "c.yaml:2:1 a second document begins here");
    assert_eq!(
        said("a: !!python/object:os.system x\n"),
        "c.yaml:1:4 the tag `!!python/object:os.system` is not read"
    );
    assert_eq!(said("? [a]\n: 1\n"), "c.yaml:1:3 a key is a list or a mapping");
    assert!(said(&"[".repeat(100)).contains("nested more than 64 levels deep"));
    assert_eq!(said("a: .nan\n"), "c.yaml:1:4 JSON has no number NaN");
    assert_eq!(said("a: ${b}\n"), "c.yaml:1:4 `${b}` leads to no value");
    assert_eq!(said("a: ${b}\nb: ${a}\n"), "c.yaml:1:4 `${b}` leads back to itself");
    assert_eq!(said("a: x${b}\nb: [1]\n"), "c.yaml:1:4 `${b}` stands within a text, and is a list");
    assert_eq!(said("a: ${env:HOME}\n"), "c.yaml:1:4 `${env:HOME}` is not read");
    assert_eq!(said("<<: 3\n"), "c.yaml:1:5 `<<` takes mappings, and this is an integer");
    let doubled = (0..40)
        .fold("a0: &a0 [x]\n".to_owned(), |text, i| text + &format!("a{0}: &a{0} [*a{i}, *a{i}]\n", i + 1));
    assert!(said(&doubled).contains("has more than 100000 values"), "{}", said(&doubled));
    let doubled = (0..14).fold("a0: x\n".to_owned(), |text, i| {
        text + &format!("a{}: {}\n", i + 1, format!("${{a{i}}}").repeat(9))
    });
    assert!(said(&doubled).contains("has more than 1048576 values"), "{}", said(&doubled));
    assert!(said("defaults: {a: b}\n").ends_with("an entry of `defaults` is not read: the whole is no list"));
    assert!(said("defaults: [{override x: b}]\n").ends_with("`override x` is of a newer Hydra"));
    assert_eq!(said("defaults: [{data: nwes}]\n"), "c.yaml:1:12 there is no config file `data/nwes.yaml`");
    let files = [("c.yaml", "defaults: [x]\n"), ("x.yaml", "defaults: [y]\n")];
    assert_eq!(
        refused(&files),
        ["x.yaml:1:1 an entry of `defaults` is not read: the file that it names has `defaults` too"]
    );

    let folder = folder(&[("c.yaml", "")]);
    let failed = |name: &str| import_config(&folder.path().join(name)).unwrap_err().remove(0);
    assert!(failed("d.yaml").nearest.is_some_and(|near| near.ends_with("c.yaml")));
    assert!(failed("").message.ends_with("is a directory"));
    fs::write(folder.path().join("c.yaml"), b"a: \xff\n").unwrap();
    assert_eq!(line(&failed("c.yaml"), folder.path()), "c.yaml:1 the config file is not UTF-8");
    fs::write(folder.path().join("c.yaml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(failed("c.yaml").message.ends_with("is too large for a config"));
}

#[test]
fn words_mean_what_pyyaml_and_omegaconf_make_of_them() {
    let cases = [
        ("12", Content::Int(12)),
        ("-1", Content::Int(-1)),
        ("1_000", Content::Int(1000)),
        ("0x1F", Content::Int(31)),
        ("0b101", Content::Int(5)),
        ("017", Content::Int(15)),
        ("1e-3", Content::Float(0.001)),
        ("1.0", Content::Float(1.0)),
        (".5", Content::Float(0.5)),
        ("5.", Content::Float(5.0)),
        ("on", Content::Bool(true)),
        ("No", Content::Bool(false)),
        ("~", Content::Null),
        ("", Content::Null),
    ];
    for (text, expected) in cases {
        assert_eq!(scalar::resolve(text), expected, "{text:?}");
    }
    for text in [
        "nO",
        "y",
        "1-2",
        "0x",
        "089",
        "e5",
        ".",
        "1.2.3",
        "+-1",
        "--1",
        "0x-1",
        "runs/1",
        "9999999999999999999",
    ] {
        assert_eq!(scalar::resolve(text), Content::Text(text.to_owned()), "{text:?}");
    }
}

#[test]
fn anchors_merge_keys_and_quotes() {
    let text = "a: &a {x: 1, y: '2'}\nb: {<<: *a, x: 3}\nc: {<<: [{z: 1}, *a]}\nd: !!str 5\ne: \"n\"\n";
    let node = yaml::parse(text, 0).unwrap();
    assert_eq!(
        json::value(&node),
        json!({
            "a": {"x": 1, "y": "2"},
            "b": {"x": 3, "y": "2"},
            "c": {"z": 1, "x": 1, "y": "2"},
            "d": "5",
            "e": "n",
        })
    );
    let place = node.place_of("b.x").unwrap();
    assert_eq!((place.line, place.column), (2, 13));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "[a-c:\\-\\[\\]{},&*!<>|#$'\"? \n.0-9]{0,80}") {
        if let Ok(mut node) = yaml::parse(&text, 0) {
            let _ = interpolate::interpolate(&mut node);
            let _ = translate::translate(&mut node, &Default::default(), &Sources::default(), &mut Vec::new());
        }
    }

    #[test]
    fn no_change_of_a_config_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[a-z:\\-\\[\\]{},0-9 \n]"), 1..8),
    ) {
        let mut text: Vec<char> = config("trainer:\n  checkpoint: {validation_steps: 1}\n", "").chars().collect();
        for (at, with) in changes {
            let at = at.index(text.len());
            text.splice(at..=at, with.chars());
        }
        let folder = folder(&[("c.yaml", &text.iter().collect::<String>())]);
        if let Ok(imported) = import_config(&folder.path().join("c.yaml")) {
            prop_assert!(load_text(Path::new("c"), &imported.json).is_ok());
        }
    }
}

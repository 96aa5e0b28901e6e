//! Systems of OpenKiwi, brought in and out as a user does it, and run: the recorded files give the recorded figures. And its
//! configs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kiwi_core::saved_system::SavedSystem;
use kiwi_tests::built;
use kiwi_tests::golden::Case;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::Value;

/// The recorded files, each with the case that says what is in it.
const FILES: [(&str, &str); 4] = [
    ("openkiwi-2.1.0.torch", "checkpoint"),
    ("openkiwi-2.1.0.legacy.torch", "checkpoint"),
    ("openkiwi-2.1.0.ckpt", "checkpoint"),
    ("openkiwi-2.1.0.shared.torch", "checkpoint_shared"),
];

fn golden(name: &str) -> PathBuf {
    built::root().join("tests/golden").join(name)
}

/// Imports a recorded file as `NAME`.
fn import(work: &Workplace, file: &str, name: &str) -> Outcome {
    work.run(&["import", "openkiwi", golden(file).to_str().unwrap(), "-o", name])
}

/// The first pairs of a case's sentences, which the recorded batch is of.
fn sentences(work: &Workplace, case: &Case) {
    let pairs = case.tensor("input.target.ids").size()[0];
    for side in ["source", "target"] {
        let lines = case.json["sentences"][side].as_array().unwrap();
        let text: String =
            lines.iter().take(pairs as usize).map(|line| format!("{}\n", line.as_str().unwrap())).collect();
        work.write(&format!("pairs.{side}"), &text);
    }
}

fn run(work: &Workplace, command: &str, system: &str) -> Vec<Value> {
    let corpus =
        ["--source", "pairs.source", "--target", "pairs.target", "--format", "json", "--threads", "1"];
    let outcome = work.run(&[&[command, system][..], &corpus].concat()).ends_with(0);
    assert_eq!(outcome.stderr, "", "no warning: plugins are those it was imported for");
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn imported_systems_give_the_recorded_figures() {
    let work = Workplace::new();
    for (file, name) in FILES {
        let case = Case::read(name);
        sentences(&work, &case);
        let system = format!("{file}.safetensors");
        let outcome = import(&work, file, &system).ends_with(0);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
        let loss = case.json["loss"].as_f64().unwrap();
        let near = |found: f64| (found / loss - 1.0).abs() < 1e-5;
        let evaluated = run(&work, "evaluate", &system)[0]["loss"].as_f64().unwrap();
        assert!(near(evaluated), "{file}: {evaluated} where {loss} is recorded");
        let scored: f64 = run(&work, "score", &system).iter().map(|pair| pair["nll"].as_f64().unwrap()).sum();
        assert!(near(scored), "{file}: {scored} where {loss} is recorded");
    }
}

#[test]
fn a_trained_system_travels_and_comes_back_the_same() {
    let work = Workplace::new();
    let best = work.train("run", &[("trainer.epochs", 1.into())]).best();
    let best = best.to_str().unwrap();
    let _ = work.run(&["export", "openkiwi", best, "-o", "out.torch"]).ends_with(0);
    let _ = work.run(&["import", "openkiwi", "out.torch", "-o", "back.safetensors"]).ends_with(0);
    assert_eq!(fs::read(best).unwrap(), fs::read(work.at("back.safetensors")).unwrap());
    let plugin = SavedSystem::open(&work.at("back.safetensors")).unwrap().header().encoder.plugin.clone();
    assert_eq!(plugin.name, "kiwi-encoders");
    assert_eq!(plugin.sha256.len(), 64);

    work.run(&["export", "openkiwi", best, "-o", "out.torch"])
        .ends_with(2)
        .says(&["out.torch exists already, and nothing is overwritten", "name another file with -o"]);
    work.run(&["import", "openkiwi", "out.torch", "-o", "back.safetensors"])
        .ends_with(2)
        .says(&["back.safetensors exists already"]);
    work.run(&["export", "openkiwi", best, "-o", "absent/out.torch"])
        .ends_with(1)
        .says(&["absent/out.torch cannot be written", "check that its folder exists"]);
    work.run(&["export", "openkiwi", "out.torch", "-o", "x"]).ends_with(2).says(&["is a PyTorch checkpoint"]);

    let _ = work.run(&["export", "openkiwi", best, "-o", "vocabularies.torch", "--no-weights"]).ends_with(0);
    work.run(&["import", "openkiwi", "vocabularies.torch", "-o", "x"])
        .ends_with(2)
        .says(&["vocabularies.torch cannot be imported: it has vocabularies and options, and no weights"]);
    assert!(!work.at("x").exists());
}

/// What a Python without torch makes of an exported file: classes are stand-ins, tensors their arguments.
const UNPICKLE: &str = r#"
import collections, json, pickle, struct, sys, zipfile

named = set()

class Vocabulary:
    pass

class DefaultFrozenDict(collections.OrderedDict):
    pass

def tensor(storage, offset, shape, strides, requires_grad, hooks):
    key, elements = storage
    return {"key": key, "elements": elements, "offset": offset, "shape": shape, "strides": strides}

class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        named.add(f"{module}.{name}")
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "collections.Counter": collections.Counter,
            "kiwi.data.vocabulary.Vocabulary": Vocabulary,
            "kiwi.utils.data_structures.DefaultFrozenDict": DefaultFrozenDict,
            "torch._utils._rebuild_tensor_v2": tensor,
            "torch.FloatStorage": "FloatStorage",
        }
        return known[f"{module}.{name}"]

    def persistent_load(self, parts):
        tag, kind, key, place, elements = parts
        assert (tag, kind, place) == ("storage", "FloatStorage", "cpu")
        return key, elements

archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
system = Unpickler(archive.open("archive/data.pkl")).load()
tensors = {}
for name, view in system["encoder"]["state_dict"].items():
    data = archive.read("archive/data/" + view["key"])
    assert len(data) == 4 * view["elements"]
    view["sum"] = sum(struct.unpack(f"<{view['elements']}f", data))
    tensors[name] = view
vocabularies = {}
for side, words in system["vocab"].items():
    assert list(words.stoi) == words.itos and list(words.stoi.values()) == list(range(len(words.itos)))
    assert words.stoi._default_key == "<unk>"
    assert [words.unk_token, words.pad_token, words.bos_token, words.eos_token] == words.specials[:4]
    vocabularies[side] = words.itos
print(json.dumps({
    "named": sorted(named),
    "shared": system["vocab"]["source"] is system["vocab"]["target"],
    "vocabularies": vocabularies,
    "tensors": tensors,
    "keys": list(system),
    "config": system["config"],
    "encoder": [system["encoder"]["class_name"], system["encoder"]["config"], system["encoder"]["__version__"]],
    "head": [system["tlm_outputs"]["class_name"], system["tlm_outputs"]["config"]],
}))
"#;

#[test]
fn python_reads_what_is_exported() {
    let work = Workplace::new();
    let script = work.write("unpickle.py", UNPICKLE);
    for (file, name) in
        [("openkiwi-2.1.0.torch", "checkpoint"), ("openkiwi-2.1.0.shared.torch", "checkpoint_shared")]
    {
        let _ = import(&work, file, &format!("{name}.safetensors")).ends_with(0);
        let _ = work.run(&["export", "openkiwi", &format!("{name}.safetensors"), "-o", file]).ends_with(0);
        let output = Command::new("python3").arg(&script).arg(work.at(file)).output().expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let case = Case::read(name);
        let shared = name == "checkpoint_shared";
        assert_eq!(
            found["named"],
            serde_json::json!([
                "collections.Counter",
                "collections.OrderedDict",
                "kiwi.data.vocabulary.Vocabulary",
                "kiwi.utils.data_structures.DefaultFrozenDict",
                "torch.FloatStorage",
                "torch._utils._rebuild_tensor_v2",
            ])
        );
        assert_eq!(
            found["keys"],
            serde_json::json!(["__version__", "class_name", "config", "vocab", "encoder", "tlm_outputs"])
        );
        assert_eq!(found["vocabularies"], case.json["vocab"], "{file}");
        assert_eq!(found["shared"], shared);
        assert_eq!(found["encoder"][1], case.config("/model/encoder"));
        assert_eq!(found["config"]["data_processing"], case.config("/data_processing"));
        assert_eq!(found["config"]["model"], case.config("/model"));
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found["config"]), keys(&case.config("")));
        assert_eq!(keys(&found["config"]["optimizer"]), keys(&case.config("/optimizer")));
        let tensors = found["tensors"].as_object().unwrap();
        let parameters = case.json["parameters"].as_object().unwrap();
        assert_eq!(tensors.len(), parameters.len() + usize::from(shared));
        for (name, shape) in parameters {
            assert_eq!(tensors[name]["shape"], *shape, "{name}");
            let expected = case.tensor(&format!("weight.{name}")).sum(tch::Kind::Double).double_value(&[]);
            let sum = tensors[name]["sum"].as_f64().unwrap();
            assert!((sum - expected).abs() < 1e-9, "{name}: {sum}, {expected}");
        }
        if shared {
            let key = |name: &str| tensors[name]["key"].clone();
            assert_eq!(key("output_embeddings.target.weight"), key("embeddings.target.embedding.weight"));
        }
    }
}

#[test]
fn each_bad_file_has_its_message() {
    let work = Workplace::new();
    let good = fs::read(golden("openkiwi-2.1.0.torch")).unwrap();
    let refused = |bytes: &[u8], says: &[&str]| {
        fs::write(work.at("bad.torch"), bytes).unwrap();
        work.run(&["import", "openkiwi", "bad.torch", "-o", "x.safetensors"])
            .ends_with(2)
            .says(&["bad.torch cannot be imported"])
            .says(says);
        assert!(!work.at("x.safetensors").exists());
    };
    refused(b"", &["it is empty", "get a complete copy of the file"]);
    refused(b"some text\n", &["it is a text file, not a file of torch.save", "a .ckpt of its checkpoints"]);
    refused(&good[..good.len() / 2], &["its zip directory is missing", "get a complete copy"]);
    let mut changed = good.clone();
    let at = changed.windows(4).position(|window| window == b"Smok").unwrap();
    changed[at] = b'X';
    refused(&changed, &["its entry \"openkiwi-2.1.0/data.pkl\" is damaged"]);
    // A pickle that would run a command where Python loads it.
    let mut evil = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec();
    evil.extend(b"\x80\x02cposix\nsystem\nX\x0f\0\0\0touch \"was-here\"\x85R.");
    refused(&evil, &["it names `posix.system`", "nothing of it was run", "do not load this one in Python"]);
    assert!(!work.at("was-here").exists());
    refused(b"\x80\x04N.", &["it has pickle protocol 4, where torch.save writes 2"]);
    work.run(&["import", "openkiwi", "absent", "-o", "x"]).ends_with(2).says(&["it does not exist"]);
    work.run(&["import", "openkiwi", ".", "-o", "x"]).ends_with(2).says(&["it is a folder"]);
}

#[test]
fn no_libtorch_is_needed() {
    let work = Workplace::with_copied_program(&["encoders", "heads"]);
    let run = |arguments: &[&str]| Outcome::of(work.command(arguments).env_remove("LIBTORCH")).ends_with(0);
    let _ =
        run(&["import", "openkiwi", golden("openkiwi-2.1.0.ckpt").to_str().unwrap(), "-o", "a.safetensors"]);
    let _ = run(&["export", "openkiwi", "a.safetensors", "-o", "a.torch"]);
    let _ = run(&["import", "openkiwi", "a.torch", "-o", "b.safetensors"]);
    assert_eq!(fs::read(work.at("a.safetensors")).unwrap(), fs::read(work.at("b.safetensors")).unwrap());
}

#[test]
fn without_the_plugins_nothing_is_imported() {
    let work = Workplace::with_copied_program(&["heads"]);
    import(&work, "openkiwi-2.1.0.torch", "x.safetensors").ends_with(3).says(&[
        "no encoder named `PredictorEncoder` is registered",
        "an imported system has the encoder `PredictorEncoder`",
        "name its directory with --plugin-dir",
    ]);
    assert!(!work.at("x.safetensors").exists());
}

/// A config of OpenKiwi whose data stand in a file of their own.
const YAML: &str = "\
defaults:
  - data: toy
run:
  seed: 7
  experiment_name: toy
trainer:
  epochs: 1
  deterministic: true
  checkpoint:
    validation_steps: 1
system:
  class_name: Predictor
  batch_size:
    train: 15
    valid: 16
  num_data_workers: 1
  model:
    encoder:
      encode_source: false
      hidden_size: 16
      rnn_layers: 1
      out_embeddings_dim: ${system.model.encoder.hidden_size}
      embeddings:
        source: {dim: 16}
        target: {dim: 16}
    tlm_outputs:
      fine_tune: false
  optimizer:
    class_name: adam
    learning_rate: 1e-2
";

const YAML_DATA: &str = "\
data:
  train:
    input: {source: train.src, target: train.tgt}
    output: {}
  valid:
    input: {source: valid.src, target: valid.tgt}
    output: {}
";

#[test]
fn a_config_in_yaml_becomes_one_that_trains() {
    let work = Workplace::new();
    work.write("toy.yaml", YAML);
    work.write("data/toy.yaml", YAML_DATA);
    let outcome = work.run(&["import-config", "toy.yaml", "-o", "toy.json"]).ends_with(0);
    assert_eq!(outcome.stdout, "");
    let outcome = outcome.says(&[
        "warning[W0781]: `trainer.checkpoint.validation_steps` becomes 1.0",
        "--> toy.yaml:10:5  trainer.checkpoint.validation_steps",
        "warning[W0781]: `system.model.encoder.encode_source` is left out",
        "--> data/toy.yaml:4:5  data.train.output",
    ]);
    assert_eq!(outcome.stderr.matches("warning[W0781]: ").count(), 4, "{outcome}");
    let printed = work.run(&["import-config", "toy.yaml", "--quiet"]).ends_with(0);
    assert_eq!(printed.stdout, fs::read_to_string(work.at("toy.json")).unwrap());
    assert_eq!(printed.stderr, "");

    let trained = work.run(&["train", "toy.json", "--output-dir", "run", "--threads", "1"]).ends_with(0);
    assert!(!trained.stderr.contains("warning"), "{trained}");
    assert!(work.at("run/checkpoints/index.json").exists());

    work.run(&["import-config", "toy.yaml", "-o", "toy.json"])
        .ends_with(2)
        .says(&["toy.json exists already, and nothing is overwritten"]);
    work.write("bad.yaml", &YAML.replace("epochs: 1", "epoch: 1"));
    work.run(&["import-config", "bad.yaml", "-o", "bad.json"]).ends_with(2).says(&[
        "unknown key `epoch`",
        "--> bad.yaml:7:3  trainer.epoch",
        "did you mean `epochs`?",
    ]);
    assert!(!work.at("bad.json").exists());
    work.run(&["import-config", "toy.yml"])
        .ends_with(2)
        .says(&["there is no config file `toy.yml`", "toy.yaml"]);
}

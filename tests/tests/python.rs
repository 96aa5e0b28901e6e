//! What is written is read by the stock libraries of Python.

use std::fs;

use kiwi_tests::built;
use kiwi_tests::golden::Case;
use kiwi_tests::python::python;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// The blocks of Python in the documentation, in order.
fn blocks() -> Vec<String> {
    let page = fs::read_to_string(built::root().join("docs/python.md")).unwrap();
    let blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[test]
fn the_documented_snippet_rebuilds_the_logits() {
    let Some(_) = python() else { return };
    let work = Workplace::new();
    work.write("snippet.py", &blocks()[0]);
    let two_layers = [("trainer.epochs", json!(1)), ("system.model.encoder.rnn_layers", json!(2))];
    let shared = [("trainer.epochs", json!(1)), ("system.model.encoder.share_embeddings", json!(true))];
    for (name, changes) in [("two_layers", two_layers), ("shared", shared)] {
        let system = work.train(name, &changes).best();
        let system = system.to_str().unwrap();
        let mut command = python().unwrap();
        command.args(["snippet.py", system, "valid.src", "valid.tgt"]).current_dir(work.at("."));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let scores =
            work.run(&["score", system, "--source", "valid.src", "--target", "valid.tgt"]).ends_with(0);
        let python = String::from_utf8(output.stdout).unwrap();
        assert_eq!(python.lines().count(), work.valid.target.len());
        for (python, score) in python.lines().zip(scores.stdout.lines()) {
            let python: Vec<f64> = serde_json::from_str(python).unwrap();
            let score: Value = serde_json::from_str(score).unwrap();
            let score: Vec<f64> = serde_json::from_value(score["word_nll"].clone()).unwrap();
            assert_eq!(python.len(), score.len());
            for (python, score) in python.iter().zip(&score) {
                assert!((python - score).abs() < 1e-4, "{name}: {python} and {score}");
            }
        }
    }
}

#[test]
fn features_are_read_a_pair_at_a_time() {
    let Some(mut command) = python() else { return };
    let work = Workplace::new();
    let system = work.train("run", &[("trainer.max_steps", json!(1))]).best();
    let system = system.to_str().unwrap();
    let arguments = ["--source", "valid.src", "--target", "valid.tgt", "-o", "features.safetensors"];
    let _ = work.run(&[&["features", system], &arguments[..]].concat()).ends_with(0);
    work.write("read.py", &format!("{}print(list(third.shape))\n", blocks()[1]));
    let output = command.arg("read.py").current_dir(work.at(".")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let positions = work.valid.target[2].split(' ').count() + 2;
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), format!("[{positions}, 48]"));
}

/// Reads an exported file as OpenKiwi does, with stand-ins for the classes that it names, and compares the weights.
const LOAD: &str = r#"
import collections, json, sys, types
import torch
from safetensors.torch import load_file

class Vocabulary:
    pass

class DefaultFrozenDict(collections.OrderedDict):
    pass

for name in ["kiwi", "kiwi.data", "kiwi.data.vocabulary", "kiwi.utils", "kiwi.utils.data_structures"]:
    sys.modules[name] = types.ModuleType(name)
for module, stand_in in [("kiwi.data.vocabulary", Vocabulary), ("kiwi.utils.data_structures", DefaultFrozenDict)]:
    stand_in.__module__ = module
    setattr(sys.modules[module], stand_in.__name__, stand_in)

system = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
weights = system["encoder"]["state_dict"]
recorded = {name.removeprefix("weight."): tensor for name, tensor in load_file(sys.argv[2]).items()}
for name, tensor in weights.items():
    assert torch.equal(tensor, recorded[name if name in recorded else "embeddings.target.embedding.weight"]), name
output = "output_embeddings.target.weight"
if output not in recorded:
    assert weights[output].data_ptr() == weights["embeddings.target.embedding.weight"].data_ptr()
print(json.dumps({
    "names": sorted(weights),
    "vocab": {side: words.itos for side, words in system["vocab"].items()},
    "optimizer": system["config"]["optimizer"],
    "batch_size": system["config"]["batch_size"],
}))
"#;

#[test]
fn torch_loads_what_is_exported() {
    let Some(_) = python() else { return };
    let work = Workplace::new();
    work.write("load.py", LOAD);
    for (file, name) in [
        ("openkiwi-2.1.0.torch", "checkpoint"),
        ("openkiwi-2.1.0.shared.torch", "checkpoint_shared"),
        ("openkiwi-2.1.0.ckpt", "checkpoint"),
    ] {
        let case = Case::read(name);
        let golden = |file: &str| built::root().join("tests/golden").join(file);
        let system = format!("{file}.safetensors");
        let exported = format!("exported-{file}");
        let _ = work.run(&["import", "openkiwi", golden(file).to_str().unwrap(), "-o", &system]).ends_with(0);
        let _ = work.run(&["export", "openkiwi", &system, "-o", &exported]).ends_with(0);
        let mut command = python().unwrap();
        command.args(["load.py", &exported]).arg(golden(&format!("{name}.safetensors")));
        let output = command.current_dir(work.at(".")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["vocab"], case.json["vocab"], "{file}");
        assert_eq!(found["optimizer"], case.config("/optimizer"), "{file}");
        assert_eq!(found["batch_size"], case.config("/batch_size"), "{file}");
        let mut expected: Vec<&str> =
            case.json["parameters"].as_object().unwrap().keys().map(String::as_str).collect();
        if name == "checkpoint_shared" {
            expected.push("output_embeddings.target.weight");
        }
        expected.sort_unstable();
        assert_eq!(found["names"], json!(expected), "{file}");
    }
}

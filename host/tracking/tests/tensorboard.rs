//! TensorBoard's own reader of event files, on those that are written here.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(
    unreachable_pub,
    dead_code,
    reason = "the support module is shared in the way of integration tests"
)]

mod support {
    mod run;
    pub use run::*;
}

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::{Run, finished, logged, python, tested, validated};

/// Prints what the reader finds, numbers that JSON lacks as strings.
const READ: &str = r#"
import json, math, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing import event_accumulator
found = EventAccumulator(sys.argv[1], size_guidance={event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0})
found.Reload()
number = lambda value: value if math.isfinite(value) else str(value)
tags = found.Tags()
print(json.dumps({
    "version": found.file_version,
    "scalars": {tag: [[event.step, number(event.value)] for event in found.Scalars(tag)] for tag in tags["scalars"]},
    "texts": {tag: [[event.step, event.tensor_proto.string_val[0].decode()] for event in found.Tensors(tag)] for tag in tags["tensors"]},
    "plugin": found.SummaryMetadata("config").plugin_data.plugin_name,
}))
"#;

/// What a Python program prints, as JSON.
fn printed(command: &mut Command, program: &str, arguments: &[&str]) -> Value {
    let output = command.arg("-c").arg(program).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {out}\n{err}"))
}

fn read(run: &Run) -> Option<Value> {
    let mut python = python()?;
    Some(printed(&mut python, READ, &[run.path().join("tensorboard").to_str().unwrap()]))
}

#[test]
fn tensorboard_reads_what_a_run_writes() {
    let run = Run::new();
    let mut tracking = run.start(None, None);
    tracking.record(logged(10, 2.0));
    tracking.record(logged(20, f64::NAN));
    tracking.record(logged(30, f64::INFINITY));
    tracking.record(validated(30, 4.0));
    tracking.record(tested());
    tracking.record(finished(30));
    assert_eq!(tracking.close(), [""; 0]);
    let Some(found) = read(&run) else { return };
    assert_eq!(found["version"], json!(2.0));
    let scalars = &found["scalars"];
    assert_eq!(scalars["train/loss"], json!([[10, 2.0], [20, "nan"], [30, "inf"]]));
    assert_eq!(scalars["validation/PERP"], json!([[30, 4.0]]));
    assert_eq!(scalars["test/PERP"], json!([[30, 4.5]]));
    assert_eq!(scalars["train/words_per_second"][0], json!([10, 1000.0]));
    assert_eq!(scalars["learning_rate/learning rate"][2][0], json!(30));
    assert_eq!(scalars.as_object().unwrap().len(), 6, "{scalars}");
    assert_eq!(found["plugin"], json!("text"));
    assert!(found["texts"]["config"][0][1].as_str().unwrap().contains("\n        \"epochs\": 3"), "{found}");
    assert!(found["texts"]["summary"][0][1].as_str().unwrap().contains("\"reason\": \"epochs\""), "{found}");
}

#[test]
fn steps_that_did_not_last_are_forgotten() {
    let run = Run::new();
    let mut tracking = run.start(None, None);
    for step in [10, 20, 30] {
        tracking.record(logged(step, 1.0));
    }
    drop(tracking);
    let mut tracking = run.start(None, Some(20));
    tracking.record(logged(25, 2.0));
    drop(tracking);
    assert_eq!(fs::read_dir(run.path().join("tensorboard")).unwrap().count(), 2);
    let Some(found) = read(&run) else { return };
    assert_eq!(found["scalars"]["train/loss"], json!([[10, 1.0], [20, 1.0], [25, 2.0]]));
}

#[test]
fn an_event_file_that_a_crash_cut_short_is_read_up_to_there() {
    let run = Run::new();
    let mut tracking = run.start(None, None);
    tracking.record(logged(10, 1.0));
    tracking.record(logged(20, 1.0));
    drop(tracking);
    let file = fs::read_dir(run.path().join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let mut tracking = run.start(None, Some(10));
    tracking.record(logged(30, 2.0));
    drop(tracking);
    let Some(found) = read(&run) else { return };
    assert_eq!(found["scalars"]["train/loss"], json!([[10, 1.0], [30, 2.0]]));
}

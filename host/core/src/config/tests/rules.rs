//! Each rule of each section: `rules.txt` has one change to a valid text a line, and all that is said about it. Here,
//! what takes more than one change.

use super::*;

/// With `KIWI_UPDATE_SNAPSHOTS=1` what is said now is written into the file, to be read before it is committed.
#[test]
fn one_change_to_a_valid_config() {
    let written = include_str!("rules.txt");
    let mut said = String::new();
    for line in written.lines().filter(|line| !line.starts_with("  ")) {
        said.push_str(line);
        said.push('\n');
        if let Some((from, to)) = line.split_once(" => ").filter(|_| !line.starts_with('#')) {
            for complaint in complaints(&changed(from, to), &[]) {
                said.push_str(&format!("  {complaint}\n"));
            }
        }
    }
    if std::env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/rules.txt");
        std::fs::write(file, &said).unwrap();
        return;
    }
    for (number, (written, said)) in written.lines().zip(said.lines()).enumerate() {
        assert_eq!(said, written, "rules.txt:{}", number + 1);
    }
    assert_eq!(said, written);
}

#[test]
fn sections_that_are_missing_or_of_another_kind() {
    assert_eq!(
        complaints("[]", &[]),
        ["(root)@1:1 | the config is not an object | found an empty array | \
            expected an object"]
    );
    assert_eq!(
        complaints("{}", &[]),
        [
            "data@1:1 | data is required | found no such key | \
            expected an object with the corpora: train, and valid or split | \
            help add the key \"data\"",
            "system@1:1 | system is required | found no such key | \
            expected an object with class_name or load, model and optimizer | \
            help add the key \"system\""
        ]
    );
    assert_eq!(
        complaints(r#"{"run": 1, "trainer": [], "data": {}, "system": {}}"#, &[]),
        [
            "run@1:9 | invalid value for run | found 1 | expected an object",
            "trainer@1:23 | invalid value for trainer | found an empty array | expected an object",
            "data.train@1:35 | data.train is required | found no such key | \
                expected an object: {\"input\": {\"source\": …, \"target\": …}} | \
                help add the key \"train\"",
            "data.valid@1:35 | data.valid or data.split is required | found neither | \
            expected an object: {\"input\": {\"source\": …, \"target\": …}}; or a share of data.train that is \
            kept for training as data.split | \
            help add \"valid\", or \"split\": 0.9",
            "system.class_name@1:49 | system.class_name or system.load is required | \
            found neither | expected class_name for a new system, or load for a saved one | \
            help add \"class_name\": \"Predictor\", or the path of a saved system as \"load\"",
            "system.optimizer@1:49 | system.optimizer is required | found no such key | \
            expected an object with class_name and learning_rate | \
            help add the key \"optimizer\""
        ]
    );
    assert_eq!(
        complaints(&LEAST.replace(r#""model": {},"#, ""), &[]),
        ["system.model@3:13 | system.model is required | found no such key | \
            expected an object with the sections encoder and tlm_outputs | \
            help add \"model\"; or name a saved system as system.load, which brings its own"]
    );
    assert_eq!(
        complaints(&LEAST.replace(r#", "split": 0.9"#, ""), &[]),
        ["data.valid@2:11 | data.valid or data.split is required | found neither | \
            expected an object: {\"input\": {\"source\": …, \"target\": …}}; or a share of data.train that is \
            kept for training as data.split | \
            help add \"valid\", or \"split\": 0.9"]
    );
}

#[test]
fn a_split_leaves_something_on_both_sides() {
    for split in ["0", "1", "1.0", "-0.5", "1.5"] {
        let said = format!(
            "data.split@2:73 | invalid value for split | found {split} | expected a number above 0 and below 1"
        );
        assert_eq!(complaints(&LEAST.replace("0.9", split), &[]), [said]);
    }
}

#[test]
fn verbose_and_quiet_exclude_one_another() {
    let text =
        changed(r#""verbose": false"#, r#""verbose": true"#).replace(r#""quiet": false"#, r#""quiet": true"#);
    assert_eq!(
        complaints(&text, &[]),
        ["quiet@79:12 | verbose and quiet exclude one another | found true for both | \
            expected true for one at most | help remove one of the two"]
    );
}

#[test]
fn a_shared_vocabulary_that_is_given_numbers_for_the_source_side() {
    let text = changed(r#""max_size": null"#, r#""max_size": {"source": 5, "target": 6}"#)
        .replace(r#""share_input_fields_encoders": false"#, r#""share_input_fields_encoders": true"#);
    assert_eq!(
        complaints(&text, &[]),
        ["warning system.data_processing.vocab.max_size@60:21 | \
            the source side's numbers are ignored: a shared vocabulary takes the target side's | \
            found different numbers for the two sides | expected one number for both sides | \
            help give one number for both sides"]
    );
}

#[test]
fn a_saved_system_needs_no_model() {
    let text = LEAST.replace(r#""class_name": "Predictor""#, r#""load": "best.safetensors""#);
    assert_eq!(
        complaints(&text, &[]),
        ["warning system.model@5:14 | \
            model is ignored: the system of system.load brings its own | found an empty object | \
            expected - | help remove the key"]
    );
    let config = config_of(&text.replace(r#""model": {},"#, ""), &[]);
    assert_eq!(config.system.load.as_deref(), Some(Path::new("best.safetensors")));
    assert_eq!(
        (config.system.class_name, config.system.model, config.system.data_processing),
        (None, None, None)
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = r#"{
  "run": {"sede": 1},
  "trainer": {"epochs": 0, "gpus": -2},
  "data": {"train": {"input": {"source": 1}}},
  "system": {"load": null, "optimizer": {"learning_rate": "x"}},
  "trainer": {"epochs": 3},
  "debugg": true
}"#;
    assert_eq!(
        complaints(text, &[("trainer.log_interval", "0")]),
        [
            "run.sede@2:11 | unknown key `sede` | found `sede` | \
            expected one of experiment_name, mlflow_always_log_artifacts, mlflow_tracking_uri, output_dir, \
            run_id, seed, use_mlflow | \
            nearest seed | help write `seed`, or remove the key",
            "trainer.epochs@3:25 | invalid value for epochs | found 0 | \
            expected an integer of at least 1",
            "trainer.gpus@3:36 | invalid value for gpus | found -2 | \
            expected 0 (the CPU), N (the first N GPUs), -1 (all GPUs) or a list such as [0, 2] (the GPUs of these numbers, counted from 0)",
            "data.valid@4:11 | data.valid or data.split is required | found neither | \
            expected an object: {\"input\": {\"source\": …, \"target\": …}}; or a share of data.train that is \
            kept for training as data.split | \
            help add \"valid\", or \"split\": 0.9",
            "data.train.input.target@4:31 | data.train.input.target is required | \
            found no such key | expected a path, or a list of one or more paths | \
            help add the key \"target\"",
            "data.train.input.source@4:42 | invalid value for source | found 1 | \
            expected a path, or a list of one or more paths",
            "system.class_name@5:13 | system.class_name or system.load is required | \
            found neither | expected class_name for a new system, or load for a saved one | \
            help add \"class_name\": \"Predictor\", or the path of a saved system as \"load\"",
            "system.optimizer.class_name@5:41 | system.optimizer.class_name is required | \
            found no such key | expected the class of an optimizer, such as \"adam\" | \
            help add the key \"class_name\"",
            "system.optimizer.learning_rate@5:59 | invalid value for learning_rate | \
            found the string \"x\" | expected a finite number above 0",
            "trainer@6:3 | the key `trainer` is given twice, in line 3 and in line 6 | \
            found a second value for the same key | expected each key once | \
            help remove one of the two",
            "debugg@7:3 | unknown key `debugg` | found `debugg` | \
            expected one of $schema, data, debug, quiet, run, system, trainer, verbose | \
            nearest debug | help write `debug`, or remove the key",
            "trainer.log_interval@- | invalid value for log_interval | found 0 | \
            expected an integer of at least 1 | note set by --set trainer.log_interval"
        ]
    );
}

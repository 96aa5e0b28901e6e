//! `--set PATH=VALUE`.

use super::*;

#[test]
fn overrides_replace_and_create_values() {
    let config = config_of(
        LEAST,
        &[
            ("trainer.epochs", "3"),
            ("trainer.epochs", "4"),
            ("trainer.checkpoint.validation_steps", "7"),
            ("run.experiment_name", "my run"),
            ("run.output_dir", "\"10\""),
            ("data.train.input.source", "[\"a\", \"b\"]"),
            ("data.train.input.source[1]", "c"),
            ("data.train.input.target", "[\"d\", \"e\"]"),
            ("system.model.encoder[\"a.b\"]", "1.0"),
            ("debug", "true"),
        ],
    );
    assert_eq!(config.trainer.epochs, 4);
    assert_eq!(config.trainer.checkpoint.validation_interval, ValidationInterval::Batches(7));
    assert_eq!(config.run.experiment_name, "my run");
    assert_eq!(config.run.output_dir.as_deref(), Some(Path::new("10")));
    assert_eq!(config.data.train.source, [Path::new("a"), Path::new("c")]);
    assert_eq!(serde_json::to_string(&config.system.model.unwrap().encoder).unwrap(), r#"{"a.b":1.0}"#);
    assert!(config.debug);
}

#[test]
fn overrides_are_checked_like_the_file_and_named_in_complaints() {
    let said = |path, value| complaints(LEAST, &[(path, value)]);
    assert_eq!(
        said("trainer.epochs", "2.7"),
        ["trainer.epochs@- | invalid value for epochs | found 2.7 | \
            expected an integer of at least 1 | note set by --set trainer.epochs"]
    );
    assert_eq!(
        said("trainer.epoch", "2"),
        ["trainer.epoch@- | unknown key `epoch` | found `epoch` | \
            expected one of amp_level, batch_order, checkpoint, deterministic, epochs, gpus, \
            gradient_accumulation_steps, gradient_max_norm, log_interval, log_save_interval, main_metric, \
            max_steps, max_tokens_per_batch, on_nonfinite, on_oom, precision, resume, truncated_bptt_steps | \
            nearest epochs | note set by --set trainer.epoch | \
            help write `epochs`, or leave out this --set"]
    );
    assert_eq!(
        said("run.experiment_name", "7"),
        ["run.experiment_name@- | invalid value for experiment_name | found 7 | \
            expected a string that is not empty | note set by --set run.experiment_name | \
            help write --set 'run.experiment_name=\"7\"'"]
    );
    assert_eq!(
        said("system.optimizer.learning_rate", "NaN"),
        ["system.optimizer.learning_rate@- | invalid value for learning_rate | \
            found the string \"NaN\" | expected a finite number above 0 | \
            note set by --set system.optimizer.learning_rate"]
    );
    assert_eq!(
        said("system.batch_size", "{\"train\": 1, \"train\": 2}"),
        ["system.batch_size.train@- | the key `train` is given twice | \
            found a second value for the same key | expected each key once | \
            note set by --set system.batch_size | help remove one of the two"]
    );
    assert_eq!(
        said("system.batch_size", "{\"valid\": 1}"),
        ["system.batch_size.train@- | system.batch_size.train is required | found no such key | \
            expected an integer of at least 1 | note set by --set system.batch_size | \
            help add the key \"train\""]
    );
}

#[test]
fn a_path_that_leads_nowhere_is_refused() {
    let said = |path, value| complaints(LEAST, &[(path, value)]);
    assert_eq!(
        said("data.split.x", "2"),
        ["data.split@2:73 | cannot set `data.split.x`: data.split is not an object | \
            found 0.9 | expected an object | note set by --set data.split.x | \
            help set data.split as a whole"]
    );
    assert_eq!(
        said("data.train.input.source[0]", "x"),
        ["data.train.input.source@2:42 | \
            cannot set `data.train.input.source[0]`: data.train.input.source is not an array | \
            found the string \"a\" | expected an array | \
            note set by --set data.train.input.source[0] | \
            help set data.train.input.source as a whole"]
    );
    assert_eq!(
        said("[0]", "x"),
        ["(root)@1:1 | cannot set `[0]` in a config that is not an array | found an object | \
            expected an array | note set by --set [0]"]
    );
    assert_eq!(
        said("trainer..epochs", "2"),
        ["-@- | `--set trainer..epochs=2` has no valid path | found `trainer..epochs` | \
            expected a path such as trainer.epochs or data.train.input.source[0]"]
    );
    assert_eq!(
        said("", "2"),
        ["-@- | `--set =2` has no valid path | found an empty path | \
            expected a path such as trainer.epochs or data.train.input.source[0]"]
    );
    let text = LEAST.replace(r#""source": "a""#, r#""source": ["a"]"#);
    assert_eq!(
        complaints(&text, &[("data.train.input.source[1]", "x")]),
        ["data.train.input.source@2:42 | \
            cannot set `data.train.input.source[1]`: data.train.input.source is not an array of at least 2 | \
            found an array of 1 | expected an array of at least 2 | \
            note set by --set data.train.input.source[1] | \
            help set data.train.input.source as a whole"]
    );
    assert_eq!(
        complaints(LEAST, &[("trainer", "1"), ("trainer.epochs", "2")])[0],
        "trainer@- | cannot set `trainer.epochs`: trainer is not an object | found 1 | \
            expected an object | note set by --set trainer.epochs | help set trainer as a whole"
    );
}

#[test]
fn deep_overrides_are_refused_before_they_nest() {
    let path = vec!["a"; 100_000].join(".");
    assert_eq!(complaints(LEAST, &[(&path, "1")]).len(), 1);
    let path = format!("system.model.encoder.{}", vec!["a"; 60].join("."));
    let value = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let config = config_of(LEAST, &[(&path, &value)]);
    let encoder = serde_json::to_string(&config.system.model.unwrap().encoder).unwrap();
    assert!(encoder.contains(&format!("\"{value}\"")), "too deep to be JSON, so a string: {encoder}");
}

//! `system.optimizer`, alone and as a list.

use super::*;

fn with_list(list: &str) -> String {
    LEAST.replace(r#"{"class_name": "adam", "learning_rate": 1}"#, list)
}

#[test]
fn an_integer_warm_up_is_steps_and_a_fraction_is_a_share() {
    let warmup = |value: &str| {
        config_of(LEAST, &[("system.optimizer.warmup_steps", value)]).system.optimizers[0].warmup_steps
    };
    assert_eq!(warmup("null"), None);
    assert_eq!(warmup("0"), Some(WarmupSteps::Steps(0)));
    assert_eq!(warmup("1"), Some(WarmupSteps::Steps(1)));
    assert_eq!(warmup("4000"), Some(WarmupSteps::Steps(4000)));
    assert_eq!(warmup("0.0"), Some(WarmupSteps::ShareOfTraining(0.0)));
    assert_eq!(warmup("1.0"), Some(WarmupSteps::ShareOfTraining(1.0)));
    assert_eq!(warmup("1e-1"), Some(WarmupSteps::ShareOfTraining(0.1)));
}

#[test]
fn a_list_has_a_section_for_each_optimizer() {
    let text = with_list(
        r#"[
      {"class_name": "sparse_adam", "learning_rate": 0.1, "parameters": ["encoder.embeddings.*"]},
      {"class_name": "other::adam", "learning_rate": 1, "parameters": ["*W2", "*V"], "options": {"eps": 1e-9}}
    ]"#,
    );
    let optimizers = config_of(&text, &[]).system.optimizers;
    let classes: Vec<_> = optimizers.iter().map(|optimizer| optimizer.class_name.as_str()).collect();
    assert_eq!(classes, ["sparse_adam", "other::adam"]);
    assert_eq!(optimizers[1].options_path(), "system.optimizer[1].options");
    let patterns = optimizers[1].parameters.as_ref().unwrap();
    let matches = |name: &str| patterns.iter().any(|pattern| pattern.compile_matcher().is_match(name));
    assert!(matches("encoder.encode_target.W2") && matches("V") && !matches("encoder.encode_target.C"));

    // A value of an element is set like any other.
    let set = config_of(&text, &[("system.optimizer[0].learning_rate", "0.5")]).system.optimizers;
    assert_eq!(set[0].learning_rate, 0.5);
}

#[test]
fn what_is_wrong_with_a_list_is_told_where_it_stands() {
    let said = |list: &str| complaints(&with_list(list), &[]);
    assert_eq!(
        said("[]"),
        ["system.optimizer@6:18 | invalid value for optimizer | found an empty array | \
            expected an object with class_name and learning_rate, or a list of one or more of them with parameters"]
    );
    assert_eq!(
        said(r#"["adam", {"class_name": "adam", "learning_rate": 0, "options": 1}]"#),
        [
            "system.optimizer[0]@6:19 | invalid value for optimizer[0] | found the string \"adam\" | \
            expected an object with class_name, learning_rate and parameters",
            "system.optimizer[1].parameters@6:27 | system.optimizer[1].parameters is required | found no such key | \
            expected a list of one or more patterns over the names of parameters, such as \"encoder.embeddings.*\" | \
            help add the key \"parameters\"",
            "system.optimizer[1].learning_rate@6:67 | invalid value for learning_rate | found 0 | \
            expected a finite number above 0",
            "system.optimizer[1].options@6:81 | invalid value for options | found 1 | expected an object",
        ]
    );
    assert_eq!(
        said(r#"[{"class_name": "adam", "learning_rate": 1, "parameters": "*"}]"#),
        ["system.optimizer[0].parameters@6:76 | invalid value for parameters | found the string \"*\" | \
            expected a list of one or more patterns over the names of parameters, such as \"encoder.embeddings.*\""]
    );
    let [complaint] = said(r#"[{"class_name": "adam", "learning_rate": 1, "parameters": ["*", "a[b"]}]"#)
        .try_into()
        .unwrap();
    for part in [
        "system.optimizer[0].parameters[1]@6:82 | the pattern cannot be read: unclosed character class",
        "found the string \"a[b\"",
        "expected a name, in which * stands for anything",
        "help write \"*\" for all parameters",
    ] {
        assert!(complaint.contains(part), "no {part:?} in {complaint}");
    }
}

#[test]
fn what_a_saved_system_tells_of_training_has_no_paths() {
    let one = |load: &str| {
        let changes = [("system.optimizer.load", load), ("system.num_data_workers", "3")];
        config_of(LEAST, &changes).system.training()
    };
    let training = one("\"state\"");
    assert_eq!(training, one("null"));
    assert_eq!(training["optimizer"]["class_name"], "adam");
    assert_eq!(training["batch_size"]["train"], config_of(LEAST, &[]).system.batch_size.train.unwrap());
    assert_eq!(training["metrics"], serde_json::json!([]));
    let keys: Vec<_> = training.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["batch_size", "metrics", "optimizer"]);

    let list = r#"[{"class_name": "adam", "learning_rate": 1, "parameters": ["*"], "load": "state"}]"#;
    let training = config_of(&with_list(list), &[]).system.training();
    assert_eq!(training["optimizer"][0]["learning_rate"], 1.0);
    assert_eq!(training["optimizer"][0].get("load"), None);
}

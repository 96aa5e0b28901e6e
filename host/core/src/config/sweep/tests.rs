use std::fs;

use super::*;
use crate::diagnostic::Location;

const BASE: &str = r#"{
  "trainer": {"epochs": 4},
  "data": {"train": {"input": {"source": "a", "target": "b"}}, "split": 0.9},
  "system": {"class_name": "Predictor", "model": {}, "optimizer": {"class_name": "adam"}, "batch_size": 8}
}"#;

fn loaded(text: &str) -> Result<Sweep, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.json"), BASE).unwrap();
    let path = folder.path().join("sweep.json");
    fs::write(&path, text).unwrap();
    load(&path, &mut Vec::new())
}

/// A sweep file of these members, each in a line of its own.
fn text(members: &[&str]) -> String {
    format!("{{\n{}\n}}", members.join(",\n"))
}

const CONFIG: &str = r#""config": "base.json""#;
const RATE: &str = r#""parameters": {"system.optimizer.learning_rate": {"log_uniform": [1e-4, 1e-2]}}"#;
const RANDOM: &str = r#""method": "random", "trials": 3"#;

#[test]
fn a_sweep_says_what_is_searched_and_how() {
    let parameters = r#""parameters": {
        "system.optimizer.learning_rate": {"log_uniform": [1e-4, 1e-2]},
        "system.optimizer.class_name": {"values": ["adam", "sgd"]},
        "system.batch_size": {"integers": [8, 64], "step": 8},
        "trainer.gradient_max_norm": {"uniform": [0, 5.5]}}"#;
    let method = r#""method": "successive_halving", "trials": 9, "seed": 4, "min_epochs": 1"#;
    let rest = r#""devices": [0, 2, 2], "output_dir": "out", "max_hours": 1.5"#;
    let sweep = loaded(&text(&[CONFIG, parameters, method, rest])).unwrap();
    let method =
        Method::SuccessiveHalving { trials: 9, seed: 4, resource: Resource::Epochs, least: 1, factor: 3 };
    assert_eq!((sweep.method, sweep.parallel, sweep.max_hours), (method, 3, Some(1.5)));
    let spaces: Vec<_> = sweep.parameters.iter().map(|parameter| parameter.space.clone()).collect();
    assert_eq!(
        spaces,
        [
            Space::LogUniform { low: 1e-4, high: 1e-2 },
            Space::Values(vec!["adam".into(), "sgd".into()]),
            Space::Integers { low: 8, high: 64, step: 8 },
            Space::Uniform { low: 0.0, high: 5.5 },
        ]
    );
    assert_eq!(spaces.iter().map(Space::count).collect::<Vec<_>>(), [None, Some(2), Some(8), None]);
    assert!(sweep.base_file().ends_with("base.json"));
}

#[test]
fn the_config_of_a_trial_is_the_base_with_its_values() {
    let sweep = loaded(&text(&[CONFIG, RATE, RANDOM])).unwrap();
    let values = [("system.optimizer.learning_rate".to_owned(), "0.003".to_owned())];
    let config = sweep.config(&values).unwrap().config;
    assert_eq!(config.system.optimizers[0].learning_rate, 0.003);
    assert_eq!(config.trainer.epochs, 4);
    assert!(sweep.config(&[]).is_err(), "the base has no learning rate");
    let inline = BASE.replace("\"trainer\"", "\"run\": {\"output_dir\": \"x\"}, \"trainer\"");
    let sweep = loaded(&text(&[&format!("\"config\": {inline}"), RATE, RANDOM])).unwrap();
    assert_eq!(sweep.config(&values).unwrap().config.run.output_dir, None);
    let unknown = sweep.config(&[("trainer.epoch".to_owned(), "3".to_owned())]).unwrap_err();
    assert!(unknown.complaints.iter().any(|one| one.nearest.as_deref() == Some("epochs")));
}

/// What is wrong with a sweep file in which these lines stand in place of the usual ones; the message, the path and the line.
fn wrong(config: &str, parameters: &str, method: &str) -> Vec<(String, String, usize)> {
    let complaints = loaded(&text(&[config, parameters, method])).unwrap_err();
    let place = |complaint: Diagnostic| {
        let line = complaint.location.as_ref().map_or(0, |location: &Location| location.line);
        (complaint.message, complaint.path.unwrap_or_default(), line)
    };
    complaints.into_iter().map(place).collect()
}

fn one(message: &str, path: &str, line: usize) -> Vec<(String, String, usize)> {
    vec![(message.to_owned(), path.to_owned(), line)]
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let parameter = |space: &str| format!("\"parameters\": {{\"trainer.epochs\": {space}}}");
    let at = "parameters[\"trainer.epochs\"]";
    let values = parameter(r#"{"values": [1, 2]}"#);
    let grid = r#""method": "grid""#;
    for (space, message, below) in [
        ("[1, 2]", "invalid space for trainer.epochs", ""),
        ("{}", "invalid space for trainer.epochs", ""),
        (r#"{"values": []}"#, "invalid value for values", ".values"),
        (r#"{"values": [1, 1]}"#, "a value is there twice", ".values"),
        (r#"{"integers": [3, 1]}"#, "the bounds of integers are not in order", ".integers"),
        (r#"{"integers": [1, 2.5]}"#, "invalid value for integers[1]", ".integers[1]"),
        (r#"{"values": [1], "step": 2}"#, "step goes with integers only", ".step"),
        (r#"{"values": [1], "integers": [1, 2]}"#, "invalid space for trainer.epochs", ""),
    ] {
        let found = wrong(CONFIG, &parameter(space), grid);
        assert_eq!(found.len(), 1, "{space}: {found:?}");
        assert_eq!((found[0].1.as_str(), found[0].2), (format!("{at}{below}").as_str(), 3), "{space}");
        assert_eq!(found[0].0, message, "{space}");
    }
    assert_eq!(
        wrong(CONFIG, &parameter(r#"{"valeus": [1]}"#), grid)[0],
        ("unknown key `valeus`".to_owned(), format!("{at}.valeus"), 3)
    );
    assert_eq!(
        wrong(CONFIG, RATE, grid),
        one(
            "a grid needs values that can be counted, and system.optimizer.learning_rate has no end of them",
            "parameters[\"system.optimizer.learning_rate\"].log_uniform",
            3
        )
    );
    let unused = "trials does not go with this method: grid runs each combination of values once";
    assert_eq!(wrong(CONFIG, &values, r#""method": "grid", "trials": 3"#), one(unused, "trials", 4));
    let unused = "factor does not go with this method: only successive_halving has trials that end early";
    assert_eq!(
        wrong(CONFIG, RATE, r#""method": "random", "trials": 3, "factor": 2"#),
        one(unused, "factor", 4)
    );
    assert_eq!(wrong(CONFIG, RATE, r#""method": "random""#), one("trials is required", "trials", 1));
    assert_eq!(wrong(CONFIG, RATE, r#""method": "bayes""#), one("invalid value for method", "method", 4));
    assert_eq!(
        wrong(CONFIG, r#""parameters": {}"#, grid),
        one("invalid value for parameters", "parameters", 3)
    );
    assert_eq!(
        wrong(CONFIG, RATE, r#""method": "random", "trials": 3, "paralel": 2"#),
        one("unknown key `paralel`", "paralel", 4)
    );
    assert_eq!(
        wrong(CONFIG, &values, r#""method": "random", "trials": 3"#),
        one("there are fewer combinations of values than trials", "trials", 4)
    );
    let halving = r#""method": "successive_halving", "trials": 2, "min_epochs": 1"#;
    assert_eq!(
        wrong(CONFIG, &values, halving),
        one("trainer.epochs cannot be searched: successive_halving says how far each trial goes", at, 3)
    );
    let both = r#""method": "successive_halving", "trials": 2, "min_epochs": 1, "min_steps": 1"#;
    assert_eq!(
        wrong(CONFIG, RATE, both),
        one("how far all trials go is said by min_epochs or by min_steps", "min_epochs", 4)
    );
    let own = r#""parameters": {"run.output_dir": {"values": ["a"]}}"#;
    assert_eq!(
        wrong(CONFIG, own, grid),
        one(
            "run.output_dir cannot be searched: each trial has a directory of its own",
            "parameters[\"run.output_dir\"]",
            3
        )
    );
    let through = r#""parameters": {"system.optimizer": {"values": [{}]}, "system.optimizer.learning_rate": {"values": [1.0]}}"#;
    assert_eq!(
        wrong(CONFIG, through, grid),
        one("two parameters set the same value", "parameters[\"system.optimizer.learning_rate\"]", 3)
    );
    let big = r#""parameters": {"run.seed": {"integers": [1, 20000]}}"#;
    assert_eq!(
        wrong(CONFIG, big, grid),
        one("the grid has more combinations than can be run", "parameters", 3)
    );
    let devices = r#""method": "random", "trials": 3, "devices": [0], "parallel": 2"#;
    assert_eq!(wrong(CONFIG, RATE, devices), one("more trials at once than devices", "parallel", 4));
}

#[test]
fn a_config_that_is_not_there_is_told_with_its_place_in_the_sweep_file() {
    let found = wrong(r#""config": "bas.json""#, RATE, RANDOM);
    assert_eq!((found[0].1.as_str(), found[0].2), ("config", 2), "{found:?}");
    let complaints = loaded("{} x").unwrap_err();
    assert!(complaints[0].location.is_some(), "{complaints:?}");
    let missing = load(Path::new("nowhere/sweep.json"), &mut Vec::new()).unwrap_err();
    assert_eq!(missing[0].message, "there is no sweep file `nowhere/sweep.json`");
    assert_eq!(missing[0].help.as_deref(), Some("`kiwi-host sweep --example` prints a sweep file"));
}

#[test]
fn a_continuous_space_in_a_grid_is_answered_with_values_to_write() {
    let complaints = loaded(&text(&[CONFIG, RATE, r#""method": "grid""#])).unwrap_err();
    let help = complaints[0].help.as_deref().unwrap();
    assert!(help.starts_with("write \"values\": [0.0001,0.000464,0.00215,0.01],"), "{help}");
}

#[test]
fn the_parameter_to_blame_is_told() {
    let file = text(&[
        CONFIG,
        r#""parameters": {
  "system.optimizer.learning_rat": {"values": [1.0]},
  "system.optimizer.learning_rate": {"values": [0.1, -0.1]}}"#,
        r#""method": "grid""#,
    ]);
    let sweep = loaded(&file).unwrap();
    let values: Vec<(String, String)> =
        [("system.optimizer.learning_rat", "1.0"), ("system.optimizer.learning_rate", "-0.1")]
            .map(|(path, value)| (path.to_owned(), value.to_owned()))
            .into();
    let complaints = sweep.config(&values).unwrap_err().complaints;
    let blamed: Vec<_> = complaints
        .into_iter()
        .map(|complaint| {
            let (complaint, found) = sweep.blame(complaint, Trial { number: 2, values: &values });
            assert!(found, "{complaint:?}");
            let line = complaint.location.as_ref().unwrap().line;
            (complaint.message, complaint.path.unwrap(), line, complaint.help)
        })
        .collect();
    assert_eq!(
        blamed,
        [
            (
                "invalid value for learning_rate".to_owned(),
                "parameters[\"system.optimizer.learning_rate\"].values[1]".to_owned(),
                5,
                None
            ),
            (
                "unknown key `learning_rat`".to_owned(),
                "parameters[\"system.optimizer.learning_rat\"]".to_owned(),
                4,
                Some("write `learning_rate`, or remove the parameter".to_owned())
            ),
        ]
    );
}

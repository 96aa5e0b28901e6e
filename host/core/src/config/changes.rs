//! What differs between the config of a run and the config that it is to be resumed with.

use serde_json::Value;

/// Keys that may change: they do not change what is computed, or say how far the run goes. A key stands for all below it. Corpora
/// are compared by their content, not by their paths.
const FREE: &[&str] = &[
    "run.experiment_name",
    "run.output_dir",
    "run.run_id",
    "run.use_mlflow",
    "run.mlflow_tracking_uri",
    "run.mlflow_always_log_artifacts",
    "trainer.resume",
    "trainer.epochs",
    "trainer.max_steps",
    "trainer.log_interval",
    "trainer.log_save_interval",
    "trainer.on_nonfinite",
    "trainer.on_oom",
    "trainer.checkpoint.save_top_k",
    "trainer.checkpoint.early_stop_patience",
    "trainer.checkpoint.resume_interval",
    "data.train",
    "data.valid",
    "data.test",
    "system.num_data_workers",
    "verbose",
    "quiet",
];

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its JSON path.
    pub path: String,
    /// What it was, as JSON; `None` where it was not there.
    pub before: Option<String>,
    /// What it is, as JSON; `None` where it is not there.
    pub now: Option<String>,
}

/// The values that differ and may not, from two configs as [`super::RunConfig::to_json`] writes them, in the order of
/// their paths.
#[must_use]
pub fn changes(before: &Value, now: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", Some(before), Some(now), FREE, &mut found);
    found
}

/// All values that differ, in the order of their paths.
#[must_use]
pub fn differences(before: &Value, now: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", Some(before), Some(now), &[], &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, now: Option<&Value>, free: &[&str], found: &mut Vec<Change>) {
    if before == now || free.contains(&path) {
        return;
    }
    match (before, now) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let gone = old.keys().filter(|key| !new.contains_key(*key));
            for key in new.keys().chain(gone) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, old.get(key), new.get(key), free, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), Some(old), Some(new), free, found);
            }
        }
        _ => found.push(Change {
            path: path.to_owned(),
            before: before.map(Value::to_string),
            now: now.map(Value::to_string),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_numbers_is_told_with_its_path_and_what_does_not_is_not() {
        let before = json!({
            "run": {"seed": 1, "output_dir": "a"},
            "trainer": {"epochs": 3, "checkpoint": {"save_top_k": 1, "validation_steps": 1.0}},
            "data": {"train": {"input": {"source": ["a"]}}, "split": null},
            "system": {"optimizer": [{"learning_rate": 0.1}, {"learning_rate": 0.2}], "metrics": []},
        });
        let now = json!({
            "run": {"seed": 2, "output_dir": "b"},
            "trainer": {"epochs": 5, "checkpoint": {"save_top_k": 2, "validation_steps": 1}},
            "data": {"train": {"input": {"source": ["b"]}}},
            "system": {"optimizer": [{"learning_rate": 0.1}, {"learning_rate": 0.3}], "metrics": ["NLL"]},
        });
        let told: Vec<_> = changes(&before, &now)
            .into_iter()
            .map(|Change { path, before, now }| (path, before.unwrap_or_default(), now.unwrap_or_default()))
            .collect();
        let told: Vec<_> =
            told.iter().map(|(path, before, now)| (path.as_str(), before.as_str(), now.as_str())).collect();
        assert_eq!(
            told,
            [
                ("data.split", "null", ""),
                ("run.seed", "1", "2"),
                ("system.metrics", "[]", "[\"NLL\"]"),
                ("system.optimizer[1].learning_rate", "0.2", "0.3"),
                ("trainer.checkpoint.validation_steps", "1.0", "1"),
            ]
        );
        assert_eq!(changes(&before, &before), []);
    }
}

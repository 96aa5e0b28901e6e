//! Tests of the config as a whole, from a JSON text to a [`RunConfig`] or to complaints with every field asserted.

mod documentation;
mod examples;
mod files;
mod later;
mod optimizers;
mod overrides;
mod robustness;
mod round_trip;
mod rules;
mod syntax;
mod values;

use std::path::Path;

use super::*;
use crate::diagnostic::{Diagnostic, Severity};

/// Every supported key, most on lines of their own and at their defaults.
pub(super) const FULL: &str = r#"{
  "$schema": "kiwi-host.schema.json",
  "run": {
    "seed": 42,
    "experiment_name": "default",
    "output_dir": null,
    "run_id": null,
    "use_mlflow": false, "mlflow_tracking_uri": "mlruns/",
    "mlflow_always_log_artifacts": false
  },
  "trainer": {
    "epochs": 50,
    "max_steps": null,
    "gradient_accumulation_steps": 1,
    "gradient_max_norm": 0.0,
    "main_metric": null,
    "log_interval": 100,
    "log_save_interval": 100,
    "gpus": 0,
    "precision": 32,
    "amp_level": "O0",
    "deterministic": true,
    "checkpoint": {
      "validation_steps": 1.0,
      "save_top_k": 1,
      "early_stop_patience": 0
    }
  },
  "data": {
    "train": {
      "input": {
        "source": "train.src",
        "target": "train.tgt"
      }
    },
    "valid": {
      "input": {
        "source": ["valid.src"],
        "target": ["valid.tgt"]
      }
    },
    "split": null
  },
  "system": {
    "class_name": "Predictor",
    "load": null,
    "model": {
      "encoder": {
        "class_name": "PredictorEncoder",
        "hidden_size": 8,
        "dropout": 0.5,
        "embeddings": {"source": {"dim": 4, "freeze": false}, "target": null}
      },
      "tlm_outputs": {}
    },
    "data_processing": {
      "share_input_fields_encoders": false,
      "vocab": {
        "min_frequency": 1,
        "max_size": null
      }
    },
    "optimizer": {
      "class_name": "adam",
      "learning_rate": 0.01,
      "encoder_learning_rate": null,
      "warmup_steps": null,
      "training_steps": null,
      "learning_rate_decay": 1.0,
      "learning_rate_decay_start": 2,
      "options": {}
    },
    "metrics": [],
    "batch_size": 1,
    "num_data_workers": 4
  },
  "debug": false,
  "verbose": false,
  "quiet": false
}
"#;

/// Only what is required.
const LEAST: &str = r#"{
  "data": {"train": {"input": {"source": "a", "target": "b"}}, "split": 0.9},
  "system": {
    "class_name": "Predictor",
    "model": {},
    "optimizer": {"class_name": "adam", "learning_rate": 1}
  }
}"#;

/// `FULL` with one part, which must occur once, replaced.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(FULL.matches(from).count(), 1, "{from} must occur once");
    FULL.replace(from, to)
}

pub(super) fn load_text(text: &str, overrides: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    check(Path::new("run.json"), text, &overrides).map_err(|invalid| invalid.complaints)
}

/// The config of a text that has nothing wrong in it.
fn config_of(text: &str, overrides: &[(&str, &str)]) -> RunConfig {
    let loaded =
        load_text(text, overrides).unwrap_or_else(|errors| panic!("{text}\n{:#?}", render_all(&errors)));
    assert_eq!(render_all(&loaded.warnings), [""; 0], "{text}");
    loaded.config
}

/// What is said about a text: its errors and warnings.
fn complaints(text: &str, overrides: &[(&str, &str)]) -> Vec<String> {
    render_all(&match load_text(text, overrides) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => {
            assert!(errors.iter().any(|complaint| complaint.severity == Severity::Error));
            errors
        }
    })
}

fn render_all(complaints: &[Diagnostic]) -> Vec<String> {
    complaints.iter().map(render).collect()
}

/// All fields of a complaint in one line.
fn render(complaint: &Diagnostic) -> String {
    let mut parts = Vec::new();
    let place = complaint.location.as_ref().map(|location| {
        assert!(location.file.is_absolute() || location.file == Path::new("run.json"));
        format!("{}:{}", location.line, location.column.unwrap_or(0))
    });
    let severity = if complaint.severity == Severity::Error { "" } else { "warning " };
    let path = complaint.path.as_deref().map(|path| if path.is_empty() { "(root)" } else { path });
    parts.push(format!("{severity}{}@{}", path.unwrap_or("-"), place.as_deref().unwrap_or("-")));
    parts.push(complaint.message.clone());
    parts.push(format!("found {}", complaint.found.as_deref().unwrap_or("-")));
    parts.push(format!("expected {}", complaint.expected.as_deref().unwrap_or("-")));
    parts.extend(complaint.nearest.iter().map(|nearest| format!("nearest {nearest}")));
    parts.extend(complaint.notes.iter().map(|note| format!("note {note}")));
    parts.extend(complaint.help.iter().map(|help| format!("help {help}")));
    parts.join(" | ")
}

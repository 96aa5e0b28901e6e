use std::path::Path;

use serde_json::json;

use super::*;
use crate::saved_system::{Part, PluginIdentity};

fn header() -> SystemHeader {
    let part = |class: &str, config| Part {
        class_name: class.to_owned(),
        config,
        plugin: PluginIdentity {
            name: "models".to_owned(),
            version: "1.0.0".to_owned(),
            sha256: "00".to_owned(),
        },
        extra: None,
    };
    SystemHeader {
        class_name: "Predictor".to_owned(),
        encoder: part("Lstm", json!({"hidden_size": 8, "dropout": 0.5})),
        head: part("Outputs", json!({"fine_tune": false})),
        data_processing: json!({}),
        training: None,
        source_vocabulary: Vec::new(),
        target_vocabulary: Vec::new(),
    }
}

fn options(overrides: &[(&str, &str)]) -> Result<SystemOptions, Vec<String>> {
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    SystemOptions::new(Path::new("best.safetensors"), &header(), 32, &overrides).map_err(|errors| {
        errors
            .into_iter()
            .map(|one| {
                let part = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let location = one.location.map(|at| at.file.display().to_string());
                format!(
                    "{}@{} | {} | found {} | expected {} | {}",
                    part(one.path),
                    part(location),
                    one.message,
                    part(one.found),
                    part(one.expected),
                    one.notes.join(", ")
                )
            })
            .collect()
    })
}

#[test]
fn without_overrides_all_is_as_it_was_saved() {
    let found = options(&[]).unwrap();
    assert_eq!(json!(found.encoder.options), json!({"hidden_size": 8, "dropout": 0.5}));
    assert_eq!(json!(found.head.options), json!({"fine_tune": false}));
    assert_eq!((found.batch_size, found.num_data_workers), (32, 1));
    assert_eq!((found.precision, found.metrics.len()), (Precision::F32, 0));
}

#[test]
fn overrides_replace_what_may_be_set() {
    let found = options(&[
        ("system.model.encoder.dropout", "0.25"),
        ("system.metrics", r#"["NLL"]"#),
        ("system.batch_size", "4"),
        ("system.num_data_workers", "0"),
        ("trainer.precision", "bf16"),
    ])
    .unwrap();
    assert_eq!(json!(found.encoder.options), json!({"hidden_size": 8, "dropout": 0.25}));
    assert_eq!(found.metrics, ["NLL"]);
    assert_eq!((found.batch_size, found.num_data_workers), (4, 0));
    assert_eq!(found.precision, Precision::BF16);
}

#[test]
fn what_cannot_be_set_is_refused_with_what_can() {
    let said = options(&[
        ("trainer.epochs", "3"),
        ("system.optimizer.class_name", "adam"),
        ("system.batch_size", "0"),
        ("run.seed", "1"),
        ("system.model.encoder.class_name", "Other"),
    ])
    .unwrap_err();
    assert_eq!(
        said,
        [
            "trainer.epochs@- | unknown key `epochs` | found `epochs` | expected one of precision | \
                set by --set trainer.epochs",
            "system.model.encoder.class_name@- | the class of a saved system's part cannot be changed | \
                found the string \"Other\" | expected no such key | set by --set system.model.encoder.class_name",
            "system.batch_size@- | invalid value for batch_size | found 0 | \
                expected an integer of at least 1 | set by --set system.batch_size",
            "system.optimizer@- | unknown key `optimizer` | found `optimizer` | \
                expected one of batch_size, metrics, model, num_data_workers | set by --set system.optimizer.class_name",
            "run@- | unknown key `run` | found `run` | expected one of system, trainer | set by --set run.seed",
        ]
    );
}

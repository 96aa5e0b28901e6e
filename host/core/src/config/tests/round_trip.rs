//! The configuration used, written out, is a config of the same meaning.

use super::*;

fn check_round_trip(text: &str, overrides: &[(&str, &str)]) {
    let config = config_of(text, overrides);
    let written = config.to_json().unwrap();
    assert_eq!(config_of(&written, &[]), config, "{written}");
}

#[test]
fn a_config_written_out_means_the_same() {
    check_round_trip(FULL, &[]);
    check_round_trip(LEAST, &[]);
    check_round_trip(example(), &[]);
    check_round_trip(include_str!("../../../../../configs/predictor.json"), &[]);
    check_round_trip(
        FULL,
        &[
            ("run.output_dir", "out"),
            ("run.run_id", "ffffffffffffffffffffffffffffffff"),
            ("run.seed", "9223372036854775807"),
            ("run.use_mlflow", "true"),
            ("run.mlflow_tracking_uri", "http://127.0.0.1:5000"),
            ("run.mlflow_always_log_artifacts", "true"),
            ("trainer.amp_level", "O1"),
            ("trainer.precision", "bf16"),
            ("trainer.main_metric", "PERP"),
            ("trainer.gradient_max_norm", "0.1"),
            ("trainer.max_steps", "12"),
            (
                "trainer.checkpoint",
                r#"{"validation_steps": 3, "save_top_k": -1, "early_stop_patience": 4, "resume_interval": 9}"#,
            ),
            ("data.valid", "null"),
            ("data.split", "0.3333333333333333"),
            ("system.data_processing.vocab.max_size", r#"{"source": 5}"#),
            ("system.data_processing.vocab.min_frequency", r#"{"source": 5, "target": 2}"#),
            ("system.optimizer.learning_rate", "5e-324"),
            ("system.optimizer.encoder_learning_rate", "1e-5"),
            ("system.optimizer.warmup_steps", "12"),
            ("system.optimizer.training_steps", "480"),
            ("system.optimizer.load", "old/optimizer.safetensors"),
            ("system.optimizer.options", r#"{"eps": 1e-08, "x": [null, true, "é\n", 1.0, 1]}"#),
            ("system.metrics", r#"["NLL", "other::BLEU"]"#),
            ("system.batch_size", r#"{"train": 8, "valid": 1}"#),
            ("system.load_vocabs", "other.safetensors"),
            ("trainer.batch_order", "bucketed"),
            ("data.max_length", r#"{"target": 50}"#),
            ("data.buffer_size", "100"),
            ("verbose", "true"),
            ("debug", "true"),
        ],
    );
    check_round_trip(FULL, &[("trainer.checkpoint.validation_steps", "0.3"), ("quiet", "true")]);
    check_round_trip(FULL, &[("trainer.max_tokens_per_batch", "9"), ("system.batch_size", "null")]);
    let sets = r#"{"b.1": {"input": {"source": "a", "target": "b"}}, "ä": {"input": {"source": "c", "target": "d"}}}"#;
    check_round_trip(FULL, &[("data.valid", sets), ("data.test", sets)]);
    check_round_trip(FULL, &[("data.test.input", r#"{"source": ["a", "b"], "target": ["c", "d"]}"#)]);
    check_round_trip(FULL, &[("system.optimizer.warmup_steps", "1.0")]);
    let one = r#"[{"class_name": "adam", "learning_rate": 0.1, "parameters": ["*"]}]"#;
    let two = r#"[
        {"class_name": "sparse_adam", "learning_rate": 0.1, "parameters": ["*.embedding.weight", "a{b,c}?"]},
        {"class_name": "adamw", "learning_rate": 1, "warmup_steps": 0.0, "parameters": ["*"], "options": {"eps": 1}}
    ]"#;
    for list in [one, two] {
        check_round_trip(FULL, &[("system.optimizer", list)]);
    }
    let load = [("system.load", "best"), ("system.model", "null"), ("system.data_processing", "null")];
    check_round_trip(FULL, &load);
}

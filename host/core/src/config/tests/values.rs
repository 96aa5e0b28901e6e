//! What a valid config means: defaults, and every form that a value may take.

use std::path::PathBuf;

use serde_json::json;

use super::*;

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = config_of(LEAST, &[]);
    let component = |path: &str| ComponentSection {
        class_name: None,
        options: serde_json::Map::new(),
        path: path.to_owned(),
    };
    let expected = RunConfig {
        run: RunSection {
            seed: 42,
            experiment_name: "default".to_owned(),
            output_dir: None,
            run_id: None,
            use_mlflow: false,
            mlflow_tracking_uri: None,
            mlflow_always_log_artifacts: false,
        },
        trainer: TrainerSection {
            resume: false,
            epochs: 50,
            max_steps: None,
            gradient_accumulation_steps: 1,
            gradient_max_norm: 0.0,
            main_metric: Vec::new(),
            log_interval: 100,
            log_save_interval: 100,
            gpus: Gpus::Cpu,
            precision: Precision::F32,
            batch_order: BatchOrder::Corpus,
            max_tokens_per_batch: None,
            truncated_bptt_steps: None,
            on_nonfinite: OnTrouble::Stop,
            on_oom: OnTrouble::Stop,
            checkpoint: CheckpointSection {
                validation_interval: ValidationInterval::ShareOfEpoch(1.0),
                save_top_k: 1,
                early_stop_patience: 0,
                resume_interval: None,
            },
        },
        data: DataSection {
            train: Corpora {
                source: vec![PathBuf::from("a")],
                target: vec![PathBuf::from("b")],
                post_edit: None,
            },
            valid: Vec::new(),
            test: Vec::new(),
            split: Some(0.9),
            max_length: Sides { source: None, target: None },
            buffer_size: None,
        },
        system: SystemSection {
            class_name: Some("Predictor".to_owned()),
            load: None,
            load_vocabs: None,
            model: Some(ModelSection {
                encoder: component("system.model.encoder"),
                tlm_outputs: component("system.model.tlm_outputs"),
            }),
            data_processing: Some(DataProcessingSection {
                share_input_fields_encoders: false,
                vocab: VocabularySection {
                    min_frequency: Sides { source: 1, target: 1 },
                    max_size: Sides { source: None, target: None },
                },
            }),
            optimizers: vec![OptimizerSection {
                class_name: "adam".to_owned(),
                learning_rate: 1.0,
                encoder_learning_rate: None,
                warmup_steps: None,
                training_steps: None,
                learning_rate_decay: 1.0,
                learning_rate_decay_start: 2,
                load: None,
                parameters: None,
                options: serde_json::Map::new(),
                path: "system.optimizer".to_owned(),
            }],
            metrics: Vec::new(),
            batch_size: BatchSize { train: Some(1), valid: Some(1) },
            num_data_workers: 4,
        },
        debug: false,
        verbose: false,
        quiet: false,
    };
    assert_eq!(config, expected);
}

#[test]
fn post_edits_have_two_names_and_one_meaning() {
    let post_edit = |key: &str, value: &str| {
        let config = config_of(LEAST, &[(&format!("data.train.input.{key}"), value)]);
        let written: serde_json::Value = serde_json::from_str(&config.to_json().unwrap()).unwrap();
        let files = config.data.train.post_edit;
        assert_eq!(written["data"]["train"]["input"].get("pe"), files.clone().map(|f| json!(f)).as_ref());
        files
    };
    for key in ["pe", "post_edit"] {
        assert_eq!(post_edit(key, "c"), Some(vec![PathBuf::from("c")]));
        assert_eq!(post_edit(key, r#"["c"]"#), Some(vec![PathBuf::from("c")]));
        assert_eq!(post_edit(key, "null"), None);
    }
}

#[test]
fn values_take_their_forms() {
    let set = |path: &str, value: &str| config_of(LEAST, &[(path, value)]);

    let interval =
        |value| set("trainer.checkpoint.validation_steps", value).trainer.checkpoint.validation_interval;
    assert_eq!(interval("1"), ValidationInterval::Batches(1));
    assert_eq!(interval("500"), ValidationInterval::Batches(500));
    assert_eq!(interval("1.0"), ValidationInterval::ShareOfEpoch(1.0));
    assert_eq!(interval("25e-2"), ValidationInterval::ShareOfEpoch(0.25));

    let batch_size = |value| set("system.batch_size", value).system.batch_size;
    assert_eq!(batch_size("3"), BatchSize { train: Some(3), valid: Some(3) });
    assert_eq!(batch_size(r#"{"train": 3}"#), BatchSize { train: Some(3), valid: Some(3) });
    assert_eq!(batch_size(r#"{"valid": 5, "train": 3}"#), BatchSize { train: Some(3), valid: Some(5) });

    let unlimited = set("trainer.max_tokens_per_batch", "4096");
    assert_eq!(unlimited.trainer.max_tokens_per_batch, Some(4096));
    assert_eq!(unlimited.system.batch_size, BatchSize { train: None, valid: None });
    let both =
        [("trainer.max_tokens_per_batch", "4096"), ("system.batch_size", r#"{"train": null, "valid": 5}"#)];
    assert_eq!(config_of(LEAST, &both).system.batch_size, BatchSize { train: None, valid: Some(5) });
    assert_eq!(set("trainer.truncated_bptt_steps", "1").trainer.truncated_bptt_steps, Some(1));
    assert!(set("trainer.resume", "true").trainer.resume);
    assert_eq!(set("trainer.on_nonfinite", "skip").trainer.on_nonfinite, OnTrouble::Skip);
    assert_eq!(set("trainer.on_oom", "\"skip\"").trainer.on_oom, OnTrouble::Skip);
    assert_eq!(set("trainer.checkpoint.resume_interval", "20").trainer.checkpoint.resume_interval, Some(20));
    assert_eq!(set("trainer.batch_order", "random").trainer.batch_order, BatchOrder::Random);
    assert_eq!(set("trainer.batch_order", "bucketed").trainer.batch_order, BatchOrder::Bucketed);
    assert_eq!(set("data.buffer_size", "1000").data.buffer_size, Some(1000));
    assert_eq!(set("data.max_length", "50").data.max_length, Sides { source: Some(50), target: Some(50) });
    assert_eq!(
        set("data.max_length", r#"{"target": 9}"#).data.max_length,
        Sides { source: None, target: Some(9) }
    );

    let metric = |value| set("trainer.main_metric", value).trainer.main_metric;
    assert_eq!(metric("null"), [""; 0]);
    assert_eq!(metric("target_PERP"), ["target_PERP"]);
    assert_eq!(metric(r#"["a", "b"]"#), ["a", "b"]);

    let vocab = |key: &str, value| {
        set(&format!("system.data_processing.vocab.{key}"), value).system.data_processing.unwrap().vocab
    };
    assert_eq!(vocab("min_frequency", "2").min_frequency, Sides { source: 2, target: 2 });
    assert_eq!(vocab("min_frequency", r#"{"target": 3}"#).min_frequency, Sides { source: 1, target: 3 });
    assert_eq!(vocab("max_size", "null").max_size, Sides { source: None, target: None });
    assert_eq!(vocab("max_size", "9").max_size, Sides { source: Some(9), target: Some(9) });
    let one_side = vocab("max_size", r#"{"source": 5, "target": null}"#).max_size;
    assert_eq!(one_side, Sides { source: Some(5), target: None });

    let trainer = |key: &str, value| set(&format!("trainer.{key}"), value).trainer;
    assert_eq!(trainer("precision", "bf16").precision, Precision::BF16);
    let half =
        config_of(LEAST, &[("trainer.precision", "16"), ("trainer.gpus", "1"), ("trainer.amp_level", "O1")]);
    assert_eq!(half.trainer.precision, Precision::F16);
    for (value, gpus) in [
        ("0", Gpus::Cpu),
        ("1", Gpus::One),
        ("-1", Gpus::All),
        ("2", Gpus::First(2)),
        ("8", Gpus::First(8)),
        ("[0]", Gpus::Listed(vec![0])),
        ("[7]", Gpus::Listed(vec![7])),
        ("[3,0,12]", Gpus::Listed(vec![3, 0, 12])),
    ] {
        let config = set("trainer.gpus", value);
        assert_eq!(config.trainer.gpus, gpus);
        let written: serde_json::Value = serde_json::from_str(&config.to_json().unwrap()).unwrap();
        assert_eq!(written["trainer"]["gpus"].to_string(), value, "written as it is read");
    }
    assert_eq!(trainer("gradient_max_norm", "5").gradient_max_norm, 5.0);
    assert_eq!(trainer("max_steps", "7").max_steps, Some(7));
    assert_eq!(trainer("checkpoint.save_top_k", "-1").checkpoint.save_top_k, -1);
    assert_eq!(trainer("checkpoint.save_top_k", "0").checkpoint.save_top_k, 0);
    assert_eq!(set("system.num_data_workers", "0").system.num_data_workers, 0);
    assert_eq!(set("system.optimizer.learning_rate", "1e-3").system.optimizers[0].learning_rate, 0.001);
    assert!(set("run.use_mlflow", "true").run.use_mlflow);
    assert!(set("run.mlflow_always_log_artifacts", "true").run.mlflow_always_log_artifacts);
    for uri in ["http://127.0.0.1:5000", "https://host/mlflow", "mlruns/", "file:///data"] {
        assert_eq!(set("run.mlflow_tracking_uri", uri).run.mlflow_tracking_uri.as_deref(), Some(uri));
    }
    assert_eq!(set("run.mlflow_tracking_uri", "null").run.mlflow_tracking_uri, None);
    let run_id = "0123456789abcdef0123456789ABCDEF";
    assert_eq!(set("run.run_id", &format!("\"{run_id}\"")).run.run_id.as_deref(), Some(run_id));
}

#[test]
fn several_files_a_side() {
    let text = changed(r#""source": "train.src""#, r#""source": ["a.src", "b.src"]"#)
        .replace(r#""target": "train.tgt""#, r#""target": ["a.tgt", "b.tgt"]"#);
    let train = config_of(&text, &[]).data.train;
    assert_eq!(train.source, [Path::new("a.src"), Path::new("b.src")]);
    assert_eq!(train.target, [Path::new("a.tgt"), Path::new("b.tgt")]);
}

#[test]
fn several_validation_sets_by_their_names() {
    let named = LEAST.replace(
        r#""split": 0.9"#,
        r#""valid": {"news": {"input": {"source": "a", "target": "b"}}, "talks": {"input": {"source": "c", "target": "d"}}}"#,
    );
    let sets = config_of(&named, &[]).data.valid;
    let names: Vec<_> = sets.iter().map(|set| set.name.as_deref()).collect();
    assert_eq!(names, [Some("news"), Some("talks")]);
    assert_eq!(sets[1].files.source, [Path::new("c")]);
    let one = config_of(FULL, &[]).data.valid;
    assert_eq!((one.len(), &one[0].name), (1, &None));
}

#[test]
fn options_reach_the_component_as_they_are_written() {
    let model = config_of(FULL, &[]).system.model.unwrap();
    assert_eq!(model.encoder.class_name.as_deref(), Some("PredictorEncoder"));
    let expected = json!({
        "hidden_size": 8,
        "dropout": 0.5,
        "embeddings": {"source": {"dim": 4, "freeze": false}, "target": null}
    });
    assert_eq!(serde_json::Value::from(model.encoder.options), expected);
    let text = changed(r#""options": {}"#, r#""options": {"betas": [0.9, 1.0, 1], "": {"class_name": -5}}"#);
    let optimizer = config_of(&text, &[]).system.optimizers.remove(0);
    let expected = json!({"betas": [0.9, 1.0, 1], "": {"class_name": -5}});
    assert_eq!(serde_json::Value::from(optimizer.options.clone()), expected);
    assert_ne!(json!(1.0), json!(1), "so a float stays one");
    assert_eq!(optimizer.options_path(), "system.optimizer.options");
}

#[test]
fn keys_of_other_uses_of_the_data_are_ignored_with_a_warning() {
    let text = changed(
        r#""target": "train.tgt"
      }"#,
        r#""target": "train.tgt",
        "alignments": "train.align"
      },
      "output": {}"#,
    );
    let loaded = load_text(&text, &[]).unwrap();
    assert_eq!(
        render_all(&loaded.warnings),
        [
            "warning data.train.input.alignments@34:23 | \
            alignments is ignored: this training does not use it | \
            found the string \"train.align\" | expected - | help remove the key",
            "warning data.train.output@36:17 | output is ignored: this training does not use it | \
            found an empty object | expected - | help remove the key"
        ]
    );
    assert_eq!(loaded.config, config_of(FULL, &[]));
}

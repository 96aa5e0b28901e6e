use std::fs;
use std::path::PathBuf;

use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::device::DeviceChoice;
use crate::diagnostic::Severity;
use crate::plugins::testing::{component, library, metadata, system};
use crate::request::SystemRequest;
use crate::saved_system::{self, Part, PluginIdentity, SystemHeader};

/// A folder with a config in it and plugins in `plugins`.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(plugins: &[PluginMetadata]) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.at("plugins")).unwrap();
        for plugin in plugins {
            library(&bench.at("plugins"), &format!("lib{}.so", plugin.name), plugin);
        }
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn common(&self) -> Common {
        Common {
            plugin_directories: vec![self.at("plugins")],
            program: self.at("bin/kiwi-host"),
            threads: None,
            verbosity: Verbosity::FromConfig,
            interactive: false,
            color: false,
            lock: None,
        }
    }

    /// The request of `train` for a config whose `system` is this.
    fn request(&self, system: &Value) -> TrainRequest {
        let mut system = system.clone();
        if system["optimizer"].is_null() {
            system["optimizer"] = json!({"class_name": "adam", "learning_rate": 0.1});
        }
        let side = json!({"input": {"source": "a", "target": "b"}});
        let config = json!({"data": {"train": side, "valid": side}, "system": system});
        let path = self.at("config.json");
        fs::write(&path, serde_json::to_string_pretty(&config).unwrap()).unwrap();
        TrainRequest {
            config: path,
            overrides: Vec::new(),
            output_dir: None,
            resume: false,
            allow_changed: false,
            common: self.common(),
        }
    }

    fn save(&self, encoder: &str, plugin: PluginIdentity) -> PathBuf {
        let part = |class: &str| Part {
            class_name: class.to_owned(),
            config: json!({"saved": class}),
            plugin: plugin.clone(),
            extra: None,
        };
        let header = SystemHeader {
            class_name: "Predictor".to_owned(),
            encoder: part(encoder),
            head: part("Outputs"),
            data_processing: json!({}),
            training: None,
            source_vocabulary: Vec::new(),
            target_vocabulary: Vec::new(),
        };
        let path = self.at("saved");
        saved_system::write(&path, &header, []).unwrap();
        path
    }
}

fn models() -> PluginMetadata {
    PluginMetadata {
        components: vec![
            component("encoder", "LstmEncoder"),
            component("encoder", "BagEncoder"),
            component("head", "Outputs"),
            component("metric", "Perplexity"),
        ],
        systems: vec![system("Predictor", "LstmEncoder", "Outputs")],
        ..metadata("models")
    }
}

fn optimizers() -> PluginMetadata {
    PluginMetadata { components: vec![component("optimizer", "adam")], ..metadata("optimizers") }
}

fn identity(version: &str, sha256: &str) -> PluginIdentity {
    PluginIdentity { name: "models".to_owned(), version: version.to_owned(), sha256: sha256.to_owned() }
}

#[test]
fn a_system_stands_for_its_parts() {
    let bench = Bench::new(&[models(), optimizers()]);
    let request = bench.request(&json!({
        "class_name": "Predictor",
        "model": {"encoder": {"hidden_size": 8}},
        "metrics": ["models::Perplexity"],
        "optimizer": {"class_name": "adam", "learning_rate": 0.1, "options": {"eps": 1e-9}},
    }));
    let plan = prepare(&request).unwrap();
    assert_eq!(plan.system, "Predictor");
    assert_eq!(plan.encoder.qualified(), "models::LstmEncoder");
    assert_eq!(Value::from(plan.encoder.config), json!({"hidden_size": 8}));
    assert_eq!(plan.encoder.config_path, "system.model.encoder");
    assert_eq!(plan.head.qualified(), "models::Outputs");
    assert_eq!(plan.head.config_path, "system.model.tlm_outputs");
    assert_eq!(plan.metrics.len(), 1);
    let optimizer = plan.optimizers[0].clone();
    assert_eq!(optimizer.qualified(), "optimizers::adam");
    assert_eq!(optimizer.config_path, "system.optimizer.options");
    assert_eq!(Value::from(optimizer.config), json!({"eps": 1e-9}));
    assert_eq!(optimizer.file, bench.at("plugins/liboptimizers.so"));
}

#[test]
fn a_part_may_be_named() {
    let bench = Bench::new(&[models(), optimizers()]);
    let encoder = json!({"class_name": "models::BagEncoder", "dim": 3});
    let plan =
        prepare(&bench.request(&json!({"class_name": "Predictor", "model": {"encoder": encoder}}))).unwrap();
    assert_eq!(plan.encoder.class, "BagEncoder");
    assert_eq!(Value::from(plan.encoder.config), json!({"dim": 3}));
}

#[test]
fn every_name_that_is_not_registered_is_reported_at_its_place() {
    let bench = Bench::new(&[models(), optimizers()]);
    let request = bench.request(&json!({
        "class_name": "Predictr",
        "model": {"encoder": {"class_name": "LstmEncodr"}, "tlm_outputs": {}},
        "metrics": ["Perplexity", "BLEU"],
        "optimizer": {"class_name": "adamm", "learning_rate": 0.1},
    }));
    let failure = prepare(&request).unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Plugin);
    let text = fs::read_to_string(&request.config).unwrap();
    // In the order of the file, whose keys are sorted.
    let expected = [
        ("system.class_name", "Predictr", Some("Predictor")),
        ("system.metrics[1]", "BLEU", None),
        ("system.model.encoder.class_name", "LstmEncodr", Some("LstmEncoder")),
        ("system.optimizer.class_name", "adamm", Some("adam")),
    ];
    assert_eq!(failure.diagnostics.len(), expected.len(), "{:#?}", failure.diagnostics);
    for (diagnostic, (path, asked, nearest)) in failure.diagnostics.iter().zip(expected) {
        assert_eq!(diagnostic.path.as_deref(), Some(path));
        assert_eq!(diagnostic.nearest.as_deref(), nearest);
        let location = diagnostic.location.as_ref().unwrap();
        let line = text.lines().nth(location.line - 1).unwrap();
        assert!(line[location.column.unwrap() - 1..].starts_with(&format!("\"{asked}\"")), "{line}");
    }
    // Where was searched is said once, and first.
    let says_where = |one: &Diagnostic| one.notes.iter().any(|note| note.starts_with("searched "));
    let places: Vec<_> = failure.diagnostics.iter().map(says_where).collect();
    assert_eq!(places, [true, false, false, false]);
}

#[test]
fn names_are_looked_up_even_where_other_things_are_wrong() {
    let bench = Bench::new(&[models(), optimizers()]);
    let request = bench.request(&json!({
        "class_name": "Predictor",
        "load_vocabs": "absent.safetensors",
        "model": {"encoder": {"class_name": "LstmEncodr"}, "tlm_output": {}},
        "optimizer": {"class_name": "adamm", "learning_rate": -1},
        "batch_size": "2",
    }));
    let failure = prepare(&request).unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Invalid);
    let paths: Vec<_> = failure.diagnostics.iter().map(|one| one.path.as_deref().unwrap()).collect();
    let expected = [
        "system.batch_size",
        "system.load_vocabs",
        "system.model.encoder.class_name",
        "system.model.tlm_output",
        "system.optimizer.class_name",
        "system.optimizer.learning_rate",
    ];
    assert_eq!(paths, expected, "{:#?}", failure.diagnostics);
}

#[test]
fn a_part_that_the_system_stands_for_may_be_missing() {
    let systems =
        PluginMetadata { systems: vec![system("Predictor", "Lstm", "Outputs")], ..metadata("systems") };
    let bench = Bench::new(&[systems, models_without_system(), optimizers()]);
    let failure =
        prepare(&bench.request(&json!({"class_name": "Predictor", "model": {}}))).unwrap_err().failure;
    let [error] = &failure.diagnostics[..] else { panic!("{:#?}", failure.diagnostics) };
    assert_eq!(error.message, "no encoder named `Lstm` is registered");
    assert_eq!(error.path.as_deref(), Some("system.class_name"));
    assert!(error.notes[0].contains("the system `Predictor` of the plugin `systems`"), "{:?}", error.notes);
}

fn models_without_system() -> PluginMetadata {
    PluginMetadata { systems: Vec::new(), ..models() }
}

#[test]
fn broken_files_that_nothing_uses_stop_nothing() {
    let bench = Bench::new(&[models(), optimizers()]);
    fs::write(bench.at("plugins/libbroken.so"), "not a library").unwrap();
    library(&bench.at("plugins"), "libold.so", &PluginMetadata { torch: "1.0.0".into(), ..metadata("old") });
    prepare(&bench.request(&json!({"class_name": "Predictor", "model": {}}))).unwrap();
}

#[test]
fn config_and_directories_are_complained_about_together() {
    let bench = Bench::new(&[]);
    let mut request = bench.request(&json!({"class_name": "Predictor", "model": {}, "colour": 1}));
    request.common.plugin_directories.push(bench.at("absent"));
    let failure = prepare(&request).unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Invalid);
    let all = failure.diagnostics.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("\n");
    assert!(all.contains("colour") && all.contains("absent"), "{all}");
}

#[test]
fn the_command_line_has_the_last_word() {
    let bench = Bench::new(&[models(), optimizers()]);
    let mut request = bench.request(&json!({"class_name": "Predictor", "model": {}}));
    request.overrides = vec![("run.output_dir".into(), "first".into()), ("quiet".into(), "true".into())];
    let plan = prepare(&request).unwrap();
    assert_eq!((plan.config.run.output_dir, plan.config.quiet), (Some("first".into()), true));
    request.output_dir = Some("second".into());
    request.common.verbosity = Verbosity::Verbose;
    let plan = prepare(&request).unwrap();
    assert_eq!(plan.config.run.output_dir, Some("second".into()));
    assert!(plan.config.verbose && !plan.config.quiet);
}

#[test]
fn a_device_is_that_of_the_place_among_several() {
    let bench = Bench::new(&[models(), optimizers()]);
    let mut request = bench.request(&json!({"class_name": "Predictor", "model": {}}));
    request.overrides = vec![("trainer.gpus".to_owned(), "[3, 5]".to_owned())];
    let plan = prepare(&request).unwrap();
    let place = |names: [&'static str; 4], values: [&'static str; 4]| {
        let variable = move |name: &str| match name {
            "MASTER_ADDR" | "SLURM_STEP_NODELIST" => Some("gpu7"),
            "MASTER_PORT" | "SLURM_JOB_ID" => Some("29500"),
            _ => names.iter().position(|one| *one == name).map(|index| values[index]),
        };
        Place::of_launcher(|name| variable(name).map(str::to_owned)).unwrap().unwrap()
    };
    let torchrun = |values| place(["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"], values);
    let srun = |values| {
        place(["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"], values)
    };
    let choice = |place: &Place| plan.device(Some(place)).map(|asked| asked.choice);
    assert_eq!(plan.device(None).unwrap().choice, DeviceChoice::Gpu(3));
    assert_eq!(choice(&torchrun(["3", "4", "1", "2"])).unwrap(), DeviceChoice::Gpu(5));
    assert_eq!(choice(&srun(["2", "4", "0", "2"])).unwrap(), DeviceChoice::Gpu(3));
    let refused = choice(&torchrun(["3", "4", "1", "4"])).unwrap_err();
    assert_eq!(refused.exit, ExitCode::Invalid);
    assert_eq!(refused.diagnostics[0].found.as_deref(), Some("2 GPUs, 4 processes"));
    // A single task may be a shell, in which the program starts the processes itself.
    assert_eq!(choice(&srun(["0", "1", "0", "1"])).unwrap(), DeviceChoice::Gpu(3));
    assert!(choice(&torchrun(["0", "1", "0", "1"])).is_err());
}

#[test]
fn a_loaded_system_brings_its_classes_and_their_options() {
    let bench = Bench::new(&[models(), optimizers()]);
    let sha256 = crate::plugins::inspect::sha256(&fs::read(bench.at("plugins/libmodels.so")).unwrap());
    let saved = bench.save("BagEncoder", identity("1.2.3", &sha256));
    let plan = prepare(&bench.request(&json!({"load": saved}))).unwrap();
    assert_eq!(plan.system, "Predictor");
    assert_eq!(plan.encoder.class, "BagEncoder");
    assert_eq!(Value::from(plan.encoder.config), json!({"saved": "BagEncoder"}));
    assert_eq!(plan.warnings, []);

    // The same class may be given, with its plugin or without.
    for class in ["Predictor", "models::Predictor"] {
        prepare(&bench.request(&json!({"load": saved, "class_name": class}))).unwrap();
    }
    let failure =
        prepare(&bench.request(&json!({"load": saved, "class_name": "Estimator"}))).unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Invalid);
    let error = &failure.diagnostics[0];
    assert!(
        error.message.contains("`Estimator`") && error.message.contains("`Predictor`"),
        "{}",
        error.message
    );
    assert!(error.help.as_ref().unwrap().contains("remove `class_name`"));
    assert!(error.location.is_some());
}

#[test]
fn a_plugin_that_is_not_the_saved_one_is_told_by_how_far_it_is_off() {
    let bench = Bench::new(&[models(), optimizers()]);
    let prepared = |version: &str| {
        let saved = bench.save("LstmEncoder", identity(version, "00"));
        prepare(&bench.request(&json!({"load": saved})))
    };
    for version in ["1.2.3", "1.0.0", "1.9.0"] {
        let warnings = prepared(version).unwrap().warnings;
        // Both parts are of one plugin, and one warning is enough.
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert_eq!(warnings[0].severity, Severity::Warning);
        assert_eq!(warnings[0].path.as_deref(), Some("system.load"));
    }
    let failure = prepared("2.0.0").unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Plugin);
    assert!(failure.diagnostics[0].message.contains("models 2.0.0, and models 1.2.3 is installed"));
}

#[test]
fn a_saved_system_whose_classes_are_gone_is_reported_with_its_plugin() {
    let bench = Bench::new(&[models()]);
    let system = bench.save("GoneEncoder", identity("1.2.3", "00"));
    let request = SystemRequest {
        system,
        source: "a".into(),
        target: "b".into(),
        post_edit: None,
        batch_size: 1,
        overrides: Vec::new(),
        device: "cpu".to_owned(),
        allow_changed: false,
        format: crate::request::Format::Json,
        scoring: None,
        common: bench.common(),
    };
    let failure = prepare_system(&request).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Plugin);
    let error = &failure.diagnostics[0];
    assert_eq!(error.message, "no encoder named `models::GoneEncoder` is registered");
    assert!(error.notes.iter().any(|note| note.contains("was saved with the plugin `models` 1.2.3")));

    let missing = SystemRequest { system: bench.at("absent"), ..request };
    let failure = prepare_system(&missing).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Invalid);
}

#[test]
fn overrides_and_device_of_a_saved_system_are_complained_about_together() {
    let bench = Bench::new(&[models()]);
    let request = |device: &str, overrides: &[(&str, &str)]| SystemRequest {
        system: bench.save("LstmEncoder", identity("1.2.3", "00")),
        source: "a".into(),
        target: "b".into(),
        post_edit: None,
        batch_size: 1,
        overrides: overrides.iter().map(|(path, value)| ((*path).into(), (*value).into())).collect(),
        device: device.to_owned(),
        allow_changed: false,
        format: crate::request::Format::Json,
        scoring: None,
        common: bench.common(),
    };
    let plan = prepare_system(&request("cpu", &[("system.model.encoder.dim", "7")])).unwrap();
    assert_eq!(plan.encoder.config["dim"], json!(7));
    assert_eq!(plan.encoder.config_path, "system.model.encoder");

    let failure = prepare_system(&request("gpu", &[("system.batchsize", "7")])).unwrap_err();
    let messages: Vec<_> = failure.diagnostics.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["unknown key `batchsize`", "no device is named `gpu`"]);
    for (device, choice) in
        [("cpu", DeviceChoice::Cpu), ("cuda", DeviceChoice::Gpu(0)), ("cuda:1", DeviceChoice::Gpu(1))]
    {
        assert_eq!(prepare_system(&request(device, &[])).unwrap().device.choice, choice);
    }
    let failure = prepare_system(&request("cpu", &[("system.metrics", "[\"BLEU\"]")])).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Plugin);
    assert_eq!(failure.diagnostics[0].message, "no metric named `BLEU` is registered");
}

#[test]
fn a_metric_is_named_once_under_whatever_name() {
    let bench = Bench::new(&[models(), optimizers()]);
    let system =
        json!({"class_name": "Predictor", "model": {}, "metrics": ["Perplexity", "models::Perplexity"]});
    let failure = prepare(&bench.request(&system)).unwrap_err().failure;
    assert_eq!(failure.exit, ExitCode::Invalid);
    assert_eq!(failure.diagnostics.len(), 1, "{failure:#?}");
    let complaint = &failure.diagnostics[0];
    assert_eq!(complaint.path.as_deref(), Some("system.metrics[1]"));
    assert_eq!(complaint.message, "`models::Perplexity` is the same metric as one named before");
}

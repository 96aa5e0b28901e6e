//! The JSON Schema of configs against the program: what a stock validator accepts and what parse, fill, names and components accept
//! is the same, but for the rules that `kiwi_core::config::schema::unsaid` lists.

use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use kiwi_core::config::{self, OptimizerSection, WarmupSteps, schema::unsaid};
use kiwi_core::diagnostic::{Diagnostic, Severity};
use kiwi_core::plan;
use kiwi_core::plugins::search::{SearchPath, Sources};
use kiwi_core::plugins::{Kind, Registry};
use kiwi_plugin_api::abi::host::{ComponentHandle, Plugin};
use kiwi_plugin_api::{ScheduleKeys, Warmup};
use kiwi_tests::built;
use kiwi_tests::workplace::Workplace;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// Everything that a config is judged by.
struct Judges {
    /// Holds the plugins.
    _work: Workplace,
    schema: Value,
    validator: Validator,
    registry: Registry,
    opened: Vec<Plugin>,
}

// Tests of one process share what takes long to make.
static JUDGES: LazyLock<Judges> = LazyLock::new(|| {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let printed = work.run(&["schema"]).ends_with(0);
    assert_eq!(printed.stderr, "", "{printed}");
    let schema: Value = serde_json::from_str(&printed.stdout).unwrap();
    let validator = jsonschema::draft202012::new(&schema).expect("a sound schema");
    let folder = [work.at("bin")];
    let registry = Registry::discover(&SearchPath::new(Sources { options: &folder, ..Sources::default() }));
    let opened =
        registry.plugins.iter().map(|plugin| Plugin::open(&plugin.path, &plugin.metadata.name).unwrap());
    Judges { opened: opened.collect(), schema, validator, registry, _work: work }
});

/// An error of the program, and whether a schedule has it.
struct Refusal {
    complaint: Diagnostic,
    of_schedule: bool,
}

impl Judges {
    fn accepts_by_schema(&self, config: &Value) -> bool {
        self.validator.is_valid(config)
    }

    /// The errors that the program has before any corpus is read: the stages of `check`.
    fn refusals(&self, config: &Value) -> Vec<Refusal> {
        let errors = |all: Vec<Diagnostic>| -> Vec<Refusal> {
            let errors = all.into_iter().filter(|one| one.severity == Severity::Error);
            errors.map(|complaint| Refusal { complaint, of_schedule: false }).collect()
        };
        let loaded = match config::load_text(Path::new("config.json"), &config.to_string()) {
            Ok(loaded) => loaded,
            Err(invalid) => return errors(invalid.complaints),
        };
        let plan = match plan::resolve(&loaded.config, &loaded.document, self.registry.clone()) {
            Ok(plan) => plan,
            Err(unprepared) => return errors(unprepared.failure.diagnostics),
        };
        let mut refusals = Vec::new();
        let components = [&plan.encoder, &plan.head].into_iter().chain(&plan.optimizers).chain(&plan.metrics);
        for component in components {
            let handle = self.handle(component.kind, &component.plugin, &component.class);
            let report = handle.check(&Value::Object(component.config.clone())).unwrap();
            for problem in report.errors {
                let path = format!("{}.{}", component.config_path, problem.path);
                let mut complaint = Diagnostic::error(problem.message).at(path);
                complaint.found = problem.found;
                refusals.push(Refusal { complaint, of_schedule: false });
            }
        }
        if refusals.is_empty() {
            for (section, component) in loaded.config.system.optimizers.iter().zip(&plan.optimizers) {
                let handle = self.handle(component.kind, &component.plugin, &component.class);
                refusals.extend(of_schedule(section, &handle));
            }
        }
        refusals
    }

    fn handle(&self, kind: Kind, plugin: &str, class: &str) -> ComponentHandle {
        let plugin = self.opened.iter().find(|one| one.name() == plugin).unwrap();
        plugin.component(kind.name(), class).unwrap()
    }
}

/// What the engine checks of the keys of a schedule.
fn of_schedule(section: &OptimizerSection, handle: &ComponentHandle) -> Vec<Refusal> {
    let refusal =
        |message: String, of_schedule| Refusal { complaint: Diagnostic::error(message), of_schedule };
    if !handle.has_schedule() {
        let given = section.warmup_steps.is_some() || section.training_steps.is_some();
        return given.then(|| refusal("a class without schedule".to_owned(), false)).into_iter().collect();
    }
    let warmup_steps = section.warmup_steps.map(|steps| match steps {
        WarmupSteps::Steps(steps) => Warmup::Steps(steps),
        WarmupSteps::ShareOfTraining(share) => Warmup::Share(share),
    });
    let keys = ScheduleKeys::new(warmup_steps, section.training_steps);
    let report = handle.check_schedule(&json!({}), &keys).unwrap();
    let mut refusals: Vec<_> = report.errors.into_iter().map(|one| refusal(one.message, true)).collect();
    if section.learning_rate_decay < 1.0 {
        refusals.push(refusal("a schedule beside learning_rate_decay".to_owned(), false));
    }
    refusals
}

/// The rule that the schema does not say and that a refusal is about.
fn rule_of(refusal: &Refusal, config: &Value) -> Option<&'static str> {
    let Refusal { complaint, of_schedule } = refusal;
    let path = complaint.path.as_deref().unwrap_or_default();
    let covers = |name: &str| match name {
        "numbers" => at(config, path).is_some_and(written_otherwise),
        "tracking" => path == "run.mlflow_tracking_uri",
        "accumulation" => complaint.message.starts_with("gradients cannot reach back"),
        "sets" => complaint.message.starts_with("a set of pairs cannot be named so"),
        "files" => complaint.message.contains("differ in their number of files"),
        "patterns" => complaint.message.starts_with("the pattern cannot be read"),
        "metrics" => complaint.message.contains("the same metric"),
        "schedules" => *of_schedule,
        "content" => ["system.load", "system.load_vocabs"].contains(&path),
        // The text is made by serde_json here; the built-in components say all in their schemas; needs and files come later.
        "text" | "components" | "needs" => false,
        other => panic!("say here what the rule {other} covers"),
    };
    unsaid::RULES.iter().map(|rule| rule.name).find(|name| covers(name))
}

/// The value at a path of a complaint.
fn at<'a>(config: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).try_fold(config, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get(index.parse::<usize>().ok()?),
        None => value.get(step),
    })
}

/// Whether it is a whole number that is not written as an integer, or one of more than 64 bits, or holds one.
fn written_otherwise(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().is_some_and(|x| x.fract() == 0.0),
        Value::Number(number) => number.as_u64().is_some_and(|number| i64::try_from(number).is_err()),
        Value::Array(values) => values.iter().any(written_otherwise),
        _ => false,
    }
}

/// That schema and program agree about a config.
fn agree(config: &Value) -> Result<bool, String> {
    let refusals = JUDGES.refusals(config);
    let by_schema = JUDGES.accepts_by_schema(config);
    if refusals.is_empty() && !by_schema {
        let errors: Vec<_> = JUDGES
            .validator
            .iter_errors(config)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        return Err(format!("the schema refuses what the program accepts: {errors:#?}\n{config:#}"));
    }
    if by_schema {
        let rules: Vec<_> = refusals.iter().map(|refusal| rule_of(refusal, config)).collect();
        // A number that is read as none has further complaints follow, about keys that go with it.
        let follows = rules.contains(&Some("numbers"));
        for (refusal, rule) in refusals.iter().zip(&rules) {
            if rule.is_none() && !follows {
                let complaint = &refusal.complaint;
                return Err(format!(
                    "the schema accepts what the program refuses by no listed rule: {complaint:#?}\n{config:#}"
                ));
            }
        }
    }
    Ok(refusals.is_empty())
}

fn shipped() -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(built::root().join("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|end| end == "json")
                && !path.to_string_lossy().ends_with(".schema.json")
        })
        .collect();
    files.sort();
    files.iter().map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// Beside the shipped configs: every key, and what needs others.
fn bases() -> Vec<Value> {
    let mut bases = shipped();
    let corpus = json!({"input": {"source": ["a"], "target": ["b"], "pe": ["c"], "alignments": 3}, "output": {"x": 1}});
    bases.push(json!({
        "$schema": "kiwi-host.schema.json",
        "run": {"seed": 1, "experiment_name": "x", "output_dir": "out", "run_id": "0123456789abcdef0123456789ABCDEF",
            "use_mlflow": true, "mlflow_tracking_uri": "http://127.0.0.1:5000", "mlflow_always_log_artifacts": true},
        "trainer": {"resume": false, "epochs": 3, "max_steps": 10, "gradient_accumulation_steps": 4,
            "gradient_max_norm": 1, "main_metric": "target_PERP", "log_interval": 1, "log_save_interval": 2, "gpus": [0],
            "precision": 16, "amp_level": "O1", "batch_order": "corpus", "max_tokens_per_batch": 1000,
            "truncated_bptt_steps": 2, "on_nonfinite": "skip", "on_oom": "stop", "deterministic": true,
            "checkpoint": {"validation_steps": 5, "save_top_k": -1, "early_stop_patience": 0, "resume_interval": 7}},
        "data": {"train": corpus, "valid": {"news": corpus, "talks": corpus}, "test": corpus, "split": null,
            "max_length": {"source": 3, "target": null}, "buffer_size": 100},
        "system": {"class_name": "kiwi_encoders::Predictor", "load": null, "load_vocabs": null,
            "model": {
                "encoder": {"class_name": "PredictorEncoder", "share_embeddings": true, "out_embeddings_dim": null,
                    "embeddings": {"source": {"dim": 5}, "target": {"dropout": 0.5}, "source_pos": null},
                    "use_mismatch_features": false, "encode_source": true},
                "tlm_outputs": {"class_name": "kiwi-heads::TLMOutputs", "fine_tune": true}},
            "data_processing": {"share_input_fields_encoders": true, "embeddings": null,
                "vocab": {"min_frequency": {"source": 1}, "max_size": 10, "add_embeddings_vocab": false}},
            "optimizer": [
                {"class_name": "adamw", "learning_rate": 1, "parameters": ["encoder.*"], "warmup_steps": 0.1,
                    "training_steps": 100, "options": {"betas": [0.9, 0.99], "bias_correction": false}},
                {"class_name": "sgd", "learning_rate": 0.1, "parameters": ["*"], "learning_rate_decay": 0.5,
                    "options": {"momentum": 0.9, "nesterov": true}}],
            "metrics": ["NLL", "kiwi-metrics::PERP"], "batch_size": {"train": 3, "valid": null}, "num_data_workers": 0},
        "debug": true, "verbose": true, "quiet": false,
    }));
    let mut loaded = bases[0].clone();
    loaded["system"] = json!({"load": "system.safetensors", "model": 3, "optimizer": {"class_name": "noam", "learning_rate": 1,
        "warmup_steps": 4000}});
    bases.push(loaded);
    bases
}

/// Every place in a config, as JSON pointers.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| places(value, format!("{at}/{i}"), found));
        }
        _ => {}
    }
    found.push(at);
}

/// Every key that the schema knows, wherever.
fn keys(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|part| keys(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, found)),
        _ => {}
    }
}

fn pool() -> Vec<Value> {
    let corpus = json!({"input": {"source": "a", "target": "b"}});
    let mut pool = vec![
        json!({"a": corpus, "b": corpus}),
        json!({"a b": corpus}),
        json!({"größe": corpus}),
        json!({"input": {"source": ["a", "b"], "target": ["c"]}}),
        corpus,
        json!([{"class_name": "adam", "learning_rate": 1, "parameters": ["*"]}]),
        json!({"class_name": "adam", "learning_rate": 1}),
        json!({"class_name": "noam", "learning_rate": 1, "warmup_steps": 1, "parameters": null}),
    ];
    for text in [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "3",
        "16",
        "32",
        "1000001",
        "0.5",
        "1.0",
        "0.0",
        "1.5",
        "-0.5",
        "2.0",
        "32.0",
        "1e-9",
        "1e20",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "\"\"",
        "\"a\"",
        "\"bf16\"",
        "\"O0\"",
        "\"O1\"",
        "\"O2\"",
        "\"corpus\"",
        "\"random\"",
        "\"stop\"",
        "\"skip\"",
        "\"x\\u0000y\"",
        "\"{a\"",
        "\"0123456789abcdef0123456789abcdef\"",
        "\"http://name:secret@host\"",
        "[]",
        "[0]",
        "[1]",
        "[0, 1]",
        "[0.0]",
        "[1.0, 0.5]",
        "[0.9, 0.99]",
        "[\"a\"]",
        "[\"a\", \"a\"]",
        "[\"a\", \"b\"]",
        "[\"{a\"]",
        "[null]",
        "[{}]",
        "{}",
        "{\"source\": 1}",
        "{\"source\": 1, \"target\": null}",
        "{\"train\": 1}",
        "{\"train\": 1, \"valid\": null}",
        "{\"valid\": 1}",
        "{\"x\": 1}",
        "\"Predictor\"",
        "\"kiwi-encoders::Predictor\"",
        "\"PredictorEncoder\"",
        "\"kiwi_encoders::PredictorEncoder\"",
        "\"kiwi-heads::PredictorEncoder\"",
        "\"TLMOutputs\"",
        "\"adam\"",
        "\"adamw\"",
        "\"sgd\"",
        "\"noam\"",
        "\"kiwi_optimizers::sgd\"",
        "\"Adam\"",
        "\"NLL\"",
        "[\"NLL\", \"kiwi-metrics::NLL\"]",
        "[\"kiwi_metrics::NLL\"]",
        "[\"adam\"]",
    ] {
        pool.push(serde_json::from_str(text).unwrap());
    }
    pool
}

/// One change to a config.
#[derive(Debug, Clone)]
enum Change {
    /// Another value at a place.
    Replace(Index, Index),
    /// A key or an element less.
    Remove(Index),
    /// A key that is known somewhere, in some object.
    Add(Index, Index, Index),
    /// A key that is known nowhere.
    Unknown(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), index()).prop_map(|(place, value)| Change::Replace(place, value)),
        2 => index().prop_map(Change::Remove),
        4 => (index(), index(), index()).prop_map(|(place, key, value)| Change::Add(place, key, value)),
        1 => index().prop_map(Change::Unknown),
    ]
}

fn apply(config: &mut Value, change: &Change, keys: &[String], pool: &[Value]) {
    let mut all = Vec::new();
    places(config, String::new(), &mut all);
    let objects: Vec<String> =
        all.iter().filter(|place| config.pointer(place).is_some_and(Value::is_object)).cloned().collect();
    match change {
        Change::Replace(place, value) => {
            if let Some(place) = config.pointer_mut(place.get::<String>(&all)) {
                *place = value.get(pool).clone();
            }
        }
        Change::Remove(place) => {
            let (parent, last) = place.get::<String>(&all).rsplit_once('/').unwrap_or_default();
            match config.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(last)),
                Some(Value::Array(values)) => {
                    if let Some(index) = last.parse().ok().filter(|index| *index < values.len()) {
                        values.remove(index);
                    }
                }
                _ => {}
            }
        }
        Change::Add(..) | Change::Unknown(..) if objects.is_empty() => {}
        Change::Add(place, key, value) => {
            config.pointer_mut(place.get::<String>(&objects)).unwrap()[key.get::<String>(keys)] =
                value.get(pool).clone();
        }
        Change::Unknown(place) => config.pointer_mut(place.get::<String>(&objects)).unwrap()["zz"] = json!(1),
    }
}

#[test]
fn the_schema_is_sound_and_says_so_by_the_draft_it_names() {
    assert_eq!(JUDGES.schema["$schema"], json!(config::schema::DRAFT));
    assert!(jsonschema::meta::is_valid(&JUDGES.schema));
}

/// With `KIWI_UPDATE_SNAPSHOTS=1` the file is written anew, to be read before it is committed.
#[test]
fn the_shipped_schema_is_the_one_of_the_built_in_plugins() {
    let file = built::root().join("configs/kiwi-host.schema.json");
    if std::env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, format!("{:#}\n", JUDGES.schema)).unwrap();
    }
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(
        shipped == JUDGES.schema,
        "{} is not what `kiwi-host schema` prints: write it anew",
        file.display()
    );
}

#[test]
fn every_shipped_config_is_accepted_by_both() {
    for config in shipped() {
        assert_eq!(agree(&config), Ok(true));
        assert!(JUDGES.accepts_by_schema(&config));
    }
    let sound: Vec<bool> = bases().iter().map(|config| agree(config).unwrap()).collect();
    assert_eq!(sound.iter().filter(|sound| !**sound).count(), 1, "the system to load is not there");
}

/// Each place of the configs with all keys: what a random choice may miss.
#[test]
fn one_change_at_any_place() {
    const STRIDE: usize = 5;
    let (pool, mut accepted, mut total, mut wrong) = (pool(), 0, 0, Vec::new());
    let with_all_keys = bases().split_off(shipped().len());
    for base in with_all_keys {
        let mut all = Vec::new();
        places(&base, String::new(), &mut all);
        for (i, place) in all.iter().enumerate() {
            // Each value in turn: all of them at all places take minutes.
            for value in pool.iter().skip(i % STRIDE).step_by(STRIDE) {
                let mut config = base.clone();
                *config.pointer_mut(place).unwrap() = value.clone();
                total += 1;
                match agree(&config) {
                    Ok(sound) => accepted += usize::from(sound),
                    Err(error) => wrong.push(format!(
                        "{place} := {value}: {}",
                        error.split("\n{").next().unwrap_or_default()
                    )),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(accepted > 100 && accepted < total, "{accepted} of {total} are sound");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_to_a_config(base in any::<Index>(), changes in prop::collection::vec(change(), 1..4)) {
        static BASES: LazyLock<Vec<Value>> = LazyLock::new(bases);
        static POOL: LazyLock<Vec<Value>> = LazyLock::new(pool);
        static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
            let mut found = Vec::new();
            keys(&JUDGES.schema, &mut found);
            found.sort();
            found.dedup();
            found
        });
        let mut config = base.get(&BASES).clone();
        for change in &changes {
            apply(&mut config, change, &KEYS, &POOL);
        }
        if let Err(error) = agree(&config) {
            prop_assert!(false, "{error}");
        }
    }
}

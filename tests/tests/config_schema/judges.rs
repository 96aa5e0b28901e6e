//! The two judges of a config: a stock validator with the schema that the program prints, and the program's own stages before any corpus is
//! read, with the built-in plugins opened.

use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use kiwi_core::config::{self, OptimizerSection, WarmupSteps, schema::unsaid};
use kiwi_core::diagnostic::{Diagnostic, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::plan;
use kiwi_core::plugins::search::{SearchPath, Sources};
use kiwi_core::plugins::{Kind, Registry};
use kiwi_plugin_api::abi::host::{ComponentHandle, Plugin};
use kiwi_plugin_api::{ScheduleKeys, Warmup};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// Everything that a config is judged by.
pub(crate) struct Judges {
    /// Holds the plugins.
    _work: Workplace,
    pub(crate) schema: Value,
    pub(crate) validator: Validator,
    registry: Registry,
    opened: Vec<Plugin>,
}

// Tests of one process share what takes long to make.
pub(crate) static JUDGES: LazyLock<Judges> = LazyLock::new(|| {
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
pub(crate) struct Refusal {
    pub(crate) complaint: Diagnostic,
    of_schedule: bool,
}

impl Judges {
    pub(crate) fn accepts_by_schema(&self, config: &Value) -> bool {
        self.validator.is_valid(config)
    }

    /// The errors that the program has before any corpus is read: the stages of `check`.
    pub(crate) fn refusals(&self, config: &Value) -> Vec<Refusal> {
        let errors = |all: Vec<Diagnostic>| -> Vec<Refusal> {
            let errors = all.into_iter().filter(|one| one.severity == Severity::Error);
            errors.map(|complaint| Refusal { complaint, of_schedule: false }).collect()
        };
        let loaded = match config::load_text(Path::new("config.json"), &config.to_string()) {
            Ok(loaded) => loaded,
            Err(invalid) => return errors(invalid.complaints),
        };
        let plan = match plan::resolve(&loaded.config, &loaded.document, self.registry.clone(), false) {
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
                let mut complaint = Diagnostic::error(Code::ComponentOption, problem.message).at(path);
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
    let refusal = |message: String, of_schedule| Refusal {
        complaint: Diagnostic::error(Code::Schedule, message),
        of_schedule,
    };
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
pub(crate) fn rule_of(refusal: &Refusal, config: &Value) -> Option<&'static str> {
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

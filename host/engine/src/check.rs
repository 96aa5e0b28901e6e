//! `kiwi-host check CONFIG`: everything that a run finds out before its first step, and nothing trained. What a run would
//! need of memory is found by trying: a few batches of all sizes are trained on, and what comes of it is thrown away.

use std::time::Instant;

use kiwi_core::config::RunConfig;
use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, Plan, ResolvedComponent};
use kiwi_core::request::{CheckRequest, Format, Verbosity};
use kiwi_plugin_api::torch_ext::gradients;
use kiwi_text::{Batch, Field};
use serde_json::{Value, json};

use crate::assembly::{Assembly, assemble};
use crate::checkpoint::{CopiedTensors, RunDirectory};
use crate::data::{Data, counted, invalid};
use crate::machine;
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::system::{System, Tally, ordering_name, running};
use crate::torch::{Purpose, autocast, device_name, seed_for, set_threads, to_tensors};
use crate::training::{self, Mode, failed};

/// `kiwi-host check CONFIG`.
pub(crate) fn check(request: &CheckRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let plan = plan::prepare(&request.train).map_err(|unprepared| unprepared.failure)?;
    let directory = match plan.config.trainer.resume {
        true => RunDirectory::to_resume(&plan.config)?,
        false => RunDirectory::choose(&plan.config)?,
    };
    // The findings are the output; warnings alone go to standard error.
    let mut report = Report::new(outlet, &request.train.common, Verbosity::Quiet);
    report.remember_warnings();
    report.warnings(plan.warnings.clone());
    set_threads(&request.train.common);
    let mut findings = report.until_done(|report| {
        let mut assembly = assemble(&plan, &mut Ranks::alone(), report)?;
        let trial = try_batches(&plan.config, &mut assembly)?;
        let findings = Findings::new(&plan, &assembly, &trial, &directory);
        report.warnings(assembly.optimizers.close());
        report.warnings(assembly.system.close());
        Ok(findings)
    })?;
    let warnings = report.warned().iter().map(Diagnostic::to_json).collect();
    findings.set("warnings", Value::Array(warnings));
    match request.format {
        Format::Json => outlet.data(data_format::line(Value::Object(findings.json))),
        Format::Human => {
            let width = findings.lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
            let mut last = "";
            for (label, text) in &findings.lines {
                let shown = if *label == last { "" } else { *label };
                outlet.data(format!("{shown:width$}  {text}"));
                last = label;
            }
        }
    }
    Ok(ExitCode::Success)
}

/// Batches that are tried.
const TRIED: usize = 12;

/// What the batches took.
struct Trial {
    /// Largest memory of the process so far, in bytes; `None` where the system does not tell.
    peak: Option<u64>,
    /// Seconds that a training step on the largest batch took.
    step: f64,
    /// Mean seconds of a step on batches of all sizes; `None` where none was tried but the largest.
    mean_step: Option<f64>,
    /// Pairs, source and target width of the largest training batch.
    largest: (usize, usize, usize),
}

/// Trains on batches of all sizes and validates on the largest.
fn try_batches(config: &RunConfig, assembly: &mut Assembly) -> Result<Trial, Failure> {
    let Assembly { system, optimizers, data } = assembly;
    let training =
        Data { corpus: data.train.corpus(), plan: data.train.plan(0).map_err(|error| invalid(&error))? };
    let mode = Mode::of(config);
    let parameters = system.trainable();
    let (mut step, mut largest) = (0.0, (0, 0, 0));
    let mut seconds = Vec::new();
    let tried = tried_batches(&training);
    for (index, batch) in tried.iter().enumerate() {
        let Some(batch) = training.plan.batch(*batch).map(|pairs| Batch::new(&training.corpus, pairs)) else {
            continue;
        };
        let started = Instant::now();
        tch::manual_seed(seed_for(mode.seed, Purpose::Training(0), 0).cast_signed());
        forward(system, &batch, mode, true)?;
        optimizers.step(0).map_err(|error| running(&error))?;
        gradients::clear_gradients(&parameters).map_err(|error| failed(error.into()))?;
        wait_for(system)?;
        seconds.push(started.elapsed().as_secs_f64());
        if index + 1 == tried.len() {
            step = started.elapsed().as_secs_f64();
            largest = (batch.pairs.len(), batch.source.width, batch.target.width);
        }
    }
    for set in &data.valid {
        // A validation batch leaves nothing behind, so that the largest alone matters.
        let largest = tried_batches(&set.data).last().and_then(|batch| set.data.plan.batch(*batch));
        if let Some(pairs) = largest {
            let batch = Batch::new(&set.data.corpus, pairs);
            tch::no_grad(|| forward(system, &batch, mode, false))?;
        }
    }
    // What is saved while training goes on is copied before.
    let parameters = system.parameters().iter();
    let copied = CopiedTensors::of(parameters.map(|one| (one.name.as_str(), &one.tensor))).map_err(failed)?;
    let states = optimizers.states(1)?;
    drop((copied, states));
    // The first takes memory that the others find there; the last is the largest once more.
    let timed = seconds.get(1..seconds.len().saturating_sub(1)).unwrap_or_default();
    let mean_step = (!timed.is_empty()).then(|| timed.iter().sum::<f64>() / timed.len() as f64);
    Ok(Trial { peak: machine::peak(), step, mean_step, largest })
}

/// Waits until the device has computed all that it was told to.
fn wait_for(system: &System) -> Result<(), Failure> {
    let parameter = system.parameters().iter().find(|parameter| parameter.tensor.numel() > 0);
    if let Some(parameter) = parameter.filter(|_| system.device().is_cuda()) {
        let number = || parameter.tensor.f_detach()?.f_view([-1])?.f_narrow(0, 0, 1)?.f_double_value(&[0]);
        number().map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

fn forward(system: &mut System, batch: &Batch, mode: Mode, training: bool) -> Result<(), Failure> {
    system.reset_state(training).map_err(|error| running(&error))?;
    let tensors = to_tensors(batch, system.device()).map_err(failed)?;
    let output = {
        let _precision = autocast(mode.precision, system.device()).map_err(failed)?;
        system.forward(&tensors, training).map_err(|error| running(&error))?
    };
    let mut tally = Tally::default();
    system.metrics.add(&mut tally, &output).map_err(|error| running(&error))?;
    if training {
        system.backward(&output.loss)?;
    }
    Ok(())
}

/// Batches of all sizes, spread evenly from small to large and mixed, the largest first and last: memory is taken in other
/// pieces for each size, so that the largest alone does not tell what a run takes. A batch's size is that of what attention
/// computes, a number for each pair of a source and a target position, padding counted.
fn tried_batches(data: &Data) -> Vec<usize> {
    let size = |pairs: &[u32]| {
        let width =
            |field| pairs.iter().map(|pair| data.corpus.sentence(*pair as usize, field).len() + 2).max();
        pairs.len() * width(Field::Source).unwrap_or(0) * width(Field::Target).unwrap_or(0)
    };
    let mut by_size: Vec<(usize, usize)> = data.plan.batches().map(size).zip(0..).collect();
    by_size.sort_unstable_by(|a, b| b.cmp(a));
    let count = TRIED.min(by_size.len());
    let spread = (0..count).map(|i| by_size[i * (by_size.len() - 1) / count.saturating_sub(1).max(1)].1);
    // Large and small in turn.
    let spread: Vec<usize> = spread.collect();
    let (large, small) = spread.split_at(count.div_ceil(2));
    let mut tried: Vec<usize> = Vec::with_capacity(count + 1);
    for i in 0..large.len() {
        tried.extend(large.get(i));
        tried.extend(small.get(i));
    }
    tried.extend(spread.first());
    tried
}

/// What was found, for people and for programs.
struct Findings {
    lines: Vec<(&'static str, String)>,
    json: serde_json::Map<String, Value>,
}

impl Findings {
    fn new(plan: &Plan, assembly: &Assembly, trial: &Trial, directory: &RunDirectory) -> Self {
        let mut findings = Self { lines: Vec::new(), json: serde_json::Map::new() };
        findings.components(plan, &assembly.system);
        findings.data(assembly);
        findings.training(&plan.config, assembly);
        findings.keeping(&plan.config);
        findings.trial(trial, &assembly.system);
        findings.duration(trial, &plan.config, assembly);
        let directory = directory.path().display().to_string();
        findings.say("output", directory.clone());
        findings.set("output_dir", json!(directory));
        findings
    }

    fn say(&mut self, label: &'static str, text: impl Into<String>) {
        self.lines.push((label, text.into()));
    }

    fn set(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }

    fn components(&mut self, plan: &Plan, system: &System) {
        self.say("system", plan.system.clone());
        self.set("system", json!(plan.system));
        let parts = [
            ("encoder", &plan.encoder, Some(system.count("encoder."))),
            ("head", &plan.head, Some(system.count("tlm_outputs."))),
        ];
        let optimizers = plan.optimizers.iter().map(|optimizer| ("optimizer", optimizer, None));
        let metrics = plan.metrics.iter().map(|metric| ("metric", metric, None));
        let mut all = Vec::new();
        for (label, component, count) in parts.iter().copied().chain(optimizers).chain(metrics) {
            let ResolvedComponent { class, plugin, version, file, sha256, .. } = component;
            let mut text = format!("{class} of plugin {plugin} {version} ({})", file.display());
            match count {
                None => {}
                Some((0, 0)) => text += ", no parameters",
                Some((trainable, frozen)) => {
                    text += &format!(", {} to train, {frozen} frozen", counted(trainable, "parameter"));
                }
            }
            self.say(label, text);
            all.push(json!({
                "kind": label, "class_name": class, "plugin": plugin, "version": version, "file": file, "sha256": sha256,
                "parameters": count.map(|(trainable, frozen)| json!({"trainable": trainable, "frozen": frozen})),
            }));
        }
        self.set("components", Value::Array(all));
        let (mut trainable, mut frozen) = (0, 0);
        for (of_part, fixed) in parts.iter().filter_map(|(_, _, count)| *count) {
            trainable += of_part;
            frozen += fixed;
        }
        self.say("model", format!("{} to train, {frozen} frozen", counted(trainable, "parameter")));
        self.set("parameters", json!({"trainable": trainable, "frozen": frozen}));
    }

    fn data(&mut self, assembly: &Assembly) {
        let summary = &assembly.data.summary;
        for line in summary.lines() {
            self.say("data", line);
        }
        let vocabularies = summary.vocabularies.iter().map(|one| one.to_json()).collect();
        self.set("vocabularies", Value::Array(vocabularies));
        self.set("corpora", Value::Array(summary.corpora.iter().map(|one| one.to_json()).collect()));
    }

    fn training(&mut self, config: &RunConfig, assembly: &Assembly) {
        let batches = assembly.data.train.batches();
        self.say("training", training::extent(config, batches, assembly.data.train.epochs_are_alike()));
        let schedules = assembly.optimizers.describe();
        for line in &schedules {
            self.say("training", line.clone());
        }
        let metrics = &assembly.system.metrics;
        let ordering = ordering_name(metrics.main_ordering());
        let set = assembly.data.valid.first();
        let name_of = |name: String| set.map_or_else(|| name.clone(), |set| set.name_of(&name));
        let main = metrics.main_name().map(name_of);
        self.say(
            "metrics",
            format!(
                "{} (main metric {}, {ordering})",
                metrics.names().join(", "),
                main.clone().unwrap_or_default()
            ),
        );
        let device = device_name(assembly.system.device());
        self.say("device", format!("{device}, {}", counted(tch::get_num_threads().unsigned_abs(), "thread")));
        self.set("device", json!(device));
        self.set("threads", json!(tch::get_num_threads()));
        self.set("metrics", json!(metrics.names()));
        self.set("main_metric", json!({"name": main, "ordering": ordering}));
        self.set(
            "training",
            json!({
                "epochs": config.trainer.epochs,
                "batches_per_epoch": batches,
                "optimizer_steps_per_epoch": training::steps_an_epoch(config, batches),
                "optimizer_steps": training::steps(config, batches),
                "batches_between_validations": training::Interval::new(config, batches).every(),
                "schedules": schedules,
            }),
        );
    }

    /// What is kept of the run, and when it ends before its time.
    fn keeping(&mut self, config: &RunConfig) {
        let checkpoint = &config.trainer.checkpoint;
        self.say(
            "saving",
            match checkpoint.save_top_k {
                0 => "no system: save_top_k is 0".to_owned(),
                1 => "the best system by the main metric, after each validation that improves it".to_owned(),
                k if k < 0 => "the system after each validation".to_owned(),
                k => format!("the {k} best systems by the main metric, after validations"),
            },
        );
        self.say(
            "saving",
            match checkpoint.resume_interval {
                None => "a point to resume from after each validation, at the end and on a signal".to_owned(),
                Some(steps) => format!(
                    "a point to resume from every {}, at the end and on a signal",
                    counted(steps, "optimizer step")
                ),
            },
        );
        self.say(
            "stopping",
            match checkpoint.early_stop_patience {
                0 => "after the last epoch, never before (early_stop_patience is 0)".to_owned(),
                n => format!(
                    "after the last epoch, or {} in a row without improvement",
                    counted(n, "validation")
                ),
            },
        );
        self.set(
            "saving",
            json!({
                "save_top_k": checkpoint.save_top_k,
                "resume_interval": checkpoint.resume_interval,
                "early_stop_patience": checkpoint.early_stop_patience,
            }),
        );
    }

    /// How long training takes, by the batches that were tried.
    fn duration(&mut self, trial: &Trial, config: &RunConfig, assembly: &Assembly) {
        let batches = assembly.data.train.batches();
        let an_epoch = training::steps_an_epoch(config, batches).max(1);
        // Whole batches, of which the last step of an epoch may have fewer.
        let all = training::steps(config, batches) as f64 * batches as f64 / an_epoch as f64;
        let seconds = trial.mean_step.map(|mean| mean * all);
        if let (Some(mean), Some(seconds)) = (trial.mean_step, seconds) {
            self.say(
                "time",
                format!(
                    "about {} of training, validations not counted: {mean:.3} s a batch, the mean over batches of all sizes",
                    duration(seconds)
                ),
            );
        }
        self.set("time", json!({"batch_seconds": trial.mean_step, "training_seconds": seconds}));
    }

    fn trial(&mut self, trial: &Trial, system: &System) {
        let bytes: usize =
            system.parameters().iter().map(|p| p.tensor.numel() * p.tensor.kind().elt_size_in_bytes()).sum();
        let (pairs, source, target) = trial.largest;
        let mebibytes = |bytes: u64| format!("{:.0} MiB", bytes as f64 / 1_048_576.0);
        let peak = trial
            .peak
            .map_or_else(|| "unknown on this system".to_owned(), |peak| format!("about {}", mebibytes(peak)));
        self.say(
            "memory",
            format!(
                "{peak} at the peak, measured by training on {TRIED} batches of all sizes; {} of {} parameters; the largest batch has {} of {source} source and {target} target \
                 positions",
                mebibytes(bytes as u64),
                if system.device().is_cuda() { "the GPU's, not counted here, are" } else { "it" },
                counted(pairs, "pair"),
            ),
        );
        self.say("speed", format!("{:.3} s for a step on the largest batch", trial.step));
        self.set("memory", json!({"peak_bytes": trial.peak, "parameter_bytes": bytes}));
        self.set("largest_batch", json!({
            "pairs": pairs, "source_positions": source, "target_positions": target, "step_seconds": trial.step,
        }));
    }
}

/// Seconds in the units that people plan by.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match seconds {
        ..90.0 => format!("{:.0} s", seconds.max(1.0)),
        ..5400.0 => format!("{minutes} min"),
        _ if minutes < 48 * 60 => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_in_units_that_people_plan_by() {
        let told = [0.2, 89.0, 600.0, 12_345.0, 259_200.0].map(duration);
        assert_eq!(told, ["1 s", "89 s", "10 min", "3 h 26 min", "3.0 days"]);
    }
}

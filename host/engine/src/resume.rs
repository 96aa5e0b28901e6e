//! Resuming a run: which resume point, and whether config, corpora and plugins are still those of the run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiwi_core::config::RunConfig;
use kiwi_core::config::changes::{Change, changes};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{Plan, ResolvedComponent};
use kiwi_text::Vocabularies;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{ResumePoint, RunDirectory, resume_point};
use crate::data::{TrainingData, counted};
use crate::ranks::Ranks;
use crate::training::TrainingState;

/// A plugin's component as a run used it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Component {
    class: String,
    plugin: String,
    version: String,
    sha256: String,
}

/// What must be the same for a resumed run to end as if it had never ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    run_id: String,
    config: Value,
    /// By their roles.
    components: BTreeMap<String, Component>,
    /// Hashes of the pairs that are used, by what they are for.
    corpora: BTreeMap<String, String>,
    /// Hashes of other files that the run began from, by the keys that name them.
    files: BTreeMap<String, String>,
    vocabularies: String,
    kiwi_host: String,
    threads: u64,
    /// Processes that train together.
    #[serde(default = "alone")]
    ranks: u32,
}

fn alone() -> u32 {
    1
}

/// A point to go on from.
pub(crate) type Point = ResumePoint<Identity, TrainingState>;

/// Something that is not as it was.
struct Changed {
    what: String,
    before: String,
    now: String,
}

impl Identity {
    /// That of a run. `unnamed` are the components that the config does not name, by the names of their metrics.
    ///
    /// # Errors
    /// When the config cannot be written as JSON.
    pub(crate) fn new(
        run_id: &str,
        plan: &Plan,
        unnamed: &[(String, ResolvedComponent)],
        data: &TrainingData,
        threads: u64,
        ranks: u32,
    ) -> Result<Self, serde_json::Error> {
        let mut components = components(plan);
        components.extend(unnamed.iter().map(|(name, one)| (format!("metric {name}"), component(one))));
        Ok(Self {
            run_id: run_id.to_owned(),
            config: config_of(&plan.config)?,
            components,
            corpora: data.hashes.clone(),
            files: files(&plan.config),
            vocabularies: hash_of(&data.vocabularies),
            kiwi_host: env!("CARGO_PKG_VERSION").to_owned(),
            threads,
            ranks,
        })
    }

    /// The run.
    pub(crate) fn run_id(&self) -> &str {
        &self.run_id
    }
}

/// Looks for the point that the run in `directory` is to be resumed from, and compares config and plugins with those of the run.
/// Without a point the run begins anew. What is worth knowing comes back as well.
///
/// # Errors
/// All that has changed, unless `allow_changed`; then it is worth knowing.
pub(crate) fn find(
    directory: &RunDirectory,
    plan: &Plan,
    allow_changed: bool,
) -> Result<(Option<Point>, Vec<Diagnostic>), Failure> {
    let folder = directory.resume_points();
    let (point, broken) = resume_point::newest::<Identity, TrainingState>(&folder);
    let told = |(file, problem): &(PathBuf, String)| format!("{}: {problem}", file.display());
    let Some(point) = point else {
        // One that was killed before its first resume point has an empty folder for them.
        let lost = !folder.is_dir() && directory.checkpoints().join("index.json").is_file();
        if !broken.is_empty() || lost || directory.path().join("summary.json").is_file() {
            let mut error = Diagnostic::error(Code::NothingToResume, "there is no resume point that can be used")
                .at("run.output_dir")
                .found(format!("none in {}", folder.display()))
                .expected("a file after-N-batches.safetensors")
                .help("begin a new run elsewhere with --output-dir; system.load takes a saved system's parameters over");
            error.notes = broken.iter().map(told).collect();
            return Err(Failure::new(ExitCode::Invalid, error));
        }
        return Ok((None, remove_partial(directory)));
    };
    let now = config_of(&plan.config).map_err(|error| {
        Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::OptimizerState, format!("the config cannot be compared: {error}")),
        )
    })?;
    let absent = || "absent".to_owned();
    let mut changed: Vec<_> = changes(&point.identity.config, &now)
        .into_iter()
        .map(|Change { path, before, now }| Changed {
            what: path,
            before: before.unwrap_or_else(absent),
            now: now.unwrap_or_else(absent),
        })
        .collect();
    changed.extend(changed_plugins(&point.identity.components, &components(plan)));
    let mut warnings: Vec<_> = broken
        .iter()
        .map(|one| {
            let warning = Diagnostic::warning(
                Code::ResumePointSkipped,
                format!("a resume point cannot be used: {}", told(one)),
            );
            warning.note("the one before it is taken").help("the file is renamed to end with .damaged")
        })
        .collect();
    warnings.extend(judge(changed, allow_changed, plan)?);
    let broken: Vec<_> = broken.into_iter().map(|(file, _)| file).collect();
    resume_point::set_aside(&broken);
    warnings.extend(remove_partial(directory));
    Ok((Some(point), warnings))
}

fn remove_partial(directory: &RunDirectory) -> Vec<Diagnostic> {
    let removed = directory.remove_partial_files();
    let told = (removed > 0).then(|| {
        Diagnostic::warning(
            Code::ResumePointSkipped,
            format!(
                "{} whose writing was interrupted: removed from {}",
                counted(removed, "incomplete file"),
                directory.path().display()
            ),
        )
    });
    told.into_iter().collect()
}

/// Compares what was read with what the run read.
///
/// # Errors
/// All that has changed, unless `allow_changed`; then it is worth knowing.
pub(crate) fn compare(
    before: &Identity,
    now: &Identity,
    plan: &Plan,
    allow_changed: bool,
) -> Result<Vec<Diagnostic>, Failure> {
    // Those that the config names were compared before anything was read.
    let compared = components(plan);
    let mut unnamed = before.components.clone();
    unnamed.retain(|role, _| !compared.contains_key(role));
    let mut changed = changed_plugins(&unnamed, &now.components);
    changed.extend(changed_files(before, now));
    let mut warnings = judge(changed, allow_changed, plan)?;
    for (what, before, now) in [
        ("the version of kiwi-host", before.kiwi_host.clone(), now.kiwi_host.clone()),
        ("the number of threads", before.threads.to_string(), now.threads.to_string()),
        ("the number of processes", before.ranks.to_string(), now.ranks.to_string()),
    ] {
        if before != now {
            warnings.push(Diagnostic::warning(Code::OtherMachine, format!(
                "{what} was {before} and is {now}: the run goes on, but its numbers may differ by rounding from those of a run that \
                 never ended"
            )));
        }
    }
    Ok(warnings)
}

/// Corpora, files and vocabularies that are not the same.
fn changed_files(before: &Identity, now: &Identity) -> Vec<Changed> {
    let short = |hash: &str| hash.chars().take(16).collect::<String>();
    let mut changed = Vec::new();
    let mut compare = |what: String, before: &str, now: Option<&String>| {
        let now = now.map_or("absent", String::as_str);
        if now != before {
            changed.push(Changed { what, before: short(before), now: short(now) });
        }
    };
    for (what, hash) in &before.corpora {
        compare(format!("the {what} corpus"), hash, now.corpora.get(what));
    }
    for (key, hash) in &before.files {
        compare(format!("the file of {key}"), hash, now.files.get(key));
    }
    if changed.is_empty() && before.vocabularies != now.vocabularies {
        let (before, now) = (short(&before.vocabularies), short(&now.vocabularies));
        changed.push(Changed { what: "the vocabularies".to_owned(), before, now });
    }
    changed
}

/// Refuses ranks that would not train the same system: of another config, other plugins or corpora, or that go on from elsewhere than
/// rank 0 (after `resumed_at` optimizer steps). Called by all.
///
/// # Errors
/// What the first rank that differs has otherwise than rank 0; or a rank is gone.
pub(crate) fn same_on_all(
    ranks: &mut Ranks,
    mine: &Identity,
    resumed_at: Option<u64>,
) -> Result<(), Failure> {
    let told = ranks.exchange((mine.clone(), resumed_at))?;
    let Some(((first, first_at), others)) = told.split_first() else { return Ok(()) };
    let version = |identity: &Identity| format!("kiwi-host {}", identity.kiwi_host);
    for (rank, (other, at)) in (1..).zip(others) {
        let absent = || "absent".to_owned();
        let mut different: Vec<_> = changes(&first.config, &other.config)
            .into_iter()
            .map(|Change { path, before, now }| Changed {
                what: format!("`{path}`"),
                before: before.unwrap_or_else(absent),
                now: now.unwrap_or_else(absent),
            })
            .collect();
        different.extend(changed_plugins(&first.components, &other.components));
        different.extend(changed_files(first, other));
        let begins = |at: &Option<u64>| match at {
            None => "a new run".to_owned(),
            Some(step) => format!("a resume point after {}", counted(*step, "optimizer step")),
        };
        for (what, before, now) in [
            ("the program", version(first), version(other)),
            ("what it begins from", begins(first_at), begins(at)),
        ] {
            if before != now {
                different.push(Changed { what: what.to_owned(), before, now });
            }
        }
        if different.is_empty() {
            continue;
        }
        let complaints = different.into_iter().map(|Changed { what, before, now }| {
            Diagnostic::error(Code::RanksDiffer, format!("{what} is not the same on all ranks"))
                .found(format!("on rank {rank}: {now}"))
                .expected(format!("as on rank 0: {before}"))
                .help("give all machines the same config, corpora, plugins and directory of the run")
        });
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: complaints.collect() });
    }
    Ok(())
}

fn judge(changed: Vec<Changed>, allow_changed: bool, plan: &Plan) -> Result<Vec<Diagnostic>, Failure> {
    let told = changed.into_iter().map(|Changed { what, before, now }| {
        let message = if what.starts_with("the ") {
            format!("{what} has changed since the run began")
        } else {
            format!("`{what}` has changed since the run began")
        };
        let diagnostic = if allow_changed {
            Diagnostic::warning(Code::ChangedSince, message)
        } else {
            Diagnostic::error(Code::ChangedSince, message)
        };
        let diagnostic = diagnostic.found(now).expected(before);
        let diagnostic =
            if what.starts_with("the ") { diagnostic } else { plan.document.place(diagnostic.at(what)) };
        if allow_changed {
            diagnostic
        } else {
            diagnostic
                .help("put it back as it was, begin a new run, or go on all the same with --allow-changed")
        }
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() || allow_changed {
        Ok(told)
    } else {
        Err(Failure { exit: ExitCode::Invalid, diagnostics: told })
    }
}

fn config_of(config: &RunConfig) -> Result<Value, serde_json::Error> {
    serde_json::to_value(config)
}

fn components(plan: &Plan) -> BTreeMap<String, Component> {
    let optimizers = plan.optimizers.iter().enumerate().map(|(i, one)| (format!("optimizer {i}"), one));
    let metrics = plan.metrics.iter().enumerate().map(|(i, one)| (format!("metric {i}"), one));
    let parts = [("encoder".to_owned(), &plan.encoder), ("head".to_owned(), &plan.head)];
    let all = parts.into_iter().chain(optimizers).chain(metrics);
    all.map(|(role, one)| (role, component(one))).collect()
}

fn component(resolved: &ResolvedComponent) -> Component {
    Component {
        class: resolved.class.clone(),
        plugin: resolved.plugin.clone(),
        version: resolved.version.clone(),
        sha256: resolved.sha256.clone(),
    }
}

/// The components that now come from other plugins. That there is another component or none is told by the config.
fn changed_plugins(before: &BTreeMap<String, Component>, now: &BTreeMap<String, Component>) -> Vec<Changed> {
    let changed = before.iter().filter_map(|(role, before)| {
        let now = now.get(role).filter(|now| now.class == before.class && *now != before)?;
        let what = format!("the plugin of the {role} `{}`", before.class);
        Some(Changed { what, before: described(before), now: described(now) })
    });
    changed.collect()
}

/// Hashes of the files that a config begins from; one that cannot be read any more has none.
fn files(config: &RunConfig) -> BTreeMap<String, String> {
    let system = config.system.load.as_ref().map(|file| ("system.load".to_owned(), file));
    let optimizers = config.system.optimizers.iter();
    let optimizers = optimizers.filter_map(|one| Some((one.path_of("load"), one.load.as_ref()?)));
    let hash = |(key, file): (String, &PathBuf)| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(file).ok()?).ok()?;
        Some((key, hasher.finalize().to_hex().to_string()))
    };
    system.into_iter().chain(optimizers).filter_map(hash).collect()
}

fn described(component: &Component) -> String {
    let Component { plugin, version, sha256, .. } = component;
    let short: String = sha256.chars().take(16).collect();
    format!("{plugin} {version}, SHA-256 {short}…")
}

fn hash_of(vocabularies: &Vocabularies) -> String {
    let mut hasher = blake3::Hasher::new();
    for vocabulary in [&vocabularies.source, &vocabularies.target] {
        for word in vocabulary.words() {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        hasher.update(&u64::MAX.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

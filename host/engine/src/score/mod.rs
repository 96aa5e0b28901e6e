//! `kiwi-host score SYSTEM`: each pair of a parallel corpus with the negative log-likelihood of its target words, or the pairs that
//! are likely enough, in memory that does not grow with the corpus.
//!
//! A thread reads the pairs in windows and divides each into [`batches`]; [`workers`] compute their [`figures`]; [`pipeline`] puts
//! them back into the order of the corpus. From there they go out by [`sink`]: as [`lines`], or by [`selection`], to standard output
//! or to [`files`] that a killed job goes on with.

mod batches;
mod figures;
mod files;
mod lines;
mod pace;
mod pipeline;
mod selection;
mod sink;
mod workers;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::SystemRequest;
use kiwi_core::scoring::{KeepRule, MAX_LENGTH, Scoring};
use kiwi_text::{PairInput, PairReader};
use serde_json::{Map, Value, json};
use tch::Device;

use crate::data::invalid;
use crate::evaluate::Prepared;
use crate::outlet::Outlet;
use crate::report::Report;
use crate::signals;
use crate::system::{Limit, System};
use crate::training::failed;
use batches::Batches;
use files::{Begun, Files};
use pace::{Pace, duration};
use pipeline::{End, Pipeline, Said};
use sink::Sink;

pub(crate) use figures::of_batch;
pub(crate) use lines::with_words;

/// `kiwi-host score SYSTEM --source F --target F`, or `--input F`.
pub(crate) fn score(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    let scoring = request.scoring.clone().unwrap_or_default();
    let result = report.until_done(|report| run(request, &scoring, outlet, report));
    report.clear_bar();
    result
}

fn run(
    request: &SystemRequest,
    scoring: &Scoring,
    outlet: &Outlet,
    report: &mut Report<'_>,
) -> Result<ExitCode, Failure> {
    let begun = files::look(scoring)?;
    if let Begun::All = begun {
        report.note("nothing to do: the files are there and complete");
        return Ok(ExitCode::Success);
    }
    if scoring.writes_files() {
        take_care_of_signals(outlet, &begun)?;
    }
    let mut prepared = Prepared::new(request, true, report)?;
    let input = input(request, scoring, &prepared);
    let reader = PairReader::open(&input).map_err(|error| invalid(&error))?;
    let (from, to) = range(scoring, &reader)?;
    let systems = systems(scoring, &mut prepared, report)?;
    let batches = Batches {
        pairs: prepared.plan.options.batch_size,
        max_length: scoring.max_length.or(scoring.writes_files().then_some(MAX_LENGTH)),
        limits: prepared.wanted.longest.iter().map(Limit::for_good).collect(),
    };
    let files = match scoring.writes_files() {
        true => {
            let job = job(request, scoring, &prepared, &batches, &reader)?;
            Some(Files::open(scoring, job, from, &begun)?)
        }
        false => None,
    };
    if files.is_some() {
        signals::resumable();
        signals::watch();
    }
    let mut sink = Sink::new(scoring, from, files, outlet);
    let threads = (tch::get_num_threads().unsigned_abs() as usize / systems.len()).max(1);
    let tolerant = scoring.writes_files() || scoring.max_length.is_some();
    if sink.begun_at_pair() > from {
        report.note(format!("goes on after {} pairs", sink.begun_at_pair() - from));
    }
    let vocabularies = prepared.vocabularies.clone();
    let mut pace = Pace::new(sink.begun_at_pair(), to);
    if !sink.is_complete() {
        let pipeline = Pipeline {
            batches,
            precision: prepared.mode().precision,
            threads,
            tolerant,
            from: sink.next(),
            to,
        };
        match pipeline.run(reader, vocabularies.clone(), systems, &mut sink, &mut pace, report)? {
            End::Done(warnings) => report.warnings(warnings),
            End::Interrupted(signal) => return interrupted(signal, sink, &pace, report),
        }
        if let Some(signal) = sink.keep_best(&input, &vocabularies, to, report)? {
            return interrupted(signal, sink, &pace, report);
        }
    }
    let rate = pace.words_per_second();
    let (summary, seconds) = (sink.summary(), sink.seconds(&pace));
    let wrote = sink.finish(&pace)?;
    signals::done();
    if wrote {
        report.clear_bar();
        report.note(format!("{summary}; {} at {rate:.0} target words/s", duration(seconds)));
    }
    Ok(ExitCode::Success)
}

/// From now on a signal lets what was done be saved.
fn take_care_of_signals(outlet: &Outlet, begun: &Begun) -> Result<(), Failure> {
    signals::call_it("scoring");
    if matches!(begun, Begun::Part(_)) {
        signals::resumable();
    }
    signals::install().map_err(|error| {
        let error =
            Diagnostic::error(Code::MachineLimits, format!("signals cannot be taken care of: {error}"));
        Failure::new(ExitCode::RunFailed, error)
    })?;
    outlet.signals_taken();
    Ok(())
}

fn interrupted(
    signal: &str,
    mut sink: Sink<'_>,
    pace: &Pace,
    report: &mut Report<'_>,
) -> Result<ExitCode, Failure> {
    sink.save(pace)?;
    report.clear_bar();
    report.note(format!(
        "interrupted by {signal} after {} pairs; to go on: the same command with --resume",
        sink.done()
    ));
    Ok(ExitCode::InterruptedResumable)
}

fn input(request: &SystemRequest, scoring: &Scoring, prepared: &Prepared) -> PairInput {
    match &scoring.input {
        Some(file) => PairInput::Lines(file.clone()),
        None => PairInput::Sides {
            source: request.source.clone(),
            target: request.target.clone(),
            post_edit: prepared.post_edit(request),
        },
    }
}

/// The pairs that are scored: from, and to where that is known.
fn range(scoring: &Scoring, reader: &PairReader) -> Result<(u64, Option<u64>), Failure> {
    let wants_size = |option: &str| {
        let error =
            Diagnostic::error(Code::Arguments, format!("{option} needs a corpus that can be read twice"));
        let error = error.found("standard input, a pipe, or a compressed file");
        let error =
            error.expected("text files").help("write the corpus to files, decompressed, and give those");
        Failure::new(ExitCode::Invalid, error)
    };
    let best = scoring.keep.as_ref().is_some_and(|keep| matches!(keep.rule, KeepRule::Best(_)));
    match (reader.pairs(), scoring.shard) {
        (None, Some(_)) => Err(wants_size("--shard")),
        (None, None) if best => Err(wants_size("--keep-best")),
        (None, None) => Ok((0, None)),
        (Some(pairs), None) => Ok((0, Some(pairs))),
        (Some(pairs), Some(shard)) => {
            let range = kiwi_text::shard(pairs, shard.index, shard.count);
            Ok((range.start, Some(range.end)))
        }
    }
}

/// A system for each batch that is computed at a time. All but the first share its parameters.
fn systems(
    scoring: &Scoring,
    prepared: &mut Prepared,
    report: &mut Report<'_>,
) -> Result<Vec<System>, Failure> {
    let threads = tch::get_num_threads().unsigned_abs() as usize;
    let count = match (prepared.device, scoring.workers) {
        (Device::Cpu, workers) => workers.unwrap_or(threads).max(1),
        (_, None | Some(1)) => 1,
        (_, Some(workers)) => {
            let error = Diagnostic::error(Code::Arguments, "a GPU computes one batch at a time")
                .found(format!("--workers {workers}"));
            let error = error.help(
                "leave --workers out; --batch-size makes batches larger, --shard divides the work among GPUs",
            );
            return Err(Failure::new(ExitCode::Invalid, error));
        }
    };
    let mut systems: Vec<System> = Vec::new();
    for _ in 0..count {
        let mut system = prepared.build(None, report)?;
        if let Some(first) = systems.first() {
            system.share_parameters(first).map_err(failed)?;
        }
        systems.push(system);
    }
    Ok(systems)
}

/// All that decides what is written.
fn job(
    request: &SystemRequest,
    scoring: &Scoring,
    prepared: &Prepared,
    batches: &Batches,
    reader: &PairReader,
) -> Result<Map<String, Value>, Failure> {
    let unread = |error: std::io::Error| {
        let error = Diagnostic::error(
            Code::SystemUnreadable,
            format!("{} cannot be read: {error}", request.system.display()),
        );
        Failure::new(ExitCode::Invalid, error)
    };
    let mut hasher = blake3::Hasher::new();
    std::fs::File::open(&request.system)
        .and_then(|file| hasher.update_reader(file).map(drop))
        .map_err(unread)?;
    let job = json!({
        "format": 1,
        "system": hasher.finalize().to_hex().to_string(),
        "plugins": prepared.plugin_hashes(),
        "corpus": reader.content_hash().map(|hash| hash.to_string()),
        "files": scoring.files().collect::<Vec<_>>(),
        "input": scoring.input,
        "lines": scoring.output.as_ref().map(|_| scoring.lines),
        "rule": scoring.keep.as_ref().map(|keep| keep.rule),
        "shard": scoring.shard,
        "max_length": batches.max_length,
        "batch_size": batches.pairs,
        "set": request.overrides,
        "device": request.device,
    });
    match job {
        Value::Object(job) => Ok(job),
        _ => Ok(Map::new()),
    }
}

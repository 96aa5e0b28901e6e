//! `evaluate`, `score` and `features`: the saved system is opened and its plugins found before libtorch is looked for.

use std::path::{Path, PathBuf};

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::request::{Common, FeaturesRequest, Format, Request, SystemRequest};
use kiwi_core::scoring::{ScoreLines, Scoring};

use super::told::Told;
use super::{WhenClosed, common, run_engine};
use crate::arguments::{
    Asked, CommonOptions, CorpusArguments, EvaluateArguments, FeaturesArguments, ScoreArguments,
};

pub(super) fn evaluate(
    arguments: EvaluateArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let (request, device) = request(arguments.corpus, arguments.format.into(), options)?;
    run_engine(&Request::Evaluate(request), &device, options, WhenClosed::Leave, told)
}

pub(super) fn score(
    arguments: ScoreArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let Asked { system, source, target, post_edit, scoring } = arguments.asked();
    refuse_files_given_twice(&scoring, [&source, &target].into_iter().chain(&post_edit))?;
    let format = if scoring.lines == ScoreLines::People { Format::Human } else { Format::Json };
    let corpus = CorpusArguments { system, source, target, post_edit };
    let (mut request, device) = request(corpus, format, options)?;
    // Whoever reads standard output has enough when it closes it; files are to be complete.
    let when_closed = if scoring.writes_files() { WhenClosed::GoOn } else { WhenClosed::Leave };
    request.scoring = Some(scoring);
    run_engine(&Request::Score(request), &device, options, when_closed, told)
}

/// Refuses files to write that are among those to read, or are to be written twice.
fn refuse_files_given_twice<'a>(
    scoring: &'a Scoring,
    sides: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    let real = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let named = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(named).unwrap_or_else(|| path.to_owned())
    };
    let mut known: Vec<(PathBuf, &str)> = sides
        .chain(&scoring.input)
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| (real(path), "read"))
        .collect();
    for path in scoring.files() {
        let path_in_full = real(path);
        if let Some((_, how)) = known.iter().find(|(known, _)| *known == path_in_full) {
            let error = Diagnostic::error(
                Code::Arguments,
                format!("{} is to be written, and to be {how} as well", path.display()),
            );
            return Err(Failure::new(ExitCode::Invalid, error.help("give each file a name of its own")));
        }
        known.push((path_in_full, "written"));
    }
    Ok(())
}

pub(super) fn features(
    arguments: FeaturesArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let (system, device) = request(arguments.corpus, Format::Json, options)?;
    let request = FeaturesRequest { system, output: arguments.output };
    run_engine(&Request::Features(request), &device, options, WhenClosed::GoOn, told)
}

fn request(
    arguments: CorpusArguments,
    format: Format,
    options: &CommonOptions,
) -> Result<(SystemRequest, AskedDevice), Failure> {
    let CorpusArguments { system, source, target, post_edit } = arguments;
    let common = Common { lock: Some(system.held.choice(&system.system)), ..common(options)? };
    let request = SystemRequest {
        system: system.system,
        source,
        target,
        post_edit,
        batch_size: system.batch_size,
        overrides: system.overrides,
        device: system.device,
        allow_changed: system.allow_changed,
        format,
        scoring: None,
        common,
    };
    // The engine does the same again and tells the warnings.
    let device = plan::prepare_system(&request)?.device;
    Ok((request, device))
}

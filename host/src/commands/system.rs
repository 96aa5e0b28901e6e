//! `evaluate`, `score` and `features`: the saved system is opened and its plugins found before libtorch is looked for.

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::Failure;
use kiwi_core::plan;
use kiwi_core::request::{Common, FeaturesRequest, Format, Request, SystemRequest};

use super::told::Told;
use super::{WhenClosed, common, run_engine};
use crate::arguments::{
    CommonOptions, CorpusArguments, EvaluateArguments, FeaturesArguments, ScoreArguments,
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
    let (request, device) = request(arguments.corpus, arguments.format.into(), options)?;
    run_engine(&Request::Score(request), &device, options, WhenClosed::Leave, told)
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
    let common = Common { lock: Some(arguments.held.choice(&arguments.system)), ..common(options)? };
    let request = SystemRequest {
        system: arguments.system,
        source: arguments.source,
        target: arguments.target,
        post_edit: arguments.post_edit,
        batch_size: arguments.batch_size.get(),
        overrides: arguments.overrides,
        device: arguments.device,
        allow_changed: arguments.allow_changed,
        format,
        common,
    };
    // The engine does the same again and tells the warnings.
    let device = plan::prepare_system(&request)?.device;
    Ok((request, device))
}

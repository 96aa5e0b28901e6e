//! `train`: the config is read and every name in it resolved before libtorch is looked for.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::{Request, TrainRequest};
use kiwi_core::{config, plan};

use super::{WhenClosed, common, print_data, run_engine};
use crate::arguments::{CommonOptions, TrainArguments};

pub(super) fn run(arguments: TrainArguments, options: &CommonOptions) -> Result<i32, Failure> {
    if arguments.example {
        print_data([config::example().trim_end().to_owned()])?;
        return Ok(ExitCode::Success.number());
    }
    let Some(config) = arguments.config else {
        // The arguments demand it unless --example is given.
        let error =
            Diagnostic::error("there is no config to train by").help("name a file, or give --example");
        return Err(Failure::new(ExitCode::Invalid, error));
    };
    let request = TrainRequest {
        config,
        overrides: arguments.overrides,
        output_dir: arguments.output_dir,
        common: common(options)?,
    };
    // The engine does the same again and tells the warnings, which belong into the run's log.
    plan::prepare(&request)?;
    run_engine(&Request::Train(request), options, WhenClosed::GoOn)
}

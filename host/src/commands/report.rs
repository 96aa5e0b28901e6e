//! `report`: runs as one page. No plugin is opened and no libtorch looked for.

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;

use super::print_data;
use crate::arguments::ReportArguments;

pub(super) fn run(arguments: &ReportArguments) -> Result<i32, Failure> {
    let page = kiwi_report::report(&arguments.runs, arguments.output.as_deref())
        .map_err(|error| Failure::new(ExitCode::Invalid, error.diagnostic()))?;
    print_data([page.display().to_string()])?;
    Ok(ExitCode::Success.number())
}

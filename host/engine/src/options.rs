//! What is wrong with the options of components whose config is wrong elsewhere too.

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::OptionsRequest;

use crate::outlet::Outlet;
use crate::system::Components;

/// Tells what each component finds wrong with its options. A plugin that does not open is left for the run to complain about.
pub(crate) fn check(request: OptionsRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut components = Components::default();
    for component in request.components {
        match components.check(vec![component], None, |_| Vec::new()) {
            Ok((_, warnings)) => outlet.diagnostics(warnings),
            Err(failure) if failure.exit == ExitCode::Invalid => outlet.diagnostics(failure.diagnostics),
            Err(_) => {}
        }
    }
    Ok(ExitCode::Success)
}

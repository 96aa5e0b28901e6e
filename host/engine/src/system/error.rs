//! Failures of components as complaints.

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::abi::guard::FailureKind;
use kiwi_plugin_api::abi::host::CallError;

/// A failure of a component while the run is set up.
pub(crate) struct Setup(pub(crate) CallError);

impl From<Setup> for Failure {
    fn from(Setup(error): Setup) -> Self {
        // A component that says no to what it was asked to do is a matter of the config; one that breaks is a broken run.
        let exit = match error.kind {
            FailureKind::Error => ExitCode::Invalid,
            _ => ExitCode::RunFailed,
        };
        Self::new(exit, diagnostic(&error))
    }
}

/// A failure of a component while the run goes on.
pub(crate) fn running(error: &CallError) -> Failure {
    Failure::new(ExitCode::RunFailed, diagnostic(error))
}

/// A failure of a component while it is freed: what it was for is done, but someone should know.
pub(crate) fn freed(error: &CallError) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..diagnostic(error) }
}

fn diagnostic(error: &CallError) -> Diagnostic {
    let how = match error.kind {
        FailureKind::Error => "failed",
        FailureKind::Panic => "panicked",
        FailureKind::Exception => "threw a C++ exception",
        FailureKind::Poisoned => "cannot be used any more",
    };
    let origin = &error.origin;
    let mut diagnostic = Diagnostic::error(
        Code::ComponentFailed,
        format!(
            "`{}` of the plugin `{}` {how} in {}: {}",
            origin.class, origin.plugin, error.phase, error.message
        ),
    );
    if let Some(location) = &error.location {
        diagnostic = diagnostic.note(format!("at {location}"));
    }
    for cause in &error.causes {
        diagnostic = diagnostic.note(format!("because {cause}"));
    }
    match error.kind {
        FailureKind::Error => diagnostic,
        _ => diagnostic
            .help(format!("this is a fault of the plugin `{}`: report it to its authors", origin.plugin)),
    }
}

//! The one function that the program calls: JSON in, messages out, an exit code back. With `outlet`, `machine` and
//! `sudden_end` it holds all `unsafe` of the engine.

use std::ffi::c_void;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::Request;
use kiwi_plugin_api::torch_ext::{Caught, guard, install_panic_hook};

use crate::outlet::{Outlet, Send};
use crate::{
    check, describe, evaluate, features, options, patience, plugin_check, probe, reading, score, sudden_end,
    train,
};

/// Runs a [`Request`] (JSON, `length` bytes at `request`) and returns an exit code. Calls `send(context, message, length)` with a
/// [`kiwi_core::request::Message`] (JSON) for all it has to say, from the calling thread.
///
/// # Safety
/// `request` must point to `length` readable bytes, and `send` must be callable with `context` until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kiwi_engine_run(
    request: *const u8,
    length: usize,
    send: Send,
    context: *mut c_void,
) -> i32 {
    // SAFETY: the caller promises that these bytes are readable.
    let request = unsafe { std::slice::from_raw_parts(request, length) };
    // SAFETY: the caller promises that `send` may be called with `context` for as long as this function runs.
    let outlet = unsafe { Outlet::new(send, context) };
    install_panic_hook();
    let code = carry_out(request, &outlet);
    patience::over();
    sudden_end::done(code);
    code
}

fn carry_out(request: &[u8], outlet: &Outlet) -> i32 {
    let outcome = guard(|| run(request, outlet)).unwrap_or_else(|caught| Err(bug(&caught)));
    match outcome {
        Ok(code) => code.number(),
        Err(failure) => {
            outlet.diagnostics(failure.diagnostics);
            failure.exit.number()
        }
    }
}

fn run(request: &[u8], outlet: &Outlet) -> Result<ExitCode, Failure> {
    let request = serde_json::from_slice(request);
    // A plugin that is checked is watched from outside by the program, which is to see how the process ends.
    if !matches!(request, Ok(Request::CheckPlugin(_))) {
        sudden_end::take_care(request.as_ref().map_or("", Request::command));
        patience::watch().map_err(|error| {
            let message = format!("no thread to watch over plugins with: {error}");
            Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::MachineLimits, message))
        })?;
    }
    match request {
        Ok(Request::Train(request)) => train::train(&request, outlet),
        Ok(Request::Check(request)) => check::check(&request, outlet),
        Ok(Request::CheckOptions(request)) => options::check(request, outlet),
        Ok(Request::Probe(request)) => probe::probe(&request, outlet),
        Ok(Request::Evaluate(request)) => evaluate::evaluate(&request, outlet),
        Ok(Request::Score(request)) => score::score(&request, outlet),
        Ok(Request::Read(request)) => reading::read(&request, outlet),
        Ok(Request::Features(request)) => features::features(&request, outlet),
        Ok(Request::CheckPlugin(request)) => plugin_check::check(&request, outlet),
        Ok(Request::Describe) => Ok(describe::describe(outlet)),
        Err(error) => Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::ProgramIncomplete, "program and engine do not understand one another")
                .found(error.to_string())
                .help("program and engine belong together: install both from one release"),
        )),
    }
}

fn bug(caught: &Caught) -> Failure {
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::Internal, "the engine failed in a way that it should not")
            .note(caught.to_string())
            .help("this is a bug of kiwi-host: report it with the command, the config and this message"),
    )
}

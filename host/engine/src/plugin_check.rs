//! `kiwi-host plugins check`, within a process of its own: opens a plugin and runs the conformance suite of the plugin API on one of
//! its components. All that the plugin may do to the process is left for the program to see, which watches it from outside.

use std::time::{Duration, Instant};

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugin_check::{CheckedComponent, Finding, LOAD, Outcome, PluginCheckRequest, Told};
use kiwi_plugin_api::abi::host::Plugin;
use kiwi_plugin_api::testing::conformance::{self, Event, Known, Memory, Settings, Threads};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::machine;
use crate::outlet::Outlet;
use crate::system::opening;
use crate::torch::open_device;

/// Opens the plugin and checks the component of the request.
pub(crate) fn check(request: &PluginCheckRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    // One thread computes the same bits each time, whatever the batch.
    tch::set_num_threads(request.common.threads.and_then(|count| i32::try_from(count).ok()).unwrap_or(1));
    let asked = AskedDevice::by_option(&request.device).ok_or_else(|| no_device(&request.device))?;
    let device = open_device(&asked)?;
    warm_up(device).map_err(|error| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(Code::LibtorchUnusable, "libtorch does not compute").note(error.to_string()),
        )
    })?;
    let threads = Threads::now();
    outlet.telling_phases(|| {
        let Some(plugin) = open(request, outlet) else { return };
        let Some(component) = &request.component else { return };
        check_component(request, &plugin, component, settings(request, device, threads), outlet);
    });
    outlet.told(&Told::Done);
    Ok(ExitCode::Success)
}

fn no_device(name: &str) -> Failure {
    let error = Diagnostic::error(Code::DeviceName, format!("no device is named `{name}`"))
        .expected("cpu, cuda or cuda:N");
    Failure::new(ExitCode::Invalid, error)
}

/// Has libtorch start what threads it wants and fill its caches, so that neither is taken for the plugin's.
fn warm_up(device: Device) -> Result<(), tch::TchError> {
    let square = Tensor::f_ones([256, 256], (Kind::Float, device))?.f_set_requires_grad(true)?;
    square.f_matmul(&square)?.f_sum(Kind::Float)?.f_backward()
}

fn open(request: &PluginCheckRequest, outlet: &Outlet) -> Option<Plugin> {
    outlet.told(&Told::Begin { check: LOAD.to_owned() });
    outlet.told(&Told::Phase { phase: "open".to_owned() });
    let begun = Instant::now();
    let opened = opening::open(&request.file, &request.sha256, &request.plugin);
    let seconds = begun.elapsed().as_secs_f64();
    let (plugin, mut finding) = match opened {
        Ok(plugin) => {
            (Some(plugin), Finding::new(LOAD, Outcome::Pass, "it opens and hands out its components"))
        }
        Err(reason) => {
            let mut finding = Finding::new(LOAD, Outcome::Fail, reason);
            finding.help = Some(
                "link all that the plugin needs, build it against the libtorch and the plugin API of this host, and end its crate with `plugin!();`"
                    .to_owned(),
            );
            (None, finding)
        }
    };
    finding.seconds = seconds;
    outlet.told(&Told::Finding(finding));
    if let Some(plugin) = &plugin {
        let component =
            |(kind, class): (&str, &str)| CheckedComponent { kind: kind.to_owned(), class: class.to_owned() };
        outlet.told(&Told::Registered { components: plugin.components().map(component).collect() });
    }
    plugin
}

fn settings(request: &PluginCheckRequest, device: Device, threads: Option<Threads>) -> Settings {
    let mut settings = Settings::default().on(device);
    settings.patience = Duration::from_secs_f64(request.patience.clamp(0.1, 3600.0));
    if machine::in_use().is_some() {
        settings.memory = Memory { read: machine::in_use, exact: true };
    }
    settings.valid_schema = valid_schema;
    settings.threads = threads;
    if let (Some(component), Some(options)) = (&request.component, &request.options) {
        settings = settings.with_options(component.class.as_str(), options.clone());
    }
    settings
}

/// Whether a value is a JSON Schema, as the standard's own schema says.
fn valid_schema(schema: &Value) -> Result<(), String> {
    jsonschema::meta::validate(schema).map_err(|error| {
        let place = error.instance_path().to_string();
        if place.is_empty() { error.to_string() } else { format!("{error} (at {place})") }
    })
}

fn check_component(
    request: &PluginCheckRequest,
    plugin: &Plugin,
    component: &CheckedComponent,
    settings: Settings,
    outlet: &Outlet,
) {
    let CheckedComponent { kind, class } = component;
    let Some(handle) = plugin.component(kind, class) else {
        let message = format!("the opened library does not register the {kind} `{class}` of its metadata");
        outlet.told(&Told::Finding(Finding::new("registry", Outcome::Fail, message)));
        return;
    };
    outlet.told(&Told::Checks { checks: conformance::checks_of(kind).map(str::to_owned).collect() });
    let known: Known =
        request.known.iter().map(|(check, outcome)| (check.clone(), theirs(*outcome))).collect();
    conformance::run(&handle, kind, &settings, known, &mut |event| outlet.told(&told(event)));
}

fn theirs(outcome: Outcome) -> conformance::Outcome {
    match outcome {
        Outcome::Pass => conformance::Outcome::Pass,
        Outcome::Fail => conformance::Outcome::Fail,
        Outcome::Skipped => conformance::Outcome::Skipped,
    }
}

/// What the suite says, as the program reads it.
fn told(event: Event) -> Told {
    match event {
        Event::Begin { check } => Told::Begin { check },
        Event::Finding(finding) => {
            let outcome = match finding.outcome {
                conformance::Outcome::Pass => Outcome::Pass,
                conformance::Outcome::Fail => Outcome::Fail,
                conformance::Outcome::Skipped => Outcome::Skipped,
            };
            Told::Finding(Finding {
                found: finding.found,
                expected: finding.expected,
                help: finding.help,
                notes: finding.notes,
                seconds: finding.seconds,
                ..Finding::new(finding.check, outcome, finding.message)
            })
        }
        _ => Told::Phase { phase: "something that this host does not know".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_schema_is_told_with_its_place() {
        assert_eq!(
            valid_schema(&json!({"type": "object", "properties": {"a": {"type": "integer"}}})),
            Ok(())
        );
        let error = valid_schema(&json!({"properties": {"a": {"type": "integral"}}})).unwrap_err();
        assert!(error.contains("/properties/a/type"), "{error}");
    }
}

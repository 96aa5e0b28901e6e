//! What only the code of a plugin can say of its components, for the JSON Schema of configs.

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::ResolvedComponent;
use kiwi_core::plugins::probe::{FailedComponent, PluginProbe, ProbedComponent};
use kiwi_core::request::ProbeRequest;
use kiwi_plugin_api::abi::host::{CallError, ComponentHandle};
use serde_json::{Map, Value};

use crate::outlet::Outlet;
use crate::system::Components;

/// Asks each component; what a component cannot answer is in the answer. The answer is one line of data.
///
/// # Errors
/// When the plugin does not open, or does not hold what its metadata says.
pub(crate) fn probe(request: &ProbeRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut components = Components::default();
    let mut probe = PluginProbe::default();
    for component in &request.components {
        let handle = components.open(component)?;
        let (kind, class) = (component.kind.name().to_owned(), component.class.clone());
        match ask(component, &handle) {
            Ok(answer) => probe.components.push(answer),
            Err(error) => probe.failed.push(FailedComponent { kind, class, reason: error.to_string() }),
        }
    }
    // It holds text and truth values only.
    outlet.data(serde_json::to_string(&probe).unwrap_or_default());
    Ok(ExitCode::Success)
}

fn ask(component: &ResolvedComponent, handle: &ComponentHandle) -> Result<ProbedComponent, CallError> {
    Ok(ProbedComponent {
        kind: component.kind.name().to_owned(),
        class: component.class.clone(),
        schema: handle.schema()?,
        accepts_no_options: handle.check(&Value::Object(Map::new()))?.errors.is_empty(),
        has_schedule: handle.has_schedule(),
    })
}

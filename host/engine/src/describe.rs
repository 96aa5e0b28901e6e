//! What the engine is and what libtorch sees of the machine, for `kiwi-host doctor`.

use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::EngineDescription;

use crate::outlet::Outlet;

/// Says it as a line of data.
pub(crate) fn describe(outlet: &Outlet) -> ExitCode {
    let description = EngineDescription {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        threads: tch::get_num_threads(),
        gpus: tch::utils::has_cudart().then(|| usize::try_from(tch::Cuda::device_count()).unwrap_or(0)),
    };
    // It holds strings and numbers only: it can always be written.
    if let Ok(line) = serde_json::to_string(&description) {
        outlet.data(line);
    }
    ExitCode::Success
}

//! Instances of components, as the host calls them, one kind a file; what they share is here.
//!
//! Each file has the instance that the host knows, what such an instance is asked, and who answers where the plugin is written in
//! Rust. Who answers where it is not is in [`super::c`].

mod encoder;
mod head;
mod metric;
mod optimizer;

pub(in crate::abi::host) use encoder::EncoderCalls;
pub use encoder::EncoderInstance;
pub(in crate::abi::host) use head::HeadCalls;
pub use head::HeadInstance;
pub(in crate::abi::host) use metric::MetricCalls;
pub use metric::MetricInstance;
pub(in crate::abi::host) use optimizer::OptimizerCalls;
pub use optimizer::OptimizerInstance;

use abi_stable::std_types::RVec;
use serde::Serialize;
use tch::Device;

use super::call::{CallError, Origin, Phase, guarded};
use super::ownership::LentHandles;
use crate::abi::component::{AbiParameter, take_over_parameters};
use crate::abi::guard::{AbiResult, Instance};
use crate::abi::tensor::{Lent, NamedOwned, take_over};
use crate::{Batch, NamedTensors, Parameter};

/// What owns an instance: frees it when dropped.
pub(in crate::abi::host) struct Owned {
    pub(in crate::abi::host) origin: Origin,
    pub(in crate::abi::host) instance: Option<Instance>,
    pub(in crate::abi::host) destroy: extern "C" fn(Instance) -> AbiResult<()>,
}

impl Owned {
    pub(in crate::abi::host) fn call<T>(
        &mut self,
        phase: Phase,
        f: impl FnOnce(&mut Instance) -> AbiResult<T>,
    ) -> Result<T, CallError> {
        let Self { origin, instance, .. } = self;
        match instance {
            Some(instance) => guarded(origin, phase, || f(instance)),
            None => Err(CallError::new(origin, phase, "it was freed")),
        }
    }

    /// Takes over parameters that are its own to give.
    fn parameters(&self, parameters: RVec<AbiParameter>) -> Result<Vec<Parameter>, CallError> {
        let parameters = LentHandles::default().own(&self.origin, Phase::Parameters, parameters)?;
        Ok(take_over_parameters(parameters))
    }

    /// Takes over a state that is its own to give.
    fn state(&self, state: RVec<NamedOwned>) -> Result<NamedTensors, CallError> {
        Ok(take_over(LentHandles::default().own(&self.origin, Phase::SaveState, state)?))
    }

    fn free(&mut self) -> Result<(), CallError> {
        match self.instance.take() {
            Some(instance) => guarded(&self.origin, Phase::Drop, || (self.destroy)(instance)),
            None => Ok(()),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // A component that fails while it is freed can do no harm any more; `close` tells whoever wants to know.
        let _ = self.free();
    }
}

pub(in crate::abi::host) fn json(
    origin: &Origin,
    phase: Phase,
    value: &impl Serialize,
) -> Result<String, CallError> {
    serde_json::to_string(value).map_err(|error| CallError::new(origin, phase, error.to_string()))
}

/// The error that what a component returned cannot be used.
fn wrong(origin: &Origin, phase: Phase) -> impl Fn(String) -> CallError {
    move |message| CallError::new(origin, phase, message)
}

fn known_device(origin: &Origin, device: crate::Result<Device>) -> Result<Device, CallError> {
    device.map_err(|error| CallError::new(origin, Phase::Create, error.to_string()))
}

fn fields(batch: &Batch) -> Lent<'_> {
    Lent::new(batch.fields.iter().map(|field| (field.name.as_str(), field.tensors())))
}

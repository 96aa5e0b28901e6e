//! Components that do nothing, so that what a call of one takes is what the boundary takes. The plugin itself is the example
//! `idle`; `benches/boundary.rs` calls it.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use tch::Tensor;

/// Options: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {}

/// The feature that [`IdleEncoder`] gives.
pub const STATES: &str = "target";

/// An encoder that hands the tensor `states` of the batch's target on.
pub struct IdleEncoder {
    parameters: Parameters,
}

impl Component for IdleEncoder {
    type Config = Config;
    const CLASS_NAME: &'static str = "IdleEncoder";
    const SUMMARY: &'static str = "Hands on a tensor of the batch";
}

impl Encoder for IdleEncoder {
    fn create(_config: Config, _context: &EncoderContext) -> Result<Self> {
        Ok(Self { parameters: Parameters::new() })
    }

    fn hidden_size(&self) -> i64 {
        8
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([(STATES.to_owned(), 8)])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, _pass: &mut Pass) -> Result<Features> {
        let states = batch.field("target")?.tensor("states")?;
        Ok(Features::new().with(STATES, Feature::Tensor(states.shallow_clone())))
    }
}

/// An optimizer that changes nothing.
pub struct IdleOptimizer {
    groups: Vec<ParameterGroup>,
}

impl Component for IdleOptimizer {
    type Config = Config;
    const CLASS_NAME: &'static str = "IdleOptimizer";
    const SUMMARY: &'static str = "Changes nothing";
}

impl Optimizer for IdleOptimizer {
    fn create(_config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        Ok(Self { groups })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        if self.groups.len() == learning_rates.len() {
            return Ok(());
        }
        Err(Error::new(format!("{} learning rates for {} groups", learning_rates.len(), self.groups.len())))
    }

    fn state(&self) -> Result<NamedTensors> {
        Ok(Vec::new())
    }

    fn load_state(&mut self, _state: NamedTensors) -> Result<()> {
        Ok(())
    }
}

/// A metric that counts nothing.
pub struct IdleMetric {
    nothing: Tensor,
}

impl Component for IdleMetric {
    type Config = Config;
    const CLASS_NAME: &'static str = "IdleMetric";
    const SUMMARY: &'static str = "Counts nothing";
}

impl Metric for IdleMetric {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self { nothing: Tensor::f_from_slice(&[0.0_f64])? })
    }

    fn contribution(&self, _output: &Output) -> Result<Tensor> {
        Ok(self.nothing.shallow_clone())
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        total.first().copied()
    }
}

//! Plain gradient descent.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::gradients::gradient;

use crate::fault::Config;

pub(crate) struct MisbehavingOptimizer {
    config: Config,
    groups: Vec<ParameterGroup>,
}

impl Component for MisbehavingOptimizer {
    type Config = Config;
    const CLASS_NAME: &'static str = "MisbehavingOptimizer";
    const SUMMARY: &'static str = "Plain gradient descent; misbehaves on demand";

    fn check(config: &Config, report: &mut ConfigReport) {
        config.fault.check(&[], report);
    }
}

impl Optimizer for MisbehavingOptimizer {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        config.fault.in_create()?;
        Ok(Self { config, groups })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        self.config.fault.at_work()?;
        for (group, rate) in self.groups.iter().zip(learning_rates) {
            for (_, parameter) in &group.parameters {
                if let Some(gradient) = gradient(parameter)? {
                    let change = gradient.f_mul_scalar(-rate)?;
                    let mut parameter = parameter.f_detach()?;
                    let _ = parameter.f_add_(&change)?;
                }
            }
        }
        self.config.fault.after_work();
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        Ok(Vec::new())
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        match state.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::new(format!("`{name}` is no entry of this optimizer's state: it has none")))
            }
        }
    }
}

impl Drop for MisbehavingOptimizer {
    fn drop(&mut self) {
        self.config.fault.in_drop();
    }
}

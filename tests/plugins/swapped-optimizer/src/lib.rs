//! Another optimizer of the class `adam`: plain gradient descent, which says so in the log. The tests put it in the place of the
//! built-in one. The plugin itself is the example `swapped_optimizer`.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::gradients::gradient;

/// Options: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {}

/// The optimizer.
pub struct SwappedAdam {
    groups: Vec<ParameterGroup>,
}

impl Component for SwappedAdam {
    type Config = Config;
    const CLASS_NAME: &'static str = "adam";
    const SUMMARY: &'static str = "Not Adam at all but plain gradient descent";
}

impl Optimizer for SwappedAdam {
    fn create(_config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        log::info("plain gradient descent takes the place of Adam");
        Ok(Self { groups })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        for (group, rate) in self.groups.iter().zip(learning_rates) {
            for (_, parameter) in &group.parameters {
                if let Some(gradient) = gradient(parameter)? {
                    let change = gradient.f_mul_scalar(-rate)?;
                    let mut parameter = parameter.f_detach()?;
                    let _ = parameter.f_add_(&change)?;
                }
            }
        }
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

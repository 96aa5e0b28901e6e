//! `template_class`: steps of one size in the direction of the sign of a running mean of gradients (Lion, Chen et al. 2023, "Symbolic
//! Discovery of Optimization Algorithms").

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::gradients::gradient;
use tch::no_grad;

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// How much of the running mean enters a step, and how much of it is kept; both in [0, 1).
    pub betas: [f64; 2],
    /// Share of each parameter that a step takes off it, times the learning rate; at least 0.
    pub weight_decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            betas: [0.9, 0.99],
            weight_decay: 0.0,
        }
    }
}

/// The optimizer.
pub struct TemplateStruct {
    config: Config,
    groups: Vec<Vec<Item>>,
}

/// A parameter and the running mean of its gradients.
struct Item {
    name: String,
    parameter: Tensor,
    mean: Tensor,
}

impl Component for TemplateStruct {
    type Config = Config;
    const CLASS_NAME: &'static str = "template_class";
    const SUMMARY: &'static str = "template summary";

    fn check(config: &Config, report: &mut ConfigReport) {
        let valid = config.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        let found = format!("{:?}", config.betas);
        report.require(valid, "betas", found, "two numbers in [0, 1)");
        let decay = config.weight_decay;
        let valid = decay >= 0.0 && decay.is_finite();
        report.require(
            valid,
            "weight_decay",
            decay,
            "a finite number of at least 0",
        );
    }
}

impl Optimizer for TemplateStruct {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let item = |(name, parameter): (String, Tensor)| -> Result<Item> {
            let mean = parameter.f_zeros_like()?;
            Ok(Item {
                name,
                parameter,
                mean,
            })
        };
        let groups = groups
            .into_iter()
            .map(|group| group.parameters.into_iter().map(item).collect())
            .collect::<Result<_>>()?;
        Ok(Self { config, groups })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        no_grad(|| {
            for (group, rate) in self.groups.iter_mut().zip(learning_rates) {
                for item in group {
                    item.step(config, *rate)?;
                }
            }
            Ok(())
        })
    }

    fn state(&self) -> Result<NamedTensors> {
        let items = self.groups.iter().flatten();
        Ok(items
            .map(|item| (item.key(), item.mean.shallow_clone()))
            .collect())
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        let mut items: Vec<_> = self.groups.iter_mut().flatten().collect();
        if state.len() != items.len() {
            return Err(Error::new(format!(
                "the state has {} tensors, expected {}",
                state.len(),
                items.len()
            )));
        }
        for item in &mut items {
            let key = item.key();
            let saved = state.iter().find(|(name, _)| *name == key);
            let (_, saved) = saved.ok_or_else(|| Error::new(format!("the state lacks `{key}`")))?;
            if saved.size() != item.mean.size() {
                return Err(Error::new(format!(
                    "`{key}` has shape {:?}, expected {:?}",
                    saved.size(),
                    item.mean.size()
                )));
            }
            item.mean.f_copy_(saved)?;
        }
        Ok(())
    }
}

impl Item {
    fn key(&self) -> String {
        format!("{}.mean", self.name)
    }

    fn step(&mut self, config: &Config, rate: f64) -> Result<()> {
        // A parameter that took no part in the loss is left as it is.
        let Some(gradient) = gradient(&self.parameter)? else {
            return Ok(());
        };
        if gradient.is_sparse() {
            return Err(Error::new(format!(
                "the gradient of `{}` is sparse, which this optimizer cannot use: set sparse_embeddings to false",
                self.name
            )));
        }
        let [step, keep] = config.betas;
        let mut update = self.mean.f_lerp(&gradient, 1.0 - step)?.f_sign()?;
        if config.weight_decay > 0.0 {
            update = update.f_add(&self.parameter.f_mul_scalar(config.weight_decay)?)?;
        }
        let _ = self.parameter.f_sub_(&update.f_mul_scalar(rate)?)?;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - keep)?;
        Ok(())
    }
}

register!(optimizer TemplateStruct);
plugin!();

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::serde_json::{Value, json};
    use kiwi_plugin_api::testing::{self, Setting, Tolerance, assert_close};

    use super::*;

    fn weight() -> Tensor {
        Tensor::from_slice(&[3.0_f32, -2.0]).set_requires_grad(true)
    }

    fn over(weight: &Tensor, options: Value) -> Result<TemplateStruct> {
        let parameters = vec![("w".to_owned(), weight.shallow_clone())];
        let group = ParameterGroup::new("all", parameters);
        Setting::new().optimizer(options, vec![group])
    }

    /// So many steps down the square of `weight`.
    fn descend(optimizer: &mut TemplateStruct, weight: &Tensor, steps: usize) -> Result<Vec<f64>> {
        let parameters = [weight.shallow_clone()];
        testing::descend(optimizer, &parameters, 0.1, steps, || {
            Ok(weight.f_square()?.f_sum(Kind::Float)?)
        })
    }

    #[test]
    fn two_steps_are_those_of_the_formula() -> Result<()> {
        let weight = weight();
        let mut optimizer = over(&weight, json!({"weight_decay": 0.5}))?;
        descend(&mut optimizer, &weight, 2)?;
        let (mut expected, mut mean) = ([3.0, -2.0_f64], [0.0; 2]);
        for _ in 0..2 {
            for (w, m) in expected.iter_mut().zip(&mut mean) {
                let gradient = 2.0 * *w;
                let update = (0.9 * *m + 0.1 * gradient).signum() + 0.5 * *w;
                *w -= 0.1 * update;
                *m = 0.99 * *m + 0.01 * gradient;
            }
        }
        let expected = Tensor::from_slice(&expected.map(|w| w as f32));
        assert_close("w", &weight.detach(), &expected, Tolerance::of(1e-6));
        Ok(())
    }

    #[test]
    fn it_goes_down() -> Result<()> {
        let weight = weight();
        let losses = descend(&mut over(&weight, json!({}))?, &weight, 25)?;
        assert!(losses[24] < 0.1 * losses[0], "{losses:?}");
        Ok(())
    }

    #[test]
    fn it_goes_on_from_its_state_as_if_it_had_never_stopped() -> Result<()> {
        let (whole, halved) = (weight(), weight());
        descend(&mut over(&whole, json!({}))?, &whole, 10)?;
        let mut first = over(&halved, json!({}))?;
        descend(&mut first, &halved, 5)?;
        let mut second = over(&halved, json!({}))?;
        second.load_state(first.state()?)?;
        descend(&mut second, &halved, 5)?;
        assert_close("w", &halved, &whole, Tolerance::EXACT);
        assert!(second.load_state(Vec::new()).is_err());
        Ok(())
    }

    #[test]
    fn a_parameter_without_a_gradient_is_left_as_it_is() -> Result<()> {
        let weight = weight();
        over(&weight, json!({"weight_decay": 0.5}))?.step(&[0.1])?;
        assert_eq!(weight, self::weight());
        Ok(())
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let wrong = json!({"betas": [0.9, 1.0], "weight_decay": -1.0});
        let errors = testing::report::<TemplateStruct>(&wrong).errors;
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["betas", "weight_decay"]);
    }
}

//! `adamw`: Adam with decoupled weight decay (Loshchilov and Hutter 2019), with PyTorch's defaults and a linear schedule.

use kiwi_plugin_api::prelude::*;

use super::{Family, Settings};
use crate::{checks, schedules};

/// Options under `system.optimizer.options`.
///
/// The variant that BERT was trained with (Devlin et al. 2019) is `bias_correction` false, `eps` 1e-6 and `weight_decay` 0.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rates of the averages of the gradient and of its square, each in [0, 1).
    #[schemars(extend("items" = {"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}))]
    betas: [f64; 2],
    /// Added to the root in the denominator; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
    /// How much the parameters shrink in each step, times the learning rate; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Divide by the largest average of squares so far (Reddi et al. 2018).
    amsgrad: bool,
    /// Divide the averages by what is missing to them in the first steps. Without it the first steps are longer.
    bias_correction: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, amsgrad: false, bias_correction: true }
    }
}

/// The optimizer.
pub(crate) struct AdamW(Family);

impl Component for AdamW {
    type Config = Config;
    const CLASS_NAME: &'static str = "adamw";
    const SUMMARY: &'static str =
        "Adam with decoupled weight decay; the rate warms up and falls to 0 linearly";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::betas(report, &config.betas);
        checks::not_negative(report, "eps", config.eps);
        checks::not_negative(report, "weight_decay", config.weight_decay);
    }
}

impl Optimizer for AdamW {
    const HAS_SCHEDULE: bool = true;

    fn check_schedule(_config: &Config, keys: &ScheduleKeys, report: &mut ConfigReport) {
        schedules::check_linear(keys, report);
    }

    fn schedule(_config: &Config, context: &ScheduleContext) -> Result<Schedule> {
        schedules::linear(context)
    }

    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let settings = Settings {
            class: Self::CLASS_NAME,
            betas: config.betas,
            eps: config.eps,
            weight_decay: config.weight_decay,
            amsgrad: config.amsgrad,
            decoupled: true,
            bias_correction: config.bias_correction,
        };
        Ok(Self(Family::new(settings, groups)))
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        self.0.step(learning_rates)
    }

    fn state(&self) -> Result<NamedTensors> {
        self.0.memory.state()
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        self.0.memory.load_state(&state)
    }
}

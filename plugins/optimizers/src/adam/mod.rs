//! Adam (Kingma and Ba 2015) and what is made of it: `adam`, `noam` and `adamw`.

mod adamw;
mod noam;
mod plain;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;
use kiwi_plugin_api::torch_ext::optim::{AdamSettings, AdamTensors, fused_adam, fused_adamw};

use crate::lists::{Lists, copies};
use crate::memory::{Entry, Memory};

pub(crate) use adamw::AdamW;
pub(crate) use noam::Noam;
pub(crate) use plain::Adam;

/// How a class of the family steps.
#[derive(Debug, Clone, Copy)]
struct Settings {
    class: &'static str,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    /// Whether weight decay shrinks the parameters instead of entering the gradient.
    decoupled: bool,
    /// Whether the averages are divided by what is missing to them in the first steps.
    bias_correction: bool,
}

/// The step that the classes share, with its memory.
struct Family {
    settings: Settings,
    memory: Memory,
}

// Positions in the layout.
const STEP: usize = 0;
const AVERAGE: usize = 1;
const SQUARE: usize = 2;
const LARGEST: usize = 3;

impl Family {
    fn new(settings: Settings, groups: Vec<ParameterGroup>) -> Self {
        let mut layout =
            vec![Entry::fused_steps(), Entry::like("exp_avg", 0.0), Entry::like("exp_avg_sq", 0.0)];
        if settings.amsgrad {
            layout.push(Entry::like("max_exp_avg_sq", 0.0));
        }
        Self { settings, memory: Memory::new(groups, &layout) }
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let settings = self.settings;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            let lists = Lists::new(group.dense_updates(settings.class)?, LARGEST + 1);
            if lists.parameters.is_empty() {
                continue;
            }
            if settings.bias_correction {
                fused(&lists, &settings, rate)?;
            } else {
                uncorrected(lists, &settings, rate)?;
            }
        }
        Ok(())
    }
}

fn fused(lists: &Lists, settings: &Settings, rate: f64) -> Result<()> {
    let tensors = AdamTensors {
        parameters: &lists.parameters,
        gradients: &lists.gradients,
        exp_avgs: lists.state(AVERAGE),
        exp_avg_sqs: lists.state(SQUARE),
        max_exp_avg_sqs: lists.state(LARGEST),
        steps: lists.state(STEP),
    };
    let fused_settings = AdamSettings {
        learning_rate: rate,
        beta1: settings.betas[0],
        beta2: settings.betas[1],
        weight_decay: settings.weight_decay,
        epsilon: settings.eps,
        amsgrad: settings.amsgrad,
        maximize: false,
    };
    let step = if settings.decoupled { fused_adamw } else { fused_adam };
    Ok(step(&tensors, &fused_settings)?)
}

/// The step of BERT's own Adam (Devlin et al. 2019): `rate * m / (sqrt(v) + eps)` with the averages as they are, and weights
/// decayed by `rate * weight_decay` after it.
fn uncorrected(lists: Lists, settings: &Settings, rate: f64) -> Result<()> {
    let [beta1, beta2] = settings.betas;
    let Lists { parameters, gradients, .. } = &lists;
    foreach::add_scalar_(lists.state(STEP), 1.0)?;
    foreach::lerp_(lists.state(AVERAGE), gradients, 1.0 - beta1)?;
    foreach::mul_scalar_(lists.state(SQUARE), beta2)?;
    foreach::addcmul_(lists.state(SQUARE), gradients, gradients, 1.0 - beta2)?;
    let squares = if settings.amsgrad {
        foreach::maximum_(lists.state(LARGEST), lists.state(SQUARE))?;
        lists.state(LARGEST)
    } else {
        lists.state(SQUARE)
    };
    let roots = foreach::sqrt(squares)?;
    foreach::add_scalar_(&roots, settings.eps)?;
    foreach::addcdiv_(parameters, lists.state(AVERAGE), &roots, -rate)?;
    if settings.weight_decay != 0.0 {
        let before = copies(parameters)?;
        foreach::add_(parameters, &before, -rate * settings.weight_decay)?;
    }
    Ok(())
}

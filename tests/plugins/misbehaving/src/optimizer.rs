//! Plain gradient descent.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::gradients::gradient;

use crate::fault::{Config, Fault};

pub(crate) struct MisbehavingOptimizer {
    config: Config,
    groups: Vec<ParameterGroup>,
}

impl Component for MisbehavingOptimizer {
    type Config = Config;
    const CLASS_NAME: &'static str = "MisbehavingOptimizer";
    const SUMMARY: &'static str = "Plain gradient descent; misbehaves on demand";

    fn check(config: &Config, report: &mut ConfigReport) {
        let own = [
            Fault::PanicInSchedule,
            Fault::ErrorInSchedule,
            Fault::FactorNotANumber,
            Fault::Twice,
            Fault::SparseState,
        ];
        config.fault.check(&own, report);
    }
}

impl Optimizer for MisbehavingOptimizer {
    const HAS_SCHEDULE: bool = true;

    fn schedule(config: &Config, _context: &ScheduleContext) -> Result<Schedule> {
        let fault = config.fault;
        if fault == Fault::ErrorInSchedule {
            return Err(Error::new("asked to have no schedule"));
        }
        Ok(Schedule::new("it stays as it is", move |step| match fault {
            Fault::PanicInSchedule => panic!("asked to panic in the schedule"),
            Fault::FactorNotANumber if step == 2 => f64::NAN,
            _ => 1.0,
        }))
    }

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
        let fault = self.config.fault;
        fault.in_save();
        let entry = |name: &str| -> Result<(String, Tensor)> {
            let zeros = Tensor::f_zeros([2, 2], (Kind::Float, Device::Cpu))?;
            let tensor = match fault {
                Fault::WrongKind => zeros.f_to_kind(Kind::ComplexFloat)?,
                Fault::SparseState => zeros.f_to_sparse(None, None::<&[i64]>, None)?,
                fault => fault.bend(zeros)?,
            };
            Ok((name.to_owned(), tensor))
        };
        match fault {
            Fault::Twice => ["odd", "odd"].into_iter().map(entry).collect(),
            Fault::WrongKind
            | Fault::WrongDevice
            | Fault::Undefined
            | Fault::SparseState
            | Fault::PanicInLoad => Ok(vec![entry("odd")?]),
            _ => Ok(Vec::new()),
        }
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        self.config.fault.in_load();
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

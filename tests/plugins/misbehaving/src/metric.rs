//! A metric that counts words.

use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

use kiwi_plugin_api::prelude::*;

use crate::fault::{Config, Fault};

pub(crate) struct MisbehavingMetric {
    config: Config,
    batches: AtomicU64,
}

impl Component for MisbehavingMetric {
    type Config = Config;
    const CLASS_NAME: &'static str = "MisbehavingMetric";
    const SUMMARY: &'static str = "Number of words; misbehaves on demand";

    fn check(config: &Config, report: &mut ConfigReport) {
        config.fault.check(&[], report);
    }
}

impl Metric for MisbehavingMetric {
    const ORDERING: Ordering = Ordering::Max;

    fn create(config: Config) -> Result<Self> {
        let config = by_environment(config);
        config.fault.in_create()?;
        Ok(Self { config, batches: AtomicU64::new(0) })
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        self.config.fault.at_work()?;
        let nll = output.tensor(Output::NLL)?;
        let words = Tensor::f_full([1], nll.size()[0] as f64, (Kind::Double, nll.device()))?;
        self.config.fault.after_work();
        // The first batch is told of as it should be.
        match self.batches.fetch_add(1, AtomicOrdering::Relaxed) {
            0 => Ok(words),
            _ => self.config.fault.bend(words),
        }
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        total.first().copied()
    }
}

/// The fault that the environment names, where the config names none: a run's config has no options for metrics.
fn by_environment(config: Config) -> Config {
    match std::env::var("KIWI_MISBEHAVING_METRIC") {
        Ok(fault) if config.fault == Fault::None => {
            let named = kiwi_plugin_api::serde_json::from_value(fault.into());
            Config { fault: named.unwrap_or(Fault::PanicInCreate) }
        }
        _ => config,
    }
}

impl Drop for MisbehavingMetric {
    fn drop(&mut self) {
        self.config.fault.in_drop();
    }
}

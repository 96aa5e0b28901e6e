//! A metric whose options are wrong in themselves, whatever is written.

use kiwi_plugin_api::prelude::*;

/// Options that no config should have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Taken, and not given back.
    #[serde(skip_serializing)]
    forgotten: i64,
    /// The key that names the component itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    class_name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { forgotten: 8, class_name: None }
    }
}

pub(crate) struct ForgetfulMetric;

impl Component for ForgetfulMetric {
    type Config = Config;
    const CLASS_NAME: &'static str = "ForgetfulMetric";
    const SUMMARY: &'static str = "Number of words; forgets an option";
}

impl Metric for ForgetfulMetric {
    const ORDERING: Ordering = Ordering::Max;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        let nll = output.tensor(Output::NLL)?;
        Ok(Tensor::f_full([1], nll.size()[0] as f64, (Kind::Double, nll.device()))?)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        total.first().copied()
    }
}

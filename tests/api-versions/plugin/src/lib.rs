//! One component of each kind, by what version 1.0 of the plugin API has; with the feature `newest` the encoder saves the state that
//! it carries, which 1.1 added.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;

/// Options of the encoder.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Size {
    /// Size of its embeddings.
    size: i64,
}

impl Default for Size {
    fn default() -> Self {
        Self { size: 8 }
    }
}

/// No options.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Nothing {}

/// Predicts each target word from the mean of the source and, where state is carried, of the sources before.
struct ProbeEncoder {
    size: i64,
    words: i64,
    parameters: Parameters,
    source: Tensor,
    output: Tensor,
    carried: Option<Tensor>,
}

impl Component for ProbeEncoder {
    type Config = Size;
    const CLASS_NAME: &'static str = "ProbeEncoder";
    const SUMMARY: &'static str = "The mean of the source";

    fn check(config: &Size, report: &mut ConfigReport) {
        report.require(config.size >= 1, "size", config.size, "an integer of at least 1");
    }
}

impl Encoder for ProbeEncoder {
    fn needs(_config: &Size) -> EncoderNeeds {
        EncoderNeeds::default().carries_state()
    }

    fn create(config: Size, context: &EncoderContext) -> Result<Self> {
        let (device, words) = (context.device()?, context.vocabulary_size("target")?);
        let mut parameters = Parameters::new();
        let mut table =
            |name: &str, rows| parameters.trainable(name, init::xavier_uniform([rows, config.size], device)?);
        let source = table("source", context.vocabulary_size("source")?)?;
        let output = table("output", words)?;
        Ok(Self { size: config.size, words, parameters, source, output, carried: None })
    }

    fn hidden_size(&self) -> i64 {
        self.size
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([("target_logits".to_owned(), self.words)])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features> {
        let embedded = Tensor::f_embedding(&self.source, batch.field("source")?.ids()?, 1, false, false)?;
        let mut mean = embedded.f_mean_dim([1i64].as_slice(), true, Kind::Float)?;
        if pass.training() {
            let of_batch = mean.f_mean_dim([0i64].as_slice(), true, Kind::Float)?.f_detach()?;
            if let Some(carried) = self.carried.replace(of_batch) {
                mean = mean.f_add(&carried)?;
            }
        }
        let width = batch.field("target")?.ids()?.size()[1];
        let input = mean.f_expand([-1, width, -1], false)?;
        let logits = Projection::new(input, self.output.shallow_clone(), None);
        Ok(Features::new().with("target_logits", Feature::Projection(logits)))
    }

    fn reset_state(&mut self, training: bool) -> Result<()> {
        if training {
            self.carried = None;
        }
        Ok(())
    }

    #[cfg(feature = "newest")]
    fn carried_state(&self) -> Result<Option<NamedTensors>> {
        let carried = self.carried.iter().map(|tensor| ("mean".to_owned(), tensor.shallow_clone()));
        Ok(Some(carried.collect()))
    }

    #[cfg(feature = "newest")]
    fn load_carried_state(&mut self, state: NamedTensors) -> Result<()> {
        self.carried = state.into_iter().next().map(|(_, tensor)| tensor);
        Ok(())
    }
}

/// The mean of the negative log-likelihoods.
struct ProbeHead {
    parameters: Parameters,
}

impl Component for ProbeHead {
    type Config = Nothing;
    const CLASS_NAME: &'static str = "ProbeHead";
    const SUMMARY: &'static str = "Mean negative log-likelihood";
}

impl Head for ProbeHead {
    fn needs(_config: &Nothing) -> HeadNeeds {
        HeadNeeds::default().features(["target_logits"])
    }

    fn create(_config: Nothing, context: &HeadContext) -> Result<Self> {
        context.feature_size("target_logits")?;
        Ok(Self { parameters: Parameters::new() })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        vec![MetricRequest::new("target", "ProbeMetric")]
    }

    fn forward(&mut self, features: &Features, batch: &Batch, _pass: &mut Pass) -> Result<HeadOutput> {
        let field = batch.field("target")?;
        let positions = field.counted()?;
        let gold = field.ids()?.f_flatten(0, 1)?.f_index_select(0, positions)?;
        let logits = features.get("target_logits")?.materialize()?.f_flatten(0, 1)?;
        let log_probabilities = logits.f_index_select(0, positions)?.f_log_softmax(-1, Kind::Float)?;
        let nll = log_probabilities.f_gather(1, &gold.f_unsqueeze(1)?, false)?.f_squeeze()?.f_neg()?;
        let figures = vec![
            (Output::POSITIONS.to_owned(), positions.shallow_clone()),
            (Output::NLL.to_owned(), nll.f_detach()?),
        ];
        let count = Tensor::f_full([] as [i64; 0], positions.size()[0] as f64, (Kind::Float, nll.device()))?;
        let output = HeadOutput::new(nll.f_mean(Kind::Float)?, vec![Output::new("target", figures)]);
        Ok(output.averaged_over(count))
    }
}

/// Plain gradient descent, which counts its steps.
struct ProbeOptimizer {
    groups: Vec<ParameterGroup>,
    steps: i64,
}

impl Component for ProbeOptimizer {
    type Config = Nothing;
    const CLASS_NAME: &'static str = "ProbeOptimizer";
    const SUMMARY: &'static str = "Plain gradient descent";
}

impl Optimizer for ProbeOptimizer {
    fn create(_config: Nothing, groups: Vec<ParameterGroup>) -> Result<Self> {
        Ok(Self { groups, steps: 0 })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        self.steps += 1;
        for (group, rate) in self.groups.iter().zip(learning_rates) {
            for (_, parameter) in &group.parameters {
                if let Some(gradient) = kiwi_plugin_api::torch_ext::gradients::gradient(parameter)? {
                    let _ = parameter.f_detach()?.f_add_(&gradient.f_mul_scalar(-rate)?)?;
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        Ok(vec![("steps".to_owned(), Tensor::from(self.steps))])
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        let found = state.iter().find(|(name, _)| name == "steps");
        let (_, steps) = found.ok_or_else(|| Error::new("the state has no `steps`"))?;
        self.steps = i64::try_from(steps)?;
        Ok(())
    }
}

/// The mean negative log-likelihood.
struct ProbeMetric;

impl Component for ProbeMetric {
    type Config = Nothing;
    const CLASS_NAME: &'static str = "ProbeMetric";
    const SUMMARY: &'static str = "Mean negative log-likelihood";
}

impl Metric for ProbeMetric {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: Nothing) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        let nll = output.tensor(Output::NLL)?.f_to_kind(Kind::Double)?;
        let count = Tensor::f_full([] as [i64; 0], nll.size()[0] as f64, (Kind::Double, nll.device()))?;
        Ok(Tensor::f_stack(&[nll.f_sum(Kind::Double)?, count], 0)?)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        (total[1] > 0.0).then(|| total[0] / total[1])
    }
}

register!(encoder ProbeEncoder);
register!(head ProbeHead);
register!(optimizer ProbeOptimizer);
register!(metric ProbeMetric);
plugin!();

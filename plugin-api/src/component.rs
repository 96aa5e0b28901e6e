//! The traits an author implements.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tch::Tensor;

use crate::{
    Batch, ConfigReport, EncoderContext, EncoderNeeds, Error, Features, HeadContext, HeadNeeds, HeadOutput,
    NamedTensors, Output, Parameters, Result, Schedule, ScheduleContext, ScheduleKeys,
};

/// What all components have: a name, a sentence, and a config.
///
/// An instance is called by one thread at a time, not always the same (`Send`, not `Sync`).
pub trait Component: Sized + Send + 'static {
    /// The options under the component's part of the config. Every key that is not a field is refused by the host, whether or
    /// not the type says `deny_unknown_fields`; defaults come from `#[serde(default)]`.
    ///
    /// Its JSON Schema is what editors complete and check a config by, and must not refuse what is accepted: ranges that
    /// [`Component::check`] demands are told by `#[schemars(range(min = 0.0))]`, and a type with an alias of serde, which schemars does not
    /// see, says so by `#[schemars(extend("additionalProperties" = true))]`.
    type Config: Serialize + DeserializeOwned + JsonSchema;

    /// The `class_name` in a config.
    const CLASS_NAME: &'static str;

    /// One sentence for listings.
    const SUMMARY: &'static str;

    /// Checks what types alone cannot: ranges, options that need each other. Called before anything is computed, with every
    /// complaint reported, not the first only.
    fn check(_config: &Self::Config, _report: &mut ConfigReport) {}
}

/// Turns batches into features.
pub trait Encoder: Component {
    /// What it needs of the run, as its checked config says. Asked before a corpus is read.
    fn needs(_config: &Self::Config) -> EncoderNeeds {
        EncoderNeeds::default()
    }

    /// Builds it with fresh parameters, drawn from libtorch's default generator.
    ///
    /// # Errors
    /// When it cannot be built for these vocabularies or on this device.
    fn create(config: Self::Config, context: &EncoderContext) -> Result<Self>;

    /// The size of its hidden state, by which some schedules scale the learning rate.
    fn hidden_size(&self) -> i64;

    /// Last dimension of each feature that [`Encoder::forward`] can give, whether or not anybody reads it.
    fn feature_sizes(&self) -> BTreeMap<String, i64>;

    /// Its parameters and buffers.
    fn parameters(&self) -> &Parameters;

    /// Computes the features of a batch: at least those that [`EncoderContext::wants`], so far as the batch has their fields.
    ///
    /// # Errors
    /// When the batch does not fit the encoder.
    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features>;

    /// Forgets the state that it carries from batch to batch. Training and evaluation have a state of their own each, so that a
    /// validation does not disturb training.
    ///
    /// An encoder that carries state says so in its [`Encoder::needs`]. Where `trainer.truncated_bptt_steps` is set, it is reset
    /// at the beginning of each epoch and of each pass without training, else before every batch.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn reset_state(&mut self, _training: bool) -> Result<()> {
        Ok(())
    }

    /// Cuts the state that it carries in training from how it came about, so that gradients end there (truncated
    /// backpropagation through time, Williams and Peng 1990).
    ///
    /// # Errors
    /// When libtorch refuses.
    fn detach_state(&mut self) -> Result<()> {
        Ok(())
    }

    /// The state that it carries in training, of which [`Encoder::detach_state`] has cut the history: what a resume point keeps, so
    /// that a run can be resumed within an epoch. `None`, the answer of a class that does not say, lets runs that carry state be
    /// resumed from the ends of epochs only. The tensors may be the encoder's own: the host reads them before it calls it again.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    #[cfg(feature = "v1_1")]
    fn carried_state(&self) -> Result<Option<NamedTensors>> {
        Ok(None)
    }

    /// Takes over what [`Encoder::carried_state`] gave, on the encoder's device.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape, or of an unknown name, which is the answer of a class that carries nothing.
    #[cfg(feature = "v1_1")]
    fn load_carried_state(&mut self, _state: NamedTensors) -> Result<()> {
        Err(Error::new("it was saved with carried state, and this version of the class keeps none"))
    }

    /// What a saved system must hold of it besides parameters and buffers, as JSON: counters, statistics, names. Asked whenever a
    /// system is saved; `None` for nothing.
    ///
    /// # Errors
    /// When it cannot be told.
    fn extra(&self) -> Result<Option<serde_json::Value>> {
        Ok(None)
    }

    /// Takes over what [`Encoder::extra`] gave, after the parameters, when a saved system is loaded.
    ///
    /// # Errors
    /// When it is not what this version gives, which is the answer of a class that gives nothing.
    fn load_extra(&mut self, _extra: serde_json::Value) -> Result<()> {
        Err(Error::new("it was saved with more than parameters, and this version of the class keeps no more"))
    }
}

/// Turns features into a loss and what metrics need.
pub trait Head: Component {
    /// What it needs of the run, as its checked config says. Asked before a corpus is read.
    fn needs(_config: &Self::Config) -> HeadNeeds {
        HeadNeeds::default()
    }

    /// Builds it with fresh parameters.
    ///
    /// # Errors
    /// When the encoder's features are not those it needs.
    fn create(config: Self::Config, context: &HeadContext) -> Result<Self>;

    /// Its parameters and buffers.
    fn parameters(&self) -> &Parameters;

    /// The metrics it wants computed, in order; the first is the main metric unless the config says otherwise.
    fn metrics(&self) -> Vec<MetricRequest>;

    /// Computes loss and figures of a batch.
    ///
    /// # Errors
    /// When features or batch are not those it needs.
    fn forward(&mut self, features: &Features, batch: &Batch, pass: &mut Pass) -> Result<HeadOutput>;

    /// What a saved system must hold of it besides parameters and buffers, as JSON: counters, statistics, names. Asked whenever a
    /// system is saved; `None` for nothing.
    ///
    /// # Errors
    /// When it cannot be told.
    fn extra(&self) -> Result<Option<serde_json::Value>> {
        Ok(None)
    }

    /// Takes over what [`Head::extra`] gave, after the parameters, when a saved system is loaded.
    ///
    /// # Errors
    /// When it is not what this version gives, which is the answer of a class that gives nothing.
    fn load_extra(&mut self, _extra: serde_json::Value) -> Result<()> {
        Err(Error::new("it was saved with more than parameters, and this version of the class keeps no more"))
    }
}

/// Updates parameters from their gradients.
///
/// The host computes learning rates, clips gradients and clears them. A rate is constant, or lowered when the main metric no
/// longer improves, unless the class has a schedule of its own: then [`Optimizer::HAS_SCHEDULE`] is true and
/// [`Optimizer::schedule`] gives it.
pub trait Optimizer: Component {
    /// Whether the class has a learning-rate schedule of its own. Without one the keys of [`ScheduleKeys`] are refused.
    const HAS_SCHEDULE: bool = false;

    /// Whether it can use sparse gradients only, which the tables of embeddings may have and nothing else. The host then refuses,
    /// before anything is trained, to give it other parameters.
    const SPARSE_ONLY: bool = false;

    /// Checks the keys that the schedule is made of; paths are relative to the optimizer's section, as `warmup_steps`. Called
    /// before any corpus is read.
    fn check_schedule(_config: &Self::Config, _keys: &ScheduleKeys, _report: &mut ConfigReport) {}

    /// The schedule of a run, for a class that has one.
    ///
    /// # Errors
    /// When there is none for a run of this length.
    fn schedule(_config: &Self::Config, _context: &ScheduleContext) -> Result<Schedule> {
        Err(Error::new("this class has no learning-rate schedule of its own"))
    }

    /// Builds it over these parameters.
    ///
    /// # Errors
    /// When it cannot train them.
    fn create(config: Self::Config, groups: Vec<ParameterGroup>) -> Result<Self>;

    /// One step, with one learning rate a group. A parameter without a gradient is left as it is.
    ///
    /// # Errors
    /// When a gradient is of a layout it cannot use.
    fn step(&mut self, learning_rates: &[f64]) -> Result<()>;

    /// Everything that the next step depends on, besides parameters and gradients. The tensors may be the optimizer's own: the
    /// host reads them before it calls the optimizer again.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    fn state(&self) -> Result<NamedTensors>;

    /// Takes over what [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape, or of an unknown name.
    fn load_state(&mut self, state: NamedTensors) -> Result<()>;
}

/// Parameters that share a learning rate.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParameterGroup {
    /// Name of the group, for messages.
    pub name: String,
    /// The parameters, by name.
    pub parameters: NamedTensors,
}

impl ParameterGroup {
    /// The group `name` of these parameters.
    #[must_use]
    pub fn new(name: impl Into<String>, parameters: NamedTensors) -> Self {
        Self { name: name.into(), parameters }
    }
}

/// Turns what a head reports into one figure over many batches.
pub trait Metric: Component {
    /// Which values are better.
    const ORDERING: Ordering;

    /// Builds it.
    ///
    /// # Errors
    /// When the options make no sense.
    fn create(config: Self::Config) -> Result<Self>;

    /// What one batch adds: `[K]` float64 on the output's device. Contributions of batches are summed. It must not wait for
    /// the device (no `double_value` and the like).
    ///
    /// # Errors
    /// When the output lacks a tensor it needs.
    fn contribution(&self, output: &Output) -> Result<Tensor>;

    /// The figure, from the sum of all contributions; `None` where there is nothing to say (no tokens).
    fn value(&self, total: &[f64]) -> Option<f64>;
}

/// Which of two values of a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// A metric that a head wants for one of its outputs; it goes by the name `{output}_{class_name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct MetricRequest {
    /// Name of the output.
    pub output: String,
    /// Class of the metric.
    pub class_name: String,
}

impl MetricRequest {
    /// The metric `class_name` of `output`.
    #[must_use]
    pub fn new(output: impl Into<String>, class_name: impl Into<String>) -> Self {
        Self { output: output.into(), class_name: class_name.into() }
    }
}

/// One call of `forward`: in which mode, and whether somebody wants to see what happens on the way.
#[derive(Debug)]
pub struct Pass {
    training: bool,
    trace: Option<NamedTensors>,
}

impl Pass {
    /// A pass in training mode (dropout on) or in evaluation mode.
    #[must_use]
    pub fn new(training: bool, traced: bool) -> Self {
        Self { training, trace: traced.then(Vec::new) }
    }

    /// Whether dropout and the like are on.
    #[must_use]
    pub fn training(&self) -> bool {
        self.training
    }

    /// Shows a tensor on the way to whoever asked for it (tests of parity, a debugging session); costs nothing otherwise.
    pub fn trace(&mut self, name: &str, tensor: &Tensor) {
        if let Some(trace) = &mut self.trace {
            trace.push((name.to_owned(), tensor.shallow_clone()));
        }
    }

    /// Whether anybody asked: where a traced tensor must be computed for the purpose.
    #[must_use]
    pub fn traced(&self) -> bool {
        self.trace.is_some()
    }

    /// What was traced.
    #[must_use]
    pub fn into_trace(self) -> NamedTensors {
        self.trace.unwrap_or_default()
    }
}

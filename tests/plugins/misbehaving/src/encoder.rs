//! An encoder of embeddings only: each target word is predicted from the mean of the source and the word before it.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_torch_ext_throwing as throwing;

use crate::fault::Fault;
use crate::sudden;

/// Options of the encoder.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How it misbehaves.
    fault: Fault,
    /// Size of its embeddings.
    dim: i64,
    /// The longest target that it says it can take, in positions.
    longest: Option<i64>,
    /// A field that it says it reads.
    reads: Option<String>,
    /// Leave the padding out of the mean of the source.
    masks: bool,
    /// Carry the mean of the sources from batch to batch.
    carries: bool,
    /// Let resume points have what is carried.
    saves_carried: bool,
    /// Keep the number of batches that were trained on in saved systems.
    counts: bool,
    /// How many batches it evaluates, outside training, before it fails; each without gradients, or it fails at once.
    evaluates: Option<u64>,
    /// The process (`RANK`) whose shares of the batches below cannot be used; that of all if left out.
    only_on_rank: Option<u32>,
    /// Training batches, counted from 0, for which it says what libtorch says when memory runs out.
    out_of_memory: Vec<u64>,
    /// Training batches whose loss is not finite.
    loss_not_finite: Vec<u64>,
    /// Training batches whose gradients are not finite, though their loss is.
    gradient_not_finite: Vec<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            dim: 16,
            longest: None,
            reads: None,
            masks: false,
            carries: false,
            saves_carried: false,
            counts: false,
            evaluates: None,
            out_of_memory: Vec::new(),
            only_on_rank: None,
            loss_not_finite: Vec::new(),
            gradient_not_finite: Vec::new(),
        }
    }
}

pub(crate) struct MisbehavingEncoder {
    config: Config,
    evaluated: u64,
    trained: u64,
    /// What is carried in evaluation and in training, `[1, 1, dim]` each.
    carried: [Option<Tensor>; 2],
    vocabulary_size: i64,
    parameters: Parameters,
    source: Tensor,
    target: Tensor,
    output: Tensor,
}

impl Component for MisbehavingEncoder {
    type Config = Config;
    const CLASS_NAME: &'static str = "MisbehavingEncoder";
    const SUMMARY: &'static str = "Embeddings only; misbehaves on demand";

    fn check(config: &Config, report: &mut ConfigReport) {
        let own = [
            Fault::MissingFeature,
            Fault::Twice,
            Fault::ThrowInBackward,
            Fault::ReturnsLent,
            Fault::WritesIntoBatch,
            Fault::OnePositionMore,
            Fault::SharedMemory,
        ];
        config.fault.check(&own, report);
        report.require(config.dim >= 1, "dim", config.dim, "an integer of at least 1");
    }
}

impl Encoder for MisbehavingEncoder {
    fn needs(config: &Config) -> EncoderNeeds {
        config.fault.in_needs();
        let mut needs = EncoderNeeds::default();
        if let Some(positions) = config.longest {
            needs = needs.longest("target", positions, "longest");
        }
        if let Some(field) = &config.reads {
            needs = needs.reads(field, "reads");
        }
        if config.carries { needs.carries_state() } else { needs }
    }

    fn create(config: Config, context: &EncoderContext) -> Result<Self> {
        config.fault.in_create()?;
        let device = context.device()?;
        let vocabulary_size = context.vocabulary_size("target")?;
        let mut parameters = Parameters::new();
        if config.fault == Fault::SharedMemory {
            let row = Tensor::f_zeros([1, config.dim], (Kind::Float, device))?;
            let _ = parameters.trainable("shared", row.f_expand([2, config.dim], false)?)?;
        }
        let mut table =
            |name: &str, rows| parameters.trainable(name, init::xavier_uniform([rows, config.dim], device)?);
        let source = table("source", context.vocabulary_size("source")?)?;
        let target = table("target", vocabulary_size)?;
        let output = table("output", vocabulary_size)?;
        Ok(Self {
            config,
            evaluated: 0,
            trained: 0,
            carried: [None, None],
            vocabulary_size,
            parameters,
            source,
            target,
            output,
        })
    }

    fn hidden_size(&self) -> i64 {
        self.config.dim
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([("target_logits".to_owned(), self.vocabulary_size)])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn reset_state(&mut self, training: bool) -> Result<()> {
        self.carried[usize::from(training)] = None;
        Ok(())
    }

    fn carried_state(&self) -> Result<Option<NamedTensors>> {
        let carried = self.carried[1].iter().map(|tensor| ("mean".to_owned(), tensor.shallow_clone()));
        Ok(self.config.saves_carried.then(|| carried.collect()))
    }

    fn load_carried_state(&mut self, state: NamedTensors) -> Result<()> {
        self.carried[1] = state.into_iter().next().map(|(_, tensor)| tensor);
        Ok(())
    }

    fn detach_state(&mut self) -> Result<()> {
        if let Some(carried) = self.carried[1].take() {
            self.carried[1] = Some(carried.f_detach()?);
        }
        Ok(())
    }

    fn extra(&self) -> Result<Option<kiwi_plugin_api::serde_json::Value>> {
        self.config.fault.in_save();
        let counts = self.config.counts || self.config.fault == Fault::PanicInLoad;
        Ok(counts.then(|| self.trained.into()))
    }

    fn load_extra(&mut self, extra: kiwi_plugin_api::serde_json::Value) -> Result<()> {
        self.config.fault.in_load();
        self.trained =
            extra.as_u64().ok_or_else(|| Error::new(format!("{extra} is no number of batches")))?;
        Ok(())
    }

    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features> {
        self.config.fault.at_work()?;
        let here = self
            .config
            .only_on_rank
            .is_none_or(|rank| std::env::var("RANK").is_ok_and(|own| own == rank.to_string()));
        let number = (pass.training() && here).then_some(self.trained);
        let due = |batches: &[u64]| number.is_some_and(|number| batches.contains(&number));
        let [out_of_memory, loss_not_finite, gradient_not_finite] =
            [&self.config.out_of_memory, &self.config.loss_not_finite, &self.config.gradient_not_finite]
                .map(|batches| due(batches));
        self.trained += u64::from(pass.training());
        if out_of_memory {
            return Err(Error::new(
                "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.25 GiB is free.",
            ));
        }
        if let Some(most) = self.config.evaluates.filter(|_| !pass.training()) {
            if self.evaluated >= most {
                return Err(Error::new(format!("asked to evaluate {most} batches only")));
            }
            if self.output.f_neg()?.requires_grad() {
                return Err(Error::new("gradients are followed in evaluation"));
            }
            self.evaluated += 1;
        }
        if self.config.fault == Fault::MissingFeature {
            return Ok(Features::new().with("something_else", Feature::Tensor(self.source.shallow_clone())));
        }
        let embed = |table: &Tensor, ids: &Tensor| Tensor::f_embedding(table, ids, -1, false, false);
        let field = batch.field("source")?;
        let source = embed(&self.source, field.ids()?)?;
        let target = embed(&self.target, batch.field("target")?.ids()?)?;
        let mut mean = if self.config.masks {
            let lengths = field.lengths()?.f_unsqueeze(1)?;
            let positions = Tensor::f_arange(source.size()[1], (Kind::Int64, source.device()))?;
            let filled = positions.f_less_tensor(&lengths)?.f_unsqueeze(2)?;
            let sum = source.f_mul(&filled)?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?;
            sum.f_div(&lengths.f_unsqueeze(2)?)?
        } else {
            source.f_mean_dim([1i64].as_slice(), true, Kind::Float)?
        };
        if self.config.carries {
            let carried = &mut self.carried[usize::from(pass.training())];
            let of_batch = mean.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
            if let Some(before) = carried.as_ref() {
                mean = mean.f_add(before)?;
            }
            *carried = Some(match carried.take() {
                Some(before) => before.f_mul_scalar(0.5)?.f_add(&of_batch)?,
                None => of_batch,
            });
        }
        let before = target.f_narrow(1, 0, target.size()[1] - 1)?.f_constant_pad_nd([0i64, 0, 1, 0])?;
        let mut input = before.f_add(&mean)?;
        if loss_not_finite {
            input = input.f_mul_scalar(f64::NAN)?;
        }
        if gradient_not_finite {
            // Adds 0, whose derivative is 0 times infinity.
            input = input.f_add(&input.f_sub(&input.f_detach()?)?.f_sqrt()?.f_mul_scalar(0.0)?)?;
        }
        let fault = self.config.fault;
        if fault == Fault::WritesIntoBatch {
            let _ = batch.field("target")?.ids()?.shallow_clone().f_fill_(5)?;
        }
        if fault == Fault::OnePositionMore {
            input = Tensor::f_cat(&[&input, &input.f_narrow(1, 0, 1)?], 1)?;
        }
        if fault == Fault::ThrowInBackward {
            input = throwing::in_backward(&input);
        }
        let weight = fault.bend(self.output.shallow_clone())?;
        let logits = Projection::new(input.shallow_clone(), weight, None);
        fault.after_work();
        let features = Features::new().with("target_logits", Feature::Projection(logits));
        Ok(match fault {
            Fault::Twice => features.with("target_logits", Feature::Tensor(input)),
            Fault::ReturnsLent => {
                features.with("words", Feature::Tensor(sudden::as_if_owned(batch.field("target")?.ids()?)))
            }
            _ => features,
        })
    }
}

impl Drop for MisbehavingEncoder {
    fn drop(&mut self) {
        self.config.fault.in_drop();
    }
}

//! Checks of heads, over features that are made up: what one says of itself (here), its loss and figures (`forward`), gradients and
//! what is saved (`learning`).

mod features;
mod forward;
mod learning;

use kiwi_torch_ext::gradients::clear_gradients;
use serde_json::Value;
use tch::Tensor;

use super::batches::{FIELDS, Shape, UNEQUAL, vocabulary_sizes};
use super::encoder::{reproducible, sound_parameters, tensors_of};
use super::finding::{Checked, Complaint, Seen};
use super::gradients::backward;
use super::subject::{Exercise, Subject, seed};
use super::suite::Check;
use crate::abi::host::HeadInstance;
use crate::{Batch, EncoderNeeds, HeadContext, HeadNeeds, HeadOutput, Parameter, SpecialIds};

use features::{HIDDEN_SIZE, Made, feature_sizes};

pub(super) use features::output_for;

pub(super) const CHECKS: [Check; 9] = [
    Check { id: "needs", needs: &["options"], run: needs },
    Check { id: "create", needs: &["needs"], run: create },
    Check { id: "work", needs: &["create"], run: forward::work },
    Check { id: "determinism", needs: &["work"], run: forward::determinism },
    Check { id: "modes", needs: &["work"], run: forward::modes },
    Check { id: "padding", needs: &["modes"], run: forward::padding },
    Check { id: "gradients", needs: &["determinism"], run: learning::gradients },
    Check { id: "trainable", needs: &["work"], run: learning::trainable },
    Check { id: "saved_state", needs: &["modes"], run: learning::saved },
];

/// A head with what is known of it.
struct Opened {
    instance: HeadInstance,
    needs: HeadNeeds,
}

/// One of small sizes, created with this seed.
fn open(subject: &Subject<'_>, seeded: u64) -> Checked<Opened> {
    open_with(subject, small(subject)?, seeded)
}

/// Its config with small sizes, if it can be created with them.
fn small<'a>(subject: &'a Subject<'_>) -> Checked<&'a Value> {
    subject.small_config(|config| open_with(subject, config, 1).is_ok())
}

fn open_with(subject: &Subject<'_>, config: &Value, seeded: u64) -> Checked<Opened> {
    let needs = subject.handle.head_needs(config)?;
    let context = HeadContext {
        feature_sizes: feature_sizes(&needs),
        hidden_size: HIDDEN_SIZE,
        vocabulary_sizes: vocabulary_sizes(),
        special: SpecialIds::default(),
        device: subject.device_name(),
    };
    seed(seeded)?;
    Ok(Opened { instance: HeadInstance::create(subject.handle, config, &context)?, needs })
}

impl Opened {
    fn trainable(&mut self) -> Checked<Vec<Parameter>> {
        let all = self.instance.parameters()?;
        Ok(all.into_iter().filter(|one| one.trainable && one.alias_of.is_none()).collect())
    }

    /// A batch of this shape, and features that an encoder might give of it.
    fn input(&self, subject: &Subject<'_>, shape: &Shape) -> Checked<(Batch, Made)> {
        let batch = shape.sentences(&EncoderNeeds::default(), 1).batch(subject.device())?;
        let made = Made::new(&self.needs, &batch, subject.device())?;
        Ok((batch, made))
    }

    /// Whether it can read a batch of this shape: one without post-edits is nothing for a head that needs them.
    fn reads(&self, batch: &Batch) -> bool {
        self.needs.fields.iter().all(|needed| batch.find(&needed.field).is_some())
    }

    fn seeded_forward(
        &mut self,
        made: &Made,
        batch: &Batch,
        training: bool,
        seeded: u64,
    ) -> Checked<HeadOutput> {
        seed(seeded)?;
        Ok(self.instance.forward(&made.features()?, batch, training)?)
    }
}

/// What it needs is something that a host can give.
fn needs(subject: &Subject<'_>) -> Checked {
    let needs = subject.handle.head_needs(subject.config()?)?;
    if let Some(unknown) = needs.fields.iter().find(|needed| !FIELDS.contains(&needed.field.as_str())) {
        return Err(Complaint::new(format!("it needs the field `{}`, which no host has", unknown.field))
            .expected(format!("one of {}", FIELDS.join(", ")))
            .into());
    }
    let mut said: Vec<String> =
        needs.fields.iter().map(|needed| format!("reads `{}`", needed.field)).collect();
    said.push(match &needs.features {
        Some(features) if features.is_empty() => "reads no feature".to_owned(),
        Some(features) => format!("reads the features {}", features.join(", ")),
        None => "reads every feature that there is".to_owned(),
    });
    Ok(Seen::new(format!("it {}", said.join(" and "))))
}

/// It can be created over the features that it says it reads, and names its tensors and metrics.
fn create(subject: &Subject<'_>) -> Checked {
    let config = subject.config()?;
    let mut opened = open_with(subject, config, 1)?;
    let parameters = opened.instance.parameters()?;
    sound_parameters(subject, &parameters)?;
    reproducible(&parameters, &open_with(subject, config, 1)?.instance.parameters()?)?;
    let metrics = opened.instance.metrics()?;
    if let Some(nameless) = metrics.iter().find(|one| one.output.is_empty() || one.class_name.is_empty()) {
        return Err(Complaint::new("it asks for a metric without a name, or of an output without one")
            .found(format!("{nameless:?}"))
            .into());
    }
    let asked: Vec<String> =
        metrics.iter().map(|one| format!("{} of {}", one.class_name, one.output)).collect();
    opened.instance.close()?;
    let seen =
        Seen::new(format!("it is created with {} tensors, the same for the same seed", parameters.len()));
    Ok(if asked.is_empty() {
        seen.note("it asks for no metric: a run needs `system.metrics` to have one to rank by")
    } else {
        seen.note(format!("it asks for {}", asked.join(", ")))
    })
}

struct Judging {
    opened: Opened,
    batch: Batch,
    made: Made,
    trained: Vec<Tensor>,
}

/// A head at work on a batch of unequal lengths.
pub(super) fn exercise(subject: &Subject<'_>) -> Checked<Box<dyn Exercise>> {
    let mut opened = open(subject, 1)?;
    let (batch, made) = opened.input(subject, UNEQUAL)?;
    let mut trained: Vec<Tensor> = opened.trainable()?.into_iter().map(|one| one.tensor).collect();
    trained.extend(made.leaves().into_iter().map(|(_, tensor)| tensor));
    Ok(Box::new(Judging { opened, batch, made, trained }))
}

impl Exercise for Judging {
    fn lent(&self) -> Vec<(String, Tensor)> {
        tensors_of(&self.batch)
    }

    fn work(&mut self, training: bool) -> Checked<()> {
        if !training {
            return tch::no_grad(|| self.opened.seeded_forward(&self.made, &self.batch, false, 2)).map(drop);
        }
        let output = self.opened.seeded_forward(&self.made, &self.batch, true, 2)?;
        if output.loss.requires_grad() {
            backward(&output.loss)?;
        }
        Ok(clear_gradients(&self.trained)?)
    }

    fn cheapest(&mut self) -> Checked<&'static str> {
        self.opened.instance.metrics()?;
        Ok("metrics")
    }

    fn close(self: Box<Self>) -> Checked<()> {
        let Self { opened, .. } = *self;
        Ok(opened.instance.close()?)
    }
}

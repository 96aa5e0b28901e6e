//! Checks of encoders: what one says of itself (here), its features in training and evaluation (`forward`), what they must not depend
//! on (`invariance`), gradients (`learning`), and what is saved or carried on (`state`).

mod forward;
mod invariance;
mod learning;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use kiwi_torch_ext::gradients::clear_gradients;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::batches::{FIELDS, Shape, UNEQUAL, vocabulary_sizes};
use super::finding::{Checked, Complaint, Seen};
use super::gradients::backward;
use super::subject::{Exercise, Subject, seed};
use super::suite::Check;
use crate::abi::host::EncoderInstance;
use crate::{Batch, EncoderContext, EncoderNeeds, Feature, Features, Field, Parameter, SpecialIds};

pub(super) use state::copy_values;

pub(super) const CHECKS: [Check; 12] = [
    Check { id: "needs", needs: &["options"], run: needs },
    Check { id: "create", needs: &["needs"], run: create },
    Check { id: "work", needs: &["create"], run: forward::work },
    Check { id: "wanted", needs: &["work"], run: forward::wanted },
    Check { id: "determinism", needs: &["work"], run: forward::determinism },
    Check { id: "modes", needs: &["work"], run: forward::modes },
    Check { id: "padding", needs: &["modes"], run: invariance::padding },
    Check { id: "rows", needs: &["modes"], run: invariance::rows },
    Check { id: "gradients", needs: &["determinism"], run: learning::gradients },
    Check { id: "trainable", needs: &["work"], run: learning::trainable },
    Check { id: "saved_state", needs: &["modes"], run: state::saved },
    Check { id: "carried_state", needs: &["determinism"], run: state::carried },
];

/// An encoder with what is known of it.
pub(super) struct Opened {
    instance: EncoderInstance,
    needs: EncoderNeeds,
}

/// One of small sizes, created with this seed.
fn open(subject: &Subject<'_>, seed: u64) -> Checked<Opened> {
    open_with(subject, small(subject)?, seed, None)
}

/// Its config with small sizes, if it can be created with them.
fn small<'a>(subject: &'a Subject<'_>) -> Checked<&'a Value> {
    subject.small_config(|config| open_with(subject, config, 1, None).is_ok())
}

/// Asks for what it needs, creates it with this seed, and hands it over.
fn open_with(
    subject: &Subject<'_>,
    config: &Value,
    seeded: u64,
    features: Option<BTreeSet<String>>,
) -> Checked<Opened> {
    let needs = subject.handle.encoder_needs(config)?;
    let context = EncoderContext {
        vocabulary_sizes: vocabulary_sizes(),
        special: SpecialIds::default(),
        device: subject.device_name(),
        features,
    };
    seed(seeded)?;
    Ok(Opened { instance: EncoderInstance::create(subject.handle, config, &context)?, needs })
}

impl Opened {
    /// The features of a batch, with generators seeded as before each step, and nothing carried from before.
    fn fresh_forward(&mut self, batch: &Batch, training: bool, seeded: u64) -> Checked<Features> {
        if self.needs.carries_state {
            self.instance.reset_state(training)?;
        }
        seed(seeded)?;
        Ok(self.instance.forward(batch, training)?)
    }

    fn sizes(&self) -> &BTreeMap<String, i64> {
        &self.instance.description().feature_sizes
    }

    fn trainable(&mut self) -> Checked<Vec<Parameter>> {
        let all = self.instance.parameters()?;
        Ok(all.into_iter().filter(|one| one.trainable && one.alias_of.is_none()).collect())
    }

    /// A batch of this shape.
    fn batch(&self, subject: &Subject<'_>, shape: &Shape, salt: i64) -> Checked<Batch> {
        Ok(shape.sentences(&self.needs, salt).batch(subject.device())?)
    }
}

/// The field whose positions a feature of this name and width is about.
fn field_of<'a>(batch: &'a Batch, feature: &str, width: i64) -> Option<&'a Field> {
    let fits = |field: &&Field| field.ids().is_ok_and(|ids| ids.size().get(1) == Some(&width));
    let named =
        FIELDS.into_iter().find(|field| feature == *field || feature.starts_with(&format!("{field}_")));
    let named = named.and_then(|name| batch.find(name)).filter(fits);
    named.or_else(|| batch.find("target").filter(fits)).or_else(|| batch.fields.iter().find(fits))
}

/// The numbers of a feature that are about words: those at the positions of `strict_mask`; of a feature without positions, all.
fn of_words(batch: &Batch, name: &str, feature: &Feature) -> Checked<Tensor> {
    let tensor = feature.materialize()?;
    let size = tensor.size();
    if size.len() != 3 {
        return Ok(tensor);
    }
    match field_of(batch, name, size[1]) {
        Some(field) => {
            let mask = field.strict_mask()?.f_unsqueeze(-1)?.f_expand(&size, false)?;
            Ok(tensor.f_masked_select(&mask)?)
        }
        None => Ok(tensor),
    }
}

/// What it needs is something that a host can give.
fn needs(subject: &Subject<'_>) -> Checked {
    let needs = subject.handle.encoder_needs(subject.config()?)?;
    let fields = needs.fields.iter().map(|needed| &needed.field);
    let fields = fields.chain(needs.longest.iter().map(|limit| &limit.field));
    if let Some(unknown) = fields.clone().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(Complaint::new(format!("it needs the field `{unknown}`, which no host has"))
            .expected(format!("one of {}", FIELDS.join(", ")))
            .into());
    }
    if let Some(limit) = needs.longest.iter().find(|limit| limit.positions < 3) {
        return Err(Complaint::new(format!("it takes no sentence of `{}` that has a word", limit.field))
            .found(format!("at most {} positions", limit.positions))
            .expected("at least 3: <bos>, a word, <eos>")
            .into());
    }
    let mut said: Vec<String> =
        needs.fields.iter().map(|needed| format!("reads `{}`", needed.field)).collect();
    said.extend(
        needs.longest.iter().map(|limit| format!("takes {} positions of `{}`", limit.positions, limit.field)),
    );
    if needs.carries_state {
        said.push("carries state".to_owned());
    }
    Ok(Seen::new(if said.is_empty() {
        "it needs nothing besides source and target".to_owned()
    } else {
        format!("it {}", said.join(", "))
    }))
}

/// It can be created, describes itself, and names its tensors.
fn create(subject: &Subject<'_>) -> Checked {
    let config = subject.config()?;
    let mut opened = open_with(subject, config, 1, None)?;
    let hidden = opened.instance.description().hidden_size;
    if hidden < 0 {
        return Err(Complaint::new("its hidden size is negative").found(hidden.to_string()).into());
    }
    if opened.sizes().is_empty() {
        return Err(Complaint::new("it describes no feature: nothing can read it")
            .help("name each feature that `forward` gives in `feature_sizes`, with its last dimension")
            .into());
    }
    if let Some((name, size)) = opened.sizes().iter().find(|(_, size)| **size < 1) {
        return Err(Complaint::new(format!("the size of its feature `{name}` is {size}"))
            .expected("at least 1")
            .into());
    }
    let parameters = opened.instance.parameters()?;
    sound_parameters(subject, &parameters)?;
    let same = open_with(subject, config, 1, None)?.instance.parameters()?;
    reproducible(&parameters, &same)?;
    let (count, features) = (parameters.len(), opened.sizes().len());
    opened.instance.close()?;
    Ok(Seen::new(format!(
        "it is created with {count} tensors and {features} features, the same for the same seed"
    )))
}

/// Names are there and unique, second names lead to a first, and what trains can be trained.
pub(super) fn sound_parameters(subject: &Subject<'_>, parameters: &[Parameter]) -> Checked<()> {
    let mut names = BTreeSet::new();
    for Parameter { name, tensor, trainable, alias_of, .. } in parameters {
        if name.is_empty() || !names.insert(name.as_str()) {
            return Err(Complaint::new("two of its tensors have one name, or one has none")
                .found(format!("`{name}`"))
                .expected("a name of its own for each tensor: it is the key in a saved system")
                .into());
        }
        if tensor.device() != subject.device() {
            return Err(Complaint::new(format!("its tensor `{name}` is on another device than it was told"))
                .found(format!("{:?}", tensor.device()))
                .expected(format!("{:?}", subject.device()))
                .help("create tensors on `context.device()`")
                .into());
        }
        if *trainable && !(tensor.requires_grad() && tensor.f_is_leaf()?) {
            return Err(Complaint::new(format!(
                "its parameter `{name}` trains, and no gradient would reach it"
            ))
            .expected("a leaf tensor that requires gradients")
            .help("keep the tensor that `Parameters::trainable` returns, and compute with that")
            .into());
        }
        if *trainable && !matches!(tensor.kind(), Kind::Float | Kind::Double) {
            return Err(Complaint::new(format!("its parameter `{name}` is of {:?}", tensor.kind()))
                .expected("float32: a host chooses shorter types itself, by autocast")
                .into());
        }
        if let Some(first) = alias_of
            && !parameters.iter().any(|one| one.name == *first && one.alias_of.is_none())
        {
            return Err(Complaint::new(format!(
                "`{name}` is a second name of `{first}`, which there is not"
            ))
            .into());
        }
    }
    Ok(())
}

/// The same seed gave the same values.
pub(super) fn reproducible(parameters: &[Parameter], again: &[Parameter]) -> Checked<()> {
    let named =
        |all: &[Parameter]| all.iter().map(|one| (one.name.clone(), one.tensor.shallow_clone())).collect();
    if let Some(differs) = super::compare::first_difference(&named(parameters), &named(again))? {
        return Err(Complaint::new("the same seed gives other initial values")
            .found(differs)
            .expected("the same bits")
            .help("draw from libtorch's default generator, as `init` does; it is seeded before each creation")
            .into());
    }
    Ok(())
}

struct Encoding {
    opened: Opened,
    batch: Batch,
    trained: Vec<Tensor>,
}

/// An encoder at work on a batch of unequal lengths.
pub(super) fn exercise(subject: &Subject<'_>) -> Checked<Box<dyn Exercise>> {
    let mut opened = open(subject, 1)?;
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let trained = opened.trainable()?.into_iter().map(|one| one.tensor).collect();
    Ok(Box::new(Encoding { opened, batch, trained }))
}

/// The tensors of a batch, by field and name.
pub(super) fn tensors_of(batch: &Batch) -> Vec<(String, Tensor)> {
    let of_field = |field: &Field| -> Vec<(String, Tensor)> {
        field
            .tensors()
            .iter()
            .map(|(name, tensor)| (format!("{}.{name}", field.name), tensor.shallow_clone()))
            .collect()
    };
    batch.fields.iter().flat_map(of_field).collect()
}

impl Exercise for Encoding {
    fn lent(&self) -> Vec<(String, Tensor)> {
        tensors_of(&self.batch)
    }

    fn work(&mut self, training: bool) -> Checked<()> {
        if !training {
            return tch::no_grad(|| self.opened.fresh_forward(&self.batch, false, 2)).map(drop);
        }
        let features = self.opened.fresh_forward(&self.batch, true, 2)?;
        // One backward for all, since features share their history.
        let mut sum: Option<Tensor> = None;
        for (_, feature) in features.iter() {
            let of_feature = feature.materialize()?.f_sum(Kind::Float)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&of_feature)?,
                None => of_feature,
            });
        }
        if let Some(sum) = sum.filter(Tensor::requires_grad) {
            backward(&sum)?;
        }
        Ok(clear_gradients(&self.trained)?)
    }

    fn cheapest(&mut self) -> Checked<&'static str> {
        self.opened.instance.extra()?;
        Ok("extra")
    }

    fn close(self: Box<Self>) -> Checked<()> {
        let Self { opened, .. } = *self;
        Ok(opened.instance.close()?)
    }
}

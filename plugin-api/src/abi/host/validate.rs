//! What a component returned, held against what it said before and what the host can use: tensors of another shape, type, device or
//! number are named here, with the component, before they do harm elsewhere. Nothing here reads an element or waits for a device.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use kiwi_torch_ext::{TensorFacts, described};
use tch::{Device, Kind, Tensor};

use crate::abi::component::encoder::EncoderDescription;
use crate::{Batch, Feature, Features, HeadOutput, Output, Parameter};

/// What is wrong, as a fragment of a message about the component.
pub(super) type Wrong = String;

/// The features of an encoder: each once, those that it describes as it describes them, and all of those that are `wanted`.
pub(super) fn features(
    features: &Features,
    description: &EncoderDescription,
    wanted: Option<&BTreeSet<String>>,
    batch: &Batch,
    device: Device,
) -> Result<(), Wrong> {
    once("feature", || features.iter().map(|(name, _)| name))?;
    for (name, feature) in features.iter() {
        let size = description.feature_sizes.get(name).copied();
        match feature {
            Feature::Tensor(tensor) => feature_tensor(name, "", tensor, size, batch, device)?,
            Feature::Projection(projection) => {
                feature_tensor(name, "the input of ", &projection.input, None, batch, device)?;
                let weight = expect_usable(
                    format_args!("the weight of its feature `{name}`"),
                    &projection.weight,
                    device,
                )?;
                let input = facts(&projection.input)?;
                let fits = weight.rank() == 2
                    && computed(&weight)
                    && weight.last() == input.last()
                    && size.is_none_or(|size| weight.first() == size);
                if !fits {
                    return Err(format!(
                        "the weight of its feature `{name}` is {}, expected float32 or 16-bit numbers of shape [{}, {}]",
                        described(&projection.weight),
                        size.map_or_else(|| "any".to_owned(), |size| size.to_string()),
                        input.last()
                    ));
                }
                if let Some(bias) = &projection.bias {
                    let facts =
                        expect_usable(format_args!("the bias of its feature `{name}`"), bias, device)?;
                    if facts.rank() != 1 || !computed(&facts) || facts.first() != weight.first() {
                        return Err(format!(
                            "the bias of its feature `{name}` is {}, expected float32 or 16-bit numbers of shape [{}]",
                            described(bias),
                            weight.first()
                        ));
                    }
                }
            }
        }
    }
    // A feature of post-edits is given where the batch has them.
    let due = |name: &str| !name.starts_with("pe_") || batch.find("pe").is_some();
    let missing = wanted.into_iter().flatten().find(|wanted| {
        description.feature_sizes.contains_key(*wanted)
            && due(wanted)
            && !features.iter().any(|(name, _)| name == wanted.as_str())
    });
    match missing {
        None => Ok(()),
        Some(missing) => Err(format!(
            "it gives no feature `{missing}`, though it says that it does: only {}",
            list(features.iter().map(|(name, _)| name))
        )),
    }
}

/// A tensor of one row a position, of a size that is described.
fn feature_tensor(
    name: &str,
    part: &str,
    tensor: &Tensor,
    size: Option<i64>,
    batch: &Batch,
    device: Device,
) -> Result<(), Wrong> {
    let facts = expect_usable(format_args!("{part}its feature `{name}`"), tensor, device)?;
    if size.is_none() && part.is_empty() {
        // One that it does not describe may be anything.
        return Ok(());
    }
    let sound = facts.rank() >= 2 && computed(&facts) && facts.dense();
    if sound && size.is_none_or(|size| facts.last() == size) {
        return if facts.rank() == 3 { positions(name, part, tensor, batch) } else { Ok(()) };
    }
    let last = size.map_or_else(|| "any".to_owned(), |size| size.to_string());
    Err(format!(
        "{part}its feature `{name}` is {}, expected float32 or 16-bit numbers of at least two dimensions, the last of them {last}",
        described(tensor)
    ))
}

/// A feature with positions has a row for each sentence, and one that heads know by its name a position for each of its field: of
/// another width its rows would be read at other positions than they are of.
fn positions(name: &str, part: &str, tensor: &Tensor, batch: &Batch) -> Result<(), Wrong> {
    let field = match name {
        "target" => batch.find("target"),
        _ => {
            name.strip_suffix("_logits").and_then(|field| batch.find(field).or_else(|| batch.find("target")))
        }
    };
    let Some(lent) = field.or(batch.fields.first()) else { return Ok(()) };
    let Ok(ids) = lent.ids() else { return Ok(()) };
    let (ids, found) = (ids.size(), tensor.size());
    let [rows, width] = ids[..] else { return Ok(()) };
    if found[0] == rows && (field.is_none() || found[1] == width) {
        return Ok(());
    }
    let expected = match field {
        Some(field) => format!("[{rows}, {width}, {}], the {width} positions of `{}`", found[2], field.name),
        None => format!("[{rows}, T, {}], a row for each sentence", found[2]),
    };
    Err(format!("{part}its feature `{name}` is {}, expected {expected}", described(tensor)))
}

/// What a component is lent of a batch, as it was before: others read it after.
pub(super) struct Lent(Vec<(Option<i64>, Option<TensorFacts>)>);

impl Lent {
    /// The tensors of a batch as they are. Neither reads an element: libtorch counts how often each was written to.
    pub(super) fn of(batch: &Batch) -> Self {
        let tensors = batch.fields.iter().flat_map(|field| field.tensors());
        Self(
            tensors
                .map(|(_, tensor)| (tensor.f_internal_version().ok(), TensorFacts::of(tensor).ok()))
                .collect(),
        )
    }

    /// Whether nobody has written into it since.
    pub(super) fn is_as_it_was(&self, batch: &Batch) -> Result<(), Wrong> {
        let now = Self::of(batch);
        let names = batch
            .fields
            .iter()
            .flat_map(|field| field.tensors().iter().map(|(tensor, _)| (&field.name, tensor)));
        match names.zip(self.0.iter().zip(&now.0)).find(|(_, (before, now))| before != now) {
            None => Ok(()),
            Some(((field, tensor), _)) => Err(format!(
                "it wrote into the tensor `{tensor}` of the field `{field}`, which others read after it: a batch is lent to be \
                 read; compute with operations that give a new tensor, or with a copy"
            )),
        }
    }
}

/// Whether features are computed in its type. Where one of them is float64, what is computed from several would fail elsewhere.
fn computed(facts: &TensorFacts) -> bool {
    match facts.kind() {
        Some(Kind::Float | Kind::Half | Kind::BFloat16) => true,
        Some(Kind::Double) => FLOAT64.get(),
        _ => false,
    }
}

thread_local! {
    static FLOAT64: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, within which components that were made to compute in float64 may give it where float32 is expected: for whoever
/// compares gradients with finite differences.
pub fn allowing_float64<T>(f: impl FnOnce() -> T) -> T {
    struct PutBack(bool);
    impl Drop for PutBack {
        fn drop(&mut self) {
            FLOAT64.set(self.0);
        }
    }
    let _put_back = PutBack(FLOAT64.replace(true));
    f()
}

/// What a head gives: a loss and scalars of one element, the figures of each output as [`Output`] says, and each output that it asked
/// metrics of.
pub(super) fn head_output(output: &HeadOutput, asked: &[String], device: Device) -> Result<(), Wrong> {
    let loss = expect_usable(format_args!("its loss"), &output.loss, device)?;
    if loss.elements() != 1 {
        return Err(format!("its loss must be a scalar, not of shape {:?}", output.loss.size()));
    }
    if !loss.floating() {
        return Err(format!("its loss is {}, expected a floating-point number", described(&output.loss)));
    }
    if let Some(count) = &output.averaged_over {
        let what = format_args!("what its loss is averaged over");
        let facts = expect_usable(what, count, device)?;
        if facts.elements() != 1 {
            return Err(format!("{what} must be a scalar, not of shape {:?}", count.size()));
        }
        if facts.kind().is_none() {
            return Err(format!("{what} is {}, expected a real number", described(count)));
        }
    }
    once("scalar", || output.scalars.iter().map(|(name, _)| name.as_str()))?;
    for (name, scalar) in &output.scalars {
        let facts = expect_usable(format_args!("its scalar `{name}`"), scalar, device)?;
        if facts.elements() != 1 {
            return Err(format!(
                "its scalar `{name}` must be a single number, not of shape {:?}",
                scalar.size()
            ));
        }
        if facts.kind().is_none() {
            return Err(format!("its scalar `{name}` is {}, expected a real number", described(scalar)));
        }
    }
    once("output", || output.outputs.iter().map(|output| output.name.as_str()))?;
    for figures in &output.outputs {
        self::figures(figures, device)?;
    }
    match asked.iter().find(|asked| !output.outputs.iter().any(|output| output.name == **asked)) {
        None => Ok(()),
        Some(missing) => Err(format!(
            "it gives no output `{missing}`, of which it asked for metrics: only {}",
            list(output.outputs.iter().map(|output| output.name.as_str()))
        )),
    }
}

/// Figures whose names have a meaning are of their type, and all of one length.
fn figures(output: &Output, device: Device) -> Result<(), Wrong> {
    const KNOWN: [(&str, Kind, &str); 4] = [
        (Output::POSITIONS, Kind::Int64, "int64"),
        (Output::NLL, Kind::Float, "float32"),
        (Output::PROBABILITY, Kind::Float, "float32"),
        (Output::CORRECT, Kind::Bool, "bool"),
    ];
    once("figure", || output.tensors().iter().map(|(name, _)| name.as_str()))?;
    let mut first: Option<(&str, i64)> = None;
    for (name, tensor) in output.tensors() {
        let what = format_args!("its figure `{name}` of the output `{}`", output.name);
        let facts = expect_usable(what, tensor, device)?;
        let Some((_, kind, expected)) = KNOWN.iter().find(|(known, _, _)| known == name) else { continue };
        let doubled = *kind == Kind::Float && facts.kind() == Some(Kind::Double) && FLOAT64.get();
        if facts.kind() != Some(*kind) && !doubled || facts.rank() != 1 {
            return Err(format!("{what} is {}, expected {expected} of one dimension", described(tensor)));
        }
        match first {
            Some((other, length)) if length != facts.first() => {
                return Err(format!("{what} has {} entries, and `{other}` has {length}", facts.first()));
            }
            _ => first = Some((name.as_str(), facts.first())),
        }
    }
    Ok(())
}

/// What a metric adds for a batch: some float64 numbers, always as many; how many.
pub(super) fn contribution(
    contribution: &Tensor,
    before: Option<i64>,
    output: &Output,
) -> Result<i64, Wrong> {
    let facts = expect_defined(format_args!("its contribution"), contribution)?;
    if facts.rank() != 1 || facts.kind() != Some(Kind::Double) || !facts.dense() {
        return Err(format!(
            "a contribution must be a float64 tensor of one dimension, not {}",
            described(contribution)
        ));
    }
    if let Some((name, tensor)) = output.tensors().first()
        && !facts.is_on(tensor.device())
    {
        return Err(format!(
            "its contribution is {}, and the figure `{name}` it was given is {}: it must stay on that device",
            described(contribution),
            described(tensor)
        ));
    }
    match before {
        Some(before) if before != facts.first() => Err(format!(
            "its contribution has {} entries, and had {before} in the batch before: contributions are summed",
            facts.first()
        )),
        _ => Ok(facts.first()),
    }
}

/// The state of an optimizer: tensors that a file can hold, each under a name of its own.
pub(super) fn state(state: &[(String, Tensor)]) -> Result<(), Wrong> {
    once("entry of its state", || state.iter().map(|(name, _)| name.as_str()))?;
    for (name, tensor) in state {
        can_be_saved(format_args!("the entry `{name}` of its state"), tensor)?;
    }
    Ok(())
}

/// Parameters and buffers: tensors on the device that a file can hold, each under a name of its own; those that train can be trained.
pub(super) fn parameters(parameters: &[Parameter], device: Device) -> Result<(), Wrong> {
    once("parameter", || parameters.iter().map(|one| one.name.as_str()))?;
    for one in parameters {
        let what = format_args!("its parameter `{}`", one.name);
        let facts = can_be_saved(what, &one.tensor)?;
        if !facts.is_on(device) {
            return Err(format!("{what} is {}, expected on {}", described(&one.tensor), on(device)));
        }
        if facts.overlaps() {
            return Err(format!(
                "{what} is {}, of which several elements share their memory, so that no values can be loaded into it: expected a \
                 tensor whose elements are its own, as `f_contiguous` makes one of what was expanded",
                described(&one.tensor)
            ));
        }
        if one.trainable && !(facts.floating() && facts.leaf() && facts.requires_grad()) {
            return Err(format!(
                "{what} is said to train, and is {} that {}: expected floating-point numbers with requires_grad set",
                described(&one.tensor),
                if facts.leaf() { "asks for no gradient" } else { "is the result of an operation" }
            ));
        }
        if let Some(first) = &one.alias_of
            && !parameters.iter().any(|other| other.name == *first)
        {
            return Err(format!("{what} is a second name of `{first}`, which is none of its parameters"));
        }
    }
    Ok(())
}

fn can_be_saved(what: fmt::Arguments<'_>, tensor: &Tensor) -> Result<TensorFacts, Wrong> {
    let facts = expect_defined(what, tensor)?;
    let kept = !matches!(facts.kind(), None | Some(Kind::Int8 | Kind::Int16));
    if kept && facts.dense() && facts.in_memory() {
        return Ok(facts);
    }
    Err(format!(
        "{what} is {}, which no file can hold: expected a dense tensor of floating-point numbers, int32, int64, uint8 or bool",
        described(tensor)
    ))
}

fn expect_usable(what: fmt::Arguments<'_>, tensor: &Tensor, device: Device) -> Result<TensorFacts, Wrong> {
    let facts = expect_defined(what, tensor)?;
    if facts.is_on(device) {
        Ok(facts)
    } else {
        Err(format!("{what} is {}, expected on {}", described(tensor), on(device)))
    }
}

fn expect_defined(what: fmt::Arguments<'_>, tensor: &Tensor) -> Result<TensorFacts, Wrong> {
    let facts = facts(tensor)?;
    if facts.defined() { Ok(facts) } else { Err(format!("{what} is an undefined tensor")) }
}

fn facts(tensor: &Tensor) -> Result<TensorFacts, Wrong> {
    TensorFacts::of(tensor).map_err(|error| error.to_string())
}

fn on(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// Refuses a name that is there twice. There are few.
fn once<'a, I: Iterator<Item = &'a str>>(what: &str, names: impl Fn() -> I) -> Result<(), Wrong> {
    for (index, name) in names().enumerate() {
        if names().take(index).any(|other| other == name) {
            return Err(format!("its {what} `{name}` is there twice"));
        }
    }
    Ok(())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<_> = names.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

//! Checks of metrics, over figures that are made up.

use tch::{Kind, Tensor};

use super::compare::{agree, finite};
use super::finding::{Checked, Complaint, Seen, Stop};
use super::head::output_for;
use super::subject::{Exercise, Subject};
use super::suite::Check;
use crate::Output;
use crate::abi::host::MetricInstance;

pub(super) const CHECKS: [Check; 5] = [
    Check { id: "create", needs: &["options"], run: create },
    Check { id: "work", needs: &["create"], run: work },
    Check { id: "additivity", needs: &["work"], run: additivity },
    Check { id: "no_tokens", needs: &["work"], run: no_tokens },
    Check { id: "determinism", needs: &["work"], run: determinism },
];

/// Positions of the two batches.
const COUNTS: [i64; 2] = [7, 4];

fn open(subject: &Subject<'_>) -> Checked<MetricInstance> {
    Ok(MetricInstance::create(subject.handle, subject.config()?)?)
}

fn output(subject: &Subject<'_>, number: usize) -> Checked<Output> {
    output_for(COUNTS[number % 2], number as u64, subject.device())
}

/// Two outputs one after the other, as if they came of one batch.
fn joined(first: &Output, second: &Output) -> Checked<Output> {
    let tensors = first.tensors().iter().map(|(name, tensor)| {
        let other = second.tensor(name)?;
        // The row of the second batch is behind that of the first, which has `<bos>` and `<eos>` around its words.
        let other = if name == Output::POSITIONS {
            other.f_add_scalar(tensor.size()[0] + 2)?
        } else {
            other.shallow_clone()
        };
        Ok::<_, Stop>((name.clone(), Tensor::f_cat(&[tensor, &other], 0)?))
    });
    Ok(Output::new(first.name.clone(), tensors.collect::<Checked<_>>()?))
}

/// It can be created, and says which values are better.
fn create(subject: &Subject<'_>) -> Checked {
    let metric = open(subject)?;
    let better = match metric.ordering() {
        crate::Ordering::Min => "smaller",
        crate::Ordering::Max => "larger",
    };
    metric.close()?;
    Ok(Seen::new(format!("it is created; {better} values are better")))
}

/// What a batch adds is a float64 tensor of one length, and its sum gives a figure.
fn work(subject: &Subject<'_>) -> Checked {
    let mut metric = open(subject)?;
    let mut length = None;
    for number in 0..2 {
        let contribution = metric.contribution(&output(subject, number)?)?;
        let size = contribution.size();
        let sound = contribution.kind() == Kind::Double && size.len() == 1 && size[0] > 0;
        if !sound || contribution.device() != subject.device() {
            return Err(Complaint::new(
                "what a batch adds is no float64 tensor of one dimension on the batch's device",
            )
            .found(format!("{:?} of shape {size:?} on {:?}", contribution.kind(), contribution.device()))
            .expected(format!("Double of shape [K] on {:?}", subject.device()))
            .into());
        }
        if *length.get_or_insert(size[0]) != size[0] {
            return Err(Complaint::new(
                "batches of different lengths add tensors of different lengths, which cannot be summed",
            )
            .found(format!("{} and {} numbers", length.unwrap_or(0), size[0]))
            .expected("the same K for each batch")
            .help("give sums and counts, not one number a token")
            .into());
        }
        finite("what a batch adds", &contribution)?;
        let total = Vec::<f64>::try_from(&contribution.f_to(tch::Device::Cpu)?)?;
        if metric.value(&total)?.is_none_or(|value| !value.is_finite()) {
            return Err(Complaint::new("a batch with tokens gives no finite figure")
                .found(format!("from the sum {total:?}"))
                .into());
        }
    }
    metric.close()?;
    Ok(Seen::new(format!(
        "a batch adds {} float64 numbers, whose sum gives a finite figure",
        length.unwrap_or(0)
    )))
}

/// The sum over two batches gives the figure of both together.
fn additivity(subject: &Subject<'_>) -> Checked {
    let mut metric = open(subject)?;
    let (first, second) = (output(subject, 0)?, output(subject, 1)?);
    let sum = metric.contribution(&first)?.f_add(&metric.contribution(&second)?)?;
    let together = metric.contribution(&joined(&first, &second)?)?;
    // Sums within a batch may be float32.
    let (same, off) = agree(&together, &sum, 1e-5)?;
    if !same {
        return Err(Complaint::new("what two batches add is not what both together add")
            .found(format!("{:?} in sum, off by {off:.3e}", numbers(&sum)?))
            .expected(format!("{:?}", numbers(&together)?))
            .help("add up sums and counts, and divide in `value`: a figure must not depend on how pairs were batched")
            .into());
    }
    let (one, other) = (metric.value(&numbers(&sum)?)?, metric.value(&numbers(&together)?)?);
    let close = match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-4 * (1.0 + other.abs()),
        (one, other) => one.is_none() && other.is_none(),
    };
    if !close {
        return Err(Complaint::new("two batches give another figure than both together")
            .found(format!("{one:?}"))
            .expected(format!("{other:?}"))
            .into());
    }
    Ok(Seen::new("two batches give the figure of both together"))
}

fn numbers(tensor: &Tensor) -> Checked<Vec<f64>> {
    Ok(Vec::<f64>::try_from(&tensor.f_to(tch::Device::Cpu)?)?)
}

/// Without tokens there is nothing to say, or a finite figure.
fn no_tokens(subject: &Subject<'_>) -> Checked {
    let mut metric = open(subject)?;
    let full = metric.contribution(&output(subject, 0)?)?.size()[0];
    let none = metric.contribution(&output_for(0, 0, subject.device())?)?;
    if none.size() != [full] {
        return Err(Complaint::new("a batch without tokens adds a tensor of another length")
            .found(format!("{:?}", none.size()))
            .expected(format!("[{full}]"))
            .into());
    }
    let zeros = vec![0.0; usize::try_from(full).unwrap_or(0)];
    for total in [numbers(&none)?, zeros] {
        if let Some(value) = metric.value(&total)?.filter(|value| !value.is_finite()) {
            return Err(Complaint::new("without tokens it gives a figure that is infinite or none")
                .found(format!("{value} of {total:?}"))
                .expected("`None`, or a finite figure")
                .help("return `None` where the count is 0")
                .into());
        }
    }
    Ok(Seen::new("without tokens it gives nothing, or a finite figure"))
}

/// The same figures add the same numbers.
fn determinism(subject: &Subject<'_>) -> Checked {
    let mut metric = open(subject)?;
    let output = output(subject, 0)?;
    let (first, second) = (metric.contribution(&output)?, metric.contribution(&output)?);
    if !super::compare::same_bits(&first, &second)? {
        return Err(Complaint::new("the same batch adds other numbers the second time")
            .found(format!("{:?}", numbers(&second)?))
            .expected(format!("{:?}", numbers(&first)?))
            .help("keep no sum in the metric: the host adds up")
            .into());
    }
    Ok(Seen::new("the same batch adds the same numbers, to the bit"))
}

struct Measuring {
    metric: MetricInstance,
    output: Output,
}

/// A metric at work.
pub(super) fn exercise(subject: &Subject<'_>) -> Checked<Box<dyn Exercise>> {
    Ok(Box::new(Measuring { metric: open(subject)?, output: output(subject, 0)? }))
}

impl Exercise for Measuring {
    fn lent(&self) -> Vec<(String, Tensor)> {
        self.output.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    fn work(&mut self, _training: bool) -> Checked<()> {
        let _ = self.metric.contribution(&self.output)?;
        Ok(())
    }

    fn cheapest(&mut self) -> Checked<&'static str> {
        self.metric.value(&[1.0, 1.0])?;
        Ok("value")
    }

    fn close(self: Box<Self>) -> Checked<()> {
        let Self { metric, .. } = *self;
        Ok(metric.close()?)
    }
}

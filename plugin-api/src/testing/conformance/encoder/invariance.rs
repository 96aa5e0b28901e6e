//! What the features of a sentence must not depend on: the padding that follows it, and the other sentences of its batch.

use tch::{Tensor, no_grad};

use super::super::batches::UNEQUAL;
use super::super::compare::agree;
use super::super::finding::{Checked, Complaint, Seen};
use super::super::subject::Subject;
use super::{Opened, field_of, open};
use crate::{Batch, NamedTensors};

/// Sums of many numbers come out in another order when a batch has another shape.
const TOLERANCE: f64 = 1e-4;

/// The features of one row at its own words, by name.
fn of_row(opened: &mut Opened, batch: &Batch, row: i64) -> Checked<NamedTensors> {
    let features = no_grad(|| opened.fresh_forward(batch, false, 1))?;
    let mut all = Vec::new();
    for (name, feature) in features.iter() {
        let tensor = feature.materialize()?;
        let size = tensor.size();
        let of_row = tensor.f_select(0, row)?;
        let of_words = match (size.as_slice(), size.get(1).and_then(|width| field_of(batch, name, *width))) {
            ([_, _, _], Some(field)) => {
                let mask: Tensor = field.strict_mask()?.f_select(0, row)?.f_nonzero()?.f_reshape([-1])?;
                of_row.f_index_select(0, &mask)?
            }
            _ => of_row,
        };
        all.push((name.to_owned(), of_words));
    }
    Ok(all)
}

fn compare(alone: &NamedTensors, among: &NamedTensors, what: &str, help: &str) -> Checked<f64> {
    let mut most: f64 = 0.0;
    for ((name, expected), (_, found)) in alone.iter().zip(among) {
        if expected.size() != found.size() {
            return Err(Complaint::new(format!(
                "the feature `{name}` of a sentence has another shape {what}"
            ))
            .found(format!("{:?}", found.size()))
            .expected(format!("{:?}", expected.size()))
            .into());
        }
        let (agree, off) = agree(expected, found, TOLERANCE)?;
        if !agree {
            return Err(Complaint::new(format!("the feature `{name}` of a sentence depends on {what}"))
                .found(format!("numbers off by {off:.3e} at its words"))
                .expected(format!("the same numbers, to {TOLERANCE:e} of their size"))
                .help(help)
                .into());
        }
        most = most.max(off);
    }
    Ok(most)
}

/// A sentence has the same features alone and padded in a batch, at its words.
pub(in super::super) fn padding(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let sentences = UNEQUAL.sentences(&opened.needs, 1);
    let together = sentences.batch(subject.device())?;
    let mut most: f64 = 0.0;
    for row in 0..sentences.rows() {
        let alone = of_row(&mut opened, &sentences.row(row).batch(subject.device())?, 0)?;
        let among = of_row(&mut opened, &together, i64::try_from(row).unwrap_or(0))?;
        let help = "mask what follows a sentence: in means and sums over positions, in attention before its softmax, in recurrences that go backwards";
        most = most.max(compare(&alone, &among, "the padding of its batch", help)?);
    }
    Ok(Seen::new(format!("a sentence has the same features alone and padded in a batch, to {most:.1e}")))
}

/// A sentence has the same features whatever the other sentences of its batch say.
pub(in super::super) fn rows(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let sentences = UNEQUAL.sentences(&opened.needs, 1);
    let others = sentences.with_first_of(&UNEQUAL.sentences(&opened.needs, 2));
    let first = of_row(&mut opened, &sentences.batch(subject.device())?, 0)?;
    let second = of_row(&mut opened, &others.batch(subject.device())?, 0)?;
    let help =
        "compute nothing over the rows of a batch in evaluation: a sentence is scored alone and in batches";
    let most = compare(&first, &second, "the other sentences of its batch", help)?;
    Ok(Seen::new(format!("a sentence has the same features among other sentences, to {most:.1e}")))
}

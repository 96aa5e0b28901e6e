//! What a step changes: the parameters that have gradients, by the rate of their group, and nothing else.

use super::super::compare::{finite, first_difference, same_bits};
use super::super::finding::{Checked, Complaint, Seen};
use super::super::subject::Subject;
use super::{Opened, RATE, open};
use crate::NamedTensors;

/// Names of the parameters that differ.
fn changed(before: &NamedTensors, after: &NamedTensors) -> Checked<Vec<String>> {
    let mut names = Vec::new();
    for ((name, before), (_, after)) in before.iter().zip(after) {
        if !same_bits(before, after)? {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn with_gradients(opened: &Opened) -> Vec<String> {
    let names = opened.parameters().map(|(name, _)| name.clone());
    names.filter(|name| !name.ends_with("idle")).collect()
}

/// Steps change the parameters that have gradients and only these.
pub(in super::super) fn work(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject)?;
    let expected = with_gradients(&opened);
    const STEPS: u64 = 5;
    for number in 0..STEPS {
        let before = opened.values()?;
        opened.step(number, [RATE, RATE])?;
        let after = opened.values()?;
        for (name, value) in &after {
            finite(&format!("the parameter `{name}` after step {number}"), value)?;
        }
        let found = changed(&before, &after)?;
        if let Some(still) = expected.iter().find(|name| !found.contains(name)) {
            return Err(Complaint::new(format!(
                "step {number} leaves `{still}`, which has a gradient, as it was"
            ))
            .expected("another value: the learning rate is above 0")
            .help("look for parameters that are left out, and for steps that only gather gradients")
            .into());
        }
        if let Some(idle) = found.iter().find(|name| !expected.contains(name)) {
            return Err(Complaint::new(format!("step {number} changes `{idle}`, which has no gradient"))
                .expected("the same bits as before")
                .help("pass over parameters without a gradient, in weight decay too")
                .into());
        }
    }
    opened.instance.close()?;
    Ok(Seen::new(format!("{STEPS} steps change the parameters that have gradients, and only these")))
}

/// Each group is moved by its own rate.
pub(in super::super) fn rates(subject: &Subject<'_>) -> Checked {
    for (still, rates) in [("second", [RATE, 0.0]), ("first", [0.0, RATE])] {
        let mut opened = open(subject)?;
        let before = opened.values()?;
        opened.step(0, rates)?;
        let found = changed(&before, &opened.values()?)?;
        let of_group = |name: &&String| name.starts_with(still);
        if let Some(moved) = found.iter().find(of_group) {
            return Err(Complaint::new(format!("`{moved}` moves, though the rate of its group is 0"))
                .found(format!("rates {rates:?}"))
                .expected("each group moved by its own rate, in the order of the groups")
                .into());
        }
        if found.is_empty() {
            return Err(Complaint::new("nothing moves when the rate of another group is 0")
                .found(format!("rates {rates:?}"))
                .expected("the other group moved by its own rate")
                .into());
        }
    }
    Ok(Seen::new("each group is moved by its own rate"))
}

/// A rate of 0 moves nothing.
pub(in super::super) fn zero_rate(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject)?;
    let before = opened.values()?;
    for number in 0..3 {
        opened.step(number, [0.0, 0.0])?;
    }
    if let Some(moved) = changed(&before, &opened.values()?)?.first() {
        return Err(Complaint::new(format!("`{moved}` moves at a rate of 0"))
            .expected("the same bits: the first step of a warm-up may have a rate of 0")
            .help("multiply the whole change by the rate, weight decay too")
            .into());
    }
    Ok(Seen::new("a rate of 0 moves nothing"))
}

/// The same gradients give the same steps.
pub(in super::super) fn determinism(subject: &Subject<'_>) -> Checked {
    let steps = || {
        let mut opened = open(subject)?;
        for number in 0..4 {
            opened.step(number, [RATE, RATE / 3.0])?;
        }
        opened.values()
    };
    let (first, second) = (steps()?, steps()?);
    if let Some(differs) = first_difference(&first, &second)? {
        return Err(Complaint::new("the same gradients give other steps")
            .found(differs)
            .expected("the same bits")
            .help("let a step depend on gradients, rates and state alone; draw from libtorch's default generator")
            .into());
    }
    Ok(Seen::new("the same gradients give the same steps, to the bit"))
}

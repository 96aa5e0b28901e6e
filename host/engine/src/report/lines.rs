//! Events as lines of text.

use kiwi_core::diagnostic::Diagnostic;

use crate::data::counted;
use crate::optimizers::Lowered;
use crate::training::{Event, Outcome, ResumeFrom, StopReason, TrainingValues};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::Summary;

/// An event as a line.
pub(super) struct Line {
    pub(super) text: String,
    /// Whether it comes again and again, so that a progress bar may take its place.
    pub(super) regular: bool,
}

/// The line of an event, if it has one.
pub(super) fn of_event(event: &Event) -> Option<Line> {
    let (text, regular) = match event {
        Event::Note(text) => (text.clone(), false),
        Event::Logged(values) => (training(values, "step"), true),
        Event::EpochEnded(values) => (training(values, "end"), false),
        Event::EpochStarted { .. }
        | Event::Started { .. }
        | Event::Batch { .. }
        | Event::ValidationStarted { .. }
        | Event::ValidationBatch
        | Event::ResumePoint
        | Event::Warning(_) => return None,
        Event::Validated { epoch, step, values, improved, saved } => {
            let values: Vec<_> =
                values.iter().map(|(name, value)| format!("{name} {}", optional(*value))).collect();
            let mut text = format!("epoch {epoch} validation at step {step}: {}", values.join(", "));
            if *improved {
                text.push_str(", best so far");
            }
            if let Some(file) = saved {
                text.push_str(&format!(", saved as {}", file.display()));
            }
            (text, false)
        }
        Event::RateLowered { lowered: Lowered { label, from, to }, .. } => {
            (format!("{label} lowered from {from} to {to}: the main metric no longer improves"), false)
        }
        Event::Finished(outcome) => (finished(outcome), false),
        Event::Interrupted { signal, step, resume } => {
            let rest = match resume {
                ResumeFrom::Here => "a resume point is saved",
                ResumeFrom::Before => {
                    "none is saved here, so that the run can be resumed from its last resume point only"
                }
                ResumeFrom::Nowhere => "there is no resume point",
            };
            (format!("interrupted by {signal} after {}: {rest}", counted(*step, "optimizer step")), false)
        }
        Event::Tested { system, values } => {
            let values: Vec<_> =
                values.iter().map(|(name, value)| format!("{name} {}", optional(*value))).collect();
            let system = match system {
                Some(file) => file.display().to_string(),
                None => "the last system".to_owned(),
            };
            (format!("test of {system}: {}", values.join(", ")), false)
        }
    };
    Some(Line { text, regular })
}

fn training(values: &TrainingValues, when: &str) -> String {
    let when = if when == "step" {
        format!("step {}", values.step)
    } else {
        format!("done at step {}", values.step)
    };
    let mut text = format!("epoch {} {when}: loss {}", values.epoch, number(values.loss));
    for (name, value) in &values.values {
        text.push_str(&format!(", {name} {}", optional(*value)));
    }
    for (label, rate) in &values.learning_rates {
        text.push_str(&format!(", {label} {rate}"));
    }
    text + &format!(", {:.0} words/s", values.words_per_second)
}

fn finished(outcome: &Outcome) -> String {
    let reason = match outcome.reason {
        StopReason::Epochs => "all epochs are done".to_owned(),
        StopReason::MaxSteps => "trainer.max_steps is reached".to_owned(),
        StopReason::EarlyStopping => "the main metric no longer improves (early stopping)".to_owned(),
        StopReason::Debug => "debug asks for one batch only".to_owned(),
        StopReason::Interrupted(signal) => format!("{signal} came"),
    };
    let Summary { epochs, steps, seconds, words_per_second, peak_memory, .. } = &outcome.summary;
    let memory = peak_memory
        .map_or_else(String::new, |bytes| format!(", at most {} MiB of memory", bytes / (1 << 20)));
    let parts = [
        ("waiting for batches", seconds.data),
        ("forward", seconds.forward),
        ("backward", seconds.backward),
        ("optimizer", seconds.optimizer),
        ("validation", seconds.validation),
        ("saving", seconds.saving),
    ];
    let share = |(name, time): (&str, Number)| {
        format!("{name} {:.1} %", 100.0 * time.0 / seconds.total.0.max(f64::MIN_POSITIVE))
    };
    format!(
        "finished: {reason}; {}, {} in {:.1} s, {:.0} target words/s{memory}; of the time: {}",
        counted(*epochs, "epoch"),
        counted(*steps, "optimizer step"),
        seconds.total.0,
        words_per_second.0,
        parts.map(share).join(", ")
    )
}

/// A complaint on one line.
pub(super) fn of_diagnostic(diagnostic: &Diagnostic) -> String {
    let mut text = match &diagnostic.path {
        Some(path) => format!("{path}: {}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    for (what, value) in [("found", &diagnostic.found), ("expected", &diagnostic.expected)] {
        if let Some(value) = value {
            text.push_str(&format!("; {what} {value}"));
        }
    }
    text
}

/// A value of a metric, or that there is none.
fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), number)
}

/// A number with as many places as people read: five significant digits.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        format!("{value}")
    } else if (1e-3..1e5).contains(&magnitude) {
        let places = 4 - i32::try_from(magnitude.log10().floor() as i64).unwrap_or(0);
        format!("{value:.*}", usize::try_from(places.clamp(0, 8)).unwrap_or(4))
    } else {
        format!("{value:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_five_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (24.404_12, "24.404"),
            (0.549_012, "0.54901"),
            (123_456_789.0, "1.2346e8"),
            (99_999.4, "99999"),
            (0.000_012_345, "1.2345e-5"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
            (-3.5, "-3.5000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}

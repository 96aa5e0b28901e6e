//! Events of the loop as the record of a run holds them.

use std::path::{Path, PathBuf};

use kiwi_tracking::number::Number;
use kiwi_tracking::record::{
    Event as Recorded, Interrupted, Message, RateLowered, Tested, Training, Validated, Values,
};

use super::lines;
use crate::training::{Event, ResumeFrom, TrainingValues};

/// What the record says of an event, if it says anything. Files are named as they lie in `directory`.
pub(super) fn of_event(event: &Event, directory: &Path) -> Option<Recorded> {
    let relative = |file: &PathBuf| file.strip_prefix(directory).unwrap_or(file).display().to_string();
    Some(match event {
        Event::Logged(values) => Recorded::Logged(training(values)),
        Event::EpochEnded(values) => Recorded::EpochEnded(training(values)),
        Event::Validated { epoch, step, values: found, improved, saved } => Recorded::Validated(Validated {
            epoch: *epoch,
            step: *step,
            values: values(found),
            improved: *improved,
            saved: saved.as_ref().map(relative),
        }),
        Event::RateLowered { step, lowered } => Recorded::RateLowered(RateLowered {
            step: *step,
            rate: lowered.label.clone(),
            from: Number(lowered.from),
            to: Number(lowered.to),
        }),
        Event::Warning(diagnostic) => {
            Recorded::Warning(Message { message: lines::of_diagnostic(diagnostic) })
        }
        Event::Tested { system, values: found } => {
            Recorded::Tested(Tested { system: system.as_ref().map(relative), values: values(found) })
        }
        Event::Finished(outcome) => Recorded::Finished(outcome.summary.clone()),
        Event::Interrupted { signal, step, resume } => Recorded::Interrupted(Interrupted {
            signal: (*signal).to_owned(),
            step: *step,
            resumable: *resume != ResumeFrom::Nowhere,
        }),
        Event::Note(_)
        | Event::Started { .. }
        | Event::EpochStarted { .. }
        | Event::Batch { .. }
        | Event::ValidationStarted { .. }
        | Event::ValidationBatch
        | Event::ResumePoint => return None,
    })
}

fn training(from: &TrainingValues) -> Training {
    Training {
        epoch: from.epoch,
        step: from.step,
        loss: Number(from.loss),
        values: values(&from.values),
        learning_rates: from
            .learning_rates
            .iter()
            .map(|(label, rate)| (label.clone(), Number(*rate)))
            .collect(),
        words_per_second: Number(from.words_per_second),
    }
}

fn values(from: &[(String, Option<f64>)]) -> Values {
    from.iter().map(|(name, value)| (name.clone(), value.map(Number))).collect()
}

//! `system.optimizer`: how parameters are updated. Whether a class has a schedule, and so what warms up, and what its options mean
//! is found with its plugin at hand; which parameters a pattern names, once there is a system.

use globset::Glob;

use crate::config::document::Value;
use crate::config::reader::{Entry, POSITIVE, SHARE};
use crate::config::sections::{OptimizerSection, WarmupSteps};
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

pub(super) const OPTIMIZER: &str = "an object with class_name and learning_rate";
const LIST: &str =
    "an object with class_name and learning_rate, or a list of one or more of them with parameters";
const PATTERNS: &str =
    "a list of one or more patterns over the names of parameters, such as \"encoder.embeddings.*\"";
const WARMUP: &str = "an integer of at least 0 (steps), or a number from 0 to 1 that is written with a fraction, such as \
                      0.1 (share of the training steps)";

/// One optimizer, or a list of them.
pub(super) fn optimizers(entry: &Entry<'_>) -> Option<Vec<OptimizerSection>> {
    match entry.value() {
        Value::Object(_) => optimizer(entry, false).map(|optimizer| vec![optimizer]),
        Value::Array(elements) if !elements.is_empty() => entry.list(LIST, |element| match element.value() {
            Value::Object(_) => optimizer(element, true),
            _ => element.refuse("an object with class_name, learning_rate and parameters"),
        }),
        _ => entry.refuse(LIST),
    }
}

fn optimizer(entry: &Entry<'_>, of_list: bool) -> Option<OptimizerSection> {
    let mut section = entry.section()?;
    let class_name =
        section.required("class_name", "the class of an optimizer, such as \"adam\"", Entry::string);
    let learning_rate =
        section.required("learning_rate", "a finite number above 0", |entry| entry.number(POSITIVE));
    let encoder_learning_rate = section.optional("encoder_learning_rate", |entry| entry.number(POSITIVE));
    let warmup_steps = section.optional("warmup_steps", warmup_steps);
    let training_steps = section.optional("training_steps", |entry| entry.count(1));
    let learning_rate_decay = section.or("learning_rate_decay", 1.0, |entry| entry.number(SHARE));
    let learning_rate_decay_start = section.or("learning_rate_decay_start", 2, |entry| entry.count(0));
    let load = section.optional("load", Entry::file);
    let parameters = if of_list {
        section.required("parameters", PATTERNS, patterns).map(Some)
    } else {
        section.optional("parameters", |entry| {
            entry.complain(
                Diagnostic::error(Code::Assignment, "the only optimizer trains all parameters")
                    .found(entry.describe())
                    .expected("no such key, or a list of optimizers")
                    .help("remove the key, or write [{…}, {…}] with the optimizers of the other parameters"),
            );
            None::<()>
        });
        Some(None)
    };
    let options = section.or("options", serde_json::Map::new(), |entry| entry.options(None));
    section.finish();
    Some(OptimizerSection {
        class_name: class_name.unwrap_or_default(),
        learning_rate: learning_rate.unwrap_or(1.0),
        encoder_learning_rate,
        warmup_steps,
        training_steps,
        learning_rate_decay,
        learning_rate_decay_start,
        load,
        parameters: parameters.unwrap_or_default(),
        options,
        path: entry.path().to_owned(),
    })
}

fn warmup_steps(entry: &Entry<'_>) -> Option<WarmupSteps> {
    let steps = match entry.value() {
        Value::Number(text) if text.contains(['.', 'e', 'E']) => {
            text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(WarmupSteps::ShareOfTraining)
        }
        Value::Number(text) => text.parse().ok().map(WarmupSteps::Steps),
        _ => None,
    };
    steps.or_else(|| entry.refuse(WARMUP))
}

fn patterns(entry: &Entry<'_>) -> Option<Vec<Glob>> {
    match entry.value() {
        Value::Array(elements) if !elements.is_empty() => entry.list(PATTERNS, pattern),
        _ => entry.refuse(PATTERNS),
    }
}

fn pattern(entry: &Entry<'_>) -> Option<Glob> {
    let text = entry.string()?;
    match Glob::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            entry.complain(
                Diagnostic::error(Code::Assignment, format!("the pattern cannot be read: {}", error.kind()))
                    .found(entry.describe())
                    .expected("a name, in which * stands for anything, ? for a character, and {a,b} for a or b")
                    .help("write \"*\" for all parameters, or the beginning of a name such as \"encoder.embeddings.*\""),
            );
            None
        }
    }
}

//! A line of `events.jsonl`: `{"time": ..., "event": {"kind": ..., ...}}`. Fields may be added; readers skip what they do not
//! know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::number::Number;

/// Values of metrics by name; `None` where there is nothing to say (no tokens).
pub type Values = BTreeMap<String, Option<Number>>;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened, UTC.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Training begins, or goes on.
    Started(Started),
    /// Values over the training batches since the log's last entry.
    Logged(Training),
    /// An epoch is done: values over all of it.
    EpochEnded(Training),
    /// A validation is done.
    Validated(Validated),
    /// The main metric no longer improves, so a learning rate was lowered.
    RateLowered(RateLowered),
    /// Something to act upon.
    Warning(Message),
    /// The trained system was tested.
    Tested(Tested),
    /// Training ended as configured.
    Finished(Summary),
    /// A signal ended the run.
    Interrupted(Interrupted),
    /// An error ended the run.
    Failed(Message),
}

impl Event {
    /// The optimizer steps that were done when it happened, for events that belong to a step.
    #[must_use]
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Logged(values) | Self::EpochEnded(values) => Some(values.step),
            Self::Validated(validated) => Some(validated.step),
            Self::RateLowered(lowered) => Some(lowered.step),
            Self::Interrupted(interrupted) => Some(interrupted.step),
            Self::Finished(summary) => Some(summary.steps),
            Self::Started(_) | Self::Warning(_) | Self::Tested(_) | Self::Failed(_) => None,
        }
    }
}

/// See [`Event::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// 32 hexadecimal digits.
    pub run_id: String,
    /// `run.experiment_name`.
    pub experiment: String,
    /// The optimizer steps after which a resumed run goes on; `None` for a new run. What the record says of later steps before
    /// this line did not last.
    pub resumed_at: Option<u64>,
    /// Epochs asked for.
    pub epochs: u64,
    /// Batches of an epoch.
    pub batches: u64,
    /// Full name of the main metric, as `val_target_PERP`.
    pub main_metric: Option<String>,
    /// `min` or `max`: which values of the main metric are better.
    pub ordering: String,
    /// Parameters that train, counted as numbers.
    pub parameters: u64,
    /// Encoder, head, optimizers and metrics.
    pub components: Vec<Component>,
    /// What it runs on.
    pub environment: Environment,
}

/// A component of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// `encoder`, `head`, `optimizer` or `metric`.
    pub role: String,
    /// Its `class_name`.
    pub class: String,
    /// The plugin it comes from.
    pub plugin: String,
    /// That plugin's version.
    pub version: String,
    /// SHA-256 of the plugin's file, hexadecimal.
    pub sha256: String,
}

/// What a run runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the host.
    pub kiwi_host: String,
    /// Version of libtorch.
    pub torch: String,
    /// As the log names it.
    pub device: String,
    /// Threads of libtorch's operators.
    pub threads: u64,
    /// Name of the processor; `None` where the system does not tell.
    pub processor: Option<String>,
    /// Operating system and architecture.
    pub platform: String,
}

/// Training values over some batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Counted from 0.
    pub epoch: u64,
    /// Optimizer steps of the run that are done.
    pub step: u64,
    /// Mean of the batch losses.
    pub loss: Number,
    /// Metrics and the head's scalars.
    pub values: Values,
    /// The learning rates of the last step, with what the log calls them.
    pub learning_rates: BTreeMap<String, Number>,
    /// Target words a second.
    pub words_per_second: Number,
}

/// See [`Event::Validated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Counted from 0.
    pub epoch: u64,
    /// Optimizer steps of the run that are done.
    pub step: u64,
    /// Loss and metrics of each set, by their full names such as `val_target_PERP`.
    pub values: Values,
    /// Whether the main metric is the best so far.
    pub improved: bool,
    /// The saved system, relative to the run's directory; `None` if it is not among those kept.
    pub saved: Option<String>,
}

/// See [`Event::RateLowered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateLowered {
    /// Optimizer steps of the run that are done.
    pub step: u64,
    /// What the log calls the rate.
    pub rate: String,
    /// Before.
    pub from: Number,
    /// After.
    pub to: Number,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// On one line.
    pub message: String,
}

/// See [`Event::Tested`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// The saved system, relative to the run's directory; `None` for the last as it was in memory.
    pub system: Option<String>,
    /// Loss and metrics of each set, by their full names such as `test_target_PERP`.
    pub values: Values,
}

/// See [`Event::Interrupted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// As `SIGTERM`.
    pub signal: String,
    /// Optimizer steps of the run that are done.
    pub step: u64,
    /// Whether a resume point was saved.
    pub resumable: bool,
}

/// What a run came to; also the content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Why training ended: `epochs`, `max_steps`, `early_stopping` or `debug`.
    pub reason: String,
    /// Epochs begun.
    pub epochs: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// The best system that was kept.
    pub best: Option<Kept>,
    /// The last system that was kept.
    pub last: Option<Kept>,
    /// Where the time went.
    pub seconds: Seconds,
    /// Target words a second of training.
    pub words_per_second: Number,
    /// The most memory that the process had, in bytes; `None` where the system does not tell.
    pub peak_memory: Option<u64>,
    /// Training batches that were skipped, by reason (`not_finite`, `out_of_memory`); those with none are left out.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
}

/// A saved system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Relative to the run's directory.
    pub file: String,
    /// Full name of the main metric.
    pub metric: String,
    /// Its value.
    pub value: Number,
    /// The epoch it was validated in, counted from 0.
    pub epoch: u64,
    /// After so many optimizer steps.
    pub step: u64,
}

/// Where the time of a run went, in seconds; the parts need not sum up to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// From the start of training to its end; of all parts of a resumed run.
    pub total: Number,
    /// Waiting for batches.
    pub data: Number,
    /// Forward passes and losses.
    pub forward: Number,
    /// Gradients.
    pub backward: Number,
    /// Clipping and optimizer steps.
    pub optimizer: Number,
    /// Validations.
    pub validation: Number,
    /// Saving, as far as training waited for it.
    pub saving: Number,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_and_reads_like_this() {
        let record = Record {
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            event: Event::Validated(Validated {
                epoch: 0,
                step: 12,
                values: Values::from([
                    ("val_loss".to_owned(), Some(Number(f64::INFINITY))),
                    ("val_target_PERP".to_owned(), None),
                ]),
                improved: true,
                saved: Some("checkpoints/a.safetensors".to_owned()),
            }),
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            r#"{"time":"2026-01-02T03:04:05.678Z","event":{"kind":"validated","epoch":0,"step":12,"values":{"val_loss":"Infinity","val_target_PERP":null},"improved":true,"saved":"checkpoints/a.safetensors"}}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

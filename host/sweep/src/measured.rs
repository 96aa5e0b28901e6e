//! What the run of a trial came to, by its record.

use std::path::Path;

use kiwi_tracking::journal::read;
use kiwi_tracking::number::Number;
use kiwi_tracking::record::{Event, Record};
use serde::{Deserialize, Serialize};

use crate::ranking::{Better, compare};

/// What a run came to so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Full name of the main metric, as `val_target_PERP`.
    pub metric: String,
    /// `min` or `max`: which values of it are better.
    pub ordering: String,
    /// The best value of all validations; `None` where there was none yet, or nothing to say.
    pub value: Option<Number>,
    /// Epochs begun.
    pub epochs: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds from the start of training to its end, without the time between parts of a resumed run.
    pub seconds: Number,
    /// The best system, relative to the run's directory; `None` where none was kept.
    pub system: Option<String>,
}

impl Default for Measured {
    /// Of a run that has only been started.
    fn default() -> Self {
        Self {
            metric: String::new(),
            ordering: "min".to_owned(),
            value: None,
            epochs: 0,
            steps: 0,
            seconds: Number(0.0),
            system: None,
        }
    }
}

impl Measured {
    /// The value of the main metric.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        self.value.map(|value| value.0)
    }
}

/// What the run in a directory came to, and what its record says last of why it failed; nothing where it has no record.
#[must_use]
pub fn measure(run: &Path) -> (Option<Measured>, Option<String>) {
    match read::read(run) {
        Ok(journal) => of(&journal.records),
        Err(_) => (None, None),
    }
}

fn of(records: &[Record]) -> (Option<Measured>, Option<String>) {
    let mut measured: Option<Measured> = None;
    let (mut failed, mut seconds, mut part) = (None, 0.0, None);
    for record in records {
        if let Event::Started(started) = &record.event {
            let measured = measured.get_or_insert_with(Measured::default);
            if let Some(metric) = &started.main_metric {
                measured.metric.clone_from(metric);
            }
            measured.ordering.clone_from(&started.ordering);
            failed = None;
            part = Some((record.time, seconds));
        }
        let Some(measured) = &mut measured else { continue };
        // The clock of a part starts anew, so that a night in between counts for nothing.
        if let Some((since, before)) = part {
            seconds = before + record.time.duration_since(since).as_secs_f64().max(0.0);
        }
        measured.steps = measured.steps.max(record.event.step().unwrap_or(0));
        match &record.event {
            Event::Logged(values) | Event::EpochEnded(values) => {
                measured.epochs = measured.epochs.max(values.epoch.saturating_add(1));
            }
            Event::Validated(validated) => {
                measured.epochs = measured.epochs.max(validated.epoch.saturating_add(1));
                let value = validated.values.get(&measured.metric).copied().flatten();
                let better = Better::of(&measured.ordering);
                let Some(value) = value else { continue };
                let best = measured.value.is_none_or(|best| compare(value.0, best.0, better).is_lt());
                if best {
                    measured.value = Some(value);
                }
                if validated.improved && validated.saved.is_some() {
                    measured.system.clone_from(&validated.saved);
                }
            }
            Event::Finished(summary) => {
                measured.epochs = summary.epochs;
                measured.steps = summary.steps;
                measured.system = summary.best.as_ref().map(|best| best.file.clone());
            }
            Event::Failed(message) => failed = Some(message.message.clone()),
            Event::Started(_)
            | Event::RateLowered(_)
            | Event::Warning(_)
            | Event::Tested(_)
            | Event::Interrupted(_) => {}
        }
    }
    if let Some(measured) = &mut measured {
        measured.seconds = Number(seconds);
    }
    (measured, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{"kind":"started","run_id":"0","experiment":"default","resumed_at":AT,"epochs":2,"batches":8,
        "main_metric":"val_m","ordering":"max","parameters":1,"components":[],"environment":{"kiwi_host":"0.1.0","torch":"2.11.0",
        "device":"cpu","threads":1,"processor":null,"platform":"linux"}}"#;

    fn record(time: &str, event: &str) -> Record {
        serde_json::from_str(&format!(r#"{{"time":"2026-01-02T03:04:{time}Z","event":{event}}}"#)).unwrap()
    }

    fn validated(time: &str, step: u64, value: &str, improved: bool) -> Record {
        let event = format!(
            r#"{{"kind":"validated","epoch":{},"step":{step},"values":{{"val_m":{value}}},"improved":{improved},"saved":"checkpoints/{step}"}}"#,
            step / 8 - 1
        );
        record(time, &event)
    }

    #[test]
    fn the_best_validation_counts_and_the_time_between_parts_does_not() {
        let mut records = vec![
            record("00", &STARTED.replace("AT", "null")),
            validated("02", 8, "0.5", true),
            validated("04", 16, "0.7", true),
            record("05", r#"{"kind":"failed","message":"no memory"}"#),
        ];
        let (measured, failed) = of(&records);
        let measured = measured.unwrap();
        assert_eq!(
            (measured.number(), measured.seconds.0, failed.as_deref()),
            (Some(0.7), 5.0, Some("no memory"))
        );
        records.push(record("30", &STARTED.replace("AT", "16")));
        records.push(validated("33", 24, "0.6", false));
        let (measured, failed) = of(&records);
        let expected = Measured {
            metric: "val_m".to_owned(),
            ordering: "max".to_owned(),
            value: Some(Number(0.7)),
            epochs: 3,
            steps: 24,
            seconds: Number(8.0),
            system: Some("checkpoints/16".to_owned()),
        };
        assert_eq!((measured.unwrap(), failed), (expected, None));
        assert_eq!(of(&[]), (None, None));
    }
}

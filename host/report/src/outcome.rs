//! How a run ended and what it came to, from its summary or, where it has none, from what it logged.

use kiwi_tracking::record::{Event, Kept, Record, Summary};

use crate::curves::Source;
use crate::curves::collect::Collected;
use crate::text;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Finished,
    Interrupted,
    Failed,
    /// Nothing says that it ended.
    Unfinished,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }

    /// Told by more than a colour.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Finished => "✓",
            Self::Interrupted => "■",
            Self::Failed => "✗",
            Self::Unfinished => "…",
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) state: State,
    /// Why it ended, for people.
    pub(crate) reason: String,
    pub(crate) steps: u64,
    /// Epochs begun.
    pub(crate) epochs: u64,
    pub(crate) best: Option<Kept>,
    pub(crate) last: Option<Kept>,
    /// Of training.
    pub(crate) words_per_second: Option<f64>,
    /// Of the whole run.
    pub(crate) seconds: f64,
    /// What only a run that finished tells.
    pub(crate) summary: Option<Summary>,
}

/// What the record says of the end, all of which counts only if nothing was started after it.
pub(crate) fn outcome(records: &[Record], collected: &Collected) -> Outcome {
    let mut outcome = Outcome {
        state: State::Unfinished,
        reason: "nothing says that it ended: it is running still, or was killed".to_owned(),
        steps: 0,
        epochs: 0,
        best: None,
        last: None,
        words_per_second: None,
        seconds: collected.seconds,
        summary: None,
    };
    let unfinished = outcome.reason.clone();
    let mut main_metric = None;
    for record in records {
        outcome.steps = outcome.steps.max(record.event.step().unwrap_or(0));
        match &record.event {
            Event::Started(started) => {
                main_metric = started.main_metric.as_deref();
                (outcome.state, outcome.reason) = (State::Unfinished, unfinished.clone());
                outcome.summary = None;
            }
            Event::Logged(values) | Event::EpochEnded(values) => {
                outcome.epochs = outcome.epochs.max(values.epoch.saturating_add(1));
            }
            Event::Validated(validated) => {
                let value = main_metric.and_then(|metric| Some((metric, (*validated.values.get(metric)?)?)));
                if let (Some(file), Some((metric, value))) = (&validated.saved, value) {
                    let (epoch, step) = (validated.epoch, validated.step);
                    let kept = Kept { file: file.clone(), metric: metric.to_owned(), value, epoch, step };
                    if validated.improved {
                        outcome.best = Some(kept.clone());
                    }
                    outcome.last = Some(kept);
                }
            }
            Event::Finished(summary) => {
                outcome.state = State::Finished;
                let reason = match summary.reason.as_str() {
                    "epochs" => "all epochs are done",
                    "max_steps" => "max_steps is reached",
                    "early_stopping" => "early stopping: the main metric no longer improved",
                    "debug" => "debug asks for one batch",
                    other => other,
                };
                outcome.reason = text::short(reason, 200);
                outcome.summary = Some(summary.clone());
            }
            Event::Interrupted(interrupted) => {
                let resumable =
                    if interrupted.resumable { "it can be resumed" } else { "nothing to resume from" };
                outcome.state = State::Interrupted;
                outcome.reason = format!(
                    "{} after step {}; {resumable}",
                    text::short(&interrupted.signal, 40),
                    text::count(interrupted.step)
                );
            }
            Event::Failed(failed) => {
                (outcome.state, outcome.reason) = (State::Failed, text::short(&failed.message, 2000));
            }
            Event::RateLowered(_) | Event::Warning(_) | Event::Tested(_) => {}
        }
    }
    match &outcome.summary {
        Some(summary) => {
            outcome.steps = summary.steps;
            outcome.epochs = summary.epochs;
            outcome.best.clone_from(&summary.best);
            outcome.last.clone_from(&summary.last);
            outcome.words_per_second = Some(summary.words_per_second.0);
            outcome.seconds = summary.seconds.total.0;
        }
        None => {
            let speeds = collected.curves.iter().filter(|curve| curve.source == Source::Speed);
            let speeds: Vec<_> = speeds.flat_map(|curve| &curve.points).map(|point| point.value).collect();
            let finite = speeds.iter().filter(|speed| speed.is_finite());
            let count = finite.clone().count();
            outcome.words_per_second = (count > 0).then(|| finite.sum::<f64>() / count as f64);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, STARTED};

    fn of(fixture: &Fixture) -> Outcome {
        fixture.run("a").outcome
    }

    #[test]
    fn the_last_part_says_how_a_run_ended() {
        let mut fixture = Fixture::new(&STARTED);
        assert_eq!(of(&fixture).state, State::Unfinished);
        fixture.logged(10, 3.0).validated(10, 40.0, true).failed("no memory");
        let outcome = of(&fixture);
        assert_eq!((outcome.state, outcome.reason.as_str()), (State::Failed, "no memory"));
        assert_eq!((outcome.steps, outcome.epochs), (10, 1));
        assert_eq!(outcome.best.unwrap().value.0, 40.0);
        fixture.resumed(10);
        assert_eq!(of(&fixture).state, State::Unfinished);
        fixture.interrupted(12);
        let outcome = of(&fixture);
        assert_eq!((outcome.state, outcome.steps), (State::Interrupted, 12));
        assert_eq!(outcome.reason, "SIGTERM after step 12; it can be resumed");
        fixture.resumed(12).logged(20, 2.0).finished(20);
        let outcome = of(&fixture);
        assert_eq!((outcome.state, outcome.steps), (State::Finished, 20));
        assert_eq!(outcome.reason, "all epochs are done");
    }
}

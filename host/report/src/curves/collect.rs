//! Curves and marks from the record of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kiwi_tracking::record::{Event, Record, Training, Validated};

use super::{Curve, Point, Source};
use crate::text;

/// Characters of a curve's name.
const NAME: usize = 200;

/// Something that happened at a place of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) kind: MarkKind,
    pub(crate) step: u64,
    pub(crate) seconds: f64,
    /// What happened, for people.
    pub(crate) text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkKind {
    RateLowered,
    Resumed,
}

/// The best validation by the main metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    /// Full name of the main metric, as the curve's.
    pub(crate) metric: String,
    pub(crate) point: Point,
}

/// What a run's record gives for charts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected {
    /// In the order of sources, then names.
    pub(crate) curves: Vec<Curve>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) best: Option<Best>,
    /// Seconds from the beginning to the last record, without the time between parts.
    pub(crate) seconds: f64,
    /// Whether training values are those of whole epochs, as nothing was logged within.
    pub(crate) by_epoch: bool,
}

/// Goes through the record of a run once.
pub(crate) fn collect(records: &[Record]) -> Collected {
    let mut collected = Collected {
        by_epoch: !records.iter().any(|record| matches!(record.event, Event::Logged(_))),
        ..Collected::default()
    };
    let mut curves = Curves::default();
    let mut clock = Clock::default();
    let mut main_metric = None;
    for record in records {
        let seconds = clock.at(record);
        match &record.event {
            Event::Started(started) => {
                main_metric = started.main_metric.clone();
                if let Some(step) = started.resumed_at {
                    let text = format!("resumed after step {}", text::count(step));
                    collected.marks.push(Mark { kind: MarkKind::Resumed, step, seconds, text });
                }
            }
            Event::Logged(values) if !collected.by_epoch => curves.training(values, seconds),
            Event::EpochEnded(values) if collected.by_epoch => curves.training(values, seconds),
            Event::Validated(validated) => {
                curves.validation(validated, seconds);
                let metric = main_metric.as_ref().filter(|_| validated.improved);
                let value = metric.and_then(|metric| Some((metric, (*validated.values.get(metric)?)?)));
                if let Some((metric, value)) = value {
                    let point = Point { step: validated.step, seconds, value: value.0 };
                    collected.best = Some(Best { metric: text::short(metric, NAME), point });
                }
            }
            Event::RateLowered(lowered) => {
                let (from, to) = (text::number(lowered.from.0), text::number(lowered.to.0));
                let text = format!("{} lowered from {from} to {to}", text::short(&lowered.rate, NAME));
                collected.marks.push(Mark { kind: MarkKind::RateLowered, step: lowered.step, seconds, text });
            }
            _ => {}
        }
    }
    collected.seconds = clock.elapsed;
    collected.curves =
        curves.0.into_iter().map(|((source, name), points)| Curve { name, source, points }).collect();
    collected
}

/// Time within the parts of a run.
#[derive(Debug, Default)]
struct Clock {
    /// When the part began, and how long the parts before it took.
    part: Option<(Timestamp, f64)>,
    elapsed: f64,
}

impl Clock {
    fn at(&mut self, record: &Record) -> f64 {
        let (began, before) = match (&record.event, self.part) {
            (Event::Started(_), _) | (_, None) => {
                self.part = Some((record.time, self.elapsed));
                (record.time, self.elapsed)
            }
            (_, Some(part)) => part,
        };
        let elapsed = before + record.time.duration_since(began).as_secs_f64();
        // A clock that was set back makes no run shorter.
        self.elapsed = self.elapsed.max(elapsed);
        self.elapsed
    }
}

#[derive(Debug, Default)]
struct Curves(BTreeMap<(Source, String), Vec<Point>>);

impl Curves {
    fn add(&mut self, source: Source, name: &str, point: Point) {
        self.0.entry((source, text::short(name, NAME))).or_default().push(point);
    }

    fn training(&mut self, values: &Training, seconds: f64) {
        let point = |value| Point { step: values.step, seconds, value };
        self.add(Source::Loss, "loss", point(values.loss.0));
        for (name, value) in &values.values {
            if let Some(value) = value {
                self.add(Source::Training, name, point(value.0));
            }
        }
        for (name, rate) in &values.learning_rates {
            self.add(Source::Rate, name, point(rate.0));
        }
        self.add(Source::Speed, "words a second", point(values.words_per_second.0));
    }

    fn validation(&mut self, validated: &Validated, seconds: f64) {
        for (name, value) in &validated.values {
            if let Some(value) = value {
                let point = Point { step: validated.step, seconds, value: value.0 };
                self.add(Source::Validation, name, point);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, STARTED};

    #[test]
    fn the_time_between_parts_is_left_out() {
        let mut fixture = Fixture::new(&STARTED);
        fixture.logged(10, 3.0).wait(30).interrupted(10).wait(3600).resumed(10).wait(5).logged(20, 2.0);
        let collected = collect(&fixture.records);
        let loss = &collected.curves[0];
        assert_eq!((loss.source, loss.points.len()), (Source::Loss, 2));
        assert_eq!(loss.points[1].seconds, 38.0);
        let [mark] = &collected.marks[..] else { panic!("{:?}", collected.marks) };
        assert_eq!((mark.step, mark.seconds, mark.kind), (10, 32.0, MarkKind::Resumed));
    }

    #[test]
    fn epochs_stand_in_where_nothing_was_logged() {
        let mut fixture = Fixture::new(&STARTED);
        fixture.epoch_ended(10, 3.0).validated(10, 40.0, true).validated(20, 50.0, false);
        let collected = collect(&fixture.records);
        assert!(collected.by_epoch);
        assert_eq!(collected.curves[0].points.len(), 1);
        let best = collected.best.unwrap();
        assert_eq!((best.metric.as_str(), best.point.step, best.point.value), ("val_target_PERP", 10, 40.0));
    }
}

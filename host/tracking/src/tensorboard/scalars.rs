//! Which values of an event are shown, and under which tags. Up to the first `/` a tag names the group that it is shown in. MLflow
//! is told the same values by the same names.

use crate::record::{Event, Training, Values};

/// The values of events one after the other.
#[derive(Debug, Default)]
pub(crate) struct Scalars {
    /// The last step that was heard of, for events that belong to none.
    pub(crate) step: u64,
}

impl Scalars {
    /// The step that an event belongs to and its values by their tags.
    pub(crate) fn of(&mut self, event: &Event) -> (u64, Vec<(String, f64)>) {
        if let Event::Started(started) = event {
            self.step = started.resumed_at.unwrap_or(0);
        }
        self.step = event.step().unwrap_or(self.step);
        let values = match event {
            Event::Logged(training) => logged(training),
            // Rates and speed are in the log's entries, at more steps.
            Event::EpochEnded(training) => {
                let mut values = vec![("epoch/loss".to_owned(), training.loss.0)];
                values.extend(tagged("epoch", "", &training.values));
                values
            }
            Event::Validated(validated) => tagged("validation", "val_", &validated.values).collect(),
            Event::Tested(tested) => tagged("test", "test_", &tested.values).collect(),
            Event::RateLowered(lowered) => vec![(rate_tag(&lowered.rate), lowered.to.0)],
            Event::Started(_)
            | Event::Warning(_)
            | Event::Finished(_)
            | Event::Interrupted(_)
            | Event::Failed(_) => Vec::new(),
        };
        (self.step, values)
    }
}

fn logged(training: &Training) -> Vec<(String, f64)> {
    let mut values = vec![("train/loss".to_owned(), training.loss.0)];
    values.extend(tagged("train", "", &training.values));
    values.push(("train/words_per_second".to_owned(), training.words_per_second.0));
    let rates = &training.learning_rates;
    values.extend(rates.iter().map(|(rate, value)| (rate_tag(rate), value.0)));
    values
}

fn rate_tag(rate: &str) -> String {
    format!("learning_rate/{rate}")
}

/// Values that there are, by the group and their names less `prefix`, which says what the group says.
fn tagged(group: &str, prefix: &str, values: &Values) -> impl Iterator<Item = (String, f64)> {
    values.iter().filter_map(move |(name, value)| {
        let short = name.strip_prefix(prefix).filter(|short| !short.is_empty()).unwrap_or(name);
        Some((format!("{group}/{short}"), (*value)?.0))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::number::Number;
    use crate::record::{Tested, Validated};

    #[test]
    fn values_are_grouped_and_those_that_are_missing_left_out() {
        let mut scalars = Scalars::default();
        let training = Training {
            epoch: 0,
            step: 7,
            loss: Number(1.5),
            values: Values::from([
                ("PERP".to_owned(), Some(Number(f64::INFINITY))),
                ("NLL".to_owned(), None),
            ]),
            learning_rates: BTreeMap::from([("learning rate".to_owned(), Number(0.1))]),
            words_per_second: Number(100.0),
        };
        let (step, values) = scalars.of(&Event::Logged(training));
        let named = |values: &[(String, f64)]| values.iter().map(|(tag, _)| tag.clone()).collect::<Vec<_>>();
        assert_eq!(step, 7);
        assert_eq!(
            named(&values),
            ["train/loss", "train/PERP", "train/words_per_second", "learning_rate/learning rate"]
        );
        let values = Values::from([("val_news_PERP".to_owned(), Some(Number(2.0)))]);
        let validated = Validated { epoch: 0, step: 9, values, improved: true, saved: None };
        assert_eq!(
            scalars.of(&Event::Validated(validated)),
            (9, vec![("validation/news_PERP".to_owned(), 2.0)])
        );
        let values = Values::from([("test_loss".to_owned(), Some(Number(2.0)))]);
        let tested = scalars.of(&Event::Tested(Tested { system: None, values }));
        assert_eq!(tested, (9, vec![("test/loss".to_owned(), 2.0)]), "after the last step there was");
    }
}

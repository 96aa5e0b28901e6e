//! Which curves go into which chart.

use std::collections::{BTreeMap, BTreeSet};

use super::thin::thin;
use super::{Extremes, Point, Source};
use crate::run::Run;

/// So many points all charts together have about.
const POINTS: usize = 60_000;
/// A curve has no more points: that is more than a screen shows.
const MOST_POINTS: usize = 1500;
/// A curve has no fewer, if it was logged with more.
const FEWEST_POINTS: usize = 60;
/// So many curves are drawn.
const MOST_CURVES: usize = 1000;

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// The different curves by what they are called, in the order of their strokes.
    pub(crate) names: Vec<Name>,
    pub(crate) series: Vec<Series>,
}

/// What curves of a chart are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// As the log names it.
    pub(crate) name: String,
    /// Whether it comes from validations: its points are drawn as well as its line.
    pub(crate) dotted: bool,
    /// Which of the dash patterns its line has; 0 is a line without gaps.
    pub(crate) dash: usize,
}

/// A curve of a run in a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Place of its run.
    pub(crate) run: usize,
    /// Place of its name in the chart's.
    pub(crate) name: usize,
    /// Thinned.
    pub(crate) points: Vec<Point>,
    /// Of all points.
    pub(crate) extremes: Extremes,
    /// The best validation, if this is the main metric.
    pub(crate) best: Option<Point>,
}

/// All charts of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Charts {
    pub(crate) charts: Vec<Chart>,
    /// The most points that a curve has after thinning.
    pub(crate) most_points: usize,
    /// Whether any curve was thinned.
    pub(crate) thinned: bool,
    /// Curves that were left out.
    pub(crate) left_out: usize,
}

/// What a chart is about, in the order of the charts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Loss,
    Metric(String),
    Rates,
    Speed,
}

/// Sorts the curves of all runs into charts.
pub(crate) fn charts(runs: &[Run]) -> Charts {
    let curves = || runs.iter().flat_map(|run| &run.collected.curves);
    let training: BTreeSet<&str> = curves()
        .filter(|curve| matches!(curve.source, Source::Loss | Source::Training))
        .map(|curve| curve.name.as_str())
        .collect();
    let count = curves().count();
    let most_points = (POINTS / count.max(1)).clamp(FEWEST_POINTS, MOST_POINTS);
    let mut all = Charts { most_points, left_out: count.saturating_sub(MOST_CURVES), ..Charts::default() };
    let mut charts: BTreeMap<Subject, Chart> = BTreeMap::new();
    let curves = runs
        .iter()
        .enumerate()
        .flat_map(|(place, run)| run.collected.curves.iter().map(move |curve| (place, curve)));
    for (run, curve) in curves.take(MOST_CURVES) {
        let subject = match curve.source {
            Source::Loss => Subject::Loss,
            Source::Training => Subject::Metric(curve.name.clone()),
            Source::Validation => match base(&curve.name, &training) {
                "loss" => Subject::Loss,
                base => Subject::Metric(base.to_owned()),
            },
            Source::Rate => Subject::Rates,
            Source::Speed => Subject::Speed,
        };
        let title = match &subject {
            Subject::Loss => "Loss",
            Subject::Metric(name) => name,
            Subject::Rates => "Learning rates",
            Subject::Speed => "Target words a second",
        };
        let title = title.to_owned();
        let chart =
            charts.entry(subject).or_insert_with(|| Chart { title, names: Vec::new(), series: Vec::new() });
        let name = chart.name(&curve.name, curve.source == Source::Validation);
        let points = thin(&curve.points, most_points);
        all.thinned |= points.len() < curve.points.len();
        let best = runs[run].collected.best.as_ref();
        let best = best.filter(|best| curve.source == Source::Validation && best.metric == curve.name);
        let best = best.map(|best| best.point);
        chart.series.push(Series { run, name, points, extremes: Extremes::of(&curve.points), best });
    }
    // The main metric stands before the others, right after the loss.
    let main: BTreeSet<_> = runs.iter().filter_map(|run| Some(base(run.main_metric()?, &training))).collect();
    let rank = |subject: &Subject| match subject {
        Subject::Loss => 0,
        Subject::Metric(name) if main.contains(name.as_str()) => 1,
        Subject::Metric(_) => 2,
        Subject::Rates => 3,
        Subject::Speed => 4,
    };
    let mut sorted: Vec<_> = charts.into_iter().collect();
    sorted.sort_by_key(|(subject, _)| rank(subject));
    all.charts = sorted.into_iter().map(|(_, chart)| chart).collect();
    all
}

impl Chart {
    /// The place of a name among the names of the chart.
    fn name(&mut self, name: &str, dotted: bool) -> usize {
        let known = self.names.iter().position(|known| known.name == name && known.dotted == dotted);
        known.unwrap_or_else(|| {
            let dash = self.names.iter().filter(|known| known.dotted == dotted).count();
            self.names.push(Name { name: name.to_owned(), dotted, dash });
            self.names.len() - 1
        })
    }
}

/// The name that a value of a validation set has in training: `val_target_PERP` and `val_SET_target_PERP` are `target_PERP`.
fn base<'a>(name: &'a str, training: &BTreeSet<&str>) -> &'a str {
    let Some(rest) = name.strip_prefix("val_") else { return name };
    let places = rest.match_indices('_').map(|(place, _)| place + 1);
    let mut ends = std::iter::once(0).chain(places).map(|place| &rest[place..]);
    // The longest first.
    ends.find(|end| *end == "loss" || training.contains(end)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, STARTED};

    #[test]
    fn names_of_validation_sets_lead_to_names_of_training() {
        let training = ["loss", "target_PERP", "PERP"].into();
        for (name, expected) in [
            ("val_loss", "loss"),
            ("val_news_loss", "loss"),
            ("val_target_PERP", "target_PERP"),
            ("val_my_news_target_PERP", "target_PERP"),
            ("val_source_PERP", "PERP"),
            ("val_other", "other"),
            ("val_", ""),
            ("odd", "odd"),
        ] {
            assert_eq!(base(name, &training), expected, "{name}");
        }
    }

    #[test]
    fn curves_of_one_quantity_share_a_chart() {
        let mut fixture = Fixture::new(&STARTED);
        fixture.logged(10, 3.0).validated(10, 40.0, true).logged(20, 2.0).validated(20, 50.0, false);
        let runs = [fixture.run("a"), fixture.run("b")];
        let charts = charts(&runs);
        let titles: Vec<_> = charts.charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(
            titles,
            ["Loss", "target_PERP", "target_CORRECT", "Learning rates", "Target words a second"]
        );
        let perplexity = &charts.charts[1];
        let names: Vec<_> = perplexity.names.iter().map(|name| (name.name.as_str(), name.dotted)).collect();
        assert_eq!(names, [("target_PERP", false), ("val_target_PERP", true)]);
        assert_eq!(perplexity.series.len(), 4);
        let best: Vec<_> =
            perplexity.series.iter().map(|series| series.best.map(|point| point.step)).collect();
        assert_eq!(best, [None, Some(10), None, Some(10)]);
        assert!(!charts.thinned);
    }
}

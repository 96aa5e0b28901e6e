//! Speed over the sizes that matter, one varied at a time around the standard, as a table in Markdown.

use anyhow::Result;
use clap::ValueEnum;

use super::settings::Settings;
use super::synthetic::Shape;
use super::text::Text;
use super::turns::{Medians, Turns};

/// Types of each side of made-up text where they are not what is varied.
const VOCABULARY: u64 = 18_000;

/// Mean words of its sentences where they are not what is varied.
const LENGTH: u64 = 13;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Curve {
    /// Types of each side, in made-up text.
    Vocabulary,
    /// Words of a sentence, in made-up text.
    Length,
    /// Size of each LSTM's hidden state.
    HiddenSize,
    /// Pairs in a batch.
    BatchSize,
    /// Threads for the operators.
    Threads,
}

/// One line of the table: what is trained, and on which text.
#[derive(Debug)]
struct Point {
    settings: Settings,
    /// Made-up text; none: the standard's.
    text: Option<Shape>,
}

impl Curve {
    /// What the table calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Vocabulary => "vocabulary, types",
            Self::Length => "sentence length, words",
            Self::HiddenSize => "hidden size",
            Self::BatchSize => "batch size, pairs",
            Self::Threads => "threads",
        }
    }

    /// Where it is measured.
    fn values(self) -> &'static [u64] {
        match self {
            Self::Vocabulary => &[10_000, 20_000, 40_000, 60_000],
            Self::Length => &[10, 25, 50, 100],
            Self::HiddenSize => &[400, 700, 1000],
            Self::BatchSize => &[8, 32, 128, 256],
            Self::Threads => &[1, 2],
        }
    }

    /// The standard with one thing changed. `batches` includes the warm-up.
    fn point(self, value: u64, standard: &Settings, batches: u64) -> Result<Point> {
        let mut settings = standard.clone();
        let mut text = None;
        let mut made_up = |settings: &mut Settings, vocabulary: u64, length: u64| -> Result<()> {
            settings.max_size = settings.max_size.max(vocabulary);
            text = Some(shape(vocabulary, length, batches * settings.batch_size)?);
            Ok(())
        };
        match self {
            Self::Vocabulary => made_up(&mut settings, value, LENGTH)?,
            Self::Length => made_up(&mut settings, VOCABULARY, value)?,
            Self::HiddenSize => settings.hidden_size = value,
            Self::BatchSize => settings.batch_size = value,
            Self::Threads => settings.threads = value,
        }
        Ok(Point { settings, text })
    }
}

fn shape(vocabulary: u64, length: u64, pairs: u64) -> Result<Shape> {
    Ok(Shape {
        vocabulary: usize::try_from(vocabulary)?,
        length: usize::try_from(length)?,
        pairs: usize::try_from(pairs)?,
    })
}

/// Measures the curves and prints the table row by row. `text` is the standard's; none: it is made up.
pub(super) fn print(
    turns: &mut Turns<'_>,
    curves: &[Curve],
    standard: &Settings,
    text: Option<Text>,
) -> Result<()> {
    let batches = standard.warmup + turns.batches;
    let text = match text {
        Some(text) => text,
        None => {
            let largest = Curve::BatchSize.values().iter().copied().max().unwrap_or_default();
            let pairs = batches * largest.max(standard.batch_size);
            shape(VOCABULARY, LENGTH, pairs)?.write(&turns.program.folder, "standard")?
        }
    };
    println!("{}", header(turns.peer.is_some()));
    for curve in curves {
        for value in curve.values() {
            eprintln!("{} {value}", curve.name());
            let point = curve.point(*value, standard, batches)?;
            let made_up = match point.text {
                Some(shape) => Some(shape.write(&turns.program.folder, "synthetic")?),
                None => None,
            };
            let measured =
                turns.run(&point.settings, made_up.as_ref().unwrap_or(&text), |line| eprintln!("{line}"))?;
            println!("{}", row(*curve, *value, &measured));
        }
    }
    Ok(())
}

/// The head of the table.
fn header(with_peer: bool) -> &'static str {
    if with_peer {
        "| varied | value | kiwi-host, words/s | of the floor | peer, words/s | ratio |\n|---|---|---|---|---|---|"
    } else {
        "| varied | value | kiwi-host, words/s | of the floor |\n|---|---|---|---|"
    }
}

/// A row of it.
fn row(curve: Curve, value: u64, measured: &Medians) -> String {
    let mut row = format!(
        "| {} | {value} | {:.0} | {:.0} % |",
        curve.name(),
        measured.ours.words_per_second,
        100.0 * measured.share_of_floor
    );
    if let (Some(peer), Some(comparison)) = (measured.peer, measured.comparison()) {
        row += &format!(" {:.0} | {:.2} |", peer.words_per_second, comparison.ratio);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Speed;
    use crate::bench::tests::settings;

    #[test]
    fn one_thing_is_varied_at_a_time() {
        let standard = settings(&["--max-size=20000"]);
        for curve in Curve::value_variants() {
            for value in curve.values() {
                let point = curve.point(*value, &standard, 10).unwrap();
                let mut expected = standard.clone();
                match curve {
                    Curve::Vocabulary => expected.max_size = (*value).max(20_000),
                    Curve::Length => {}
                    Curve::HiddenSize => expected.hidden_size = *value,
                    Curve::BatchSize => expected.batch_size = *value,
                    Curve::Threads => expected.threads = *value,
                }
                assert_eq!(point.settings, expected);
                let made_up = match curve {
                    Curve::Vocabulary => Some(shape(*value, 13, 320).unwrap()),
                    Curve::Length => Some(shape(18_000, *value, 320).unwrap()),
                    _ => None,
                };
                assert_eq!(point.text, made_up);
            }
        }
    }

    #[test]
    fn rows_fit_the_header() {
        let speed = |words_per_second| Speed { words_per_second, memory_mib: 500.0 };
        let mut measured = Medians { ours: speed(1234.5), peer: None, share_of_floor: 0.456 };
        let columns = |text: &str| text.lines().next().map(|line| line.matches('|').count());
        let without = row(Curve::Threads, 2, &measured);
        assert_eq!(without, "| threads | 2 | 1234 | 46 % |");
        assert_eq!(columns(&without), columns(header(false)));
        measured.peer = Some(speed(900.0));
        let with = row(Curve::Threads, 2, &measured);
        assert_eq!(with, "| threads | 2 | 1234 | 46 % | 900 | 1.37 |");
        assert_eq!(columns(&with), columns(header(true)));
    }
}

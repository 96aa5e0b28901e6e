//! The progress bar, and lines on standard error that do not disturb it.

use std::io::{self, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use terminal_size::{Width, terminal_size_of};

use super::lines::number;
use crate::training::Event;

/// A bar of figures and words alone, of which a narrow terminal shows as much as a row holds.
const WITHOUT_BAR: &str = "{prefix} {pos}/{len} {elapsed}<{eta} {wide_msg}";
/// The same where there is room for what fills up.
const WITH_BAR: &str = "{prefix} {wide_bar} {pos}/{len} {elapsed}<{eta} {msg}";
/// Where the length is not known.
const COUNT: &str = "{prefix} {pos} {elapsed} {wide_msg}";
/// Columns of `59m<59m` and the spaces between all parts.
const TIMES: usize = 12;
/// Columns that what fills up takes at least.
const LEAST_BAR: usize = 10;

/// A bar over the batches of an epoch, where standard error is a terminal.
pub(super) struct Progress {
    /// Draws the bars, one below the other.
    bars: MultiProgress,
    bar: Option<ProgressBar>,
    enabled: bool,
    epochs: u64,
    batches: usize,
    main_metric: Option<String>,
    words: u64,
    validation: Option<ProgressBar>,
}

impl Progress {
    /// A bar, or none.
    pub(super) fn new(enabled: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self {
            bars,
            bar: None,
            enabled,
            epochs: 0,
            batches: 0,
            main_metric: None,
            words: 0,
            validation: None,
        }
    }

    /// Whether there is a bar.
    pub(super) fn is_bar(&self) -> bool {
        self.enabled
    }

    /// Moves the bar.
    pub(super) fn update(&mut self, event: &Event) {
        if !self.enabled {
            return;
        }
        match event {
            Event::Started { epochs, batches, main_metric } => {
                self.epochs = *epochs;
                self.batches = *batches;
                self.main_metric.clone_from(main_metric);
            }
            Event::EpochStarted { epoch, done } => {
                let bar =
                    self.add(self.batches, &format!("epoch {epoch} ({} of {})", epoch + 1, self.epochs));
                bar.set_position(*done as u64);
                bar.reset_eta();
                self.words = 0;
                self.bar = Some(bar);
            }
            Event::Batch { words } => {
                self.words += words;
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
            Event::Logged(values) => {
                let mut text = format!("loss {}", number(values.loss));
                if let (Some(name), Some(value)) = (&self.main_metric, values.main) {
                    text.push_str(&format!("  {name} {}", number(value)));
                }
                text.push_str(&format!("  {:.0} words/s", values.words_per_second));
                if let Some(bar) = &self.bar {
                    say(bar, text);
                }
            }
            Event::EpochEnded(_) => self.clear(),
            Event::ValidationStarted { batches } => self.validation = Some(self.add(*batches, "validation")),
            Event::ValidationBatch => {
                if let Some(bar) = &self.validation {
                    bar.inc(1);
                }
            }
            Event::Validated { .. } => {
                if let Some(bar) = self.validation.take() {
                    bar.finish_and_clear();
                }
            }
            Event::Finished(_) | Event::Interrupted { .. } => self.clear(),
            Event::ResumePoint
            | Event::Tested { .. }
            | Event::Note(_)
            | Event::Warning(_)
            | Event::RateLowered { .. } => {}
        }
    }

    /// Moves the bar of pairs that are scored; without their number it only counts.
    pub(super) fn pairs(&mut self, done: u64, of: Option<u64>, rate: &str) {
        if !self.enabled {
            return;
        }
        let bar = match self.bar.take() {
            Some(bar) => bar,
            None => match of {
                Some(of) => self.add(usize::try_from(of).unwrap_or(usize::MAX), "pairs"),
                None => self.count("pairs"),
            },
        };
        bar.set_position(done);
        say(&bar, rate.to_owned());
        self.bar = Some(bar);
    }

    fn count(&self, prefix: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_prefix(prefix.to_owned());
        say(&bar, String::new());
        self.bars.add(bar)
    }

    /// Takes the bars away.
    pub(super) fn clear(&mut self) {
        for bar in [self.validation.take(), self.bar.take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }

    /// Runs `f`, which prints, while the bar is out of the way.
    pub(super) fn suspend(&self, f: impl FnOnce()) {
        self.bars.suspend(f);
    }

    fn add(&self, length: usize, prefix: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::hidden());
        bar.set_prefix(prefix.to_owned());
        say(&bar, String::new());
        self.bars.add(bar)
    }

    /// Prints a line on standard error.
    pub(super) fn print(&self, line: &str) {
        // Standard error that is closed must not stop a run.
        self.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }
}

/// Gives a bar its words, and the form in which they fit the terminal, which may have another width than it had before.
fn say(bar: &ProgressBar, words: String) {
    let columns = terminal_size_of(io::stderr()).map(|(Width(columns), _)| usize::from(columns));
    let form = form(bar.length(), &bar.prefix(), &words, columns);
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.set_message(words);
}

/// The form of a bar with this prefix and these words on a terminal of so many columns.
fn form(length: Option<u64>, prefix: &str, words: &str, columns: Option<usize>) -> &'static str {
    let Some(length) = length else { return COUNT };
    let position = 2 * length.to_string().len() + 1;
    let needed = prefix.len() + LEAST_BAR + position + TIMES + words.len();
    if columns.is_none_or(|columns| needed <= columns) { WITH_BAR } else { WITHOUT_BAR }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainingValues;

    #[test]
    fn the_bar_shows_loss_and_main_metric() {
        let mut progress = Progress::new(true);
        progress.update(&Event::Started {
            epochs: 2,
            batches: 8,
            // A sum has its own name, which is none of a metric.
            main_metric: Some("target_PERP+target_ExpErr".to_owned()),
        });
        progress.update(&Event::EpochStarted { epoch: 0, done: 0 });
        for _ in 0..3 {
            progress.update(&Event::Batch { words: 5 });
        }
        let mut logged = |main: Option<f64>| {
            let values = TrainingValues {
                epoch: 0,
                step: 3,
                loss: 12.5,
                values: vec![("target_PERP".to_owned(), main), ("target_ExpErr".to_owned(), Some(0.5))],
                main,
                learning_rates: Vec::new(),
                words_per_second: 1000.0,
            };
            progress.update(&Event::Logged(values));
            let bar = progress.bar.as_ref().unwrap();
            assert_eq!((bar.position(), bar.length()), (3, Some(8)));
            bar.message()
        };
        assert_eq!(logged(Some(4.25)), "loss 12.500  target_PERP+target_ExpErr 4.2500  1000 words/s");
        assert_eq!(logged(None), "loss 12.500  1000 words/s");
    }

    #[test]
    fn a_row_holds_it_whatever_the_width() {
        let words = "loss 12.500  target_PERP 4.2500  1000 words/s";
        for columns in 40..200 {
            let term = indicatif::InMemoryTerm::new(4, columns);
            let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
            let bar = ProgressBar::with_draw_target(Some(12_000), target).with_prefix("epoch 0 (1 of 20)");
            let form = form(bar.length(), &bar.prefix(), words, Some(usize::from(columns)));
            bar.set_style(ProgressStyle::with_template(form).unwrap());
            bar.set_message(words);
            bar.set_position(9_000);
            bar.tick();
            let drawn = term.contents();
            assert_eq!(drawn.lines().count(), 1, "{columns}: {drawn}");
            assert_eq!(drawn.contains(words), columns >= 80, "{columns}: {drawn}");
            assert_eq!(drawn.contains("█"), columns >= 95, "{columns}: {drawn}");
            assert!(drawn.starts_with("epoch 0 (1 of 20)") && drawn.contains("9000/12000"));
        }
    }
}

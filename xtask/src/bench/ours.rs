//! A run of the built program, and what it comes to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::floor::{self, Places, Rates};
use super::log::{RunLog, StepLine};
use super::report::{Measurement, Speed, Vocabularies, median, rounded};
use super::settings::{Order, Settings};
use super::text::{Extent, Text};
use crate::workspace::{Workspace, display};

/// Pairs of the validation text that every run must have; its time is not counted.
const VALIDATION_PAIRS: usize = 32;

/// The built program and where its runs are written.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// The workspace it was built from.
    pub(super) workspace: &'a Workspace,
    /// `kiwi-host` itself.
    pub(super) file: PathBuf,
    /// Folder of configs, made-up text and runs.
    pub(super) folder: PathBuf,
}

impl Program<'_> {
    /// Trains for the warm-up and `batches` timed batches, and reads off what it says.
    pub(super) fn measure(
        &self,
        settings: &Settings,
        batches: u64,
        text: &Text,
        rates: Rates,
    ) -> Result<Measurement> {
        let counted = text.batches(settings.batch_size)?;
        let steps = settings.warmup + batches;
        if steps > counted.len() as u64 {
            bail!(
                "the corpus has {} batches of {} pairs, and {steps} are to be trained on: give a longer corpus, or a \
                 smaller number to --batches or --batch-size",
                counted.len(),
                settings.batch_size
            );
        }
        let config = self.write_config(settings, steps, text)?;
        let log = RunLog::read(&self.train(settings, &config)?)?;
        summarise(settings, batches, &counted, &log, rates)
    }

    /// Trains for so many steps and keeps the system, to score with it.
    pub(super) fn train_for_scoring(&self, settings: &Settings, steps: u64, text: &Text) -> Result<PathBuf> {
        let validation = text.beginning(VALIDATION_PAIRS, &self.folder, "valid")?;
        let mut config = settings.config(steps, text, &validation);
        config["trainer"]["checkpoint"]["save_top_k"] = 1.into();
        let file = self.folder.join("config.json");
        fs::write(&file, serde_json::to_string_pretty(&config)?)
            .with_context(|| format!("cannot write {}: make room or rights there", file.display()))?;
        self.train(settings, &file)?;
        let saved = self.folder.join("run/checkpoints");
        let entries = fs::read_dir(&saved).with_context(|| format!("cannot read {}", saved.display()))?;
        let mut systems = entries.flatten().map(|entry| entry.path());
        systems
            .find(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
            .with_context(|| format!("training has left no system in {}", saved.display()))
    }

    fn write_config(&self, settings: &Settings, steps: u64, text: &Text) -> Result<PathBuf> {
        let validation = text.beginning(VALIDATION_PAIRS, &self.folder, "valid")?;
        let file = self.folder.join("config.json");
        let config = serde_json::to_string_pretty(&settings.config(steps, text, &validation))?;
        fs::write(&file, config)
            .with_context(|| format!("cannot write {}: make room or rights there", file.display()))?;
        Ok(file)
    }

    /// Runs the program; what it says on standard error.
    fn train(&self, settings: &Settings, config: &Path) -> Result<String> {
        let run_folder = self.folder.join("run");
        if run_folder.exists() {
            fs::remove_dir_all(&run_folder).with_context(|| {
                format!("cannot remove the earlier run {}: remove it yourself", run_folder.display())
            })?;
        }
        let mut command = self.workspace.command(&self.file);
        command.arg("train").arg(config).arg("--output-dir").arg(&run_folder);
        command.args(["--threads", &settings.threads.to_string(), "--color", "never"]);
        if settings.plain {
            command.env("KIWI_OPERATIONS", "plain");
        } else {
            command.env_remove("KIWI_OPERATIONS");
        }
        let line = display(&command);
        eprintln!("$ {line}");
        let output = command.output().with_context(|| format!("cannot run `{line}`"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            eprint!("{said}");
            bail!("`{line}` failed: {}; what it says is above", output.status);
        }
        Ok(said)
    }
}

/// Figures over the steps after the warm-up. `counted` are the batches of the corpus in its own order.
fn summarise(
    settings: &Settings,
    batches: u64,
    counted: &[Extent],
    log: &RunLog,
    rates: Rates,
) -> Result<Measurement> {
    let corpus = Extent::sum(counted);
    if corpus != log.corpus {
        bail!(
            "the corpus has {corpus}, but the program read {}: give a corpus of which it reads every pair",
            log.corpus
        );
    }
    let steps = settings.warmup + batches;
    if log.steps.len() as u64 != steps {
        bail!(
            "the log tells of {} steps, expected {steps}: run the program by hand and look",
            log.steps.len()
        );
    }
    let words: Vec<f64> = match settings.order {
        Order::Corpus => counted.iter().map(|batch| batch.target_words as f64).collect(),
        // Which pairs a batch has is the program's affair.
        Order::Bucketed => log.steps.iter().map(StepLine::words).collect(),
    };
    let seconds: Vec<f64> =
        log.steps.iter().zip(&words).map(|(step, words)| words / step.words_per_second).collect();
    let timed = usize::try_from(settings.warmup)?..log.steps.len();
    let (timed_words, timed_seconds) = (&words[timed.clone()], &seconds[timed.clone()]);
    let total_words: f64 = timed_words.iter().sum();
    let total_seconds: f64 = timed_seconds.iter().sum();
    let mean_step_ms = 1000.0 * total_seconds / timed_seconds.len() as f64;

    let places = match settings.order {
        Order::Corpus => mean_places(&Extent::sum(&counted[timed]), batches),
        Order::Bucketed => {
            let share = total_words / corpus.target_words as f64;
            let part = |all: u64| (all as f64 * share).round() as u64;
            let timed = Extent {
                pairs: settings.batch_size * batches,
                source_words: part(corpus.source_words),
                target_words: total_words as u64,
            };
            mean_places(&timed, batches)
        }
    };
    let operations = floor::operations(settings, log.target_vocabulary, places);
    let floor_ms = rates.floor_ms(operations, log.parameters);
    let loss_per_word =
        |at: Option<(&StepLine, &f64)>| at.map_or(f64::NAN, |(step, words)| step.loss / words);
    let of_steps = || log.steps.iter().zip(&words);

    Ok(Measurement {
        implementation: "kiwi-host",
        target_tokens_per_second: rounded(total_words / total_seconds, 2),
        mean_step_ms: rounded(mean_step_ms, 3),
        median_step_ms: rounded(1000.0 * median(timed_seconds.iter().copied()).unwrap_or(f64::NAN), 3),
        min_step_ms: rounded(1000.0 * timed_seconds.iter().copied().fold(f64::INFINITY, f64::min), 3),
        peak_rss_mib: log.peak_memory_mib,
        batches,
        warmup: settings.warmup,
        target_tokens: total_words as u64,
        seconds: rounded(total_seconds, 3),
        first_loss_per_token: rounded(loss_per_word(of_steps().next()), 5),
        last_loss_per_token: rounded(loss_per_word(of_steps().next_back()), 5),
        batch_size: settings.batch_size,
        threads: settings.threads,
        device: "cpu",
        precision: settings.precision.name(),
        vocab: Vocabularies { source: log.source_vocabulary, target: log.target_vocabulary },
        parameters: log.parameters,
        order: settings.order.name(),
        plain: settings.plain,
        floor_ms: rounded(floor_ms, 3),
        share_of_floor: rounded(floor_ms / mean_step_ms, 4),
        matrix_gflops: rates.matrix_gflops,
        memory_gb_per_second: rates.memory_gb_per_second,
        gflop_per_step: rounded(operations / 1e9, 3),
    })
}

/// What a batch has on average: two special tokens come to each sentence.
fn mean_places(timed: &Extent, batches: u64) -> Places {
    let mean = |count: u64| count as f64 / batches as f64;
    Places {
        source: mean(timed.source_words + 2 * timed.pairs),
        target: mean(timed.target_words + 2 * timed.pairs),
        words: mean(timed.target_words),
    }
}

impl Measurement {
    /// The figures that are compared.
    pub(super) fn speed(&self) -> Speed {
        Speed { words_per_second: self.target_tokens_per_second, memory_mib: self.peak_rss_mib }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::settings;

    fn step(words: f64, loss_per_word: f64, words_per_second: f64) -> StepLine {
        StepLine { loss: words * loss_per_word, perplexity: loss_per_word.exp(), words_per_second }
    }

    /// Three batches of 30, 40 and 50 target words, the first two trained on.
    fn example() -> (Vec<Extent>, RunLog) {
        let batch = |words: u64| Extent { pairs: 4, source_words: words + 2, target_words: words };
        let counted = vec![batch(30), batch(40), batch(50)];
        let log = RunLog {
            source_vocabulary: 25,
            target_vocabulary: 35,
            corpus: Extent { pairs: 12, source_words: 126, target_words: 120 },
            parameters: 1_000_000,
            steps: vec![step(30.0, 3.0, 10.0), step(40.0, 2.0, 80.0)],
            peak_memory_mib: 100.0,
        };
        (counted, log)
    }

    const RATES: Rates = Rates { matrix_gflops: 100.0, memory_gb_per_second: 28.0 };

    #[test]
    fn the_warm_up_is_left_out_of_all_but_the_first_loss() {
        let (counted, log) = example();
        let settings = settings(&["--warmup=1", "--batch-size=4"]);
        let measured = summarise(&settings, 1, &counted, &log, RATES).unwrap();
        assert_eq!(measured.target_tokens_per_second, 80.0);
        assert_eq!(
            (measured.mean_step_ms, measured.median_step_ms, measured.min_step_ms),
            (500.0, 500.0, 500.0)
        );
        assert_eq!((measured.target_tokens, measured.seconds), (40, 0.5));
        assert_eq!((measured.first_loss_per_token, measured.last_loss_per_token), (3.0, 2.0));
        let places = Places { source: 50.0, target: 48.0, words: 40.0 };
        let operations = floor::operations(&settings, 35, places);
        assert_eq!(measured.gflop_per_step, rounded(operations / 1e9, 3));
        assert_eq!(measured.floor_ms, rounded(operations / 1e8 + 1.0, 3));
        assert_eq!(measured.share_of_floor, rounded((operations / 1e8 + 1.0) / 500.0, 4));
    }

    #[test]
    fn the_words_of_bucketed_batches_are_those_of_the_log() {
        let (counted, mut log) = example();
        log.steps = vec![step(50.0, 3.0, 10.0), step(30.0, 2.0, 60.0)];
        let settings = settings(&["--warmup=1", "--batch-size=4", "--order=bucketed"]);
        let measured = summarise(&settings, 1, &counted, &log, RATES).unwrap();
        assert_eq!((measured.target_tokens, measured.target_tokens_per_second), (30, 60.0));
        assert_eq!(measured.order, "bucketed");
    }

    #[test]
    fn a_corpus_that_was_read_otherwise_is_refused() {
        let (counted, mut log) = example();
        let settings = settings(&["--warmup=1", "--batch-size=4"]);
        assert!(summarise(&settings, 2, &counted, &log, RATES).unwrap_err().to_string().contains("2 steps"));
        log.corpus.pairs -= 1;
        let message = summarise(&settings, 1, &counted, &log, RATES).unwrap_err().to_string();
        assert!(message.contains("every pair"), "{message}");
    }
}

//! Arguments of `score`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use kiwi_core::scoring::{Keep, KeepRule, MAX_LENGTH, ScoreLines, Scoring, Shard};

use super::SystemArguments;

/// Score each pair of a parallel corpus with a saved system, or keep the pairs that are likely enough.
///
/// Prints one line a pair, in the order of the corpus: its words, the negative log-likelihood of each in nats, their sum and
/// the perplexity. A pair's numbers do not depend on the others. The corpus is read as a stream, so that memory does not grow with
/// it, and the first lines come soon.
///
/// With --threshold or --keep-best, pairs are kept instead: their lines are written as they stand in the corpus, byte for byte. What
/// is written to files is complete or not there; a job that was killed or interrupted goes on by --resume and ends in the same bytes.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("corpus").args(["input", "source"]).required(true))]
#[command(group = ArgGroup::new("rule").args(["threshold", "keep_best"]))]
#[command(group = ArgGroup::new("kept").args(["keep_source", "keep_target", "keep"]).multiple(true))]
#[command(group = ArgGroup::new("files").args(["output", "keep_source", "keep_target", "keep"]).multiple(true))]
#[command(after_long_help = "\
Examples:
  kiwi-host score SYSTEM.safetensors --source test.src --target test.tgt > scores.jsonl
  kiwi-host score SYSTEM.safetensors --source test.src --target test.tgt --format human
  kiwi-host score SYSTEM.safetensors --source web.en --target web.de --format tsv -o scores.tsv
  kiwi-host score SYSTEM.safetensors --source web.en --target web.de --threshold 60 \\
      --keep-source clean.en --keep-target clean.de
  kiwi-host score SYSTEM.safetensors --source web.en --target web.de --keep-best 0.8 \\
      --keep-source clean.en --keep-target clean.de -o scores.tsv --format tsv
  xzcat web.tsv.xz | kiwi-host score SYSTEM.safetensors --input - --threshold 60 --keep clean.tsv
  kiwi-host score SYSTEM.safetensors --source web.en --target web.de --shard 3/8 --format tsv -o scores.3.tsv")]
pub(crate) struct ScoreArguments {
    /// Source side of the corpus, one sentence a line; a text file, a pipe, or a file compressed by gzip.
    #[arg(long, value_name = "FILE", requires = "target")]
    source: Option<PathBuf>,
    /// Target side of the corpus, its lines being translations of the source's.
    #[arg(long, value_name = "FILE", requires = "source")]
    target: Option<PathBuf>,
    /// The target as a person corrected it (its post-edits), for a system that was trained on them (`fine_tune`).
    #[arg(long = "pe", value_name = "FILE", conflicts_with = "input")]
    post_edit: Option<PathBuf>,
    /// The corpus as one file of lines `source<TAB>target`, in place of --source and --target; `-` is standard input. What follows a
    /// second tab is not read, and kept with its line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "target", "keep_source", "keep_target"])]
    input: Option<PathBuf>,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    format: ScoreFormat,
    /// Print no words: of each pair its number, `nll`, `tokens` (words that count) and `perplexity`.
    #[arg(long)]
    per_pair: bool,
    /// Write the scores to this file, which must not exist yet. Without it they go to standard output, unless pairs are kept.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep the pairs of at most this perplexity.
    ///
    /// It is exp(nll / tokens), as `score` prints it: over the target words, without the end of the sentence. A pair with a side
    /// without words is never kept, nor one that is too long.
    #[arg(long, value_name = "PERPLEXITY", value_parser = perplexity, requires = "kept", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Keep this share of the pairs that can be scored, those of the lowest perplexity, as 0.8. Reads the corpus twice; 8 bytes of
    /// memory a pair.
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "kept", allow_negative_numbers = true)]
    keep_best: Option<f64>,
    /// Write the source lines of the pairs that are kept to this file, which must not exist yet.
    #[arg(long, value_name = "FILE", requires = "rule")]
    keep_source: Option<PathBuf>,
    /// Write the target lines of the pairs that are kept to this file, which must not exist yet.
    #[arg(long, value_name = "FILE", requires = "rule")]
    keep_target: Option<PathBuf>,
    /// With --input: write the lines of the pairs that are kept to this file, which must not exist yet.
    #[arg(long, value_name = "FILE", requires_all = ["rule", "input"], conflicts_with_all = ["source", "target"])]
    keep: Option<PathBuf>,
    /// Do not score pairs with more words than this on a side: they are counted, and not kept. Where files are written it is 1000
    /// unless given; else without it all pairs are scored, and one that is longer than the system can take is an error.
    #[arg(long, value_name = "WORDS", value_parser = super::at_most(super::PAIRS))]
    max_length: Option<usize>,
    /// Take part I of N of the corpus, from 1, to score it in several places. The parts follow one another: their outputs joined in
    /// order are that of the whole.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Go on with what the same command has begun; begin if there is nothing; do nothing if all is done.
    #[arg(long, requires = "files")]
    resume: bool,
    /// Batches that are computed at the same time on the CPU, each with its share of the threads [default: as many as threads].
    #[arg(long, value_name = "N", value_parser = super::at_most(super::THREADS))]
    workers: Option<usize>,
    #[command(flatten)]
    pub(crate) system: SystemArguments,
}

/// How scores are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ScoreFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Number of the pair, perplexity, nll and tokens, separated by tabs.
    Tsv,
    /// For people.
    Human,
}

/// What `score` is asked.
pub(crate) struct Asked {
    pub(crate) system: SystemArguments,
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) post_edit: Option<PathBuf>,
    pub(crate) scoring: Scoring,
}

impl ScoreArguments {
    /// As a request says it.
    pub(crate) fn asked(self) -> Asked {
        let lines = match (self.format, self.per_pair) {
            (ScoreFormat::Json, false) => ScoreLines::Words,
            (ScoreFormat::Json, true) => ScoreLines::Pairs,
            (ScoreFormat::Tsv, _) => ScoreLines::Table,
            (ScoreFormat::Human, _) => ScoreLines::People,
        };
        let rule = self.threshold.map(KeepRule::Threshold).or(self.keep_best.map(KeepRule::Best));
        let keep = rule.map(|rule| Keep {
            rule,
            source: self.keep_source,
            target: self.keep_target,
            lines: self.keep,
        });
        Asked {
            system: self.system,
            source: self.source.unwrap_or_default(),
            target: self.target.unwrap_or_default(),
            post_edit: self.post_edit,
            scoring: Scoring {
                input: self.input,
                lines,
                output: self.output,
                keep,
                max_length: self.max_length,
                shard: self.shard,
                workers: self.workers,
                resume: self.resume,
            },
        }
    }
}

fn perplexity(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number.filter(|number| number.is_finite() && *number >= 1.0).ok_or_else(|| {
        "expected a number of at least 1: no perplexity is lower, and a perfect prediction has 1".to_owned()
    })
}

fn share(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| *number > 0.0 && *number <= 1.0)
        .ok_or_else(|| "expected a share over 0 and up to 1, as 0.8 for four of five pairs".to_owned())
}

// The help says the number.
const _: () = assert!(MAX_LENGTH == 1000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for wrong in ["0", "-1", "0.99", "NaN", "inf", "sixty", ""] {
            assert!(perplexity(wrong).is_err(), "{wrong}");
        }
        assert_eq!(perplexity("1"), Ok(1.0));
        for wrong in ["0", "-0.5", "1.01", "NaN", "inf", "80%", ""] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("1"), Ok(1.0));
    }
}

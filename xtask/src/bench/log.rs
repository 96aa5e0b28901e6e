//! What `kiwi-host train` says on standard error, as figures.

use anyhow::{Context, Result, bail};

use super::text::Extent;

/// What is needed of a run's log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunLog {
    /// Entries of the source vocabulary, special tokens among them.
    pub(super) source_vocabulary: u64,
    /// Entries of the target vocabulary, special tokens among them.
    pub(super) target_vocabulary: u64,
    /// The training corpus.
    pub(super) corpus: Extent,
    /// How many numbers are trained.
    pub(super) parameters: u64,
    /// The optimizer steps, in order.
    pub(super) steps: Vec<StepLine>,
    /// The most memory that the program had resident, in mebibytes.
    pub(super) peak_memory_mib: f64,
}

/// What the log says of one optimizer step, which is over one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StepLine {
    /// Loss summed over the batch, in nats.
    pub(super) loss: f64,
    /// Perplexity of the batch's target words.
    pub(super) perplexity: f64,
    /// Target words of the batch over the seconds that the step took.
    pub(super) words_per_second: f64,
}

impl StepLine {
    /// Reads `epoch 0 step 42: loss 2403.5, target_PERP 356.54, …, learning rate 0.001, 1876 words/s`.
    fn read(line: &str) -> Option<Self> {
        let (epoch, rest) = line.strip_prefix("epoch ")?.split_once(" step ")?;
        let (step, rest) = rest.split_once(": ")?;
        epoch.parse::<u64>().ok()?;
        step.parse::<u64>().ok()?;
        Some(Self {
            loss: after(rest, "loss ")?,
            perplexity: after(rest, "target_PERP ")?,
            words_per_second: before(rest, " words/s")?,
        })
    }

    /// Target words of the batch, by its loss and perplexity: the perplexity is that of the mean loss. Both have five
    /// significant digits in the log, which is exact for up to some thousand words.
    pub(super) fn words(&self) -> f64 {
        (self.loss / self.perplexity.ln()).round()
    }
}

impl RunLog {
    /// Reads the lines of a run that ended well.
    pub(super) fn read(text: &str) -> Result<Self> {
        let entries = |name: &str| {
            line(text, name).and_then(|line| before(line, " entries")).with_context(|| unsaid(name))
        };
        let corpus = line(text, "training corpus: ").with_context(|| unsaid("training corpus"))?;
        let counted = |noun: &str| before(corpus, noun).with_context(|| unsaid("training corpus"));
        let finished = line(text, "finished: ").with_context(|| unsaid("finished"))?;
        let steps: Vec<StepLine> = text.lines().filter_map(StepLine::read).collect();
        if let Some(step) = steps.iter().find(|step| step.words_per_second <= 0.0) {
            bail!("a step has {} words/s in the log: give a larger --batch-size", step.words_per_second);
        }
        Ok(Self {
            source_vocabulary: whole(entries("source vocabulary: ")?),
            target_vocabulary: whole(entries("target vocabulary: ")?),
            corpus: Extent {
                pairs: whole(counted(" pair")?),
                source_words: whole(counted(" source word")?),
                target_words: whole(counted(" target word")?),
            },
            parameters: text
                .lines()
                .find(|line| line.contains(" to train, "))
                .and_then(|line| before(line, " parameter"))
                .map(whole)
                .with_context(|| unsaid("parameters to train"))?,
            steps,
            peak_memory_mib: before(finished, " MiB of memory").with_context(|| unsaid("MiB of memory"))?,
        })
    }
}

fn unsaid(what: &str) -> String {
    let what = what.trim_end_matches([' ', ':']);
    format!(
        "the log of `kiwi-host train` does not say `{what}`: xtask/src/bench/log.rs must be told how it is said now"
    )
}

/// The rest of the first line that begins so.
fn line<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(beginning))
}

/// The number that stands after a mark.
fn after(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.1.split([',', ' ']).next()?.parse().ok()
}

/// The number that stands before a mark.
fn before(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.0.rsplit(' ').next()?.parse().ok()
}

/// A count that was read as a number.
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
source vocabulary: 708 entries (5 special tokens, 703 of 703 types); 0.00 % of 2592 running words become <unk>
target vocabulary: 742 entries (5 special tokens, 737 of 737 types); 0.00 % of 2591 running words become <unk>
training corpus: 200 pairs, 2592 source words (0.00 % <unk>), 2591 target words (0.00 % <unk>), 7 batches
validation corpus: 32 pairs, 400 source words (0.00 % <unk>), 401 target words (0.00 % <unk>), 1 batch
encoder PredictorEncoder of plugin kiwi-encoders 0.1.0 (libkiwi_encoders.so)
38417 parameters to train, 0 frozen; device cpu, 1 thread
1 epoch of 7 batches, 7 optimizer steps each: 2 steps in all; a validation every 7 batches
epoch 0 step 1: loss 2560.6, target_PERP 844.20, target_ExpErr 0.99869, target_CORRECT 0, learning rate 0.001, 47257 words/s
epoch 0 step 2: loss 2956.7, target_PERP 816.14, target_ExpErr 0.99869, target_CORRECT 0.0022676, learning rate 0.001, 58559 words/s
epoch 0 validation at step 2: val_loss 2458.8, val_target_PERP 767.27, val_target_ExpErr 0.99865, best so far
epoch 0 done at step 2: loss 2758.6, target_PERP 829.00, target_ExpErr 0.99869, learning rate 0.001, 52000 words/s
finished: trainer.max_steps is reached; 1 epoch, 2 optimizer steps in 0.1 s, 54241 target words/s, at most 151 MiB of memory; of the time: waiting for batches 0.3 %, forward 30.1 %, backward 40.2 %, optimizer 9.9 %, validation 10.0 %, saving 2.0 %
no system was saved in out
";

    #[test]
    fn figures_are_read_from_the_lines() {
        let log = RunLog::read(LOG).unwrap();
        let step = |loss, perplexity, words_per_second| StepLine { loss, perplexity, words_per_second };
        assert_eq!(
            log,
            RunLog {
                source_vocabulary: 708,
                target_vocabulary: 742,
                corpus: Extent { pairs: 200, source_words: 2592, target_words: 2591 },
                parameters: 38417,
                steps: vec![step(2560.6, 844.20, 47257.0), step(2956.7, 816.14, 58559.0)],
                peak_memory_mib: 151.0,
            }
        );
        let words: Vec<f64> = log.steps.iter().map(StepLine::words).collect();
        assert_eq!(words, [380.0, 441.0]);
    }

    #[test]
    fn what_the_log_does_not_say_is_named() {
        for missing in ["target vocabulary", "training corpus", "to train", "finished", "MiB of memory"] {
            let text: String =
                LOG.lines().filter(|line| !line.contains(missing)).map(|l| format!("{l}\n")).collect();
            let message = RunLog::read(&text).unwrap_err().to_string();
            assert!(message.contains("does not say"), "{missing}: {message}");
        }
    }

    #[test]
    fn a_step_that_took_for_ever_is_refused() {
        let message = RunLog::read(&LOG.replace("58559 words/s", "0 words/s")).unwrap_err().to_string();
        assert!(message.contains("--batch-size"), "{message}");
    }
}

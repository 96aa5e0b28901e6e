//! What to train by, decided from what a corpus is like. Each choice is kept with its reason, which names the figure it was made of.

use kiwi_core::diagnostic::Failure;
use kiwi_text::{Field, FitStatistics};

use super::model::Model;
use super::sizes::{budget, largest_vocabulary, learning_rate, name, size, wanted_steps};
use super::survey::{self, Survey};
use super::{Device, Task};
use crate::arguments::SizeArgument;

/// The seed of the config, by which the split is drawn.
pub(super) const SEED: u64 = 42;
/// Where a limit on lengths is set, this share of the pairs is within it.
const WITHIN: f64 = 0.995;
/// Optimizer steps an epoch should have at least, so that there is something to learn from one validation to the next.
const STEPS_AN_EPOCH: u64 = 20;
/// Optimizer steps between validations, at most.
const STEPS_TO_VALIDATION: u64 = 2_000;
/// Running words under which every type is kept.
const FEW_WORDS: u64 = 5_000;
/// Validations without improvement that end the run.
pub(super) const PATIENCE: u64 = 5;
/// Steps under which a schedule of the learning rate is not worth it.
const STEPS_FOR_SCHEDULE: u64 = 1_000;

/// All that is chosen.
#[derive(Debug)]
pub(super) struct Choices {
    pub(super) size: SizeArgument,
    pub(super) model: Model,
    pub(super) device: Device,
    /// Share of the pairs that is trained on, where the rest is for validation.
    pub(super) split: Option<f64>,
    /// Most words of a sentence.
    pub(super) max_length: Option<usize>,
    pub(super) min_frequency: u64,
    pub(super) max_size: [Option<usize>; 2],
    pub(super) vocabularies: [FitStatistics; 2],
    /// Tokens in a batch.
    pub(super) tokens: u64,
    pub(super) epochs: u64,
    /// Share of an epoch.
    pub(super) validation: f64,
    pub(super) dropout: f64,
    pub(super) learning_rate: f64,
    /// Whether the rate is warmed up and then falls.
    pub(super) schedule: bool,
    /// Pairs that are trained on.
    pub(super) pairs: usize,
    /// Optimizer steps of an epoch, about.
    pub(super) steps: u64,
    /// What was chosen, with the keys of the config, and why.
    pub(super) reasons: Vec<Reason>,
}

/// A choice.
#[derive(Debug)]
pub(super) struct Reason {
    /// Keys of the config.
    pub(super) keys: &'static str,
    pub(super) value: String,
    pub(super) why: String,
}

impl Choices {
    /// Decides everything.
    ///
    /// # Errors
    /// The corpus has too few pairs to hold any out, or its files were changed meanwhile.
    pub(super) fn new(task: &Task, survey: &Survey, device: Device) -> Result<Self, Failure> {
        let mut reasons = Vec::new();
        let mut say = |keys, value: String, why: String| reasons.push(Reason { keys, value, why });
        let all = survey.train.pairs();
        let (size, why) = size(task.size, all, &device);
        let model = Model::of(size);
        say("system.model", format!("{} model", name(size)), why);
        say(
            "trainer.gpus",
            if device.cuda { "1, the first GPU" } else { "0, the CPU" }.to_owned(),
            device.why.clone(),
        );
        say(
            "trainer.precision",
            if device.cuda { "bf16".to_owned() } else { "32".to_owned() },
            if device.cuda {
                "GPUs compute matrix products in bfloat16 faster, with the range of 32 bits".to_owned()
            } else {
                "on a CPU 16 bits rarely gain anything".to_owned()
            },
        );

        let split = match survey.valid_pairs {
            Some(pairs) => {
                say(
                    "data.valid",
                    "the validation files".to_owned(),
                    format!("they have {}", count(pairs as u64, "pair")),
                );
                None
            }
            None => {
                let held_out = held_out(all);
                let share = share(all, held_out);
                say(
                    "data.split",
                    share.to_string(),
                    format!(
                        "no validation files were given: about {} of the {} are held out, drawn by the seed; files of their own, from \
                         the kind of text that matters to you, tell more",
                        count(held_out as u64, "pair"),
                        count(all as u64, "pair")
                    ),
                );
                Some(share)
            }
        };

        let budget = budget(size, device.cuda);
        let max_length = max_length(survey, budget);
        let longest = survey.lengths.longest();
        match max_length {
            Some(limit) => say(
                "data.max_length",
                limit.to_string(),
                format!(
                    "the longest line has {longest} words ({}); {} of {} ({:.2} %) have a side of more than {limit} and are left out",
                    if survey.source.longest >= survey.target.longest {
                        &survey.source.longest_at
                    } else {
                        &survey.target.longest_at
                    },
                    survey.lengths.over(limit),
                    count(all as u64, "pair"),
                    100.0 * survey.lengths.over(limit) as f64 / all as f64
                ),
            ),
            None => say(
                "data.max_length",
                "no limit".to_owned(),
                format!("the longest line has {longest} words, which batches can hold"),
            ),
        }

        let trained = survey.trained(split, SEED, max_length)?;
        let words = survey.source.words.min(survey.target.words);
        let min_frequency = if words < FEW_WORDS { 1 } else { 2 };
        let largest = largest_vocabulary(size);
        let fields = [Field::Source, Field::Target];
        let unlimited = fields.map(|field| survey::fit(&trained, field, min_frequency, None));
        let [source, target] = unlimited;
        let unlimited = [source?, target?];
        let max_size = [0, 1].map(|side| (unlimited[side].kept_types > largest).then_some(largest));
        let mut vocabularies = unlimited;
        for side in 0..2 {
            if max_size[side].is_some() {
                vocabularies[side] = survey::fit(&trained, fields[side], min_frequency, max_size[side])?;
            }
        }
        say(
            "system.data_processing.vocab.min_frequency",
            min_frequency.to_string(),
            match min_frequency {
                1 => format!("a side has only {}: every type is kept", count(words, "word")),
                _ => "a word that occurs once cannot be learned, and becoming <unk> it teaches what to do with unknown words".to_owned(),
            },
        );
        say(
            "system.data_processing.vocab.max_size",
            max_size.map(|size| size.map_or("no limit".to_owned(), |size| size.to_string())).join(", "),
            format!(
                "{} source and {} target types occur at least that often; the {} model takes at most {} a side",
                grouped(unlimited[0].kept_types as u64),
                grouped(unlimited[1].kept_types as u64),
                name(size),
                grouped(largest as u64)
            ),
        );

        let within = max_length.unwrap_or(longest);
        // The part of the tokens that a split leaves.
        let tokens_an_epoch = (survey.lengths.tokens(within) as f64 * split.unwrap_or(1.0)).ceil() as u64;
        let smallest = within as u64 + 2;
        let tokens = (tokens_an_epoch / STEPS_AN_EPOCH).max(64).min(budget).max(smallest);
        let steps = tokens_an_epoch.div_ceil(tokens).max(1);
        say(
            "trainer.max_tokens_per_batch",
            tokens.to_string(),
            format!(
                "pairs times the longer side, padding counted: about {} an epoch make {} of it; the longest sentence takes {smallest}",
                count(tokens_an_epoch, "token"),
                count(steps, "step")
            ),
        );
        say(
            "trainer.batch_order",
            "bucketed".to_owned(),
            "sentences of like length together, shuffled anew for each epoch, so that little is padding"
                .to_owned(),
        );

        let wanted = wanted_steps(size);
        let epochs = wanted.div_ceil(steps).clamp(2, 30);
        say(
            "trainer.epochs",
            epochs.to_string(),
            format!(
                "about {} steps suit the {} model, at least 2 epochs and at most 30; early stopping ends the run sooner",
                grouped(wanted),
                name(size)
            ),
        );
        let parts = steps.div_ceil(STEPS_TO_VALIDATION).min(50);
        let validation = (1e4 / parts as f64).floor() / 1e4;
        say(
            "trainer.checkpoint.validation_steps",
            format!("{validation:?}"),
            match parts {
                1 => format!("once an epoch, every {} or so", count(steps, "step")),
                _ => format!("{parts} times an epoch, every {} or so", count(steps / parts, "step")),
            },
        );
        say(
            "trainer.checkpoint.early_stop_patience",
            PATIENCE.to_string(),
            "so many validations in a row without improvement end the run; the best system is kept in any case".to_owned(),
        );

        let schedule = steps * epochs >= STEPS_FOR_SCHEDULE;
        let learning_rate = learning_rate(size);
        say(
            "system.optimizer",
            if schedule {
                format!("adamw, peak rate {learning_rate}")
            } else {
                format!("adam, rate {learning_rate}")
            },
            if schedule {
                format!(
                    "about {} in all: the rate rises over the first 5 % of them, so that early gradients do no harm, and then falls to 0",
                    count(steps * epochs, "step")
                )
            } else {
                format!("about {} in all are too few for a schedule", count(steps * epochs, "step"))
            },
        );
        say(
            "trainer.gradient_max_norm",
            "5.0".to_owned(),
            "LSTMs now and then have a gradient that is far too large".to_owned(),
        );
        let dropout = if trained.pairs() < 200_000 { 0.3 } else { 0.1 };
        say(
            "dropout",
            dropout.to_string(),
            format!(
                "{} for a model of this size: {}",
                if dropout > 0.2 { "little to learn from" } else { "much to learn from" },
                count(trained.pairs() as u64, "training pair")
            ),
        );
        Ok(Self {
            size,
            model,
            device,
            split,
            max_length,
            min_frequency,
            max_size,
            vocabularies,
            tokens,
            epochs,
            validation,
            dropout,
            learning_rate,
            schedule,
            pairs: trained.pairs(),
            steps,
            reasons,
        })
    }

    /// Parameters of the model.
    pub(super) fn parameters(&self) -> u64 {
        let entries = |side: usize| (self.vocabularies[side].kept_types + kiwi_text::SPECIALS.len()) as u64;
        self.model.parameters(entries(0), entries(1))
    }
}

/// Pairs to hold out: one in fifty, at least 200 as long as they are no more than a tenth, at most 3,000, and always one.
fn held_out(pairs: usize) -> usize {
    (pairs / 50).max(200.min(pairs / 10)).clamp(1, 3_000)
}

/// The share of the pairs that leaves so many, in few digits.
fn share(pairs: usize, held_out: usize) -> f64 {
    let share = 1.0 - held_out as f64 / pairs as f64;
    for digits in [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9] {
        let rounded = (share * digits).round() / digits;
        let left = (pairs as f64 * rounded).round();
        let close = (pairs as f64 - left - held_out as f64).abs() <= 0.2 * held_out as f64;
        if close && rounded > 0.0 && rounded < 1.0 {
            return rounded;
        }
    }
    // A single pair: training refuses that as well, and says why.
    share.max(0.5)
}

/// A limit on lengths, where few lines are much longer than the others or a batch could not hold the longest.
fn max_length(survey: &Survey, budget: u64) -> Option<usize> {
    let longest = survey.lengths.longest();
    let usual = survey.lengths.quantile(WITHIN).max(20).next_multiple_of(10);
    let outliers = longest * 2 > usual * 3;
    let beyond = longest as u64 + 2 > budget;
    ((outliers || beyond) && survey.lengths.over(usual) > 0).then_some(usual)
}

/// A number with what it counts.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(number)) }
}

/// A number with its thousands set off.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_leaves_both_parts_a_pair() {
        for pairs in (2..3_000).chain([10_000, 123_457, 1_000_000, 1_000_003, 40_000_000, u32::MAX as usize])
        {
            let wanted = held_out(pairs);
            let share = share(pairs, wanted);
            let training = (pairs as f64 * share).round() as usize;
            assert!(share > 0.0 && share < 1.0 && training > 0 && training < pairs, "{pairs}: {share}");
            let left = pairs - training;
            assert!(left <= wanted + wanted / 5 && left * 5 >= wanted * 4, "{pairs}: {left} for {wanted}");
        }
    }

    #[test]
    fn thousands_are_set_off() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (count(1, "pair"), count(12_000, "pair")),
            ("1 pair".to_owned(), "12,000 pairs".to_owned())
        );
    }
}

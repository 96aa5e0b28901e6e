//! The model to beat: each word's probability is its frequency in the training text, whatever stands around it.
//!
//! Its words are those of the trained system's vocabulary, and it is asked about the same positions: every word of a
//! target sentence once, no beginning and no end of sentence.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kiwi_text::{Field, Limits, ParallelCorpus, ParallelFiles, SPECIALS, Vocabulary};
use serde_json::Value;

/// The limits of the target vocabulary that a config gives in `system.data_processing.vocab`.
pub(super) fn limits_of(config: &Path) -> Result<Limits> {
    let read = || -> Result<Limits> {
        let config: Value = serde_json::from_str(&fs::read_to_string(config)?)?;
        let vocabulary = &config["system"]["data_processing"]["vocab"];
        let number = |name: &str| -> Result<Option<u64>> {
            let value = &vocabulary[name];
            let value = if value.is_object() { &value["target"] } else { value };
            match (value.as_u64(), value.is_null()) {
                (number @ Some(_), _) => Ok(number),
                (None, true) => Ok(None),
                (None, false) => bail!("system.data_processing.vocab.{name} is {value}, expected a number"),
            }
        };
        Ok(Limits {
            min_frequency: number("min_frequency")?.unwrap_or(Limits::default().min_frequency),
            max_size: number("max_size")?.map(usize::try_from).transpose()?,
        })
    };
    read().with_context(|| format!("cannot read {}", config.display()))
}

/// The target vocabulary that training fits on these two files.
pub(super) fn target_vocabulary(source: PathBuf, target: PathBuf, limits: Limits) -> Result<Vocabulary> {
    let files = ParallelFiles { source: vec![source], target: vec![target], post_edit: None };
    let corpus = ParallelCorpus::open(&files)?;
    Ok(Vocabulary::fit(&corpus, &[Field::Target], limits)?.vocabulary)
}

/// Word frequencies with one added to each.
#[derive(Debug)]
pub(super) struct Model<'a> {
    vocabulary: &'a Vocabulary,
    /// By id.
    counts: Vec<u64>,
    total: u64,
}

impl<'a> Model<'a> {
    /// Counts the words of the training text; those that the vocabulary lacks count as the unknown word.
    pub(super) fn fit<'b>(vocabulary: &'a Vocabulary, words: impl Iterator<Item = &'b str>) -> Self {
        let mut model = Self { vocabulary, counts: vec![0; vocabulary.len()], total: 0 };
        for word in words {
            let id = vocabulary.id(word) as usize;
            model.counts[id] += 1;
            model.total += 1;
        }
        model
    }

    /// Words that it distinguishes: the vocabulary's and the unknown one, not the other special tokens.
    pub(super) fn classes(&self) -> usize {
        self.vocabulary.len() - SPECIALS.len() + 1
    }

    /// Perplexity of a text; `None` if that has no words.
    #[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
    pub(super) fn perplexity<'b>(&self, words: impl Iterator<Item = &'b str>) -> Option<f64> {
        let denominator = self.total as f64 + self.classes() as f64;
        let (mut surprise, mut number) = (0.0, 0_u64);
        for word in words {
            let count = self.counts[self.vocabulary.id(word) as usize];
            surprise -= ((count as f64 + 1.0) / denominator).ln();
            number += 1;
        }
        (number > 0).then(|| (surprise / number as f64).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_smoothed_frequencies_that_sum_to_one() {
        let text = "a a a b b c d";
        let folder = tempfile::tempdir().unwrap();
        let files = ["source", "target"].map(|name| folder.path().join(name));
        files.iter().for_each(|file| fs::write(file, format!("{text}\n")).unwrap());
        let limits = Limits { min_frequency: 2, max_size: None };
        let [source, target] = files;
        let vocabulary = target_vocabulary(source, target, limits).unwrap();
        let model = Model::fit(&vocabulary, text.split(' '));
        assert_eq!((model.classes(), model.total), (3, 7));
        let probability = |word: &str| 1.0 / model.perplexity(std::iter::once(word)).unwrap();
        assert!((probability("a") - 0.4).abs() < 1e-12);
        assert!((probability("never seen") - 0.3).abs() < 1e-12);
        assert!((["a", "b", "c"].map(probability).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let of_two = model.perplexity(["a", "b"].into_iter()).unwrap();
        assert!((of_two - (1.0_f64 / (0.4 * 0.3)).sqrt()).abs() < 1e-12);
        assert_eq!(model.perplexity(std::iter::empty()), None);
    }

    #[test]
    fn limits_are_the_configs_for_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let limits = |vocabulary: &str| {
            let text = format!(r#"{{"system": {{"data_processing": {{"vocab": {vocabulary}}}}}}}"#);
            fs::write(&config, text).unwrap();
            limits_of(&config)
        };
        assert_eq!(limits("{}").unwrap(), Limits::default());
        assert_eq!(
            limits(r#"{"min_frequency": {"source": 3, "target": 2}, "max_size": 500}"#).unwrap(),
            Limits { min_frequency: 2, max_size: Some(500) }
        );
        assert!(limits(r#"{"min_frequency": "two"}"#).is_err());
    }
}

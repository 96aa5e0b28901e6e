//! `kiwi-host score SYSTEM`: a JSON line for each pair of a parallel corpus, with the negative log-likelihood of each target word.

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::{Format, SystemRequest};
use kiwi_plugin_api::{HeadOutput, Output};
use kiwi_text::{Batch, Corpus, Field, ParallelCorpus};
use kiwi_tracking::number::Number;
use serde_json::{Value, json};
use tch::Tensor;

use crate::evaluate::{Evaluated, Purpose, open};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::{Report, number};
use crate::training;

/// `kiwi-host score SYSTEM --source F --target F`.
pub(crate) fn score(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    report.until_done(|report| {
        let Evaluated { mut system, corpus, data, mode } = open(request, Purpose::Prediction, report)?;
        if request.format == Format::Human {
            outlet.data(format!("{:>8}  {:>5}  {:>10}  {:>10}  text", "pair", "words", "nll", "perplexity"));
        }
        training::evaluate(&mut system, &data, None, mode, &mut Ranks::alone(), |batch, output| {
            for score in scores(&corpus, batch, output)? {
                outlet.data(match request.format {
                    Format::Json => data_format::line(score.to_json()),
                    Format::Human => score.to_line(),
                });
            }
            Ok(())
        })?;
        report.warnings(system.close());
        Ok(ExitCode::Success)
    })
}

/// The score of a pair.
pub(crate) struct Score {
    /// Its number in the corpus, from 1.
    pub(crate) pair: usize,
    target: Sentence,
    /// Of its post-edit, where the system predicts it.
    post_edit: Option<Sentence>,
}

/// The score of a sentence.
struct Sentence {
    words: Vec<String>,
    /// The negative log-likelihood of each in nats; `None` for a word spelled like a special token, which no loss counts.
    word_nll: Vec<Option<f64>>,
}

impl Sentence {
    /// Sum over the words that count, and the perplexity; no perplexity without words.
    fn totals(&self) -> (f64, Option<f64>) {
        let counted: Vec<f64> = self.word_nll.iter().flatten().copied().collect();
        let sum: f64 = counted.iter().sum();
        (sum, (!counted.is_empty()).then(|| (sum / counted.len() as f64).exp()))
    }

    fn to_json(&self) -> Value {
        let (nll, perplexity) = self.totals();
        let word_nll: Vec<_> = self.word_nll.iter().map(|nll| nll.map(Number)).collect();
        let perplexity = perplexity.map(Number);
        json!({"words": self.words, "word_nll": word_nll, "nll": Number(nll), "perplexity": perplexity})
    }
}

impl Score {
    /// As a JSON object.
    pub(crate) fn to_json(&self) -> Value {
        let mut line = self.target.to_json();
        line["pair"] = self.pair.into();
        if let Some(post_edit) = &self.post_edit {
            line[Field::PostEdit.name()] = post_edit.to_json();
        }
        line
    }

    fn to_line(&self) -> String {
        let (nll, perplexity) = self.target.totals();
        let perplexity = perplexity.map_or_else(|| "none".to_owned(), number);
        let words = &self.target.words;
        let (pair, count, text) = (self.pair, words.len(), words.join(" "));
        format!("{pair:>8}  {count:>5}  {:>10}  {perplexity:>10}  {text}", number(nll))
    }
}

/// The scores of the pairs of a batch.
pub(crate) fn scores(
    corpus: &ParallelCorpus,
    batch: &Batch,
    output: &HeadOutput,
) -> Result<Vec<Score>, Failure> {
    let targets = sentences(corpus, batch, output, Field::Target)?;
    let predicted = output.outputs.iter().any(|output| output.name == Field::PostEdit.name());
    let post_edits: Vec<Option<Sentence>> = if predicted {
        sentences(corpus, batch, output, Field::PostEdit)?.into_iter().map(Some).collect()
    } else {
        batch.pairs.iter().map(|_| None).collect()
    };
    let sentences = targets.into_iter().zip(post_edits);
    let scores = batch.pairs.iter().zip(sentences);
    Ok(scores.map(|(pair, (target, post_edit))| Score { pair: pair + 1, target, post_edit }).collect())
}

/// The scores of one side of each pair.
fn sentences(
    corpus: &ParallelCorpus,
    batch: &Batch,
    output: &HeadOutput,
    field: Field,
) -> Result<Vec<Sentence>, Failure> {
    let Some(sentences) = batch.field(field) else { return Ok(Vec::new()) };
    let width = sentences.width;
    let mut of_words: Vec<Vec<Option<f64>>> =
        sentences.number_of_tokens.iter().map(|words| vec![None; words.unsigned_abs() as usize]).collect();
    let (positions, nll) = figures(output, field)?;
    for (position, nll) in positions.into_iter().zip(nll) {
        let position = usize::try_from(position).unwrap_or(0);
        // Column 0 is `<bos>`.
        let (row, word) = (position / width, (position % width).wrapping_sub(1));
        if let Some(slot) = of_words.get_mut(row).and_then(|words| words.get_mut(word)) {
            *slot = Some(f64::from(nll));
        }
    }
    let mut reader = corpus.side(field).map(Corpus::reader);
    let mut words_of = |pair: usize| -> Result<Vec<String>, kiwi_text::Error> {
        let Some(reader) = &mut reader else { return Ok(Vec::new()) };
        Ok(kiwi_text::words(reader.line(corpus.line(pair))?).map(str::to_owned).collect())
    };
    let pairs = batch.pairs.iter().zip(of_words);
    pairs
        .map(|(pair, word_nll)| {
            let words = words_of(*pair).map_err(|error| crate::data::invalid(&error))?;
            Ok(Sentence { words, word_nll })
        })
        .collect()
}

/// Positions and negative log-likelihoods of the output named like the field.
fn figures(output: &HeadOutput, field: Field) -> Result<(Vec<i64>, Vec<f32>), Failure> {
    let failed = |reason: String| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(
                Code::CannotBeAsked,
                format!("this system's head gives no score a word: {reason}"),
            ),
        )
    };
    let found = output
        .outputs
        .iter()
        .find(|output| output.name == field.name())
        .ok_or_else(|| failed(format!("it has no output `{field}`")))?;
    let tensor =
        |name: &str| -> Result<&Tensor, Failure> { found.tensor(name).map_err(|e| failed(e.to_string())) };
    let positions = Vec::<i64>::try_from(tensor(Output::POSITIONS)?).map_err(|e| failed(e.to_string()))?;
    let nll = Vec::<f32>::try_from(tensor(Output::NLL)?).map_err(|e| failed(e.to_string()))?;
    Ok((positions, nll))
}

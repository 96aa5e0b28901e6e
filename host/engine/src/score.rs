//! `kiwi-host score SYSTEM`: a JSON line for each pair of a parallel corpus, with the negative log-likelihood of each target word.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::SystemRequest;
use kiwi_plugin_api::{HeadOutput, Output};
use kiwi_text::{Batch, Field, ParallelCorpus};
use serde_json::{Value, json};
use tch::Tensor;

use crate::evaluate::{MODE, open};
use crate::outlet::Outlet;
use crate::report::Report;
use crate::training;

/// `kiwi-host score SYSTEM --source F --target F`.
pub(crate) fn score(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    report.until_done(|report| {
        let (mut system, corpus, data) = open(request, report)?;
        training::evaluate(&mut system, &data, None, MODE, |batch, output| {
            for line in lines(&corpus, batch, output)? {
                outlet.data(line.to_string());
            }
            Ok(())
        })?;
        report.warnings(system.close());
        Ok(ExitCode::Success)
    })
}

/// One line a pair: its number from 1, its target words, the negative log-likelihood of each in nats (null for a word spelled like
/// a special token, which no loss counts), their sum, and the perplexity (null without words).
fn lines(corpus: &ParallelCorpus, batch: &Batch, output: &HeadOutput) -> Result<Vec<Value>, Failure> {
    let width = batch.target.width;
    let mut of_words: Vec<Vec<Option<f64>>> =
        batch.target.number_of_tokens.iter().map(|words| vec![None; words.unsigned_abs() as usize]).collect();
    let (positions, nll) = figures(output)?;
    for (position, nll) in positions.into_iter().zip(nll) {
        let position = usize::try_from(position).unwrap_or(0);
        // Column 0 is `<bos>`.
        let (row, word) = (position / width, (position % width).wrapping_sub(1));
        if let Some(slot) = of_words.get_mut(row).and_then(|words| words.get_mut(word)) {
            *slot = Some(f64::from(nll));
        }
    }
    let mut lines = Vec::with_capacity(batch.pairs.len());
    for (pair, word_nll) in batch.pairs.iter().zip(of_words) {
        let words: Vec<&str> = match corpus.side(Field::Target) {
            Some(side) => {
                side.words(corpus.line(*pair)).map_err(|error| crate::data::invalid(&error))?.collect()
            }
            None => Vec::new(),
        };
        let counted: Vec<f64> = word_nll.iter().flatten().copied().collect();
        let sum: f64 = counted.iter().sum();
        let perplexity = (!counted.is_empty()).then(|| (sum / counted.len() as f64).exp());
        lines.push(json!({
            "pair": pair + 1,
            "words": words,
            "word_nll": word_nll,
            "nll": sum,
            "perplexity": perplexity,
        }));
    }
    Ok(lines)
}

/// Positions and negative log-likelihoods of the output `target`.
fn figures(output: &HeadOutput) -> Result<(Vec<i64>, Vec<f32>), Failure> {
    let failed = |reason: String| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(format!("this system's head gives no score a word: {reason}")),
        )
    };
    let target = output
        .outputs
        .iter()
        .find(|output| output.name == Field::Target.name())
        .ok_or_else(|| failed("it has no output `target`".to_owned()))?;
    let tensor =
        |name: &str| -> Result<&Tensor, Failure> { target.tensor(name).map_err(|e| failed(e.to_string())) };
    let positions = Vec::<i64>::try_from(tensor(Output::POSITIONS)?).map_err(|e| failed(e.to_string()))?;
    let nll = Vec::<f32>::try_from(tensor(Output::NLL)?).map_err(|e| failed(e.to_string()))?;
    Ok((positions, nll))
}

//! The figures of one sentence and of one pair, and how they are read from what a head computed.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::{HeadOutput, Output};
use kiwi_text::{Batch, Field};
use tch::Tensor;

/// The figures of a sentence: the negative log-likelihood of each word in nats; `None` for a word spelled like a special token,
/// which no loss counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sentence {
    pub(crate) word_nll: Vec<Option<f32>>,
}

/// What the words of a sentence come to that count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Totals {
    /// Sum of the negative log-likelihoods, in nats.
    pub(crate) nll: f64,
    /// How many words count.
    pub(crate) tokens: usize,
}

impl Totals {
    /// exp(nll / tokens); none without words.
    pub(crate) fn perplexity(self) -> Option<f64> {
        (self.tokens > 0).then(|| (self.nll / self.tokens as f64).exp())
    }
}

impl Sentence {
    pub(crate) fn totals(&self) -> Totals {
        let counted = self.word_nll.iter().flatten();
        Totals { nll: counted.clone().map(|nll| f64::from(*nll)).sum(), tokens: counted.count() }
    }
}

/// The figures of a pair.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub(crate) target: Sentence,
    /// Of its post-edit, where the system predicts it.
    pub(crate) post_edit: Option<Sentence>,
}

/// The figures of the pairs of a batch, row by row. Waits for the device.
///
/// # Errors
/// When the head has no such figures.
pub(crate) fn of_batch(batch: &Batch, output: &HeadOutput) -> Result<Vec<Figures>, Failure> {
    let targets = sentences(batch, output, Field::Target)?;
    let predicted = output.outputs.iter().any(|output| output.name == Field::PostEdit.name());
    let post_edits: Vec<Option<Sentence>> = if predicted {
        sentences(batch, output, Field::PostEdit)?.into_iter().map(Some).collect()
    } else {
        batch.pairs.iter().map(|_| None).collect()
    };
    let rows = targets.into_iter().zip(post_edits);
    Ok(rows.map(|(target, post_edit)| Figures { target, post_edit }).collect())
}

/// The figures of one side of each pair.
fn sentences(batch: &Batch, output: &HeadOutput, field: Field) -> Result<Vec<Sentence>, Failure> {
    let Some(sentences) = batch.field(field) else { return Ok(Vec::new()) };
    let width = sentences.width;
    let mut of_words: Vec<Sentence> = sentences
        .number_of_tokens
        .iter()
        .map(|words| Sentence { word_nll: vec![None; words.unsigned_abs() as usize] })
        .collect();
    let (positions, nll) = numbers(output, field)?;
    for (position, nll) in positions.into_iter().zip(nll) {
        let position = usize::try_from(position).unwrap_or(0);
        // Column 0 is `<bos>`.
        let (row, word) = (position / width, (position % width).wrapping_sub(1));
        if let Some(slot) = of_words.get_mut(row).and_then(|sentence| sentence.word_nll.get_mut(word)) {
            *slot = Some(nll);
        }
    }
    Ok(of_words)
}

/// Positions and negative log-likelihoods of the output named like the field.
fn numbers(output: &HeadOutput, field: Field) -> Result<(Vec<i64>, Vec<f32>), Failure> {
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

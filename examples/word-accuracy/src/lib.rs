//! `WordAccuracy`: the share of a sentence's words that are predicted right, averaged over sentences.
//!
//! `CORRECT` averages over words, so that a few long sentences weigh more than many short ones. Here each sentence weighs the same:
//! the macro-average (Lewis 1991, "Evaluating text categorization") with sentences as classes.

use kiwi_plugin_api::prelude::*;

#[cfg(test)]
mod tests;

register!(metric WordAccuracy);
plugin!();

/// It has no options.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Config {}

/// The metric; larger is better.
///
/// A sentence is told from the next by the positions that the head counts. Between the last word of one and the first of the next
/// lie `<eos>` and `<bos>` at least, so their positions differ by 3 or more, however the batch was padded, and those of neighbours
/// in a sentence by 1, or by 2 around a word that is spelled like a special token and therefore not counted. Sentences without a
/// counted word have no share and do not weigh; one with two such words in a row weighs as two.
pub struct WordAccuracy;

/// Positions that differ by as much belong to different sentences.
const NEXT_SENTENCE: i64 = 3;

impl Component for WordAccuracy {
    type Config = Config;
    const CLASS_NAME: &'static str = "WordAccuracy";
    const SUMMARY: &'static str = "Share of a sentence's words whose most probable class is the gold one, averaged over sentences (max)";
}

impl Metric for WordAccuracy {
    const ORDERING: Ordering = Ordering::Max;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    /// The sum of the sentences' shares, and their number. Everything stays on the device, and nothing waits for it.
    fn contribution(&self, output: &Output) -> Result<Tensor> {
        let positions = output.tensor(Output::POSITIONS)?;
        let correct = output.tensor(Output::CORRECT)?.f_to_kind(Kind::Double)?;
        let words = positions.numel() as i64;
        if words == 0 {
            return Ok(Tensor::f_zeros([2], (Kind::Double, correct.device()))?);
        }
        let steps = positions.f_narrow(0, 1, words - 1)?.f_sub(&positions.f_narrow(0, 0, words - 1)?)?;
        let begins = steps.f_ge(NEXT_SENTENCE)?.f_to_kind(Kind::Int64)?.f_constant_pad_nd([1, 0])?;
        let sentence = begins.f_cumsum(0, Kind::Int64)?;
        // There are no more sentences than words, and how many there are only the device knows: the rest stays empty.
        let sum = |values: &Tensor| correct.f_zeros_like()?.f_index_add(0, &sentence, values);
        let of_words = sum(&correct.f_ones_like()?)?;
        let shares = sum(&correct)?.f_div(&of_words.f_clamp_min(1.0)?)?;
        let sentences = of_words.f_gt(0.0)?.f_sum(Kind::Double)?;
        Ok(Tensor::f_stack(&[shares.f_sum(Kind::Double)?, sentences], 0)?)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        match total {
            [shares, sentences] if *sentences > 0.0 => Some(shares / sentences),
            _ => None,
        }
    }
}

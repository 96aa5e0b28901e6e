//! The floor under the time of a step: what the model's matrix products and Adam's memory would take if the machine did nothing
//! else and did that at the best rates it reaches.
//!
//! Only real positions are counted, no padding; of the operations only matrix products, which are nearly all.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::settings::{Precision, Settings};
use crate::workspace::{Workspace, output};

/// Backward takes two products of the size of each in forward, so that there are three in all, and each multiplication comes
/// with an addition.
const OPERATIONS_PER_MULTIPLICATION: f64 = 3.0 * 2.0;

/// Bytes of a parameter that Adam reads and writes: the value, the gradient and two means are read, all but the gradient
/// written, four bytes each.
const BYTES_PER_PARAMETER: f64 = 28.0;

/// What a batch has on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Places {
    /// Places of the source: its words, and two special tokens a sentence.
    pub(super) source: f64,
    /// Places of the target: its words, and two special tokens a sentence.
    pub(super) target: f64,
    /// Words of the target, each of which is predicted.
    pub(super) words: f64,
}

/// Floating-point operations of the matrix products of a step, forward and backward. `vocabulary` is the number of entries of
/// the target's.
pub(super) fn operations(settings: &Settings, vocabulary: u64, places: Places) -> f64 {
    let Places { source, target, words } = places;
    let hidden = settings.hidden_size as f64;
    let embeddings = settings.embeddings_dim as f64;
    let out_embeddings = settings.out_embeddings_dim as f64;
    let further_layers = settings.rnn_layers.saturating_sub(1) as f64;
    let (gates, both_ways) = (4.0 * hidden, 2.0 * hidden);

    let source_lstm = source * 2.0 * gates * (embeddings + hidden)
        + further_layers * source * 2.0 * gates * (both_ways + hidden);
    let target_lstms = 2.0 * target * gates * ((embeddings + hidden) + further_layers * (hidden + hidden));
    let attention = (words + source) * both_ways * both_ways;
    let deep_output = words * (both_ways + 2.0 * embeddings + both_ways) * (2.0 * out_embeddings)
        + words * out_embeddings * out_embeddings;
    let logits = words * out_embeddings * vocabulary as f64;
    OPERATIONS_PER_MULTIPLICATION * (source_lstm + target_lstms + attention + deep_output + logits)
}

/// What the machine reaches at most with so many threads.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Rates {
    /// Floating-point operations of matrix products, in 10⁹ a second.
    pub(super) matrix_gflops: f64,
    /// Memory that a step of Adam goes through, in 10⁹ bytes a second.
    pub(super) memory_gb_per_second: f64,
}

impl Rates {
    /// Measures them, which takes some seconds.
    pub(super) fn measure(workspace: &Workspace, threads: u64, precision: Precision) -> Result<Self> {
        let mut command =
            workspace.cargo(&["run", "--release", "--quiet", "--package", "kiwi-torch-ext", "--example"]);
        command.args(["machine_rates", "--", &threads.to_string(), precision.name()]);
        let printed = output(&mut command)?;
        serde_json::from_str(&printed).with_context(|| {
            format!("the example machine_rates must print one object of JSON, not: {printed}")
        })
    }

    /// The shortest time of a step, in milliseconds.
    pub(super) fn floor_ms(&self, operations: f64, parameters: u64) -> f64 {
        let products = operations / (self.matrix_gflops * 1e9);
        let memory = BYTES_PER_PARAMETER * parameters as f64 / (self.memory_gb_per_second * 1e9);
        1000.0 * (products + memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::settings;

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} for {expected}");
    }

    #[test]
    fn a_batch_of_image_captions_takes_44_gflop() {
        let places = Places { source: 480.0, target: 473.0, words: 408.0 };
        let operations = operations(&settings(&[]), 18_727, places);
        // By hand, in millions of multiplications: 921.6 + 1843.2 source, 908.16 + 1210.88 target, 568.32 attention,
        // 326.4 + 16.32 deep output, 1528.1232 logits.
        close(operations, 6.0 * 7_323.003_2e6);
    }

    #[test]
    fn one_layer_has_no_further_ones() {
        let settings =
            settings(&["--hidden-size=1", "--rnn-layers=1", "--embeddings-dim=1", "--out-embeddings-dim=1"]);
        let places = Places { source: 1.0, target: 1.0, words: 1.0 };
        // 16 source, 16 target, 8 attention, 12 + 1 deep output, 10 logits.
        close(operations(&settings, 10, places), 6.0 * 63.0);
    }

    #[test]
    fn the_floor_is_products_and_memory_one_after_the_other() {
        let rates = Rates { matrix_gflops: 330.0, memory_gb_per_second: 28.0 };
        close(rates.floor_ms(33e9, 20_000_000), 100.0 + 20.0);
    }
}

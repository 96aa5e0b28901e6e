//! The model of each size, and how many parameters it has: those of the built-in `Predictor`.

use crate::arguments::SizeArgument;

/// Sizes of a `Predictor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    /// Size of each LSTM's hidden state, a direction.
    pub(super) hidden: u64,
    pub(super) layers: u64,
    /// Size of a word's embedding, on either side and in the output table.
    pub(super) embedding: u64,
}

impl Model {
    pub(super) const fn of(size: SizeArgument) -> Self {
        match size {
            SizeArgument::Small => Self { hidden: 128, layers: 1, embedding: 128 },
            SizeArgument::Base => Self { hidden: 400, layers: 2, embedding: 256 },
            SizeArgument::Large => Self { hidden: 800, layers: 3, embedding: 512 },
        }
    }

    /// Parameters, all of which train; entries of the vocabularies include the special tokens.
    pub(super) const fn parameters(self, source_entries: u64, target_entries: u64) -> u64 {
        let Self { hidden: h, embedding: e, .. } = self;
        let tables = (source_entries + 2 * target_entries) * e;
        let lstms = self.lstm(2) + 2 * self.lstm(1);
        // W1 [2h, 4h] and w2 [1, 2h] with their biases.
        let attention = 2 * h * 4 * h + 2 * h + 2 * h + 1;
        let mixing = 2 * h * 2 * e + 2 * e * 2 * e + 2 * h * 2 * e + e * e + 2 * e;
        tables + lstms + attention + mixing
    }

    /// An LSTM over embeddings: for each layer and direction two matrices of four gates and two biases.
    const fn lstm(self, directions: u64) -> u64 {
        let h = self.hidden;
        let first = directions * (4 * h * self.embedding + 4 * h * h + 8 * h);
        let others = directions * (4 * h * directions * h + 4 * h * h + 8 * h);
        first + (self.layers - 1) * others
    }

    /// Bytes of parameters, gradients and the two averages of Adam, 32 bits each.
    pub(super) const fn parameter_bytes(parameters: u64) -> u64 {
        parameters * 4 * 4
    }

    /// Bytes, by rough estimate, of what a batch of `tokens` keeps for its backward pass: gates and states of the four LSTM
    /// directions of each layer, and what attention and output mix, 32 bits each.
    pub(super) const fn activation_bytes(self, tokens: u64) -> u64 {
        let Self { hidden: h, embedding: e, layers } = self;
        tokens * 4 * (layers * 4 * 8 * h + 12 * h + 12 * e)
    }
}

//! Options under `system.model.encoder`.

use kiwi_plugin_api::prelude::*;

/// Options of `ExpertEncoder`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Size H of embeddings, of what goes from layer to layer, and of the rows of the output table.
    pub(crate) hidden_size: i64,
    /// Heads of each attention; they divide the hidden size among them.
    pub(crate) attention_heads: i64,
    /// Layers over the source.
    pub(crate) source_layers: i64,
    /// Layers over the target, from the left and as many from the right.
    pub(crate) target_layers: i64,
    /// Size of the inner layer of each feed-forward network.
    pub(crate) feed_forward_size: i64,
    /// Dropout on embedded words and on what each attention and feed-forward network adds, in [0, 1).
    pub(crate) dropout: f64,
    /// Dropout on the weights of attention, in [0, 1). Above 0, a CPU does without fused attention.
    pub(crate) attention_dropout: f64,
    /// How positions are told.
    pub(crate) positions: Positions,
    /// Longest sentence, `<bos>` and `<eos>` counted: two more than words.
    pub(crate) max_positions: i64,
    /// Use the target's input table as output table too.
    pub(crate) share_embeddings: bool,
}

/// How positions are told to attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Positions {
    /// Sines and cosines of falling frequencies (Vaswani et al. 2017).
    Sinusoidal,
    /// A table that trains, with a row a position.
    Learned,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 256,
            attention_heads: 4,
            source_layers: 2,
            target_layers: 2,
            feed_forward_size: 1024,
            dropout: 0.1,
            attention_dropout: 0.0,
            positions: Positions::Sinusoidal,
            max_positions: 512,
            share_embeddings: false,
        }
    }
}

impl Config {
    /// Positions limit the length of a sentence in every field that is read.
    pub(crate) fn needs(&self) -> EncoderNeeds {
        let limited = |needs: EncoderNeeds, field| needs.longest(field, self.max_positions, "max_positions");
        ["source", "target", "pe"].into_iter().fold(EncoderNeeds::default(), limited)
    }

    /// Everything that types alone do not say. The bounds are beyond any model, and keep products of sizes within 64 bits.
    pub(crate) fn check(&self, report: &mut ConfigReport) {
        let mut size = |path: &str, size: i64, largest: i64| {
            let expected = format!("an integer from 1 to {largest}");
            report.require((1..=largest).contains(&size), path, size, &expected);
        };
        size("hidden_size", self.hidden_size, 1_000_000);
        size("attention_heads", self.attention_heads, 1_000_000);
        size("source_layers", self.source_layers, 1000);
        size("target_layers", self.target_layers, 1000);
        size("feed_forward_size", self.feed_forward_size, 1_000_000);
        size("max_positions", self.max_positions, 1_000_000);
        for (path, share) in [("dropout", self.dropout), ("attention_dropout", self.attention_dropout)] {
            let expected = "a number of at least 0 and below 1";
            report.require((0.0..1.0).contains(&share), path, share, expected);
        }
        if self.attention_heads > 0 && self.hidden_size > 0 && self.hidden_size % self.attention_heads != 0 {
            report.refuse(
                "attention_heads",
                "the heads cannot divide the hidden size among them",
                self.attention_heads,
                &format!("a divisor of hidden_size, which is {}", self.hidden_size),
                Some(&format!("set attention_heads to {}, or change hidden_size", self.nearest_divisor())),
            );
        }
    }

    /// The largest number of heads up to the given one that divides the hidden size.
    fn nearest_divisor(&self) -> i64 {
        let most = self.attention_heads.min(self.hidden_size);
        (1..=most).rev().find(|heads| self.hidden_size % heads == 0).unwrap_or(1)
    }
}

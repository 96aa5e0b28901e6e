//! What is measured: the model, how it is trained, and for how many batches. The names and defaults are the PyTorch peer's.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::text::{Side, Text};

/// A model and a way to train it.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub(crate) struct Settings {
    /// Batches, one optimizer step each, that are trained on first and not timed.
    #[arg(long, value_name = "BATCHES", default_value_t = 2)]
    pub(super) warmup: u64,
    /// Pairs of sentences in a batch.
    #[arg(long, value_name = "PAIRS", default_value_t = 32, value_parser = crate::bench::at_least_one)]
    pub(super) batch_size: u64,
    /// Threads for the operators.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = crate::bench::at_least_one)]
    pub(super) threads: u64,
    /// Size of each LSTM's hidden state, a direction.
    #[arg(long, value_name = "SIZE", default_value_t = 400, value_parser = crate::bench::at_least_one)]
    pub(super) hidden_size: u64,
    /// Layers of each LSTM.
    #[arg(long, value_name = "LAYERS", default_value_t = 2, value_parser = crate::bench::at_least_one)]
    pub(super) rnn_layers: u64,
    /// Size of the rows of both input tables.
    #[arg(long, value_name = "SIZE", default_value_t = 200, value_parser = crate::bench::at_least_one)]
    pub(super) embeddings_dim: u64,
    /// Size of the rows of the output table.
    #[arg(long, value_name = "SIZE", default_value_t = 200, value_parser = crate::bench::at_least_one)]
    pub(super) out_embeddings_dim: u64,
    /// Dropout between LSTM layers, in [0, 1).
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub(super) dropout: f64,
    /// Most types in each vocabulary, special tokens not counted.
    #[arg(long, value_name = "TYPES", default_value_t = 60_000, value_parser = crate::bench::at_least_one)]
    pub(super) max_size: u64,
    /// Learning rate of Adam.
    #[arg(long, value_name = "RATE", default_value_t = 0.001)]
    pub(super) learning_rate: f64,
    /// Seed of everything random.
    #[arg(long, value_name = "SEED", default_value_t = 42)]
    pub(super) seed: u64,
    /// Order of the pairs; the peer has the corpus' order in any case.
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = Order::Corpus)]
    pub(super) order: Order,
    /// Precision of the operators, which parameters do not share: they are 32-bit.
    #[arg(long, value_enum, value_name = "PRECISION", default_value_t = Precision::Single)]
    pub(super) precision: Precision,
    /// libtorch's own operations in place of the fused ones.
    #[arg(long)]
    pub(super) plain: bool,
}

/// Order of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    /// As the pairs stand in the files.
    Corpus,
    /// Shuffled, pairs of like length together.
    Bucketed,
}

impl Order {
    /// As command line and config spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Bucketed => "bucketed",
        }
    }
}

/// Precision of the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Precision {
    /// float32.
    #[value(name = "32")]
    Single,
    /// bfloat16, in operators that can compute in it.
    #[value(name = "bf16")]
    Bfloat16,
}

impl Precision {
    /// As the command line spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "32",
            Self::Bfloat16 => "bf16",
        }
    }

    /// As a config spells it.
    pub(super) fn in_config(self) -> Value {
        match self {
            Self::Single => json!(32),
            Self::Bfloat16 => json!("bf16"),
        }
    }
}

impl Settings {
    /// The config of `kiwi-host train` for a run of so many steps.
    pub(super) fn config(&self, steps: u64, training: &Text, validation: &Text) -> Value {
        let input =
            |text: &Text| json!({"source": text.file(Side::Source), "target": text.file(Side::Target)});
        let table = json!({"dim": self.embeddings_dim});
        json!({
            "run": {"seed": self.seed, "experiment_name": "bench"},
            "trainer": {
                "epochs": 1,
                "max_steps": steps,
                "log_interval": 1,
                "precision": self.precision.in_config(),
                "batch_order": self.order.name(),
                "checkpoint": {"save_top_k": 0},
            },
            "data": {"train": {"input": input(training)}, "valid": {"input": input(validation)}},
            "system": {
                "class_name": "Predictor",
                "model": {"encoder": {
                    "hidden_size": self.hidden_size,
                    "rnn_layers": self.rnn_layers,
                    "dropout": self.dropout,
                    "out_embeddings_dim": self.out_embeddings_dim,
                    "embeddings": {"source": table.clone(), "target": table},
                }},
                "data_processing": {"vocab": {"min_frequency": 1, "max_size": self.max_size}},
                "optimizer": {"class_name": "adam", "learning_rate": self.learning_rate},
                "batch_size": self.batch_size,
            },
        })
    }

    /// The same for the peer, as its command line takes it.
    pub(super) fn peer_arguments(&self) -> Vec<String> {
        let named = [
            ("warmup", self.warmup.to_string()),
            ("batch-size", self.batch_size.to_string()),
            ("threads", self.threads.to_string()),
            ("hidden-size", self.hidden_size.to_string()),
            ("rnn-layers", self.rnn_layers.to_string()),
            ("embeddings-dim", self.embeddings_dim.to_string()),
            ("out-embeddings-dim", self.out_embeddings_dim.to_string()),
            ("dropout", self.dropout.to_string()),
            ("max-size", self.max_size.to_string()),
            ("learning-rate", self.learning_rate.to_string()),
            ("seed", self.seed.to_string()),
            ("precision", self.precision.name().to_owned()),
        ];
        named.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}

//! Options under `system.model.encoder`.

use kiwi_plugin_api::prelude::*;

/// Options of `PredictorEncoder`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "if" = {"properties": {"share_embeddings": {"const": true}}, "required": ["share_embeddings"]},
    "else" = {"properties": {"out_embeddings_dim": {"type": "integer", "minimum": 1, "maximum": 1_000_000}}, "required": ["out_embeddings_dim"]}
))]
pub(crate) struct Config {
    /// Size h of each LSTM's hidden state.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) hidden_size: i64,
    /// Layers L of each LSTM.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) rnn_layers: i64,
    /// Dropout between LSTM layers, in [0, 1); without effect with one layer.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub(crate) dropout: f64,
    /// Use the target's input table as output table too; its size is then that of the target's embeddings.
    pub(crate) share_embeddings: bool,
    /// Size o of the output table's rows. Required unless `share_embeddings` is true, ignored if it is.
    pub(crate) out_embeddings_dim: Option<i64>,
    /// Not implemented: must be false.
    #[schemars(extend("const" = false))]
    pub(crate) use_mismatch_features: bool,
    /// The embeddings of each field.
    pub(crate) embeddings: Embeddings,
    /// Only systems converted from Kiwi 0.3.4 and before have it: must be false.
    #[schemars(extend("const" = false))]
    pub(crate) use_v0_buggy_strategy: bool,
    /// Only systems converted from Kiwi 0.3.4 and before have it: must be false.
    #[schemars(extend("const" = false))]
    pub(crate) v0_start_stop: bool,
    /// Ignored: older configs carry it.
    #[serde(skip_serializing)]
    pub(crate) encode_source: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 400,
            rnn_layers: 3,
            dropout: 0.0,
            share_embeddings: false,
            out_embeddings_dim: None,
            use_mismatch_features: false,
            embeddings: Embeddings::default(),
            use_v0_buggy_strategy: false,
            v0_start_stop: false,
            encode_source: None,
        }
    }
}

/// The embeddings of each field.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Embeddings {
    /// Of the source.
    pub(crate) source: FieldEmbedding,
    /// Of the target (and the post-edit).
    pub(crate) target: FieldEmbedding,
    /// Must be null.
    #[schemars(extend("const" = null))]
    pub(crate) source_pos: Option<FieldEmbedding>,
    /// Must be null.
    #[schemars(extend("const" = null))]
    pub(crate) target_pos: Option<FieldEmbedding>,
}

/// How one field is embedded: looked up, scaled, positions added, normalised, dropped out, in this order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct FieldEmbedding {
    /// Size of a word's vector.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) dim: i64,
    /// Keep the table as it is.
    pub(crate) freeze: bool,
    /// Dropout on the embedded words, in [0, 1).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub(crate) dropout: f64,
    /// Add sinusoidal positions.
    pub(crate) use_position_embeddings: bool,
    /// Longest sentence that positions are made for, `<bos>` and `<eos>` counted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_position_embeddings: i64,
    /// Give the table sparse gradients: for optimizers that take them.
    pub(crate) sparse_embeddings: bool,
    /// Multiply by the square root of `dim`.
    pub(crate) scale_embeddings: bool,
    /// Normalise each embedded word.
    pub(crate) input_layer_norm: bool,
}

impl Default for FieldEmbedding {
    fn default() -> Self {
        Self {
            dim: 50,
            freeze: false,
            dropout: 0.0,
            use_position_embeddings: false,
            max_position_embeddings: 4000,
            sparse_embeddings: false,
            scale_embeddings: false,
            input_layer_norm: false,
        }
    }
}

impl Config {
    /// Size o of the output table's rows.
    pub(crate) fn output_size(&self) -> Result<i64> {
        if self.share_embeddings {
            return Ok(self.embeddings.target.dim);
        }
        self.out_embeddings_dim
            .ok_or_else(|| Error::new("out_embeddings_dim is required when share_embeddings is false"))
    }

    /// Dropout between layers: with one layer there is no between.
    pub(crate) fn layer_dropout(&self) -> f64 {
        if self.rnn_layers > 1 { self.dropout } else { 0.0 }
    }

    /// Positions limit the length of a sentence, and sparse gradients the choice of an optimizer.
    pub(crate) fn needs(&self) -> EncoderNeeds {
        let fields = self.fields();
        let with_positions = fields.iter().filter(|(_, field)| field.use_position_embeddings);
        let mut needs = EncoderNeeds::default();
        for (name, field) in with_positions {
            let option = format!("embeddings.{name}.max_position_embeddings");
            needs = needs.longest(*name, field.max_position_embeddings, &*option);
            if *name == "target" {
                // A post-edit is embedded as a target.
                needs = needs.longest("pe", field.max_position_embeddings, option);
            }
        }
        // The logits give a shared table a dense gradient, and the sum of the two is dense.
        let sparse = fields.iter().filter(|(name, field)| {
            field.sparse_embeddings && !field.freeze && !(self.share_embeddings && *name == "target")
        });
        sparse.fold(needs, |needs, (name, _)| {
            let parameter = format!("embeddings.{name}.embedding.weight");
            needs.sparse_gradient(parameter, format!("embeddings.{name}.sparse_embeddings"))
        })
    }

    fn fields(&self) -> [(&'static str, &FieldEmbedding); 2] {
        [("source", &self.embeddings.source), ("target", &self.embeddings.target)]
    }

    /// Everything that types alone do not say.
    pub(crate) fn check(&self, report: &mut ConfigReport) {
        const SHARE: &str = "a number of at least 0 and below 1";
        let share = |share: f64| (0.0..1.0).contains(&share);
        size(report, "hidden_size", self.hidden_size);
        size(report, "rnn_layers", self.rnn_layers);
        report.require(share(self.dropout), "dropout", self.dropout, SHARE);
        if share(self.dropout) && self.dropout > 0.0 && self.rnn_layers == 1 {
            report
                .warning("dropout", "dropout is between the layers of an LSTM: with one layer there is none");
        }
        match self.out_embeddings_dim {
            None if !self.share_embeddings => report.missing(
                "out_embeddings_dim",
                "out_embeddings_dim is required when share_embeddings is false",
                SIZE,
                "give out_embeddings_dim, for example 200; or set share_embeddings to true, to use the target's input table as \
                 output table",
            ),
            Some(_) if self.share_embeddings => report.warning(
                "out_embeddings_dim",
                "out_embeddings_dim is ignored: with share_embeddings it is the dim of embeddings.target",
            ),
            Some(given) => size(report, "out_embeddings_dim", given),
            None => {}
        }
        for (name, field) in self.fields() {
            let at = |key: &str| format!("embeddings.{name}.{key}");
            size(report, &at("dim"), field.dim);
            report.require(share(field.dropout), &at("dropout"), field.dropout, SHARE);
            size(report, &at("max_position_embeddings"), field.max_position_embeddings);
        }
        for (name, given) in
            [("source_pos", &self.embeddings.source_pos), ("target_pos", &self.embeddings.target_pos)]
        {
            if given.is_some() {
                report.error(
                    &format!("embeddings.{name}"),
                    format!("embeddings of the field {name} are not supported"),
                    "set it to null, or remove the key",
                );
            }
        }
        self.check_what_is_not_there(report);
    }

    fn check_what_is_not_there(&self, report: &mut ConfigReport) {
        if self.use_mismatch_features {
            report.error(
                "use_mismatch_features",
                "mismatch features are not implemented",
                "set it to false, or remove the key",
            );
        }
        for (name, given) in
            [("use_v0_buggy_strategy", self.use_v0_buggy_strategy), ("v0_start_stop", self.v0_start_stop)]
        {
            if given {
                report.error(
                    name,
                    format!(
                        "{name} is of systems converted from Kiwi 0.3.4 and before, which are not supported"
                    ),
                    "set it to false, or remove the key",
                );
            }
        }
        if self.encode_source.is_some() {
            report.warning("encode_source", "encode_source is ignored: older configs carry it");
        }
    }
}

/// What a size may be. The bound is beyond any model, and keeps products of sizes within 64 bits.
const SIZE: &str = "an integer from 1 to 1000000";

fn size(report: &mut ConfigReport, path: &str, size: i64) {
    report.require((1..=1_000_000).contains(&size), path, size, SIZE);
}

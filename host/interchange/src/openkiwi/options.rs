//! Options of a `PredictorEncoder`, a `TLMOutputs` and the processing of text: from OpenKiwi's to ours and back. Both have the
//! same names; what differs is refused or, where it has no effect on the numbers, left out with a warning.

use kiwi_core::config::{DataProcessingSection, Sides, VocabularySection};
use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use serde_json::{Map, Value, json};

use super::Error;

/// The largest size of anything, as the encoder has it, so that products of sizes stay within 64 bits.
const LARGEST: i64 = 1_000_000;

/// Options of a `PredictorEncoder`, defaults included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EncoderOptions {
    pub(super) hidden_size: usize,
    pub(super) rnn_layers: usize,
    pub(super) dropout: f64,
    pub(super) share_embeddings: bool,
    pub(super) out_embeddings_dim: Option<usize>,
    pub(super) source: FieldOptions,
    pub(super) target: FieldOptions,
}

/// How one side is embedded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldOptions {
    pub(super) dim: usize,
    pub(super) freeze: bool,
    pub(super) dropout: f64,
    pub(super) use_position_embeddings: bool,
    pub(super) max_position_embeddings: usize,
    pub(super) sparse_embeddings: bool,
    pub(super) scale_embeddings: bool,
    pub(super) input_layer_norm: bool,
}

const ENCODER_KEYS: &[&str] = &[
    "hidden_size",
    "rnn_layers",
    "dropout",
    "share_embeddings",
    "out_embeddings_dim",
    "use_mismatch_features",
    "embeddings",
    "use_v0_buggy_strategy",
    "v0_start_stop",
    "encode_source",
];
const FIELD_KEYS: &[&str] = &[
    "dim",
    "freeze",
    "dropout",
    "use_position_embeddings",
    "max_position_embeddings",
    "sparse_embeddings",
    "scale_embeddings",
    "input_layer_norm",
];

impl EncoderOptions {
    /// Reads the options as they stand in a system of either program.
    ///
    /// # Errors
    /// An option that is missing, unknown, of another type, or that works only there.
    pub(super) fn read(value: &Value, path: &str, warnings: &mut Vec<Diagnostic>) -> Result<Self, Error> {
        let options = Section::new(value, path, ENCODER_KEYS)?;
        options.must_be(
            "use_mismatch_features",
            json!(false),
            "and mismatch features are not implemented",
        )?;
        let old = "which only systems converted from Kiwi 0.3.4 and before have; they are not supported";
        options.must_be("use_v0_buggy_strategy", json!(false), old)?;
        options.must_be("v0_start_stop", json!(false), old)?;
        if let Some(given) = options.map.get("encode_source").filter(|given| !given.is_null()) {
            warnings.push(
                Diagnostic::warning(
                    Code::ConvertedWithChanges,
                    "encode_source is ignored: older systems carry it, and nothing reads it",
                )
                .at(format!("{path}.encode_source"))
                .found(given.to_string()),
            );
        }
        let embeddings_path = format!("{path}.embeddings");
        let embeddings = options.map.get("embeddings");
        let embeddings = embeddings.ok_or_else(|| Error::Missing { path: embeddings_path.clone() })?;
        let embeddings =
            Section::new(embeddings, &embeddings_path, &["source", "target", "source_pos", "target_pos"])?;
        for key in ["source_pos", "target_pos"] {
            embeddings.must_be(key, Value::Null, "and parts of speech are not supported")?;
        }
        let out_embeddings_dim = match options.map.get("out_embeddings_dim") {
            None | Some(Value::Null) => None,
            Some(_) => Some(options.size("out_embeddings_dim")?),
        };
        let read = Self {
            hidden_size: options.size("hidden_size")?,
            rnn_layers: options.size("rnn_layers")?,
            dropout: options.number("dropout")?,
            share_embeddings: options.bool("share_embeddings")?,
            out_embeddings_dim,
            source: FieldOptions::read(&embeddings, "source")?,
            target: FieldOptions::read(&embeddings, "target")?,
        };
        if read.out_embeddings_dim.is_none() && !read.share_embeddings {
            return Err(Error::Missing { path: format!("{path}.out_embeddings_dim") });
        }
        Ok(read)
    }

    /// Size of the output table's rows.
    pub(super) fn output_size(&self) -> usize {
        match self.out_embeddings_dim {
            Some(size) if !self.share_embeddings => size,
            _ => self.target.dim,
        }
    }

    /// The options as either program saves them.
    pub(super) fn json(&self) -> Value {
        json!({
            "hidden_size": self.hidden_size,
            "rnn_layers": self.rnn_layers,
            "dropout": self.dropout,
            "share_embeddings": self.share_embeddings,
            "out_embeddings_dim": self.out_embeddings_dim,
            "use_mismatch_features": false,
            "embeddings": {
                "source": self.source.json(),
                "target": self.target.json(),
                "source_pos": null,
                "target_pos": null,
            },
            "use_v0_buggy_strategy": false,
            "v0_start_stop": false,
        })
    }
}

impl FieldOptions {
    fn read(embeddings: &Section<'_>, side: &str) -> Result<Self, Error> {
        let path = format!("{}.{side}", embeddings.path);
        let value = embeddings.map.get(side).ok_or_else(|| Error::Missing { path: path.clone() })?;
        let field = Section::new(value, &path, FIELD_KEYS)?;
        Ok(Self {
            dim: field.size("dim")?,
            freeze: field.bool("freeze")?,
            dropout: field.number("dropout")?,
            use_position_embeddings: field.bool("use_position_embeddings")?,
            max_position_embeddings: field.size("max_position_embeddings")?,
            sparse_embeddings: field.bool("sparse_embeddings")?,
            scale_embeddings: field.bool("scale_embeddings")?,
            input_layer_norm: field.bool("input_layer_norm")?,
        })
    }

    fn json(&self) -> Value {
        json!({
            "dim": self.dim,
            "freeze": self.freeze,
            "dropout": self.dropout,
            "use_position_embeddings": self.use_position_embeddings,
            "max_position_embeddings": self.max_position_embeddings,
            "sparse_embeddings": self.sparse_embeddings,
            "scale_embeddings": self.scale_embeddings,
            "input_layer_norm": self.input_layer_norm,
        })
    }
}

/// The head's options: whether it learns post-edits.
///
/// # Errors
/// An option that is unknown or of another type.
pub(super) fn fine_tune(value: &Value, path: &str) -> Result<bool, Error> {
    let options = Section::new(value, path, &["fine_tune"])?;
    match options.map.get("fine_tune") {
        None => Ok(false),
        Some(_) => options.bool("fine_tune"),
    }
}

/// The options of text processing.
///
/// # Errors
/// An option that is unknown or of another type.
pub(super) fn data_processing(
    value: &Value,
    path: &str,
    warnings: &mut Vec<Diagnostic>,
) -> Result<DataProcessingSection, Error> {
    let options = Section::new(value, path, &["share_input_fields_encoders", "vocab", "embeddings"])?;
    let mut ignored = |given: Option<&Value>, path: String, nothing: Value| {
        if let Some(given) = given.filter(|given| !given.is_null() && **given != nothing) {
            let warning = Diagnostic::warning(
                Code::ConvertedWithChanges,
                "an option for pretrained embeddings is left out: it had no effect",
            );
            warnings.push(warning.at(path).found(given.to_string()));
        }
    };
    ignored(options.map.get("embeddings"), format!("{path}.embeddings"), Value::Null);
    let mut read = DataProcessingSection {
        share_input_fields_encoders: match options.map.get("share_input_fields_encoders") {
            None => false,
            Some(_) => options.bool("share_input_fields_encoders")?,
        },
        vocab: VocabularySection::default(),
    };
    let vocab = match options.map.get("vocab") {
        None | Some(Value::Null) => return Ok(read),
        Some(vocab) => vocab,
    };
    let path = format!("{path}.vocab");
    let known = ["min_frequency", "max_size", "keep_rare_words_with_embeddings", "add_embeddings_vocab"];
    let vocab = Section::new(vocab, &path, &known)?;
    for key in ["keep_rare_words_with_embeddings", "add_embeddings_vocab"] {
        ignored(vocab.map.get(key), format!("{path}.{key}"), json!(false));
    }
    let Sides { source, target } = vocab.sides("min_frequency")?;
    read.vocab.min_frequency = Sides { source: source.unwrap_or(1), target: target.unwrap_or(1) };
    read.vocab.max_size = vocab.sides("max_size")?;
    Ok(read)
}

/// The options of text processing as a saved system has them.
pub(super) fn data_processing_json(options: &DataProcessingSection) -> Value {
    let VocabularySection { min_frequency, max_size } = &options.vocab;
    json!({
        "share_input_fields_encoders": options.share_input_fields_encoders,
        "vocab": {
            "min_frequency": {"source": min_frequency.source, "target": min_frequency.target},
            "max_size": {"source": max_size.source, "target": max_size.target},
        },
    })
}

/// A group of options.
struct Section<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Section<'a> {
    fn new(value: &'a Value, path: &str, known: &[&'static str]) -> Result<Self, Error> {
        let Value::Object(map) = value else {
            return Err(Error::Type {
                path: path.to_owned(),
                found: value.to_string(),
                expected: "a dictionary",
            });
        };
        if let Some((key, value)) = map.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            let path = format!("{path}.{key}");
            return Err(Error::UnknownOption { path, found: value.to_string(), known: known.to_vec() });
        }
        Ok(Self { map, path: path.to_owned() })
    }

    fn must_be(&self, key: &str, expected: Value, why: &'static str) -> Result<(), Error> {
        match self.map.get(key) {
            Some(found) if *found != expected && !found.is_null() => Err(Error::Option {
                path: format!("{}.{key}", self.path),
                found: found.to_string(),
                expected: expected.to_string(),
                why,
            }),
            _ => Ok(()),
        }
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, Error> {
        let path = format!("{}.{key}", self.path);
        let Some(value) = self.map.get(key) else { return Err(Error::Missing { path }) };
        read(value).ok_or_else(|| Error::Type { path, found: value.to_string(), expected })
    }

    fn bool(&self, key: &str) -> Result<bool, Error> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn number(&self, key: &str) -> Result<f64, Error> {
        self.get(key, "a number", Value::as_f64)
    }

    fn size(&self, key: &str) -> Result<usize, Error> {
        self.get(key, "an integer from 1 to 1000000", |value| {
            value
                .as_i64()
                .filter(|size| (1..=LARGEST).contains(size))
                .and_then(|size| usize::try_from(size).ok())
        })
    }

    /// A number for each side, or one for both.
    fn sides(&self, key: &str) -> Result<Sides<Option<u64>>, Error> {
        let path = format!("{}.{key}", self.path);
        let one = |value: &Value, path: String| match value {
            Value::Null => Ok(None),
            value => value.as_u64().filter(|number| *number > 0).map(Some).ok_or_else(|| Error::Type {
                path,
                found: value.to_string(),
                expected: "a positive integer or null",
            }),
        };
        match self.map.get(key) {
            None => Ok(Sides { source: None, target: None }),
            Some(value @ Value::Object(_)) => {
                let sides = Section::new(value, &path, &["source", "target"])?;
                let side =
                    |side: &str| one(sides.map.get(side).unwrap_or(&Value::Null), format!("{path}.{side}"));
                Ok(Sides { source: side("source")?, target: side("target")? })
            }
            Some(value) => {
                let both = one(value, path)?;
                Ok(Sides { source: both, target: both })
            }
        }
    }
}

//! The sections of a config, checked and with every default filled in. Writing one out as JSON gives a config that
//! [`super::load`] accepts and that means the same. What a section accepts is read in [`super::fill`].

mod gpus;
mod optimizer;

use std::path::PathBuf;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

pub use gpus::Gpus;
pub use optimizer::{OptimizerSection, WarmupSteps};

/// The configuration of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunConfig {
    /// The run as such: where it goes and what it is called.
    pub run: RunSection,
    /// How to train.
    pub trainer: TrainerSection,
    /// The parallel corpora.
    pub data: DataSection,
    /// What to train.
    pub system: SystemSection,
    /// One batch of training and one of validation only.
    pub debug: bool,
    /// Details in the log; not together with `quiet`. The command line has the last word on both.
    pub verbose: bool,
    /// Errors and warnings only.
    pub quiet: bool,
}

impl RunConfig {
    /// The config as indented JSON, all defaults written out.
    ///
    /// # Errors
    ///
    /// If a path was put into it that is not Unicode; those read from a config always are.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

/// `run`: where a run goes and what it is called.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunSection {
    /// Everything random is drawn from it.
    pub seed: u64,
    /// Name of the experiment that the run belongs to.
    pub experiment_name: String,
    /// Directory of the run; `None` for `runs/<experiment id>/<run id>`.
    pub output_dir: Option<PathBuf>,
    /// 32 hexadecimal digits; `None` for a new one.
    pub run_id: Option<String>,
    /// Whether the run's values are sent to MLflow.
    pub use_mlflow: bool,
    /// Where to, as [`TrackingUri`](crate::tracking_uri::TrackingUri) accepts it; `None` for what the environment says, else a folder.
    pub mlflow_tracking_uri: Option<String>,
    /// Whether the best system is sent too.
    pub mlflow_always_log_artifacts: bool,
}

/// `trainer`: how to train.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TrainerSection {
    /// Whether to go on with the run in the directory, rather than to begin one.
    pub resume: bool,
    /// How often the corpus is gone through, at least 1.
    pub epochs: u64,
    /// End of training after so many optimizer steps, at least 1, if the epochs do not end first.
    pub max_steps: Option<u64>,
    /// Batches whose gradients make one optimizer step, at least 1.
    pub gradient_accumulation_steps: u64,
    /// Largest norm of all gradients together; 0 for no clipping.
    pub gradient_max_norm: f64,
    /// Names of the metrics whose sum is the main metric; empty for the head's first.
    #[serde(serialize_with = "null_if_empty")]
    pub main_metric: Vec<String>,
    /// Steps between two entries of the log, at least 1.
    pub log_interval: u64,
    /// Steps between two writings of the log to disk, at least 1.
    pub log_save_interval: u64,
    /// Where to compute.
    pub gpus: Gpus,
    /// Type of number computed with.
    pub precision: Precision,
    /// In which order an epoch goes through the pairs.
    pub batch_order: BatchOrder,
    /// Most tokens in a training batch, padding counted; `None` for no such limit.
    pub max_tokens_per_batch: Option<usize>,
    /// Batches through which an encoder that carries state from batch to batch learns, at least 1; `None`: none is carried.
    pub truncated_bptt_steps: Option<u64>,
    /// What becomes of a batch whose loss or gradient is not finite.
    pub on_nonfinite: OnTrouble,
    /// What becomes of a batch that does not fit into memory.
    pub on_oom: OnTrouble,
    /// When to validate, what to keep, when to stop.
    pub checkpoint: CheckpointSection,
}

/// `trainer.on_nonfinite` and `trainer.on_oom`: what becomes of a training batch that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTrouble {
    /// It ends the run.
    Stop,
    /// It is left out, told and counted; too many end the run.
    Skip,
}

/// `trainer.precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: `32`.
    F32,
    /// bfloat16 where it is safe: `"bf16"`.
    BF16,
    /// float16 where it is safe, with a factor on the loss; on GPUs only: `16`.
    F16,
}

impl Serialize for Precision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::F32 => serializer.serialize_u64(32),
            Self::F16 => serializer.serialize_u64(16),
            Self::BF16 => serializer.serialize_str("bf16"),
        }
    }
}

/// `trainer.batch_order`: in which order an epoch goes through the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchOrder {
    /// As they stand in the files, the same in every epoch.
    Corpus,
    /// Shuffled anew for each epoch.
    Random,
    /// Shuffled anew for each epoch, pairs of like length together, so that little is padding.
    Bucketed,
}

/// `trainer.checkpoint`: when to validate, what to keep, when to stop.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CheckpointSection {
    /// How often to validate.
    #[serde(rename = "validation_steps")]
    pub validation_interval: ValidationInterval,
    /// How many of the best systems are kept: -1 for all, 0 for none.
    pub save_top_k: i64,
    /// Validations in a row without improvement that end the training; 0 for never.
    pub early_stop_patience: u64,
    /// Optimizer steps between resume points, at least 1; `None`: one after each validation.
    pub resume_interval: Option<u64>,
}

/// `trainer.checkpoint.validation_steps`: an integer counts batches, a number with a fraction is a share of the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValidationInterval {
    /// In (0, 1].
    ShareOfEpoch(f64),
    /// At least 1. Whether the epoch is that long is known only once the corpus is read.
    Batches(u64),
}

impl Serialize for ValidationInterval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::ShareOfEpoch(share) => serializer.serialize_f64(*share),
            Self::Batches(batches) => serializer.serialize_u64(*batches),
        }
    }
}

/// `data`: the parallel corpora. Exactly one of `valid` and `split` is there.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DataSection {
    /// What is trained on.
    #[serde(serialize_with = "under_input")]
    pub train: Corpora,
    /// What is validated on; empty exactly when `split` is there. Without a name there is one set only.
    #[serde(serialize_with = "validation_sets")]
    pub valid: Vec<ValidationSet>,
    /// What the best system is tested on once training is over; empty for nothing.
    #[serde(serialize_with = "validation_sets")]
    pub test: Vec<ValidationSet>,
    /// Share of `train`, in (0, 1), that is kept for training; the rest is validated on.
    pub split: Option<f64>,
    /// Most words of a sentence; a training pair with a longer one is left out. `None` for no limit.
    #[serde(serialize_with = "null_without_limits")]
    pub max_length: Sides<Option<usize>>,
    /// Pairs held for shuffling, at least 1; `None` for all. Only an order other than that of the corpus shuffles.
    pub buffer_size: Option<usize>,
}

/// A corpus to validate or to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationSet {
    /// Its name, which its metrics carry; `None` for the only set.
    pub name: Option<String>,
    /// Its files.
    pub files: Corpora,
    /// JSON path of the section, as `data.valid` or `data.valid.news`.
    pub path: String,
}

/// Pairs of files, one a side: line i of `source[n]` and line i of `target[n]` translate one another.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Corpora {
    /// At least one; relative to the current directory.
    pub source: Vec<PathBuf>,
    /// As many as `source`.
    pub target: Vec<PathBuf>,
    /// The target as a person corrected it, as many as `source`; `None` where there are no post-edits. `post_edit` is an older name
    /// of the key.
    #[serde(rename = "pe", skip_serializing_if = "Option::is_none")]
    pub post_edit: Option<Vec<PathBuf>>,
}

/// `system`: what to train. Either `load` is there, or `class_name`, `model` and `data_processing` are.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SystemSection {
    /// Class of the system, as `Predictor`; beside `load` it must be the saved one's.
    pub class_name: Option<String>,
    /// A saved system to go on from.
    pub load: Option<PathBuf>,
    /// A saved system whose vocabularies a new system takes over; `None` beside `load`.
    pub load_vocabs: Option<PathBuf>,
    /// The parts of a new system; `None` exactly when `load` is there.
    pub model: Option<ModelSection>,
    /// The vocabularies of a new system; `None` exactly when `load` is there.
    pub data_processing: Option<DataProcessingSection>,
    /// How parameters are updated: one optimizer for all, or several with their parameters.
    #[serde(rename = "optimizer", serialize_with = "optimizer::one_or_list")]
    pub optimizers: Vec<OptimizerSection>,
    /// Class names of metrics besides the head's own.
    pub metrics: Vec<String>,
    /// Pairs in one batch.
    pub batch_size: BatchSize,
    /// Threads that prepare batches; 0 for none besides the training thread.
    pub num_data_workers: usize,
}

impl SystemSection {
    /// What a saved system tells of its training: the optimizer, the sizes of batches and the metrics. No paths, so that
    /// the same run elsewhere gives the same file, and nothing that changes no number.
    #[must_use]
    pub fn training(&self) -> Value {
        let mut optimizer = optimizer::json(&self.optimizers);
        let sections = match &mut optimizer {
            Value::Array(list) => list.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for section in sections {
            if let Value::Object(section) = section {
                section.remove("load");
            }
        }
        serde_json::json!({"optimizer": optimizer, "batch_size": self.batch_size, "metrics": self.metrics})
    }
}

/// The part of a config that holds for a saved system that is run without training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedSystemConfig {
    /// Options of its parts.
    pub(crate) model: ModelSection,
    /// Class names of metrics besides the head's own.
    pub(crate) metrics: Vec<String>,
    /// Type of number computed with.
    pub(crate) precision: Precision,
    /// Pairs in one batch.
    pub(crate) batch_size: usize,
    /// Threads that prepare batches.
    pub(crate) num_data_workers: usize,
}

/// `system.model`: the two parts of a system.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ModelSection {
    /// The encoder.
    pub encoder: ComponentSection,
    /// The head.
    pub tlm_outputs: ComponentSection,
}

impl ModelSection {
    /// Two parts about which nothing is said, in a section at `path`.
    pub(crate) fn empty(path: &str) -> Self {
        let part = |key| ComponentSection {
            class_name: None,
            options: Map::new(),
            path: super::path::join(path, key),
        };
        Self { encoder: part("encoder"), tlm_outputs: part("tlm_outputs") }
    }
}

/// The section of a component that a plugin provides. Its options are the plugin's to check.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentSection {
    /// Its class; `None` for the one that the system's class stands for.
    pub class_name: Option<String>,
    /// All else in the section.
    pub options: Map<String, Value>,
    /// JSON path of the section, as `system.model.encoder`.
    pub path: String,
}

impl Serialize for ComponentSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(class_name) = &self.class_name {
            map.serialize_entry("class_name", class_name)?;
        }
        for (key, value) in &self.options {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// `system.data_processing`: the vocabularies.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataProcessingSection {
    /// One vocabulary for both sides.
    pub share_input_fields_encoders: bool,
    /// What goes into a vocabulary. When sharing, the target side's numbers hold.
    pub vocab: VocabularySection,
}

/// `system.data_processing.vocab`: what goes into a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VocabularySection {
    /// A type is kept if it occurs at least so often.
    pub min_frequency: Sides<u64>,
    /// The most types kept, special tokens not counted; `None` for all.
    pub max_size: Sides<Option<u64>>,
}

impl Default for VocabularySection {
    /// Every type of the corpus.
    fn default() -> Self {
        Self { min_frequency: Sides { source: 1, target: 1 }, max_size: Sides { source: None, target: None } }
    }
}

impl Default for DataProcessingSection {
    /// A vocabulary of its own for each side, with every type of the corpus.
    fn default() -> Self {
        Self { share_input_fields_encoders: false, vocab: VocabularySection::default() }
    }
}

/// A value for each side of a parallel corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sides<T> {
    /// The source side's.
    pub source: T,
    /// The target side's.
    pub target: T,
}

/// `system.batch_size`: pairs in one batch, at least 1; `None`, possible only with `trainer.max_tokens_per_batch`, for
/// as many as its tokens allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// When training.
    pub train: Option<usize>,
    /// When validating.
    pub valid: Option<usize>,
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.train, self.valid) {
            (None, None) => serializer.serialize_none(),
            (train, valid) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("train", &train)?;
                map.serialize_entry("valid", &valid)?;
                map.end()
            }
        }
    }
}

fn null_if_empty<S: Serializer>(names: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    if names.is_empty() { serializer.serialize_none() } else { names.serialize(serializer) }
}

fn under_input<S: Serializer>(corpora: &Corpora, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry("input", corpora)?;
    map.end()
}

/// An unnamed set as itself, named ones by their names in order, none as null.
fn validation_sets<S: Serializer>(sets: &[ValidationSet], serializer: S) -> Result<S::Ok, S::Error> {
    struct UnderInput<'a>(&'a Corpora);
    impl Serialize for UnderInput<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            under_input(self.0, serializer)
        }
    }
    match sets {
        [] => serializer.serialize_none(),
        [ValidationSet { name: None, files, .. }] => under_input(files, serializer),
        named => {
            let mut map = serializer.serialize_map(Some(named.len()))?;
            for set in named {
                map.serialize_entry(set.name.as_deref().unwrap_or_default(), &UnderInput(&set.files))?;
            }
            map.end()
        }
    }
}

fn null_without_limits<S: Serializer>(
    limits: &Sides<Option<usize>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if *limits == (Sides { source: None, target: None }) {
        serializer.serialize_none()
    } else {
        limits.serialize(serializer)
    }
}

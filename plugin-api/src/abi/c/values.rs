//! What crosses the boundary in plain C: texts, tensors, batches, contexts.

use std::ffi::{c_char, c_void};

/// UTF-8 of a length, not ended by a zero. It is valid during the call in which it is given.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiText {
    /// The first byte; may be null where `length` is 0.
    pub pointer: *const c_char,
    /// Bytes.
    pub length: usize,
}

/// An `at::Tensor` of libtorch, by its address. Whoever receives one copies the handle (`at::Tensor copy = *pointer`) to keep it;
/// nobody frees what the other side gave.
#[repr(C)]
#[derive(Debug)]
pub struct KiwiTensor {
    opaque: [u8; 0],
}

/// A tensor with its name.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiNamedTensor {
    /// The name.
    pub name: KiwiText,
    /// The tensor.
    pub tensor: *const KiwiTensor,
}

/// Tensors that belong together: a field of a batch, an output of a head, a parameter group.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiGroup {
    /// The name of the whole.
    pub name: KiwiText,
    /// The tensors.
    pub tensors: *const KiwiNamedTensor,
    /// How many.
    pub tensor_count: usize,
}

/// A batch: for each field the padded ids and what describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiBatch {
    /// Bytes of this struct.
    pub size: usize,
    /// The fields: `source`, `target`, and `pe` where post-edits are given.
    pub fields: *const KiwiGroup,
    /// How many.
    pub field_count: usize,
}

/// A feature that an encoder gave to a head: a tensor, or a projection that nobody has computed yet, `input * weight^T + bias`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiFeature {
    /// The name.
    pub name: KiwiText,
    /// The tensor; null where it is a projection.
    pub tensor: *const KiwiTensor,
    /// Input of the projection, `[.., K]`; else null.
    pub input: *const KiwiTensor,
    /// Weight of the projection, `[V, K]`; else null.
    pub weight: *const KiwiTensor,
    /// Bias of the projection, `[V]`; null where it has none.
    pub bias: *const KiwiTensor,
}

/// One call of `forward`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiPass {
    /// Bytes of this struct.
    pub size: usize,
    /// Whether dropout and the like are on.
    pub training: bool,
    /// Whether somebody wants to see tensors on the way: see `put_trace`.
    pub traced: bool,
}

/// A number with its name.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiNamedInteger {
    /// The name.
    pub name: KiwiText,
    /// The number.
    pub value: i64,
}

/// Ids of the special tokens, the same in every vocabulary.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiSpecialIds {
    /// A word that is not in the vocabulary.
    pub unk: i64,
    /// Fills a row up to the batch's width.
    pub pad: i64,
    /// Before the first word.
    pub bos: i64,
    /// After the last word.
    pub eos: i64,
}

/// What an encoder is told when it is created.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiEncoderContext {
    /// Bytes of this struct.
    pub size: usize,
    /// Size of each field's vocabulary, special tokens included.
    pub vocabulary_sizes: *const KiwiNamedInteger,
    /// How many.
    pub vocabulary_count: usize,
    /// Ids of the special tokens.
    pub special: KiwiSpecialIds,
    /// Where parameters are to live: `cpu` or `cuda:N`.
    pub device: KiwiText,
    /// Whether every feature may be read; else those of `features` are.
    pub wants_all_features: bool,
    /// The features that somebody reads.
    pub features: *const KiwiText,
    /// How many.
    pub feature_count: usize,
}

/// What a head is told when it is created.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiHeadContext {
    /// Bytes of this struct.
    pub size: usize,
    /// Last dimension of each feature that the encoder gives.
    pub feature_sizes: *const KiwiNamedInteger,
    /// How many.
    pub feature_count: usize,
    /// The encoder's hidden size.
    pub hidden_size: i64,
    /// Size of each field's vocabulary, special tokens included.
    pub vocabulary_sizes: *const KiwiNamedInteger,
    /// How many.
    pub vocabulary_count: usize,
    /// Ids of the special tokens.
    pub special: KiwiSpecialIds,
    /// Where parameters are to live: `cpu` or `cuda:N`.
    pub device: KiwiText,
}

/// `warmup_steps` is not given.
pub const KIWI_WARMUP_NONE: u32 = 0;
/// `warmup_steps` is given in optimizer steps.
pub const KIWI_WARMUP_STEPS: u32 = 1;
/// `warmup_steps` is given as a share of the training steps.
pub const KIWI_WARMUP_SHARE: u32 = 2;

/// The keys of a learning-rate schedule, as the config gives them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiScheduleKeys {
    /// Bytes of this struct.
    pub size: usize,
    /// One of `KIWI_WARMUP_NONE`, `KIWI_WARMUP_STEPS`, `KIWI_WARMUP_SHARE`.
    pub warmup: u32,
    /// Optimizer steps of warm-up, where they are given so.
    pub warmup_steps: u64,
    /// Share of the training steps, where it is given so.
    pub warmup_share: f64,
    /// Whether `training_steps` is given.
    pub has_training_steps: bool,
    /// Optimizer steps that the schedule is for.
    pub training_steps: u64,
}

/// What a schedule is made of, once the length of the run is known.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KiwiScheduleContext {
    /// Bytes of this struct.
    pub size: usize,
    /// Whether the config asks for a warm-up.
    pub has_warmup: bool,
    /// Optimizer steps of warm-up; a share of the training steps is not rounded.
    pub warmup_steps: f64,
    /// Optimizer steps that the schedule is for.
    pub training_steps: u64,
    /// The encoder's hidden size.
    pub hidden_size: i64,
}

/// An instance of a component: the plugin's own, of which the host knows the address only.
pub type KiwiInstance = *mut c_void;

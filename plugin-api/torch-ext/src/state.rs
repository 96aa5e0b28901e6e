//! What libtorch keeps for the whole process or thread, and so shares between host and plugins: grad mode, inference
//! mode, autocast, the current CUDA device, the seed of the CPU generator.
//!
//! Comparing and putting back is all there is; what a change means is for the caller to say.

use std::fmt;

use crate::TorchError;
use crate::ffi::{self, RawState};

/// A snapshot of libtorch's state on this thread. Taking one costs well under a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalState(RawState);

/// One thing of which [`GlobalState`] keeps track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateItem {
    /// Whether operations are recorded for backward.
    GradMode,
    /// Inference mode.
    InferenceMode,
    /// Whether forward-mode derivatives are computed.
    ForwardGradMode,
    /// Whether backward may use threads of its own.
    BackwardThreads,
    /// Autocast on the CPU.
    CpuAutocast,
    /// The type that autocast uses on the CPU.
    CpuAutocastType,
    /// Autocast on CUDA devices.
    CudaAutocast,
    /// The type that autocast uses on CUDA devices.
    CudaAutocastType,
    /// Whether autocast keeps the casts of parameters.
    AutocastCache,
    /// The current CUDA device.
    CudaDevice,
    /// The seed of the default CPU generator. That it advanced is no change; that it was seeded anew is one, unless
    /// with the same seed.
    CpuSeed,
    /// Other dispatch keys of the thread.
    DispatchKeys,
}

impl StateItem {
    /// What a message calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradMode => "grad mode",
            Self::InferenceMode => "inference mode",
            Self::ForwardGradMode => "forward-mode grad",
            Self::BackwardThreads => "multithreaded backward",
            Self::CpuAutocast => "autocast on the CPU",
            Self::CpuAutocastType => "autocast's type on the CPU",
            Self::CudaAutocast => "autocast on CUDA",
            Self::CudaAutocastType => "autocast's type on CUDA",
            Self::AutocastCache => "autocast's cache",
            Self::CudaDevice => "the current CUDA device",
            Self::CpuSeed => "the seed of the CPU generator",
            Self::DispatchKeys => "the thread's dispatch keys",
        }
    }
}

/// A difference between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// What changed.
    pub item: StateItem,
    /// Its value in the first snapshot.
    pub before: String,
    /// Its value in the second.
    pub after: String,
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {} and is {}", self.item.name(), self.before, self.after)
    }
}

impl GlobalState {
    /// The state now, on this thread.
    pub fn capture() -> Result<Self, TorchError> {
        let mut raw = RawState::default();
        // SAFETY: `raw` is a state that the shim may write, of the layout it expects.
        unsafe { ffi::check(ffi::kiwi_torch_state_capture(&raw mut raw))? };
        Ok(Self(raw))
    }

    /// Puts everything back but the seed, since that would make the generator start over.
    pub fn restore(&self) -> Result<(), TorchError> {
        // SAFETY: `self.0` came from `capture`, on whatever thread: all its values are valid on any.
        unsafe { ffi::check(ffi::kiwi_torch_state_restore(&raw const self.0)) }
    }

    /// Whether operations were recorded for backward.
    pub fn grad_mode(&self) -> bool {
        self.0.grad_mode
    }

    /// Whether inference mode was on.
    pub fn inference_mode(&self) -> bool {
        self.0.inference_mode
    }

    /// The current CUDA device, `None` without CUDA.
    pub fn cuda_device(&self) -> Option<usize> {
        usize::try_from(self.0.cuda_device).ok()
    }

    /// The seed of the default CPU generator.
    pub fn cpu_seed(&self) -> u64 {
        self.0.cpu_seed
    }

    /// What is different in `after`, a later snapshot. Empty exactly if the two are equal.
    pub fn changes(&self, after: &Self) -> Vec<StateChange> {
        if self == after {
            return Vec::new();
        }
        let (old, new) = (&self.0, &after.0);
        let mut changes = Vec::new();
        let mut compare = |item, before: String, after: String| {
            if before != after {
                changes.push(StateChange { item, before, after });
            }
        };
        let mut flag = |item, before, after| compare(item, on(before), on(after));
        flag(StateItem::GradMode, old.grad_mode, new.grad_mode);
        flag(StateItem::InferenceMode, old.inference_mode, new.inference_mode);
        flag(StateItem::ForwardGradMode, old.forward_grad_mode, new.forward_grad_mode);
        flag(StateItem::BackwardThreads, old.multithreading, new.multithreading);
        flag(StateItem::CpuAutocast, old.cpu_autocast, new.cpu_autocast);
        flag(StateItem::CudaAutocast, old.cuda_autocast, new.cuda_autocast);
        flag(StateItem::AutocastCache, old.autocast_cache, new.autocast_cache);
        compare(StateItem::CpuAutocastType, kind(old.cpu_autocast_type), kind(new.cpu_autocast_type));
        compare(StateItem::CudaAutocastType, kind(old.cuda_autocast_type), kind(new.cuda_autocast_type));
        compare(StateItem::CudaDevice, device(old.cuda_device), device(new.cuda_device));
        compare(StateItem::CpuSeed, old.cpu_seed.to_string(), new.cpu_seed.to_string());
        // Inference mode and autocast are dispatch keys themselves, and then already reported.
        let reported = |item| changes.iter().any(|change| change.item == item);
        let by_key = [StateItem::InferenceMode, StateItem::CpuAutocast, StateItem::CudaAutocast];
        let keys = |raw: &RawState| (raw.dispatch_included, raw.dispatch_excluded);
        if keys(old) != keys(new) && !by_key.into_iter().any(reported) {
            let text = |raw| {
                let (included, excluded) = keys(raw);
                format!("+{included:#x} -{excluded:#x}")
            };
            let change = StateChange { item: StateItem::DispatchKeys, before: text(old), after: text(new) };
            changes.push(change);
        }
        changes
    }
}

/// Makes the CUDA device of this number the current one of this thread.
///
/// # Errors
/// When there is none.
pub fn set_cuda_device(index: usize) -> Result<(), TorchError> {
    let number = i32::try_from(index).unwrap_or(i32::MAX);
    // SAFETY: takes a number and no pointer.
    unsafe { ffi::check(ffi::kiwi_torch_set_cuda_device(number)) }
}

fn on(flag: bool) -> String {
    if flag { "on" } else { "off" }.to_owned()
}

fn device(index: i32) -> String {
    if index < 0 { "none".to_owned() } else { format!("cuda:{index}") }
}

/// The types that autocast knows; another is named by libtorch's number for it.
fn kind(number: i8) -> String {
    match number {
        5 => "float16".to_owned(),
        6 => "float32".to_owned(),
        7 => "float64".to_owned(),
        15 => "bfloat16".to_owned(),
        other => format!("type {other}"),
    }
}

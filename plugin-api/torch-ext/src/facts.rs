//! What a tensor is, without touching its elements: whoever gets one from a stranger looks before use. tch ends in a panic where a
//! tensor is of a type or on a device that it does not know.

use tch::{Device, Kind, Tensor};

use crate::TorchError;
use crate::ffi::{self, RawFacts};

/// What a tensor is. Asking costs some nanoseconds and waits for no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorFacts(RawFacts);

impl TensorFacts {
    /// Those of `tensor`.
    pub fn of(tensor: &Tensor) -> Result<Self, TorchError> {
        let mut raw = RawFacts::default();
        // SAFETY: a live tensor, which may be undefined, and room of the layout that the shim expects.
        unsafe { ffi::check(ffi::kiwi_torch_facts(tensor.as_ptr(), &raw mut raw))? };
        Ok(Self(raw))
    }

    /// Whether there is a tensor at all: all else is meaningless for one that is not.
    pub fn defined(&self) -> bool {
        self.0.defined
    }

    /// Whether its elements lie in memory one after the other, up to strides: not sparse, nor of a layout of its own.
    pub fn dense(&self) -> bool {
        self.0.dense
    }

    /// The type of its elements, if tch knows it and a file can hold it.
    pub fn kind(&self) -> Option<Kind> {
        // libtorch's numbers of its types.
        Some(match self.0.scalar_type {
            0 => Kind::Uint8,
            1 => Kind::Int8,
            2 => Kind::Int16,
            3 => Kind::Int,
            4 => Kind::Int64,
            5 => Kind::Half,
            6 => Kind::Float,
            7 => Kind::Double,
            11 => Kind::Bool,
            15 => Kind::BFloat16,
            _ => return None,
        })
    }

    /// Whether its elements are floating-point numbers of 16, 32 or 64 bits.
    pub fn floating(&self) -> bool {
        matches!(self.kind(), Some(Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double))
    }

    /// Whether it is on this device.
    pub fn is_on(&self, device: Device) -> bool {
        match device {
            Device::Cpu => self.0.device_type == CPU,
            Device::Cuda(index) => {
                self.0.device_type == CUDA && usize::try_from(self.0.device_index) == Ok(index)
            }
            _ => false,
        }
    }

    /// Whether it has elements in memory, of the CPU or of a GPU.
    pub fn in_memory(&self) -> bool {
        matches!(self.0.device_type, CPU | CUDA)
    }

    /// How many dimensions it has.
    pub fn rank(&self) -> usize {
        usize::try_from(self.0.rank).unwrap_or(0)
    }

    /// Its first dimension; 1 for a scalar.
    pub fn first(&self) -> i64 {
        self.0.first
    }

    /// Its last dimension; 1 for a scalar.
    pub fn last(&self) -> i64 {
        self.0.last
    }

    /// How many elements it has.
    pub fn elements(&self) -> i64 {
        self.0.elements
    }

    /// Whether it is where gradients end.
    pub fn leaf(&self) -> bool {
        self.0.leaf
    }

    /// Whether some of its elements share their memory, as those of what was expanded do.
    pub fn overlaps(&self) -> bool {
        self.0.overlaps
    }

    /// Whether gradients are computed for it.
    pub fn requires_grad(&self) -> bool {
        self.0.requires_grad
    }
}

const CPU: i8 = 0;
const CUDA: i8 = 1;

/// What a message calls a tensor: `float32 of shape [2, 3] on cpu`.
pub fn described(tensor: &Tensor) -> String {
    // SAFETY: a live tensor, which may be undefined; the text is ours.
    let text = unsafe { ffi::take_string(ffi::kiwi_torch_described(tensor.as_ptr())) };
    text.unwrap_or_else(|| "a tensor of an unknown kind".to_owned())
}

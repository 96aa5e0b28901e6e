//! How many handles a tensor has.

use tch::Tensor;

use crate::ffi;

/// How many handles share the tensor, this one among them: clones, and what libtorch itself keeps, for views and for backward.
#[must_use]
pub fn use_count(tensor: &Tensor) -> i64 {
    // SAFETY: a live tensor; the shim reads its number of owners and nothing else.
    unsafe { ffi::kiwi_torch_use_count(tensor.as_ptr()) }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn each_handle_counts() {
        let tensor = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        assert_eq!(use_count(&tensor), 1);
        let clone = tensor.shallow_clone();
        assert_eq!((use_count(&tensor), use_count(&clone)), (2, 2));
        drop(clone);
        assert_eq!(use_count(&tensor), 1);
        // A view is another tensor, and keeps the one that it is a view of.
        let view = tensor.view([1, 2]);
        assert_eq!((use_count(&tensor), use_count(&view)), (2, 1));
    }
}

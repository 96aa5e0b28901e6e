//! Copies from one device to another.

use tch::{Device, Tensor};

use crate::Result;

/// The tensor on `device`, itself if it is there already.
///
/// On its way from the CPU to a GPU it goes through page-locked memory, so that nothing waits: neither for the copy nor for what the
/// GPU has been told to compute before. Where there is no such memory left, it waits.
///
/// # Errors
/// When libtorch cannot copy it.
pub fn to_device(tensor: &Tensor, device: Device) -> Result<Tensor> {
    if device.is_cuda()
        && tensor.device() == Device::Cpu
        && let Ok(locked) = tensor.f_internal_pin_memory(device)
    {
        // libtorch keeps the memory until the copy is done, although it is dropped here.
        return Ok(locked.f_to_device_(device, tensor.kind(), true, false)?);
    }
    Ok(tensor.f_to(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu_it_is_the_tensor_itself() {
        let tensor = Tensor::from_slice(&[1_i64, 2]);
        let copy = to_device(&tensor, Device::Cpu).unwrap();
        assert_eq!(copy.data_ptr(), tensor.data_ptr());
    }
}

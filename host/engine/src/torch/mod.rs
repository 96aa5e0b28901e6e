//! Between plain data and tensors: batches, the bytes of saved parameters, seeds, the device and the precision of a pass.

mod batch;
mod bytes;
mod device;
mod precision;
mod seed;

pub(crate) use batch::to_tensors;
pub(crate) use bytes::{copy_elements, dtype_of, kind_of, layout_of, tensor_from};
pub(crate) use device::open as open_device;
pub(crate) use precision::autocast;
pub(crate) use seed::{Purpose, seed_for};

use kiwi_core::request::Common;
use tch::Device;

/// Applies what the command line says about threads.
pub(crate) fn set_threads(common: &Common) {
    if let Some(threads) = common.threads {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }
}

/// The device as components know it.
pub(crate) fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

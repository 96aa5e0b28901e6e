//! The device of a run: the CPU, or a GPU that is there and works. One that is asked for and cannot be had is an error.

use kiwi_core::device::{AskedDevice, DeviceChoice};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::Result;
use kiwi_plugin_api::torch_ext::set_cuda_device;
use tch::{Cuda, Device, Kind, Tensor};

/// The device that is asked for, seen to work. A GPU becomes the current one, so that nothing is allocated on another.
///
/// # Errors
/// There is no GPU, or none of this number, or it does not compute.
pub(crate) fn open(asked: &AskedDevice) -> std::result::Result<Device, Failure> {
    let refuse = |complaint| Failure::new(ExitCode::Invalid, asked.refuse(complaint));
    if asked.choice == DeviceChoice::Cpu {
        return Ok(Device::Cpu);
    }
    // The program has opened the CUDA part of libtorch and found a driver.
    if !tch::utils::has_cudart() {
        let complaint = Diagnostic::error(
            Code::NoCuda,
            "the CUDA part of libtorch is open, and libtorch does not know of it",
        )
        .expected("a CUDA part of the same build as the CPU part")
        .help("install torch anew into an empty directory, with all that it depends on");
        return Err(refuse(complaint));
    }
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    let index = choose(asked.choice, count).map_err(|complaint| refuse(with_reason(*complaint, count)))?;
    works(index).map_err(|error| {
        let complaint = Diagnostic::error(Code::NoGpu, format!("the GPU of number {index} does not compute"))
            .note(error.to_string())
            .expected("a GPU with free memory that this build of libtorch has code for")
            .help("look at `nvidia-smi`, or choose another GPU");
        refuse(complaint)
    })?;
    Ok(Device::Cuda(index))
}

/// The number of the GPU that is chosen out of `count`.
fn choose(choice: DeviceChoice, count: usize) -> std::result::Result<usize, Box<Diagnostic>> {
    let there = match count {
        0 => {
            return Err(Box::new(
                Diagnostic::error(Code::NoGpu, "there is an NVIDIA driver, and it shows no GPU")
                    .found("0 GPUs")
                    .expected("at least one GPU")
                    .help("look at `nvidia-smi` and at CUDA_VISIBLE_DEVICES, which hides GPUs"),
            ));
        }
        1 => "1 GPU, of number 0".to_owned(),
        _ => format!("{count} GPUs, of numbers 0 to {}", count - 1),
    };
    match choice {
        DeviceChoice::Gpu(index) if index >= count => Err(Box::new(
            Diagnostic::error(Code::NoGpu, format!("there is no GPU of number {index}"))
                .found(there)
                .expected(format!("a number from 0 to {}", count - 1))
                .help("choose one of those that are there; CUDA_VISIBLE_DEVICES hides GPUs and numbers the others anew"),
        )),
        DeviceChoice::Gpu(index) => Ok(index),
        DeviceChoice::Cpu => Ok(0),
    }
}

/// The complaint, with what CUDA itself says where it shows no GPU.
fn with_reason(complaint: Diagnostic, count: usize) -> Diagnostic {
    if count > 0 {
        return complaint;
    }
    match Tensor::f_zeros([1], (Kind::Float, Device::Cuda(0))) {
        Err(error) => complaint.note(kiwi_plugin_api::Error::from(error).to_string()),
        Ok(_) => complaint,
    }
}

/// Has the GPU compute something and waits for it.
fn works(index: usize) -> Result<()> {
    set_cuda_device(index)?;
    let ones = Tensor::f_ones([2, 2], (Kind::Float, Device::Cuda(index)))?;
    ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_chosen_among_those_that_are_there() {
        let chosen = |choice, count| {
            choose(choice, count).map_err(|complaint| (complaint.message, complaint.found.unwrap()))
        };
        assert_eq!(chosen(DeviceChoice::Gpu(0), 1), Ok(0));
        assert_eq!(chosen(DeviceChoice::Gpu(3), 4), Ok(3));
        let refused = |message: &str, found: &str| Err((message.to_owned(), found.to_owned()));
        let none = refused("there is an NVIDIA driver, and it shows no GPU", "0 GPUs");
        assert_eq!(chosen(DeviceChoice::Gpu(0), 0), none);
        assert_eq!(
            chosen(DeviceChoice::Gpu(1), 1),
            refused("there is no GPU of number 1", "1 GPU, of number 0")
        );
        assert_eq!(
            chosen(DeviceChoice::Gpu(9), 2),
            refused("there is no GPU of number 9", "2 GPUs, of numbers 0 to 1")
        );
    }

    #[test]
    fn the_cpu_needs_nothing() {
        assert_eq!(open(&AskedDevice::by_config(DeviceChoice::Cpu)).ok(), Some(Device::Cpu));
    }
}

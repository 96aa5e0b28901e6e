//! Initial values of parameters. All draw from libtorch's default generator of the CPU, which the host seeds, so that a seed means
//! the same values on every device.

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

const ON_CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Xavier-uniform (Glorot and Bengio 2010): uniform in ±√(6 / (fan_in + fan_out)), the fans being the two sizes of a
/// matrix `[fan_out, fan_in]` as it is stored.
///
/// # Errors
/// When the shape is not that of a matrix, or libtorch cannot allocate it.
pub fn xavier_uniform(shape: [i64; 2], device: Device) -> Result<Tensor> {
    let bound = (6.0 / (shape[0] + shape[1]) as f64).sqrt();
    uniform(&shape, bound, device)
}

/// Uniform in ±`bound`.
///
/// # Errors
/// When libtorch cannot allocate it.
pub fn uniform(shape: &[i64], bound: f64, device: Device) -> Result<Tensor> {
    let drawn = Tensor::f_empty(shape, ON_CPU).and_then(|mut x| x.f_uniform_(-bound, bound));
    made(shape, drawn.and_then(|x| x.f_to(device)))
}

/// Normal with mean 0 and variance 1.
///
/// # Errors
/// When libtorch cannot allocate it.
pub fn normal(shape: &[i64], device: Device) -> Result<Tensor> {
    made(shape, Tensor::f_randn(shape, ON_CPU).and_then(|x| x.f_to(device)))
}

/// All zero.
///
/// # Errors
/// When libtorch cannot allocate it.
pub fn zeros(shape: &[i64], device: Device) -> Result<Tensor> {
    made(shape, Tensor::f_zeros(shape, (Kind::Float, device)))
}

/// All one.
///
/// # Errors
/// When libtorch cannot allocate it.
pub fn ones(shape: &[i64], device: Device) -> Result<Tensor> {
    made(shape, Tensor::f_ones(shape, (Kind::Float, device)))
}

/// Values that libtorch made, or the error that it could not.
fn made(shape: &[i64], values: Result<Tensor, tch::TchError>) -> Result<Tensor> {
    values.map_err(|error| Error::from(error).context(format!("cannot make a tensor of shape {shape:?}")))
}

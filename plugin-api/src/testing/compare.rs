//! Tensors against others, with a message that says where they differ.

use std::fmt;

use tch::{Device, Kind, Tensor};

use crate::{Error, NamedTensors, Result};

/// How far a value may lie from the one that is expected: `absolute + relative · |expected|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// In the values' own unit.
    pub absolute: f64,
    /// Share of the expected value.
    pub relative: f64,
}

impl Default for Tolerance {
    /// What sums of float32 in another order need: 1e-5 of each.
    fn default() -> Self {
        Self::of(1e-5)
    }
}

impl Tolerance {
    /// Not at all.
    pub const EXACT: Self = Self { absolute: 0.0, relative: 0.0 };

    /// The same number for both.
    #[must_use]
    pub const fn of(tolerance: f64) -> Self {
        Self { absolute: tolerance, relative: tolerance }
    }

    /// Whether `found` is near enough. Infinite values are near to themselves only, and NaN to NaN.
    #[must_use]
    pub fn allows(self, found: f64, expected: f64) -> bool {
        if found == expected || (found.is_nan() && expected.is_nan()) {
            return true;
        }
        found.is_finite() && expected.is_finite() && (found - expected).abs() <= self.of_value(expected)
    }

    fn of_value(self, expected: f64) -> f64 {
        self.absolute + self.relative * expected.abs()
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:e} + {:e} of the value", self.absolute, self.relative)
    }
}

/// Compares the tensor `found`, called `name` in messages, with `expected`: shape, kind, and each value.
///
/// # Errors
/// When they differ, naming the tensor, the index where they differ most, and both values there.
pub fn compare(name: &str, found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<()> {
    if found.size() != expected.size() {
        return Err(Error::new(format!(
            "`{name}` has shape {:?}, expected {:?}",
            found.size(),
            expected.size()
        )));
    }
    if found.kind() != expected.kind() {
        return Err(Error::new(format!(
            "`{name}` has kind {:?}, expected {:?}",
            found.kind(),
            expected.kind()
        )));
    }
    let (values, wanted) = (values(found)?, values(expected)?);
    let mut differing = 0_usize;
    // How far beyond what is allowed, and where.
    let mut worst: Option<(f64, usize)> = None;
    for (at, (value, wanted)) in values.iter().zip(&wanted).enumerate() {
        if tolerance.allows(*value, *wanted) {
            continue;
        }
        differing += 1;
        let beyond = (value - wanted).abs() - tolerance.of_value(*wanted);
        let beyond = if beyond.is_nan() { f64::INFINITY } else { beyond };
        if worst.is_none_or(|(least, _)| beyond > least) {
            worst = Some((beyond, at));
        }
    }
    let Some((_, at)) = worst else { return Ok(()) };
    let (value, wanted) = (values[at], wanted[at]);
    Err(Error::new(format!(
        "`{name}` differs at {:?}: found {value}, expected {wanted} (by {:.3e}, allowed are {tolerance}); {differing} of {} values differ",
        index(at, &found.size()),
        (value - wanted).abs(),
        values.len()
    )))
}

/// Compares tensors by name, in any order.
///
/// # Errors
/// When a name is missing or not expected, or tensors differ; all that is wrong is said, not the first only.
pub fn compare_all(found: &[(String, Tensor)], expected: &NamedTensors, tolerance: Tolerance) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, expected) in expected {
        match found.iter().find(|(known, _)| known == name) {
            Some((_, found)) => {
                wrong.extend(compare(name, found, expected, tolerance).err().map(|error| error.to_string()));
            }
            None => wrong.push(format!("`{name}` is missing")),
        }
    }
    for (name, _) in found {
        if !expected.iter().any(|(known, _)| known == name) {
            wrong.push(format!("`{name}` is not expected"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::new(wrong.join("; "))) }
}

/// Panics unless [`compare`] finds `found` and `expected` alike.
///
/// # Panics
/// With the message of [`compare`], at the line that calls it.
#[track_caller]
pub fn assert_close(name: &str, found: &Tensor, expected: &Tensor, tolerance: Tolerance) {
    if let Err(error) = compare(name, found, expected, tolerance) {
        panic!("{error}");
    }
}

/// All values in their order. Float64 holds those of every kind but large 64-bit integers.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_detach()?.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
    Ok(Vec::<f64>::try_from(&flat.f_contiguous()?)?)
}

/// The index of the value of this number in a tensor of this shape.
pub(super) fn index(mut number: usize, shape: &[i64]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (at, size) in shape.iter().enumerate().rev() {
        let size = usize::try_from(*size).unwrap_or(1).max(1);
        index[at] = number % size;
        number /= size;
    }
    index
}

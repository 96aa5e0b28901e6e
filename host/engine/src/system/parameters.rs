//! The parameters of a system by their names in a file: `encoder.` or `tlm_outputs.` before the component's own name.

use std::collections::BTreeMap;

use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::archive::Archive;
use kiwi_plugin_api::Parameter;
use tch::{Tensor, no_grad};

use crate::torch::{dtype_of, kind_of, tensor_from};

/// The prefix of the encoder's names.
pub(crate) const ENCODER: &str = "encoder.";
/// The prefix of the head's names.
pub(crate) const HEAD: &str = "tlm_outputs.";

/// The entries with `prefix` before their names; second names are left out, since they hold nothing of their own.
pub(crate) fn prefixed(prefix: &str, parameters: Vec<Parameter>) -> Vec<Parameter> {
    parameters
        .into_iter()
        .filter(|parameter| parameter.alias_of.is_none())
        .map(|mut parameter| {
            parameter.name.insert_str(0, prefix);
            parameter
        })
        .collect()
}

/// The most common last dimension, of equally common ones the largest; 0 if there is none.
pub(crate) fn most_common_size(tensors: &[Tensor]) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for size in tensors.iter().filter_map(|tensor| tensor.size().last().copied()) {
        *counts.entry(size).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(size, count)| (*count, *size)).map_or(0, |(size, _)| size)
}

/// Tensors that are complained about one by one; of more than these only the number is told.
const TOLD: usize = 6;

/// Copies the values in a file into `parameters`; its tensors are values of parameters where `is_value` says so of the name.
/// `vocabularies` says how large they are, for the complaints.
///
/// # Errors
/// Every tensor that is missing, of another shape or type, or that no parameter is named after; then nothing is copied.
pub(crate) fn load(
    parameters: &[Parameter],
    saved: &Archive,
    is_value: fn(&str) -> bool,
    vocabularies: &str,
) -> Result<(), Failure> {
    let file = saved.path().display();
    let mut errors = Vec::new();
    let mut values: Vec<(Tensor, Tensor)> = Vec::new();
    for parameter in parameters {
        let name = &parameter.name;
        let shape = parameter.tensor.size();
        let kind = dtype_of(parameter.tensor.kind());
        let expected = format!("{kind} of shape {shape:?}");
        let Some(data) = saved.tensor(name) else {
            errors.push(
                Diagnostic::error(Code::TensorsDoNotFit, format!("{file} has no tensor `{name}`"))
                    .expected(expected),
            );
            continue;
        };
        let found: Vec<i64> = data.shape.iter().map(|size| *size as i64).collect();
        if found != shape || kind_of(data.dtype) != Some(parameter.tensor.kind()) {
            errors.push(
                Diagnostic::error(
                    Code::TensorsDoNotFit,
                    format!("the tensor `{name}` in {file} does not fit the system"),
                )
                .found(format!("{:?} of shape {found:?}", data.dtype))
                .expected(expected),
            );
            continue;
        }
        match tensor_from(&data) {
            Ok(tensor) => values.push((parameter.tensor.shallow_clone(), tensor)),
            Err(error) => errors.push(Diagnostic::error(
                Code::TensorsDoNotFit,
                format!("the tensor `{name}` in {file}: {error}"),
            )),
        }
    }
    for data in saved.tensors().filter(|data| is_value(&data.name)) {
        if !parameters.iter().any(|parameter| parameter.name == data.name) {
            let known = parameters.iter().map(|parameter| parameter.name.as_str());
            errors.push(
                Diagnostic::error(
                    Code::TensorsDoNotFit,
                    format!("{file} has a tensor `{}`, which the system has not", data.name),
                )
                .found(format!("{:?} of shape {:?}", data.dtype, data.shape))
                .nearest(nearest(&data.name, known)),
            );
        }
    }
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: shortened(errors, vocabularies) });
    }
    for (mut parameter, value) in values {
        no_grad(|| parameter.f_copy_(&value)).map_err(|error| {
            Failure::new(
                ExitCode::RunFailed,
                Diagnostic::error(Code::TorchFailed, format!("cannot load {file}: {error}")),
            )
        })?;
    }
    Ok(())
}

/// The first complaints, the last of which says how many more there are and what to do.
fn shortened(mut errors: Vec<Diagnostic>, vocabularies: &str) -> Vec<Diagnostic> {
    let more = errors.len().saturating_sub(TOLD);
    errors.truncate(TOLD);
    if let Some(last) = errors.last_mut() {
        if more > 0 {
            last.notes.push(format!("{more} more tensors are missing, do not fit, or are too many"));
        }
        last.notes.push(format!("nothing was loaded; the file's vocabularies: {vocabularies}"));
        last.help = Some(
            "the file is damaged, or its options are not those it was saved with, or the plugin has changed: \
             `kiwi-host inspect` shows what it holds"
                .to_owned(),
        );
    }
    errors
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_size_that_most_parameters_end_with() {
        let of = |shapes: &[&[i64]]| {
            let zeros = shapes.iter().map(|shape| Tensor::zeros(*shape, (Kind::Float, Device::Cpu)));
            most_common_size(&zeros.collect::<Vec<_>>())
        };
        assert_eq!(of(&[&[3, 8], &[8], &[5, 16], &[2]]), 8);
        assert_eq!(of(&[&[3, 8], &[5, 16], &[]]), 16, "of equally common ones the largest");
        assert_eq!(of(&[&[]]), 0);
    }
}

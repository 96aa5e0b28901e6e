//! Whether an optimizer can use sparse gradients, found out on a table of two rows before anything is trained.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::ParameterGroup;
use kiwi_plugin_api::abi::guard::FailureKind;
use kiwi_plugin_api::abi::host::OptimizerInstance;
use tch::{Device, Kind, Tensor};

use super::needs::SparseParameter;
use super::{Checked, Setup};

/// The complaints that the optimizer refuses the gradients of those of `sparse` that it trains.
///
/// # Errors
/// When the plugin breaks at it.
pub(crate) fn refused(
    optimizer: &Checked,
    trained: &ParameterGroup,
    sparse: &[SparseParameter],
) -> Result<Vec<Diagnostic>, Failure> {
    let trains =
        |parameter: &&SparseParameter| trained.parameters.iter().any(|(name, _)| *name == parameter.name);
    let mut errors = Vec::new();
    for parameter in sparse.iter().filter(trains) {
        let table = table_with_sparse_gradient().map_err(|error| {
            let error = format!("a sparse gradient could not be made: {error}");
            Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::TorchFailed, error))
        })?;
        let group = ParameterGroup::new(&*trained.name, vec![(parameter.name.clone(), table)]);
        let tried = OptimizerInstance::create(&optimizer.handle, &optimizer.config, &[group])
            .and_then(|mut instance| instance.step(&[1.0]).map(|()| instance))
            .and_then(OptimizerInstance::close);
        match tried {
            Ok(()) => {}
            Err(error) if error.kind == FailureKind::Error => {
                let reason = &parameter.reason;
                let complaint = Diagnostic::error(
                    Code::PartsDoNotFit,
                    format!(
                        "{} gives `{}` a sparse gradient, which the optimizer `{}` cannot use",
                        reason.who(),
                        parameter.name,
                        optimizer.resolved.class
                    ),
                );
                let other = "choose an optimizer that takes sparse gradients";
                let help = match reason.changeable() {
                    Some(path) => format!("set {path} to false, or {other}"),
                    None => other.to_owned(),
                };
                errors.push(reason.place(complaint).note(error.message).help(help));
            }
            Err(error) => return Err(Setup(error).into()),
        }
    }
    Ok(errors)
}

/// A table `[2, 1]` of which one row was looked up, with the gradient of that.
fn table_with_sparse_gradient() -> Result<Tensor, tch::TchError> {
    let table = Tensor::f_zeros([2, 1], (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?;
    let row = Tensor::f_zeros([1], (Kind::Int64, Device::Cpu))?;
    Tensor::f_embedding(&table, &row, -1, false, true)?.f_sum(Kind::Float)?.f_backward()?;
    Ok(table)
}

//! The functions by which a plugin in plain C says what came of a call: results go into the call they belong to.
//!
//! A plugin may call them with anything. What they cannot take is noted in the call, which then fails with it; nothing unwinds out
//! of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

use super::results::{Failure, Results, State};
use crate::abi::c::host::{KIWI_PARAMETER_BUFFER, KIWI_PARAMETER_TRAINABLE};
use crate::abi::c::{KiwiCall, KiwiTensor, KiwiText};
use crate::{
    ConfigProblem, Feature, LongestSentence, MetricRequest, NamedTensors, NeededField, Parameter, Projection,
    SparseGradient,
};

/// The text of a plugin.
pub(super) unsafe fn text<'a>(what: &str, text: KiwiText) -> Result<&'a str, String> {
    if text.length == 0 {
        return Ok("");
    }
    if text.pointer.is_null() {
        return Err(format!("{what} has {} bytes at address 0", text.length));
    }
    // SAFETY: the boundary says that so many bytes lie there during the call.
    let bytes = unsafe { std::slice::from_raw_parts(text.pointer.cast::<u8>(), text.length) };
    std::str::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))
}

/// A handle of the host's own to a plugin's tensor.
unsafe fn tensor(what: &str, pointer: *const KiwiTensor) -> Result<Tensor, String> {
    if pointer.is_null() {
        return Err(format!("{what} is a null pointer: expected the address of an `at::Tensor`"));
    }
    // SAFETY: the boundary says that an `at::Tensor` lies there during the call; a shallow clone owns itself.
    let tensor = unsafe { Tensor::clone_from_ptr(pointer.cast_mut().cast::<C_tensor>()) };
    if tensor.defined() { Ok(tensor) } else { Err(format!("{what} is an undefined tensor")) }
}

/// Takes a result of this call.
unsafe fn take(call: *mut KiwiCall, put: impl FnOnce(&mut Results) -> Result<(), String>) {
    // SAFETY: the address is that of the `State` of the call under way, on the thread that it was given to.
    let Some(state) = (unsafe { call.cast::<State>().as_mut() }) else { return };
    let taken = catch_unwind(AssertUnwindSafe(|| put(&mut state.results)));
    if let Err(misuse) = taken.unwrap_or_else(|_| Err("the host could not take what it gave".to_owned())) {
        state.misuse.get_or_insert(misuse);
    }
}

pub(super) unsafe extern "C" fn fail(call: *mut KiwiCall, kind: u32, message: KiwiText) {
    // SAFETY: as in `take`.
    let Some(state) = (unsafe { call.cast::<State>().as_mut() }) else { return };
    // SAFETY: as the boundary says of every text.
    let message = unsafe { text("its message", message) };
    let message = message.map_or_else(|misuse| misuse, str::to_owned);
    state.failure = Some(Failure { kind, message, causes: Vec::new() });
}

pub(super) unsafe extern "C" fn fail_cause(call: *mut KiwiCall, cause: KiwiText) {
    // SAFETY: as in `take`.
    let Some(state) = (unsafe { call.cast::<State>().as_mut() }) else { return };
    // SAFETY: as the boundary says of every text.
    let cause = unsafe { text("the cause of its failure", cause) };
    if let Some(failure) = &mut state.failure {
        failure.causes.push(cause.map_or_else(|misuse| misuse, str::to_owned));
    }
}

/// Takes a named tensor into one of the lists of the results.
unsafe fn take_named(
    call: *mut KiwiCall,
    what: &str,
    name: KiwiText,
    value: *const KiwiTensor,
    list: impl FnOnce(&mut Results) -> &mut NamedTensors,
) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let name = text(what, name)?.to_owned();
            let value = tensor(&format!("{what} `{name}`"), value)?;
            put_in_place(list(results), name, value);
            Ok(())
        });
    }
}

fn put_in_place(list: &mut NamedTensors, name: String, value: Tensor) {
    match list.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => list.push((name, value)),
    }
}

pub(super) unsafe extern "C" fn put_feature(call: *mut KiwiCall, name: KiwiText, value: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let name = text("the name of a feature", name)?;
            let value = tensor(&format!("its feature `{name}`"), value)?;
            results.features.push(name, Feature::Tensor(value));
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_projection(
    call: *mut KiwiCall,
    name: KiwiText,
    input: *const KiwiTensor,
    weight: *const KiwiTensor,
    bias: *const KiwiTensor,
) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let name = text("the name of a feature", name)?;
            let part = |what: &str, part| tensor(&format!("the {what} of its feature `{name}`"), part);
            let (input, weight) = (part("input", input)?, part("weight", weight)?);
            let bias = if bias.is_null() { None } else { Some(part("bias", bias)?) };
            results.features.push(name, Feature::Projection(Projection { input, weight, bias }));
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_parameter(
    call: *mut KiwiCall,
    name: KiwiText,
    value: *const KiwiTensor,
    flags: u32,
    alias_of: KiwiText,
) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let name = text("the name of a parameter", name)?.to_owned();
            if results.parameters.iter().any(|known| known.name == name) {
                return Err(format!("two of its parameters are named `{name}`"));
            }
            let alias_of = Some(text("the name of a parameter", alias_of)?).filter(|name| !name.is_empty());
            results.parameters.push(Parameter {
                tensor: tensor(&format!("its parameter `{name}`"), value)?,
                name,
                trainable: flags & KIWI_PARAMETER_TRAINABLE != 0,
                buffer: flags & KIWI_PARAMETER_BUFFER != 0,
                alias_of: alias_of.map(str::to_owned),
            });
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_tensor(call: *mut KiwiCall, name: KiwiText, value: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe { take_named(call, "the tensor", name, value, |results| results.tensors.get_or_insert_default()) }
}

pub(super) unsafe extern "C" fn put_no_tensor(call: *mut KiwiCall) {
    // SAFETY: as the boundary says of calls.
    unsafe {
        take(call, |results| {
            results.tensors.get_or_insert_default();
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_trace(call: *mut KiwiCall, name: KiwiText, value: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let name = text("the name of a traced tensor", name)?.to_owned();
            let value = tensor(&format!("the traced tensor `{name}`"), value)?;
            results.trace.push((name, value));
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_loss(call: *mut KiwiCall, loss: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls and tensors.
    unsafe {
        take(call, |results| {
            results.loss = Some(tensor("its loss", loss)?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn put_loss_count(call: *mut KiwiCall, count: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls and tensors.
    unsafe {
        take(call, |results| {
            results.loss_count = Some(tensor("the count of its loss", count)?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn put_output(
    call: *mut KiwiCall,
    output: KiwiText,
    name: KiwiText,
    value: *const KiwiTensor,
) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe {
        take(call, |results| {
            let output = text("the name of an output", output)?;
            let name = text("the name of a tensor", name)?.to_owned();
            let value = tensor(&format!("the tensor `{name}` of its output `{output}`"), value)?;
            match results.outputs.iter_mut().find(|(known, _)| known == output) {
                Some((_, tensors)) => put_in_place(tensors, name, value),
                None => results.outputs.push((output.to_owned(), vec![(name, value)])),
            }
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_scalar(call: *mut KiwiCall, name: KiwiText, value: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls, texts and tensors.
    unsafe { take_named(call, "the scalar", name, value, |results| &mut results.scalars) }
}

pub(super) unsafe extern "C" fn put_contribution(call: *mut KiwiCall, contribution: *const KiwiTensor) {
    // SAFETY: as the boundary says of calls and tensors.
    unsafe {
        take(call, |results| {
            results.contribution = Some(tensor("its contribution", contribution)?);
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_number(call: *mut KiwiCall, value: f64) {
    // SAFETY: as the boundary says of calls.
    unsafe {
        take(call, |results| {
            results.number = Some(value);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn put_text(call: *mut KiwiCall, value: KiwiText) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            results.text = Some(text("its text", value)?.to_owned());
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn put_hidden_size(call: *mut KiwiCall, size: i64) {
    // SAFETY: as the boundary says of calls.
    unsafe {
        take(call, |results| {
            results.hidden_size = Some(size);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn put_feature_size(call: *mut KiwiCall, name: KiwiText, size: i64) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            results.feature_sizes.insert(text("the name of a feature", name)?.to_owned(), size);
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_metric(call: *mut KiwiCall, output: KiwiText, class_name: KiwiText) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let (output, class) = (text("the name of an output", output)?, text("a metric", class_name)?);
            results.metrics.push(MetricRequest::new(output, class));
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_problem(
    call: *mut KiwiCall,
    path: KiwiText,
    message: KiwiText,
    expected: KiwiText,
    help: KiwiText,
) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let part = |what, part| Ok::<_, String>(Some(text(what, part)?).filter(|part| !part.is_empty()));
            let path = text("the path of a problem", path)?;
            let problem = match part("the message of a problem", message)? {
                Some(message) => ConfigProblem::new(path, message),
                None => ConfigProblem::new(path, crate::config::invalid_value(path)),
            };
            results.report.errors.push(ConfigProblem {
                expected: part("what is expected", expected)?.map(str::to_owned),
                help: part("the help of a problem", help)?.map(str::to_owned),
                ..problem
            });
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn put_warning(call: *mut KiwiCall, path: KiwiText, message: KiwiText) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let (path, message) = (text("the path of a warning", path)?, text("a warning", message)?);
            results.report.warning(path, message);
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn need_field(call: *mut KiwiCall, field: KiwiText, option: KiwiText) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let (field, option) = (text("the name of a field", field)?, text("an option", option)?);
            results.needs.fields.push(NeededField::new(field, option));
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn need_shorter(
    call: *mut KiwiCall,
    field: KiwiText,
    positions: i64,
    option: KiwiText,
) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let (field, option) = (text("the name of a field", field)?, text("an option", option)?);
            let (field, option) = (field.to_owned(), option.to_owned());
            results.needs.longest.push(LongestSentence { field, positions, option });
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn need_sparse_gradient(
    call: *mut KiwiCall,
    parameter: KiwiText,
    option: KiwiText,
) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let (parameter, option) =
                (text("the name of a parameter", parameter)?, text("an option", option)?);
            let (parameter, option) = (parameter.to_owned(), option.to_owned());
            results.needs.sparse_gradients.push(SparseGradient { parameter, option });
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn need_carried_state(call: *mut KiwiCall) {
    // SAFETY: as the boundary says of calls.
    unsafe {
        take(call, |results| {
            results.needs.carries_state = true;
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn need_feature(call: *mut KiwiCall, name: KiwiText) {
    // SAFETY: as the boundary says of calls and texts.
    unsafe {
        take(call, |results| {
            let name = text("the name of a feature", name)?.to_owned();
            results.needed_features.get_or_insert_default().push(name);
            Ok(())
        });
    }
}

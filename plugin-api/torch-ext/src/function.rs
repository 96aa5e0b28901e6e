//! Differentiable operations whose backward is written in Rust.

use std::ffi::{c_char, c_void};
use std::slice;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::ffi::{self, Message, Out};
use crate::{TorchError, guard};

/// What the forward of a [`custom_function`] gives.
#[derive(Debug)]
pub struct Evaluated {
    /// The results.
    pub outputs: Vec<Tensor>,
    /// What backward wants of them: inputs and outputs (their shallow clones) or tensors of its own. Changing an input in
    /// place before backward is then an error, as everywhere in autograd.
    pub saved: Vec<Tensor>,
}

/// Runs `forward` over `inputs`, without recording it, and makes `backward` the way back from its outputs.
///
/// `backward` gets the saved tensors and the gradient of each output (zeros where there is none) and returns the gradient
/// of each input, `None` where there is none or none is wanted. It may run on another thread, more than once if the graph
/// is retained, and never if no input needs a gradient. A panic in it, or a wrong number of gradients, is an error of
/// the `backward` call that runs it. What it computes is itself differentiable when that call creates a graph.
///
/// What `forward` computes besides, for which there is no gradient, it can leave in variables of its caller.
///
/// ```
/// use kiwi_torch_ext::{Evaluated, custom_function};
/// use tch::{Kind, Tensor};
///
/// // x² with its gradient cut to [-1, 1].
/// let x = Tensor::from_slice(&[0.25, 3.0]).set_requires_grad(true);
/// let y = custom_function(
///     &[&x],
///     |inputs| Evaluated { outputs: vec![inputs[0].square()], saved: vec![inputs[0].shallow_clone()] },
///     |saved, gradients| vec![Some((&saved[0] * 2 * &gradients[0]).clamp(-1, 1))],
/// )?;
/// y[0].sum(Kind::Double).backward();
/// assert_eq!(Vec::<f64>::try_from(x.grad())?, [0.5, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn custom_function<F, B>(inputs: &[&Tensor], forward: F, backward: B) -> Result<Vec<Tensor>, TorchError>
where
    F: FnOnce(&[&Tensor]) -> Evaluated,
    B: Fn(&[Tensor], &[Tensor]) -> Vec<Option<Tensor>> + Send + Sync + 'static,
{
    let input_pointers: Vec<*const C_tensor> = inputs.iter().map(|tensor| tensor.as_ptr()).collect();
    // SAFETY: as many live tensors as said.
    let recorded = unsafe { ffi::kiwi_torch_needs_graph(input_pointers.as_ptr(), input_pointers.len()) };
    let Evaluated { outputs, saved } = {
        let _no_grad = tch::no_grad_guard();
        forward(inputs)
    };
    if !recorded {
        return Ok(outputs);
    }
    let output_pointers = ffi::pointers(&outputs);
    let saved_pointers = ffi::pointers(&saved);
    let mut out = vec![std::ptr::null_mut(); outputs.len()];
    let closure = Box::into_raw(Box::new(backward)).cast::<c_void>();
    // SAFETY: each list is of the length said, of live tensors. The shim owns `closure` from here on and uses it only
    // with the two functions given, which know its type; it may do so on any thread since `B` is Send and Sync. `out` has
    // room for all outputs and is filled with owned tensors when the call succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_attach_backward(
            input_pointers.as_ptr(),
            input_pointers.len(),
            output_pointers.as_ptr(),
            output_pointers.len(),
            saved_pointers.as_ptr(),
            saved_pointers.len(),
            closure,
            run_backward::<B>,
            drop_closure::<B>,
            out.as_mut_ptr(),
        ))?;
        Ok(out.into_iter().map(|tensor| ffi::own(tensor)).collect())
    }
}

unsafe extern "C" fn drop_closure<B>(closure: *mut c_void) {
    // SAFETY: the shim calls this once, with the closure that `custom_function` made of a `Box<B>`.
    let closure = unsafe { Box::from_raw(closure.cast::<B>()) };
    // What a destructor throws here has nowhere to go.
    let _ = guard(|| drop(closure));
}

/// Takes over the tensors at `list`.
///
/// # Safety
/// `list` holds `length` tensors that belong to the caller and are not used again.
unsafe fn take(list: Out, length: usize) -> Vec<Tensor> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { slice::from_raw_parts(list, length).iter().map(|&tensor| ffi::own(tensor)).collect() }
}

unsafe extern "C" fn run_backward<B>(
    closure: *const c_void,
    saved: Out,
    saved_length: usize,
    gradients: Out,
    gradients_length: usize,
    results: Out,
    results_length: usize,
) -> Message
where
    B: Fn(&[Tensor], &[Tensor]) -> Vec<Option<Tensor>>,
{
    // SAFETY: the shim passes the closure of `custom_function`, which lives as long as the node that calls it.
    let backward = unsafe { &*closure.cast::<B>() };
    // SAFETY: the shim gives these tensors away.
    let (saved, gradients) = unsafe { (take(saved, saved_length), take(gradients, gradients_length)) };
    let message = match guard(|| backward(&saved, &gradients)) {
        Err(caught) => format!("the backward of a custom function failed: {caught}"),
        Ok(found) if found.len() != results_length => format!(
            "the backward of a custom function returned {} gradients, expected {results_length}, one an input",
            found.len()
        ),
        Ok(found) => {
            for (i, gradient) in found.into_iter().enumerate() {
                let pointer = gradient.map_or(std::ptr::null_mut(), ffi::disown);
                // SAFETY: `results` has room for `results_length` pointers, and there are as many gradients.
                unsafe { results.add(i).write(pointer) };
            }
            return std::ptr::null_mut();
        }
    };
    // SAFETY: the shim copies as many bytes as there are.
    unsafe { ffi::kiwi_torch_string_new(message.as_ptr().cast::<c_char>(), message.len()) }
}

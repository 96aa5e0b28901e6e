//! Operations with a backward in Rust: right gradients, and failures that come out as errors.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiwi_torch_ext::{Evaluated, custom_function, gradients, install_panic_hook};
use tch::{Device, Kind, Tensor};

fn leaf(size: &[i64]) -> Tensor {
    Tensor::randn(size, (Kind::Double, Device::Cpu)).set_requires_grad(true)
}

/// tanh(a · b) and the sum of a's rows, with both gradients.
fn two_results(a: &Tensor, b: &Tensor) -> Vec<Tensor> {
    custom_function(
        &[a, b],
        |inputs| {
            let squashed = inputs[0].matmul(inputs[1]).tanh();
            let rows = inputs[0].sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
            let saved = vec![inputs[0].shallow_clone(), inputs[1].shallow_clone(), squashed.shallow_clone()];
            Evaluated { outputs: vec![squashed, rows], saved }
        },
        |saved, gradients| {
            let inner: Tensor = &gradients[0] * (1 - saved[2].square());
            let of_a = inner.matmul(&saved[1].tr()) + gradients[1].unsqueeze(1);
            vec![Some(of_a), Some(saved[0].tr().matmul(&inner))]
        },
    )
    .unwrap()
}

/// The gradient of a function at a leaf, by central differences.
fn numerically(x: &Tensor, f: impl Fn() -> Tensor) -> Tensor {
    const STEP: f64 = 1e-6;
    let flat = x.detach().view([-1]);
    let gradient = flat.zeros_like();
    for i in 0..flat.numel() as i64 {
        let mut entry = flat.get(i);
        let value = entry.double_value(&[]);
        let _ = entry.fill_(value + STEP);
        let above = f().double_value(&[]);
        let _ = entry.fill_(value - STEP);
        let below = f().double_value(&[]);
        let _ = entry.fill_(value);
        let _ = gradient.get(i).fill_((above - below) / (2.0 * STEP));
    }
    gradient.view_as(x)
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (a, b) = (leaf(&[3, 4]), leaf(&[4, 2]));
    let weights = Tensor::randn([3, 2], (Kind::Double, Device::Cpu));
    let loss = || {
        let results = two_results(&a, &b);
        (&results[0] * &weights).sum(Kind::Double) + results[1].square().sum(Kind::Double)
    };
    loss().backward();
    for x in [&a, &b] {
        let expected = numerically(x, loss);
        assert!(x.grad().allclose(&expected, 1e-6, 1e-7, false), "{:?} {:?}", x.grad(), expected);
    }
}

#[test]
fn an_output_without_gradient_counts_as_zero() {
    let (a, b) = (leaf(&[2, 2]), leaf(&[2, 2]));
    two_results(&a, &b)[1].sum(Kind::Double).backward();
    assert!(a.grad().allclose(&a.ones_like(), 0.0, 0.0, false));
    assert!(b.grad().allclose(&b.zeros_like(), 0.0, 0.0, false));
}

#[test]
fn the_gradient_is_differentiable_again() {
    let x = leaf(&[5]);
    let cube = |x: &Tensor| {
        custom_function(
            &[x],
            |inputs| Evaluated {
                outputs: vec![inputs[0].pow_tensor_scalar(3)],
                saved: vec![inputs[0].shallow_clone()],
            },
            |saved, gradients| vec![Some(saved[0].square() * 3 * &gradients[0])],
        )
        .unwrap()
        .remove(0)
    };
    let once = Tensor::run_backward(&[cube(&x).sum(Kind::Double)], &[&x], true, true).remove(0);
    let twice = Tensor::run_backward(&[once.sum(Kind::Double)], &[&x], false, false).remove(0);
    assert!(twice.allclose(&(&x * 6), 1e-12, 1e-12, false));
}

#[test]
fn a_retained_graph_runs_backward_again_and_a_released_one_does_not() {
    let (a, b) = (leaf(&[2, 2]), leaf(&[2, 2]));
    let loss = two_results(&a, &b)[0].sum(Kind::Double);
    let first = Tensor::run_backward(&[&loss], &[&a], true, false).remove(0);
    let second = Tensor::run_backward(&[&loss], &[&a], false, false).remove(0);
    assert_eq!(first, second);
    let error = Tensor::f_run_backward(&[&loss], &[&a], false, false).unwrap_err().to_string();
    assert!(error.contains("second time"), "{error}");
}

struct Counted(Arc<AtomicUsize>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn identity_counting(x: &Tensor, dropped: &Arc<AtomicUsize>) -> Tensor {
    let counted = Counted(Arc::clone(dropped));
    let outputs = custom_function(
        &[x],
        |inputs| {
            let output = inputs[0] * 1;
            Evaluated { saved: vec![output.shallow_clone()], outputs: vec![output] }
        },
        move |_, gradients| {
            let _ = &counted;
            vec![Some(gradients[0].shallow_clone())]
        },
    );
    outputs.unwrap().remove(0)
}

#[test]
fn the_closure_goes_with_the_graph() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let x = leaf(&[2]);
    let y = identity_counting(&x, &dropped);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(y); // that it saved its own output must not keep the node alive
    assert_eq!(dropped.load(Ordering::Relaxed), 1);

    let y = tch::no_grad(|| identity_counting(&x, &dropped));
    assert_eq!(dropped.load(Ordering::Relaxed), 2, "without grad no node is made");
    assert!(!y.requires_grad());
    let constant = identity_counting(&x.detach(), &dropped);
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert!(!constant.requires_grad());
}

#[test]
fn grad_mode_is_put_back_when_forward_panics() {
    let x = leaf(&[2]);
    let forward = |_: &[&Tensor]| -> Evaluated { panic!("no result") };
    let outcome = kiwi_torch_ext::guard(|| custom_function(&[&x], forward, |_, _| Vec::new()));
    assert!(outcome.is_err());
    assert!((&x * 2).requires_grad());
}

#[test]
fn a_panic_in_backward_is_an_error_of_backward() {
    install_panic_hook();
    let x = leaf(&[2]);
    let y = custom_function(
        &[&x],
        |inputs| Evaluated { outputs: vec![inputs[0] * 2], saved: Vec::new() },
        |_, _| panic!("no way back"),
    )
    .unwrap();
    let error =
        Tensor::f_run_backward(&[y[0].sum(Kind::Double)], &[&x], false, false).unwrap_err().to_string();
    assert!(error.contains("the backward of a custom function failed: panic: no way back (at "), "{error}");
}

#[test]
fn whatever_an_operation_of_cpp_throws_in_backward_is_an_error() {
    let x = leaf(&[2]);
    let loss = kiwi_torch_ext_throwing::in_backward(&x).sum(Kind::Double);
    let error = gradients::backward(&loss).unwrap_err().to_string();
    assert!(error.contains("a C++ exception of the type int"), "{error}");
    // And one of libtorch's own is told as before; one that goes well counts.
    let error = gradients::backward(&x).unwrap_err().to_string();
    assert!(error.contains("grad can be implicitly created only for scalar outputs"), "{error}");
    let y = leaf(&[3]);
    gradients::backward(&y.square().sum(Kind::Double)).unwrap();
    assert!(y.grad().allclose(&(&y.detach() * 2.0), 1e-12, 0.0, false));
}

#[test]
fn wrong_gradients_are_an_error_of_backward() {
    let x = leaf(&[2]);
    let fails = |gradients: fn() -> Vec<Option<Tensor>>| {
        let y = custom_function(
            &[&x],
            |inputs| Evaluated { outputs: vec![inputs[0] * 2], saved: Vec::new() },
            move |_, _| gradients(),
        );
        let loss = y.unwrap()[0].sum(Kind::Double);
        Tensor::f_run_backward(&[loss], &[&x], false, false).unwrap_err().to_string()
    };
    let error = fails(Vec::new);
    assert!(error.contains("returned 0 gradients, expected 1, one an input"), "{error}");
    let error = fails(|| vec![Some(Tensor::zeros([3], (Kind::Double, Device::Cpu)))]);
    assert!(error.contains("shape"), "{error}");
}

#[test]
fn an_input_changed_before_backward_is_noticed() {
    let (a, b) = (leaf(&[2, 2]), leaf(&[2, 2]));
    let loss = two_results(&a, &b)[0].sum(Kind::Double);
    let _ = tch::no_grad(|| a.shallow_clone().fill_(1.0));
    let error = Tensor::f_run_backward(&[loss], &[&b], false, false).unwrap_err().to_string();
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn inputs_without_gradient_may_get_none() {
    let x = leaf(&[3]);
    let index = Tensor::from_slice(&[2_i64, 0]);
    let y = custom_function(
        &[&x, &index],
        |inputs| Evaluated {
            outputs: vec![inputs[0].index_select(0, inputs[1])],
            saved: vec![inputs[1].shallow_clone()],
        },
        |saved, gradients| {
            let zero = Tensor::zeros([3], (Kind::Double, Device::Cpu));
            vec![Some(zero.index_add(0, &saved[0], &gradients[0])), None]
        },
    );
    (&y.unwrap()[0] * Tensor::from_slice(&[5.0, 7.0])).sum(Kind::Double).backward();
    assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [7.0, 0.0, 5.0]);
    gradients::clear_gradients(&[x]).unwrap();
}

//! Fused steps against the formulas written out; list operations, clipping and gradients against tch's own.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use kiwi_torch_ext::optim::{AdamSettings, AdamTensors, SgdSettings, fused_adam, fused_adamw, fused_sgd};
use kiwi_torch_ext::{foreach, gradients};
use tch::{Device, Kind, Tensor};

const SHAPES: [&[i64]; 3] = [&[3, 5], &[7], &[2, 2, 2]];

fn random(kind: Kind) -> Vec<Tensor> {
    SHAPES.iter().map(|shape| Tensor::randn(*shape, (kind, Device::Cpu))).collect()
}

fn zeros(kind: Kind) -> Vec<Tensor> {
    SHAPES.iter().map(|shape| Tensor::zeros(*shape, (kind, Device::Cpu))).collect()
}

fn copies(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(Tensor::copy).collect()
}

fn assert_close(found: &[Tensor], expected: &[Tensor], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.size(), expected.size());
        assert!(found.allclose(expected, tolerance, tolerance, false), "{found:?}\n{expected:?}");
    }
}

/// One step of Adam for one parameter, as in its paper.
fn adam_by_hand(
    p: &Tensor,
    g: &Tensor,
    state: &mut [Tensor; 3],
    step: i32,
    s: &AdamSettings,
    decoupled: bool,
) -> Tensor {
    let mut g = if s.maximize { -g } else { g.copy() };
    let mut p = p.copy();
    if decoupled {
        p = &p * (1.0 - s.learning_rate * s.weight_decay);
    } else {
        g += &p * s.weight_decay;
    }
    state[0] = &state[0] * s.beta1 + &g * (1.0 - s.beta1);
    state[1] = &state[1] * s.beta2 + g.square() * (1.0 - s.beta2);
    state[2] = state[2].maximum(&state[1]);
    let squares = if s.amsgrad { &state[2] } else { &state[1] };
    let mean = &state[0] / (1.0 - s.beta1.powi(step));
    let root = (squares / (1.0 - s.beta2.powi(step))).sqrt() + s.epsilon;
    p - mean / root * s.learning_rate
}

#[test]
fn fused_adam_is_adam() {
    let plain = AdamSettings { learning_rate: 0.02, beta1: 0.8, beta2: 0.9, ..Default::default() };
    let decaying = AdamSettings { weight_decay: 0.1, epsilon: 1e-4, ..plain };
    let amsgrad = AdamSettings { amsgrad: true, maximize: true, ..decaying };
    for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::Double, 1e-12)] {
        for settings in [plain, decaying, amsgrad] {
            for decoupled in [false, true] {
                adam_case(kind, tolerance, &settings, decoupled);
            }
        }
    }
}

fn adam_case(kind: Kind, tolerance: f64, settings: &AdamSettings, decoupled: bool) {
    let parameters = random(kind);
    for parameter in &parameters {
        gradients::set_requires_grad(parameter, true).unwrap();
    }
    let mut expected: Vec<_> = parameters.iter().map(|p| p.detach().copy()).collect();
    let mut states: Vec<_> =
        expected.iter().map(|p| [p.zeros_like(), p.zeros_like(), p.zeros_like()]).collect();
    let (exp_avgs, exp_avg_sqs, largest) = (zeros(kind), zeros(kind), zeros(kind));
    let steps: Vec<_> = SHAPES.iter().map(|_| Tensor::zeros([0; 0], (Kind::Float, Device::Cpu))).collect();
    for step in 1..=4 {
        let gradients = random(kind);
        let tensors = AdamTensors {
            parameters: &parameters,
            gradients: &gradients,
            exp_avgs: &exp_avgs,
            exp_avg_sqs: &exp_avg_sqs,
            max_exp_avg_sqs: if settings.amsgrad { &largest } else { &[] },
            steps: &steps,
        };
        if decoupled { fused_adamw(&tensors, settings) } else { fused_adam(&tensors, settings) }.unwrap();
        for ((p, g), state) in expected.iter_mut().zip(&gradients).zip(&mut states) {
            *p = adam_by_hand(p, g, state, step, settings, decoupled);
        }
        assert_close(&parameters, &expected, tolerance);
        assert_eq!(steps[0].double_value(&[]), f64::from(step));
    }
    assert!(parameters.iter().all(|p| p.requires_grad() && p.is_leaf()));
}

#[test]
fn fused_sgd_is_gradient_descent() {
    let plain = SgdSettings {
        learning_rate: 0.1,
        momentum: 0.0,
        dampening: 0.0,
        weight_decay: 0.0,
        nesterov: false,
        maximize: false,
        first_step: true,
    };
    let momentum = SgdSettings { momentum: 0.9, dampening: 0.2, weight_decay: 0.05, ..plain };
    let nesterov = SgdSettings { momentum: 0.9, nesterov: true, maximize: true, ..plain };
    for settings in [plain, momentum, nesterov] {
        let parameters = random(Kind::Double);
        let mut expected = copies(&parameters);
        // What the buffers hold before the first step must not matter.
        let buffers = random(Kind::Double);
        let mut velocity: Vec<Option<Tensor>> = vec![None, None, None];
        for step in 0..3 {
            let gradients = random(Kind::Double);
            let settings = SgdSettings { first_step: step == 0, ..settings };
            fused_sgd(&parameters, &gradients, &buffers, &settings).unwrap();
            for ((p, g), v) in expected.iter_mut().zip(&gradients).zip(&mut velocity) {
                let mut g = if settings.maximize { -g } else { g.copy() } + &*p * settings.weight_decay;
                if settings.momentum != 0.0 {
                    let next = match v.take() {
                        None => g.copy(),
                        Some(v) => v * settings.momentum + &g * (1.0 - settings.dampening),
                    };
                    g = if settings.nesterov { g + &next * settings.momentum } else { next.copy() };
                    *v = Some(next);
                }
                *p = &*p - g * settings.learning_rate;
            }
            assert_close(&parameters, &expected, 1e-12);
        }
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let parameters = random(Kind::Float);
    let sgd = |gradients: &[Tensor]| {
        let settings = SgdSettings {
            learning_rate: 0.1,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
            first_step: true,
        };
        let before = copies(&parameters);
        let error = fused_sgd(&parameters, gradients, &[], &settings).unwrap_err().to_string();
        assert_close(&parameters, &before, 0.0);
        error
    };
    assert_eq!(sgd(&parameters[..2]), "fused_sgd: 2 tensors in gradients for 3 parameters");
    let mut gradients = random(Kind::Float);
    gradients[1] = Tensor::zeros([8], (Kind::Float, Device::Cpu));
    assert_eq!(sgd(&gradients), "fused_sgd: gradients[1] has shape [8], its parameter [7]");
    assert!(sgd(&random(Kind::Double)).contains("is of type Double, its parameter of Float"));
    let mut gradients = random(Kind::Float);
    gradients[0] = Tensor::zeros([5, 3], (Kind::Float, Device::Cpu)).t_();
    assert!(sgd(&gradients).contains("gradients[0] has strides [1, 3], its parameter [5, 1]"));
    gradients[0] = Tensor::zeros([1, 1], (Kind::Float, Device::Cpu)).expand([3, 5], false);
    assert!(sgd(&gradients).contains("without gaps"));
    let mismatch = foreach::mul_(&parameters, &parameters[1..]).unwrap_err();
    assert_eq!(mismatch.to_string(), "foreach::mul_: lists of 3 and 2 tensors, expected equal lengths");
}

#[test]
fn steps_of_another_type_are_refused() {
    let [parameters, gradients, averages, squares] = [(); 4].map(|()| random(Kind::Float));
    let tensors = AdamTensors {
        parameters: &parameters,
        gradients: &gradients,
        exp_avgs: &averages,
        exp_avg_sqs: &squares,
        max_exp_avg_sqs: &[],
        steps: &[0, 1, 2].map(|_| Tensor::from(1_i64)),
    };
    let error = fused_adam(&tensors, &AdamSettings::default()).unwrap_err();
    assert!(error.to_string().contains("steps[0] is a Long of shape [] on cpu"), "{error}");
}

#[test]
fn list_operations_are_those_of_single_tensors() {
    let (a, b) = (random(Kind::Double), random(Kind::Double));
    let c: Vec<_> = random(Kind::Double).iter().map(|c| c.abs() + 0.5).collect();
    type InPlace<'a> = Box<dyn Fn(&[Tensor]) + 'a>;
    type Single<'a> = Box<dyn Fn(&Tensor, usize) -> Tensor + 'a>;
    let cases: [(InPlace<'_>, Single<'_>); 10] = [
        (Box::new(|x| foreach::add_(x, &b, -2.0).unwrap()), Box::new(|x, i| x - &b[i] * 2)),
        (Box::new(|x| foreach::add_scalar_(x, 0.5).unwrap()), Box::new(|x, _| x + 0.5)),
        (Box::new(|x| foreach::mul_(x, &b).unwrap()), Box::new(|x, i| x * &b[i])),
        (Box::new(|x| foreach::mul_scalar_(x, 3.0).unwrap()), Box::new(|x, _| x * 3)),
        (Box::new(|x| foreach::div_(x, &c).unwrap()), Box::new(|x, i| x / &c[i])),
        (Box::new(|x| foreach::maximum_(x, &b).unwrap()), Box::new(|x, i| x.maximum(&b[i]))),
        (Box::new(|x| foreach::copy_(x, &b).unwrap()), Box::new(|_, i| b[i].copy())),
        (Box::new(|x| foreach::lerp_(x, &b, 0.3).unwrap()), Box::new(|x, i| x * 0.7 + &b[i] * 0.3)),
        (Box::new(|x| foreach::addcmul_(x, &b, &c, 0.2).unwrap()), Box::new(|x, i| x + &b[i] * &c[i] * 0.2)),
        (Box::new(|x| foreach::addcdiv_(x, &b, &c, 0.2).unwrap()), Box::new(|x, i| x + &b[i] / &c[i] * 0.2)),
    ];
    for (all, single) in cases {
        let found = copies(&a);
        all(&found);
        let expected: Vec<_> = a.iter().enumerate().map(|(i, x)| single(x, i)).collect();
        assert_close(&found, &expected, 1e-12);
    }
    assert_close(&foreach::abs(&b).unwrap(), &b.iter().map(Tensor::abs).collect::<Vec<_>>(), 1e-12);
    assert_close(&foreach::sqrt(&c).unwrap(), &c.iter().map(Tensor::sqrt).collect::<Vec<_>>(), 1e-12);
    let norms: Vec<_> = a.iter().map(|x| x.square().sum(Kind::Double).sqrt()).collect();
    assert_close(&foreach::norm(&a, 2.0).unwrap(), &norms, 1e-12);
    let largest: Vec<_> = a.iter().map(|x| x.abs().max()).collect();
    assert_close(&foreach::norm(&a, f64::INFINITY).unwrap(), &largest, 1e-12);
    foreach::zero_(&a).unwrap();
    assert_close(&a, &zeros(Kind::Double), 0.0);
}

#[test]
fn empty_lists_are_no_error() {
    foreach::add_(&[], &[], 1.0).unwrap();
    foreach::zero_(&[]).unwrap();
    assert!(foreach::norm(&[], 2.0).unwrap().is_empty());
    gradients::clear_gradients(&[]).unwrap();
    assert_eq!(gradients::clip_grad_norm(&[], 1.0).unwrap().double_value(&[]), 0.0);
}

#[test]
fn gradients_are_clipped_to_their_total_norm() {
    let parameters = random(Kind::Float);
    let mut all = random(Kind::Float);
    all.truncate(2); // the third has none
    for (parameter, gradient) in parameters.iter().zip(&all) {
        gradients::set_gradient(parameter, Some(&gradient.copy())).unwrap();
    }
    let squares: f64 = all.iter().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum();
    let norm = squares.sqrt();
    let found = || -> Vec<_> {
        parameters[..2].iter().map(|p| gradients::gradient(p).unwrap().expect("a gradient")).collect()
    };

    let total = gradients::clip_grad_norm(&parameters, norm * 2.0).unwrap();
    assert!((total.double_value(&[]) - norm).abs() < 1e-5 * norm);
    assert_close(&found(), &all, 1e-6);

    let total = gradients::clip_grad_norm(&parameters, norm / 4.0).unwrap();
    assert!((total.double_value(&[]) - norm).abs() < 1e-5 * norm, "the norm before clipping is returned");
    let quarter: Vec<_> = all.iter().map(|g| g / 4).collect();
    assert_close(&found(), &quarter, 1e-5);
    assert!(gradients::gradient(&parameters[2]).unwrap().is_none());
}

#[test]
fn a_tiny_norm_is_held_apart_from_zero() {
    let parameter = Tensor::zeros([2], (Kind::Double, Device::Cpu));
    gradients::set_gradient(&parameter, Some(&Tensor::from_slice(&[3e-6, 4e-6]))).unwrap();
    let _norm = gradients::clip_grad_norm(&[parameter.shallow_clone()], 2e-6).unwrap();
    let found = gradients::gradient(&parameter).unwrap().expect("a gradient") * 1e6;
    // A third, since 1e-6 is added to the norm of 5e-6, and not two fifths.
    assert_close(&[found], &[Tensor::from_slice(&[1.0, 4.0 / 3.0])], 1e-6);
    // So a limit just above the norm shortens it a little.
    gradients::set_gradient(&parameter, Some(&Tensor::from_slice(&[3e-6, 4e-6]))).unwrap();
    let _norm = gradients::clip_grad_norm(&[parameter.shallow_clone()], 5.5e-6).unwrap();
    let found = gradients::gradient(&parameter).unwrap().expect("a gradient") * 1e6;
    assert_close(&[found], &[Tensor::from_slice(&[3.0 * 5.5 / 6.0, 4.0 * 5.5 / 6.0])], 1e-6);
}

#[test]
fn a_gradient_can_be_read_set_and_taken_away() {
    let x = Tensor::from_slice(&[1.0, 2.0]);
    gradients::set_requires_grad(&x, true).unwrap();
    assert!(gradients::gradient(&x).unwrap().is_none());
    x.square().sum(Kind::Double).backward();
    let gradient = gradients::gradient(&x).unwrap().expect("a gradient");
    assert_eq!(Vec::<f64>::try_from(&gradient).unwrap(), [2.0, 4.0]);
    foreach::mul_scalar_(&[gradient], 10.0).unwrap();
    assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [20.0, 40.0], "it is the same memory");
    gradients::clear_gradients(std::slice::from_ref(&x)).unwrap();
    assert!(!x.grad().defined());
    let error =
        gradients::set_gradient(&x, Some(&Tensor::zeros([3], (Kind::Double, Device::Cpu)))).unwrap_err();
    assert_eq!(error.to_string(), "set_gradient: a gradient of shape [3] for a tensor of shape [2]");
    let result = &x * 2;
    assert!(
        gradients::set_requires_grad(&result, false).unwrap_err().to_string().contains("expected a leaf")
    );
    assert!(gradients::set_requires_grad(&Tensor::from(1_i64), true).is_err());
}

#[test]
fn a_sparse_gradient_is_clipped_by_the_rows_it_holds() {
    let table = Tensor::zeros([4, 2], (Kind::Double, Device::Cpu));
    // Row 1 stands in it twice: what counts is the sum.
    let sparse = Tensor::sparse_coo_tensor_indices_size(
        &Tensor::from_slice(&[1_i64, 3, 1]).view([1, 3]),
        &Tensor::from_slice(&[1.0, 0.0, 0.0, 4.0, 2.0, 0.0]).view([3, 2]),
        [4, 2],
        (Kind::Double, Device::Cpu),
        false,
    );
    let dense = Tensor::from_slice(&[12.0]);
    let beside = Tensor::zeros([1], (Kind::Double, Device::Cpu));
    gradients::set_gradient(&table, Some(&sparse)).unwrap();
    gradients::set_gradient(&beside, Some(&dense)).unwrap();
    let parameters = [table.shallow_clone(), beside.shallow_clone()];
    let norm = gradients::clip_grad_norm(&parameters, 1.3).unwrap().double_value(&[]);
    assert!((norm - 13.0).abs() < 1e-9, "{norm}");
    let found = gradients::gradient(&table).unwrap().expect("a gradient");
    assert!(found.is_sparse());
    let expected = Tensor::from_slice(&[0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.4]).view([4, 2]);
    assert_close(&[found.to_dense(None::<Kind>, false)], &[expected], 1e-6);
    let beside = gradients::gradient(&beside).unwrap().expect("a gradient");
    assert_close(&[beside], &[Tensor::from_slice(&[1.2])], 1e-6);
}

#[test]
fn gradients_that_are_not_finite_are_found_and_no_others() {
    let gradient = |values: &[f32]| {
        let parameter =
            Tensor::zeros([values.len() as i64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        gradients::set_gradient(&parameter, Some(&Tensor::from_slice(values))).unwrap();
        parameter
    };
    let found = |parameters: &[Tensor]| gradients::not_finite(parameters).unwrap().double_value(&[]);
    assert_eq!(found(&[]), 0.0);
    let without = Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert_eq!(found(&[gradient(&[1.0, -3.0]), gradient(&[2.0]), without]), 0.0);
    // Their squares would overflow.
    assert_eq!(found(&[gradient(&[3e38]), gradient(&[-1e38, 3e38])]), 0.0);
    assert_eq!(found(&[gradient(&[1.0]), gradient(&[2.0, f32::NEG_INFINITY])]), f64::INFINITY);
    assert!(found(&[gradient(&[1.0, f32::NAN]), gradient(&[f32::INFINITY])]).is_nan());
    // Anywhere in a long one, and in one that does not lie in a row.
    for place in [0, 1, 4097, 300_000, 1_000_002] {
        let mut values = vec![1.0_f32; 1_000_003];
        values[place] = f32::NAN;
        assert!(found(&[gradient(&values)]).is_nan(), "{place}");
    }
    let parameter = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let turned = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, f32::INFINITY, 6.0]).view([2, 3]).tr();
    gradients::set_gradient(&parameter, Some(&turned)).unwrap();
    assert_eq!(found(&[parameter]), f64::INFINITY);
}

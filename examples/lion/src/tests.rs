//! Steps against the formula, written out number by number, and what is saved and refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;

const SHAPES: [(&str, &[i64]); 3] = [("table", &[5, 3]), ("bias", &[4]), ("scalar", &[])];

/// libtorch's generator, which all tests of this process share, seeded. Nobody else draws while the guard lives.
fn seeded(seed: i64) -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    guard
}

/// Parameters in two groups, drawn with this seed.
fn groups(seed: i64) -> Vec<ParameterGroup> {
    let _drawing = seeded(seed);
    let parameter = |(name, shape): &(&str, &[i64])| {
        let values = Tensor::randn(*shape, (Kind::Double, Device::Cpu));
        ((*name).to_owned(), values.set_requires_grad(true))
    };
    let all: Vec<_> = SHAPES.iter().map(parameter).collect();
    let (first, second) = all.split_at(2);
    let group = |name: &str, parameters: &[(String, Tensor)]| {
        let shared = parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        ParameterGroup::new(name, shared.collect())
    };
    vec![group("first", first), group("second", second)]
}

fn parameters(groups: &[ParameterGroup]) -> NamedTensors {
    let all = groups.iter().flat_map(|group| &group.parameters);
    all.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

/// Gives each parameter a gradient of this step: some components zero, `scalar` none in even steps.
fn set_gradients(parameters: &[(String, Tensor)], step: i64) {
    let _drawing = seeded(1000 + step);
    for (name, parameter) in parameters {
        let drawn = Tensor::randn(parameter.size(), (Kind::Double, Device::Cpu));
        let gradient = &drawn * drawn.gt(-0.3).to_kind(Kind::Double);
        let missing = name == "scalar" && step % 2 == 0;
        let gradient = (!missing).then_some(&gradient);
        kiwi_plugin_api::torch_ext::gradients::set_gradient(parameter, gradient).unwrap();
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().reshape([-1])).unwrap()
}

#[test]
fn steps_follow_the_formula() {
    for (betas, weight_decay) in [([0.9, 0.99], 0.0), ([0.95, 0.98], 0.3), ([0.0, 0.0], 0.1)] {
        let groups = groups(3);
        let trained = parameters(&groups);
        let mut values: Vec<Vec<f64>> = trained.iter().map(|(_, tensor)| numbers(tensor)).collect();
        let mut momenta: Vec<Vec<f64>> = values.iter().map(|values| vec![0.0; values.len()]).collect();
        let mut lion = Lion::create(Config { betas, weight_decay }, groups).unwrap();
        for step in 1..=7 {
            set_gradients(&trained, step);
            lion.step(&[0.01, 0.002]).unwrap();
            for (i, (name, parameter)) in trained.iter().enumerate() {
                let rate = if name == "scalar" { 0.002 } else { 0.01 };
                if parameter.grad().defined() {
                    for (j, g) in numbers(&parameter.grad()).into_iter().enumerate() {
                        let (p, m) = (values[i][j], momenta[i][j]);
                        let direction = betas[0] * m + (1.0 - betas[0]) * g;
                        let sign = if direction == 0.0 { 0.0 } else { direction.signum() };
                        values[i][j] = p - rate * (sign + weight_decay * p);
                        momenta[i][j] = betas[1] * m + (1.0 - betas[1]) * g;
                    }
                }
                for (found, expected) in numbers(parameter).iter().zip(&values[i]) {
                    assert!(
                        (found - expected).abs() < 1e-12,
                        "{name} in step {step}: {found}, not {expected}"
                    );
                }
            }
        }
        for (name, momentum) in lion.state().unwrap() {
            let i = trained.iter().position(|(known, _)| name == format!("{known}.momentum")).unwrap();
            for (found, expected) in numbers(&momentum).iter().zip(&momenta[i]) {
                assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn a_state_that_is_loaded_goes_on_in_the_same_bits() {
    let config = Config { weight_decay: 0.1, ..Config::default() };
    let (one, other) = (groups(5), groups(5));
    let (of_one, of_other) = (parameters(&one), parameters(&other));
    let mut whole = Lion::create(config.clone(), one).unwrap();
    let mut first = Lion::create(config.clone(), other).unwrap();
    for step in 1..=6 {
        set_gradients(&of_one, step);
        whole.step(&[0.01, 0.01]).unwrap();
    }
    for step in 1..=3 {
        set_gradients(&of_other, step);
        first.step(&[0.01, 0.01]).unwrap();
    }
    let saved: NamedTensors =
        first.state().unwrap().iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    let rest = groups(6);
    let of_rest = parameters(&rest);
    for ((_, new), (_, trained)) in of_rest.iter().zip(&of_other) {
        tch::no_grad(|| new.shallow_clone().copy_(trained));
    }
    let mut second = Lion::create(config, rest).unwrap();
    second.load_state(saved).unwrap();
    for step in 4..=6 {
        set_gradients(&of_rest, step);
        second.step(&[0.01, 0.01]).unwrap();
    }
    for ((name, one), (_, other)) in of_one.iter().zip(&of_rest) {
        assert_eq!(numbers(one), numbers(other), "{name}");
    }
    for ((name, one), (_, other)) in whole.state().unwrap().iter().zip(second.state().unwrap()) {
        assert_eq!(numbers(one), numbers(&other), "{name}");
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_not_taken_over() {
    let groups = groups(7);
    let trained = parameters(&groups);
    let mut lion = Lion::create(Config::default(), groups).unwrap();
    set_gradients(&trained, 1);
    lion.step(&[0.1, 0.1]).unwrap();
    let before: Vec<_> = lion.state().unwrap().iter().map(|(_, tensor)| numbers(tensor)).collect();
    let like =
        |name: &str, shape: &[i64], kind| vec![(name.to_owned(), Tensor::ones(shape, (kind, Device::Cpu)))];
    let cases = [
        (
            like("bias.momentum", &[3], Kind::Double),
            "`bias.momentum` is Double of shape [3], expected Double of shape [4]",
        ),
        (
            like("bias.momentum", &[4], Kind::Float),
            "`bias.momentum` is Float of shape [4], expected Double of shape [4]",
        ),
        (like("other.momentum", &[4], Kind::Double), "the saved state is of `other`, which is not trained"),
        (like("bias.exp_avg", &[4], Kind::Double), "expected `PARAMETER.momentum`"),
    ];
    for (mut state, expected) in cases {
        let mut fitting = like("scalar.momentum", &[], Kind::Double);
        fitting.append(&mut state);
        let error = lion.load_state(fitting).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let after: Vec<_> = lion.state().unwrap().iter().map(|(_, tensor)| numbers(tensor)).collect();
    assert_eq!(before, after);
}

#[test]
fn sparse_gradients_and_a_wrong_number_of_rates_are_refused() {
    let table = Tensor::ones([6, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let before = numbers(&table.to_kind(Kind::Double));
    let parameters = vec![("table".to_owned(), table.shallow_clone())];
    let mut lion = Lion::create(Config::default(), vec![ParameterGroup::new("all", parameters)]).unwrap();
    Tensor::embedding(&table, &Tensor::from_slice(&[1_i64, 4]), -1, false, true).sum(Kind::Float).backward();
    let error = lion.step(&[0.1]).unwrap_err().to_string();
    assert!(error.starts_with("the gradient of `table` is sparse, which `lion` cannot use"), "{error}");
    assert_eq!(numbers(&table.to_kind(Kind::Double)), before);
    let error = lion.step(&[0.1, 0.2]).unwrap_err().to_string();
    assert_eq!(error, "2 learning rates for 1 parameter groups");
}

#[test]
fn options_out_of_range_are_all_reported() {
    let mut report = ConfigReport::default();
    Lion::check(&Config { betas: [1.0, -0.1], weight_decay: f64::NAN }, &mut report);
    let paths: Vec<_> = report.errors.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["betas[0]", "betas[1]", "weight_decay"]);
    let mut report = ConfigReport::default();
    Lion::check(&Config::default(), &mut report);
    assert!(report.errors.is_empty());
}

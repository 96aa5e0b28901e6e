//! The options of the optimizers against their formulas, written out for one number at a time; sparse gradients against the same
//! formulas, row by row.

use kiwi_plugin_api::abi::host::OptimizerInstance;
use kiwi_plugin_api::torch_ext::gradients::set_gradient;
use kiwi_plugin_api::{NamedTensors, ParameterGroup};
use kiwi_tests::built::component;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const STEPS: usize = 7;
const ROWS: usize = 5;
const COLUMNS: usize = 3;
/// The rate falls in the middle, as on a plateau.
const RATES: [f64; STEPS] = [0.1, 0.1, 0.1, 0.02, 0.02, 0.02, 0.02];

/// A number that looks random, in (-1, 1), a function of its place.
fn noise(step: usize, row: usize, column: usize) -> f64 {
    (1.0 + 7.3 * step as f64 + 3.1 * row as f64 + 1.7 * column as f64).sin()
}

/// Rows that a batch looks up in a step: others have no gradient where gradients are sparse.
fn looked_up(step: usize) -> Vec<usize> {
    (0..ROWS).filter(|row| !(row + step).is_multiple_of(3) && *row != 4).collect()
}

fn start(row: usize, column: usize) -> f64 {
    noise(100, row, column)
}

fn parameter() -> NamedTensors {
    let values: Vec<f64> =
        (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| start(row, column))).collect();
    let tensor = Tensor::from_slice(&values).view([ROWS as i64, COLUMNS as i64]).set_requires_grad(true);
    vec![("table".to_owned(), tensor)]
}

fn optimizer(class: &str, options: &Value, parameters: NamedTensors) -> OptimizerInstance {
    let handle = component("optimizers", "optimizer", class);
    let report = handle.check(options).unwrap();
    assert!(report.errors.is_empty(), "{class} {options}: {report:?}");
    OptimizerInstance::create(&handle, options, &[ParameterGroup::new("all", parameters)]).unwrap()
}

/// The gradient of a step: of all rows, or sparse with some rows given twice, half of it each time.
fn gradient(step: usize, sparse: bool) -> Tensor {
    let row_of = |row: usize| (0..COLUMNS).map(move |column| noise(step, row, column));
    if !sparse {
        let values: Vec<f64> = (0..ROWS).flat_map(row_of).collect();
        return Tensor::from_slice(&values).view([ROWS as i64, COLUMNS as i64]);
    }
    let rows = looked_up(step);
    let twice: Vec<usize> = rows.iter().chain(&rows).copied().collect();
    let indices: Vec<i64> = twice.iter().map(|row| *row as i64).collect();
    let values: Vec<f64> = twice.iter().flat_map(|row| row_of(*row)).map(|value| value / 2.0).collect();
    Tensor::sparse_coo_tensor_indices_size(
        &Tensor::from_slice(&indices).view([1, -1]),
        &Tensor::from_slice(&values).view([-1, COLUMNS as i64]),
        [ROWS as i64, COLUMNS as i64],
        (Kind::Double, Device::Cpu),
        false,
    )
}

/// Takes the steps and compares each number with what `by_hand` makes of it: a function of the number before, the gradient if it
/// has one, the step from 1, and the rate, with room for what it remembers.
fn compare(
    class: &str,
    options: &Value,
    sparse: bool,
    by_hand: impl Fn(f64, Option<f64>, i32, f64, &mut [f64; 4]) -> f64,
) {
    let parameters = parameter();
    let tensor = parameters[0].1.shallow_clone();
    let mut optimizer = optimizer(class, options, parameters);
    let mut expected: Vec<(f64, [f64; 4])> =
        (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (start(row, column), [0.0; 4]))).collect();
    for (step, rate) in RATES.iter().enumerate() {
        set_gradient(&tensor, Some(&gradient(step, sparse))).unwrap();
        optimizer.step(&[*rate]).unwrap();
        let rows = looked_up(step);
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let has_gradient = !sparse || rows.contains(&row);
                let gradient = has_gradient.then(|| noise(step, row, column));
                let (value, memory) = &mut expected[row * COLUMNS + column];
                *value = by_hand(*value, gradient, step as i32 + 1, *rate, memory);
                let found = tensor.double_value(&[row as i64, column as i64]);
                assert!(
                    (found - *value).abs() < 1e-10,
                    "{class} {options}, sparse {sparse}, step {step}, row {row}: {found}, expected {value}"
                );
            }
        }
    }
}

#[test]
fn sgd_with_momentum() {
    for (options, sparse) in [
        (json!({}), false),
        (json!({}), true),
        (json!({"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}), false),
        (json!({"momentum": 0.9, "dampening": 0.3}), true),
        (json!({"momentum": 0.8, "nesterov": true, "weight_decay": 0.1}), false),
        (json!({"momentum": 0.8, "nesterov": true}), true),
    ] {
        let number = |key: &str| options[key].as_f64().unwrap_or(0.0);
        let [momentum, dampening, decay] = ["momentum", "dampening", "weight_decay"].map(number);
        let nesterov = options["nesterov"].as_bool().unwrap_or(false);
        compare("sgd", &options, sparse, |p, g, step, rate, m| {
            let g = g.unwrap_or(0.0) + decay * p;
            m[0] = if step == 1 { g } else { momentum * m[0] + (1.0 - dampening) * g };
            p - rate
                * if nesterov {
                    g + momentum * m[0]
                } else if momentum > 0.0 {
                    m[0]
                } else {
                    g
                }
        });
    }
}

#[test]
fn averaged_sgd_with_an_early_average() {
    let options = json!({"lambd": 0.05, "alpha": 0.6, "t0": 2, "weight_decay": 0.1});
    compare("averaged_sgd", &options, false, |p, g, step, rate, m| {
        // The rate of a step comes from the step before.
        let eta = if step == 1 { rate } else { m[0] };
        let g = g.unwrap() + 0.1 * p;
        m[0] = rate / (1.0 + 0.05 * rate * f64::from(step)).powf(0.6);
        p * (1.0 - 0.05 * eta) - eta * g
    });
    // The averages: as the parameters until t0 + 1 steps, then a mean of all since.
    let parameters = parameter();
    let tensor = parameters[0].1.shallow_clone();
    let mut optimizer = optimizer("averaged_sgd", &options, parameters);
    let mut average = Tensor::zeros_like(&tensor);
    for (step, rate) in RATES.iter().enumerate() {
        set_gradient(&tensor, Some(&gradient(step, false))).unwrap();
        optimizer.step(&[*rate]).unwrap();
        let mu = 1.0 / f64::max(1.0, step as f64 - 2.0);
        average = tch::no_grad(|| &average + (&tensor - &average) * mu);
        let state = optimizer.state().unwrap();
        let (_, found) = state.iter().find(|(name, _)| name == "table.ax").unwrap();
        assert!(found.allclose(&average, 1e-10, 1e-10, false), "after step {step}");
    }
}

#[test]
fn adam_and_its_family() {
    for (class, options, betas, eps) in [
        (
            "adam",
            json!({"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1, "amsgrad": true}),
            [0.8, 0.95],
            1e-3,
        ),
        ("noam", json!({"weight_decay": 0.1}), [0.9, 0.98], 1e-9),
        ("adamw", json!({}), [0.9, 0.999], 1e-8),
        ("adamw", json!({"weight_decay": 0.2, "amsgrad": true}), [0.9, 0.999], 1e-8),
        ("adamw", json!({"bias_correction": false}), [0.9, 0.999], 1e-8),
        ("adamw", json!({"bias_correction": false, "amsgrad": true, "eps": 1e-6}), [0.9, 0.999], 1e-6),
    ] {
        let decoupled = class == "adamw";
        let decay = options["weight_decay"].as_f64().unwrap_or(if decoupled { 0.01 } else { 0.0 });
        let amsgrad = options["amsgrad"].as_bool().unwrap_or(false);
        let corrected = options["bias_correction"].as_bool().unwrap_or(true);
        compare(class, &options, false, |p, g, step, rate, m| {
            let g = g.unwrap() + if decoupled { 0.0 } else { decay * p };
            let shrunk = if decoupled && corrected { p * (1.0 - rate * decay) } else { p };
            m[0] = betas[0] * m[0] + (1.0 - betas[0]) * g;
            m[1] = betas[1] * m[1] + (1.0 - betas[1]) * g * g;
            m[2] = m[2].max(m[1]);
            let square = if amsgrad { m[2] } else { m[1] };
            if corrected {
                let root = (square / (1.0 - betas[1].powi(step))).sqrt() + eps;
                shrunk - rate * m[0] / (1.0 - betas[0].powi(step)) / root
            } else {
                let moved = p - rate * m[0] / (square.sqrt() + eps);
                moved * (1.0 - rate * decay)
            }
        });
    }
}

#[test]
fn adagrad_dense_and_sparse() {
    for (options, sparse) in [
        (json!({"lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}), false),
        (json!({"lr_decay": 0.2, "initial_accumulator_value": 0.5}), true),
        (json!({}), true),
    ] {
        let number = |key: &str, default| options[key].as_f64().unwrap_or(default);
        let (lr_decay, decay) = (number("lr_decay", 0.0), number("weight_decay", 0.0));
        let (initial, eps) = (number("initial_accumulator_value", 0.0), number("eps", 1e-10));
        compare("adagrad", &options, sparse, |p, g, step, rate, m| {
            let Some(g) = g else { return p };
            let g = g + decay * p;
            m[0] += g * g;
            let rate = rate / (1.0 + f64::from(step - 1) * lr_decay);
            p - rate * g / ((initial + m[0]).sqrt() + eps)
        });
    }
}

#[test]
fn sparse_adam_moves_the_rows_that_were_looked_up() {
    for (options, betas, eps) in
        [(json!({}), [0.9, 0.999], 1e-8), (json!({"betas": [0.5, 0.9], "eps": 1e-2}), [0.5, 0.9], 1e-2)]
    {
        compare("sparse_adam", &options, true, |p, g, step, rate, m| {
            let Some(g) = g else { return p };
            m[0] = betas[0] * m[0] + (1.0 - betas[0]) * g;
            m[1] = betas[1] * m[1] + (1.0 - betas[1]) * g * g;
            let scale = (1.0 - betas[1].powi(step)).sqrt() / (1.0 - betas[0].powi(step));
            p - rate * scale * m[0] / (m[1].sqrt() + eps)
        });
    }
}

#[test]
fn adadelta_adamax_and_rmsprop() {
    let options = json!({"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1});
    compare("adadelta", &options, false, |p, g, _, rate, m| {
        let g = g.unwrap() + 0.1 * p;
        m[0] = 0.8 * m[0] + 0.2 * g * g;
        let step = (m[1] + 1e-3).sqrt() / (m[0] + 1e-3).sqrt() * g;
        m[1] = 0.8 * m[1] + 0.2 * step * step;
        p - rate * step
    });
    let options = json!({"betas": [0.8, 0.9], "eps": 1e-2, "weight_decay": 0.1});
    compare("adamax", &options, false, |p, g, step, rate, m| {
        let g = g.unwrap() + 0.1 * p;
        m[0] = 0.8 * m[0] + 0.2 * g;
        m[1] = f64::max(0.9 * m[1], g.abs() + 1e-2);
        p - rate / (1.0 - 0.8f64.powi(step)) * m[0] / m[1]
    });
    for (centered, momentum) in [(false, 0.0), (true, 0.0), (false, 0.7), (true, 0.7)] {
        let options = json!({
            "alpha": 0.9, "eps": 1e-2, "weight_decay": 0.1, "centered": centered, "momentum": momentum
        });
        compare("rmsprop", &options, false, |p, g, _, rate, m| {
            let g = g.unwrap() + 0.1 * p;
            m[0] = 0.9 * m[0] + 0.1 * g * g;
            m[1] = 0.9 * m[1] + 0.1 * g;
            let root = if centered { m[0] - m[1] * m[1] } else { m[0] }.sqrt() + 1e-2;
            m[2] = momentum * m[2] + g / root;
            p - rate * m[2]
        });
    }
}

#[test]
fn a_parameter_without_a_gradient_keeps_its_own_count_of_steps() {
    for class in ["adam", "noam", "adamw", "adamax", "adagrad", "averaged_sgd", "adadelta", "rmsprop", "sgd"]
    {
        // Alone with all gradients, and beside one that has its gradients two steps later: the same steps.
        let alone = parameter();
        let (one, other) = (parameter()[0].1.shallow_clone(), parameter()[0].1.shallow_clone());
        let pair = vec![("one".to_owned(), one.shallow_clone()), ("other".to_owned(), other.shallow_clone())];
        let options = if class == "averaged_sgd" { json!({"lambd": 0.1}) } else { json!({}) };
        let mut of_alone = optimizer(class, &options, vec![("alone".to_owned(), alone[0].1.shallow_clone())]);
        let mut of_pair = optimizer(class, &options, pair);
        for step in 0..5 {
            if step < 3 {
                set_gradient(&alone[0].1, Some(&gradient(step, false))).unwrap();
                of_alone.step(&[0.1]).unwrap();
            }
            set_gradient(&one, Some(&gradient(step, false))).unwrap();
            let late = (step >= 2).then(|| gradient(step - 2, false));
            set_gradient(&other, late.as_ref()).unwrap();
            of_pair.step(&[0.1]).unwrap();
        }
        assert!(other.allclose(&alone[0].1, 1e-12, 1e-12, false), "{class}");
        assert!(!one.allclose(&other, 1e-6, 1e-6, false), "{class} took five steps of one");
    }
}

#[test]
fn sparse_gradients_are_refused_by_name_where_they_cannot_be_used() {
    let plain = json!({});
    let decay = json!({"weight_decay": 0.1});
    for (class, options, part) in [
        (
            "adam",
            &plain,
            "`adam` cannot use: set sparse_embeddings to false, or train it by sgd, adagrad or sparse_adam",
        ),
        ("noam", &plain, "`noam` cannot use"),
        ("adamw", &plain, "`adamw` cannot use"),
        ("averaged_sgd", &plain, "`averaged_sgd` cannot use"),
        ("adadelta", &plain, "`adadelta` cannot use"),
        ("adamax", &plain, "`adamax` cannot use"),
        ("rmsprop", &plain, "`rmsprop` cannot use"),
        ("sgd", &decay, "`sgd` cannot use with weight_decay=0.1: set weight_decay to 0"),
        ("adagrad", &decay, "`adagrad` cannot use with weight_decay=0.1: set weight_decay to 0"),
    ] {
        let parameters = parameter();
        let tensor = parameters[0].1.shallow_clone();
        let mut optimizer = optimizer(class, options, parameters);
        set_gradient(&tensor, Some(&gradient(0, true))).unwrap();
        let error = optimizer.step(&[0.1]).unwrap_err().to_string();
        assert!(
            error.contains("the gradient of `table` is sparse, which") && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for (class, options, path) in [
        ("adamw", json!({"betas": [0.9, 1.0]}), "betas[1]"),
        ("adamw", json!({"weight_decay": -0.1}), "weight_decay"),
        ("noam", json!({"eps": -1.0}), "eps"),
        ("averaged_sgd", json!({"t0": -1.0}), "t0"),
        ("adagrad", json!({"lr_decay": -1.0}), "lr_decay"),
        ("adadelta", json!({"rho": 1.5}), "rho"),
        ("adamax", json!({"betas": [-0.1, 0.9]}), "betas[0]"),
        ("rmsprop", json!({"momentum": -0.5}), "momentum"),
        ("sparse_adam", json!({"eps": 0.0}), "eps"),
        ("sgd", json!({"nesterov": true}), "nesterov"),
        ("rmsprop", json!({"centred": true}), "centred"),
    ] {
        let report = component("optimizers", "optimizer", class).check(&options).unwrap();
        let paths: Vec<&str> = report.errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, [path], "{class} {options}");
    }
}

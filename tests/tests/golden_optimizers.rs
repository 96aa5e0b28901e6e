//! `sgd` and `adam`, loaded from their plugin, against ten steps of the reference; accumulation by the project's rule; and
//! states that go on exactly where they were saved.

use kiwi_plugin_api::ParameterGroup;
use kiwi_plugin_api::abi::host::{EncoderInstance, HeadInstance, OptimizerInstance};
use kiwi_plugin_api::torch_ext::gradients::clear_gradients;
use kiwi_tests::built::component;
use kiwi_tests::golden::{Case, difference};
use serde_json::{Value, json};
use tch::Tensor;

/// A model with the case's weights, and an optimizer over all its parameters that train.
struct Run {
    encoder: EncoderInstance,
    head: HeadInstance,
    optimizer: OptimizerInstance,
    batches: Case,
}

impl Run {
    fn new(class: &str, options: &Value) -> Self {
        let case = Case::read("optimizers");
        let mut encoder = case.encoder();
        let head = case.head(&encoder);
        let parameters = encoder
            .parameters()
            .unwrap()
            .into_iter()
            .filter(|parameter| parameter.trainable)
            .map(|parameter| (parameter.name, parameter.tensor))
            .collect();
        let group = ParameterGroup { name: "all".to_owned(), parameters };
        let handle = component("optimizers", "optimizer", class);
        let optimizer = OptimizerInstance::create(&handle, options, &[group]).unwrap();
        Self { encoder, head, optimizer, batches: Case::read("head") }
    }

    fn loss(&mut self, batch: usize) -> Tensor {
        let batch = self.batches.batch(&format!("input.{batch}."));
        let features = self.encoder.forward(&batch, true).unwrap();
        self.head.forward(&features, &batch, true).unwrap().loss
    }

    fn step(&mut self, learning_rate: f64) {
        self.optimizer.step(&[learning_rate]).unwrap();
        let parameters: Vec<_> = self.weights().into_iter().map(|(_, tensor)| tensor).collect();
        clear_gradients(&parameters).unwrap();
    }

    fn weights(&mut self) -> Vec<(String, Tensor)> {
        self.encoder.parameters().unwrap().into_iter().map(|p| (p.name, p.tensor)).collect()
    }

    fn compare(&mut self, case: &Case, prefix: &str) {
        let weights = self.weights();
        let recorded = case.below(prefix);
        assert!(!recorded.is_empty(), "{prefix} is recorded");
        for (name, expected) in recorded {
            let (_, found) = weights.iter().find(|(known, _)| known == name).unwrap();
            let off = difference(found, expected);
            assert!(off < 2e-5, "{prefix}{name} is off by {off}");
        }
    }
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-5 * expected, "{what}: {found}, expected {expected}");
}

#[test]
fn ten_steps_of_sgd_and_adam() {
    let case = Case::read("optimizers");
    for class in ["sgd", "adam"] {
        let recorded = &case.json["runs"][class];
        let losses = recorded["loss"].as_array().unwrap();
        let rates = recorded["lr"].as_array().unwrap();
        let mut run = Run::new(class, &json!({}));
        for (step, (expected, rate)) in losses.iter().zip(rates).enumerate() {
            let loss = run.loss(step % 3);
            close(
                loss.double_value(&[]),
                expected.as_f64().unwrap(),
                &format!("{class}, loss before step {step}"),
            );
            loss.backward();
            run.step(rate.as_f64().unwrap());
        }
        assert_eq!(losses.len(), 10);
        close(run.loss(0).double_value(&[]), recorded["final_loss"].as_f64().unwrap(), class);
        run.compare(&case, &format!("final.{class}."));
    }
}

#[test]
fn accumulation_divides_by_the_batches_really_accumulated() {
    let case = Case::read("optimizers");
    let ours = &case.json["ours"]["accumulation"];
    let rate = ours["optimizer"]["learning_rate"].as_f64().unwrap();
    let mut losses = ours["loss"].as_array().unwrap().iter();
    let mut run = Run::new("adam", &json!({}));
    for group in ours["steps"].as_array().unwrap() {
        let group: Vec<usize> =
            group.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as usize).collect();
        for batch in &group {
            let loss = run.loss(*batch);
            close(loss.double_value(&[]), losses.next().unwrap().as_f64().unwrap(), "accumulation");
            (loss / group.len() as f64).backward();
        }
        run.step(rate);
    }
    run.compare(&case, "ours.final.accumulation.");
}

#[test]
fn a_saved_state_goes_on_exactly() {
    for (class, options) in [
        ("adam", json!({})),
        ("adam", json!({"amsgrad": true, "weight_decay": 0.01})),
        ("sgd", json!({"momentum": 0.9, "nesterov": true})),
    ] {
        let mut whole = Run::new(class, &options);
        for step in 0..4 {
            whole.loss(step % 3).backward();
            whole.step(0.01);
        }
        let state = whole.optimizer.state().unwrap();
        assert!(!state.is_empty(), "{class} has a state");
        let weights: Vec<_> =
            whole.weights().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();

        let mut resumed = Run::new(class, &options);
        for ((name, mut tensor), (saved_name, saved)) in resumed.weights().into_iter().zip(weights) {
            assert_eq!(name, saved_name);
            tch::no_grad(|| tensor.copy_(&saved));
        }
        resumed.optimizer.load_state(&state).unwrap();
        for step in 4..8 {
            for run in [&mut whole, &mut resumed] {
                run.loss(step % 3).backward();
                run.step(0.01);
            }
        }
        for ((name, one), (_, other)) in whole.weights().into_iter().zip(resumed.weights()) {
            assert!(one.equal(&other), "{class} {options}: {name} differs after resuming");
        }
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let mut run = Run::new("adam", &json!({}));
    let stranger = vec![("no.such.parameter.exp_avg".to_owned(), Tensor::from_slice(&[0.0f32]))];
    let error = run.optimizer.load_state(&stranger).unwrap_err().to_string();
    assert!(error.contains("no.such.parameter"), "{error}");
    let misshapen = vec![("encode_target.W2.exp_avg".to_owned(), Tensor::from_slice(&[0.0f32]))];
    let error = run.optimizer.load_state(&misshapen).unwrap_err().to_string();
    assert!(error.contains("has shape [1], expected [3, 3]"), "{error}");
}

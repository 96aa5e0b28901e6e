//! The optimizers, loaded from their plugin, against ten steps of each of the reference; accumulation by the project's rule; and
//! states that go on exactly where they were saved.

use kiwi_plugin_api::abi::host::{EncoderInstance, HeadInstance, OptimizerInstance, ScheduleInstance};
use kiwi_plugin_api::torch_ext::gradients::clear_gradients;
use kiwi_plugin_api::{ParameterGroup, ScheduleContext, ScheduleKeys, Warmup};
use kiwi_tests::built::component;
use kiwi_tests::golden::{Case, difference};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// A model with the case's weights, and an optimizer over all its parameters that train.
struct Run {
    encoder: EncoderInstance,
    head: HeadInstance,
    optimizer: OptimizerInstance,
    batches: Case,
}

impl Run {
    fn new(class: &str, options: &Value) -> Self {
        // The model is so small that threads only wait for one another.
        tch::set_num_threads(1);
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
        let group = ParameterGroup::new("all", parameters);
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
        let state = self.optimizer.state().unwrap();
        for (name, expected) in recorded {
            // Beside the weights, an average that averaged_sgd keeps is recorded.
            let found = match name.strip_prefix("average.") {
                Some(averaged) => state.iter().find(|(known, _)| *known == format!("{averaged}.ax")),
                None => weights.iter().find(|(known, _)| known == name),
            };
            let (_, found) = found.unwrap_or_else(|| panic!("there is no {name}"));
            let off = difference(found, expected);
            assert!(off < 2e-5, "{prefix}{name} is off by {off}");
        }
    }
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-5 * expected, "{what}: {found}, expected {expected}");
}

/// The options by which a class is what the reference means by its name: its `adamw` is the variant without bias correction.
fn options(class: &str) -> Value {
    match class {
        "adamw" => json!({"bias_correction": false, "eps": 1e-6, "weight_decay": 0.0}),
        _ => json!({}),
    }
}

/// `warmup_steps` of a recorded config. The reference reads it as a float first, so that 3 is recorded as 3.
fn warmup(config: &Value) -> Option<Warmup> {
    let steps = &config["warmup_steps"];
    steps.as_u64().map(Warmup::Steps).or_else(|| steps.as_f64().map(Warmup::Share))
}

/// The rates of ten steps by the schedule of a recorded config's own class, for an encoder of the recorded hidden size.
fn scheduled(case: &Case, config: &Value) -> Vec<f64> {
    let class = config["class_name"].as_str().unwrap();
    let handle = component("optimizers", "optimizer", class);
    let training_steps = config["training_steps"].as_u64().unwrap_or(10);
    let warmup_steps = warmup(config).map(|warmup| match warmup {
        Warmup::Steps(steps) => steps as f64,
        Warmup::Share(share) => share * training_steps as f64,
    });
    let hidden_size = case.config("/model/encoder/hidden_size").as_i64().unwrap();
    let context = ScheduleContext::new(warmup_steps, training_steps, hidden_size);
    let mut schedule = ScheduleInstance::create(&handle, &options(class), &context).unwrap();
    let rate = config["learning_rate"].as_f64().unwrap();
    (0..10).map(|step| rate * schedule.factor(step).unwrap()).collect()
}

#[test]
fn ten_steps_of_each_optimizer() {
    let case = Case::read("optimizers");
    let mut compared = Vec::new();
    for (name, recorded) in case.json["runs"].as_object().unwrap() {
        let class = recorded["optimizer"]["class_name"].as_str().unwrap();
        let Some(losses) = recorded["loss"].as_array() else { continue };
        let rates: Vec<f64> =
            recorded["lr"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).collect();
        // The reference's other way to advance noam, once an epoch, has its rates taken as they are recorded.
        if component("optimizers", "optimizer", class).has_schedule() && name != "noam_per_epoch" {
            for (step, (found, expected)) in
                scheduled(&case, &recorded["optimizer"]).iter().zip(&rates).enumerate()
            {
                assert!(
                    (found - expected).abs() <= 1e-12,
                    "{name}, rate of step {step}: {found}, not {expected}"
                );
            }
        }
        let mut run = Run::new(class, &options(class));
        for (step, (expected, rate)) in losses.iter().zip(&rates).enumerate() {
            let loss = run.loss(step % 3);
            let what = format!("{name}, loss before step {step}");
            close(loss.double_value(&[]), expected.as_f64().unwrap(), &what);
            loss.backward();
            run.step(*rate);
        }
        assert_eq!(losses.len(), 10);
        close(run.loss(0).double_value(&[]), recorded["final_loss"].as_f64().unwrap(), name);
        run.compare(&case, &format!("final.{name}."));
        compared.push(name.as_str());
    }
    let expected = [
        "adadelta",
        "adagrad",
        "adam",
        "adamax",
        "adamw",
        "adamw_share",
        "averaged_sgd",
        "noam_per_epoch",
        "noam_per_step",
        "rmsprop",
        "sgd",
    ];
    compared.sort_unstable();
    assert_eq!(compared, expected);
}

#[test]
fn what_the_reference_cannot_run_works_or_is_refused() {
    let case = Case::read("optimizers");
    let runs = case.json["runs"].as_object().unwrap();
    let failing = runs.iter().filter(|(_, recorded)| recorded["error"].is_string());
    let mut seen = 0;
    for (name, recorded) in failing {
        let config = &recorded["optimizer"];
        let class = config["class_name"].as_str().unwrap();
        let handle = component("optimizers", "optimizer", class);
        let keys = ScheduleKeys::new(warmup(config), config["training_steps"].as_u64());
        let report = handle.check_schedule(&json!({}), &keys).unwrap();
        match name.as_str() {
            "sparse_adam" => {
                let mut run = Run::new(class, &json!({}));
                run.loss(0).backward();
                let error = run.optimizer.step(&[0.001]).unwrap_err().to_string();
                for part in
                    ["is dense, which `sparse_adam` cannot use", "system.optimizer a list", "such as adam"]
                {
                    assert!(error.contains(part), "{error}");
                }
            }
            "noam_no_warmup" | "noam_zero_warmup" => {
                assert_eq!(report.errors.len(), 1, "{name}: {report:?}");
                let error = &report.errors[0];
                assert_eq!(error.path, "warmup_steps");
                assert!(error.message.contains("noam needs a warm-up"), "{error:?}");
                assert!(error.expected.as_ref().unwrap().contains("an integer of at least 1"), "{error:?}");
            }
            // What crashes there for a missing key or a share has a schedule here, that falls to 0 or with the root.
            "adamw_no_training_steps" | "adamw_no_warmup" | "noam_share_warmup" => {
                assert!(report.errors.is_empty(), "{name}: {report:?}");
                let rates = scheduled(&case, config);
                assert!(rates[9] < rates[5] && rates[9] > 0.0, "{name}: {rates:?}");
            }
            // Groups are the host's: see the tests of whole runs.
            "adam_encoder_learning_rate" => assert!(!handle.has_schedule()),
            other => panic!("{other} is recorded as an error and not looked at"),
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
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
        ("noam", json!({})),
        ("adamw", json!({})),
        ("adamw", json!({"bias_correction": false, "amsgrad": true})),
        ("sgd", json!({"momentum": 0.9, "nesterov": true})),
        ("averaged_sgd", json!({"t0": 2, "lambd": 0.01})),
        ("adagrad", json!({"lr_decay": 0.1})),
        ("adadelta", json!({})),
        ("adamax", json!({})),
        ("rmsprop", json!({"centered": true, "momentum": 0.5})),
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
    let matrix =
        |name: &str, kind| (format!("encode_target.W2.{name}"), Tensor::zeros([3, 3], (kind, Device::Cpu)));
    for (state, part) in [
        (vec![matrix("exp_avg", Kind::Double)], "is of type Double, expected Float"),
        (vec![matrix("exp_avg", Kind::Float)], "the saved state lacks `encode_target.W2.step`"),
        (
            vec![matrix("momentum_buffer", Kind::Float)],
            "expected one of step, exp_avg, exp_avg_sq with these options",
        ),
    ] {
        let error = run.optimizer.load_state(&state).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    run.loss(0).backward();
    run.step(0.01);
    let state = run.optimizer.state().unwrap();
    assert!(run.optimizer.load_state(&state[1..]).is_err());
    for ((name, kept), (_, before)) in run.optimizer.state().unwrap().iter().zip(&state) {
        assert!(kept.equal(before), "{name} is as it was before the state that was refused");
    }
}

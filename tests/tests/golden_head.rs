//! `TLMOutputs` and the metrics, loaded from their plugins, against the reference: losses, step and epoch values, gradients.

use kiwi_plugin_api::abi::host::MetricInstance;
use kiwi_plugin_api::{HeadOutput, Ordering, Output};
use kiwi_tests::built::component;
use kiwi_tests::golden::Case;
use serde_json::{Value, json};
use tch::Tensor;

const METRICS: [&str; 4] = ["PERP", "ExpErr", "CORRECT", "NLL"];

fn metric(class: &str) -> MetricInstance {
    MetricInstance::create(&component("metrics", "metric", class), &json!({})).unwrap()
}

fn sums(metric: &mut MetricInstance, output: &HeadOutput) -> Vec<f64> {
    Vec::<f64>::try_from(metric.contribution(&output.outputs[0]).unwrap()).unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-5 * expected.abs().max(1e-12),
        "{what}: {found}, expected {expected}"
    );
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

#[test]
fn losses_metrics_and_epoch_values() {
    let case = Case::read("head");
    let mut encoder = case.encoder();
    let mut head = case.head(&encoder);
    let requested: Vec<String> =
        head.metrics().unwrap().iter().map(|m| format!("{}_{}", m.output, m.class_name)).collect();
    let expected: Vec<&str> =
        case.json["metrics"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(requested, expected);
    assert_eq!(requested[0], case.json["main_metric"]["name"], "the first is the main metric");

    let mut totals: Vec<Vec<f64>> = vec![vec![0.0; 2]; METRICS.len()];
    let mut losses = 0.0;
    for (i, recorded) in case.json["batches"].as_array().unwrap().iter().enumerate() {
        let batch = case.batch(&format!("input.{i}."));
        let features = encoder.forward(&batch, false).unwrap();
        let output = head.forward(&features, &batch, false).unwrap();
        let loss = output.loss.double_value(&[]);
        losses += loss;
        close(loss, number(&recorded["loss"]), "loss");
        for (class, total) in METRICS.iter().zip(&mut totals) {
            let mut metric = metric(class);
            let found = sums(&mut metric, &output);
            let step = &recorded["step"][format!("target_{class}")];
            if let Some(tokens) = step["tokens"].as_f64() {
                let key = ["nll", "sum", "correct"].into_iter().find(|key| !step[*key].is_null()).unwrap();
                close(found[0], number(&step[key]), class);
                assert_eq!(found[1], tokens, "{class}");
            }
            if let Some(value) = recorded["metrics"][format!("target_{class}")].as_f64() {
                close(metric.value(&found).unwrap().unwrap(), value, class);
            }
            total.iter_mut().zip(found).for_each(|(total, found)| *total += found);
        }
        let step = |what: &str| case.tensor(&format!("step.{i}.target_CORRECT.{what}"));
        let expected = step("predicted").eq_tensor(step("gold")).view(-1);
        let correct = output.outputs[0].tensor(Output::CORRECT).unwrap();
        assert!(correct.equal(&expected), "batch {i}: {correct:?}, expected {expected:?}");
    }
    let count = case.json["batches"].as_array().unwrap().len() as f64;
    close(losses / count, number(&case.json["validation_epoch_metrics"]["val_loss"]), "val_loss");
    for (class, total) in METRICS.iter().zip(&totals) {
        let value = metric(class).value(total).unwrap().unwrap();
        match case.json["train_epoch_metrics"].get(format!("target_{class}")) {
            Some(expected) => close(value, number(expected), class),
            None => close(value.exp(), number(&case.json["train_epoch_metrics"]["target_PERP"]), "exp(NLL)"),
        }
    }
}

#[test]
fn a_sum_of_metrics_is_a_main_metric() {
    let case = Case::read("head");
    let sum = &case.json["summed_main_metric"];
    let (names, metrics) = (sum["name"].as_str().unwrap(), &case.json["validation_epoch_metrics"]);
    let value: f64 = names.split('+').map(|name| number(&metrics[format!("val_{name}")])).sum();
    close(value, number(&sum["value"]), names);
    for name in names.split('+') {
        let class = name.trim_start_matches("target_");
        assert_eq!(metric(class).ordering(), Ordering::Min, "{class}, as the sum is {}", sum["ordering"]);
    }
}

#[test]
fn orderings_are_those_of_the_reference() {
    let case = Case::read("head");
    for recorded in case.json["metrics"].as_array().unwrap() {
        let class = recorded["name"].as_str().unwrap().trim_start_matches("target_");
        let expected = if recorded["ordering"] == "min" { Ordering::Min } else { Ordering::Max };
        assert_eq!(metric(class).ordering(), expected, "{class}");
    }
    assert_eq!(metric("NLL").ordering(), Ordering::Min);
}

#[test]
fn gradients_of_the_first_batch() {
    let case = Case::read("head");
    let mut encoder = case.encoder_for(Some(&["target_logits"]));
    let mut head = case.head(&encoder);
    let batch = case.batch("input.0.");
    let features = encoder.forward(&batch, true).unwrap();
    head.forward(&features, &batch, true).unwrap().loss.backward();
    case.compare_gradients("grad.", &mut encoder);
    for name in case.json["parameters_without_gradient"].as_array().unwrap() {
        assert!(case.find(&format!("grad.{}", name.as_str().unwrap())).is_none(), "{name}");
    }
}

#[test]
fn words_spelled_like_special_tokens_count_neither_in_loss_nor_metrics() {
    let case = Case::read("specials");
    let mut encoder = case.encoder();
    let mut head = case.head(&encoder);
    let mut totals: Vec<Vec<f64>> = vec![vec![0.0; 2]; METRICS.len()];
    for (i, recorded) in case.json["batches"].as_array().unwrap().iter().enumerate() {
        let batch = case.batch(&format!("input.{i}."));
        let features = encoder.forward(&batch, true).unwrap();
        let output = head.forward(&features, &batch, true).unwrap();
        let ours = &recorded["ours"];
        let loss = output.loss.double_value(&[]);
        assert!((loss - number(&ours["loss"])).abs() <= 1e-5 * loss.max(1e-3), "batch {i}: loss {loss}");

        let counted = case.tensor(&format!("ours.{i}.counted"));
        let expected = counted.view(-1).nonzero().view(-1);
        let positions = output.outputs[0].tensor(Output::POSITIONS).unwrap();
        assert!(positions.equal(&expected), "batch {i}: counted positions");

        for (class, total) in METRICS.iter().zip(&mut totals) {
            let mut metric = metric(class);
            let found = sums(&mut metric, &output);
            assert_eq!(found[1], number(&ours["step"]["tokens"]), "batch {i}: tokens of {class}");
            let value = metric.value(&found).unwrap();
            if let Some(expected) = ours["metrics"].get(format!("target_{class}")) {
                match expected.as_f64() {
                    Some(expected) => close(value.unwrap(), expected, class),
                    None => assert_eq!(value, None, "batch {i}: nothing is counted, so {class} has no value"),
                }
            }
            total.iter_mut().zip(found).for_each(|(total, found)| *total += found);
        }
        if i == 0 {
            output.loss.backward();
            case.compare_gradients("grad.", &mut encoder);
        }
    }
    for (class, total) in METRICS.iter().zip(&totals) {
        if let Some(expected) = case.json["ours"]["epoch_metrics"].get(format!("val_target_{class}")) {
            close(metric(class).value(total).unwrap().unwrap(), number(expected), class);
        }
    }
}

#[test]
fn values_at_the_ends_of_what_numbers_hold() {
    for class in METRICS {
        let mut metric = metric(class);
        assert_eq!(metric.value(&[0.0, 0.0]).unwrap(), None, "{class} of no tokens");
        let value = metric.value(&[f64::NAN, 2.0]).unwrap();
        assert!(value.is_some_and(f64::is_nan), "{class} of what is not a number: {value:?}");
        // A sum of another length is nothing that this metric added up.
        assert_eq!(metric.value(&[1.0]).unwrap(), None, "{class}");
    }
    let mut perplexity = metric("PERP");
    assert!(perplexity.value(&[709.0 * 3.0, 3.0]).unwrap().unwrap().is_finite());
    assert_eq!(perplexity.value(&[710.0 * 3.0, 3.0]).unwrap(), Some(f64::INFINITY));
    assert_eq!(metric("NLL").value(&[710.0 * 3.0, 3.0]).unwrap(), Some(710.0));
}

#[test]
fn figures_that_are_no_numbers_stay_none() {
    let figures = |value: f32| {
        let tensor = Tensor::from_slice(&[value, 0.5]);
        Output::new(
            "target",
            vec![(Output::NLL.to_owned(), tensor.shallow_clone()), (Output::PROBABILITY.to_owned(), tensor)],
        )
    };
    for class in ["PERP", "NLL", "ExpErr"] {
        let mut metric = metric(class);
        let total = Vec::<f64>::try_from(metric.contribution(&figures(f32::NAN)).unwrap()).unwrap();
        assert!(metric.value(&total).unwrap().unwrap().is_nan(), "{class}");
    }
    let mut metric = metric("PERP");
    let total = Vec::<f64>::try_from(metric.contribution(&figures(f32::INFINITY)).unwrap()).unwrap();
    assert_eq!(metric.value(&total).unwrap(), Some(f64::INFINITY));
}

#[test]
fn metrics_have_no_options() {
    for class in METRICS {
        let handle = component("metrics", "metric", class);
        assert_eq!(handle.check(&json!({})).unwrap().errors, []);
        let report = handle.check(&json!({"base": 2})).unwrap();
        let problem = &report.errors[0];
        assert_eq!(report.errors.len(), 1);
        assert_eq!((problem.path.as_str(), problem.message.as_str()), ("base", "unknown key `base`"));
        assert_eq!(problem.expected.as_deref(), Some("no key: there are no options"));
        assert_eq!(problem.help.as_deref(), Some("remove the key"));
    }
}

#[test]
fn without_a_figure_it_needs_a_metric_says_which() {
    let output = Output::new("target", vec![(Output::NLL.to_owned(), Tensor::from_slice(&[0.5f32]))]);
    let error = metric("CORRECT").contribution(&output).unwrap_err().to_string();
    assert!(error.contains("output `target` has no tensor `correct`, only nll"), "{error}");
}

#[test]
fn it_has_no_parameters() {
    for name in ["head", "fine_tune"] {
        let case = Case::read(name);
        let encoder = case.encoder();
        for fine_tune in [false, true] {
            let mut head = case.head_with(&encoder, &json!({"fine_tune": fine_tune}));
            let names: Vec<_> = head.parameters().unwrap().into_iter().map(|one| one.name).collect();
            assert_eq!(names, [""; 0], "{name}");
        }
    }
}

#[test]
fn a_contribution_is_a_float64_vector() {
    let output = Output::new("target", vec![(Output::NLL.to_owned(), Tensor::from_slice(&[0.5f32, 1.5]))]);
    let found = metric("NLL").contribution(&output).unwrap();
    assert_eq!((found.kind(), found.size()), (tch::Kind::Double, vec![2]));
    assert_eq!(Vec::<f64>::try_from(found).unwrap(), [2.0, 2.0]);
}

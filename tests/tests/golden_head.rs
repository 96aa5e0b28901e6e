//! `TLMOutputs` and the metrics, loaded from their plugins, against the reference: losses, step and epoch values, gradients.

use kiwi_plugin_api::abi::host::MetricInstance;
use kiwi_plugin_api::torch_ext::gradients::gradient;
use kiwi_plugin_api::{HeadOutput, Ordering, Output};
use kiwi_tests::built::component;
use kiwi_tests::golden::{Case, difference, largest};
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
    let mut encoder = case.encoder();
    let mut head = case.head(&encoder);
    let batch = case.batch("input.0.");
    let features = encoder.forward(&batch, true).unwrap();
    head.forward(&features, &batch, true).unwrap().loss.backward();
    let reference = case.below("grad.");
    let scale = reference.values().map(|tensor| largest(tensor)).fold(0.0, f64::max);
    let mut compared = 0;
    for parameter in encoder.parameters().unwrap() {
        let Some(expected) = reference.get(parameter.name.as_str()) else { continue };
        let found = gradient(&parameter.tensor).unwrap().unwrap();
        let off = difference(&found, expected);
        assert!(off <= 2e-6 * scale, "{} is off by {off}", parameter.name);
        compared += 1;
    }
    assert_eq!(compared, reference.len());
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
            for parameter in encoder.parameters().unwrap() {
                if let Some(expected) = case.find(&format!("grad.{}", parameter.name)) {
                    let off = difference(&gradient(&parameter.tensor).unwrap().unwrap(), expected);
                    assert!(off <= 2e-5 * largest(expected).max(1e-2), "{} is off by {off}", parameter.name);
                }
            }
        }
    }
    for (class, total) in METRICS.iter().zip(&totals) {
        if let Some(expected) = case.json["ours"]["epoch_metrics"].get(format!("val_target_{class}")) {
            close(metric(class).value(total).unwrap().unwrap(), number(expected), class);
        }
    }
}

#[test]
fn perplexity_beyond_all_numbers_is_infinite() {
    let total = [710.0, 1.0];
    assert_eq!(metric("PERP").value(&total).unwrap(), Some(f64::INFINITY));
    assert_eq!(metric("PERP").value(&[0.0, 0.0]).unwrap(), None);
}

#[test]
fn a_contribution_is_a_float64_vector() {
    let output = Output::new("target", vec![(Output::NLL.to_owned(), Tensor::from_slice(&[0.5f32, 1.5]))]);
    let found = metric("NLL").contribution(&output).unwrap();
    assert_eq!((found.kind(), found.size()), (tch::Kind::Double, vec![2]));
    assert_eq!(Vec::<f64>::try_from(found).unwrap(), [2.0, 2.0]);
}

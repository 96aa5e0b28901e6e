//! Training on post-edits, with encoder, head and metrics loaded from their plugins: logits, losses, metrics and gradients against
//! the reference, but for the tokens of `pe_PERP`, which are the post-edit's own.

use kiwi_plugin_api::abi::host::{HeadInstance, MetricInstance};
use kiwi_plugin_api::{HeadOutput, Output};
use kiwi_tests::built::component;
use kiwi_tests::golden::Case;
use serde_json::{Value, json};

const OUTPUTS: [&str; 2] = ["target", "pe"];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-5 * expected.abs().max(1e-12),
        "{what}: {found}, expected {expected}"
    );
}

fn fine_tuning_head(case: &Case, encoder: &kiwi_plugin_api::abi::host::EncoderInstance) -> HeadInstance {
    case.head_with(encoder, &json!({"fine_tune": true}))
}

fn figures<'a>(output: &'a HeadOutput, name: &str) -> &'a Output {
    output.outputs.iter().find(|output| output.name == name).unwrap()
}

#[test]
fn losses_and_metrics_of_both_outputs() {
    let case = Case::read("fine_tune");
    let mut encoder = case.encoder_for(Some(&["target_logits", "pe_logits"]));
    let mut head = fine_tuning_head(&case, &encoder);
    let requested = head.metrics().unwrap();
    let names: Vec<String> =
        requested.iter().map(|request| format!("{}_{}", request.output, request.class_name)).collect();
    let recorded: Vec<&str> = case.json["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, recorded);

    for training in [false, true] {
        let mut totals = vec![vec![0.0; 2]; requested.len()];
        for (i, recorded) in case.json["batches"].as_array().unwrap().iter().enumerate() {
            let batch = case.batch(&format!("input.{i}."));
            let features = encoder.forward(&batch, training).unwrap();
            let output = head.forward(&features, &batch, training).unwrap();
            let ours = &recorded["ours"];
            assert_eq!(output.outputs.iter().map(|output| &output.name).collect::<Vec<_>>(), OUTPUTS);
            close(output.loss.double_value(&[]), number(&ours["loss"]["loss"]), "loss");
            for name in OUTPUTS {
                let step = &ours["step"][name];
                let nll = figures(&output, name).tensor(Output::NLL).unwrap();
                assert_eq!(nll.size(), [step["tokens"].as_i64().unwrap()], "tokens of {name}");
                close(nll.sum(tch::Kind::Double).double_value(&[]), number(&ours["loss"][name]), name);
            }
            for ((request, name), total) in requested.iter().zip(&names).zip(&mut totals) {
                let handle = component("metrics", "metric", &request.class_name);
                let mut metric = MetricInstance::create(&handle, &json!({})).unwrap();
                let found = metric.contribution(figures(&output, &request.output)).unwrap();
                let found = Vec::<f64>::try_from(found).unwrap();
                let step = &ours["step"][&request.output];
                let sum = match request.class_name.as_str() {
                    "PERP" => "nll",
                    "ExpErr" => "error",
                    _ => "correct",
                };
                close(found[0], number(&step[sum]), name);
                assert_eq!(found[1], number(&step["tokens"]), "tokens of {name}");
                close(metric.value(&found).unwrap().unwrap(), number(&ours["metrics"][name]), name);
                total.iter_mut().zip(found).for_each(|(total, found)| *total += found);
            }
        }
        for ((request, name), total) in requested.iter().zip(&names).zip(&totals) {
            let handle = component("metrics", "metric", &request.class_name);
            let mut metric = MetricInstance::create(&handle, &json!({})).unwrap();
            let expected = number(&case.json["ours"]["epoch_metrics"][format!("val_{name}")]);
            close(metric.value(total).unwrap().unwrap(), expected, name);
        }
    }
}

#[test]
fn gradients_of_the_loss_over_both() {
    let case = Case::read("fine_tune");
    for training in [false, true] {
        let mut encoder = case.encoder_for(Some(&["target_logits", "pe_logits"]));
        let mut head = fine_tuning_head(&case, &encoder);
        let batch = case.batch("input.0.");
        let features = encoder.forward(&batch, training).unwrap();
        head.forward(&features, &batch, training).unwrap().loss.backward();
        case.compare_gradients("grad.", &mut encoder);
    }
}

#[test]
fn without_post_edits_the_head_says_what_is_missing() {
    let case = Case::read("encoder_plain");
    let mut encoder = case.encoder();
    let mut head = fine_tuning_head(&case, &encoder);
    let batch = case.batch("input.");
    let features = encoder.forward(&batch, false).unwrap();
    let error = head.forward(&features, &batch, false).unwrap_err().to_string();
    assert!(error.contains("the batch has no field `pe`, only source, target"), "{error}");
}

#[test]
fn what_the_head_needs_follows_from_its_config() {
    let handle = component("heads", "head", "TLMOutputs");
    let plain = handle.head_needs(&json!({"fine_tune": false})).unwrap();
    assert!(plain.fields.is_empty());
    assert_eq!(plain.features, Some(vec!["target_logits".to_owned()]));
    let fine = handle.head_needs(&json!({"fine_tune": true})).unwrap();
    assert_eq!((fine.fields[0].field.as_str(), fine.fields[0].option.as_str()), ("pe", "fine_tune"));
    assert_eq!(fine.features, Some(vec!["target_logits".to_owned(), "pe_logits".to_owned()]));
}

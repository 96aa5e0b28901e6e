//! With which values the parameters of `PredictorEncoder` start. In a file of its own: it seeds libtorch's generator, which all tests of
//! a process share.

use kiwi_plugin_api::abi::host::EncoderInstance;
use kiwi_plugin_api::{EncoderContext, SpecialIds};
use kiwi_tests::built::component;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

const HIDDEN: i64 = 24;

/// An encoder with layer norms, as its plugin makes it.
fn encoder(more: &Value) -> EncoderInstance {
    let mut config = json!({
        "hidden_size": HIDDEN,
        "rnn_layers": 2,
        "out_embeddings_dim": 30,
        "embeddings": {
            "source": {"dim": 20, "input_layer_norm": true},
            "target": {"dim": 16, "input_layer_norm": true},
        },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let sizes = [("source".to_owned(), 400), ("target".to_owned(), 500)];
    let context = EncoderContext::new(sizes.into(), tch::Device::Cpu);
    tch::manual_seed(20_261_125);
    EncoderInstance::create(&component("encoders", "encoder", "PredictorEncoder"), &config, &context).unwrap()
}

/// The encoder's parameters but for second names.
fn parameters(more: &Value) -> Vec<(String, Tensor)> {
    let all = encoder(more).parameters().unwrap();
    all.into_iter().filter(|one| one.alias_of.is_none()).map(|one| (one.name, one.tensor.detach())).collect()
}

fn find(all: &[(String, Tensor)], name: &str) -> Tensor {
    let found = all.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).1.shallow_clone()
}

fn number(tensor: Tensor) -> f64 {
    tensor.double_value(&[])
}

/// Values uniform in ±`bound`: within it, reaching nearly to it, of its variance, and in the middle zero.
#[track_caller]
fn uniform(name: &str, tensor: &Tensor, bound: f64) {
    let values = tensor.to_kind(Kind::Double);
    let count = values.numel() as f64;
    let largest = number(values.abs().max());
    assert!(largest <= bound * (1.0 + 1e-6), "{name} has {largest}, over {bound}");
    assert!(largest > bound * (1.0 - 20.0 / count), "{name} reaches to {largest} of {bound}");
    // Six standard errors of a mean and of a mean square of so many values.
    let off = number(values.mean(Kind::Double)) / bound;
    assert!(off.abs() < 6.0 / (3.0 * count).sqrt(), "{name} has the mean {off} of its bound");
    let off = number(values.square().mean(Kind::Double)) / (bound * bound) - 1.0 / 3.0;
    assert!(off.abs() < 6.0 * (4.0 / 45.0 / count).sqrt(), "{name} has a variance that is off by {off}");
}

fn xavier(name: &str, tensor: &Tensor) {
    let [rows, columns] = tensor.size()[..] else { panic!("{name} is no matrix: {:?}", tensor.size()) };
    uniform(name, tensor, (6.0 / (rows + columns) as f64).sqrt());
}

#[test]
fn matrices_are_xavier_uniform() {
    let all = parameters(&json!({}));
    let mut matrices = 0;
    for (name, tensor) in &all {
        if tensor.dim() == 2 && name != "output_embeddings.target.weight" {
            xavier(name, tensor);
            matrices += 1;
        }
    }
    // Two tables, two matrices a layer of four LSTMs in one direction, two of the attention, S, V, C and W2.
    assert_eq!(matrices, 2 + 2 * 2 * 4 + 2 + 4);
    // The four gates are one matrix.
    let of_gates = find(&all, "encode_target.forward_b.weight_ih_l0");
    assert_eq!(of_gates.size(), [4 * HIDDEN, 16]);
    // Shared, the output table is the target's input table, and starts as that does.
    let shared = parameters(&json!({"share_embeddings": true}));
    assert!(shared.iter().all(|(name, _)| name != "output_embeddings.target.weight"));
    xavier("the shared table", &find(&shared, "embeddings.target.embedding.weight"));
}

#[test]
fn biases_are_uniform_as_pytorchs() {
    let all = parameters(&json!({}));
    let biases: Vec<_> = all.iter().filter(|(name, _)| name.contains("bias")).collect();
    assert_eq!(biases.len(), 2 * 2 * 4 + 2);
    for (name, tensor) in biases {
        // An LSTM's by its hidden size, a linear layer's by its inputs.
        let inputs = match name.as_str() {
            "encode_target.attention.scorer.layers.0.0.bias" => 4 * HIDDEN,
            "encode_target.attention.scorer.layers.1.0.bias" => 2 * HIDDEN,
            _ => HIDDEN,
        };
        let bound = 1.0 / (inputs as f64).sqrt();
        if tensor.numel() > 1 {
            uniform(name, tensor, bound);
        } else {
            let value = number(tensor.abs().max());
            assert!(value > 0.0 && value <= bound, "{name} is {value}");
        }
    }
}

#[test]
fn the_output_table_is_normal_and_its_row_of_pad_is_zero() {
    let all = parameters(&json!({}));
    let table = find(&all, "output_embeddings.target.weight");
    assert_eq!(table.size(), [500, 30]);
    let pad = SpecialIds::default().pad;
    assert_eq!(number(table.get(pad).abs().max()), 0.0);
    let rest = Tensor::cat(&[table.narrow(0, 0, pad), table.narrow(0, pad + 1, 500 - pad - 1)], 0);
    let rest = rest.to_kind(Kind::Double);
    let count = rest.numel() as f64;
    let (mean, variance) = (number(rest.mean(Kind::Double)), number(rest.square().mean(Kind::Double)));
    assert!(mean.abs() < 6.0 / count.sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 6.0 * (2.0 / count).sqrt(), "{variance}");
    // Uniform values of this variance end at 1.8; of normal ones, one in twenty lies beyond 1.96.
    let beyond = number(rest.abs().gt(1.96).to_kind(Kind::Double).mean(Kind::Double));
    assert!((0.04..0.06).contains(&beyond), "{beyond} lie beyond 1.96");
    for side in ["source", "target"] {
        let table = find(&all, &format!("embeddings.{side}.embedding.weight"));
        assert!(number(table.get(pad).abs().min()) > 0.0, "the row of <pad> is like any other: {side}");
    }
}

#[test]
fn learned_vectors_are_zero_and_layer_norms_change_nothing() {
    let all = parameters(&json!({}));
    for (name, size, value) in [
        ("start_PreQEFV", vec![1, 1, 30], 0.0),
        ("end_PreQEFV", vec![1, 1, 30], 0.0),
        ("embeddings.source.layer_norm.gamma", vec![20], 1.0),
        ("embeddings.source.layer_norm.beta", vec![20], 0.0),
        ("embeddings.target.layer_norm.gamma", vec![16], 1.0),
        ("embeddings.target.layer_norm.beta", vec![16], 0.0),
    ] {
        let tensor = find(&all, name);
        assert_eq!(tensor.size(), size, "{name}");
        assert!(bool::try_from(tensor.eq(value).all()).unwrap(), "{name} is {value}: {tensor}");
    }
}

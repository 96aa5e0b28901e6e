//! Names and shapes of the tensors that a `PredictorEncoder` has, by its options and the sizes of its vocabularies.

use super::options::EncoderOptions;

/// The input table of the target, and the output table, which is the same when tables are shared.
pub(super) const TARGET_TABLE: &str = "embeddings.target.embedding.weight";
pub(super) const OUTPUT_TABLE: &str = "output_embeddings.target.weight";

/// Sizes of the vocabularies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) source: usize,
    pub(super) target: usize,
}

/// All tensors with their shapes, in the order of OpenKiwi's state dict. The second name of a shared table is not among them.
/// No more than `most_layers` are listed of each LSTM.
pub(super) fn of(options: &EncoderOptions, sizes: Sizes, most_layers: usize) -> Vec<(String, Vec<usize>)> {
    let hidden = options.hidden_size;
    let out = options.output_size();
    let target = options.target.dim;
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    add("start_PreQEFV".to_owned(), &[1, 1, out]);
    add("end_PreQEFV".to_owned(), &[1, 1, out]);
    for (side, field, words) in
        [("target", &options.target, sizes.target), ("source", &options.source, sizes.source)]
    {
        add(format!("embeddings.{side}.embedding.weight"), &[words, field.dim]);
        if field.use_position_embeddings {
            let positions = field.max_position_embeddings;
            add(format!("embeddings.{side}.positional_encoding.pe"), &[1, positions, field.dim]);
        }
        if field.input_layer_norm {
            add(format!("embeddings.{side}.layer_norm.gamma"), &[field.dim]);
            add(format!("embeddings.{side}.layer_norm.beta"), &[field.dim]);
        }
    }
    if !options.share_embeddings {
        add(OUTPUT_TABLE.to_owned(), &[sizes.target, out]);
    }
    add("encode_target.W2".to_owned(), &[out, out]);
    add("encode_target.V".to_owned(), &[2 * target, 2 * out]);
    add("encode_target.C".to_owned(), &[2 * hidden, 2 * out]);
    add("encode_target.S".to_owned(), &[2 * hidden, 2 * out]);
    let scorer = "encode_target.attention.scorer.layers";
    add(format!("{scorer}.0.0.weight"), &[2 * hidden, 4 * hidden]);
    add(format!("{scorer}.0.0.bias"), &[2 * hidden]);
    add(format!("{scorer}.1.0.weight"), &[1, 2 * hidden]);
    add(format!("{scorer}.1.0.bias"), &[1]);
    for (name, input, directions) in [
        ("forward_backward_a", options.source.dim, &["", "_reverse"][..]),
        ("forward_b", target, &[""]),
        ("backward_b", target, &[""]),
    ] {
        for layer in 0..options.rnn_layers.min(most_layers) {
            let input = if layer == 0 { input } else { directions.len() * hidden };
            for direction in directions {
                let mut lstm = |what: &str, shape: &[usize]| {
                    add(format!("encode_target.{name}.{what}_l{layer}{direction}"), shape);
                };
                lstm("weight_ih", &[4 * hidden, input]);
                lstm("weight_hh", &[4 * hidden, hidden]);
                lstm("bias_ih", &[4 * hidden]);
                lstm("bias_hh", &[4 * hidden]);
            }
        }
    }
    tensors
}

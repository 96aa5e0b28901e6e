//! A pair's numbers never depend on its neighbours in the batch: those of each pair alone equal those in any batch, whatever the
//! lengths, with sides without words, and with words spelled like special tokens.

use kiwi_plugin_api::abi::host::{EncoderInstance, HeadInstance};
use kiwi_plugin_api::{Batch, Field, Output, SpecialIds};
use kiwi_tests::golden::{Case, difference};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tch::{Kind, Tensor};

const FIELDS: [&str; 3] = ["source", "target", "pe"];
const LIMIT: f64 = 1e-5;

/// Word ids of source, target and post-edit.
type Pair = [Vec<i64>; 3];

fn batch(pairs: &[&Pair]) -> Batch {
    let field = |(index, name): (usize, &&str)| {
        let sentences: Vec<Vec<i64>> = pairs.iter().map(|pair| pair[index].clone()).collect();
        Field::from_sentences(name, &sentences, SpecialIds::default()).unwrap()
    };
    Batch::new(FIELDS.iter().enumerate().map(field).collect())
}

/// A sentence of up to 12 words, now and then of none; one word in five is spelled like a special token.
fn sentence(random: &mut ChaCha8Rng, vocabulary: i64) -> Vec<i64> {
    let words = if random.random_range(0..5) == 0 { 0 } else { random.random_range(0..=12) };
    (0..words)
        .map(|_| {
            if random.random_range(0..5) == 0 {
                random.random_range(0..5)
            } else {
                random.random_range(5..vocabulary)
            }
        })
        .collect()
}

/// What one pair gets: the negative log-likelihood at each counted position of target and post-edit, by column, and the features
/// for quality estimation `[T, o + 2h]`.
struct Numbers {
    nll: Vec<Vec<(i64, f64)>>,
    quality: Tensor,
}

fn numbers(encoder: &mut EncoderInstance, head: &mut HeadInstance, pairs: &[&Pair]) -> Vec<Numbers> {
    let batch = batch(pairs);
    tch::no_grad(|| {
        let features = encoder.forward(&batch, false).unwrap();
        let output = head.forward(&features, &batch, false).unwrap();
        let quality = features.get("target").unwrap().materialize().unwrap();
        let mut numbers: Vec<Numbers> = (0..pairs.len())
            .map(|row| Numbers { nll: vec![Vec::new(); 2], quality: quality.select(0, row as i64) })
            .collect();
        for (index, name) in ["target", "pe"].into_iter().enumerate() {
            let figures = output.outputs.iter().find(|output| output.name == name).unwrap();
            let width = batch.field(name).unwrap().ids().unwrap().size()[1];
            let positions = Vec::<i64>::try_from(figures.tensor(Output::POSITIONS).unwrap()).unwrap();
            let nll = Vec::<f32>::try_from(figures.tensor(Output::NLL).unwrap()).unwrap();
            for (position, nll) in positions.into_iter().zip(nll) {
                numbers[(position / width) as usize].nll[index].push((position % width, f64::from(nll)));
            }
        }
        numbers
    })
}

#[test]
fn numbers_of_a_pair_are_the_same_alone_and_in_any_batch() {
    // Batches this small are computed faster by one thread.
    tch::set_num_threads(1);
    let mut random = ChaCha8Rng::seed_from_u64(20_261_125);
    let mut compared = 0;
    for name in ["fine_tune", "encoder_shared", "encoder_one_layer", "encoder_target_positions"] {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        let mut head = case.head_with(&encoder, &json!({"fine_tune": true}));
        let sizes = &case.json["vocab_size"];
        let size = |field: &str| sizes[field].as_i64().unwrap();
        let output_size = case.tensor("weight.start_PreQEFV").size()[2];
        for _ in 0..25 {
            let count = random.random_range(2..=7);
            let mut pairs: Vec<Pair> = (0..count)
                .map(|_| {
                    [
                        sentence(&mut random, size("source")),
                        sentence(&mut random, size("target")),
                        sentence(&mut random, size("target")),
                    ]
                })
                .collect();
            // One that has no source, and one of nothing but words spelled like special tokens, are always there.
            pairs[0][0] = Vec::new();
            pairs[1][1] = vec![3, 1, 2];
            let alone: Vec<Numbers> =
                pairs.iter().flat_map(|pair| numbers(&mut encoder, &mut head, &[pair])).collect();
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            order.shuffle(&mut random);
            let together: Vec<&Pair> = order.iter().map(|index| &pairs[*index]).collect();
            for (index, found) in order.iter().zip(numbers(&mut encoder, &mut head, &together)) {
                let expected = &alone[*index];
                let context = format!("{name}: {:?} among {together:?}", pairs[*index]);
                for (found, expected) in found.nll.iter().zip(&expected.nll) {
                    assert_eq!(found.len(), expected.len(), "{context}");
                    for ((column, found), (expected_column, expected)) in found.iter().zip(expected) {
                        assert_eq!(column, expected_column, "{context}");
                        assert!((found - expected).abs() < LIMIT, "{found} and not {expected}: {context}");
                        compared += 1;
                    }
                }
                // The end of a sentence that is shorter than the batch keeps its product there, and has the learned vector alone;
                // the states beside it are the same.
                let width = pairs[*index][1].len() as i64 + 2;
                let off = difference(
                    &found.quality.narrow(0, 0, width - 1),
                    &expected.quality.narrow(0, 0, width - 1),
                );
                assert!(off < LIMIT, "features are off by {off}: {context}");
                let states = |quality: &Tensor| {
                    quality.select(0, width - 1).slice(0, output_size, None, 1).to_kind(Kind::Double)
                };
                let off = difference(&states(&found.quality), &states(&expected.quality));
                assert!(off < LIMIT, "states are off by {off}: {context}");
            }
        }
    }
    assert!(compared > 1000, "{compared} words were compared");
}

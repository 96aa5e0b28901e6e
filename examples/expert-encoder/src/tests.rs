//! What the encoder must never see, what it must not depend on, and its gradients, on small batches written here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::{Config, Positions};
use super::*;

const VOCABULARY: i64 = 19;

fn small() -> Config {
    Config {
        hidden_size: 12,
        attention_heads: 3,
        source_layers: 2,
        target_layers: 2,
        feed_forward_size: 20,
        dropout: 0.0,
        max_positions: 12,
        ..Config::default()
    }
}

fn context(features: Option<&[&str]>) -> EncoderContext {
    let sizes = BTreeMap::from(["source", "target", "pe"].map(|field| (field.to_owned(), VOCABULARY)));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    EncoderContext::new(sizes, Device::Cpu).with_features(features.map(names))
}

/// libtorch's generator, which all tests of this process share, seeded. Nobody else draws while the guard lives.
fn seeded(seed: i64) -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    guard
}

fn encoder(config: Config) -> ExpertEncoder {
    let _drawing = seeded(11);
    ExpertEncoder::create(config, &context(None)).unwrap()
}

/// The same in double precision.
fn in_double(config: Config) -> ExpertEncoder {
    let encoder = encoder(config);
    for parameter in encoder.parameters().iter().filter(|parameter| parameter.alias_of.is_none()) {
        let mut tensor = parameter.tensor.shallow_clone();
        let double = tch::no_grad(|| tensor.to_kind(Kind::Double));
        tensor.set_data(&double);
    }
    encoder
}

fn batch(source: &[Vec<i64>], target: &[Vec<i64>]) -> Batch {
    let field =
        |name: &str, sentences| Field::from_sentences(name, sentences, SpecialIds::default()).unwrap();
    Batch::new(vec![field("source", source), field("target", target)])
}

/// Pairs of different lengths, and one of no words.
fn pairs() -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
    (
        vec![vec![5, 6, 7, 8, 9, 10], vec![11], vec![], vec![12, 13, 14]],
        vec![vec![6, 7, 8], vec![9, 10, 11, 12, 13], vec![], vec![14, 5]],
    )
}

fn forward(encoder: &mut ExpertEncoder, batch: &Batch) -> Features {
    encoder.forward(batch, &mut Pass::new(false, false)).unwrap()
}

fn logits(encoder: &mut ExpertEncoder, batch: &Batch) -> Tensor {
    forward(encoder, batch).get("target_logits").unwrap().materialize().unwrap()
}

fn difference(one: &Tensor, other: &Tensor) -> f64 {
    assert_eq!(one.size(), other.size());
    if one.numel() == 0 { 0.0 } else { (one - other).abs().max().double_value(&[]) }
}

#[test]
fn a_word_is_predicted_from_all_words_but_itself() {
    for positions in [Positions::Sinusoidal, Positions::Learned] {
        let mut encoder = encoder(Config { positions, ..small() });
        let (source, target) = pairs();
        let before = logits(&mut encoder, &batch(&source, &target));
        let words = target[1].len();
        for changed in 0..words {
            let mut other = target.clone();
            other[1][changed] = 17;
            let after = logits(&mut encoder, &batch(&source, &other));
            for word in 0..words {
                let at = |x: &Tensor| x.get(1).get(word as i64 + 1);
                let moved = difference(&at(&before), &at(&after));
                if word == changed {
                    assert_eq!(moved, 0.0, "word {word} sees itself");
                } else {
                    assert!(moved > 1e-5, "word {word} does not see word {changed}");
                }
            }
            // Nor does another sentence see it.
            for sentence in [0, 2, 3] {
                assert_eq!(difference(&before.get(sentence), &after.get(sentence)), 0.0);
            }
        }
    }
}

#[test]
fn the_two_ways_know_what_is_left_and_what_is_right() {
    let mut encoder = encoder(small());
    let (source, target) = pairs();
    let size = small().hidden_size;
    let ways = |encoder: &mut ExpertEncoder, target: &[Vec<i64>]| {
        let quality = forward(encoder, &batch(&source, target)).get("target").unwrap().materialize().unwrap();
        [size, 2 * size].map(|start| quality.get(1).narrow(-1, start, size))
    };
    let [left, right] = ways(&mut encoder, &target);
    for changed in 0..target[1].len() {
        let mut other = target.clone();
        other[1][changed] = 17;
        let [other_left, other_right] = ways(&mut encoder, &other);
        for word in 0..target[1].len() {
            let moved = |one: &Tensor, other: &Tensor| {
                difference(&one.get(word as i64 + 1), &other.get(word as i64 + 1)) > 1e-6
            };
            assert_eq!(moved(&left, &other_left), changed < word, "left of {word}, {changed} changed");
            assert_eq!(moved(&right, &other_right), changed > word, "right of {word}, {changed} changed");
        }
    }
}

#[test]
fn the_source_matters_word_for_word_and_padding_does_not() {
    let mut encoder = encoder(small());
    let (source, target) = pairs();
    let together = forward(&mut encoder, &batch(&source, &target));
    let features = ["target", "target_logits"].map(|name| together.get(name).unwrap().materialize().unwrap());
    for i in 0..source.len() {
        let alone = forward(&mut encoder, &batch(&source[i..=i], &target[i..=i]));
        let positions = target[i].len() as i64 + 2;
        for (name, all) in ["target", "target_logits"].iter().zip(&features) {
            let alone = alone.get(name).unwrap().materialize().unwrap().get(0);
            let moved = difference(&alone, &all.get(i as i64).narrow(0, 0, positions));
            assert!(moved < 1e-5, "{name} of pair {i} depends on its neighbours: {moved}");
        }
        for word in 0..source[i].len() {
            let mut other = source.clone();
            other[i][word] = 18;
            let after = logits(&mut encoder, &batch(&other, &target));
            let at = |x: &Tensor| x.get(i as i64).get(1);
            assert!(
                difference(&at(&features[1]), &at(&after)) > 1e-6,
                "word {word} of source {i} is not seen"
            );
        }
    }
}

#[test]
fn sentences_of_one_length_are_computed_like_others() {
    let mut encoder = encoder(small());
    let (source, target) = (vec![vec![5, 6], vec![7, 8]], vec![vec![9, 10, 11], vec![12, 13, 14]]);
    let even = logits(&mut encoder, &batch(&source, &target));
    let longer = |sentences: &[Vec<i64>]| [sentences, &[vec![5; 6]]].concat();
    let uneven = logits(&mut encoder, &batch(&longer(&source), &longer(&target)));
    assert!(difference(&even, &uneven.narrow(0, 0, 2).narrow(1, 0, 5)) < 1e-5);
}

/// A smooth function of all that the encoder gives, on post-edits too.
fn scalar(encoder: &mut ExpertEncoder) -> Tensor {
    let (source, target) = pairs();
    let mut batch = batch(&source, &target);
    let reversed: Vec<Vec<i64>> = target.iter().rev().cloned().collect();
    batch.fields.push(Field::from_sentences("pe", &reversed, SpecialIds::default()).unwrap());
    let features = forward(encoder, &batch);
    let names: Vec<&str> = features.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["target", "target_logits", "pe_logits"]);
    let parts = features.iter().map(|(_, feature)| feature.materialize().unwrap().sin().sum(Kind::Double));
    parts.sum()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (positions, share_embeddings) in [(Positions::Sinusoidal, true), (Positions::Learned, false)] {
        let mut encoder = in_double(Config { positions, share_embeddings, ..small() });
        scalar(&mut encoder).backward();
        let trained: Vec<(String, Tensor)> = encoder
            .parameters()
            .iter()
            .filter(|parameter| parameter.trainable)
            .map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone()))
            .collect();
        assert!(trained.len() > 40, "{}", trained.len());
        for (name, tensor) in trained {
            let _drawing = seeded(tensor.numel() as i64);
            let direction = tensor.detach().randn_like();
            let gradient = tensor.grad();
            assert!(gradient.defined(), "{name} has no gradient");
            let expected = (&gradient * &direction).sum(Kind::Double).double_value(&[]);
            let step = 1e-5;
            let mut at = |factor: f64| {
                tch::no_grad(|| {
                    let _ = tensor.shallow_clone().g_add_(&(&direction * (factor * step)));
                    scalar(&mut encoder).double_value(&[])
                })
            };
            let found = (at(1.0) - at(-2.0)) / (2.0 * step);
            let _ = at(1.0);
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < 1e-5, "{name}: {found} by differences, {expected} by backward");
        }
    }
}

#[test]
fn dropout_is_of_training_alone() {
    let (source, target) = pairs();
    let batch = batch(&source, &target);
    for config in [Config { dropout: 0.4, ..small() }, Config { attention_dropout: 0.4, ..small() }] {
        let mut encoder = encoder(config);
        let mut run = |training: bool, seed: i64| {
            let _drawing = seeded(seed);
            let features = encoder.forward(&batch, &mut Pass::new(training, false)).unwrap();
            features.get("target_logits").unwrap().materialize().unwrap()
        };
        let evaluated = run(false, 1);
        assert_eq!(difference(&evaluated, &run(false, 2)), 0.0);
        let trained = run(true, 1);
        assert_eq!(difference(&trained, &run(true, 1)), 0.0);
        assert!(difference(&trained, &run(true, 2)) > 1e-3);
        assert!(difference(&trained, &evaluated) > 1e-3);
    }
}

#[test]
fn what_nobody_reads_is_not_computed() {
    let (source, target) = pairs();
    for (wanted, given) in [
        (&["target_logits"][..], &["target_logits"][..]),
        (&["target"], &["target", "target_logits"]),
        (&[], &[]),
    ] {
        let drawing = seeded(12);
        let mut encoder = ExpertEncoder::create(small(), &context(Some(wanted))).unwrap();
        drop(drawing);
        let features = forward(&mut encoder, &batch(&source, &target));
        assert_eq!(features.iter().map(|(name, _)| name).collect::<Vec<_>>(), given);
        let sizes = encoder.feature_sizes();
        for (name, feature) in features.iter() {
            assert_eq!(feature.materialize().unwrap().size(), [4, 7, sizes[name]]);
        }
    }
}

#[test]
fn batches_without_words_and_sentences_that_are_too_long() {
    let mut encoder = encoder(small());
    let empty = batch(&[vec![], vec![5]], &[vec![], vec![]]);
    let features = forward(&mut encoder, &empty);
    let logits = features.get("target_logits").unwrap().materialize().unwrap();
    assert_eq!(logits.size(), [2, 2, VOCABULARY]);
    assert_eq!(logits.isfinite().all().int64_value(&[]), 1);
    assert_eq!(features.get("target").unwrap().materialize().unwrap().size(), [2, 2, 36]);
    logits.sum(Kind::Float).backward();

    let _ = forward(&mut encoder, &batch(&[vec![5; 10]], &[vec![6; 10]]));
    let long = batch(&[vec![5; 10]], &[vec![6; 11]]);
    let error = encoder.forward(&long, &mut Pass::new(true, false)).unwrap_err().to_string();
    assert_eq!(
        error,
        "a sentence of `target` has 13 positions with <bos> and <eos>, more than max_positions=12"
    );
}

#[test]
fn options_that_cannot_work_are_all_reported() {
    let problems = |config: &Config| {
        let mut report = ConfigReport::default();
        ExpertEncoder::check(config, &mut report);
        report.errors
    };
    assert!(problems(&Config::default()).is_empty());
    assert!(problems(&small()).is_empty());
    let heads = problems(&Config { hidden_size: 12, attention_heads: 5, ..small() });
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0].expected.as_deref(), Some("a divisor of hidden_size, which is 12"));
    assert_eq!(heads[0].help.as_deref(), Some("set attention_heads to 4, or change hidden_size"));
    let wrong = Config {
        hidden_size: 0,
        attention_heads: -1,
        source_layers: 0,
        target_layers: 1001,
        feed_forward_size: 0,
        dropout: 1.0,
        attention_dropout: f64::NAN,
        max_positions: 0,
        ..Config::default()
    };
    let found = problems(&wrong);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    let expected = [
        "hidden_size",
        "attention_heads",
        "source_layers",
        "target_layers",
        "feed_forward_size",
        "max_positions",
        "dropout",
        "attention_dropout",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn the_needs_name_the_option_that_limits_sentences() {
    let needs = ExpertEncoder::needs(&small());
    let limits: Vec<_> = needs
        .longest
        .iter()
        .map(|limit| (limit.field.as_str(), limit.positions, limit.option.as_str()))
        .collect();
    assert_eq!(limits, ["source", "target", "pe"].map(|field| (field, 12, "max_positions")));
}

//! The fused operations against libtorch's own, forward and backward, at the sizes of a batch of 32 sentences of image captions
//! (13 words, a vocabulary of 18 727, hidden size 400) on two threads. `cargo bench -p kiwi-torch-ext`.
#![expect(clippy::unwrap_used, reason = "a tool for developers")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kiwi_torch_ext::{
    AdditiveAttention, LstmWay, additive_attention, gradients, lstm_both_ways, projection_cross_entropy,
};
use tch::{Device, Kind, Tensor};

const THREADS: i32 = 2;
const HIDDEN: i64 = 400;

fn random(shape: &[i64]) -> Tensor {
    (Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.1).set_requires_grad(true)
}

fn lengths() -> Vec<i64> {
    let mut lengths: Vec<i64> = (0..32).map(|row| 9 + row * row % 13).collect();
    lengths.sort_unstable_by_key(|length| -length);
    lengths
}

fn starts(counts: &[i64]) -> Tensor {
    let mut all = vec![0];
    for count in counts {
        all.push(all[all.len() - 1] + count);
    }
    Tensor::from_slice(&all)
}

/// Backward of a sum, and the gradients away again.
fn finish(loss: &Tensor, leaves: &[Tensor]) {
    loss.backward();
    gradients::clear_gradients(leaves).unwrap();
}

fn projection(criterion: &mut Criterion) {
    tch::set_num_threads(THREADS);
    let (rows, words, width) = (384, 18_727, 200);
    let (input, weight) = (random(&[rows, width]), random(&[words, width]));
    let gold = Tensor::randint(words, [rows], (Kind::Int64, Device::Cpu));
    let leaves = [input.shallow_clone(), weight.shallow_clone()];
    let mut group = criterion.benchmark_group("projection and cross-entropy");
    group.sample_size(20);
    group.bench_function("fused", |bencher| {
        bencher.iter(|| {
            let loss = projection_cross_entropy(&input, &weight, None, &gold).unwrap();
            finish(&loss.nll.sum(Kind::Float), &leaves);
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let logits = input.linear(&weight, None::<&Tensor>);
            let nll = -logits.log_softmax(1, Kind::Float).gather(1, &gold.unsqueeze(1), false);
            let _ = black_box((logits.argmax(1, false).eq_tensor(&gold), (-nll.detach()).exp()));
            finish(&nll.sum(Kind::Float), &leaves);
        });
    });
    group.finish();
}

fn lstm(criterion: &mut Criterion) {
    tch::set_num_threads(THREADS);
    let lengths = lengths();
    let batch_sizes: Vec<i64> =
        (0..lengths[0]).map(|t| lengths.iter().filter(|length| **length > t).count() as i64).collect();
    let (batch_sizes, rows) = (Tensor::from_slice(&batch_sizes), lengths.len() as i64);
    let places = lengths.iter().sum::<i64>();
    for (name, input) in [("embeddings", 200), ("layer", 2 * HIDDEN)] {
        let x = random(&[places, input]);
        let weights =
            || [&[4 * HIDDEN, input][..], &[4 * HIDDEN, HIDDEN], &[4 * HIDDEN], &[4 * HIDDEN]].map(random);
        let (forwards, backwards) = (weights(), weights());
        let zeros = Tensor::zeros([rows, HIDDEN], (Kind::Float, Device::Cpu));
        let leaves: Vec<Tensor> =
            [&x].into_iter().chain(&forwards).chain(&backwards).map(Tensor::shallow_clone).collect();
        let mut group = criterion.benchmark_group(format!("bidirectional LSTM over {name}"));
        group.sample_size(20);
        group.bench_function("side by side", |bencher| {
            bencher.iter(|| {
                let ways = [&forwards, &backwards].map(|w| LstmWay {
                    x: &x,
                    weight_ih: &w[0],
                    weight_hh: &w[1],
                    bias_ih: &w[2],
                    bias_hh: &w[3],
                    h: &zeros,
                    c: &zeros,
                });
                let [f, b] = lstm_both_ways(&ways[0], &ways[1], &batch_sizes).unwrap();
                finish(&Tensor::cat(&[f.y, b.y], 1).sum(Kind::Float), &leaves);
            });
        });
        let states = Tensor::zeros([2, rows, HIDDEN], (Kind::Float, Device::Cpu));
        let all: Vec<&Tensor> = forwards.iter().chain(&backwards).collect();
        group.bench_function("packed", |bencher| {
            bencher.iter(|| {
                let states = [&states, &states];
                let (y, ..) = Tensor::lstm_data(&x, &batch_sizes, &states, &all, true, 1, 0.0, true, true);
                finish(&y.sum(Kind::Float), &leaves);
            });
        });
        group.finish();
    }
}

fn attention(criterion: &mut Criterion) {
    tch::set_num_threads(THREADS);
    let (sentences, width) = (32, 2 * HIDDEN);
    let words = vec![13; sentences];
    let all = 13 * sentences as i64;
    let (left, right, keys) = (random(&[all, width]), random(&[all, width]), random(&[all, width]));
    let (weight, bias) = (random(&[width]), random(&[1]));
    let leaves = [&left, &right, &keys, &weight, &bias].map(Tensor::shallow_clone);
    let (starts, rows) = (starts(&words), Tensor::arange(all, (Kind::Int64, Device::Cpu)));
    let mut group = criterion.benchmark_group("additive attention");
    group.sample_size(20);
    group.bench_function("fused", |bencher| {
        bencher.iter(|| {
            let contexts = additive_attention(&AdditiveAttention {
                left: &left,
                right: &right,
                keys: &keys,
                weight: &weight,
                bias: &bias,
                query_starts: &starts,
                key_starts: &starts,
                key_rows: &rows,
            });
            finish(&contexts.unwrap().sum(Kind::Float), &leaves);
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let of = |x: &Tensor| x.view([sentences as i64, 13, width]);
            let pairs = (of(&left).unsqueeze(2) + of(&right).unsqueeze(1)).tanh();
            let scores = (pairs.matmul(&weight) + &bias).tanh();
            finish(&scores.softmax(-1, Kind::Float).bmm(&of(&keys)).sum(Kind::Float), &leaves);
        });
    });
    group.finish();
}

criterion_group!(benches, projection, lstm, attention);
criterion_main!(benches);

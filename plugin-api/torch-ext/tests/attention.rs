//! Additive attention without stored pairs against the same in tch's own operations.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use kiwi_torch_ext::{AdditiveAttention, additive_attention};
use tch::{Device, Kind, Tensor};

struct Case {
    /// left, right, keys, weight and bias.
    leaves: Vec<Tensor>,
    query_starts: Tensor,
    key_starts: Tensor,
    key_rows: Tensor,
}

fn starts(counts: &[i64]) -> Tensor {
    let mut all = vec![0i64];
    for count in counts {
        all.push(all[all.len() - 1] + count);
    }
    Tensor::from_slice(&all)
}

impl Case {
    /// As many queries and keys for each sentence; the keys in an order of their own, with one row that is no key.
    fn new(kind: Kind, queries: &[i64], keys: &[i64], size: i64, width: i64) -> Self {
        let options = (kind, Device::Cpu);
        let (all_queries, all_keys): (i64, i64) = (queries.iter().sum(), keys.iter().sum());
        let leaf = |shape: &[i64]| Tensor::randn(shape, options).set_requires_grad(true);
        Self {
            leaves: vec![
                leaf(&[all_queries, size]),
                leaf(&[all_keys + 1, size]),
                leaf(&[all_keys + 1, width]),
                leaf(&[size]),
                leaf(&[1]),
            ],
            query_starts: starts(queries),
            key_starts: starts(keys),
            key_rows: Tensor::randperm(all_keys + 1, (Kind::Int64, Device::Cpu))
                .narrow(0, 0, all_keys)
                .contiguous(),
        }
    }

    fn exact(&self) -> Self {
        let exact = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double).set_requires_grad(true);
        Self {
            leaves: self.leaves.iter().map(exact).collect(),
            query_starts: self.query_starts.shallow_clone(),
            key_starts: self.key_starts.shallow_clone(),
            key_rows: self.key_rows.shallow_clone(),
        }
    }

    fn described(&self) -> AdditiveAttention<'_> {
        AdditiveAttention {
            left: &self.leaves[0],
            right: &self.leaves[1],
            keys: &self.leaves[2],
            weight: &self.leaves[3],
            bias: &self.leaves[4],
            query_starts: &self.query_starts,
            key_starts: &self.key_starts,
            key_rows: &self.key_rows,
        }
    }

    fn fused(&self) -> Tensor {
        additive_attention(&self.described()).unwrap()
    }

    fn plainly(&self) -> Tensor {
        let [left, right, keys, weight, bias] = &self.leaves[..] else { unreachable!() };
        let list = |tensor: &Tensor| Vec::<i64>::try_from(tensor).unwrap();
        let (query_starts, key_starts) = (list(&self.query_starts), list(&self.key_starts));
        let mut contexts = Vec::new();
        for (query, key) in query_starts.windows(2).zip(key_starts.windows(2)) {
            let rows = self.key_rows.narrow(0, key[0], key[1] - key[0]);
            let left = left.narrow(0, query[0], query[1] - query[0]);
            if key[0] == key[1] {
                contexts.push(Tensor::zeros([left.size()[0], keys.size()[1]], (left.kind(), Device::Cpu)));
                continue;
            }
            let pairs = (left.unsqueeze(1) + right.index_select(0, &rows).unsqueeze(0)).tanh();
            let scores = (pairs.matmul(weight) + bias).tanh();
            contexts.push(scores.softmax(1, left.kind()).matmul(&keys.index_select(0, &rows)));
        }
        Tensor::cat(&contexts, 0)
    }

    fn gradients(&self, contexts: &Tensor) -> Vec<Tensor> {
        let factors = Tensor::arange(contexts.numel() as i64, (contexts.kind(), Device::Cpu)).sin();
        let loss = (contexts.reshape([-1]) * factors).sum(contexts.kind());
        Tensor::run_backward(&[loss], &self.leaves.iter().collect::<Vec<_>>(), false, false)
    }

    fn check(&self, tolerance: f64) {
        let exact = self.exact();
        let (found, expected) = (self.fused(), exact.plainly());
        close("contexts", &found, &expected, tolerance);
        let names = ["left", "right", "keys", "weight", "bias"];
        for ((name, found), expected) in
            names.iter().zip(self.gradients(&found)).zip(exact.gradients(&expected))
        {
            close(name, &found, &expected, tolerance);
        }
    }
}

fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found.to_kind(Kind::Double) - expected).abs().max();
    let relative = difference.double_value(&[]) / expected.abs().max().double_value(&[]).max(1e-3);
    assert!(relative < tolerance, "{what} differs by {relative}");
}

#[test]
fn contexts_and_gradients_are_those_of_plain_operations() {
    tch::manual_seed(1);
    for threads in [1, 2, 5] {
        tch::set_num_threads(threads);
        for (queries, keys) in [(&[1][..], &[1][..]), (&[3, 1, 4], &[2, 5, 1]), (&[2, 0, 3], &[3, 2, 0])] {
            Case::new(Kind::Double, queries, keys, 3, 5).check(1e-12);
            // Scores near ±1 leave few digits of their gradients in float32.
            Case::new(Kind::Float, queries, keys, 37, 40).check(5e-4);
        }
    }
}

#[test]
fn a_thread_more_changes_no_bit() {
    tch::manual_seed(2);
    let case = Case::new(Kind::Float, &[3, 1, 4, 2, 6], &[2, 5, 1, 4, 4], 24, 24);
    let run = |threads| {
        tch::set_num_threads(threads);
        let contexts = case.fused();
        let gradients = case.gradients(&contexts);
        (contexts, gradients)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn without_gradients_nothing_is_recorded() {
    let case = Case::new(Kind::Float, &[2, 1], &[2, 3], 4, 4);
    assert!(!tch::no_grad(|| case.fused()).requires_grad());
}

#[test]
fn what_does_not_fit_is_told() {
    let case = Case::new(Kind::Float, &[2, 1], &[2, 3], 4, 6);
    let refused = |of: AdditiveAttention<'_>| additive_attention(&of).unwrap_err().to_string();
    let described = case.described();
    let wide = Tensor::zeros([6, 5], (Kind::Float, Device::Cpu));
    assert!(refused(AdditiveAttention { right: &wide, ..described }).contains("expected the same last size"));
    let few = Tensor::zeros([5, 6], (Kind::Float, Device::Cpu));
    assert!(refused(AdditiveAttention { keys: &few, ..described }).contains("expected the same first size"));
    let short = starts(&[2, 2]);
    assert!(
        refused(AdditiveAttention { key_starts: &short, ..described })
            .contains("key_starts does not rise from 0 to 5")
    );
    let twice = Tensor::from_slice(&[0i64, 0, 1, 2, 3]);
    assert!(refused(AdditiveAttention { key_rows: &twice, ..described }).contains("holds 0 twice"));
    let beyond = Tensor::from_slice(&[0i64, 6, 1, 2, 3]);
    assert!(
        refused(AdditiveAttention { key_rows: &beyond, ..described })
            .contains("holds 6, expected rows of right")
    );
}

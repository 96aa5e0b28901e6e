//! Two LSTMs side by side against PyTorch's own over packed sequences.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use kiwi_torch_ext::{Autocast, LstmOutput, LstmWay, lstm_both_ways};
use tch::{Device, Kind, Tensor};

struct Case {
    x: [Tensor; 2],
    /// `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, h and c of each way.
    of_way: [Vec<Tensor>; 2],
    batch_sizes: Tensor,
    lengths: Vec<i64>,
}

impl Case {
    /// Rows of these lengths, the longest first.
    fn new(kind: Kind, lengths: &[i64], input: i64, hidden: i64) -> Self {
        let options = (kind, Device::Cpu);
        let batch_sizes: Vec<i64> =
            (0..lengths[0]).map(|t| lengths.iter().filter(|length| **length > t).count() as i64).collect();
        let (places, rows) = (lengths.iter().sum(), lengths.len() as i64);
        let leaf = |shape: &[i64]| (Tensor::randn(shape, options) * 0.5).set_requires_grad(true);
        let of_way = || {
            vec![
                leaf(&[4 * hidden, input]),
                leaf(&[4 * hidden, hidden]),
                leaf(&[4 * hidden]),
                leaf(&[4 * hidden]),
                leaf(&[rows, hidden]),
                leaf(&[rows, hidden]),
            ]
        };
        Self {
            x: [leaf(&[places, input]), leaf(&[places, input])],
            of_way: [of_way(), of_way()],
            batch_sizes: Tensor::from_slice(&batch_sizes),
            lengths: lengths.to_vec(),
        }
    }

    fn exact(&self) -> Self {
        let exact = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double).set_requires_grad(true);
        Self {
            x: self.x.each_ref().map(exact),
            of_way: self.of_way.each_ref().map(|tensors| tensors.iter().map(exact).collect()),
            batch_sizes: self.batch_sizes.shallow_clone(),
            lengths: self.lengths.clone(),
        }
    }

    fn way(&self, way: usize) -> LstmWay<'_> {
        let of = &self.of_way[way];
        LstmWay {
            x: &self.x[way],
            weight_ih: &of[0],
            weight_hh: &of[1],
            bias_ih: &of[2],
            bias_hh: &of[3],
            h: &of[4],
            c: &of[5],
        }
    }

    fn side_by_side(&self) -> Vec<Tensor> {
        let outputs = lstm_both_ways(&self.way(0), &self.way(1), &self.batch_sizes).unwrap();
        outputs.into_iter().flat_map(|LstmOutput { y, h, c }| [y, h, c]).collect()
    }

    /// Each way by itself, the one backwards over reversed rows.
    fn plainly(&self) -> Vec<Tensor> {
        let reverse = Tensor::from_slice(&self.reversed_places());
        let mut all = Vec::new();
        for way in 0..2 {
            let of = &self.of_way[way];
            let x = if way == 0 { self.x[0].shallow_clone() } else { self.x[1].index_select(0, &reverse) };
            let states = [of[4].unsqueeze(0), of[5].unsqueeze(0)];
            let (y, h, c) =
                Tensor::lstm_data(&x, &self.batch_sizes, &states, &of[..4], true, 1, 0.0, false, false);
            let y = if way == 0 { y } else { y.index_select(0, &reverse) };
            all.extend([y, h.squeeze_dim(0), c.squeeze_dim(0)]);
        }
        all
    }

    /// For each place that of its row's reversal.
    fn reversed_places(&self) -> Vec<i64> {
        let place = |t: i64, row: usize| {
            let before: i64 = self.lengths.iter().map(|length| (*length).min(t)).sum();
            before + row as i64
        };
        let mut all = Vec::new();
        for t in 0..self.lengths[0] {
            for (row, length) in self.lengths.iter().enumerate().filter(|(_, length)| **length > t) {
                all.push(place(length - 1 - t, row));
            }
        }
        all
    }

    fn leaves(&self) -> Vec<&Tensor> {
        self.x.iter().chain(self.of_way.iter().flatten()).collect()
    }

    /// Gradients of the leaves when each entry of each output counts differently.
    fn gradients(&self, outputs: &[Tensor]) -> Vec<Tensor> {
        let losses = outputs.iter().map(|output| {
            let factors = Tensor::arange(output.numel() as i64, (output.kind(), Device::Cpu)).sin();
            (output.reshape([-1]) * factors).sum(output.kind())
        });
        let loss = losses.reduce(|a, b| a + b).unwrap();
        Tensor::run_backward(&[loss], &self.leaves(), false, false)
    }

    fn check(&self, tolerance: f64) {
        let exact = self.exact();
        let (found, expected) = (self.side_by_side(), exact.plainly());
        close("output", &found, &expected, tolerance);
        close("gradient", &self.gradients(&found), &exact.gradients(&expected), tolerance);
    }
}

fn close(what: &str, found: &[Tensor], expected: &[Tensor], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.size(), expected.size(), "{what} {index}");
        let difference = (found.to_kind(Kind::Double) - expected).abs().max();
        let relative = difference.double_value(&[]) / expected.abs().max().double_value(&[]).max(1e-3);
        assert!(relative < tolerance, "{what} {index} differs by {relative}");
    }
}

#[test]
fn outputs_and_gradients_are_those_of_packed_sequences() {
    tch::manual_seed(1);
    for threads in [1, 2, 5] {
        tch::set_num_threads(threads);
        for lengths in [&[1][..], &[5], &[7, 3, 3, 1], &[4, 4, 4], &[9; 40]] {
            Case::new(Kind::Double, lengths, 3, 4).check(1e-12);
            Case::new(Kind::Float, lengths, 5, 37).check(2e-6);
        }
    }
}

#[test]
fn a_thread_more_changes_no_bit() {
    tch::manual_seed(2);
    let case = Case::new(Kind::Float, &[9, 9, 8, 7, 7, 7, 5, 5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 1], 6, 32);
    let run = |threads| {
        tch::set_num_threads(threads);
        let outputs = case.side_by_side();
        let gradients = case.gradients(&outputs);
        (outputs, gradients)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn inputs_may_be_shared_and_outputs_unused() {
    let case = Case::new(Kind::Double, &[3, 2], 4, 4);
    let outputs = |forwards: &LstmWay<'_>, backwards: &LstmWay<'_>| {
        lstm_both_ways(forwards, backwards, &case.batch_sizes).unwrap()
    };
    let shared = LstmWay { x: &case.x[0], ..case.way(1) };
    let [forwards, backwards] = outputs(&case.way(0), &shared);
    let of_both = Tensor::run_backward(
        &[forwards.y.sum(Kind::Double) + backwards.c.sum(Kind::Double)],
        &[&case.x[0]],
        false,
        false,
    );
    let copy = case.x[0].detach().set_requires_grad(true);
    let [forwards, backwards] = outputs(&case.way(0), &LstmWay { x: &copy, ..case.way(1) });
    let loss = forwards.y.sum(Kind::Double) + backwards.c.sum(Kind::Double);
    let apart = Tensor::run_backward(&[loss], &[&case.x[0], &copy], false, false);
    assert!((&of_both[0] - (&apart[0] + &apart[1])).abs().max().double_value(&[]) < 1e-14);
}

#[test]
fn without_gradients_nothing_is_recorded() {
    let case = Case::new(Kind::Float, &[3, 2], 4, 4);
    let outputs = tch::no_grad(|| case.side_by_side());
    assert!(outputs.iter().all(|output| !output.requires_grad()));
    assert_eq!(outputs, case.side_by_side());
}

#[test]
fn under_autocast_only_the_products_are_short() {
    tch::manual_seed(3);
    let case = Case::new(Kind::Float, &[7, 5, 5, 2], 24, 32);
    let (found, expected) = {
        let _precision = Autocast::cpu(Kind::BFloat16).unwrap();
        (case.side_by_side(), case.exact().plainly())
    };
    assert!(found.iter().all(|output| output.kind() == Kind::Float));
    close("output", &found, &expected, 0.02);
    let (found_gradients, expected) = (case.gradients(&found), case.exact());
    close("gradient", &found_gradients, &expected.gradients(&expected.plainly()), 0.05);
    assert_ne!(found, case.side_by_side(), "the products are short");
}

#[test]
fn what_does_not_fit_is_told() {
    let case = Case::new(Kind::Float, &[3, 2], 4, 4);
    let refused = |forwards: &LstmWay<'_>, batch_sizes: &Tensor| {
        lstm_both_ways(forwards, &case.way(1), batch_sizes).unwrap_err().to_string()
    };
    let short = case.x[0].narrow(0, 0, 4);
    assert!(
        refused(&LstmWay { x: &short, ..case.way(0) }, &case.batch_sizes)
            .contains("x has shape [4, 4], expected [5, 4]")
    );
    let double = case.of_way[0][4].to_kind(Kind::Double);
    assert!(
        refused(&LstmWay { h: &double, ..case.way(0) }, &case.batch_sizes)
            .contains("h is of type Double on cpu")
    );
    let growing = Tensor::from_slice(&[1i64, 2, 2]);
    assert!(refused(&case.way(0), &growing).contains("batch_sizes has 2 at 1"));
    assert!(refused(&case.way(0), &case.batch_sizes.to_kind(Kind::Int)).contains("expected [T] of Long"));
}

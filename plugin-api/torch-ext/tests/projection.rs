//! The fused projection and loss against the same in tch's own operations.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use kiwi_torch_ext::{Autocast, ProjectionLoss, projection_cross_entropy};
use tch::{Device, Kind, Tensor};

struct Case {
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    gold: Tensor,
}

impl Case {
    fn new(kind: Kind, [rows, columns, width]: [i64; 3], bias: bool) -> Self {
        let options = (kind, Device::Cpu);
        Self {
            input: Tensor::randn([rows, width], options).set_requires_grad(true),
            weight: Tensor::randn([columns, width], options).set_requires_grad(true),
            bias: bias.then(|| Tensor::randn([columns], options).set_requires_grad(true)),
            gold: Tensor::randint(columns, [rows], (Kind::Int64, Device::Cpu)),
        }
    }

    fn loss(&self) -> ProjectionLoss {
        projection_cross_entropy(&self.input, &self.weight, self.bias.as_ref(), &self.gold).unwrap()
    }

    fn plainly(&self) -> ProjectionLoss {
        let logits = self.input.linear(&self.weight, self.bias.as_ref());
        let log_softmax = logits.log_softmax(1, logits.kind());
        let nll = -log_softmax.gather(1, &self.gold.unsqueeze(1), false).squeeze_dim(1);
        let correct = logits.argmax(1, false).eq_tensor(&self.gold);
        ProjectionLoss { probability: (-&nll).exp().detach(), nll, correct }
    }

    fn leaves(&self) -> Vec<&Tensor> {
        [&self.input, &self.weight].into_iter().chain(&self.bias).collect()
    }

    /// Gradients of the leaves when each row's loss counts differently.
    fn gradients(&self, nll: &Tensor) -> Vec<Tensor> {
        let factors = Tensor::arange(nll.size()[0], (nll.kind(), Device::Cpu)) / 10 + 0.5;
        Tensor::run_backward(&[(nll * factors).sum(nll.kind())], &self.leaves(), false, false)
    }

    /// The same case in float64.
    fn exact(&self) -> Self {
        let exact = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double).set_requires_grad(true);
        Self {
            input: exact(&self.input),
            weight: exact(&self.weight),
            bias: self.bias.as_ref().map(exact),
            gold: self.gold.shallow_clone(),
        }
    }

    /// Against plain operations in float64.
    fn check(&self, tolerance: f64) {
        let exact = self.exact();
        let (found, expected) = (self.loss(), exact.plainly());
        assert_close("nll", &found.nll, &expected.nll, tolerance);
        assert_close("probability", &found.probability, &expected.probability, tolerance);
        assert_eq!(found.correct, expected.correct);
        assert_eq!(found.correct.kind(), Kind::Bool);
        assert!(!found.probability.requires_grad());
        let names = ["input", "weight", "bias"];
        for ((name, found), expected) in
            names.iter().zip(self.gradients(&found.nll)).zip(exact.gradients(&expected.nll))
        {
            assert_close(name, &found, &expected, tolerance);
        }
        let silent = tch::no_grad(|| self.loss());
        assert!(!silent.nll.requires_grad());
        assert_close("nll without grad", &silent.nll, &expected.nll, tolerance);
        assert_close("probability without grad", &silent.probability, &expected.probability, tolerance);
        assert_eq!(silent.correct, expected.correct);
    }
}

fn assert_close(name: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{name}");
    let found = found.to_kind(Kind::Double);
    let difference = (&found - expected).abs().max().double_value(&[]);
    assert!(found.allclose(expected, tolerance, tolerance, false), "{name} differs by {difference}");
}

/// Sizes that fill vectors and chunks, and that do not; the last two need several chunks.
const SIZES: [[i64; 3]; 6] =
    [[1, 1, 1], [5, 3, 2], [9, 17, 4], [33, 257, 16], [70, 50_001, 3], [20, 300_007, 2]];

#[test]
fn it_is_the_same_as_the_plain_operations() {
    for size in SIZES {
        for bias in [false, true] {
            let single = Case::new(Kind::Float, size, bias);
            assert_eq!(single.loss().nll.kind(), Kind::Float);
            // The products sum over the vocabulary in float32, ours and the plain ones alike.
            single.check(2e-5 * (size[1] as f64 / 1000.0).max(1.0).sqrt());
            let double = Case::new(Kind::Double, size, bias);
            assert_eq!(double.loss().nll.kind(), Kind::Double);
            double.check(1e-9);
        }
    }
}

#[test]
fn probabilities_are_as_exact_as_float32() {
    let case = Case::new(Kind::Float, [64, 1000, 8], true);
    let (found, exact) = (case.loss(), case.exact().plainly());
    let error = |found: &Tensor, exact: &Tensor| {
        let found = found.detach().to_kind(Kind::Double);
        ((found - exact).abs() / exact).max().double_value(&[])
    };
    assert!(error(&found.nll, &exact.nll) < 3e-6, "{}", error(&found.nll, &exact.nll));
    assert!(error(&found.probability, &exact.probability) < 1e-5);
}

#[test]
fn no_rows_are_no_error() {
    for columns in [1, 4] {
        let case = Case::new(Kind::Float, [0, columns, 2], true);
        let found = case.loss();
        assert_eq!(found.nll.size(), [0]);
        assert_eq!(found.correct.size(), [0]);
        let gradients = Tensor::run_backward(&[found.nll.sum(Kind::Float)], &case.leaves(), false, false);
        assert_eq!(gradients[0].size(), [0, 2]);
        assert_eq!(gradients[1], Tensor::zeros([columns, 2], (Kind::Float, Device::Cpu)));
        assert_eq!(gradients[2], Tensor::zeros([columns], (Kind::Float, Device::Cpu)));
    }
}

#[test]
fn of_equal_logits_the_first_counts() {
    let input = Tensor::ones([4, 1], (Kind::Float, Device::Cpu));
    let weight = Tensor::from_slice(&[1_f32, 2.0, 0.0, 2.0]).view([4, 1]);
    let gold = Tensor::from_slice(&[0_i64, 1, 2, 3]);
    let loss = projection_cross_entropy(&input, &weight, None, &gold).unwrap();
    assert_eq!(Vec::<bool>::try_from(loss.correct).unwrap(), [false, true, false, false]);
    assert_eq!(loss.probability.double_value(&[1]), loss.probability.double_value(&[3]));
}

#[test]
fn tensors_may_be_views() {
    let options = (Kind::Float, Device::Cpu);
    let case = Case {
        input: Tensor::randn([6, 20], options).tr().slice(0, 1, 19, 2).set_requires_grad(true),
        weight: Tensor::randn([6, 31], options).tr().set_requires_grad(true),
        bias: Some(Tensor::randn([31, 2], options).select(1, 1).set_requires_grad(true)),
        gold: Tensor::randint(31, [9, 3], (Kind::Int64, Device::Cpu)).select(1, 2),
    };
    assert!(!case.input.is_contiguous() && !case.gold.is_contiguous());
    case.check(2e-5);
}

#[test]
fn only_wanted_gradients_are_computed() {
    let mut case = Case::new(Kind::Double, [5, 7, 3], true);
    case.weight = case.weight.detach();
    let bias = case.bias.take().map(|bias| bias.detach());
    let nll = projection_cross_entropy(&case.input, &case.weight, bias.as_ref(), &case.gold).unwrap().nll;
    nll.sum(Kind::Double).backward();
    assert!(case.input.grad().defined());
    assert!(!case.weight.grad().defined());
}

#[test]
fn extreme_logits_stay_finite_and_impossible_ones_are_zero() {
    let input = Tensor::ones([3, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let weight = Tensor::from_slice(&[1e4_f32, 0.0, -1e4, f32::NEG_INFINITY]).view([4, 1]);
    let gold = Tensor::from_slice(&[0_i64, 2, 3]);
    let loss = projection_cross_entropy(&input, &weight, None, &gold).unwrap();
    assert_eq!(Vec::<f32>::try_from(&loss.nll.detach()).unwrap(), [0.0, 2e4, f32::INFINITY]);
    assert_eq!(Vec::<f32>::try_from(&loss.probability).unwrap(), [1.0, 0.0, 0.0]);
}

#[test]
fn a_logit_that_is_no_number_shows_in_the_loss() {
    let input = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
    let mut values = vec![0_f32; 40];
    values[17] = f32::NAN;
    let weight = Tensor::from_slice(&values).view([40, 1]);
    let loss = projection_cross_entropy(&input, &weight, None, &Tensor::from_slice(&[3_i64])).unwrap();
    assert!(loss.nll.double_value(&[0]).is_nan());
}

#[test]
fn a_retained_graph_gives_the_same_gradients_again() {
    let case = Case::new(Kind::Double, [5, 7, 3], true);
    let loss = case.loss().nll.sum(Kind::Double);
    let first = Tensor::run_backward(&[&loss], &case.leaves(), true, false);
    let second = Tensor::run_backward(&[&loss], &case.leaves(), false, false);
    assert_eq!(first, second);
    let third = Tensor::f_run_backward(&[&loss], &case.leaves(), false, false).unwrap_err().to_string();
    assert!(third.contains("second time"), "{third}");
}

#[test]
fn a_second_derivative_is_refused() {
    let case = Case::new(Kind::Double, [5, 7, 3], false);
    let loss = case.loss().nll.sum(Kind::Double);
    let error = Tensor::f_run_backward(&[&loss], &case.leaves(), true, true).unwrap_err().to_string();
    assert!(error.contains("can be differentiated once only"), "{error}");
}

#[test]
fn under_autocast_only_the_products_are_short() {
    let case = Case::new(Kind::Float, [40, 300, 16], true);
    let expected = case.plainly();
    let found = {
        let _autocast = Autocast::cpu(Kind::BFloat16).unwrap();
        case.loss()
    };
    assert_close("nll", &found.nll, &expected.nll.to_kind(Kind::Double), 0.05);
    let exactly = (&found.nll - &expected.nll).abs().max().double_value(&[]);
    assert!(exactly > 0.0, "the product was not computed in bfloat16");
    for (found, expected) in case.gradients(&found.nll).iter().zip(case.gradients(&expected.nll)) {
        assert_eq!(found.kind(), Kind::Float);
        let error = (found - &expected).norm() / expected.norm();
        assert!(error.double_value(&[]) < 0.02, "{error:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::new(Kind::Float, [2, 5, 3], true);
    let refused = |input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, gold: &Tensor| {
        projection_cross_entropy(input, weight, bias, gold).unwrap_err().to_string()
    };
    let Case { input, weight, gold, .. } = &case;
    let wide = Tensor::zeros([5, 4], (Kind::Float, Device::Cpu));
    assert_eq!(
        refused(input, &wide, None, gold),
        "projection_cross_entropy: weight has shape [5, 4], expected [V, 3] for an input of shape [2, 3]"
    );
    assert_eq!(
        refused(input, weight, None, &Tensor::from_slice(&[1_i64, 5])),
        "projection_cross_entropy: gold holds 5, expected indices from 0 to 4 for a weight of shape [5, 3]"
    );
    assert!(refused(input, weight, None, &Tensor::from_slice(&[-1_i64, 0])).contains("gold holds -1"));
    assert!(refused(input, weight, None, &Tensor::from_slice(&[1_i32, 2])).contains("gold is of type Int"));
    assert!(
        refused(input, weight, None, &gold.slice(0, 0, 1, 1)).contains("gold has shape [1], expected [2]")
    );
    assert!(refused(&gold.view([2, 1]), weight, None, gold).contains("weight has shape"));
    assert!(refused(input, weight, Some(&wide), gold).contains("bias has shape [5, 4], expected [5]"));
    assert!(refused(&input.get(0), weight, None, gold).contains("input has shape [3], expected [N, o]"));
}

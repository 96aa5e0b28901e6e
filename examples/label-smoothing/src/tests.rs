//! The loss and its gradients against the labels written out over the whole vocabulary.

use std::collections::BTreeMap;

use super::*;

const VOCABULARY: i64 = 23;
const SIZE: i64 = 6;

fn batch() -> Batch {
    let special = SpecialIds::default();
    let field = |name: &str, sentences: &[Vec<i64>]| Field::from_sentences(name, sentences, special).unwrap();
    let source = vec![vec![5, 6], vec![7], vec![]];
    // The second sentence has a word that is spelled like a special token, which is not counted.
    let target = vec![vec![5, 9, 22, 0], vec![special.pad, 11], vec![]];
    let post_edit = vec![vec![8, 8], vec![12, 13, 14], vec![21]];
    Batch::new(vec![field("source", &source), field("target", &target), field("pe", &post_edit)])
}

/// Logits of the fields, of the same table, without and with a bias.
fn features(batch: &Batch, bias: Option<&Tensor>) -> (Features, [Tensor; 3]) {
    tch::manual_seed(4);
    let drawn = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let weight = drawn(&[VOCABULARY, SIZE]);
    let input = |field: &str| {
        let shape = batch.field(field).unwrap().ids().unwrap().size();
        drawn(&[shape[0], shape[1], SIZE])
    };
    let (target, pe) = (input("target"), input("pe"));
    let logits = |input: &Tensor| {
        let bias = bias.map(Tensor::shallow_clone);
        Feature::Projection(Projection::new(input.shallow_clone(), weight.shallow_clone(), bias))
    };
    let features = Features::new().with("target_logits", logits(&target)).with("pe_logits", logits(&pe));
    (features, [target, pe, weight])
}

fn head(smoothing: f64, fine_tune: bool) -> LabelSmoothing {
    let sizes = ["target_logits", "pe_logits"].map(|name| (name.to_owned(), VOCABULARY));
    let context = HeadContext::new(BTreeMap::from(sizes), SIZE, BTreeMap::new(), Device::Cpu);
    LabelSmoothing::create(Config { smoothing, fine_tune }, &context).unwrap()
}

/// The loss of one output, with every label as a distribution over the vocabulary.
fn written_out(smoothing: f64, field: &Field, logits: &Tensor) -> Tensor {
    let positions = field.counted().unwrap();
    let gold = field.ids().unwrap().reshape([-1]).index_select(0, positions);
    let logits = logits.reshape([-1, VOCABULARY]).index_select(0, positions);
    let even = Tensor::full(logits.size(), smoothing / VOCABULARY as f64, (Kind::Double, Device::Cpu));
    let labels = even + gold.one_hot(VOCABULARY).to_kind(Kind::Double) * (1.0 - smoothing);
    -(labels * logits.log_softmax(-1, Kind::Double)).sum(Kind::Double)
}

fn close(one: &Tensor, other: &Tensor) {
    assert_eq!(one.size(), other.size());
    let difference = (one - other).abs().max().double_value(&[]);
    assert!(difference < 1e-10, "they differ by {difference}");
}

#[test]
fn loss_and_gradients_are_those_of_smoothed_labels() {
    let batch = batch();
    let bias = Tensor::randn([VOCABULARY], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    for smoothing in [0.0, 0.1, 0.7] {
        for fine_tune in [false, true] {
            for bias in [None, Some(&bias)] {
                let (features, leaves) = features(&batch, bias);
                let output = head(smoothing, fine_tune)
                    .forward(&features, &batch, &mut Pass::new(true, false))
                    .unwrap();
                let fields: &[&str] = if fine_tune { &["target", "pe"] } else { &["target"] };
                let expected: Tensor = fields
                    .iter()
                    .map(|name| {
                        let logits = features.get(&logits_of(name)).unwrap().materialize().unwrap();
                        written_out(smoothing, batch.field(name).unwrap(), &logits)
                    })
                    .sum();
                close(&output.loss, &expected);
                let trained: Vec<&Tensor> = leaves
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != 1 || fine_tune)
                    .map(|(_, leaf)| leaf)
                    .chain(bias)
                    .collect();
                let found = Tensor::run_backward(&[&output.loss], &trained, false, false);
                let wanted = Tensor::run_backward(&[&expected], &trained, false, false);
                for (found, wanted) in found.iter().zip(&wanted) {
                    close(found, wanted);
                }
            }
        }
    }
}

#[test]
fn what_metrics_read_is_not_smoothed() {
    let batch = batch();
    let (features, _) = features(&batch, None);
    let mut pass = Pass::new(false, false);
    let smoothed = head(0.5, false).forward(&features, &batch, &mut pass).unwrap();
    let plain = head(0.0, false).forward(&features, &batch, &mut pass).unwrap();
    let (smoothed, plain) = (&smoothed.outputs[0], &plain.outputs[0]);
    assert_eq!(smoothed.name, "target");
    assert_eq!(smoothed.tensor(Output::POSITIONS).unwrap().size(), [5]);
    for (name, tensor) in plain.tensors() {
        assert_eq!(smoothed.tensor(name).unwrap(), tensor, "{name}");
    }
    let sum = plain.tensor(Output::NLL).unwrap().sum(Kind::Double);
    close(
        &sum,
        &written_out(
            0.0,
            batch.field("target").unwrap(),
            &features.get("target_logits").unwrap().materialize().unwrap(),
        ),
    );
}

#[test]
fn a_batch_without_words_has_no_loss() {
    let special = SpecialIds::default();
    let field = |name: &str| Field::from_sentences(name, &[vec![], vec![]], special).unwrap();
    let batch = Batch::new(vec![field("source"), field("target"), field("pe")]);
    let (features, [target, ..]) = features(&batch, None);
    let output = head(0.1, true).forward(&features, &batch, &mut Pass::new(true, false)).unwrap();
    assert_eq!(output.loss.double_value(&[]), 0.0);
    output.loss.backward();
    assert_eq!(target.grad().abs().sum(Kind::Double).double_value(&[]), 0.0);
}

#[test]
fn it_reads_what_its_options_ask_for_and_refuses_a_smoothing_of_one() {
    let needs = LabelSmoothing::needs(&Config { fine_tune: true, ..Config::default() });
    assert_eq!(needs.fields, [NeededField::new("pe", "fine_tune")]);
    assert_eq!(needs.features.unwrap(), ["target_logits", "pe_logits"]);
    assert!(LabelSmoothing::needs(&Config::default()).fields.is_empty());
    for (smoothing, errors) in [(0.0, 0), (0.99, 0), (1.0, 1), (-0.1, 1), (f64::NAN, 1)] {
        let mut report = ConfigReport::default();
        LabelSmoothing::check(&Config { smoothing, ..Config::default() }, &mut report);
        assert_eq!(report.errors.len(), errors, "{smoothing}");
    }
}

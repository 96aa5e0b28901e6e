use std::fs;

use serde_json::json;
use tch::{Kind, Tensor};

use super::stand_ins::{Adam, MeanNll, WordSums, Words};
use super::*;
use crate::{Batch, Encoder, Feature, Features, Field, NamedTensors, Optimizer, ParameterGroup, Result};

fn message(result: Result<impl Sized>) -> String {
    result.err().map(|error| error.to_string()).expect("it fails")
}

fn ids(batch: &Batch, field: &str) -> Vec<i64> {
    Vec::try_from(batch.field(field).unwrap().ids().unwrap().reshape([-1])).unwrap()
}

#[test]
fn batches_are_what_the_host_would_make_of_sentences() -> Result<()> {
    let batch = batch(&[("source", &[vec![5, 6], vec![7]]), ("target", &[vec![8], vec![]])])?;
    assert_eq!(ids(&batch, "source"), [2, 5, 6, 3, 2, 7, 3, 1]);
    assert_eq!(ids(&batch, "target"), [2, 8, 3, 2, 3, 1]);
    let uneven: [(&str, &[Vec<i64>]); 2] = [("source", &[vec![5]]), ("target", &[])];
    assert!(message(super::batch(&uneven)).contains("field `target` has 0 sentences and `source` has 1"));
    assert!(message(super::batch(&[])).contains("at least one field"));
    let setting = Setting::new().vocabulary("target", 9);
    assert!(message(setting.batch(&[("target", &[vec![9]])])).contains("the word 9: expected ids of 0 to 8"));
    assert!(message(setting.batch(&[("pe", &[vec![5]])])).contains(".vocabulary(\"pe\", SIZE)"));
    Ok(())
}

#[test]
fn random_batches_depend_on_the_seed_alone() -> Result<()> {
    let setting = Setting::new().vocabulary("pe", 6);
    let draw = |seed| setting.batches(seed).sentences(5).longest(9).take(20).collect::<Result<Vec<_>>>();
    let (one, same, other) = (draw(3)?, draw(3)?, draw(4)?);
    let all = |batches: &[Batch]| -> Vec<Vec<i64>> { batches.iter().map(|b| ids(b, "pe")).collect() };
    assert_eq!(all(&one), all(&same));
    assert_ne!(all(&one), all(&other));
    let mut lengths: Vec<i64> = one
        .iter()
        .flat_map(|batch| Vec::<i64>::try_from(batch.field("source").unwrap().lengths().unwrap()).unwrap())
        .collect();
    lengths.sort_unstable();
    assert_eq!((lengths.first(), lengths.last()), (Some(&3), Some(&11)));
    let words: Vec<i64> = all(&one).concat();
    assert!((0..6).all(|id| words.contains(&id)) && words.iter().all(|id| (0..6).contains(id)));
    assert!(
        message(Setting::new().vocabulary("target", 4).batches(1).next().unwrap())
            .contains("all of them special")
    );
    Ok(())
}

#[test]
fn options_are_checked_as_by_the_host() -> Result<()> {
    assert_eq!(config::<WordSums>(&json!({}))?.size, 8);
    let refused = message(config::<WordSums>(&json!({"size": 0})));
    assert!(
        refused.contains("`WordSums` refuses") && refused.contains("size: ") && refused.contains("found 0")
    );
    let refused = message(config::<WordSums>(&json!({"sise": 3})));
    assert!(refused.contains("did you mean `size`?"), "{refused}");
    assert_eq!(report::<WordSums>(&json!({"size": 5})).config, Some(json!({"size": 5})));
    assert_eq!(report::<WordSums>(&json!({"size": "5"})).errors[0].path, "size");
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_component_whatever_else_draws() -> Result<()> {
    let values = |seed| -> Result<NamedTensors> {
        let encoder: WordSums = Setting::new().seed(seed).encoder(json!({}))?;
        Ok(encoder.parameters().iter().map(|one| (one.name.clone(), one.tensor.detach())).collect())
    };
    let first = values(5)?;
    let others: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                (0..20).for_each(|seed| drop(Setting::new().seed(seed).encoder::<WordSums>(json!({}))))
            })
        })
        .collect();
    for _ in 0..20 {
        compare_all(&values(5)?, &first, Tolerance::EXACT)?;
    }
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(compare_all(&values(6)?, &first, Tolerance::EXACT).is_err());
    // Within one another they do not wait for themselves.
    let within = seeded(1, || seeded(2, || Ok(Tensor::rand([3], (Kind::Float, tch::Device::Cpu)))))?;
    compare(
        "within",
        &within,
        &seeded(2, || Ok(Tensor::rand([3], (Kind::Float, tch::Device::Cpu))))?,
        Tolerance::EXACT,
    )
}

#[test]
fn stand_ins_learn_together() -> Result<()> {
    let setting = Setting::new();
    let mut encoder: WordSums = setting.encoder(json!({"size": 12}))?;
    let mut head: Words = setting.head(json!({}), &encoder)?;
    let mut adam: Adam = setting.optimizer(json!({}), groups(&encoder, &head))?;
    let batches = setting.batches(2).take(3).collect::<Result<Vec<_>>>()?;
    let training = Training { epochs: 30, learning_rate: 0.1, ..Training::default() };
    let losses = train(&mut encoder, &mut head, &mut adam, &batches, training)?;
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < 0.4 * losses[0], "{losses:?}");
    // What a metric says of the outputs is what the loss says.
    let mut outputs = Vec::new();
    let mut loss = 0.0;
    for batch in &batches {
        let features = encode(&mut encoder, batch, false)?;
        assert!(!features.get("target")?.materialize()?.requires_grad());
        let output = predict(&mut head, &features, batch, false)?;
        loss += f64::try_from(&output.loss)?;
        outputs.extend(output.outputs);
    }
    let count: i64 = batches.iter().map(|b| b.field("target").unwrap().counted().unwrap().size()[0]).sum();
    let metric: MeanNll = setting.metric(json!({}))?;
    let measured = measure(&metric, &outputs)?.unwrap();
    assert!((measured - loss / count as f64).abs() < 1e-5, "{measured} {loss} {count}");
    Ok(())
}

#[test]
fn a_head_is_refused_what_its_encoder_does_not_give() -> Result<()> {
    let encoder: WordSums = Setting::new().features(["target"]).encoder(json!({}))?;
    assert!(Setting::new().head::<Words, _>(json!({}), &encoder).is_ok(), "an encoder says what it can give");
    let mut encoder = encoder;
    let batch = Setting::new().batches(1).next().unwrap()?;
    let given = encode(&mut encoder, &batch, true)?;
    assert!(given.get("target_logits").is_err(), "nobody reads it");
    let mut head: Words = Setting::new().head(json!({}), &encoder)?;
    assert!(message(predict(&mut head, &given, &batch, true)).contains("no feature `target_logits`"));
    let wrong = Features::new().with(
        "target_logits",
        Feature::Tensor(Tensor::full([4, 9, 19], f64::NAN, (Kind::Float, tch::Device::Cpu))),
    );
    let batch = Batch::new(vec![Field::from_sentences(
        "target",
        &vec![vec![5; 7]; 4],
        crate::SpecialIds::default(),
    )?]);
    assert!(message(predict(&mut head, &wrong, &batch, true)).contains("the loss is NaN"));
    Ok(())
}

#[test]
fn an_optimizer_goes_on_from_its_state() -> Result<()> {
    let weight = || Tensor::from_slice(&[3.0_f32, -2.0]).set_requires_grad(true);
    let over = |weight: &Tensor| -> Result<Adam> {
        let parameters = vec![("w".to_owned(), weight.shallow_clone())];
        Setting::new().optimizer(json!({}), vec![ParameterGroup::new("all", parameters)])
    };
    let down = |adam: &mut Adam, weight: &Tensor, steps| {
        descend(adam, &[weight.shallow_clone()], 0.1, steps, || Ok(weight.f_square()?.f_sum(Kind::Float)?))
    };
    let (whole, halved) = (weight(), weight());
    let losses = down(&mut over(&whole)?, &whole, 10)?;
    assert!((losses[0] - 13.0).abs() < 1e-6 && losses[9] < losses[0]);
    let mut first = over(&halved)?;
    down(&mut first, &halved, 5)?;
    let mut second = over(&halved)?;
    second.load_state(first.state()?)?;
    down(&mut second, &halved, 5)?;
    assert_close("w", &halved, &whole, Tolerance::EXACT);
    assert!(message(second.load_state(Vec::new())).contains("0 tensors of state"));
    Ok(())
}

#[test]
fn tensors_that_differ_are_told_with_index_and_values() {
    let expected = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]);
    let found = expected.copy();
    let _ = found.get(1).get(2).fill_(7.5);
    let _ = found.get(0).get(0).fill_(1.5);
    let said = message(compare("scores", &found, &expected, Tolerance::default()));
    assert!(said.starts_with("`scores` differs at [1, 2]: found 7.5, expected 6 (by 1.500e0, "), "{said}");
    assert!(said.ends_with("2 of 6 values differ"), "{said}");
    assert!(compare("scores", &found, &expected, Tolerance::of(1.0)).is_ok());
    let shapes = message(compare("scores", &found, &expected.view([3, 2]), Tolerance::default()));
    assert!(shapes.contains("shape [2, 3], expected [3, 2]"), "{shapes}");
    let kinds = message(compare("scores", &found, &expected.to_kind(Kind::Double), Tolerance::default()));
    assert!(kinds.contains("kind Float, expected Double"), "{kinds}");
    // What is no number is no nearer to one than to infinity.
    let of = |values: [f64; 3]| Tensor::from_slice(&values);
    let odd = of([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    assert!(compare("odd", &odd, &odd, Tolerance::EXACT).is_ok());
    for other in [
        [0.0, f64::INFINITY, f64::NEG_INFINITY],
        [f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY],
        [f64::NAN, f64::INFINITY, 1.0],
    ] {
        assert!(compare("odd", &odd, &of(other), Tolerance::of(1e9)).is_err(), "{other:?}");
        assert!(compare("odd", &of(other), &odd, Tolerance::of(1e9)).is_err(), "{other:?}");
    }
}

#[test]
#[should_panic(expected = "`w` differs at [0]: found 1, expected 2")]
fn assert_close_panics() {
    assert_close("w", &Tensor::from_slice(&[1_i64]), &Tensor::from_slice(&[2_i64]), Tolerance::default());
}

#[test]
fn recorded_tensors_are_compared_and_never_overwritten() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("kiwi-golden-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let file = folder.join("case.safetensors");
    assert!(
        message(golden(&file, &[], Tolerance::EXACT)).contains("record it once with `testing::write_golden`")
    );
    let weight = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]).set_requires_grad(true);
    // Not contiguous, and with history.
    let case = [("a".to_owned(), weight.tr()), ("b".to_owned(), Tensor::from_slice(&[1_i64, 2]))];
    write_golden(&file, &case)?;
    golden(&file, &case, Tolerance::EXACT)?;
    assert!(message(write_golden(&file, &case)).contains("exists already: remove it"));
    assert_eq!(fs::read_dir(&folder)?.count(), 1, "nothing is left beside it");
    let changed = [("a".to_owned(), weight.tr() + 1.0), ("c".to_owned(), weight.shallow_clone())];
    let said = message(golden(&file, &changed, Tolerance::EXACT));
    for part in
        ["not as recorded in ", "case.safetensors", "`a` differs at", "`b` is missing", "`c` is not expected"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::write(&file, b"no tensors")?;
    assert!(message(read_golden(&file)).contains("cannot read "));
    fs::remove_dir_all(&folder)?;
    Ok(())
}

#[test]
fn wrong_gradients_are_found() -> Result<()> {
    let kind = (Kind::Double, tch::Device::Cpu);
    let w = Tensor::ones([2, 3], kind).set_requires_grad(true);
    let unused = Tensor::ones([1], kind).set_requires_grad(true);
    let named = |name: &str, tensor: &Tensor| vec![(name.to_owned(), tensor.shallow_clone())];
    let right = || Ok(w.f_pow_tensor_scalar(3)?.f_sum(Kind::Double)?);
    check_gradients(&named("w", &w), GradientCheck::double(), right)?;
    assert_close("w", &w.detach(), &Tensor::ones([2, 3], kind), Tolerance::EXACT);
    // Backward is kept from seeing half of the loss.
    let wrong = || Ok((w.f_square()? + w.f_detach()?.f_square()?).f_sum(Kind::Double)?);
    let said = message(check_gradients(&named("w", &w), GradientCheck::double(), wrong));
    assert!(said.starts_with("the gradient of `w` at [0, 0] is 2 by backward and 4.0"), "{said}");
    let said = message(check_gradients(&named("unused", &unused), GradientCheck::double(), right));
    assert!(said.contains("does not depend on `unused`"), "{said}");
    let said = message(check_gradients(&named("fixed", &w.detach()), GradientCheck::double(), right));
    assert!(said.contains("`fixed` needs no gradient"), "{said}");
    Ok(())
}

#[test]
fn the_gradients_of_an_encoder_are_checked_in_float32() -> Result<()> {
    let setting = Setting::new();
    let mut encoder: WordSums = setting.encoder(json!({}))?;
    let mut head: Words = setting.head(json!({}), &encoder)?;
    let batch = setting.batches(1).sentences(2).next().unwrap()?;
    let parameters = groups(&encoder, &head).remove(0).parameters;
    check_gradients(&parameters, GradientCheck::default(), || {
        let features = encode(&mut encoder, &batch, true)?;
        Ok(predict(&mut head, &features, &batch, true)?.loss)
    })
}

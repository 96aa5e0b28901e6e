//! What is told of tensors of all sorts.

use kiwi_torch_ext::{TensorFacts, described};
use tch::{Device, Kind, Tensor};

#[test]
fn facts_are_those_of_the_tensor() {
    let matrix = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    let facts = TensorFacts::of(&matrix).unwrap();
    assert!(facts.defined() && facts.dense() && facts.floating() && facts.in_memory() && facts.leaf());
    assert!(facts.is_on(Device::Cpu) && !facts.is_on(Device::Cuda(0)) && !facts.requires_grad());
    assert_eq!((facts.rank(), facts.first(), facts.last(), facts.elements()), (2, 2, 3, 6));
    assert_eq!(described(&matrix), "float32 of shape [2, 3] on cpu");

    let trained = matrix.set_requires_grad(true);
    assert!(TensorFacts::of(&trained).unwrap().requires_grad());
    assert!(!TensorFacts::of(&(&trained * 2.0)).unwrap().leaf());

    let scalar = Tensor::from(7_i64);
    let facts = TensorFacts::of(&scalar).unwrap();
    assert_eq!((facts.rank(), facts.elements(), facts.kind()), (0, 1, Some(Kind::Int64)));
    assert!(!facts.floating());
    assert_eq!(described(&scalar), "int64 of shape [] on cpu");

    for kind in [
        Kind::Uint8,
        Kind::Int8,
        Kind::Int16,
        Kind::Int,
        Kind::Half,
        Kind::Double,
        Kind::Bool,
        Kind::BFloat16,
    ] {
        let facts = TensorFacts::of(&Tensor::zeros([1], (kind, Device::Cpu))).unwrap();
        assert_eq!(facts.kind(), Some(kind));
    }
}

#[test]
fn odd_tensors_are_told_apart() {
    let none = TensorFacts::of(&Tensor::new()).unwrap();
    assert!(!none.defined());
    assert_eq!(described(&Tensor::new()), "an undefined tensor");

    let complex = Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu));
    assert_eq!(TensorFacts::of(&complex).unwrap().kind(), None);
    assert_eq!(described(&complex), "complex64 of shape [2] on cpu");

    let sparse = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)).to_sparse(None, None::<&[i64]>, None);
    assert!(!TensorFacts::of(&sparse).unwrap().dense());
    assert!(
        described(&sparse).starts_with("float32 of shape [2, 2] on cpu, Sparse"),
        "{}",
        described(&sparse)
    );

    let nowhere = kiwi_torch_ext_throwing::on_meta(&Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)));
    let facts = TensorFacts::of(&nowhere).unwrap();
    assert!(!facts.is_on(Device::Cpu) && !facts.in_memory());
    assert_eq!(described(&nowhere), "float32 of shape [2, 3] on meta");
}

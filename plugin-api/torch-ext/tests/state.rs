//! Snapshots of libtorch's state see what changed and put it back; generators and autocast do as they say.
//!
//! The CPU generator is one for the whole process, so the tests that seed it take turns.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kiwi_torch_ext::{Autocast, GlobalState, StateItem, generator};
use tch::{Device, Kind, Tensor};

static GENERATOR: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw() -> Vec<f32> {
    Vec::try_from(Tensor::randn([4], (Kind::Float, Device::Cpu))).unwrap()
}

fn product_kind() -> Kind {
    let a = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
    a.matmul(&a).kind()
}

#[test]
fn grad_mode_is_seen_and_put_back() {
    let _alone = alone();
    let before = GlobalState::capture().unwrap();
    assert!(before.grad_mode());
    let _leaked = std::mem::ManuallyDrop::new(tch::no_grad_guard());
    let after = GlobalState::capture().unwrap();
    let changes = before.changes(&after);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].item, StateItem::GradMode);
    assert_eq!(changes[0].to_string(), "grad mode was on and is off");
    before.restore().unwrap();
    assert_eq!(GlobalState::capture().unwrap(), before);
    let x = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert!((x * 2).requires_grad());
}

#[test]
fn autocast_is_seen_and_put_back() {
    let _alone = alone();
    let before = GlobalState::capture().unwrap();
    std::mem::forget(Autocast::cpu(Kind::Half).unwrap());
    let after = GlobalState::capture().unwrap();
    let items: Vec<_> = before.changes(&after).into_iter().map(|change| change.item).collect();
    assert_eq!(items, [StateItem::CpuAutocast, StateItem::CpuAutocastType]);
    assert_eq!(before.changes(&after)[1].before, "bfloat16");
    before.restore().unwrap();
    assert!(before.changes(&GlobalState::capture().unwrap()).is_empty());
    assert_eq!(product_kind(), Kind::Float);
}

#[test]
fn a_new_seed_is_a_change_and_drawing_is_not() {
    let _alone = alone();
    generator::manual_seed(5).unwrap();
    let before = GlobalState::capture().unwrap();
    assert_eq!(before.cpu_seed(), 5);
    draw();
    assert_eq!(before.changes(&GlobalState::capture().unwrap()), []);
    generator::manual_seed(u64::MAX - 1).unwrap();
    let changes = before.changes(&GlobalState::capture().unwrap());
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].item, StateItem::CpuSeed);
    before.restore().unwrap();
    assert_eq!(GlobalState::capture().unwrap().cpu_seed(), u64::MAX - 1, "the seed stays");
}

#[test]
fn without_cuda_there_is_no_current_device() {
    let device = GlobalState::capture().unwrap().cuda_device();
    assert_eq!(device.is_some(), tch::Cuda::is_available());
}

#[test]
fn a_snapshot_is_cheap() {
    const ROUNDS: u32 = 10_000;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        GlobalState::capture().unwrap().restore().unwrap();
    }
    let each = started.elapsed() / ROUNDS;
    assert!(each.as_micros() < 5, "a snapshot and its restoration took {each:?}");
}

#[test]
fn the_generator_goes_on_from_a_saved_state() {
    let _alone = alone();
    generator::manual_seed(11).unwrap();
    draw();
    let state = generator::cpu_generator_state().unwrap();
    assert_eq!(state.kind(), Kind::Uint8);
    let expected = draw();
    draw();
    generator::set_cpu_generator_state(&state).unwrap();
    assert_eq!(draw(), expected);
    generator::manual_seed(11).unwrap();
    assert_ne!(draw(), expected);
}

#[test]
fn a_state_that_is_none_is_refused() {
    let _alone = alone();
    let before = generator::cpu_generator_state().unwrap();
    let short = Tensor::zeros([3], (Kind::Uint8, Device::Cpu));
    assert!(generator::set_cpu_generator_state(&short).is_err());
    let floats = Tensor::zeros([5056], (Kind::Float, Device::Cpu));
    assert!(generator::set_cpu_generator_state(&floats).is_err());
    assert_eq!(generator::cpu_generator_state().unwrap(), before);
}

#[test]
fn autocast_lasts_for_its_scope() {
    assert_eq!(product_kind(), Kind::Float);
    {
        let _autocast = Autocast::cpu(Kind::BFloat16).unwrap();
        assert_eq!(product_kind(), Kind::BFloat16);
        {
            let _inner = Autocast::cpu(Kind::Half).unwrap();
            assert_eq!(product_kind(), Kind::Half);
        }
        assert_eq!(product_kind(), Kind::BFloat16);
    }
    assert_eq!(product_kind(), Kind::Float);
}

#[test]
fn autocast_forgets_cast_parameters_when_it_ends() {
    let weight = Tensor::ones([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let x = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
    for value in [1.0, 3.0] {
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(value));
        let _autocast = Autocast::cpu(Kind::BFloat16).unwrap();
        assert_eq!(x.matmul(&weight).double_value(&[0, 0]), 2.0 * value);
    }
}

#[test]
fn autocast_to_a_type_that_is_not_shorter_is_refused() {
    let error = Autocast::cpu(Kind::Double).unwrap_err();
    assert_eq!(error.to_string(), "autocast to Double, expected BFloat16 or Half");
}

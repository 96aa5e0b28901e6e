//! What this machine can do at most for a training step: how fast it multiplies matrices, and how fast it goes through the
//! memory of parameters and what Adam keeps of them. `cargo xtask bench` takes its floor from these two.
//!
//! ```console
//! $ cargo run --release -p kiwi-torch-ext --example machine_rates -- THREADS [32|bf16]
//! ```
//!
//! It prints one line of JSON; each rate is the best of several tries, after one that does not count.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::time::Instant;

use kiwi_torch_ext::optim::{AdamSettings, AdamTensors, fused_adam};
use tch::{Device, Kind, Tensor};

/// Rows and columns of the matrices.
const SIDE: i64 = 2048;

/// How many numbers Adam steps over: far more than caches hold.
const PARAMETERS: i64 = 20_000_000;

/// What Adam reads and writes of each parameter: it reads the value, the gradient and both means, and writes all but the
/// gradient, four bytes each.
const BYTES_PER_PARAMETER: i64 = 28;

/// How often each is tried.
const TRIES: usize = 8;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|text| text.parse::<i32>().ok()).filter(|threads| *threads > 0);
    let kind = match arguments.next().as_deref() {
        None | Some("32") => Some(Kind::Float),
        Some("bf16") => Some(Kind::BFloat16),
        Some(_) => None,
    };
    let (Some(threads), Some(kind)) = (threads, kind) else {
        println!("usage: machine_rates THREADS [32|bf16]");
        std::process::exit(2);
    };
    tch::set_num_threads(threads);
    println!(
        r#"{{"matrix_gflops": {:.1}, "memory_gb_per_second": {:.2}}}"#,
        matrix_rate(kind) / 1e9,
        memory_rate() / 1e9
    );
}

/// Floating-point operations a second in products of square matrices.
fn matrix_rate(kind: Kind) -> f64 {
    let random = || Tensor::randn([SIDE, SIDE], (Kind::Float, Device::Cpu)).to_kind(kind);
    let (left, right, product) = (random(), random(), random());
    let seconds = fastest(|| {
        let _ = left.mm_out(&product, &right);
    });
    2.0 * (SIDE as f64).powi(3) / seconds
}

/// Bytes a second in steps of Adam.
fn memory_rate() -> f64 {
    let zeros = || [Tensor::zeros([PARAMETERS], (Kind::Float, Device::Cpu))];
    let (parameters, gradients, means, squares) = (zeros(), zeros(), zeros(), zeros());
    let steps = [Tensor::zeros([], (Kind::Float, Device::Cpu))];
    // Pages that were never written are one page of zeros; these are written first.
    for [tensor] in [&parameters, &gradients, &means, &squares] {
        let _ = tensor.shallow_clone().fill_(0.5);
    }
    let tensors = AdamTensors {
        parameters: &parameters,
        gradients: &gradients,
        exp_avgs: &means,
        exp_avg_sqs: &squares,
        max_exp_avg_sqs: &[],
        steps: &steps,
    };
    let seconds = fastest(|| fused_adam(&tensors, &AdamSettings::default()).unwrap());
    (BYTES_PER_PARAMETER * PARAMETERS) as f64 / seconds
}

/// Seconds that the fastest of several tries takes.
fn fastest(mut work: impl FnMut()) -> f64 {
    work();
    let mut timed = || {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..TRIES).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

//! Prints how long the fused projection and loss take, against the same in plain operations: forward and backward, and
//! forward alone as in evaluation.
//!
//! `cargo run --release -p kiwi-torch-ext --example projection_loss [rows] [vocabulary] [width] [threads]`

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use kiwi_torch_ext::{TorchError, generator, gradients, projection_cross_entropy};
use tch::{Device, Kind, Tensor};

const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes = [600, 18_727, 200, 2];
    for (size, argument) in sizes.iter_mut().zip(env::args().skip(1)) {
        *size = argument.parse()?;
    }
    let [rows, columns, width, threads] = sizes;
    tch::set_num_threads(i32::try_from(threads)?);
    generator::manual_seed(1)?;
    let options = (Kind::Float, Device::Cpu);
    let input = Tensor::randn([rows, width], options).set_requires_grad(true);
    let weight = (Tensor::randn([columns, width], options) * 0.1).set_requires_grad(true);
    let bias = Tensor::zeros([columns], options).set_requires_grad(true);
    let gold = Tensor::randint(columns, [rows], (Kind::Int64, Device::Cpu));
    let leaves = [input.shallow_clone(), weight.shallow_clone(), bias.shallow_clone()];

    let fused = || projection_cross_entropy(&input, &weight, Some(&bias), &gold).map(|loss| loss.nll);
    let plain = || -> Result<Tensor, TorchError> {
        let logits = input.linear(&weight, Some(&bias));
        let log_softmax = logits.log_softmax(1, Kind::Float);
        let nll = -log_softmax.gather(1, &gold.unsqueeze(1), false).squeeze_dim(1);
        let _correct = logits.argmax(1, false).eq_tensor(&gold);
        let _probability = (-nll.detach()).exp();
        Ok(nll)
    };
    let train = |loss: &dyn Fn() -> Result<Tensor, TorchError>| {
        median(|| {
            loss()?.sum(Kind::Float).backward();
            gradients::clear_gradients(&leaves)
        })
    };
    let evaluate = |loss: &dyn Fn() -> Result<Tensor, TorchError>| {
        let _no_grad = tch::no_grad_guard();
        median(|| loss().map(drop))
    };
    println!("N={rows} V={columns} o={width}, {threads} threads, median of {ROUNDS}");
    report("forward and backward", train(&fused)?, train(&plain)?);
    report("forward without grad", evaluate(&fused)?, evaluate(&plain)?);
    Ok(())
}

fn report(what: &str, fused: Duration, plain: Duration) {
    println!(
        "{what}: fused {fused:.1?}, plain {plain:.1?}, ratio {:.2}",
        plain.as_secs_f64() / fused.as_secs_f64()
    );
}

fn median(mut run: impl FnMut() -> Result<(), TorchError>) -> Result<Duration, TorchError> {
    run()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[ROUNDS / 2])
}

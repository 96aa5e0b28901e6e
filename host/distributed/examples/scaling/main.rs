//! What a training step would take on 1 to 1024 GPUs, by a small simulation: each rank draws the time of its share, the slowest
//! counts, and communication is added by formulas. `docs/scaling.md` says what is measured, assumed and computed, and has the
//! tables that this prints.
//!
//! ```console
//! $ cargo run --release -p kiwi-distributed --example scaling
//! ```
//!
//! What it takes from a text as constants, the example `shares` measures.
#![expect(clippy::print_stdout, reason = "a tool that prints tables for developers")]

mod model;

use model::{
    Corpus, EMBEDDING, GPUS_A_MACHINE, NETWORKS, Route, Setting, Softmax, WIDTH, WORDS, WORDS_A_PAIR,
    gpu_step, parameters,
};

// Measured by `cargo xtask bench` on two cores of a Xeon, without a GPU: docs/performance.md, "The standard step".

/// Seconds of a step of 32 pairs with the vocabularies of Multi30K.
const CPU_STEP: f64 = 0.210;

// Assumed. No step on a GPU was measured with which these could be compared.

/// Seconds of a step of 256 pairs on a fast, a middling and a slow GPU. One of 32 pairs takes a third of that: see [`gpu_step`].
const GPU_STEP: [f64; 3] = [0.010, 0.030, 0.100];
const MIDDLING: f64 = GPU_STEP[1];
const RANKS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const MB: f64 = 1e6;

fn main() {
    sizes();
    straggling();
    for share in [256, 32] {
        let seconds = gpu_step(MIDDLING, share);
        println!("\n## Weak scaling: {share} pairs a GPU, {:.0} ms\n", seconds * 1e3);
        scaling(|_| Some(share));
    }
    for batch in [4096_usize, 512] {
        println!("\n## Strong scaling: {batch} pairs in all\n");
        scaling(|ranks| (ranks <= batch).then(|| batch / ranks));
    }
    saturation();
    cpus();
    lifts();
}

fn sizes() {
    println!("## Parameters\n");
    for part in ["source LSTM", "target LSTMs", "attention", "S, V, C, W2", "start and end"] {
        println!("| {part} | {:.0} |", parameters(Some(part)));
    }
    println!("| all of these | {:.0} |", parameters(None));
    for (name, corpus) in corpora() {
        let [source, target] = corpus.rows();
        println!(
            "| tables, {name} | {:.0} + 2 x {:.0}, model {:.2} million |",
            source * EMBEDDING,
            target * EMBEDDING,
            (parameters(None) + (source + 2.0 * target) * EMBEDDING) / 1e6
        );
    }
    println!("\n## MB of an all-reduce's input a step, by pairs of all ranks\n");
    println!("| pairs | Multi30K: rows touched | sum | dense | 45 000 types: rows touched | sum | dense |");
    for pairs in [32, 128, 512, 2048, 4096, 8192, 16384, 32768, 262_144] {
        print!("| {pairs} ");
        for (_, corpus) in corpora() {
            let [source, target] = corpus.touched(f64::from(pairs));
            let setting = Setting { corpus, ..Setting::gpus(NETWORKS[0]) };
            let sum = |setting: Setting| setting.messages(f64::from(pairs)).iter().sum::<f64>() / MB;
            let dense = Setting { tables_by_rows: false, ..setting };
            print!("| {source:.0} + {target:.0} | {:.1} | {:.1} ", sum(setting), sum(dense));
        }
        println!("|");
    }
}

fn corpora() -> [(&'static str, Corpus); 2] {
    [("Multi30K", Corpus::Multi30k), ("45 000 types", Corpus::Zipf(45_000.0))]
}

fn straggling() {
    println!("\n## Slowest over mean, pairs in random order\n");
    println!("| ranks | padded, 32 pairs | padded, 256 | not padded, 32 | not padded, 256 |");
    for ranks in RANKS {
        let slowest = |spread, share| Setting::gpus(NETWORKS[0]).simulate(ranks, share, 1.0, spread).compute;
        println!(
            "| {ranks} | {:.2} | {:.2} | {:.2} | {:.2} |",
            slowest(&WIDTH, 32),
            slowest(&WIDTH, 256),
            slowest(&WORDS, 32),
            slowest(&WORDS, 256)
        );
    }
}

/// A table over [`RANKS`] on middling GPUs, for both networks: by gloo, and by NCCL.
fn scaling(share: impl Fn(usize) -> Option<usize>) {
    println!("| | | | gloo, 10 Gbit/s | | 100 | | NCCL, 10 Gbit/s | | | 100 | | |");
    println!(
        "| GPUs | MB | slowest, ms | ms | words/s | ms | words/s | ms | words/s | overlapped | ms | words/s | overlapped |"
    );
    for ranks in RANKS {
        let Some(share) = share(ranks) else {
            println!("| {ranks} | fewer pairs than GPUs |");
            continue;
        };
        let run = |setting: Setting| setting.simulate(ranks, share, gpu_step(MIDDLING, share), &WIDTH);
        let setting = Setting::gpus(NETWORKS[0]);
        let sum: f64 = setting.messages((ranks * share) as f64).iter().sum();
        print!(
            "| {ranks} | {:.0} | {:.1} ",
            if ranks > 1 { sum / MB } else { 0.0 },
            run(setting).compute * 1e3
        );
        for network in NETWORKS {
            let step = run(Setting { route: Route::Program, ..Setting::gpus(network) });
            print!("| {:.1} | {} ", step.communication * 1e3, thousands(step.rate));
        }
        for network in NETWORKS {
            let step = run(Setting::gpus(network));
            let hidden = run(Setting { overlap: true, ..Setting::gpus(network) });
            print!(
                "| {:.1} | {} | {} ",
                step.communication * 1e3,
                thousands(step.rate),
                thousands(hidden.rate)
            );
        }
        println!("|");
    }
}

/// Words a second.
fn thousands(rate: f64) -> String {
    match rate / 1e3 {
        rate if rate < 100.0 => format!("{rate:.1}k"),
        rate if rate < 1000.0 => format!("{rate:.0}k"),
        rate => format!("{:.2}M", rate / 1e3),
    }
}

fn saturation() {
    println!("\n## Where communication takes longer than computing (weak scaling)\n");
    println!(
        "| pairs a GPU | step alone, ms | 10 Gbit/s: from | efficiency at 1024 | overlapped | 100: from | efficiency at 1024 | overlapped |"
    );
    for share in [32, 256] {
        for of_256 in GPU_STEP {
            let seconds = gpu_step(of_256, share);
            print!("| {share} | {:.1} ", seconds * 1e3);
            for network in NETWORKS {
                let setting = Setting::gpus(network);
                let exceeds = |ranks: &usize| setting.communication((ranks * share) as f64, *ranks) > seconds;
                let from = RANKS[1..].iter().copied().find(exceeds);
                let alone = share as f64 * WORDS_A_PAIR[1] / seconds;
                let efficiency = [false, true].map(|overlap| {
                    let setting = Setting { overlap, ..setting };
                    setting.simulate(1024, share, seconds, &WIDTH).rate / alone / 1024.0
                });
                let from = from.map_or("never".to_owned(), |ranks| ranks.to_string());
                print!("| {from} | {:.0} % | {:.0} % ", efficiency[0] * 100.0, efficiency[1] * 100.0);
            }
            println!("|");
        }
    }
}

/// Machines of two cores, one rank each, by the measured step.
fn cpus() {
    println!("\n## Machines of two cores, 32 pairs each\n");
    println!(
        "| machines | 10 Gbit/s: communication, ms | words/s | overlapped | 100: communication, ms | words/s | overlapped |"
    );
    for ranks in RANKS {
        print!("| {ranks} ");
        for network in NETWORKS {
            let setting = Setting {
                corpus: Corpus::Multi30k,
                ranks_a_machine: 1,
                route: Route::Flat,
                ..Setting::gpus(network)
            };
            let [plain, hidden] = [false, true]
                .map(|overlap| Setting { overlap, ..setting }.simulate(ranks, 32, CPU_STEP, &WORDS));
            print!(
                "| {:.0} | {} | {} ",
                plain.communication * 1e3,
                thousands(plain.rate),
                thousands(hidden.rate)
            );
        }
        println!("|");
    }
}

fn lifts() {
    println!("\n## What lifts it: factor on words/s, 256 pairs and 30 ms a GPU\n");
    println!("| | 10 Gbit/s: 64 GPUs | 1024 | 100: 64 | 1024 |");
    type Change = fn(Setting) -> Setting;
    let changes: [(&str, Change, usize); 18] = [
        ("as it is, words/s", |s| s, 256),
        ("overlap with backward", |s| Setting { overlap: true, ..s }, 256),
        ("bf16 on the wire", |s| Setting { element: 2.0, ..s }, 256),
        ("8 bits on the wire", |s| Setting { element: 1.0, ..s }, 256),
        ("factors of rank 4", |s| Setting { factors: Some(4.0), ..s }, 256),
        ("4 batches a reduction", |s| Setting { accumulate: 4, ..s }, 256),
        ("16 batches a reduction", |s| Setting { accumulate: 16, ..s }, 256),
        ("1024 pairs a GPU", |s| s, 1024),
        ("tied output table", |s| Setting { softmax: Softmax::Tied, ..s }, 256),
        ("8192 sampled words", |s| Setting { softmax: Softmax::Sampled(8192.0), ..s }, 256),
        ("sharded output table", |s| Setting { softmax: Softmax::Sharded, ..s }, 256),
        ("a network card a GPU", |s| Setting { network: s.network * GPUS_A_MACHINE as f64, ..s }, 256),
        ("no stragglers", |s| Setting { stragglers: false, ..s }, 256),
        ("overlap, bf16", |s| Setting { overlap: true, element: 2.0, ..s }, 256),
        ("tables without rows", |s| Setting { tables_by_rows: false, ..s }, 256),
        ("rings, no trees", |s| Setting { route: Route::HierarchicalRing, ..s }, 256),
        ("one flat ring", |s| Setting { route: Route::Flat, ..s }, 256),
        ("by gloo", |s| Setting { route: Route::Program, ..s }, 256),
    ];
    for (name, change, share) in changes {
        print!("| {name} ");
        for network in NETWORKS {
            for ranks in [64, 1024] {
                let setting = Setting::gpus(network);
                let rate = |setting: Setting, share| {
                    setting.simulate(ranks, share, gpu_step(MIDDLING, share), &WIDTH).rate
                };
                let (base, changed) = (rate(setting, 256), rate(change(setting), share));
                if name.ends_with("words/s") {
                    print!("| {} ", thousands(base));
                } else {
                    print!("| {:.2} ", changed / base);
                }
            }
        }
        println!("|");
    }
}

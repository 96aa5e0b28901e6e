//! How the batches of a text divide over ranks: distinct words of batches, and how much the shares of a batch differ. These are the
//! constants of the example `scaling`, and tables of `docs/scaling.md`.
//!
//! ```console
//! $ cargo run --release -p kiwi-distributed --example shares -- SOURCE TARGET
//! ```
#![expect(clippy::print_stdout, reason = "a tool that prints tables for developers")]

use std::collections::HashSet;
use std::process::ExitCode;

const QUANTILES: [f64; 10] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0];
const RANKS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Words of the source and of the target.
type Pair = [usize; 2];
/// The shares of a batch.
type Deal<'a> = dyn Fn(&[Pair]) -> Vec<Vec<Pair>> + 'a;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [source, target] => measure(source, target),
        _ => Err("shares SOURCE TARGET".to_owned()),
    };
    if let Err(message) = done {
        println!("{message}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(source: &str, target: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let texts = [read(source)?, read(target)?];
    let [source, target] = texts
        .each_ref()
        .map(|text| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>());
    if source.is_empty() || source.len() != target.len() {
        return Err(format!("{} and {} lines", source.len(), target.len()));
    }
    let pairs = source.len();
    let words = |side: &[Vec<&str>]| side.iter().map(Vec::len).sum::<usize>() as f64 / pairs as f64;
    println!("{pairs} pairs, {:.3} and {:.3} words each", words(&source), words(&target));
    let mut points = Vec::new();
    for size in (5..).map(|power| 1_usize << power).take_while(|size| *size < pairs).chain([pairs]) {
        let mean = |side: &[Vec<&str>]| {
            let batches: Vec<_> = side.chunks_exact(size).take(20).collect();
            let distinct = |batch: &&[Vec<&str>]| batch.iter().flatten().collect::<HashSet<_>>().len();
            batches.iter().map(distinct).sum::<usize>() as f64 / batches.len() as f64
        };
        let point = [size as f64, mean(&source), mean(&target)];
        println!("    {point:.1?},");
        points.push(point);
    }
    for (side, name) in [(1, "source"), (2, "target")] {
        let (k, exponent) = power_law(&points, side);
        let off = |point: &[f64; 3]| (k * point[0].powf(exponent) / point[side] - 1.0).abs();
        let worst = points.iter().map(off).fold(0.0, f64::max);
        println!("{name}: distinct = {k:.2} * pairs^{exponent:.3}, off by at most {:.0} %", worst * 100.0);
    }
    let lengths: Vec<Pair> = source.iter().zip(&target).map(|(s, t)| [s.len(), t.len()]).collect();
    let of_every_second = |first: usize| {
        let words: Vec<f64> = lengths.iter().skip(first).step_by(2).map(|pair| pair[1] as f64).collect();
        words.iter().sum::<f64>() / words.len() as f64
    };
    println!("target words of every second pair: {:.2} and {:.2}", of_every_second(0), of_every_second(1));
    quantiles(&lengths);
    variations(&lengths);
    orders(&lengths);
    Ok(())
}

/// The least squares of the logarithms.
fn power_law(points: &[[f64; 3]], side: usize) -> (f64, f64) {
    let logs: Vec<(f64, f64)> = points.iter().map(|point| (point[0].ln(), point[side].ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let exponent = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum::<f64>()
        / logs.iter().map(|log| (log.0 - x).powi(2)).sum::<f64>();
    ((y - exponent * x).exp(), exponent)
}

fn width(share: &[Pair]) -> f64 {
    let longest = |side: usize| share.iter().map(|pair| pair[side] + 2).max().unwrap_or(0);
    (longest(0) + longest(1)) as f64
}

fn all_words(share: &[Pair]) -> f64 {
    share.iter().map(|pair| pair[0] + pair[1]).sum::<usize>() as f64
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / values.len() as f64).sqrt())
}

fn quantiles(lengths: &[Pair]) {
    let mut random = Random(7);
    for (name, work) in [("WIDTH", width as fn(&[Pair]) -> f64), ("WORDS", all_words)] {
        println!("{name}");
        for size in (0..10).map(|power| 1_usize << power) {
            let mut pairs = lengths.to_vec();
            let mut values = Vec::new();
            while values.len() < 40_000.min(200 * (lengths.len() / size).max(1)) {
                random.shuffle(&mut pairs);
                values.extend(pairs.chunks_exact(size.min(pairs.len())).map(work));
            }
            let (mean, deviation) = mean_and_deviation(&values);
            values.sort_by(f64::total_cmp);
            let at =
                QUANTILES.map(|quantile| values[(quantile * (values.len() - 1) as f64).round() as usize]);
            println!(
                "    {:.3?}, // {size}: mean {mean:.1}, variation {:.3}",
                at.map(|v| v / mean),
                deviation / mean
            );
        }
    }
}

/// As the program does: shuffled, in pools of a hundred batches sorted by the target, then by the source up and down in turn.
fn bucketed(lengths: &[Pair], batch: usize) -> Vec<Pair> {
    let mut pairs = lengths.to_vec();
    Random(11).shuffle(&mut pairs);
    for pool in pairs.chunks_mut(100 * batch) {
        pool.sort_by_key(|[s, t]| (*t, if t.is_multiple_of(2) { *s } else { usize::MAX - *s }));
    }
    pairs
}

/// How batches differ from each other.
fn variations(lengths: &[Pair]) {
    let target = |share: &[Pair]| share.iter().map(|pair| pair[1]).sum::<usize>() as f64;
    let padded = |share: &[Pair]| share.iter().map(|pair| pair[1] + 2).max().unwrap_or(0) as f64;
    for size in [32, 256] {
        for (name, pairs) in [("corpus order", lengths.to_vec()), ("bucketed", bucketed(lengths, size))] {
            let of = |work: &dyn Fn(&[Pair]) -> f64| {
                mean_and_deviation(&pairs.chunks_exact(size).map(work).collect::<Vec<_>>())
            };
            let [width, target, product] =
                [of(&width), of(&target), of(&|share| target(share) * padded(share))]
                    .map(|(m, d)| (m, d / m));
            println!(
                "{size} pairs, {name}: width {:.1}, variation {:.3}; of target words {:.3}; of their product with the target's width {:.3}",
                width.0, width.1, target.1, product.1
            );
        }
    }
}

/// Slowest over mean of the shares of a batch, in several orders and ways of dealing them.
fn orders(lengths: &[Pair]) {
    println!(
        "slowest over mean, padded and not, dealt in rounds: corpus order | random | bucketed | corpus order, dealt always alike"
    );
    let mut random = Random(7);
    for share in [32, 256] {
        for ranks in RANKS.into_iter().skip(1).take_while(|ranks| ranks * share <= lengths.len()) {
            let size = ranks * share;
            // As `BatchPlan::share`: in each round another rank is the first.
            let in_rounds =
                |batch: &[Pair]| deal(batch, ranks, |round, rank| (rank + ranks - round % ranks) % ranks);
            let alike = |batch: &[Pair]| deal(batch, ranks, |_, rank| rank);
            let mut shuffled = lengths.to_vec();
            random.shuffle(&mut shuffled);
            print!("| {share} | {ranks} ");
            let both = |pairs: &[Pair], deal: &Deal<'_>| {
                let ratio = |work: fn(&[Pair]) -> f64| {
                    let (mut slowest, mut mean) = (0.0, 0.0);
                    for batch in pairs.chunks_exact(size) {
                        let work: Vec<f64> = deal(batch).iter().map(|share| work(share)).collect();
                        slowest += work.iter().copied().fold(0.0, f64::max);
                        mean += work.iter().sum::<f64>() / ranks as f64;
                    }
                    slowest / mean
                };
                print!("| {:.2} {:.2} ", ratio(width), ratio(all_words));
            };
            both(lengths, &in_rounds);
            both(&shuffled, &in_rounds);
            both(&bucketed(lengths, size), &in_rounds);
            both(lengths, &alike);
            println!("|");
        }
    }
}

/// The shares of a batch that is dealt in rounds of a pair for each rank, which takes the pair of the round that `place` says.
fn deal(batch: &[Pair], ranks: usize, place: impl Fn(usize, usize) -> usize) -> Vec<Vec<Pair>> {
    let of = |rank| {
        let rounds = batch.chunks(ranks).enumerate();
        rounds.filter_map(|(round, pairs)| pairs.get(place(round, rank)).copied()).collect()
    };
    (0..ranks).map(of).collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.unit() * (last + 1) as f64) as usize);
        }
    }
}

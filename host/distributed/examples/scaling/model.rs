//! A step of several processes: the bytes that they sum, the time that this takes, and how long they wait for the slowest.

// Measured in the training set of Multi30K, English to German (29 000 pairs), by the example `shares`.

pub(crate) const WORDS_A_PAIR: [f64; 2] = [13.018, 12.438];
/// Pairs of a batch in the order of the corpus, distinct words of its source and of its target.
const DISTINCT: [[f64; 3]; 11] = [
    [32.0, 191.0, 192.0],
    [64.0, 316.0, 323.0],
    [128.0, 514.0, 532.0],
    [256.0, 806.0, 857.0],
    [512.0, 1243.0, 1361.0],
    [1024.0, 1873.0, 2147.0],
    [2048.0, 2844.0, 3486.0],
    [4096.0, 4108.0, 5472.0],
    [8192.0, 5647.0, 8314.0],
    [16384.0, 7662.0, 12507.0],
    [29000.0, 10210.0, 18722.0],
];
const QUANTILES: [f64; 10] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0];
/// The width of a share of 1, 2, 4 .. 512 pairs in random order (its longest source and longest target, with `<bos>` and `<eos>`),
/// over the mean width of such shares, at each of [`QUANTILES`]: what a GPU computes, which pads.
pub(crate) const WIDTH: [[f64; 10]; 10] = [
    [0.339, 0.577, 0.645, 0.815, 0.951, 1.154, 1.494, 1.799, 2.308, 2.920],
    [0.472, 0.620, 0.708, 0.826, 0.974, 1.121, 1.416, 1.711, 2.154, 2.538],
    [0.548, 0.652, 0.730, 0.861, 0.965, 1.096, 1.357, 1.618, 1.957, 2.244],
    [0.586, 0.703, 0.774, 0.867, 0.984, 1.102, 1.313, 1.570, 1.805, 2.063],
    [0.618, 0.746, 0.788, 0.895, 0.980, 1.086, 1.278, 1.534, 1.789, 1.832],
    [0.664, 0.761, 0.820, 0.898, 0.976, 1.073, 1.288, 1.464, 1.678, 1.678],
    [0.721, 0.793, 0.829, 0.901, 0.973, 1.063, 1.280, 1.388, 1.550, 1.568],
    [0.719, 0.803, 0.836, 0.920, 0.970, 1.071, 1.255, 1.389, 1.439, 1.455],
    [0.764, 0.811, 0.842, 0.920, 0.982, 1.060, 1.185, 1.310, 1.341, 1.372],
    [0.759, 0.817, 0.861, 0.920, 0.993, 1.066, 1.212, 1.255, 1.270, 1.285],
];
/// The same of the words of a share: what the CPU computes, which does not pad.
pub(crate) const WORDS: [[f64; 10]; 10] = [
    [0.236, 0.511, 0.589, 0.786, 0.943, 1.178, 1.571, 1.925, 2.514, 3.221],
    [0.412, 0.609, 0.687, 0.845, 0.982, 1.120, 1.395, 1.630, 1.964, 2.298],
    [0.530, 0.697, 0.766, 0.894, 0.982, 1.090, 1.277, 1.424, 1.601, 1.856],
    [0.633, 0.776, 0.830, 0.923, 0.992, 1.070, 1.193, 1.287, 1.409, 1.625],
    [0.746, 0.835, 0.879, 0.945, 0.997, 1.051, 1.134, 1.196, 1.272, 1.380],
    [0.813, 0.881, 0.913, 0.962, 0.998, 1.036, 1.093, 1.134, 1.183, 1.247],
    [0.827, 0.915, 0.938, 0.973, 0.999, 1.026, 1.065, 1.094, 1.126, 1.192],
    [0.894, 0.939, 0.956, 0.981, 1.000, 1.018, 1.046, 1.066, 1.087, 1.118],
    [0.928, 0.956, 0.969, 0.987, 1.000, 1.013, 1.032, 1.047, 1.063, 1.074],
    [0.948, 0.968, 0.978, 0.991, 1.000, 1.009, 1.023, 1.032, 1.042, 1.052],
];

// Assumed. No step on a GPU was measured with which these could be compared.

/// The part of a step in which communication can hide.
const BACKWARD: f64 = 2.0 / 3.0;
pub(crate) const GPUS_A_MACHINE: usize = 8;
/// Bytes a second between GPUs of a machine.
const INSIDE: f64 = 400e9;
const HOP_INSIDE: f64 = 5e-6;
const HOP_BETWEEN: f64 = 30e-6;
/// Bytes a second that two processes of a machine exchange over TCP, and between a GPU and the memory of the CPU.
const LOOPBACK: f64 = 3e9;
const TO_CPU: f64 = 20e9;
/// Bytes a second that a machine sends.
pub(crate) const NETWORKS: [f64; 2] = [10e9 / 8.0, 100e9 / 8.0];

// The program's: host/engine/src/ranks/gradients.rs.

/// Elements of a gradient that travels by itself.
const SMALL: f64 = 65_536.0;
/// What each rank tells of a step, beside what it tells of each parameter.
const FACTS: f64 = 6.0;

// The standard model: docs/performance.md.

pub(crate) const EMBEDDING: f64 = 200.0;
const HIDDEN: f64 = 400.0;
const SPECIALS: f64 = 5.0;
const STEPS: usize = 200;
/// Rows and columns of every dense matrix but the tables, and how often there is one of them.
fn matrices() -> Vec<(&'static str, f64, f64, f64)> {
    let (h, e) = (HIDDEN, EMBEDDING);
    vec![
        ("source LSTM", 4.0 * h, e, 2.0),
        ("source LSTM", 4.0 * h, h, 4.0),
        ("source LSTM", 4.0 * h, 2.0 * h, 2.0),
        ("source LSTM", 4.0 * h, 1.0, 8.0),
        ("target LSTMs", 4.0 * h, e, 2.0),
        ("target LSTMs", 4.0 * h, h, 6.0),
        ("target LSTMs", 4.0 * h, 1.0, 8.0),
        ("attention", 2.0 * h, 4.0 * h, 1.0),
        ("attention", 2.0 * h, 1.0, 2.0),
        ("attention", 1.0, 1.0, 1.0),
        ("S, V, C, W2", 2.0 * h, 2.0 * e, 2.0),
        ("S, V, C, W2", 2.0 * e, 2.0 * e, 1.0),
        ("S, V, C, W2", e, e, 1.0),
        ("start and end", e, 1.0, 2.0),
    ]
}

pub(crate) fn parameters(part: Option<&str>) -> f64 {
    let counted = matrices().into_iter().filter(|(name, ..)| part.is_none_or(|part| part == *name));
    counted.map(|(_, rows, columns, times)| rows * columns * times).sum()
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Corpus {
    /// Types and distinct words as measured.
    Multi30k,
    /// So many types a side, whose frequencies follow Zipf's law.
    Zipf(f64),
}

impl Corpus {
    /// Rows of the tables of source and target.
    pub(crate) fn rows(self) -> [f64; 2] {
        match self {
            Self::Multi30k => {
                let last = DISTINCT[DISTINCT.len() - 1];
                [last[1] + SPECIALS, last[2] + SPECIALS]
            }
            Self::Zipf(types) => [types + SPECIALS; 2],
        }
    }

    /// Rows that a batch of so many pairs touches in both: its words and `<bos>`, `<eos>`.
    pub(crate) fn touched(self, pairs: f64) -> [f64; 2] {
        [0, 1].map(|side| match self {
            Self::Multi30k => measured_distinct(side, pairs) + 2.0,
            Self::Zipf(types) => zipf_distinct(types, pairs * WORDS_A_PAIR[side]) + 2.0,
        })
    }
}

/// Between the measured points a straight line of the logarithms, beyond them the last point.
fn measured_distinct(side: usize, pairs: f64) -> f64 {
    let [first, .., last] = DISTINCT;
    if pairs <= first[0] {
        return first[side + 1] * (pairs / first[0]).powf(0.75);
    }
    for [low, high] in DISTINCT.windows(2).filter_map(|pair| <[[f64; 3]; 2]>::try_from(pair).ok()) {
        if pairs <= high[0] {
            let share = (pairs / low[0]).ln() / (high[0] / low[0]).ln();
            return low[side + 1] * (high[side + 1] / low[side + 1]).powf(share);
        }
    }
    last[side + 1]
}

/// Distinct words expected among so many, of types with frequencies as 1 / rank.
fn zipf_distinct(types: f64, words: f64) -> f64 {
    let ranks = 1..=types as u32;
    let sum: f64 = ranks.clone().map(|rank| 1.0 / f64::from(rank)).sum();
    ranks.map(|rank| 1.0 - (-words / (f64::from(rank) * sum)).exp()).sum()
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Softmax {
    Full,
    /// The output table is the target's input table.
    Tied,
    /// Only gold words and so many others, the same on all ranks, have gradients.
    Sampled(f64),
    /// Each rank keeps a part of the rows; what is exchanged is what the table is multiplied with.
    Sharded,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Route {
    /// Scatter inside machines, reduce between them by a ring or a double tree, whichever is faster, gather inside.
    Hierarchical,
    HierarchicalRing,
    /// One ring through all ranks.
    Flat,
    /// By gloo, without NCCL: the same by TCP, from the memory of the CPU, to which gradients go and from which they come back.
    Program,
}

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) corpus: Corpus,
    /// Bytes a second that a machine sends.
    pub(crate) network: f64,
    pub(crate) ranks_a_machine: usize,
    pub(crate) route: Route,
    /// Bytes of an element of a gradient on the wire.
    pub(crate) element: f64,
    pub(crate) softmax: Softmax,
    /// Rank of the factors that dense gradients are sent as.
    pub(crate) factors: Option<f64>,
    pub(crate) tables_by_rows: bool,
    pub(crate) overlap: bool,
    /// Batches without reduction between two with it, and that one.
    pub(crate) accumulate: usize,
    /// Whether ranks differ in the width of their shares.
    pub(crate) stragglers: bool,
}

impl Setting {
    pub(crate) fn gpus(network: f64) -> Self {
        Self {
            corpus: Corpus::Zipf(45_000.0),
            network,
            ranks_a_machine: GPUS_A_MACHINE,
            route: Route::Hierarchical,
            element: 4.0,
            softmax: Softmax::Full,
            factors: None,
            tables_by_rows: true,
            overlap: false,
            accumulate: 1,
            stragglers: true,
        }
    }

    /// The bytes of each all-reduce of a step in which the ranks together have so many pairs: what is told of each parameter, which rows
    /// of tables are touched, large gradients each by itself, small ones together.
    pub(crate) fn messages(&self, pairs: f64) -> Vec<f64> {
        let rows = self.corpus.rows();
        let touched = self.corpus.touched(pairs);
        let row = EMBEDDING * self.element;
        let count: f64 = matrices().into_iter().map(|(.., times)| times).sum();
        let (mut map, mut small) = (0.0, 0.0);
        let mut messages = vec![8.0 * (FACTS + 2.0 * (count + 3.0))];
        for (_, rows, columns, times) in matrices() {
            let whole = rows * columns;
            let bytes = match self.factors {
                None => whole * self.element,
                Some(rank) => whole.min(rank * (rows + columns)) * 4.0,
            };
            if whole >= SMALL {
                messages.extend((0..times as usize).map(|_| bytes));
            } else {
                small += times * bytes;
            }
        }
        messages.push(small);
        let mut table = |rows: f64, touched: f64| {
            if self.tables_by_rows && touched * 2.0 <= rows {
                map += rows;
                messages.push(touched * row);
            } else {
                messages.push(rows * row);
            }
        };
        table(rows[0], touched[0]);
        match self.softmax {
            Softmax::Tied => table(rows[1], rows[1]),
            _ => table(rows[1], touched[1]),
        }
        match self.softmax {
            Softmax::Full => match self.factors {
                None => table(rows[1], rows[1]),
                Some(rank) => messages.push(rank * (rows[1] + EMBEDDING) * 4.0),
            },
            Softmax::Tied => {}
            Softmax::Sampled(others) => {
                table(rows[1], touched[1] + others * (1.0 - touched[1] / rows[1]));
            }
            // Gathering what the table is multiplied with and scattering its gradient take what one all-reduce takes.
            Softmax::Sharded => messages.push(pairs * WORDS_A_PAIR[1] * row),
        }
        if map > 0.0 {
            messages.push(map);
        }
        messages
    }

    pub(crate) fn machines(&self, ranks: usize) -> f64 {
        ranks.div_ceil(self.ranks_a_machine) as f64
    }

    /// Seconds of an all-reduce.
    fn all_reduce(&self, bytes: f64, ranks: usize) -> f64 {
        let ring = |n: f64, rate: f64, hop: f64| 2.0 * (n - 1.0) / n * bytes / rate + 2.0 * (n - 1.0) * hop;
        let machines = self.machines(ranks);
        let inside = ring(ranks.min(self.ranks_a_machine) as f64, INSIDE, HOP_INSIDE);
        let by_ring = ring(machines, self.network, HOP_BETWEEN);
        let by_tree = 2.0 * bytes / self.network + 2.0 * machines.log2().ceil() * HOP_BETWEEN;
        let copies = 2.0 * bytes / TO_CPU;
        match self.route {
            _ if ranks == 1 => 0.0,
            Route::Program if machines == 1.0 => copies + ring(ranks as f64, LOOPBACK, HOP_BETWEEN),
            Route::Program => copies + ring(ranks as f64, self.network.min(LOOPBACK), HOP_BETWEEN),
            Route::Flat => ring(ranks as f64, self.network, HOP_BETWEEN),
            _ if machines == 1.0 => inside,
            Route::Hierarchical => inside + by_ring.min(by_tree),
            Route::HierarchicalRing => inside + by_ring,
        }
    }

    /// Seconds of all all-reduces of a step.
    pub(crate) fn communication(&self, pairs: f64, ranks: usize) -> f64 {
        self.messages(pairs).into_iter().map(|bytes| self.all_reduce(bytes, ranks)).sum()
    }

    /// Simulates steps of `ranks` ranks with `share` pairs each, which take `seconds` on average.
    pub(crate) fn simulate(
        &self,
        ranks: usize,
        share: usize,
        seconds: f64,
        spread: &[[f64; 10]; 10],
    ) -> Step {
        let reduced = ranks * share * self.accumulate;
        let communication = self.communication(reduced as f64, ranks);
        let quantiles = &spread[(share.ilog2() as usize).min(spread.len() - 1)];
        let mut random = Random(42);
        let (mut slowest, mut total) = (0.0, 0.0);
        for _ in 0..STEPS {
            let mut compute: f64 = 0.0;
            for _ in 0..ranks {
                let one = |random: &mut Random| if self.stragglers { draw(quantiles, random) } else { 1.0 };
                let work: f64 = (0..self.accumulate).map(|_| one(&mut random)).sum();
                compute = compute.max(work * seconds);
            }
            slowest += compute;
            let hidden = if self.overlap { BACKWARD * compute / self.accumulate as f64 } else { 0.0 };
            total += compute + (communication - hidden).max(0.0);
        }
        let rate = reduced as f64 * WORDS_A_PAIR[1] * STEPS as f64 / total;
        Step { compute: slowest / STEPS as f64, communication, rate }
    }
}

pub(crate) struct Step {
    /// Seconds of the slowest rank, on average.
    pub(crate) compute: f64,
    pub(crate) communication: f64,
    /// Target words a second.
    pub(crate) rate: f64,
}

/// A part that does not shrink with the share, and one that does: 256 pairs take three times as long as 32.
pub(crate) fn gpu_step(of_256: f64, share: usize) -> f64 {
    of_256 * (5.0 + 16.0 * share as f64 / 256.0) / 21.0
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
}

fn draw(quantiles: &[f64; 10], random: &mut Random) -> f64 {
    let at = random.unit();
    let upper = QUANTILES.iter().position(|quantile| at <= *quantile).unwrap_or(9).max(1);
    let (low, high) = (QUANTILES[upper - 1], QUANTILES[upper]);
    quantiles[upper - 1] + (quantiles[upper] - quantiles[upper - 1]) * (at - low) / (high - low)
}

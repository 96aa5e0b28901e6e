//! Makes a large corpus and measures how long a run takes to its first batch.
//!
//! ```console
//! $ cargo run --release -p kiwi-text --example large_corpus -- write DIRECTORY PAIRS
//! $ cargo run --release -p kiwi-text --example large_corpus -- start DIRECTORY [CACHE]
//! ```
//!
//! `write` puts made-up words with the frequencies of a language (Zipf's law) into `train.src` and `train.tgt`; `start` opens
//! them, fits both vocabularies (at most 50 000 types a side), encodes, plans, and takes batches, with a line for each step.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::Instant,
};

use kiwi_text::{
    BatchOrder, BatchSize, BatchStream, Batching, Cache, EncodedCorpus, Field, Limits, ParallelCorpus,
    ParallelFiles, Vocabularies, Vocabulary,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TYPES: usize = 2_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", directory, pairs] => write(Path::new(directory), pairs.parse().unwrap()),
        ["start", directory] => start(Path::new(directory), None),
        ["start", directory, cache] => start(Path::new(directory), Some(Cache::new(cache))),
        _ => panic!("write DIRECTORY PAIRS, or start DIRECTORY [CACHE]"),
    }
}

/// A made-up word; the rarer, the longer.
fn word(mut number: usize, accents: bool) -> String {
    let (consonants, vowels) =
        ("bdfgklmnprstvz", if accents { ["a", "é", "i", "o", "ü"] } else { ["a", "e", "i", "o", "u"] });
    let mut word = String::new();
    loop {
        let consonant = number % consonants.len();
        word.push_str(&consonants[consonant..=consonant]);
        number /= consonants.len();
        word.push_str(vowels[number % vowels.len()]);
        number /= vowels.len();
        if number == 0 {
            return word;
        }
    }
}

fn write(directory: &Path, pairs: usize) {
    fs::create_dir_all(directory).unwrap();
    std::thread::scope(|scope| {
        for (name, accents) in [("train.src", false), ("train.tgt", true)] {
            scope.spawn(move || {
                let words: Vec<String> = (0..TYPES).map(|number| word(number, accents)).collect();
                let mut random = ChaCha8Rng::seed_from_u64(u64::from(accents));
                let mut file = BufWriter::with_capacity(1 << 20, File::create(directory.join(name)).unwrap());
                for _ in 0..pairs {
                    let length = 8 + random.next_u32() % 28;
                    for at in 0..length {
                        // The inverse of Zipf's distribution function, nearly: rank = types^u.
                        let uniform = f64::from(random.next_u32()) / f64::from(u32::MAX);
                        let rank = (TYPES as f64).powf(uniform) as usize - 1;
                        file.write_all(words[rank.min(TYPES - 1)].as_bytes()).unwrap();
                        file.write_all(if at + 1 == length { b"\n" } else { b" " }).unwrap();
                    }
                }
                file.flush().unwrap();
            });
        }
    });
}

/// The most memory that the process has had, and what of it now is its own (no page of a file), in MB.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
    };
    format!("peak {} MB, own {} MB", value("VmHWM:").unwrap_or(0), value("RssAnon:").unwrap_or(0))
}

/// Seconds of all cores that the process has used.
fn computed() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn start(directory: &Path, cache: Option<Cache>) {
    let began = Instant::now();
    let mut step = Instant::now();
    let mut before = computed();
    let mut said = |what: String| {
        let now = computed();
        println!(
            "{:8.3} s ({:6.2} of all cores)  {what}; {}",
            step.elapsed().as_secs_f64(),
            now - before,
            memory()
        );
        (step, before) = (Instant::now(), now);
    };
    let files = ParallelFiles {
        source: vec![directory.join("train.src")],
        target: vec![directory.join("train.tgt")],
        post_edit: None,
    };
    let corpus = ParallelCorpus::open(&files).unwrap();
    said(format!("open {} pairs, {} MB", corpus.pairs(), corpus.bytes() / 1_000_000));
    let limits = Limits { min_frequency: 1, max_size: Some(50_000) };
    let mut fit = |field: Field| {
        let fitted = match &cache {
            Some(cache) => cache.fit(&corpus, &[field], limits).unwrap().value,
            None => Vocabulary::fit(&corpus, &[field], limits).unwrap(),
        };
        said(format!("fit {field}: {:?}", fitted.statistics));
        Arc::new(fitted.vocabulary)
    };
    let vocabularies = Vocabularies { source: fit(Field::Source), target: fit(Field::Target) };
    let encoded = match &cache {
        Some(cache) => cache.encode(&corpus, &vocabularies).unwrap().value,
        None => EncodedCorpus::encode(&corpus, &vocabularies).unwrap(),
    };
    drop(corpus);
    said(format!("encode: {:.0} bytes a pair", encoded.bytes() as f64 / encoded.pairs() as f64));
    let encoded = Arc::new(encoded);
    for (order, size) in [
        (BatchOrder::Random, BatchSize::Pairs(const { NonZeroUsize::new(64).unwrap() })),
        (BatchOrder::Bucketed, BatchSize::Pairs(const { NonZeroUsize::new(64).unwrap() })),
        (
            BatchOrder::Bucketed,
            BatchSize::Tokens { tokens: const { NonZeroUsize::new(4096).unwrap() }, pairs: None },
        ),
    ] {
        let batching = Batching { order, size, buffer_size: None };
        let plan = Arc::new(batching.plan(&encoded, 42, 0).unwrap());
        said(format!("plan {order:?} {size:?}: {} batches", plan.len()));
        let mut stream = BatchStream::new(Arc::clone(&encoded), plan, 0, 2).unwrap();
        let first = stream.next().unwrap();
        said(format!("first batch: {} x {}", first.target.rows(), first.target.width));
        if order == BatchOrder::Random {
            println!("{:8.3} s  to the first batch", began.elapsed().as_secs_f64());
        }
        let (mut words, mut places) = (0, 0);
        for batch in stream.take(5000) {
            words += batch.target.number_of_tokens.iter().map(|words| *words as usize + 2).sum::<usize>();
            places += batch.target.ids.len();
        }
        said(format!("5000 batches more: {:.1} % padding", 100.0 - 100.0 * words as f64 / places as f64));
    }
}

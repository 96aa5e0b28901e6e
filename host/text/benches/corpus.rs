//! The steps from text to batches, on 20 000 pairs of made-up words. `cargo bench -p kiwi-text`; for a corpus of real size see
//! `examples/large_corpus.rs`.
#![expect(clippy::unwrap_used, reason = "a tool for developers")]

use std::{fs, hint::black_box, num::NonZeroUsize, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiwi_text::{
    Batch, BatchOrder, BatchSize, BatchStream, Batching, Cache, EncodedCorpus, Field, Limits, ParallelCorpus,
    ParallelFiles, Vocabularies, Vocabulary,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const PAIRS: usize = 20_000;
const TYPES: f64 = 200_000.0;
const BATCH: NonZeroUsize = const { NonZeroUsize::new(64).unwrap() };

/// Sentences of 8 to 35 words with about the frequencies of a language.
fn text(seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    for _ in 0..PAIRS {
        for _ in 0..8 + random.next_u32() % 28 {
            let rank = TYPES.powf(f64::from(random.next_u32()) / f64::from(u32::MAX));
            text.push_str(&format!("wö{:x} ", rank as u32));
        }
        text.push('\n');
    }
    text
}

struct Made {
    folder: TempDir,
    files: ParallelFiles,
    corpus: ParallelCorpus,
    vocabularies: Vocabularies,
    encoded: Arc<EncodedCorpus>,
}

fn make() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, seed| {
        let path = folder.path().join(name);
        fs::write(&path, text(seed)).unwrap();
        vec![path]
    };
    let files = ParallelFiles { source: write("a", 1), target: write("b", 2), post_edit: None };
    let corpus = ParallelCorpus::open(&files).unwrap();
    let limits = Limits { min_frequency: 1, max_size: Some(50_000) };
    let fit = |field| Arc::new(Vocabulary::fit(&corpus, &[field], limits).unwrap().vocabulary);
    let vocabularies = Vocabularies { source: fit(Field::Source), target: fit(Field::Target) };
    let encoded = Arc::new(EncodedCorpus::encode(&corpus, &vocabularies).unwrap());
    Made { folder, files, corpus, vocabularies, encoded }
}

fn text_to_ids(criterion: &mut Criterion) {
    let made = make();
    let side = made.corpus.side(Field::Source).unwrap().bytes();
    let mut group = criterion.benchmark_group("text");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(made.corpus.bytes()));
    group.bench_function("open", |b| b.iter(|| ParallelCorpus::open(&made.files).unwrap().pairs()));
    group.bench_function("encode", |b| {
        b.iter(|| EncodedCorpus::encode(&made.corpus, &made.vocabularies).unwrap().pairs());
    });
    let cache = Cache::new(made.folder.path().join("cache")).with_smallest_corpus(0);
    cache.encode(&made.corpus, &made.vocabularies).unwrap();
    group.bench_function("encode, found in the cache", |b| {
        b.iter(|| cache.encode(&made.corpus, &made.vocabularies).unwrap().value.pairs());
    });
    group.throughput(Throughput::Bytes(side));
    group.bench_function("fit", |b| {
        b.iter(|| Vocabulary::fit(&made.corpus, &[Field::Source], Limits::default()).unwrap().statistics);
    });
    cache.fit(&made.corpus, &[Field::Source], Limits::default()).unwrap();
    group.bench_function("fit, found in the cache", |b| {
        b.iter(|| cache.fit(&made.corpus, &[Field::Source], Limits::default()).unwrap().value.statistics);
    });
    group.finish();
}

fn ids_to_batches(criterion: &mut Criterion) {
    let made = make();
    let mut group = criterion.benchmark_group("batches");
    group.throughput(Throughput::Elements(PAIRS as u64));
    let batching = |order, size| Batching { order, size, buffer_size: None };
    let tokens = BatchSize::Tokens { tokens: const { NonZeroUsize::new(4096).unwrap() }, pairs: None };
    for (name, batching) in [
        ("plan, in order", batching(BatchOrder::Corpus, BatchSize::Pairs(BATCH))),
        ("plan, random", batching(BatchOrder::Random, BatchSize::Pairs(BATCH))),
        ("plan, bucketed", batching(BatchOrder::Bucketed, BatchSize::Pairs(BATCH))),
        ("plan, bucketed by tokens", batching(BatchOrder::Bucketed, tokens)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| batching.plan(&made.encoded, 1, black_box(2)).unwrap().len())
        });
    }
    let plan = batching(BatchOrder::Bucketed, BatchSize::Pairs(BATCH)).plan(&made.encoded, 1, 2).unwrap();
    let plan = Arc::new(plan);
    group.bench_function("batches", |b| {
        b.iter(|| {
            plan.batches().map(|pairs| black_box(Batch::new(&made.encoded, pairs)).pairs.len()).sum::<usize>()
        });
    });
    group.bench_function("batches, two workers", |b| {
        b.iter(|| BatchStream::new(Arc::clone(&made.encoded), Arc::clone(&plan), 0, 2).unwrap().count());
    });
    group.finish();
}

criterion_group!(benches, text_to_ids, ids_to_batches);
criterion_main!(benches);

//! Streams give the plan's batches whatever the number of threads, and stop them when dropped.

use std::sync::Arc;

use crate::common::{Folder, cases};
use kiwi_text::{Batch, BatchPlan, BatchStream, EncodedCorpus, Limits, Vocabularies};
use proptest::prelude::*;

fn corpus(lines: usize) -> Arc<EncodedCorpus> {
    let side = |step: usize| -> String {
        (0..lines)
            .map(|line| format!("{}\n", "w ".repeat(line * step % 9) + &(line % 11).to_string()))
            .collect()
    };
    let folder = Folder::new();
    let corpus = folder.pair(side(5), side(7)).unwrap();
    let (vocabularies, _) = Vocabularies::fit_shared(&corpus, Limits::default()).unwrap();
    Arc::new(EncodedCorpus::encode(&corpus, &vocabularies).unwrap())
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn the_number_of_workers_changes_nothing(
        batches in prop::collection::vec(prop::collection::vec(0..100u32, 0..6), 0..30),
        skip in 0..35usize,
        workers in 1..6usize,
    ) {
        let (corpus, plan) = (corpus(100), Arc::new(BatchPlan::from_batches(&batches)));
        let expected: Vec<Batch> = batches.iter().skip(skip).map(|pairs| Batch::new(&corpus, pairs)).collect();
        let here = BatchStream::new(corpus.clone(), plan.clone(), skip, 0).unwrap();
        prop_assert_eq!(here.len(), expected.len());
        prop_assert_eq!(&here.collect::<Vec<_>>(), &expected);
        let threads = BatchStream::new(corpus, plan, skip, workers).unwrap();
        prop_assert_eq!(&threads.collect::<Vec<_>>(), &expected);
    }
}

#[test]
fn dropping_a_stream_stops_its_threads_and_frees_the_corpus() {
    let corpus = corpus(1000);
    let plan = Arc::new(BatchPlan::corpus_order(1000, 1.try_into().unwrap()));
    for taken in [0, 1, 999, 1000] {
        let mut stream = BatchStream::new(corpus.clone(), plan.clone(), 0, 3).unwrap();
        assert_eq!(stream.by_ref().take(taken).count(), taken);
        assert_eq!(stream.remaining(), 1000 - taken);
        drop(stream);
        assert_eq!((Arc::strong_count(&corpus), Arc::strong_count(&plan)), (1, 1), "after {taken} batches");
    }
}

#[test]
fn waiting_is_measured() {
    let corpus = corpus(2000);
    let plan = Arc::new(BatchPlan::corpus_order(2000, 500.try_into().unwrap()));
    let mut stream = BatchStream::new(corpus, plan, 0, 0).unwrap();
    assert!(stream.waited().is_zero());
    assert_eq!(stream.by_ref().count(), 4);
    assert!(!stream.waited().is_zero());
}

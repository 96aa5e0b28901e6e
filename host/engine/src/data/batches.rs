//! Which pairs make which batch: of a validation set once for all, of the training corpus for each epoch.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use kiwi_core::config::{BatchOrder, RunConfig};
use kiwi_text::{BatchPlan, BatchSize, Batching, EncodedCorpus};

/// A corpus and the batches it is gone through in.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) corpus: Arc<EncodedCorpus>,
    pub(crate) plan: Arc<BatchPlan>,
}

impl Data {
    /// Batches in the order of the corpus of at most `pairs` pairs and `tokens` tokens.
    ///
    /// # Errors
    /// When a pair alone has more tokens.
    pub(crate) fn in_corpus_order(
        corpus: Arc<EncodedCorpus>,
        pairs: Option<usize>,
        tokens: Option<usize>,
    ) -> Result<Self, kiwi_text::Error> {
        let order = kiwi_text::BatchOrder::Corpus;
        let batching = Batching { order, size: size(pairs, tokens), buffer_size: None };
        let plan = Arc::new(batching.plan(&corpus, 0, 0)?);
        Ok(Self { corpus, plan })
    }
}

impl Data {
    /// How many pairs the largest batch has.
    pub(crate) fn largest_batch(&self) -> usize {
        self.plan.batches().map(<[u32]>::len).max().unwrap_or(1)
    }
}

fn size(pairs: Option<usize>, tokens: Option<usize>) -> BatchSize {
    let pairs = pairs.and_then(NonZeroUsize::new);
    match tokens.and_then(NonZeroUsize::new) {
        Some(tokens) => BatchSize::Tokens { tokens, pairs },
        None => BatchSize::Pairs(pairs.unwrap_or(NonZeroUsize::MAX)),
    }
}

/// The training corpus and its batches, epoch by epoch. An epoch's batches are a function of corpus, config and the number
/// of the epoch.
pub(crate) struct TrainingBatches {
    corpus: Arc<EncodedCorpus>,
    batching: Batching,
    seed: u64,
    /// The epoch that was asked for last, and its batches.
    last: Mutex<(u64, Arc<BatchPlan>)>,
}

impl TrainingBatches {
    /// As the config says.
    ///
    /// # Errors
    /// When a pair alone has more tokens than a batch may have.
    pub(crate) fn new(corpus: Arc<EncodedCorpus>, config: &RunConfig) -> Result<Self, kiwi_text::Error> {
        let order = match config.trainer.batch_order {
            BatchOrder::Corpus => kiwi_text::BatchOrder::Corpus,
            BatchOrder::Random => kiwi_text::BatchOrder::Random,
            BatchOrder::Bucketed => kiwi_text::BatchOrder::Bucketed,
        };
        let size = size(config.system.batch_size.train, config.trainer.max_tokens_per_batch);
        let buffer_size = config.data.buffer_size.and_then(NonZeroUsize::new);
        let batching = Batching { order, size, buffer_size };
        let seed = config.run.seed;
        let first = Arc::new(batching.plan(&corpus, seed, 0)?);
        Ok(Self { corpus, batching, seed, last: Mutex::new((0, first)) })
    }

    /// The corpus.
    pub(crate) fn corpus(&self) -> Arc<EncodedCorpus> {
        Arc::clone(&self.corpus)
    }

    /// The batches of an epoch, counted from 0.
    ///
    /// # Errors
    /// As [`TrainingBatches::new`].
    pub(crate) fn plan(&self, epoch: u64) -> Result<Arc<BatchPlan>, kiwi_text::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != epoch && self.batching.order != kiwi_text::BatchOrder::Corpus {
            *last = (epoch, Arc::new(self.batching.plan(&self.corpus, self.seed, epoch)?));
        }
        Ok(Arc::clone(&last.1))
    }

    /// How many batches the first epoch has.
    pub(crate) fn batches(&self) -> usize {
        self.plan(0).map_or(0, |plan| plan.len())
    }

    /// Whether all epochs have so many.
    pub(crate) fn epochs_are_alike(&self) -> bool {
        self.batching.epochs_are_alike()
    }
}

//! Which pairs make which batch: of a validation set once for all, of the training corpus for each epoch.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kiwi_core::config::RunConfig;
use kiwi_text::{BatchPlan, EncodedCorpus};

/// A corpus and the batches it is gone through in.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) corpus: Arc<EncodedCorpus>,
    pub(crate) plan: Arc<BatchPlan>,
}

impl Data {
    /// Batches in the order of the corpus of at most `pairs` pairs and `tokens` tokens.
    pub(crate) fn in_corpus_order(
        corpus: Arc<EncodedCorpus>,
        pairs: Option<usize>,
        _tokens: Option<usize>,
    ) -> Self {
        let size = pairs.and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MAX);
        let plan = Arc::new(BatchPlan::corpus_order(corpus.pairs(), size));
        Self { corpus, plan }
    }
}

/// The training corpus and its batches, epoch by epoch.
pub(crate) struct TrainingBatches {
    data: Data,
}

impl TrainingBatches {
    /// As the config says.
    pub(crate) fn new(corpus: Arc<EncodedCorpus>, config: &RunConfig) -> Self {
        let size = config.system.batch_size.train;
        Self { data: Data::in_corpus_order(corpus, size, config.trainer.max_tokens_per_batch) }
    }

    /// The corpus.
    pub(crate) fn corpus(&self) -> Arc<EncodedCorpus> {
        Arc::clone(&self.data.corpus)
    }

    /// The batches of an epoch, counted from 0.
    pub(crate) fn plan(&self, _epoch: u64) -> Arc<BatchPlan> {
        Arc::clone(&self.data.plan)
    }

    /// How many batches an epoch, counted from 0, has.
    pub(crate) fn batches(&self, epoch: u64) -> usize {
        self.plan(epoch).len()
    }
}

//! Parallel corpora → vocabularies → batches of word ids, in plain arrays: no tensors and no libtorch here.
//!
//! The way of the text: [`ParallelCorpus`] (checked files, perhaps some of their pairs) → [`Vocabulary`] (fitted on them or
//! loaded) → [`EncodedCorpus`] (every word an id, the files no longer needed) → [`BatchPlan`] (which pairs make which batch in
//! an epoch, by [`Batching`]) → [`BatchStream`] (batches made ready in the background) → [`Batch`]. A [`Cache`] keeps what the
//! second and third step make of large corpora. Without an end in sight, or a need for one, pairs are read by [`PairReader`] in
//! windows. What is odd in a corpus without being an error is collected in [`Notes`];
//! printing it, and reading any configuration, is the caller's.

mod batch;
mod batching;
mod cache;
mod corpus;
mod counts;
mod encoded;
mod encoding;
mod error;
mod field;
mod file;
mod hash;
mod notes;
mod noting;
mod numbers;
mod pairs;
mod parallel_corpus;
mod plan;
mod spelling;
mod stream;
mod threads;
mod vocabulary;
mod words;

pub use batch::{Batch, FieldBatch};
pub use batching::{BatchOrder, BatchSize, Batching};
pub use cache::{Cache, CacheOutcome, CacheProblem, Cached};
pub use corpus::{Corpus, CorpusReader};
pub use encoded::{EncodedCorpus, Vocabularies};
pub use error::Error;
pub use field::{Field, Location};
pub use hash::ContentHash;
pub use notes::{EmptyPairs, Notes, Occurrences};
pub use pairs::{PairInput, PairReader, Window, is_standard_input, shard};
pub use parallel_corpus::{Dropped, ParallelCorpus, ParallelFiles};
pub use plan::BatchPlan;
pub use stream::BatchStream;
pub use vocabulary::{BOS, EOS, FitStatistics, Fitted, Limits, PAD, SPECIALS, UNALIGNED, UNK, Vocabulary};
pub use words::{Words, is_white_space, words};

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

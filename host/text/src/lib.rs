//! Parallel corpora → vocabularies → batches of word ids, in plain arrays: no tensors and no libtorch here.
//!
//! The way of the text: [`ParallelCorpus`] (checked files, memory-mapped) → [`Vocabulary`] (fitted on them or loaded) →
//! [`EncodedCorpus`] (every word an id, the files no longer needed) → [`BatchPlan`] (which pairs make which batch) →
//! [`BatchStream`] (batches made ready in the background) → [`Batch`]. What is odd in a corpus without being an error is
//! collected in [`Notes`]; printing it, and reading any configuration, is the caller's.

mod batch;
mod corpus;
mod encoded;
mod error;
mod field;
mod file;
mod notes;
mod parallel_corpus;
mod plan;
mod stream;
mod threads;
mod vocabulary;
mod words;

pub use batch::{Batch, FieldBatch};
pub use corpus::Corpus;
pub use encoded::{EncodedCorpus, Vocabularies};
pub use error::Error;
pub use field::{Field, Location};
pub use notes::{EmptyPairs, Notes, Occurrences};
pub use parallel_corpus::{Dropped, ParallelCorpus, ParallelFiles};
pub use plan::BatchPlan;
pub use stream::BatchStream;
pub use vocabulary::{BOS, EOS, FitStatistics, Fitted, Limits, PAD, SPECIALS, UNALIGNED, UNK, Vocabulary};
pub use words::{Words, is_white_space, words};

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

//! What is made of a large corpus, kept between runs: counted words and encoded pairs. A file of the cache belongs to the
//! content of what it was made from, never to names or times; a file that is not whole is made anew; and whatever goes wrong
//! with the cache costs a warning, never a run.

mod contents;
mod directory;
mod mapped;
mod outcome;
mod stored;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use contents::{read_counts, read_encoded, write_counts, write_encoded};
use stored::{Section, Stored};

pub(crate) use mapped::Mapped;
pub use outcome::{CacheOutcome, CacheProblem, Cached};

use crate::{
    ContentHash, EncodedCorpus, Error, Field, Fitted, Limits, ParallelCorpus, Result, Vocabularies,
    Vocabulary, counts::WordCounts, hash::KeyHasher,
};

/// A directory with the counted words and the encoded pairs of large corpora, so that a run with a corpus, vocabularies and
/// limits that an earlier run had does not make them again, and so that an encoded corpus is in the system's cache of files
/// instead of in memory.
///
/// - A file is named by the BLAKE3 hash of the bytes of the corpus' files, the choice of pairs that splits and length limits
///   have made, the vocabularies, and the version of its form. A corpus that has changed has another name.
/// - A file is written beside and renamed when it is complete, so several processes may use and make the same one. It is
///   checked from end to end when it is opened; one that is truncated, damaged or foreign is made anew.
/// - When the files have more bytes than the limit, those unused for the longest time are removed; the one made last always
///   stays. Nothing but files of the cache is ever removed.
/// - Where the directory cannot be written to or the disk is full, things are made in memory as without a cache, with a
///   warning.
/// - Files are mapped while they are in use: do not shorten them. Removing them, at any time, is fine.
/// - They hold the words of the text, and only their owner may read them.
///
/// Ten million pairs (2.5 GB of text, 430 million words) make a file of 1.9 GB and two lists of counted words of 50 MB. On two
/// cores of a Xeon with the files in the system's cache, reading, checking and hashing the text takes 1.5 s, checking the
/// file 0.5 s: a second run has its first batch after some 3 s, where the first needs a minute
/// (`examples/large_corpus.rs`).
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    limit: u64,
    smallest: u64,
}

/// What a file of the cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counts = 1,
    Encoded = 2,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Counts, Self::Encoded];

    fn name(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Encoded => "encoded",
        }
    }
}

/// Why something could not be written: the text's fault ends the run, the cache's does not.
enum Failure {
    Text(Error),
    Cache(CacheProblem),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Text(error)
    }
}

impl From<CacheProblem> for Failure {
    fn from(problem: CacheProblem) -> Self {
        Self::Cache(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Self::Cache(cause.into())
    }
}

impl Cache {
    /// Corpora with fewer bytes of text are not kept unless told otherwise: making their vocabularies and encoding them takes
    /// a second or two.
    pub const SMALLEST_CORPUS: u64 = 64 << 20;

    /// The most bytes in the directory unless told otherwise. An encoded corpus has 4 bytes a word and 16 a pair.
    pub const LIMIT: u64 = 32 << 30;

    /// A cache in a directory, which is made when it is needed.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), limit: Self::LIMIT, smallest: Self::SMALLEST_CORPUS }
    }

    /// The same with another bound on the bytes in the directory.
    #[must_use]
    pub fn with_limit(self, bytes: u64) -> Self {
        Self { limit: bytes, ..self }
    }

    /// The same with another size, in bytes of text, from which on corpora are kept.
    #[must_use]
    pub fn with_smallest_corpus(self, bytes: u64) -> Self {
        Self { smallest: bytes, ..self }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// [`Vocabulary::fit`], without counting words that were counted before, within whatever limits.
    ///
    /// # Errors
    /// As for [`Vocabulary::fit`].
    pub fn fit(&self, corpus: &ParallelCorpus, fields: &[Field], limits: Limits) -> Result<Cached<Fitted>> {
        if corpus.bytes() < self.smallest {
            let value = Vocabulary::fit(corpus, fields, limits)?;
            return Ok(Cached { value, outcome: CacheOutcome::NotNeeded });
        }
        let mut key = KeyHasher::new("counted words");
        fields.iter().filter_map(|field| corpus.side(*field)).for_each(|side| key.hash(side.content_hash()));
        corpus.hash_selection(&mut key);
        let (key, path) = self.key(Kind::Counts, key);
        let replaced = match self.find(&path, Kind::Counts, key, read_counts) {
            Ok((counts, bytes)) => {
                let value = Vocabulary::from_counts(&counts, limits)?;
                return Ok(Cached { value, outcome: CacheOutcome::Found { file: path, bytes } });
            }
            Err(replaced) => replaced,
        };
        let counts = WordCounts::count(corpus, fields, 1)?;
        let written = self.write(&path, Kind::Counts, key, |file| write_counts(file, &counts));
        let outcome = match written.and_then(|file| Ok(file.metadata()?.len())) {
            Ok(bytes) => CacheOutcome::Written { file: path, bytes, replaced },
            Err(Failure::Cache(problem)) => CacheOutcome::NotKept { file: path, problem },
            Err(Failure::Text(error)) => return Err(error),
        };
        Ok(Cached { value: Vocabulary::from_counts(&counts, limits)?, outcome })
    }

    /// [`EncodedCorpus::encode`], without encoding what was encoded before; the ids stay in the file.
    ///
    /// # Errors
    /// As for [`EncodedCorpus::encode`].
    pub fn encode(
        &self,
        corpus: &ParallelCorpus,
        vocabularies: &Vocabularies,
    ) -> Result<Cached<EncodedCorpus>> {
        if corpus.bytes() < self.smallest {
            let value = EncodedCorpus::encode(corpus, vocabularies)?;
            return Ok(Cached { value, outcome: CacheOutcome::NotNeeded });
        }
        let mut key = KeyHasher::new("encoded pairs");
        key.hash(corpus.content_hash());
        corpus.fields().for_each(|field| key.hash(vocabularies.of(field).content_hash()));
        let (key, path) = self.key(Kind::Encoded, key);
        let read = |stored: &Stored| read_encoded(stored, corpus);
        let replaced = match self.find(&path, Kind::Encoded, key, read) {
            Ok((value, bytes)) => {
                return Ok(Cached { value, outcome: CacheOutcome::Found { file: path, bytes } });
            }
            Err(replaced) => replaced,
        };
        let written = self.write(&path, Kind::Encoded, key, |file| write_encoded(file, corpus, vocabularies));
        let written = written.and_then(|file| {
            let stored = Stored::open_written(&file, Kind::Encoded, key)?;
            Ok((read(&stored)?, stored.size()))
        });
        match written {
            Ok((value, bytes)) => {
                Ok(Cached { value, outcome: CacheOutcome::Written { file: path, bytes, replaced } })
            }
            Err(Failure::Text(error)) => Err(error),
            Err(Failure::Cache(problem)) => {
                let value = EncodedCorpus::encode(corpus, vocabularies)?;
                Ok(Cached { value, outcome: CacheOutcome::NotKept { file: path, problem } })
            }
        }
    }

    fn key(&self, kind: Kind, key: KeyHasher) -> (ContentHash, PathBuf) {
        let key = key.finish();
        (key, directory::path(&self.directory, kind, key))
    }

    /// What a file holds, and its size; otherwise what is wrong with the file, if there is one.
    fn find<T>(
        &self,
        path: &Path,
        kind: Kind,
        key: ContentHash,
        read: impl Fn(&Stored) -> Result<T, CacheProblem>,
    ) -> Result<(T, u64), Option<CacheProblem>> {
        let found = File::open(path).map_err(CacheProblem::from).and_then(|file| {
            let stored = Stored::open(&file, kind, key)?;
            directory::touch(&file);
            Ok((read(&stored)?, stored.size()))
        });
        found.map_err(|problem| match problem {
            CacheProblem::System(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            problem => Some(problem),
        })
    }

    /// Writes a file, gives it its name, and keeps the directory within its limit.
    fn write(
        &self,
        path: &Path,
        kind: Kind,
        key: ContentHash,
        write: impl FnOnce(&File) -> Result<Vec<Section>, Failure>,
    ) -> Result<File, Failure> {
        let temporary = directory::create(&self.directory)?;
        let sections = write(temporary.as_file())?;
        temporary.as_file().write_all_at(&stored::page(kind, key, &sections), 0)?;
        // Not flushed to the disk: what a crash of the machine leaves incomplete is found so by its hashes.
        let file = temporary.persist(path).map_err(|error| error.error)?;
        directory::trim(&self.directory, self.limit, path);
        Ok(file)
    }
}

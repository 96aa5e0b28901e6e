//! From the files of a config to corpora of word ids and the batches they are gone through in.
//!
//! [`open`] finds what is wrong with the files, [`read`] fits or takes over vocabularies and encodes. What is worth saying
//! about it is data too ([`summary`]), for the log of a run and for `check`.

mod batches;
mod lengths;
mod open;
mod post_edits;
mod summary;
mod vocabularies;

use std::collections::BTreeMap;
use std::sync::Arc;

use etcetera::BaseStrategy as _;
use kiwi_core::config::{Document, RunConfig};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::environment;
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{Cache, EncodedCorpus, Field, ParallelCorpus, ParallelFiles, Vocabularies};

pub(crate) use batches::{Data, TrainingBatches};
pub(crate) use lengths::too_long;
pub(crate) use open::{Opened, missing_files, open};
pub(crate) use post_edits::{missing as missing_post_edits, unread as unread_post_edits};
pub(crate) use summary::{CorpusSummary, Summary, VocabularySummary, counted};
pub(crate) use vocabularies::{Source, from_saved};

use crate::system::{Checked, Limit};

/// What the components of a system need of the corpora.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Post-edits are read.
    pub(crate) post_edits: bool,
    /// The longest sentences that can be used.
    pub(crate) longest: Vec<Limit>,
}

impl Wanted {
    /// What these components need.
    pub(crate) fn by(components: &[&Checked]) -> Self {
        Self {
            post_edits: components.iter().any(|component| component.needs.post_edit.is_some()),
            longest: components.iter().flat_map(|component| component.needs.longest.clone()).collect(),
        }
    }
}

/// What a training run reads.
pub(crate) struct TrainingData {
    pub(crate) train: TrainingBatches,
    /// The validation sets, the first of which has the main metric; at least one.
    pub(crate) valid: Vec<ValidationData>,
    /// What the best system is tested on after training.
    pub(crate) test: Vec<ValidationData>,
    pub(crate) vocabularies: Vocabularies,
    /// Hashes of the pairs that are used, by what they are for.
    pub(crate) hashes: BTreeMap<String, String>,
    pub(crate) summary: Summary,
    /// What is odd in it.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// A validation set or a test set.
#[derive(Clone)]
pub(crate) struct ValidationData {
    /// What its figures begin with: `val` or `test`.
    prefix: &'static str,
    /// Its name; `None` for the only set.
    pub(crate) name: Option<String>,
    pub(crate) data: Data,
}

impl ValidationData {
    /// What one of its figures is called: `val_loss`, or `val_SET_loss` of a named set; `test_loss` of a test set.
    pub(crate) fn name_of(&self, figure: &str) -> String {
        let prefix = self.prefix;
        match &self.name {
            Some(set) => format!("{prefix}_{set}_{figure}"),
            None => format!("{prefix}_{figure}"),
        }
    }
}

/// What is wrong with a corpus.
pub(crate) fn invalid(error: &kiwi_text::Error) -> Failure {
    Failure::new(ExitCode::Invalid, Diagnostic::error(error.code(), error.to_string()))
}

/// Encodes opened corpora; vocabularies are taken from `source`. What is made of large ones is kept in `cache`.
///
/// # Errors
/// When a vocabulary cannot be fitted or taken over, a file was changed meanwhile, or a sentence is too long for the encoder or
/// for a batch.
pub(crate) fn read(
    config: &RunConfig,
    document: &Document,
    opened: Opened,
    source: Source<'_>,
    wanted: &Wanted,
    cache: Option<&Cache>,
) -> Result<TrainingData, Failure> {
    let Opened { train, valid, test, mut warnings, split } = opened;
    let (vocabularies, fitted) =
        vocabularies::prepare(&train, config, source, document, cache, &mut warnings)?;
    let tokens = |error: kiwi_text::Error| {
        let error = Diagnostic::error(error.code(), error.to_string()).at("trainer.max_tokens_per_batch");
        Failure::new(ExitCode::Invalid, document.place(error))
    };

    let mut hashes = BTreeMap::from([("training".to_owned(), train.content_hash().to_string())]);
    let named = |name: &Option<String>| name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    hashes.extend(
        valid
            .iter()
            .map(|(name, set)| (format!("validation{}", named(name)), set.content_hash().to_string())),
    );
    let encoded = encode(&train, &vocabularies, cache, &mut warnings)?;
    warnings.extend(notes("training", &encoded));
    refuse_wordless("training corpus", &encoded)?;
    let train = TrainingBatches::new(encoded, config).map_err(tokens)?;
    let mut corpora = vec![CorpusSummary::new("training", &train.corpus(), train.batches())];
    let mut too_long = lengths::too_long(&train.corpus(), &wanted.longest);
    let mut read_sets = |prefix: &'static str, kind: &str, sets: Vec<(Option<String>, ParallelCorpus)>| {
        let mut found = Vec::new();
        for (name, corpus) in sets {
            let title = match &name {
                Some(name) => format!("{kind} set {name}"),
                None => kind.to_owned(),
            };
            let encoded = encode(&corpus, &vocabularies, cache, &mut warnings)?;
            warnings.extend(notes(&title, &encoded));
            refuse_wordless(&format!("{title} corpus"), &encoded)?;
            let size = config.system.batch_size.valid;
            // Tokens limit these batches only where pairs do not.
            let limit = config.trainer.max_tokens_per_batch.filter(|_| size.is_none());
            let data = Data::in_corpus_order(encoded, size, limit).map_err(tokens)?;
            corpora.push(CorpusSummary::new(title, &data.corpus, data.plan.len()));
            too_long.extend(lengths::too_long(&data.corpus, &wanted.longest));
            found.push(ValidationData { prefix, name, data });
        }
        Ok::<_, Failure>(found)
    };
    let valid = read_sets("val", "validation", valid)?;
    let test = read_sets("test", "test", test)?;
    if !too_long.is_empty() {
        let diagnostics = too_long.into_iter().map(|one| document.place(one)).collect();
        return Err(Failure { exit: ExitCode::Invalid, diagnostics });
    }
    let summary = Summary { split, vocabularies: fitted, corpora };
    Ok(TrainingData { train, valid, test, vocabularies, hashes, summary, warnings })
}

/// Reads a parallel corpus for a saved system.
///
/// # Errors
/// When a file is missing, not UTF-8 or empty, or when sides have different line counts.
pub(crate) fn read_for(
    files: &ParallelFiles,
    vocabularies: &Vocabularies,
    batch_size: usize,
    wanted: &Wanted,
    cache: Option<&Cache>,
) -> Result<(ParallelCorpus, Data, Vec<Diagnostic>), Failure> {
    let corpus = ParallelCorpus::open(files).map_err(|error| invalid(&error))?;
    let mut warnings = Vec::new();
    let encoded = encode(&corpus, vocabularies, cache, &mut warnings)?;
    // A saved system has its limits for good: no path of a config names what could be changed.
    let limits: Vec<Limit> = wanted.longest.iter().map(Limit::for_good).collect();
    let too_long = lengths::too_long(&encoded, &limits);
    if !too_long.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: too_long });
    }
    let data = Data::in_corpus_order(encoded, Some(batch_size), None).map_err(|error| invalid(&error))?;
    warnings.extend(
        data.corpus.notes().messages().into_iter().map(|text| Diagnostic::warning(Code::OddText, text)),
    );
    Ok((corpus, data, warnings))
}

fn encode(
    corpus: &ParallelCorpus,
    vocabularies: &Vocabularies,
    cache: Option<&Cache>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Arc<EncodedCorpus>, Failure> {
    let encoded = match cache {
        Some(cache) => cache.encode(corpus, vocabularies).map(|cached| {
            warnings.extend(cached.outcome.warning().map(|text| Diagnostic::warning(Code::Cache, text)));
            cached.value
        }),
        None => EncodedCorpus::encode(corpus, vocabularies),
    };
    encoded.map(Arc::new).map_err(|error| invalid(&error))
}

/// Where what is made of large corpora is kept: the directory of `KIWI_CACHE_DIR`, else the user's cache directory; `None`
/// where there is neither.
pub(crate) fn cache() -> Option<Cache> {
    let named = std::env::var_os(environment::KIWI_CACHE_DIR.name).filter(|directory| !directory.is_empty());
    let users =
        || etcetera::choose_base_strategy().ok().map(|strategy| strategy.cache_dir().join("kiwi-host"));
    named.map(std::path::PathBuf::from).or_else(users).map(Cache::new)
}

/// Refuses a corpus from which nothing can be learned, or by which nothing can be judged.
fn refuse_wordless(title: &str, corpus: &EncodedCorpus) -> Result<(), Failure> {
    if corpus.running_words(Field::Target) > 0 {
        return Ok(());
    }
    let error = Diagnostic::error(Code::NoPairs, format!("the {title} has no word on its target side"))
        .found(format!("{}, all with an empty target", counted(corpus.pairs(), "pair")))
        .expected("words to predict")
        .help("check that the right files are named");
    Err(Failure::new(ExitCode::Invalid, error))
}

fn notes(title: &str, corpus: &EncodedCorpus) -> Vec<Diagnostic> {
    let messages = corpus.notes().messages().into_iter();
    messages.map(|message| Diagnostic::warning(Code::OddText, format!("{title} corpus: {message}"))).collect()
}

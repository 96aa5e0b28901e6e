//! From the files of a config to encoded corpora: reading, splitting, fitting or taking over vocabularies.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kiwi_core::config::{Corpora, DataProcessingSection, RunConfig};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::SystemHeader;
use kiwi_text::{
    BatchPlan, EncodedCorpus, Field, FitStatistics, Limits, ParallelCorpus, ParallelFiles, Vocabularies,
    Vocabulary,
};

/// A corpus and the batches it is gone through in.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) corpus: Arc<EncodedCorpus>,
    pub(crate) plan: Arc<BatchPlan>,
}

/// What a training run reads.
pub(crate) struct TrainingData {
    pub(crate) train: Data,
    pub(crate) valid: Data,
    pub(crate) vocabularies: Vocabularies,
    /// What is worth saying about it, in order.
    pub(crate) summary: Vec<String>,
    /// What is odd in it.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// What is wrong with a corpus.
pub(crate) fn invalid(error: &kiwi_text::Error) -> Failure {
    Failure::new(ExitCode::Invalid, Diagnostic::error(error.to_string()))
}

fn files(corpora: &Corpora) -> ParallelFiles {
    ParallelFiles { source: corpora.source.clone(), target: corpora.target.clone(), post_edit: None }
}

/// Reads the corpora of a config; vocabularies are those of `saved`, else fitted on the training part.
///
/// # Errors
/// When a file is missing, not UTF-8 or empty, or when sides have different line counts.
pub(crate) fn read(config: &RunConfig, saved: Option<&SystemHeader>) -> Result<TrainingData, Failure> {
    let failed = |error: kiwi_text::Error| invalid(&error);
    let train = ParallelCorpus::open(&files(&config.data.train)).map_err(failed)?;
    let mut summary = Vec::new();
    let (train, valid) = match (&config.data.valid, config.data.split) {
        (Some(valid), _) => (train, ParallelCorpus::open(&files(valid)).map_err(failed)?),
        (None, Some(share)) => {
            let (kept, held_out) = train.split(share, config.run.seed).map_err(failed)?;
            summary.push(format!(
                "split {share} of {} pairs, seed {}: {} for training, {} for validation; vocabularies are fitted on the \
                 training part only",
                train.pairs(),
                config.run.seed,
                kept.pairs(),
                held_out.pairs()
            ));
            (kept, held_out)
        }
        (None, None) => {
            return Err(Failure::new(
                ExitCode::Invalid,
                Diagnostic::error("there is nothing to validate on")
                    .at("data")
                    .help("give data.valid or data.split"),
            ));
        }
    };
    let vocabularies = match (saved, &config.system.data_processing) {
        (Some(header), _) => from_saved(header).map_err(failed)?,
        (None, section) => {
            let section = section.clone().unwrap_or_default();
            fit(&train, &section, &mut summary).map_err(failed)?
        }
    };
    let train = encode("training", &train, &vocabularies, config.system.batch_size.train, &mut summary)?;
    let valid = encode("validation", &valid, &vocabularies, config.system.batch_size.valid, &mut summary)?;
    let notes = [("training", &train), ("validation", &valid)];
    let warnings = notes
        .iter()
        .flat_map(|(name, data)| {
            data.corpus
                .notes()
                .messages()
                .into_iter()
                .map(move |m| Diagnostic::warning(format!("{name} corpus: {m}")))
        })
        .collect();
    Ok(TrainingData { train, valid, vocabularies, summary, warnings })
}

/// Reads a parallel corpus for a saved system.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_for(
    files: &ParallelFiles,
    vocabularies: &Vocabularies,
    batch_size: usize,
) -> Result<(ParallelCorpus, Data, Vec<Diagnostic>), Failure> {
    let corpus = ParallelCorpus::open(files).map_err(|error| invalid(&error))?;
    let data = encode("", &corpus, vocabularies, batch_size, &mut Vec::new())?;
    let warnings = data.corpus.notes().messages().into_iter().map(Diagnostic::warning).collect();
    Ok((corpus, data, warnings))
}

/// The vocabularies of a saved system.
pub(crate) fn from_saved(header: &SystemHeader) -> Result<Vocabularies, kiwi_text::Error> {
    let target = Arc::new(Vocabulary::from_words(header.target_vocabulary.clone())?);
    let source = if header.source_vocabulary == header.target_vocabulary {
        Arc::clone(&target)
    } else {
        Arc::new(Vocabulary::from_words(header.source_vocabulary.clone())?)
    };
    Ok(Vocabularies { source, target })
}

fn fit(
    train: &ParallelCorpus,
    section: &DataProcessingSection,
    summary: &mut Vec<String>,
) -> Result<Vocabularies, kiwi_text::Error> {
    let vocab = &section.vocab;
    let limits = |min_frequency, max_size: Option<u64>| Limits {
        min_frequency,
        max_size: max_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
    };
    let source_limits = limits(vocab.min_frequency.source, vocab.max_size.source);
    let target_limits = limits(vocab.min_frequency.target, vocab.max_size.target);
    if section.share_input_fields_encoders {
        let (shared, statistics) = Vocabularies::fit_shared(train, target_limits)?;
        summary.push(covered("shared", shared.target.len(), &statistics));
        return Ok(shared);
    }
    let mut fit_side = |field: Field, limits| -> Result<Arc<Vocabulary>, kiwi_text::Error> {
        let fitted = Vocabulary::fit(train, &[field], limits)?;
        summary.push(covered(field.name(), fitted.vocabulary.len(), &fitted.statistics));
        Ok(Arc::new(fitted.vocabulary))
    };
    Ok(Vocabularies {
        source: fit_side(Field::Source, source_limits)?,
        target: fit_side(Field::Target, target_limits)?,
    })
}

fn covered(name: &str, size: usize, statistics: &FitStatistics) -> String {
    let share = 100.0 * statistics.unknown_words as f64 / (statistics.running_words.max(1)) as f64;
    format!(
        "{name} vocabulary: {size} entries (5 special tokens, {} of {} types); {share:.2} % of {} running words become <unk>",
        statistics.kept_types, statistics.types, statistics.running_words
    )
}

fn encode(
    name: &str,
    corpus: &ParallelCorpus,
    vocabularies: &Vocabularies,
    batch_size: usize,
    summary: &mut Vec<String>,
) -> Result<Data, Failure> {
    let encoded = EncodedCorpus::encode(corpus, vocabularies).map_err(|error| invalid(&error))?;
    let plan =
        BatchPlan::corpus_order(encoded.pairs(), NonZeroUsize::new(batch_size).unwrap_or(NonZeroUsize::MIN));
    let share =
        |field| 100.0 * encoded.unknown_words(field) as f64 / (encoded.running_words(field).max(1)) as f64;
    summary.push(format!(
        "{name} corpus: {} pairs, {} source words ({:.2} % <unk>), {} target words ({:.2} % <unk>), {} batches of up to {batch_size}",
        encoded.pairs(),
        encoded.running_words(Field::Source),
        share(Field::Source),
        encoded.running_words(Field::Target),
        share(Field::Target),
        plan.len()
    ));
    Ok(Data { corpus: Arc::new(encoded), plan: Arc::new(plan) })
}

//! The vocabularies of a run: fitted on the training corpus, or taken over from a saved system.

use std::path::Path;
use std::sync::Arc;

use kiwi_core::config::{DataProcessingSection, Document, RunConfig};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::SystemHeader;
use kiwi_text::{Cache, Field, Limits, ParallelCorpus, Vocabularies, Vocabulary};

use super::VocabularySummary;

/// Where vocabularies come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The training corpus.
    Corpus,
    /// A saved system: its file, what it says, and the key of the config that names it.
    Saved { file: &'a Path, header: &'a SystemHeader, key: &'static str },
}

/// The vocabularies, and what is worth saying about each.
///
/// # Errors
/// When they cannot be fitted, or those of a saved system are broken or not shared as the config asks.
pub(super) fn prepare(
    train: &ParallelCorpus,
    config: &RunConfig,
    source: Source<'_>,
    document: &Document,
    cache: Option<&Cache>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(Vocabularies, Vec<VocabularySummary>), Failure> {
    let section = config.system.data_processing.clone().unwrap_or_default();
    let (file, header, key) = match source {
        Source::Corpus => {
            let fitted = fit(train, &section, cache, warnings).map_err(|error| super::invalid(&error))?;
            refuse_empty(&fitted.1, document)?;
            return Ok(fitted);
        }
        Source::Saved { file, header, key } => (file, header, key),
    };
    let refuse = |error: Diagnostic| Failure::new(ExitCode::Invalid, document.place(error.at(key)));
    let vocabularies = from_saved(header).map_err(|error| {
        refuse(Diagnostic::error(
            Code::Vocabulary,
            format!("{} holds a broken vocabulary: {error}", file.display()),
        ))
    })?;
    if config.system.load_vocabs.is_some() && section.share_input_fields_encoders && !vocabularies.is_shared()
    {
        return Err(refuse(
            Diagnostic::error(Code::Vocabulary, format!("{} has a vocabulary for each side", file.display()))
                .found("two vocabularies")
                .expected("one, which system.data_processing.share_input_fields_encoders asks for")
                .help("set share_input_fields_encoders to false, or name a system with a shared vocabulary"),
        ));
    }
    let taken = |name: &str, vocabulary: &Vocabulary| VocabularySummary {
        name: name.to_owned(),
        entries: vocabulary.len(),
        fit: None,
        taken_from: Some(file.to_owned()),
    };
    let summaries = if vocabularies.is_shared() {
        vec![taken("shared", &vocabularies.target)]
    } else {
        vec![taken("source", &vocabularies.source), taken("target", &vocabularies.target)]
    };
    Ok((vocabularies, summaries))
}

/// Refuses limits that leave no word of those that there are: all text would be `<unk>`, which is predicted without a fault.
fn refuse_empty(summaries: &[VocabularySummary], document: &Document) -> Result<(), Failure> {
    let is_empty = |summary: &&VocabularySummary| {
        summary.fit.is_some_and(|fit| fit.kept_types == 0 && fit.running_words > 0)
    };
    let Some(summary) = summaries.iter().find(is_empty) else { return Ok(()) };
    let types = summary.fit.map_or(0, |fit| fit.types);
    let error = Diagnostic::error(
        Code::Vocabulary,
        format!("no word of the training corpus is left for the {} vocabulary", summary.name),
    )
    .at("system.data_processing.vocab.min_frequency")
    .found(format!("0 of {} are as frequent", super::counted(types, "type")))
    .expected("a frequency that some words have")
    .help("lower it: 1 keeps all words");
    Err(Failure::new(ExitCode::Invalid, document.place(error)))
}

/// The vocabularies of a saved system.
///
/// # Errors
/// When a list of words is no vocabulary.
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
    cache: Option<&Cache>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(Vocabularies, Vec<VocabularySummary>), kiwi_text::Error> {
    let vocab = &section.vocab;
    let limits = |min_frequency, max_size: Option<u64>| Limits {
        min_frequency,
        max_size: max_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
    };
    let source_limits = limits(vocab.min_frequency.source, vocab.max_size.source);
    let target_limits = limits(vocab.min_frequency.target, vocab.max_size.target);
    let mut summaries = Vec::new();
    let mut fit = |name: &str, fields: &[Field], limits| -> Result<Vocabulary, kiwi_text::Error> {
        let fitted = match cache {
            Some(cache) => {
                let cached = cache.fit(train, fields, limits)?;
                warnings.extend(cached.outcome.warning().map(|text| Diagnostic::warning(Code::Cache, text)));
                cached.value
            }
            None => Vocabulary::fit(train, fields, limits)?,
        };
        summaries.push(VocabularySummary {
            name: name.to_owned(),
            entries: fitted.vocabulary.len(),
            fit: Some(fitted.statistics),
            taken_from: None,
        });
        Ok(fitted.vocabulary)
    };
    let vocabularies = if section.share_input_fields_encoders {
        Vocabularies::shared(fit("shared", &Vocabularies::SHARED, target_limits)?)
    } else {
        let source = fit("source", &[Field::Source], source_limits)?;
        let target = fit("target", &[Field::Target], target_limits)?;
        Vocabularies { source: Arc::new(source), target: Arc::new(target) }
    };
    Ok((vocabularies, summaries))
}

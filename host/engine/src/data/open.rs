//! Opening the corpora of a config: everything that is wrong with the files, with the place in the config that names them.

use kiwi_core::config::{Corpora, DataSection, Document, RunConfig, ValidationSet};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{Corpus, Field, ParallelCorpus, ParallelFiles};

use super::Wanted;

/// Opened and checked corpora.
pub(crate) struct Opened {
    pub(crate) train: ParallelCorpus,
    /// Validation sets by their names; at least one.
    pub(crate) valid: Vec<(Option<String>, ParallelCorpus)>,
    /// Test sets by their names.
    pub(crate) test: Vec<(Option<String>, ParallelCorpus)>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// How the training corpus was split, if it was.
    pub(crate) split: Option<String>,
}

/// The corpora of a config by the paths of the sections that name them.
pub(super) fn sections(config: &DataSection) -> Vec<(String, &Corpora)> {
    let mut sections = vec![("data.train.input".to_owned(), &config.train)];
    sections.extend(
        config.valid.iter().chain(&config.test).map(|set| (format!("{}.input", set.path), &set.files)),
    );
    sections
}

/// The files that are wanted and not there, without reading any.
pub(crate) fn missing_files(config: &RunConfig, document: &Document, wanted: &Wanted) -> Vec<Diagnostic> {
    let mut missing = Vec::new();
    for (path, corpora) in sections(&config.data) {
        let ParallelFiles { source, target, post_edit } = files(corpora, wanted);
        let fields = [
            (Field::Source, source),
            (Field::Target, target),
            (Field::PostEdit, post_edit.unwrap_or_default()),
        ];
        for (field, files) in fields {
            for file in files.iter().filter(|file| std::fs::metadata(file).is_err()) {
                if let Err(error) = Corpus::open(field, std::slice::from_ref(file)) {
                    missing.push(complaint(&error, &format!("{path}.{}", field.name()), document));
                }
            }
        }
    }
    missing
}

/// Opens and checks the corpora of a config, splits the training corpus where the config says so, and leaves out its
/// pairs that are too long.
///
/// # Errors
/// All that is wrong: files that are missing, not UTF-8 or empty, sides with different line counts, a split or limits
/// that leave nothing.
pub(crate) fn open(config: &RunConfig, document: &Document, wanted: &Wanted) -> Result<Opened, Failure> {
    let mut errors = missing_files(config, document, wanted);
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    let mut opened = Vec::new();
    for (path, corpora) in sections(&config.data) {
        match ParallelCorpus::open(&files(corpora, wanted)) {
            Ok(corpus) => opened.push(corpus),
            Err(error) => errors.push(complaint(&error, &place_of(&error, &path, corpora, wanted), document)),
        }
    }
    let mut opened = opened.into_iter();
    let Some(train) = opened.next().filter(|_| errors.is_empty()) else {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    };
    let names = |sets: &[ValidationSet]| sets.iter().map(|set| set.name.clone()).collect::<Vec<_>>();
    let mut valid: Vec<_> = names(&config.data.valid).into_iter().zip(opened.by_ref()).collect();
    let test = names(&config.data.test).into_iter().zip(opened).collect();

    let refuse = |error: kiwi_text::Error, path: &str| {
        Failure::new(ExitCode::Invalid, complaint(&error, path, document))
    };
    let (mut train, mut split) = (train, None);
    if let Some(share) = config.data.split {
        let (kept, held_out) =
            train.split(share, config.run.seed).map_err(|error| refuse(error, "data.split"))?;
        split = Some(format!(
            "split {share} of {} pairs, seed {}: {} for training, {} for validation; vocabularies are fitted on the \
             training part only",
            train.pairs(),
            config.run.seed,
            kept.pairs(),
            held_out.pairs()
        ));
        train = kept;
        valid.push((None, held_out));
    }
    let mut warnings = Vec::new();
    let limits = config.data.max_length;
    if limits.source.is_some() || limits.target.is_some() {
        let (kept, dropped) = train
            .within_lengths(limits.source, limits.target)
            .map_err(|error| refuse(error, "data.max_length"))?;
        if let Some(message) = dropped.message() {
            let message = format!("training corpus: {message}");
            warnings
                .push(document.place(Diagnostic::warning(Code::PairsLeftOut, message).at("data.max_length")));
        }
        train = kept;
    }
    Ok(Opened { train, valid, test, warnings, split })
}

/// The path of the key that names the file at fault, else that of the section.
fn place_of(error: &kiwi_text::Error, section: &str, corpora: &Corpora, wanted: &Wanted) -> String {
    let ParallelFiles { source, target, post_edit } = files(corpora, wanted);
    let fields =
        [(Field::Source, source), (Field::Target, target), (Field::PostEdit, post_edit.unwrap_or_default())];
    let at_fault = |(_, files): &(Field, Vec<std::path::PathBuf>)| {
        error.file().is_some_and(|file| files.iter().any(|listed| listed == file))
    };
    match fields.iter().find(|field| at_fault(field)) {
        Some((field, _)) => format!("{section}.{}", field.name()),
        None => section.to_owned(),
    }
}

fn files(corpora: &Corpora, wanted: &Wanted) -> ParallelFiles {
    ParallelFiles {
        source: corpora.source.clone(),
        target: corpora.target.clone(),
        post_edit: corpora.post_edit.clone().filter(|_| wanted.post_edits),
    }
}

fn complaint(error: &kiwi_text::Error, path: &str, document: &Document) -> Diagnostic {
    document.place(Diagnostic::error(error.code(), error.to_string()).at(path))
}

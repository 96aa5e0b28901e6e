//! The section `system`: what to train. Whether its classes exist and what they take is found with the plugins at hand.

use super::{names, optimizer, sides};
use crate::config::document::Value;
use crate::config::reader::{Entry, Section};
use crate::config::sections::{
    BatchSize, ComponentSection, DataProcessingSection, ModelSection, SystemSection, VocabularySection,
};
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

/// `by_tokens`: whether tokens limit the batches, so that a number of pairs need not.
pub(super) fn system(mut section: Section<'_>, by_tokens: bool) -> Option<SystemSection> {
    let class_name = section.entry("class_name").filter(|entry| !entry.is_null());
    let load = section.entry("load").filter(|entry| !entry.is_null());
    let (model, data_processing) = match (&class_name, &load) {
        (_, Some(_)) => {
            let why = "the system of system.load brings its own";
            section.ignore("model", why);
            section.ignore("data_processing", why);
            section.ignore("load_vocabs", why);
            (None, None)
        }
        (Some(_), None) => new_system(&mut section, true),
        (None, None) => {
            section.complain(
                Diagnostic::error(Code::MissingKey, "system.class_name or system.load is required")
                    .at(section.path_of("class_name"))
                    .found("neither")
                    .expected("class_name for a new system, or load for a saved one")
                    .help("add \"class_name\": \"Predictor\", or the path of a saved system as \"load\""),
            );
            // What to do about a missing model depends on which of the two will be added.
            new_system(&mut section, false)
        }
    };
    let class_name = class_name.and_then(|entry| entry.string());
    let load_vocabs = if load.is_some() { None } else { section.optional("load_vocabs", Entry::file) };
    let load = load.and_then(|entry| entry.file());
    let optimizers = section.required("optimizer", optimizer::OPTIMIZER, optimizer::optimizers);
    let metrics = section.or("metrics", Vec::new(), metrics);
    let one = (!by_tokens).then_some(1);
    let default = BatchSize { train: one, valid: one };
    let batch_size = section.or("batch_size", default, |entry| batch_size(entry, by_tokens));
    let num_data_workers = section.or("num_data_workers", 4, |entry| entry.size(0));
    section.finish();
    Some(SystemSection {
        class_name,
        load,
        load_vocabs,
        model,
        data_processing,
        optimizers: optimizers?,
        metrics,
        batch_size,
        num_data_workers,
    })
}

fn metric_class(entry: &Entry<'_>) -> Option<String> {
    match entry.value() {
        Value::Object(_) => {
            entry.refuse("the class name of a metric, such as \"NLL\"; metrics take no options")
        }
        _ => entry.string(),
    }
}

pub(super) fn metrics(entry: &Entry<'_>) -> Option<Vec<String>> {
    entry.list("a list of class names", metric_class).and_then(|list| names(entry, list))
}

fn new_system(
    section: &mut Section<'_>,
    required: bool,
) -> (Option<ModelSection>, Option<DataProcessingSection>) {
    let entry = section.entry("model").filter(|entry| !entry.is_null());
    if required && entry.is_none() {
        section.complain(
            Diagnostic::error(Code::MissingKey, "system.model is required")
                .at(section.path_of("model"))
                .found("no such key")
                .expected("an object with the sections encoder and tlm_outputs")
                .help("add \"model\"; or name a saved system as system.load, which brings its own"),
        );
    }
    let model = entry.and_then(|entry| entry.section()).and_then(model);
    let processing = section.entry("data_processing").filter(|entry| !entry.is_null());
    let processing = match processing {
        Some(entry) => entry.section().map(data_processing),
        None => Some(DataProcessingSection::default()),
    };
    (model, processing)
}

fn model(mut section: Section<'_>) -> Option<ModelSection> {
    let encoder = component(&mut section, "encoder");
    let tlm_outputs = component(&mut section, "tlm_outputs");
    section.finish();
    Some(ModelSection { encoder: encoder?, tlm_outputs: tlm_outputs? })
}

/// A component's section; an empty one where it is left out.
fn component(section: &mut Section<'_>, key: &'static str) -> Option<ComponentSection> {
    let path = section.path_of(key);
    let Some(entry) = section.entry(key) else {
        return Some(ComponentSection { class_name: None, options: serde_json::Map::new(), path });
    };
    let class_name = entry.section()?.optional("class_name", Entry::string);
    Some(ComponentSection { class_name, options: entry.options(Some("class_name"))?, path })
}

fn data_processing(mut section: Section<'_>) -> DataProcessingSection {
    let share_input_fields_encoders = section.or("share_input_fields_encoders", false, Entry::boolean);
    let mut vocab = section.section("vocab");
    let default = VocabularySection::default();
    let min_frequency = vocab.or("min_frequency", default.min_frequency, |entry| sides(entry, 1, frequency));
    let max_size = vocab.or("max_size", default.max_size, |entry| sides(entry, None, maximum));
    let path = vocab.path_of("max_size");
    if share_input_fields_encoders
        && (min_frequency.source, max_size.source) != (min_frequency.target, max_size.target)
    {
        vocab.complain(
            Diagnostic::warning(
                Code::NoEffect,
                "the source side's numbers are ignored: a shared vocabulary takes the target side's",
            )
            .at(path)
            .found("different numbers for the two sides")
            .expected("one number for both sides")
            .help("give one number for both sides"),
        );
    }
    vocab.finish();
    section.finish();
    DataProcessingSection {
        share_input_fields_encoders,
        vocab: VocabularySection { min_frequency, max_size },
    }
}

fn frequency(entry: &Entry<'_>) -> Option<u64> {
    match entry.value() {
        Value::Number(_) => entry.count(1),
        _ => entry.refuse("an integer of at least 1, or {source, target} with one for each"),
    }
}

fn maximum(entry: &Entry<'_>) -> Option<Option<u64>> {
    match entry.value() {
        Value::Null => Some(None),
        Value::Number(_) => entry.count(1).map(Some),
        _ => entry.refuse("an integer of at least 1, null, or {source, target} with one for each"),
    }
}

/// Pairs in a batch; where tokens limit the batches of training too, null leaves it to them.
fn batch_size(entry: &Entry<'_>, by_tokens: bool) -> Option<BatchSize> {
    let size = |entry: &Entry<'_>| match entry.value() {
        Value::Null if by_tokens => Some(None),
        _ => entry.size(1).map(Some),
    };
    match entry.value() {
        Value::Null if by_tokens => Some(BatchSize { train: None, valid: None }),
        Value::Number(_) => entry.size(1).map(|size| BatchSize { train: Some(size), valid: Some(size) }),
        Value::Object(_) => {
            let mut section = entry.section()?;
            let train = section.required("train", "an integer of at least 1", size);
            let valid = section.entry("valid").map(|entry| size(&entry));
            section.finish();
            let train = train?;
            Some(BatchSize { train, valid: valid.unwrap_or(Some(train))? })
        }
        _ => entry.refuse("an integer of at least 1, or {train, valid} with one for each"),
    }
}

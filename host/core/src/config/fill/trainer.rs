//! The section `trainer`: how to train.

use super::names;
use crate::config::document::{Node, Value};
use crate::config::reader::{Entry, NOT_NEGATIVE, Section, later_json};
use crate::config::sections::{
    BatchOrder, CheckpointSection, Gpus, OnTrouble, Precision, TrainerSection, ValidationInterval,
};
use crate::device;
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

const PRECISIONS: &str = "32, \"bf16\", or on a GPU 16";
const GPUS: &str = "0 (the CPU), N (the first N GPUs), -1 (all GPUs) or a list such as [0, 2] (the GPUs of these numbers, counted from 0)";
const METRICS: &str = "the name of a metric, or a list of one or more names";
const INTERVAL: &str = "an integer of at least 1 (batches), or a number above 0 and at most 1 that is written with a \
                        fraction, such as 0.5 or 1.0 (share of the epoch)";

pub(super) fn trainer(mut section: Section<'_>) -> TrainerSection {
    let precision = section.or("precision", Precision::F32, precision);
    section.optional("amp_level", |entry| amp_level(entry, precision));
    // None where it is refused: what else it would mean is not known then.
    let gpus = section.or("gpus", Some(Gpus::Cpu), |entry| Some(gpus(entry)));
    if precision == Precision::F16 && gpus.as_ref() == Some(&Gpus::Cpu) {
        let on_cpu = device::half_precision_on_the_cpu().help("use \"bf16\", or set trainer.gpus to 1");
        section.complain(on_cpu.at(section.path_of("precision")));
    }
    let trainer = TrainerSection {
        resume: section.or("resume", false, Entry::boolean),
        epochs: section.or("epochs", 50, |entry| entry.count(1)),
        max_steps: section.optional("max_steps", |entry| entry.count(1)),
        gradient_accumulation_steps: section.or("gradient_accumulation_steps", 1, |entry| entry.count(1)),
        gradient_max_norm: section.or("gradient_max_norm", 0.0, |entry| entry.number(NOT_NEGATIVE)),
        main_metric: section.optional("main_metric", main_metric).unwrap_or_default(),
        log_interval: section.or("log_interval", 100, |entry| entry.count(1)),
        log_save_interval: section.or("log_save_interval", 100, |entry| entry.count(1)),
        gpus: gpus.unwrap_or(Gpus::Cpu),
        precision,
        batch_order: section.or("batch_order", BatchOrder::Corpus, batch_order),
        max_tokens_per_batch: section.optional("max_tokens_per_batch", |entry| entry.size(1)),
        truncated_bptt_steps: section.optional("truncated_bptt_steps", |entry| entry.count(1)),
        on_nonfinite: section.or("on_nonfinite", OnTrouble::Stop, on_trouble),
        on_oom: section.or("on_oom", OnTrouble::Stop, on_trouble),
        checkpoint: checkpoint(section.section("checkpoint")),
    };
    if let Some(steps) = trainer.truncated_bptt_steps {
        truncated_bptt(steps, &trainer, &section);
    }
    section.finish();
    trainer
}

pub(super) fn precision(entry: &Entry<'_>) -> Option<Precision> {
    match later_json(entry.node()).as_str() {
        "32" => Some(Precision::F32),
        "16" => Some(Precision::F16),
        "\"bf16\"" => Some(Precision::BF16),
        _ => entry.refuse(PRECISIONS),
    }
}

fn gpus(entry: &Entry<'_>) -> Option<Gpus> {
    let number = |node: &Node| match &node.value {
        Value::Number(text) => text.parse::<usize>().ok(),
        _ => None,
    };
    let gpus = match entry.value() {
        Value::Number(text) if text == "-1" => Some(Gpus::All),
        Value::Number(_) => number(entry.node()).map(|count| match count {
            0 => Gpus::Cpu,
            1 => Gpus::One,
            several => Gpus::First(several),
        }),
        Value::Array(nodes) => {
            let numbers: Option<Vec<usize>> = nodes.iter().map(number).collect();
            numbers.filter(|numbers| !numbers.is_empty()).map(Gpus::Listed)
        }
        _ => None,
    };
    match gpus {
        Some(Gpus::Listed(numbers)) => different(entry, numbers).map(Gpus::Listed),
        Some(gpus) => Some(gpus),
        None => entry.refuse(GPUS),
    }
}

/// Numbers of GPUs, none of them twice.
fn different(entry: &Entry<'_>, numbers: Vec<usize>) -> Option<Vec<usize>> {
    // Sorted, since a list may be as long as somebody writes it.
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let Some(number) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) else {
        return Some(numbers);
    };
    entry.complain(
        Diagnostic::error(Code::NamedTwice, format!("GPU {number} is asked for twice"))
            .found(format!("{number} more than once"))
            .expected("each number once, since each GPU is for a process of its own")
            .help("remove one of the two"),
    );
    None
}

/// Apex's name of what `precision` already says, carried by older configs: O0 is 32 bits, O1 is autocast.
fn amp_level(entry: &Entry<'_>, precision: Precision) -> Option<()> {
    let (level, meaning) = match precision {
        Precision::F32 => ("O0", "precision 32"),
        Precision::BF16 => ("O1", "precision \"bf16\""),
        Precision::F16 => ("O1", "precision 16"),
    };
    match entry.value() {
        Value::String(text) if text == level => Some(()),
        Value::String(text) if text == "O0" || text == "O1" => {
            entry.complain(
                Diagnostic::error(Code::Precision, format!("amp_level {text} does not go with {meaning}"))
                    .found(format!("\"{text}\""))
                    .expected(format!("\"{level}\" with {meaning}"))
                    .help("remove amp_level: precision says it all"),
            );
            None
        }
        Value::String(text) if text == "O2" || text == "O3" => {
            entry.complain(
                Diagnostic::error(Code::Precision, format!("amp_level {text} exists in Apex only"))
                    .found(format!("\"{text}\""))
                    .expected(format!("\"{level}\" with {meaning}"))
                    .help("remove amp_level, and write precision \"bf16\" for mixed precision"),
            );
            None
        }
        _ => entry.refuse("\"O0\" or \"O1\""),
    }
}

/// State goes from batch to batch in the order of the corpus, and no gradient through parameters that a step has changed.
fn truncated_bptt(steps: u64, trainer: &TrainerSection, section: &Section<'_>) {
    let path = section.path_of("truncated_bptt_steps");
    if trainer.batch_order != BatchOrder::Corpus {
        section.complain(
            Diagnostic::error(
                Code::CarriedState,
                "state can be carried from batch to batch in the order of the corpus only",
            )
            .at(&path)
            .found("truncated_bptt_steps beside another batch_order")
            .expected("batch_order \"corpus\"")
            .help("remove one of the two keys"),
        );
    }
    let accumulated = trainer.gradient_accumulation_steps;
    if !accumulated.is_multiple_of(steps) {
        section.complain(
            Diagnostic::error(
                Code::CarriedState,
                "gradients cannot reach back over an optimizer step, which changes the parameters",
            )
            .at(&path)
            .found(format!("{steps}, where gradient_accumulation_steps is {accumulated}"))
            .expected("1, or a number that divides gradient_accumulation_steps")
            .help("set gradient_accumulation_steps to a multiple of truncated_bptt_steps"),
        );
    }
}

fn on_trouble(entry: &Entry<'_>) -> Option<OnTrouble> {
    entry.choice(&[("stop", OnTrouble::Stop), ("skip", OnTrouble::Skip)])
}

fn batch_order(entry: &Entry<'_>) -> Option<BatchOrder> {
    entry.choice(&[
        ("corpus", BatchOrder::Corpus),
        ("random", BatchOrder::Random),
        ("bucketed", BatchOrder::Bucketed),
    ])
}

fn main_metric(entry: &Entry<'_>) -> Option<Vec<String>> {
    entry.one_or_more(METRICS, Entry::string).and_then(|list| names(entry, list))
}

fn checkpoint(mut section: Section<'_>) -> CheckpointSection {
    let checkpoint = CheckpointSection {
        validation_interval: section.or(
            "validation_steps",
            ValidationInterval::ShareOfEpoch(1.0),
            validation_interval,
        ),
        save_top_k: section.or("save_top_k", 1, |entry| entry.integer(-1)),
        early_stop_patience: section.or("early_stop_patience", 0, |entry| entry.count(0)),
        resume_interval: section.optional("resume_interval", |entry| entry.count(1)),
    };
    section.finish();
    checkpoint
}

fn validation_interval(entry: &Entry<'_>) -> Option<ValidationInterval> {
    let interval = match entry.value() {
        Value::Number(text) if text.contains(['.', 'e', 'E']) => text
            .parse()
            .ok()
            .filter(|share| *share > 0.0 && *share <= 1.0)
            .map(ValidationInterval::ShareOfEpoch),
        Value::Number(text) => {
            text.parse().ok().filter(|batches| *batches >= 1).map(ValidationInterval::Batches)
        }
        _ => None,
    };
    interval.or_else(|| entry.refuse(INTERVAL))
}

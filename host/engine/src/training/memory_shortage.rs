//! Batches that do not fit into memory: recognised by what libtorch says, told by what can be done about them.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{Batch, EncodedCorpus, Field};

use super::state::Position;

/// What libtorch's allocators say.
const SIGNS: [&str; 4] = ["out of memory", "can't allocate memory", "not enough memory", "bad_alloc"];

/// Too little memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    /// What was asked for, as the allocator says it.
    asked: Option<String>,
    /// What was free.
    free: Option<String>,
}

/// Whether something failed for want of memory.
pub(super) fn recognise(failure: &Failure) -> Option<Shortage> {
    let texts = failure.diagnostics.iter().flat_map(|one| std::iter::once(&one.message).chain(&one.notes));
    texts.into_iter().find_map(|text| shortage(text))
}

fn shortage(text: &str) -> Option<Shortage> {
    SIGNS.iter().any(|sign| text.contains(sign)).then(|| {
        let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
        let quantity = |text: &str| {
            let mut words = text.split_whitespace();
            let number = words.next()?.trim_end_matches(['.', ',']);
            number.parse::<f64>().ok()?;
            let unit = words.next().map_or("", |unit| unit.trim_end_matches(['.', ',']));
            Some(format!("{number} {unit}"))
        };
        let asked =
            after("Tried to allocate ").or_else(|| after("you tried to allocate ")).and_then(quantity);
        // "GPU 0 has a total capacity of 139.81 GiB of which 1.20 GiB is free."
        let free = after("of which ").filter(|rest| rest.contains("is free")).and_then(quantity);
        Shortage { asked, free }
    })
}

/// The complaint about a batch that does not fit.
pub(super) fn complaint(
    shortage: &Shortage,
    position: Position,
    batch: &Batch,
    corpus: &EncodedCorpus,
) -> Failure {
    let words = |pair: usize| [Field::Source, Field::Target].map(|field| corpus.sentence(pair, field).len());
    let longest = batch.pairs.iter().copied().max_by_key(|pair| words(*pair).into_iter().max());
    let longest = longest.map_or_else(String::new, |pair| {
        let [source, target] = words(pair);
        let place = |field| corpus.location(pair, field).map_or_else(String::new, |place| place.to_string());
        format!(
            "its longest pair is {} with {source} words and {} with {target} words",
            place(Field::Source),
            place(Field::Target)
        )
    });
    let mut error = Diagnostic::error(
        Code::OutOfMemory,
        format!(
            "a batch does not fit into memory: {} pairs, in epoch {}, after {} optimizer steps",
            batch.pairs.len(),
            position.epoch,
            position.step
        ),
    )
    .note(longest);
    let parts = [("asked for", &shortage.asked), ("free", &shortage.free)];
    let told: Vec<_> =
        parts.iter().filter_map(|(what, it)| it.as_ref().map(|it| format!("{what} {it}"))).collect();
    if !told.is_empty() {
        error = error.found(told.join(", "));
    }
    let help = "lower system.batch_size, or set data.max_length or trainer.max_tokens_per_batch; trainer.on_oom \"skip\" leaves such \
                batches out";
    Failure::new(ExitCode::RunFailed, error.help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_allocators_say_is_understood() {
        let of = |text: &str| {
            let failure = Failure::new(
                ExitCode::RunFailed,
                Diagnostic::error(Code::TorchFailed, "it failed").note(text),
            );
            recognise(&failure)
                .map(|Shortage { asked, free }| (asked.unwrap_or_default(), free.unwrap_or_default()))
        };
        let told = |asked: &str, free: &str| Some((asked.to_owned(), free.to_owned()));
        assert_eq!(
            of(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.81 GiB of which 1.20 GiB is free."
            ),
            told("2.00 GiB", "1.20 GiB")
        );
        assert_eq!(
            of(
                "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate \
                147456000000 bytes. Error code 12 (Cannot allocate memory)"
            ),
            told("147456000000 bytes", "")
        );
        assert_eq!(of("std::bad_alloc"), told("", ""));
        assert_eq!(of("sizes do not match"), None);
    }
}

//! Sentences that are longer than an encoder can take, refused before anything is computed.

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_text::{EncodedCorpus, Field};

use crate::system::Limit;

/// Positions of `<bos>` and `<eos>`.
const ENDS: usize = 2;

/// A complaint for each field of `corpus` with sentences over its limit: the first of them, how many there are, and the longest.
pub(crate) fn too_long(corpus: &EncodedCorpus, limits: &[Limit]) -> Vec<Diagnostic> {
    limits
        .iter()
        .filter(|limit| corpus.has(limit.field))
        .filter_map(|limit| complaint(corpus, limit))
        .collect()
}

fn complaint(corpus: &EncodedCorpus, limit: &Limit) -> Option<Diagnostic> {
    let most = usize::try_from(limit.positions).unwrap_or(0);
    let words = |pair: usize| corpus.sentence(pair, limit.field).len();
    let over: Vec<usize> = (0..corpus.pairs()).filter(|pair| words(*pair) + ENDS > most).collect();
    let first = *over.first()?;
    let longest = over.iter().copied().max_by_key(|pair| (words(*pair), std::cmp::Reverse(*pair)))?;
    let place = |pair| corpus.location(pair, limit.field).map_or_else(String::new, |place| place.to_string());
    let reason = &limit.reason;
    let stated = match reason.option.rsplit('.').next() {
        None | Some("") => format!("the {most} that `{}` can take", reason.class),
        Some(option) => format!("{option}={most}"),
    };
    let (words_of_first, needed) = (words(first), words(longest) + ENDS);
    let mut complaint = Diagnostic::error(
        Code::TooLong,
        format!(
            "{} has {words_of_first} words, {} positions with <bos> and <eos>, more than {stated}",
            place(first),
            words_of_first + ENDS
        ),
    )
    .found(format!("{} positions", words_of_first + ENDS))
    .expected(format!("at most {most}"));
    if over.len() > 1 {
        complaint = complaint.note(format!(
            "{} of {} {} sentences are too long, the longest with {needed} positions at {}",
            over.len(),
            corpus.pairs(),
            name(limit.field),
            place(longest)
        ));
    }
    let shorten = format!(
        "leave out pairs with more than {} {} words (data.max_length does so in training)",
        most.saturating_sub(ENDS),
        name(limit.field)
    );
    Some(match reason.changeable() {
        Some(option) => complaint.at(option).help(format!("set {option} to {needed}, or {shorten}")),
        None => complaint.help(shorten),
    })
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Source => "source",
        Field::Target => "target",
        Field::PostEdit => "post-edit",
    }
}

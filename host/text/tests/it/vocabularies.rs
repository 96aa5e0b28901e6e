//! Fitting and looking up against counting by hand: words of all lengths, many of them alike at both ends, in many chunks.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use kiwi_text::{EncodedCorpus, Field, Limits, SPECIALS, UNK, Vocabularies, Vocabulary};
use proptest::prelude::*;

use crate::common::{Folder, cases};

/// Types by descending count, then by code point, and how often each special token was met.
fn naive(text: &str) -> (Vec<(&str, u64)>, BTreeMap<&str, u64>) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    kiwi_text::words(text).for_each(|word| *counts.entry(word).or_default() += 1);
    let (specials, types): (Vec<_>, Vec<_>) =
        counts.into_iter().partition(|(word, _)| SPECIALS.contains(word));
    let mut types = types;
    types.sort_by_key(|(word, count)| (Reverse(*count), *word));
    (types, specials.into_iter().collect())
}

fn check(lines: &[String], limits: Limits) {
    let folder = Folder::new();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let corpus = folder.pair(&text, &text).unwrap();
    let fitted = Vocabulary::fit(&corpus, &[Field::Source], limits).unwrap();
    let (types, specials) = naive(&text);
    let kept: Vec<(&str, u64)> = types
        .iter()
        .copied()
        .filter(|(_, count)| *count >= limits.min_frequency)
        .take(limits.max_size.unwrap_or(usize::MAX))
        .collect();
    assert_eq!(&fitted.vocabulary.words()[..5], SPECIALS);
    assert!(fitted.vocabulary.words()[5..].iter().map(String::as_str).eq(kept.iter().map(|(word, _)| *word)));
    let sum = |types: &[(&str, u64)]| types.iter().map(|(_, count)| count).sum::<u64>();
    let statistics = fitted.statistics;
    assert_eq!((statistics.types, statistics.kept_types), (types.len(), kept.len()));
    assert_eq!(statistics.running_words, sum(&types) + specials.values().sum::<u64>());
    let unknown = sum(&types) - sum(&kept) + specials.get("<unk>").unwrap_or(&0);
    assert_eq!(statistics.unknown_words, unknown);

    let ids: BTreeMap<&str, u32> =
        SPECIALS.into_iter().chain(kept.into_iter().map(|(word, _)| word)).zip(0..).collect();
    let vocabulary = Arc::new(fitted.vocabulary);
    let vocabularies = Vocabularies { source: Arc::clone(&vocabulary), target: vocabulary };
    let encoded = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    assert_eq!(encoded.unknown_words(Field::Target), unknown);
    for (pair, line) in lines.iter().enumerate() {
        let expected: Vec<u32> =
            kiwi_text::words(line).map(|word| ids.get(word).copied().unwrap_or(UNK)).collect();
        assert_eq!(encoded.sentence(pair, Field::Source), expected);
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,4}",
        "[ab]{7,9}",
        "a{6,9}[ab]{0,4}b{6,9}",
        "[äß中😀]{1,7}",
        prop::sample::select(SPECIALS.to_vec()).prop_map(str::to_owned),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..4_u64, prop::option::of(0..12_usize))
        .prop_map(|(min_frequency, max_size)| Limits { min_frequency, max_size })
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn fits_count_as_by_hand(
        lines in prop::collection::vec(prop::collection::vec(word(), 0..40), 1..12),
        limits in limits(),
    ) {
        check(&lines.iter().map(|words| words.join(" ")).collect::<Vec<_>>(), limits);
    }
}

#[test]
fn many_chunks_are_counted_on_all_cores_as_by_hand() {
    let word = |number: usize| format!("{}{number}{}", "lang".repeat(number % 7), "ö".repeat(number % 5));
    let lines: Vec<String> = (0..30_000)
        .map(|line| (0..line % 7).map(|at| word(line * (at + 1) % 20_011)).collect::<Vec<_>>().join(" "))
        .collect();
    check(&lines, Limits { min_frequency: 2, max_size: Some(10_000) });
}

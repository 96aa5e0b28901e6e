//! What the system made of the corpus: figures, how surprises are spread, by length and frequency, and which words surprise.

use maud::{Markup, html};

use super::super::CorpusFiles;
use super::super::reading::{Named, RankedWord, Reading, Side};
use super::{bars, column, nats, share};
use crate::text;

/// A figure and what it is.
fn fact(name: &str, value: &str, about: &Markup) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } div class="faint" { (about) } } } }
}

/// The figures of the whole corpus.
pub(super) fn summary(files: &CorpusFiles, reading: &Reading) -> Markup {
    let path = |path: &std::path::Path| text::short(&path.display().to_string(), 300);
    html! {
        section aria-labelledby="corpus" {
            h2 id="corpus" { "On this corpus" }
            p {
                "Source " code { (path(&files.source)) } ", target " code { (path(&files.target)) }
                @if let Some(post_edit) = &files.post_edit { ", post-edits " code { (path(post_edit)) } }
                "."
            }
            dl class="facts" {
                (fact("Pairs", &text::count(reading.pairs), &html! {
                    @if reading.without_words > 0 { (text::count(reading.without_words)) " of them without a word to predict" }
                }))
                (side("Target", &reading.target))
                @if let Some(post_edit) = &reading.post_edit { (side("Post-edits", post_edit)) }
                (fact("Source words", &text::count(reading.source.words), &unknown(&reading.source)))
                @let (seen, all) = reading.entries.seen();
                (fact("Target entries seen", &text::count(seen as u64), &html! { (share(seen as u64, all as u64)) " of the " (text::count(all as u64)) " that the vocabulary has" }))
            }
            @if let Some(evaluated) = &reading.evaluated {
                h3 id="metrics" { "What " code { "kiwi-host evaluate" } " prints" }
                div class="wide" tabindex="0" role="region" aria-labelledby="metrics" { table {
                    thead { tr { th scope="col" { "Figure" } th scope="col" class="n" { "Value" } } }
                    tbody {
                        tr { th scope="row" { "loss" div class="faint" { "mean over the batches" } } td class="n" { (text::number(evaluated.loss.0)) } }
                        @for (name, value) in &evaluated.metrics { tr {
                            th scope="row" { (text::short(name, 120)) }
                            td class="n" { @match value { Some(value) => (text::number(value.0)), None => span class="faint" { "nothing to say" } } }
                        } }
                    }
                } }
            }
        }
    }
}

fn side(name: &str, side: &Side) -> Markup {
    html! {
        @match side.mean() {
            Some(mean) => {
                (fact(&format!("{name} perplexity"), &text::number(mean.exp()), &html! { "exponential of the mean surprise" }))
                (fact(&format!("{name} mean surprise"), &format!("{} nats", nats(mean)), &html! { "a word; " (format!("{:.3}", mean / std::f64::consts::LN_2)) " bits" }))
            }
            None => (fact(&format!("{name} perplexity"), "none", &html! { "no word was predicted" }))
        }
        (fact(&format!("{name} words"), &text::count(side.words), &unknown(side)))
    }
}

fn unknown(side: &Side) -> Markup {
    html! { (text::count(side.unknown)) " not in the vocabulary (" (share(side.unknown, side.words)) ")" }
}

/// How surprises are spread.
pub(super) fn distributions(reading: &Reading) -> Markup {
    html! {
        section aria-labelledby="distribution" {
            h2 id="distribution" { "Where the surprise is" }
            div class="charts" {
                (bars::histogram("Mean surprise of sentences", "sentences", &reading.sentences))
                (bars::histogram("Surprise of words", "words", &reading.words))
            }
            (groups("by-length", "By length of the target", "Words", true, &reading.groups.by_length()))
            (groups("by-frequency", "By frequency of the word", "Place in the vocabulary", false, &reading.groups.by_rank()))
            p class="faint" {
                "Vocabularies are in order of frequency in the text that they were fitted on: rank 1 is the most frequent word."
            }
        }
    }
}

fn groups(id: &str, title: &str, label: &str, sentences: bool, groups: &[Named]) -> Markup {
    let words = groups.iter().map(|named| named.group.words).sum::<u64>();
    let largest =
        groups.iter().map(|named| named.group.mean()).filter(|mean| mean.is_finite()).fold(0.0, f64::max);
    html! {
        h3 id=(id) { (title) }
        @if groups.is_empty() { p class="faint" { "No word was predicted." } }
        @else { div class="wide" tabindex="0" role="region" aria-labelledby=(id) { table class="groups" {
            thead { tr {
                th scope="col" { (label) }
                @if sentences { th scope="col" class="n" { "Sentences" } }
                th scope="col" class="n" { "Words" } th scope="col" class="n" { "Share" }
                th scope="col" class="n" { "Surprise, nats" } th scope="col" class="n" { "Perplexity" } td class="bars" aria-hidden="true" {}
            } }
            tbody { @for Named { name, group } in groups { tr {
                th scope="row" { (name) }
                @if sentences { td class="n" { (text::count(group.sentences)) } }
                td class="n" { (text::count(group.words)) }
                td class="n" { (share(group.words, words)) }
                (bars::surprise(group.mean()))
                (bars::cell(group.mean(), largest))
            } } }
        } } }
    }
}

/// Which words surprise.
pub(super) fn words(reading: &Reading) -> Markup {
    let (most, often) = reading.entries.most_surprising();
    html! {
        section aria-labelledby="words" {
            h2 id="words" { "Words" }
            @if most.is_empty() { p class="faint" { "No word was predicted." } }
            @else { div class="beside" {
                div {
                    h3 id="most-surprising" { "Most surprising" }
                    p class="faint" { @if often > 1 { "The largest means of words that occur at least " (often) " times." } @else { "The largest means." } }
                    (table("most-surprising", &most, reading, true))
                }
                div {
                    h3 id="most-costly" { "Most costly" }
                    p class="faint" { "The largest sums: where most of the corpus' surprise comes from." }
                    (table("most-costly", &reading.entries.most_costly(), reading, false))
                }
            } }
        }
    }
}

fn table(id: &str, words: &[RankedWord], reading: &Reading, by_mean: bool) -> Markup {
    html! {
        div class="wide tall" tabindex="0" role="region" aria-labelledby=(id) { table class="sortable" {
            thead { tr {
                (column("Word", false, false)) (column("Rank", true, false)) (column("Times", true, false))
                (column("Mean, nats", true, by_mean)) (column("Share of all", true, !by_mean))
            } }
            tbody { @for word in words { tr {
                th scope="row" { bdi { (text::short(&word.word, 100)) } @if word.rank.is_none() { " " span class="faint" { "all unknown words" } } }
                @match word.rank {
                    Some(rank) => td class="n" data-v=(rank) { (text::count(rank)) },
                    None => td class="n" data-v="Infinity" { "–" },
                }
                td class="n" data-v=(word.count) { (text::count(word.count)) }
                td class="n" data-v=(super::by(word.mean())) { (nats(word.mean())) }
                @let part = word.nll / reading.target.nll;
                td class="n" data-v=(super::by(part)) { @if part.is_finite() { (format!("{:.2} %", part * 100.0)) } @else { (text::number(part)) } }
            } } }
        } }
    }
}

//! What the vocabularies hold: sizes, special tokens, the most frequent entries, and a search over the others.

use maud::{Markup, PreEscaped, html};

use super::super::SystemReport;
use super::super::vocabulary::{Vocabulary, vocabularies};
use super::share;
use crate::text;

/// So many of the most frequent entries stand on the page without a search.
const FIRST: usize = 50;

pub(super) fn section(report: &SystemReport) -> Markup {
    let all = vocabularies(report.header());
    let common = match &all[..] {
        [source, target] => {
            let source: std::collections::HashSet<_> = source.entries().iter().collect();
            let both = target.entries().iter().filter(|word| source.contains(word)).count();
            Some((both as u64, target.entries().len() as u64))
        }
        _ => None,
    };
    html! {
        section aria-labelledby="vocabularies" {
            h2 id="vocabularies" { @if all.len() == 1 { "Vocabulary" } @else { "Vocabularies" } }
            @for vocabulary in &all { (one(vocabulary)) }
            @if let Some((both, target)) = common {
                p { (text::count(both)) " entries of the target (" (share(both, target)) ") are in the source's vocabulary too, such as numbers and names." }
            }
        }
    }
}

fn one(vocabulary: &Vocabulary<'_>) -> Markup {
    let Vocabulary { name, words, specials } = *vocabulary;
    let entries = vocabulary.entries();
    let (id, searchable) = (key(vocabulary), vocabulary.searchable().len());
    html! {
        h3 id=(format!("vocabulary-{id}")) { (name) }
        p {
            (text::count(words.len() as u64)) " entries: " (text::count(entries.len() as u64)) " words"
            @if specials > 0 { " and the special tokens " @for word in &words[..specials] { code { (word) } " " } }
            @else { ", no special tokens" }
        }
        @if entries.is_empty() { p class="faint" { "No words." } }
        @else {
            div class="scripted search" data-vocabulary=(id) {
                label { "Search " @if id == "both" { "the vocabulary" } @else { "the " (id) "’s vocabulary" } " " input type="search" autocomplete="off" spellcheck="false" aria-describedby=(format!("about-{id}")); }
                span id=(format!("about-{id}")) class="faint" {
                    @if searchable < entries.len() { " in the " (text::count(searchable as u64)) " most frequent" }
                    @else { " in all of them" }
                }
                p role="status" class="found" {}
                ol class="entries found-entries" {}
            }
            details open {
                summary { "The " (text::count(entries.len().min(FIRST) as u64)) " most frequent" }
                ol class="entries" { @for word in entries.iter().take(FIRST) { li { bdi { (text::short(word, 100)) } } } }
            }
        }
    }
}

fn key(vocabulary: &Vocabulary<'_>) -> &'static str {
    match vocabulary.name {
        "Source" => "source",
        "Target" => "target",
        _ => "both",
    }
}

/// The entries for the search.
pub(super) fn data(report: &SystemReport) -> Markup {
    let all = vocabularies(report.header());
    let lists = all.iter().map(|vocabulary| {
        let words: Vec<_> = vocabulary.searchable().map(serde_json::Value::from).collect();
        (key(vocabulary).to_owned(), serde_json::Value::from(words))
    });
    let lists = serde_json::Value::Object(lists.collect());
    // No text may end the element or begin a comment in it.
    let json = lists.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    html! { script type="application/json" id="vocabulary" { (PreEscaped(json)) } }
}

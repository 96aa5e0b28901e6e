//! Pairs of the corpus, the most surprising first, each target word on a colour that stands for its surprise.

use maud::{Markup, html};

use super::super::reading::{Chosen, Kind, Reading, Sentence, Shown, Word};
use super::{by, column, nats, probability};
use crate::text;

/// The first surprise in nats of each colour but the first.
pub(super) const BOUNDS: [f64; 7] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0];

fn colour(nats: f64) -> usize {
    // What is no number is as bad as can be.
    if nats.is_nan() { BOUNDS.len() } else { BOUNDS.partition_point(|first| *first <= nats) }
}

/// The section with its table.
pub(super) fn section(reading: &Reading) -> Markup {
    let shown = reading.shown();
    html! {
        section aria-labelledby="sentences" {
            h2 id="sentences" { "Sentences" }
            p {
                "The surprise of a word is its negative log-likelihood in nats: 0 where the system was certain of it, 0.7 where it gave it one "
                "chance in two, 2.3 for one in ten, 4.6 for one in a hundred. The surprise of a sentence is the mean over its words."
            }
            (legend())
            p class="faint" { (which(reading, shown.len())) }
            @if !shown.is_empty() {
                div class="controls scripted" role="group" aria-label="Which sentences are shown" { div class="switches" {
                    label { "containing " input type="search" id="filter" autocomplete="off" spellcheck="false"; }
                    @if !reading.shows_all() { label { "chosen as " select id="chosen" autocomplete="off" {
                        option value="" { "any" } option value="most" { "most surprising" } option value="least" { "least surprising" } option value="sample" { "sample" }
                    } } }
                    span id="matches" role="status" {}
                } }
                p class="faint scripted" { "Point at a word for its figure, or go to one by Tab and on by the arrow keys: left and right to the next word, up and down to the next sentence." }
                table class="sentences sortable" aria-labelledby="sentences" {
                    thead { tr {
                        (column("Pair", true, false)) (column("Surprise, nats", true, true)) (column("Perplexity", true, false)) (column("Words", true, false))
                        th scope="col" { "Source and target" }
                    } }
                    tbody { @for (pair, chosen) in &shown { (row(pair, *chosen, reading.shows_all())) } }
                }
            }
        }
    }
}

fn which(reading: &Reading, shown: usize) -> Markup {
    let with_words = reading.pairs - reading.without_words;
    html! {
        @if shown == 0 { "No pair has a word to predict." }
        @else if reading.shows_all() { "All " (text::count(with_words)) " pairs that have a word to predict." }
        @else {
            (text::count(shown as u64)) " of " (text::count(with_words)) " pairs: the " (text::count(reading.shown_of_each as u64)) " most and the "
            (text::count(reading.shown_of_each as u64)) " least surprising, and as many drawn at random, the same each time."
        }
    }
}

fn legend() -> Markup {
    let first = |place: usize| if place == 0 { 0.0 } else { BOUNDS[place - 1] };
    html! {
        ul class="key ramp" aria-label="Colours of words" {
            @for place in 0..=BOUNDS.len() { li {
                span class=(format!("n{place}")) aria-hidden="true" { "word" } " "
                @match BOUNDS.get(place) {
                    Some(end) => { (text::number(first(place))) "–" (text::number(*end)) " nats" },
                    None => { (text::number(first(place))) " nats and more" },
                }
                @if place > 0 { " (at most " (probability(first(place))) ")" }
            } }
            li { span class="u" aria-hidden="true" { "word" } " not in the vocabulary: the system sees " code { "<unk>" } }
        }
    }
}

fn row(pair: &Shown, chosen: Chosen, all: bool) -> Markup {
    let names = [(chosen.most, "most"), (chosen.least, "least"), (chosen.sample, "sample")];
    let names: Vec<_> = names.into_iter().filter_map(|(chosen, name)| chosen.then_some(name)).collect();
    let mean = pair.mean();
    html! {
        tr data-chosen=[(!all).then(|| names.join(" "))] {
            th scope="row" class="n" data-v=(pair.number) data-label="pair" {
                (text::count(pair.number))
                @if !all { div class="faint" { (names.join(", ")) } }
            }
            td class="n" data-v=(by(mean)) data-label="nats" { (nats(mean)) }
            td class="n" data-v=(by(mean.exp())) data-label="perplexity" { (text::number(mean.exp())) }
            td class="n" data-v=(pair.words) data-label="words" { (text::count(pair.words)) }
            td class="pair" {
                p class="source" dir="auto" { (words(&pair.source)) }
                p class="target" dir="auto" { (words(&pair.target)) }
                @if let Some(post_edit) = &pair.post_edit { p class="target" dir="auto" { span class="faint" { "post-edit: " } (words(post_edit)) } }
            }
        }
    }
}

fn words(sentence: &Sentence) -> Markup {
    html! {
        @if sentence.words.is_empty() { span class="faint" { "no word" } }
        @for (place, word) in sentence.words.iter().enumerate() {
            @if place > 0 { " " }
            (one(word))
        }
        @if sentence.more > 0 { " " span class="faint" dir="ltr" { "… and " (text::count(sentence.more as u64)) " more words" } }
    }
}

fn one(word: &Word) -> Markup {
    let unknown = match word.kind {
        Kind::Unknown => Some("u"),
        Kind::Known | Kind::Special => None,
    };
    let mut classes: Vec<String> = word.nll.map(|nll| format!("n{}", colour(nll))).into_iter().collect();
    classes.extend(unknown.map(str::to_owned));
    let mut about = match word.nll {
        Some(nll) if nll.is_finite() => format!("{nll:.3} nats, {}", probability(nll)),
        Some(nll) => format!("{} nats", text::number(nll)),
        None => String::new(),
    };
    let remark = match word.kind {
        Kind::Unknown => "not in the vocabulary",
        Kind::Special if word.nll.is_none() => "spelled like a special token: not counted",
        Kind::Known | Kind::Special => "",
    };
    if !remark.is_empty() {
        about += if about.is_empty() { "" } else { "; " };
        about += remark;
    }
    html! {
        @if classes.is_empty() && about.is_empty() { (word.text) }
        @else { span class=[(!classes.is_empty()).then(|| classes.join(" "))] title=[(!about.is_empty()).then_some(about)] { (word.text) } }
    }
}

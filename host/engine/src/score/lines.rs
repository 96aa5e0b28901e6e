//! The line that is written of a pair, in each form.

use kiwi_core::data_format;
use kiwi_core::scoring::ScoreLines;
use kiwi_text::{Field, Window};
use kiwi_tracking::number::Number;
use serde_json::{Value, json};

use super::figures::{Figures, Sentence};
use crate::report::number;

/// What stands before the first line, for people.
pub(super) fn heading(lines: ScoreLines) -> Option<String> {
    (lines == ScoreLines::People)
        .then(|| format!("{:>8}  {:>5}  {:>10}  {:>10}  text", "pair", "words", "nll", "perplexity"))
}

/// The line of a pair of a window; `None` of one that was not scored, being too long.
pub(super) fn line(lines: ScoreLines, window: &Window, pair: usize, figures: Option<&Figures>) -> String {
    let number_of_pair = window.first() + pair as u64 + 1;
    match lines {
        ScoreLines::Words => words(window, pair, number_of_pair, figures),
        ScoreLines::Pairs => pairs(number_of_pair, figures),
        ScoreLines::Table => table(number_of_pair, figures),
        ScoreLines::People => people(window, pair, number_of_pair, figures),
    }
}

fn words(window: &Window, pair: usize, number: u64, figures: Option<&Figures>) -> String {
    let Some(figures) = figures else {
        let empty: [Value; 0] = [];
        let mut line = json!({"words": empty, "word_nll": empty, "nll": null, "perplexity": null});
        line["pair"] = number.into();
        line["unscored"] = TOO_LONG.into();
        return data_format::line(line);
    };
    let words = |field| kiwi_text::words(window.text(pair, field)).map(str::to_owned).collect();
    data_format::line(with_words(number, words, figures))
}

/// A pair that was scored, with its words: its number from 1, and of its target, and of its post-edit where the system predicts it, the
/// words with their figures.
pub(crate) fn with_words(pair: u64, words: impl Fn(Field) -> Vec<String>, figures: &Figures) -> Value {
    let sentence = |sentence: &Sentence, field| {
        let word_nll: Vec<_> =
            sentence.word_nll.iter().map(|nll| nll.map(|nll| Number(f64::from(nll)))).collect();
        let totals = sentence.totals();
        let perplexity = totals.perplexity().map(Number);
        json!({"words": words(field), "word_nll": word_nll, "nll": Number(totals.nll), "perplexity": perplexity})
    };
    let mut line = sentence(&figures.target, Field::Target);
    line["pair"] = pair.into();
    if let Some(post_edit) = &figures.post_edit {
        line[Field::PostEdit.name()] = sentence(post_edit, Field::PostEdit);
    }
    line
}

/// Why a pair has no figures.
const TOO_LONG: &str = "too_long";

fn pairs(number: u64, figures: Option<&Figures>) -> String {
    let Some(figures) = figures else {
        return data_format::line(
            json!({"pair": number, "nll": null, "tokens": null, "perplexity": null, "unscored": TOO_LONG}),
        );
    };
    let sentence = |sentence: &Sentence| {
        let totals = sentence.totals();
        let perplexity = totals.perplexity().map(Number);
        json!({"nll": Number(totals.nll), "tokens": totals.tokens, "perplexity": perplexity})
    };
    let mut line = sentence(&figures.target);
    line["pair"] = number.into();
    if let Some(post_edit) = &figures.post_edit {
        line[Field::PostEdit.name()] = sentence(post_edit);
    }
    data_format::line(line)
}

/// Number of the pair, perplexity, negative log-likelihood, words that count; `none` where there is none.
fn table(number: u64, figures: Option<&Figures>) -> String {
    let Some(figures) = figures else { return format!("{number}\tnone\tnone\tnone") };
    let totals = figures.target.totals();
    let perplexity = totals.perplexity().map_or_else(|| "none".to_owned(), |value| value.to_string());
    format!("{number}\t{perplexity}\t{}\t{}", totals.nll, totals.tokens)
}

fn people(window: &Window, pair: usize, number_of_pair: u64, figures: Option<&Figures>) -> String {
    let none = || "none".to_owned();
    let words: Vec<&str> = kiwi_text::words(window.text(pair, Field::Target)).collect();
    let totals = figures.map(|figures| figures.target.totals());
    let nll = totals.map_or_else(none, |totals| number(totals.nll));
    let perplexity = totals.and_then(|totals| totals.perplexity()).map_or_else(none, number);
    format!("{number_of_pair:>8}  {:>5}  {nll:>10}  {perplexity:>10}  {}", words.len(), words.join(" "))
}

use super::*;
use crate::system_page::fixtures::{header, line, reading};

fn numbers(reading: &Reading, of: fn(&Chosen) -> bool) -> Vec<u64> {
    let mut numbers: Vec<_> =
        reading.shown().iter().filter(|(_, chosen)| of(chosen)).map(|(shown, _)| shown.number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn sums_are_over_the_words_that_count() {
    let lines = [
        line(1, "the cat .", "la katuta .", &[Some(0.5), Some(1.0), Some(0.0)]),
        line(2, "the dog", "la <eos> zebruta", &[Some(0.5), None, Some(4.0)]),
        line(3, "", "", &[]),
        line(4, "x", "<eos>", &[None]),
        r#"{"pairs": 4, "loss": 6.0, "metrics": {"target_PERP": 3.3, "odd": null, "none": "NaN"}}"#
            .to_owned(),
    ];
    let reading = reading(&header(), 10, &lines);
    assert_eq!((reading.pairs, reading.without_words), (4, 2));
    assert_eq!((reading.source.words, reading.source.unknown), (6, 2));
    assert_eq!(reading.target, Side { words: 7, unknown: 1, counted: 5, nll: 6.0 });
    assert_eq!(reading.target.mean(), Some(1.2));
    let evaluated = reading.evaluated.as_ref().unwrap();
    assert_eq!((evaluated.pairs, evaluated.loss.0, evaluated.metrics["odd"]), (4, 6.0, None));
    assert!(evaluated.metrics["none"].unwrap().0.is_nan());
    let shown = reading.shown();
    let order: Vec<_> = shown.iter().map(|(shown, _)| (shown.number, shown.mean())).collect();
    assert_eq!(order, [(2, 2.25), (1, 0.5)], "the most surprising first, those without words left out");
    let kinds: Vec<_> = shown[0].0.target.words.iter().map(|word| (word.kind, word.nll)).collect();
    let expected = [(Kind::Known, Some(0.5)), (Kind::Special, None), (Kind::Unknown, Some(4.0))];
    assert_eq!(kinds, expected);
    assert!(reading.shows_all());
    assert_eq!(reading.entries.seen(), (3, 3));
    assert_eq!(reading.entries.most_costly()[0].word, "<unk>");
}

#[test]
fn of_many_pairs_a_few_are_kept_and_all_are_counted() {
    let lines: Vec<_> = (1..=1000)
        .map(|pair| line(pair, "the", "la .", &[Some(pair as f64 / 100.0), Some(pair as f64 / 100.0)]))
        .collect();
    let reading = reading(&header(), 5, &lines);
    assert_eq!(reading.target.counted, 2000);
    assert_eq!(numbers(&reading, |chosen| chosen.most), [996, 997, 998, 999, 1000]);
    assert_eq!(numbers(&reading, |chosen| chosen.least), [1, 2, 3, 4, 5]);
    let sample = numbers(&reading, |chosen| chosen.sample);
    assert_eq!(sample.len(), 5);
    assert!(reading.shown().len() <= 15 && !reading.shows_all());
    let bars = reading.sentences.bars();
    assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 1000);
    // The sample is that of the corpus, whatever the surprises.
    let other: Vec<_> = (1..=1000).map(|pair| line(pair, "the", "la", &[Some(1.0)])).collect();
    assert_eq!(
        numbers(&super::super::fixtures::reading(&header(), 5, &other), |chosen| chosen.sample),
        sample
    );
}

#[test]
fn what_is_no_number_is_looked_at_first() {
    let nll = [1.0, f64::NAN, f64::INFINITY, 2.0, -f64::NAN];
    let lines: Vec<_> = (1..).zip(nll).map(|(pair, nll)| line(pair, "the", "la", &[Some(nll)])).collect();
    let reading = reading(&header(), 2, &lines);
    assert_eq!(numbers(&reading, |chosen| chosen.most), [2, 5]);
    assert_eq!(numbers(&reading, |chosen| chosen.least), [1, 4]);
    assert_eq!((reading.sentences.not_finite(), reading.words.not_finite()), (3, 3));
    assert!(reading.target.mean().unwrap().is_nan());
    assert_eq!(reading.shown()[0].0.number, 2);
}

#[test]
fn long_sentences_and_words_are_cut_where_they_are_shown_only() {
    let words = vec!["w".repeat(1000); 900].join(" ");
    let reading = reading(&header(), 1, &[line(1, &words, &words, &vec![Some(1.0); 900])]);
    assert_eq!(reading.target.counted, 900);
    let shown = &reading.shown()[0].0;
    assert_eq!((shown.words, shown.target.words.len(), shown.target.more), (900, 400, 500));
    assert_eq!(shown.source.words[0].text.chars().count(), 201);
}

#[test]
fn a_line_of_another_kind_is_an_error() {
    for text in
        ["", "{}", "[1]", r#"{"pair": 1}"#, r#"{"pair": -1, "source": [], "words": [], "word_nll": []}"#]
    {
        assert!(Reading::new(&header(), 1).take(text).is_err(), "{text}");
    }
}

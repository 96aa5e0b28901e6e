//! What is on the page as one JSON object, for those who go on from it. Surprises are means in nats unless they are named `nll`,
//! which are sums.

use kiwi_tracking::number::Number;
use serde_json::{Value, json};

use super::reading::{Group, RankedWord, Reading, Side};
use super::{CorpusFiles, SystemReport};

/// The version of the object.
const FORMAT: u32 = 1;

pub(super) fn json(report: &SystemReport, corpus: Option<(&CorpusFiles, &Reading)>) -> Value {
    let header = report.header();
    json!({
        "format": FORMAT,
        "page": report.target,
        "system": {
            "file": report.saved.path(),
            "bytes": report.bytes,
            "class_name": header.class_name,
            "parameters": report.parameters(),
            "tensors": report.tensors,
        },
        "corpus": corpus.map(|(files, reading)| of_corpus(files, reading)),
    })
}

fn of_corpus(files: &CorpusFiles, reading: &Reading) -> Value {
    let groups = |named: Vec<super::reading::Named>| -> Vec<Value> {
        let of = |Group { sentences, words, nll }: Group, name: &str| {
            let (surprise, perplexity) = (Number(nll / words as f64), Number((nll / words as f64).exp()));
            json!({"name": name, "sentences": sentences, "words": words, "surprise": surprise, "perplexity": perplexity})
        };
        named.iter().map(|named| of(named.group, &named.name)).collect()
    };
    let (most, often) = reading.entries.most_surprising();
    let sentences: Vec<_> = reading
        .shown()
        .iter()
        .map(|(shown, chosen)| {
            json!({
                "pair": shown.number,
                "words": shown.words,
                "surprise": Number(shown.mean()),
                "nll": Number(shown.nll),
                "most": chosen.most,
                "least": chosen.least,
                "sample": chosen.sample,
            })
        })
        .collect();
    json!({
        "source_file": files.source,
        "target_file": files.target,
        "pe_file": files.post_edit,
        "pairs": reading.pairs,
        "pairs_without_words": reading.without_words,
        "source": {"words": reading.source.words, "unknown": reading.source.unknown},
        "target": side(&reading.target),
        "pe": reading.post_edit.as_ref().map(side),
        "loss": reading.evaluated.as_ref().map(|evaluated| evaluated.loss),
        "metrics": reading.evaluated.as_ref().map(|evaluated| &evaluated.metrics),
        "sentence_histogram": histogram(&reading.sentences),
        "word_histogram": histogram(&reading.words),
        "by_length": groups(reading.groups.by_length()),
        "by_frequency": groups(reading.groups.by_rank()),
        "most_surprising_words": {"at_least": often, "words": words(&most)},
        "most_costly_words": words(&reading.entries.most_costly()),
        "sentences": sentences,
    })
}

fn side(side: &Side) -> Value {
    json!({
        "words": side.words,
        "unknown": side.unknown,
        "counted": side.counted,
        "nll": Number(side.nll),
        "surprise": side.mean().map(Number),
        "perplexity": side.mean().map(|mean| Number(mean.exp())),
    })
}

fn histogram(histogram: &super::reading::Histogram) -> Value {
    json!({"bars": histogram.bars(), "not_finite": histogram.not_finite()})
}

fn words(words: &[RankedWord]) -> Vec<Value> {
    let of = |word: &RankedWord| json!({"word": word.word, "rank": word.rank, "count": word.count, "surprise": Number(word.mean()), "nll": Number(word.nll)});
    words.iter().map(of).collect()
}

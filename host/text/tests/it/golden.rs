//! Vocabularies, batches and files compared with the recorded cases in `tests/golden/text.*`.

use std::{fs, path::PathBuf, sync::Arc};

use crate::common::Folder;
use kiwi_text::{
    Batch, BatchPlan, Corpus, EncodedCorpus, Field, FieldBatch, Limits, ParallelCorpus, Vocabularies,
    Vocabulary,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    fs::read(folder.join(name)).unwrap()
}

fn case() -> Value {
    serde_json::from_slice(&golden("text.json")).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect()
}

fn lines(value: &Value) -> String {
    strings(value).iter().map(|line| format!("{line}\n")).collect()
}

fn corpus(folder: &Folder, case: &Value) -> ParallelCorpus {
    folder.pair(lines(&case["sentences"]["source"]), lines(&case["sentences"]["target"])).unwrap()
}

/// An option of `data_processing.vocab`: a number for both sides, or one each.
fn option(options: &Value, name: &str, field: Field) -> Option<u64> {
    let value = &options["vocab"][name];
    value.as_u64().or_else(|| value[field.name()].as_u64())
}

fn limits(options: &Value, field: Field) -> Limits {
    Limits {
        min_frequency: option(options, "min_frequency", field).unwrap_or(1),
        max_size: option(options, "max_size", field).map(|size| size as usize),
    }
}

fn fit(corpus: &ParallelCorpus, options: &Value) -> Vocabularies {
    if options["share_input_fields_encoders"] == true {
        return Vocabularies::fit_shared(corpus, limits(options, Field::Target)).unwrap().0;
    }
    let fit = |field| Arc::new(Vocabulary::fit(corpus, &[field], limits(options, field)).unwrap().vocabulary);
    Vocabularies { source: fit(Field::Source), target: fit(Field::Target) }
}

#[test]
fn vocabularies_of_all_option_sets() {
    let (folder, case) = (Folder::new(), case());
    let corpus = corpus(&folder, &case);
    let sets = case["vocabularies"].as_object().unwrap();
    assert_eq!(sets.len(), 8);
    for (name, set) in sets {
        let vocabularies = fit(&corpus, &set["data_processing"]);
        assert_eq!(vocabularies.source.words(), strings(&set["source"]), "{name}, source");
        assert_eq!(vocabularies.target.words(), strings(&set["target"]), "{name}, target");
        assert_eq!(vocabularies.is_shared(), name.starts_with("shared"), "{name}");
    }
}

#[test]
fn words_spelled_like_specials_are_not_added() {
    let (folder, case) = (Folder::new(), case());
    let case = &case["specials_as_words"];
    let corpus = folder.pair(lines(&case["source_lines"]), lines(&case["target_lines"])).unwrap();
    let vocabularies = fit(&corpus, &Value::Null);
    assert_eq!(vocabularies.source.words(), strings(&case["source"]));
    assert_eq!(vocabularies.target.words(), strings(&case["target"]));
}

/// Numbers of a tensor, whatever its type.
fn numbers(tensors: &SafeTensors<'_>, name: &str) -> (Vec<usize>, Vec<i64>) {
    let tensor = tensors.tensor(name).unwrap();
    let bytes = tensor.data();
    let numbers = match tensor.dtype() {
        Dtype::I64 => bytes.chunks_exact(8).map(|n| i64::from_le_bytes(n.try_into().unwrap())).collect(),
        Dtype::I32 => {
            bytes.chunks_exact(4).map(|n| i32::from_le_bytes(n.try_into().unwrap()).into()).collect()
        }
        Dtype::BOOL => bytes.iter().map(|n| (*n).into()).collect(),
        other => panic!("{name}: {other:?}"),
    };
    (tensor.shape().to_vec(), numbers)
}

fn assert_field(tensors: &SafeTensors<'_>, prefix: &str, batch: &FieldBatch) {
    let matrix = vec![batch.rows(), batch.width];
    let vector = vec![batch.rows()];
    let expect = |name: &str, shape: &[usize], ours: Vec<i64>| {
        assert_eq!(numbers(tensors, &format!("{prefix}.{name}")), (shape.to_vec(), ours), "{prefix}.{name}");
    };
    expect("ids", &matrix, batch.ids.clone());
    expect("lengths", &vector, batch.lengths.clone());
    expect("strict_mask", &matrix, batch.strict_mask.iter().map(|b| (*b).into()).collect());
    expect("bounds", &matrix, batch.bounds.clone());
    expect("bounds_lengths", &vector, batch.bounds_lengths.clone());
    expect("number_of_tokens", &vector, batch.number_of_tokens.iter().map(|n| (*n).into()).collect());
    let counted: Vec<i64> =
        (0..).zip(&batch.ids).filter(|(_, id)| !(1..=3).contains(*id)).map(|(i, _)| i).collect();
    assert_eq!(batch.counted, counted, "{prefix}.counted");
}

#[test]
fn batches_in_corpus_order() {
    let (folder, case, bytes) = (Folder::new(), case(), golden("text.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let corpus = corpus(&folder, &case);
    let vocabularies = fit(&corpus, &case["vocabularies"]["min_frequency_2"]["data_processing"]);
    let encoded = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    let plan = BatchPlan::corpus_order(encoded.pairs(), 5.try_into().unwrap());
    assert_eq!(plan.len(), 8);
    for (number, pairs) in plan.batches().enumerate() {
        let batch = Batch::new(&encoded, pairs);
        assert_field(&tensors, &format!("input.{number}.source"), &batch.source);
        assert_field(&tensors, &format!("input.{number}.target"), &batch.target);
    }
}

#[test]
fn odd_lines() {
    let (folder, case, bytes) = (Folder::new(), case(), golden("text.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let vocabularies =
        fit(&corpus(&folder, &case), &case["vocabularies"]["min_frequency_2"]["data_processing"]);
    let odd = case["odd"].as_array().unwrap();
    let side =
        |name: &str| odd.iter().map(|pair| format!("{}\n", pair[name].as_str().unwrap())).collect::<String>();
    let corpus = folder.pair(side("source"), side("target")).unwrap();
    for (pair, expected) in odd.iter().enumerate() {
        for field in corpus.fields() {
            let mut reader = corpus.side(field).unwrap().reader();
            let tokens: Vec<_> = kiwi_text::words(reader.line(pair).unwrap()).collect();
            assert_eq!(tokens, strings(&expected[format!("{field}_tokens")]));
        }
    }
    let encoded = EncodedCorpus::encode(&corpus, &vocabularies).unwrap();
    let batch = Batch::new(&encoded, &[0, 1, 2, 3, 4]);
    assert_field(&tensors, "odd.source", &batch.source);
    assert_field(&tensors, "odd.target", &batch.target);
    // Four words on either side are spelled like specials that the loss leaves out or keeps.
    let row = 3;
    let words = batch.source.number_of_tokens[row] as usize;
    let in_row = |at: &&i64| (**at as usize) / batch.source.width == row;
    assert_eq!(batch.source.counted.iter().filter(in_row).count(), words - 3);
}

#[test]
fn files_under_our_rules() {
    let (folder, case) = (Folder::new(), case());
    let files = case["file"].as_array().unwrap();
    assert_eq!(files.len(), 17);
    for file in files {
        let text = file["text"].as_str().unwrap();
        let path = folder.write("text", text);
        let corpus = Corpus::open(Field::Source, std::slice::from_ref(&path)).unwrap();
        let mut reader = corpus.reader();
        let tokens: Vec<Vec<String>> = (0..corpus.lines())
            .map(|line| kiwi_text::words(reader.line(line).unwrap()).map(str::to_owned).collect())
            .collect();
        assert_eq!(serde_json::json!(tokens), file["ours"]["tokens"], "{text:?}");
        let carriage_returns = if corpus.lines() == 0 {
            0
        } else {
            let corpus =
                crate::common::open(std::slice::from_ref(&path), std::slice::from_ref(&path)).unwrap();
            let encoded = EncodedCorpus::encode(&corpus, &fit(&corpus, &Value::Null)).unwrap();
            let notes = &encoded.notes().lone_carriage_returns;
            notes.iter().find(|(field, ..)| *field == Field::Target).map_or(0, |(_, count, _)| *count)
        };
        assert_eq!(carriage_returns, file["ours"]["lone_carriage_returns"], "{text:?}");
    }
}

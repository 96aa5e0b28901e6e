//! The words of a vocabulary in the order of their ids.

use std::collections::HashMap;

use super::Error;
use crate::pickle::{Graph, Object, Value};

/// The words with which every vocabulary begins.
pub(super) const SPECIALS: [&str; 5] = ["<unk>", "<pad>", "<bos>", "<eos>", "<unaligned>"];

/// The words of the vocabulary of a side.
///
/// # Errors
/// There is none, it begins with other special tokens, or has a word twice.
pub(super) fn words(graph: &Graph, vocabularies: &Value, side: &'static str) -> Result<Vec<String>, Error> {
    let path = format!("vocab.{side}");
    let vocabulary = graph.get(vocabularies, side).ok_or_else(|| Error::Missing { path: path.clone() })?;
    let wrong = |path: String, value: &Value, expected| Error::Type {
        path,
        found: graph.kind(value).to_owned(),
        expected,
    };
    let Some(Object::Vocabulary { attributes }) = graph.object(vocabulary) else {
        return Err(wrong(path, vocabulary, "a vocabulary"));
    };
    let itos_path = format!("{path}.itos");
    let itos =
        attributes.map(Value::Object).as_ref().and_then(|attributes| graph.get(attributes, "itos")).cloned();
    let itos = itos.ok_or_else(|| Error::Missing { path: itos_path.clone() })?;
    let items = graph.items(&itos).ok_or_else(|| wrong(itos_path.clone(), &itos, "a list of words"))?;
    let mut words = Vec::with_capacity(items.len());
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(items.len());
    for (id, item) in items.iter().enumerate() {
        let Value::Text(word) = item else { return Err(wrong(format!("{itos_path}[{id}]"), item, "a word")) };
        if let Some(first) = ids.insert(word, id) {
            return Err(Error::Repeated { side, word: word.to_string(), first, second: id });
        }
        words.push(word.to_string());
    }
    if words.len() < SPECIALS.len() || words.iter().zip(SPECIALS).any(|(word, special)| word != special) {
        words.truncate(SPECIALS.len());
        return Err(Error::Specials { side, found: words });
    }
    Ok(words)
}

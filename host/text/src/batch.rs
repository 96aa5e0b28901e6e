//! Batches in plain arrays: the sentences of some pairs, begun, ended, padded, with lengths and masks. Which pairs make a
//! batch is `plan`'s, making them ahead of time `stream`'s, turning them into tensors the engine's.

use crate::{BOS, EOS, EncodedCorpus, Field, PAD};

/// One field of a batch of B sentences, T = the longest + 2. Matrices are row by row, a sentence a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldBatch {
    /// T.
    pub width: usize,
    /// `[B, T]`: `<bos>`, the words, `<eos>`, padded with `<pad>`.
    pub ids: Vec<i64>,
    /// `[B]`: words and `<bos>` and `<eos>`.
    pub lengths: Vec<i64>,
    /// `[B, T]`: true on the words.
    pub strict_mask: Vec<bool>,
    /// `[B, T]`: the position of the first piece of each word, `<bos>` and `<eos>` taken as words; padded with -1.
    pub bounds: Vec<i64>,
    /// `[B]`: how many of these there are.
    pub bounds_lengths: Vec<i64>,
    /// `[B]`: the words alone.
    pub number_of_tokens: Vec<i32>,
    /// `[N]`: the positions that count in loss and metrics, row × T + column, ascending: those whose id is neither `<pad>`,
    /// `<bos>` nor `<eos>`, even where a word of the text is spelled so.
    pub counted: Vec<i64>,
}

impl FieldBatch {
    /// B.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    fn new(corpus: &EncodedCorpus, pairs: &[u32], field: Field) -> Self {
        let longest =
            pairs.iter().map(|pair| corpus.sentence(*pair as usize, field).len()).max().unwrap_or(0);
        let width = longest + 2;
        let size = pairs.len() * width;
        let mut batch = Self {
            width,
            ids: Vec::with_capacity(size),
            lengths: Vec::with_capacity(pairs.len()),
            strict_mask: Vec::with_capacity(size),
            bounds: Vec::with_capacity(size),
            bounds_lengths: Vec::with_capacity(pairs.len()),
            number_of_tokens: Vec::with_capacity(pairs.len()),
            counted: Vec::new(),
        };
        for pair in pairs {
            batch.push(corpus.sentence(*pair as usize, field));
        }
        let special = |id: i64| [PAD, BOS, EOS].into_iter().any(|special| id == i64::from(special));
        batch.counted =
            (0..).zip(&batch.ids).filter(|(_, id)| !special(**id)).map(|(position, _)| position).collect();
        batch
    }

    fn push(&mut self, sentence: &[u32]) {
        let end = self.ids.len() + self.width;
        let words = sentence.len();
        self.ids.push(i64::from(BOS));
        self.ids.extend(sentence.iter().map(|id| i64::from(*id)));
        self.ids.push(i64::from(EOS));
        self.ids.resize(end, i64::from(PAD));
        self.strict_mask.push(false);
        self.strict_mask.resize(self.strict_mask.len() + words, true);
        self.strict_mask.resize(end, false);
        self.bounds.extend((0..).take(words + 2));
        self.bounds.resize(end, -1);
        self.lengths.push(words as i64 + 2);
        self.bounds_lengths.push(words as i64 + 2);
        // A line has less than 2^31 bytes.
        self.number_of_tokens.push(words as i32);
    }
}

/// A batch of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The pairs, as numbered in the corpus, a row each.
    pub pairs: Vec<usize>,
    /// Their sources.
    pub source: FieldBatch,
    /// Their targets.
    pub target: FieldBatch,
    /// Their post-edits, where the corpus has them.
    pub post_edit: Option<FieldBatch>,
}

impl Batch {
    /// The batch of some pairs of a corpus.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn new(corpus: &EncodedCorpus, pairs: &[u32]) -> Self {
        Self {
            pairs: pairs.iter().map(|pair| *pair as usize).collect(),
            source: FieldBatch::new(corpus, pairs, Field::Source),
            target: FieldBatch::new(corpus, pairs, Field::Target),
            post_edit: corpus.has(Field::PostEdit).then(|| FieldBatch::new(corpus, pairs, Field::PostEdit)),
        }
    }

    /// One field; `None` when there is none such.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&FieldBatch> {
        match field {
            Field::Source => Some(&self.source),
            Field::Target => Some(&self.target),
            Field::PostEdit => self.post_edit.as_ref(),
        }
    }

    /// The pair with the most words on both sides together (the first of equals), and its source and target words; `None`
    /// for a batch without pairs.
    #[must_use]
    pub fn longest_pair(&self) -> Option<(usize, usize, usize)> {
        let words = self.source.number_of_tokens.iter().zip(&self.target.number_of_tokens);
        let rows = self.pairs.iter().zip(words);
        let rows = rows.map(|(pair, (source, target))| (*pair, *source as usize, *target as usize));
        rows.reduce(|longest, row| if row.1 + row.2 > longest.1 + longest.2 { row } else { longest })
    }
}

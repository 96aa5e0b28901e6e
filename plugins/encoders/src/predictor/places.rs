//! Where the words of a batch are when there is no padding.

use kiwi_plugin_api::prelude::*;

/// The places of a field's sentences, `<bos>` and `<eos>` among them: ordered by position, then by sentence, the longest first, as
/// in PyTorch's packed sequences.
pub(crate) struct Places {
    /// Width of the padded field, T.
    width: usize,
    /// Sentences by length, the longest first; of equals the first.
    order: Vec<usize>,
    /// `[T]`: how many sentences reach each position.
    pub(crate) batch_sizes: Tensor,
    /// `[N]`: the flat positions `b * T + t` of the places.
    pub(crate) flat: Tensor,
    /// The place of each flat position.
    place_of: Vec<Option<usize>>,
    lengths: Vec<usize>,
}

impl Places {
    /// Of sentences of these `lengths` `[B]` in a field of this width.
    ///
    /// # Errors
    /// When a length is not from 1 to the width.
    pub(crate) fn new(lengths: &Tensor, width: i64) -> Result<Self> {
        let width = width.unsigned_abs() as usize;
        let lengths: Vec<usize> = Vec::<i64>::try_from(lengths)?
            .into_iter()
            .map(|length| usize::try_from(length).unwrap_or_default())
            .collect();
        if let Some(length) = lengths.iter().find(|length| **length < 1 || **length > width) {
            return Err(Error::new(format!(
                "a sentence has the length {length} in a field of width {width}"
            )));
        }
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
        let longest = order.first().map_or(0, |row| lengths[*row]);
        let mut batch_sizes = Vec::with_capacity(longest);
        let mut flat = Vec::with_capacity(lengths.iter().sum());
        let mut place_of = vec![None; lengths.len() * width];
        for position in 0..longest {
            let reaching = order.iter().take_while(|row| lengths[**row] > position);
            let before = flat.len();
            for row in reaching {
                let at = row * width + position;
                place_of[at] = Some(flat.len());
                flat.push(at as i64);
            }
            batch_sizes.push((flat.len() - before) as i64);
        }
        Ok(Self {
            width,
            order,
            batch_sizes: Tensor::from_slice(&batch_sizes),
            flat: Tensor::from_slice(&flat),
            place_of,
            lengths,
        })
    }

    /// The sentences.
    pub(crate) fn sentences(&self) -> usize {
        self.lengths.len()
    }

    /// A padded tensor `[B, T, D]` with these rows `[N, D]` at the flat positions `at`, zero elsewhere.
    pub(crate) fn spread(&self, rows: &Tensor, at: &Tensor) -> Result<Tensor> {
        let (sentences, width, size) = (self.sentences() as i64, self.width as i64, rows.size()[1]);
        let zeros = Tensor::f_zeros([sentences * width, size], (rows.kind(), rows.device()))?;
        Ok(zeros.f_index_copy(0, at, rows)?.f_view([sentences, width, size])?)
    }

    /// For each sentence of `self`, in its order, the row that it has in the order of `other`.
    pub(crate) fn rows_in(&self, other: &Self) -> Tensor {
        let mut row_in_other = vec![0i64; other.order.len()];
        for (row, sentence) in other.order.iter().enumerate() {
            row_in_other[*sentence] = row as i64;
        }
        let rows: Vec<i64> = self.order.iter().map(|sentence| row_in_other[*sentence]).collect();
        Tensor::from_slice(&rows)
    }

    /// `[N]`: for each place its step, times B, plus its sentence; steps counted from the sentence's first position, or
    /// `backwards` from its last.
    pub(crate) fn steps(&self, backwards: bool) -> Result<Tensor> {
        let sentences = self.lengths.len();
        let step_of = |at: i64| {
            let (sentence, position) = (at as usize / self.width, at as usize % self.width);
            let step = if backwards { self.lengths[sentence] - 1 - position } else { position };
            (step * sentences + sentence) as i64
        };
        let steps: Vec<i64> = Vec::<i64>::try_from(&self.flat)?.into_iter().map(step_of).collect();
        Ok(Tensor::from_slice(&steps))
    }

    /// For words at these flat positions, in ascending order.
    ///
    /// # Errors
    /// When one is not between the first and the last position of a sentence.
    pub(crate) fn words(&self, flat: &[i64]) -> Result<Words> {
        let place = |at: i64| {
            usize::try_from(at)
                .ok()
                .and_then(|at| self.place_of.get(at).copied().flatten())
                .map(|place| place as i64)
        };
        let mut words = Words { places: Vec::new(), before: Vec::new(), after: Vec::new(), starts: vec![0] };
        for at in flat {
            let (Some(here), Some(before), Some(after)) = (place(*at), place(at - 1), place(at + 1)) else {
                return Err(Error::new(format!(
                    "the flat position {at} is not that of a word between two positions"
                )));
            };
            let sentence = *at as usize / self.width;
            while words.starts.len() <= sentence {
                words.starts.push(words.places.len() as i64);
            }
            words.places.push(here);
            words.before.push(before);
            words.after.push(after);
        }
        words.starts.resize(self.lengths.len() + 1, words.places.len() as i64);
        Ok(words)
    }
}

/// Words of a field: their places, and those before and after them.
pub(crate) struct Words {
    pub(crate) places: Vec<i64>,
    pub(crate) before: Vec<i64>,
    pub(crate) after: Vec<i64>,
    /// Where those of each sentence begin, and their number at the end.
    pub(crate) starts: Vec<i64>,
}

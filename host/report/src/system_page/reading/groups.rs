//! Surprise by the length of sentences and by how frequent words are.

/// The first length of each group of sentences but the first.
const LENGTHS: [u64; 8] = [6, 11, 16, 21, 31, 41, 61, 101];

/// Words that have something in common.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Group {
    /// Sentences of the group; 0 where its words come from sentences of all kinds.
    pub(crate) sentences: u64,
    pub(crate) words: u64,
    /// The sum of their surprises in nats.
    pub(crate) nll: f64,
}

impl Group {
    /// Mean surprise in nats; NaN without words.
    pub(crate) fn mean(&self) -> f64 {
        self.nll / self.words as f64
    }
}

/// A group with its name, as it is printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) group: Group,
}

/// The groups of a corpus.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    by_length: [Group; LENGTHS.len() + 1],
    /// Words of the ranks 1 to 10, 11 to 100 and so on.
    by_rank: Vec<Group>,
    unknown: Group,
}

impl Groups {
    /// Counts a word of this rank in the vocabulary, from 1; of one that is not there it is `None`.
    pub(super) fn word(&mut self, rank: Option<u64>, nll: f64) {
        let group = match rank {
            Some(rank) => {
                let place = (rank.max(1) - 1).checked_ilog10().map_or(0, |digits| digits as usize);
                if self.by_rank.len() <= place {
                    self.by_rank.resize(place + 1, Group::default());
                }
                &mut self.by_rank[place]
            }
            None => &mut self.unknown,
        };
        group.words += 1;
        group.nll += nll;
    }

    /// Counts a sentence of so many words.
    pub(super) fn sentence(&mut self, words: u64, nll: f64) {
        let group = &mut self.by_length[LENGTHS.partition_point(|first| *first <= words)];
        group.sentences += 1;
        group.words += words;
        group.nll += nll;
    }

    /// The groups by length that have sentences.
    pub(crate) fn by_length(&self) -> Vec<Named> {
        let first = std::iter::once(1).chain(LENGTHS);
        let last = LENGTHS.map(|next| next - 1).into_iter().map(Some).chain([None]);
        let named = first.zip(last).zip(self.by_length).map(|((first, last), group)| Named {
            name: last.map_or_else(|| format!("{first} and more"), |last| format!("{first}–{last}")),
            group,
        });
        named.filter(|named| named.group.words > 0).collect()
    }

    /// The groups by rank that have words, and unknown words.
    pub(crate) fn by_rank(&self) -> Vec<Named> {
        let named = self.by_rank.iter().enumerate().map(|(place, group)| {
            let (first, last) = (10_u64.pow(place as u32), 10_u64.pow(place as u32 + 1));
            let first = if place == 0 { 1 } else { first + 1 };
            let [first, last] = [first, last].map(crate::text::count);
            Named { name: format!("rank {first}–{last}"), group: *group }
        });
        let unknown = Named { name: "not in the vocabulary".to_owned(), group: self.unknown };
        named.chain([unknown]).filter(|named| named.group.words > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_and_rank_is_in_its_group() {
        let mut groups = Groups::default();
        for (words, rank) in [(1, 1), (5, 10), (6, 11), (20, 100), (21, 101), (100, 1000), (101, 1001)] {
            groups.sentence(words, 2.0 * words as f64);
            groups.word(Some(rank), 1.0);
        }
        groups.word(None, 4.0);
        let told = |named: Vec<Named>| {
            let told = named.iter().map(|Named { name, group }| {
                format!("{name}: {} {} {}", group.sentences, group.words, group.mean())
            });
            told.collect::<Vec<_>>()
        };
        let lengths = ["1–5: 2 6 2", "6–10: 1 6 2", "16–20: 1 20 2", "21–30: 1 21 2", "61–100: 1 100 2"];
        assert_eq!(told(groups.by_length()), [&lengths[..], &["101 and more: 1 101 2"]].concat());
        let ranks = [
            "rank 1–10: 0 2 1",
            "rank 11–100: 0 2 1",
            "rank 101–1,000: 0 2 1",
            "rank 1,001–10,000: 0 1 1",
            "not in the vocabulary: 0 1 4",
        ];
        assert_eq!(told(groups.by_rank()), ranks);
    }
}

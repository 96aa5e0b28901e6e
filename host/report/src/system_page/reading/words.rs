//! Surprise by entries of the vocabulary.

use super::super::vocabulary::specials;

/// So many entries are shown.
pub(crate) const SHOWN: usize = 60;
/// An entry should have occurred so often before its mean is compared with others'.
const OFTEN: u64 = 5;

/// Counts and sums by id.
#[derive(Debug)]
pub(crate) struct Entries {
    words: Vec<String>,
    specials: usize,
    sums: Vec<(u64, f64)>,
}

/// An entry and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RankedWord {
    pub(crate) word: String,
    /// Its place in the vocabulary after the special tokens, from 1; `None` of `<unk>`.
    pub(crate) rank: Option<u64>,
    pub(crate) count: u64,
    /// The sum of its surprises in nats.
    pub(crate) nll: f64,
}

impl RankedWord {
    /// Mean surprise in nats.
    pub(crate) fn mean(&self) -> f64 {
        self.nll / self.count as f64
    }
}

impl Entries {
    pub(super) fn new(words: &[String]) -> Self {
        Self { words: words.to_vec(), specials: specials(words), sums: vec![(0, 0.0); words.len()] }
    }

    pub(super) fn add(&mut self, id: u32, nll: f64) {
        if let Some((count, sum)) = self.sums.get_mut(id as usize) {
            *count += 1;
            *sum += nll;
        }
    }

    /// How many entries occurred that are no special tokens, and how many there are.
    pub(crate) fn seen(&self) -> (usize, usize) {
        let own = self.sums.iter().skip(self.specials);
        (own.clone().filter(|(count, _)| *count > 0).count(), own.len())
    }

    fn seen_entries(&self) -> Vec<RankedWord> {
        let all = self.words.iter().zip(&self.sums).enumerate();
        let seen = all.filter(|(_, (_, (count, _)))| *count > 0);
        seen.map(|(id, (word, (count, nll)))| RankedWord {
            word: word.clone(),
            rank: (id >= self.specials).then(|| (id - self.specials) as u64 + 1),
            count: *count,
            nll: *nll,
        })
        .collect()
    }

    /// The entries with the largest means among those that occurred often enough, and how often that is: less than usual in a corpus
    /// in which few entries occur as often.
    pub(crate) fn most_surprising(&self) -> (Vec<RankedWord>, u64) {
        let mut entries = self.seen_entries();
        let often = (1..=OFTEN)
            .rev()
            .find(|often| entries.iter().filter(|entry| entry.count >= *often).count() >= SHOWN)
            .unwrap_or(1);
        entries.retain(|entry| entry.count >= often);
        entries.sort_by(|a, b| largest(b.mean()).total_cmp(&largest(a.mean())));
        entries.truncate(SHOWN);
        (entries, often)
    }

    /// The entries with the largest sums.
    pub(crate) fn most_costly(&self) -> Vec<RankedWord> {
        let mut entries = self.seen_entries();
        entries.sort_by(|a, b| largest(b.nll).total_cmp(&largest(a.nll)));
        entries.truncate(SHOWN);
        entries
    }
}

/// What is no number comes first, whatever its sign.
fn largest(nats: f64) -> f64 {
    if nats.is_nan() { f64::NAN } else { nats }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_occur_once_do_not_crowd_out_the_others() {
        let mut words: Vec<String> = kiwi_text::SPECIALS.map(str::to_owned).into();
        words.extend((0..200).map(|number| format!("w{number}")));
        let mut entries = Entries::new(&words);
        for id in 5..105 {
            for _ in 0..5 {
                entries.add(id, f64::from(id));
            }
        }
        entries.add(105, 1000.0);
        entries.add(0, 3.0);
        assert_eq!(entries.seen(), (101, 200));
        let (most, often) = entries.most_surprising();
        assert_eq!((most.len(), often), (SHOWN, 5));
        assert_eq!((most[0].word.as_str(), most[0].rank, most[0].mean()), ("w99", Some(100), 104.0));
        let costly = entries.most_costly();
        assert_eq!((costly[0].word.as_str(), costly[0].nll), ("w100", 1000.0));

        // Of a few words each is shown.
        let mut few = Entries::new(&words);
        few.add(7, 1.0);
        few.add(0, 2.0);
        let (most, often) = few.most_surprising();
        let shown: Vec<_> = most.iter().map(|entry| (entry.word.as_str(), entry.rank)).collect();
        assert_eq!((shown, often), (vec![("<unk>", None), ("w2", Some(3))], 1));
    }
}

//! A parallel corpus of a toy grammar in English and in a language that agrees with its nouns in gender: enough structure for a
//! small model to learn in seconds. The same seed gives the same corpus.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// English, the other language, and the noun's gender.
const NOUNS: [(&str, &str, usize); 9] = [
    ("cat", "katuta", 0),
    ("river", "veluta", 0),
    ("lamp", "lumita", 0),
    ("dog", "hundor", 1),
    ("garden", "gardor", 1),
    ("stone", "petror", 1),
    ("child", "infin", 2),
    ("house", "domin", 2),
    ("book", "librin", 2),
];
const ADJECTIVES: [(&str, &str); 5] =
    [("small", "min"), ("old", "vet"), ("red", "rub"), ("quiet", "tac"), ("round", "cir")];
const VERBS: [(&str, &str); 5] =
    [("sees", "vidat"), ("finds", "trovat"), ("likes", "amat"), ("follows", "secat"), ("forgets", "oblat")];
const DETERMINERS: [(&str, [&str; 3]); 2] = [("the", ["la", "lor", "lin"]), ("a", ["una", "unor", "unin"])];
const ENDINGS: [&str; 3] = ["a", "or", "in"];

/// Sentences of two languages, line by line translations of one another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToyCorpus {
    pub source: Vec<String>,
    pub target: Vec<String>,
}

impl ToyCorpus {
    /// So many pairs, drawn with this seed.
    #[must_use]
    pub fn generate(pairs: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut corpus = Self::default();
        for _ in 0..pairs {
            let (subject, subject_translated) = noun_phrase(&mut random);
            let (object, object_translated) = noun_phrase(&mut random);
            let (verb, verb_translated) = draw(&VERBS, &mut random);
            corpus.source.push(format!("{subject} {verb} {object} ."));
            // The verb comes last.
            corpus.target.push(format!("{subject_translated} {object_translated} {verb_translated} ."));
        }
        corpus
    }

    /// Perplexity of `other`'s target words under the frequencies of this corpus' words, each counted once more than it occurs:
    /// what a model reaches that knows nothing of sentences.
    #[must_use]
    pub fn unigram_perplexity(&self, other: &Self) -> f64 {
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for word in words(&self.target).chain(words(&other.target)) {
            counts.entry(word).or_insert(1.0);
        }
        for word in words(&self.target) {
            counts.entry(word).and_modify(|count| *count += 1.0);
        }
        let total: f64 = counts.values().sum();
        let (mut nll, mut tokens) = (0.0, 0.0);
        for word in words(&other.target) {
            nll -= (counts[word] / total).ln();
            tokens += 1.0;
        }
        f64::exp(nll / tokens)
    }
}

/// The text of a file of these lines.
#[must_use]
pub fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn words(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().flat_map(|line| line.split(' '))
}

fn noun_phrase(random: &mut ChaCha8Rng) -> (String, String) {
    let (determiner, determiner_translated) = draw(&DETERMINERS, random);
    let (noun, noun_translated, gender) = draw(&NOUNS, random);
    // Every other phrase has an adjective, which the translation puts behind the noun.
    let adjective = if draw(&[true, false], random) { Some(draw(&ADJECTIVES, random)) } else { None };
    let before = adjective.map(|(word, _)| format!("{word} ")).unwrap_or_default();
    let behind = adjective.map(|(_, stem)| format!(" {stem}{}", ENDINGS[gender])).unwrap_or_default();
    (
        format!("{determiner} {before}{noun}"),
        format!("{} {noun_translated}{behind}", determiner_translated[gender]),
    )
}

fn draw<T: Copy>(from: &[T], random: &mut ChaCha8Rng) -> T {
    *from.choose(random).expect("there is something to draw from")
}

//! What `kiwi-host score` may be told beside the system and the corpus: what is written of each pair and where to, which pairs are
//! kept, which part of the corpus is read.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Words on a side over which a pair is not scored where files are written, unless the command says another number.
pub const MAX_LENGTH: usize = 1000;

/// Options of `score`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// The corpus as one file of lines `source<TAB>target`, or `-`, in place of a file a side.
    pub input: Option<PathBuf>,
    /// What is written of each pair.
    pub lines: ScoreLines,
    /// The file that scores are written to; `None`: standard output, unless pairs are kept.
    pub output: Option<PathBuf>,
    /// Which pairs are kept, and where.
    pub keep: Option<Keep>,
    /// Pairs with more words on a side are not scored.
    pub max_length: Option<usize>,
    /// The part of the corpus that is read.
    pub shard: Option<Shard>,
    /// Batches that are computed at the same time; `None`: as many as there are threads.
    pub workers: Option<usize>,
    /// Go on with what was begun.
    pub resume: bool,
}

impl Scoring {
    /// Whether files are written, which can be gone on with.
    #[must_use]
    pub fn writes_files(&self) -> bool {
        self.output.is_some() || self.keep.is_some()
    }

    /// The files that are written.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let kept = self.keep.iter().flat_map(|keep| [&keep.source, &keep.target, &keep.lines]);
        kept.chain([&self.output]).flatten()
    }
}

/// What is written of each pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreLines {
    /// A JSON object with the pair's words.
    #[default]
    Words,
    /// A JSON object without them.
    Pairs,
    /// Four columns separated by tabs.
    Table,
    /// A line for people.
    People,
}

/// Pairs that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Which.
    pub rule: KeepRule,
    /// Where their source lines go.
    pub source: Option<PathBuf>,
    /// Where their target lines go.
    pub target: Option<PathBuf>,
    /// Where the lines go of a file that has both sides.
    pub lines: Option<PathBuf>,
}

/// Which pairs are kept. One that cannot be scored never is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepRule {
    /// Those of at most this perplexity.
    Threshold(f64),
    /// This share of those that can be scored, those of the lowest perplexity.
    Best(f64),
}

/// One of several parts of a corpus that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 1.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            Some((index, count)) => {
                Err(format!("there is no part {index} of {count}: expected I/N with I from 1 to N"))
            }
            None => Err("expected I/N, as `3/8` for the third of eight parts".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_1() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        assert_eq!("1/1".parse(), Ok(Shard { index: 1, count: 1 }));
        for wrong in ["0/8", "9/8", "0/0", "3", "3/", "/8", "a/b", "-1/2", "1.5/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}

//! The parallel text that is trained on: its two files, and what is in each batch of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One of the two sides of a parallel text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The original.
    Source,
    /// Its translation.
    Target,
}

/// Two files whose lines translate each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    source: PathBuf,
    target: PathBuf,
}

/// What a batch, or any other number of pairs, has in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Pairs of sentences.
    pub(super) pairs: u64,
    /// Words of the source, special tokens not counted.
    pub(super) source_words: u64,
    /// Words of the target, special tokens not counted.
    pub(super) target_words: u64,
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, source_words, target_words } = self;
        write!(f, "{pairs} pairs with {source_words} source words and {target_words} target words")
    }
}

impl Extent {
    /// Of several together.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        parts.into_iter().fold(Self::default(), |sum, part| Self {
            pairs: sum.pairs + part.pairs,
            source_words: sum.source_words + part.source_words,
            target_words: sum.target_words + part.target_words,
        })
    }
}

impl Text {
    /// Of two files that exist, in whatever folder a command is run later.
    pub(super) fn new(source: &Path, target: &Path) -> Result<Self> {
        let full = |file: &Path| {
            file.canonicalize()
                .with_context(|| format!("cannot find {}: name a file of the corpus", file.display()))
        };
        Ok(Self { source: full(source)?, target: full(target)? })
    }

    /// Writes `NAME.source` and `NAME.target` into a folder, line by line.
    pub(super) fn write(folder: &Path, name: &str, source: &[String], target: &[String]) -> Result<Self> {
        let written = |side: &str, lines: &[String]| -> Result<PathBuf> {
            let file = folder.join(format!("{name}.{side}"));
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(&file, text)
                .with_context(|| format!("cannot write {}: make room or rights there", file.display()))?;
            Ok(file)
        };
        Ok(Self { source: written("source", source)?, target: written("target", target)? })
    }

    /// The file of a side.
    pub(super) fn file(&self, side: Side) -> &Path {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Its lines, without their ends.
    fn lines(&self, side: Side) -> Result<Vec<String>> {
        let file = self.file(side);
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read {}: give a file of UTF-8 text", file.display()))?;
        Ok(text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect())
    }

    /// What is in each batch of so many pairs, in the order of the files.
    pub(super) fn batches(&self, pairs: u64) -> Result<Vec<Extent>> {
        let (source, target) = (self.lines(Side::Source)?, self.lines(Side::Target)?);
        if source.len() != target.len() {
            bail!(
                "{} has {} lines and {} has {}: give two files whose lines translate each other",
                self.source.display(),
                source.len(),
                self.target.display(),
                target.len()
            );
        }
        let size = usize::try_from(pairs)?;
        let words = |lines: &[String]| -> u64 {
            lines.iter().map(|line| kiwi_text::words(line).count() as u64).sum()
        };
        let batches = source.chunks(size).zip(target.chunks(size)).map(|(source, target)| Extent {
            pairs: source.len() as u64,
            source_words: words(source),
            target_words: words(target),
        });
        Ok(batches.collect())
    }

    /// Writes its first pairs as a text of their own.
    pub(super) fn beginning(&self, pairs: usize, folder: &Path, name: &str) -> Result<Self> {
        let first = |side| -> Result<Vec<String>> {
            let mut lines = self.lines(side)?;
            lines.truncate(pairs);
            Ok(lines)
        };
        Self::write(folder, name, &first(Side::Source)?, &first(Side::Target)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn batches_are_counted_in_the_order_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let source = lines(&["an old  oak", "a stone", ""]);
        let target = lines(&["eine alte Eiche", "Stein", "ein Wort"]);
        let text = Text::write(folder.path(), "train", &source, &target).unwrap();
        let batches = text.batches(2).unwrap();
        let expected = [
            Extent { pairs: 2, source_words: 5, target_words: 4 },
            Extent { pairs: 1, source_words: 0, target_words: 2 },
        ];
        assert_eq!(batches, expected);
        assert_eq!(Extent::sum(&batches), Extent { pairs: 3, source_words: 5, target_words: 6 });

        let beginning = text.beginning(1, folder.path(), "valid").unwrap();
        assert_eq!(fs::read_to_string(beginning.file(Side::Source)).unwrap(), "an old  oak\n");
        assert_eq!(Text::new(beginning.file(Side::Source), beginning.file(Side::Target)).unwrap().source, {
            folder.path().canonicalize().unwrap().join("valid.source")
        });
    }

    #[test]
    fn files_of_unequal_length_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = Text::write(folder.path(), "train", &lines(&["one", "two"]), &lines(&["eins"])).unwrap();
        assert!(text.batches(2).unwrap_err().to_string().contains("has 2 lines"));
        assert!(Text::new(Path::new("/nowhere/source"), Path::new("/nowhere/target")).is_err());
    }
}

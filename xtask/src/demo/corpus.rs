//! The demonstration's parallel text: tidied, deduplicated, shuffled and split, written once and then reused.
//!
//! A split by source sentence: no validation pair has a source that is in the training text, in whatever case.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::packages::{self, Package};
use super::tokens;
use crate::workspace::Workspace;

/// Words that each side of a pair must have.
const WORDS: std::ops::RangeInclusive<usize> = 2..=40;

/// One source sentence in this many is for validation.
const VALIDATION_SHARE: usize = 10;

const SEED: u64 = 20_240_229;

/// Raised when other text would be made of the same packages.
const RECIPE: u32 = 1;

/// Pairs of sentences, each a line of words with one space between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    pub(super) pairs: Vec<(String, String)>,
}

impl Pairs {
    /// The words of all target sentences.
    pub(super) fn target_words(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().flat_map(|(_, target)| target.split(' '))
    }

    /// Some pairs of middling length, spread evenly.
    pub(super) fn sample(&self, count: usize) -> Self {
        let middling: Vec<&(String, String)> =
            self.pairs.iter().filter(|(_, target)| (6..=14).contains(&target.split(' ').count())).collect();
        let step = (middling.len() / count.max(1)).max(1);
        Self { pairs: middling.into_iter().step_by(step).take(count).cloned().collect() }
    }

    /// Writes `NAME.en` and `NAME.de`.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let source: String = self.pairs.iter().map(|(source, _)| format!("{source}\n")).collect();
        let target: String = self.pairs.iter().map(|(_, target)| format!("{target}\n")).collect();
        for (language, text) in [("en", source), ("de", target)] {
            let file = folder.join(format!("{name}.{language}"));
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    fn read(folder: &Path, name: &str) -> Result<Self> {
        let read = |language| {
            let file = folder.join(format!("{name}.{language}"));
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let (source, target) = (read("en")?, read("de")?);
        let pairs = source.lines().zip(target.lines());
        Ok(Self { pairs: pairs.map(|(source, target)| (source.to_owned(), target.to_owned())).collect() })
    }
}

/// The whole text.
#[derive(Debug)]
pub(super) struct Corpus {
    pub(super) training: Pairs,
    pub(super) validation: Pairs,
}

/// What is written beside the text, last: what it was made of, and the sums of its files.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    recipe: u32,
    packages: Vec<Package>,
    /// Lines of the summary that is shown each time.
    summary: Vec<String>,
    /// SHA-256 of each file.
    files: BTreeMap<String, String>,
}

/// The text in `folder`: what an earlier call left there, else fetched and made anew.
pub(super) fn prepare(workspace: &Workspace, folder: &Path) -> Result<Corpus> {
    let manifest_file = folder.join("corpus.json");
    let packages = packages::all();
    let manifest = match reusable(folder, &manifest_file, &packages) {
        Some(manifest) => manifest,
        None => {
            let downloads = folder.join("packages");
            packages::fetch(workspace, &packages, &downloads)?;
            let manifest = make(folder, &downloads, packages)?;
            let text = serde_json::to_string_pretty(&manifest)?;
            fs::write(&manifest_file, text)
                .with_context(|| format!("cannot write {}", manifest_file.display()))?;
            manifest
        }
    };
    println!("text in {}:", folder.display());
    for line in &manifest.summary {
        println!("  {line}");
    }
    Ok(Corpus { training: Pairs::read(folder, "train")?, validation: Pairs::read(folder, "valid")? })
}

/// The manifest if it is of this recipe and these packages and its files are as it says.
fn reusable(folder: &Path, manifest: &Path, packages: &[Package]) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_str(&fs::read_to_string(manifest).ok()?).ok()?;
    let current = manifest.recipe == RECIPE
        && manifest.packages == packages
        && sums(folder).is_ok_and(|files| files == manifest.files);
    current.then_some(manifest)
}

fn sums(folder: &Path) -> Result<BTreeMap<String, String>> {
    let sum = |name: &str| -> Result<(String, String)> {
        let file = folder.join(name);
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let hexadecimal = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((name.to_owned(), hexadecimal))
    };
    ["train.en", "train.de", "valid.en", "valid.de"].into_iter().map(sum).collect()
}

/// Makes the text of the downloaded packages and writes it.
fn make(folder: &Path, downloads: &Path, packages: Vec<Package>) -> Result<Manifest> {
    let mut summary = Vec::new();
    let mut pairs = Vec::new();
    let mut dropped = Dropped::default();
    for package in &packages {
        let (catalogues, entries) = packages::german_entries(package, downloads)?;
        summary.push(format!(
            "{} {} ({}): {} translations in {catalogues} catalogues",
            package.name,
            package.version,
            package.license,
            entries.len()
        ));
        let words =
            entries.iter().map(|entry| (tokens::words(&entry.message), tokens::words(&entry.translation)));
        pairs.extend(words.filter_map(|(source, target)| tidy(&source, &target, &mut dropped)));
    }
    let usable = pairs.len();
    let (training, validation) = split(pairs);
    dropped.repeated = usable - training.pairs.len() - validation.pairs.len();
    if validation.pairs.is_empty() {
        bail!("no text is left after tidying: {dropped:?}");
    }
    summary.push(format!(
        "left out: {} too short, {} too long, {} untranslated or without letters, {} repeated",
        dropped.short, dropped.long, dropped.untranslated, dropped.repeated
    ));
    summary.push(format!(
        "kept: {} pairs for training ({} target words), {} for validation ({} target words)",
        training.pairs.len(),
        training.target_words().count(),
        validation.pairs.len(),
        validation.target_words().count()
    ));
    training.write(folder, "train")?;
    validation.write(folder, "valid")?;
    Ok(Manifest { recipe: RECIPE, packages, summary, files: sums(folder)? })
}

/// How many pairs were left out, and why.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dropped {
    short: usize,
    long: usize,
    untranslated: usize,
    repeated: usize,
}

/// The pair as two lines, unless it is of no use.
fn tidy(source: &[String], target: &[String], dropped: &mut Dropped) -> Option<(String, String)> {
    let lengths = [source.len(), target.len()];
    let has_letters = |words: &[String]| words.iter().any(|word| word.contains(char::is_alphabetic));
    if lengths.iter().any(|length| length < WORDS.start()) {
        dropped.short += 1;
    } else if lengths.iter().any(|length| length > WORDS.end()) {
        dropped.long += 1;
    } else if source == target || !has_letters(source) || !has_letters(target) {
        dropped.untranslated += 1;
    } else {
        return Some((source.join(" "), target.join(" ")));
    }
    None
}

/// Training and validation pairs: without repetitions, in an order that depends on the pairs alone.
fn split(pairs: Vec<(String, String)>) -> (Pairs, Pairs) {
    let pairs: BTreeSet<(String, String)> = pairs.into_iter().collect();
    let mut sources: Vec<String> = pairs.iter().map(|(source, _)| source.to_lowercase()).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    sources.shuffle(&mut random);
    let held_out: BTreeSet<String> = sources.drain(..sources.len() / VALIDATION_SHARE).collect();

    let mut pairs: Vec<(String, String)> = pairs.into_iter().collect();
    pairs.shuffle(&mut random);
    let (validation, training) =
        pairs.into_iter().partition(|(source, _)| held_out.contains(&source.to_lowercase()));
    (Pairs { pairs: training }, Pairs { pairs: validation })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many() -> Vec<(String, String)> {
        (0..200)
            .flat_map(|number| {
                [
                    (format!("Tree {number}"), format!("Baum {number}")),
                    (format!("tree {number}"), format!("der Baum {number}")),
                ]
            })
            .collect()
    }

    #[test]
    fn the_split_depends_on_the_pairs_alone_and_shares_no_source() {
        let (training, validation) = split(many());
        let mut other = many();
        other.reverse();
        other.extend(many());
        assert_eq!(split(other), (training.clone(), validation.clone()));

        assert_eq!((training.pairs.len(), validation.pairs.len()), (360, 40));
        let sources: BTreeSet<String> =
            training.pairs.iter().map(|(source, _)| source.to_lowercase()).collect();
        assert!(validation.pairs.iter().all(|(source, _)| !sources.contains(&source.to_lowercase())));
        assert!(training.pairs.windows(2).any(|two| two[0] > two[1]), "the order is that of the alphabet");
    }

    #[test]
    fn useless_pairs_are_left_out_and_counted() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut dropped = Dropped::default();
        let long = vec!["lang".to_owned(); 41];
        assert!(tidy(&words("old oak"), &words("alte Eiche"), &mut dropped).is_some());
        assert!(tidy(&words("oak"), &words("die Eiche"), &mut dropped).is_none());
        assert!(tidy(&words("old oak"), &long, &mut dropped).is_none());
        assert!(tidy(&words("old oak"), &words("old oak"), &mut dropped).is_none());
        assert!(tidy(&words("{} :"), &words(": {}"), &mut dropped).is_none());
        assert_eq!(dropped, Dropped { short: 1, long: 1, untranslated: 2, repeated: 0 });
    }

    #[test]
    fn text_is_reused_only_while_its_files_are_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let (training, validation) = split(many());
        training.write(folder.path(), "train").unwrap();
        validation.write(folder.path(), "valid").unwrap();
        assert_eq!(Pairs::read(folder.path(), "train").unwrap(), training);

        let packages = packages::all();
        let files = sums(folder.path()).unwrap();
        let manifest = Manifest { recipe: RECIPE, packages: packages.clone(), summary: Vec::new(), files };
        let name = folder.path().join("corpus.json");
        fs::write(&name, serde_json::to_string(&manifest).unwrap()).unwrap();
        assert_eq!(reusable(folder.path(), &name, &packages), Some(manifest));
        assert_eq!(reusable(folder.path(), &name, &packages[1..]), None);
        fs::write(folder.path().join("train.de"), "truncated\n").unwrap();
        assert_eq!(reusable(folder.path(), &name, &packages), None);
    }

    #[test]
    fn a_sample_is_spread_over_pairs_of_middling_length() {
        let pair = |number: usize, words: usize| (format!("s {number}"), vec!["w"; words].join(" "));
        let pairs = Pairs { pairs: (0..100).map(|number| pair(number, 1 + number % 20)).collect() };
        let sample = pairs.sample(3);
        assert_eq!(sample.pairs.len(), 3);
        assert!(sample.pairs.iter().all(|(_, target)| (6..=14).contains(&target.split(' ').count())));
        assert!(sample.pairs[2].0 > sample.pairs[0].0);
    }
}

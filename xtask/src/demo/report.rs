//! What the demonstration shows at its end: the best system of the run, and how sure it is of each word.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::corpus::Pairs;

/// The metric that is compared with the unigram model's.
const PERPLEXITY: &str = "val_target_PERP";

/// What is needed of a run's `checkpoints/index.json`.
#[derive(Debug, Deserialize)]
struct Index {
    /// Path in the run's folder.
    best: PathBuf,
    main_metric: String,
    best_value: f64,
}

/// The best system of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Best {
    pub(super) system: PathBuf,
    pub(super) perplexity: f64,
}

impl Best {
    /// Reads the index of a run, whose folder, as that of the system, is given from `root`.
    pub(super) fn read(root: &Path, run: &Path) -> Result<Self> {
        let name = root.join(run).join("checkpoints/index.json");
        let read = || -> Result<Self> {
            let index: Index = serde_json::from_str(&fs::read_to_string(&name)?)?;
            if index.main_metric != PERPLEXITY {
                bail!("the run's main metric is {}, expected {PERPLEXITY}", index.main_metric);
            }
            Ok(Self { system: run.join(index.best), perplexity: index.best_value })
        };
        read().with_context(|| format!("cannot use {}", name.display()))
    }
}

/// A line that `kiwi-host score` prints.
#[derive(Debug, Deserialize)]
struct Score {
    words: Vec<String>,
    /// Null for a word that no loss counts.
    word_nll: Vec<Option<f64>>,
    perplexity: Option<f64>,
}

/// Prints each pair with the perplexity of its target and the word that surprised the system most.
pub(super) fn show_scores(pairs: &Pairs, scores: &str) -> Result<()> {
    let lines: Vec<&str> = scores.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.len() != pairs.pairs.len() {
        bail!("`kiwi-host score` printed {} lines for {} pairs", lines.len(), pairs.pairs.len());
    }
    for ((source, target), line) in pairs.pairs.iter().zip(lines) {
        let score: Score = serde_json::from_str(line)
            .with_context(|| format!("`kiwi-host score` printed what is not a score: {line}"))?;
        println!("\n  source      {source}\n  target      {target}");
        if let Some(perplexity) = score.perplexity {
            println!("  perplexity  {perplexity:.1}");
        }
        let (word, nll) = most_surprising(&score)?;
        println!("  surprise    {word} (probability {:.4})", (-nll).exp());
    }
    Ok(())
}

fn most_surprising(score: &Score) -> Result<(&str, f64)> {
    if score.words.len() != score.word_nll.len() {
        bail!("`kiwi-host score` printed {} words and {} values", score.words.len(), score.word_nll.len());
    }
    let words = score.words.iter().map(String::as_str).zip(&score.word_nll);
    words
        .filter_map(|(word, nll)| Some((word, (*nll)?)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .context("`kiwi-host score` printed a pair without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_system_is_found_by_the_index() {
        let root = tempfile::tempdir().unwrap();
        let run = Path::new("some/run");
        assert!(Best::read(root.path(), run).is_err());
        let checkpoints = root.path().join("some/run/checkpoints");
        fs::create_dir_all(&checkpoints).unwrap();
        let index = |metric: &str| {
            let text = format!(
                r#"{{"best": "checkpoints/model", "main_metric": "{metric}", "best_value": 12.5, "last": null}}"#
            );
            fs::write(checkpoints.join("index.json"), text).unwrap();
            Best::read(root.path(), run)
        };
        let best = index(PERPLEXITY).unwrap();
        assert_eq!(best, Best { system: run.join("checkpoints/model"), perplexity: 12.5 });
        assert!(format!("{:#}", index("val_loss").unwrap_err()).contains("val_loss"));
    }

    #[test]
    fn scores_must_match_the_pairs() {
        let pairs = Pairs { pairs: vec![("a stone".to_owned(), "ein Stein".to_owned())] };
        let line = r#"{"pair": 1, "words": ["ein", "Stein"], "word_nll": [0.5, 2.0], "nll": 2.5, "perplexity": 3.49}"#;
        show_scores(&pairs, &format!("{line}\n")).unwrap();
        assert!(show_scores(&pairs, "").is_err());
        assert!(show_scores(&pairs, "{}\n").is_err());
        let score: Score = serde_json::from_str(line).unwrap();
        assert_eq!(most_surprising(&score).unwrap(), ("Stein", 2.0));
        let uneven = Score { words: vec!["ein".to_owned()], word_nll: Vec::new(), perplexity: None };
        assert!(most_surprising(&uneven).is_err());
    }
}

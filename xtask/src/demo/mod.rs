//! `cargo xtask demo`: fetches text, trains a small system on it, and shows what the system learned.
//!
//! [`packages`] fetches, [`catalogue`] reads translations, [`tokens`] makes words of them, [`corpus`] makes training and
//! validation text, [`unigram`] is the model to beat, [`report`] shows the end. The training itself is the program's own:
//! `kiwi-host train configs/demo.json`.

mod catalogue;
mod corpus;
mod packages;
mod report;
mod tokens;
mod unigram;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use corpus::Corpus;
use report::Best;

use crate::build::{self, Profile};
use crate::libtorch;
use crate::workspace::{Workspace, output, run};

/// The config that is trained.
const CONFIG: &str = "configs/demo.json";

/// Folder of the text and of the run.
const FOLDER: &str = "demo";

/// Validation pairs whose scores are shown.
const SAMPLE_PAIRS: usize = 5;

/// What `cargo xtask demo` takes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Fetch and prepare the text, show the unigram model's perplexity, and stop: nothing is built or trained.
    #[arg(long)]
    text_only: bool,
}

/// Runs the whole demonstration; fails unless the system halves the unigram model's perplexity.
pub(crate) fn demonstrate(workspace: &Workspace, options: Options) -> Result<()> {
    let folder = workspace.root.join(FOLDER);
    if options.text_only {
        let corpus = corpus::prepare(workspace, &folder)?;
        return unigram_perplexity(workspace, &folder, &corpus).map(|_| ());
    }
    libtorch::setup(workspace, libtorch::Options::default())?;
    let program = build::build(workspace, Profile::Release)?;
    let corpus = corpus::prepare(workspace, &folder)?;
    let unigram = unigram_perplexity(workspace, &folder, &corpus)?;

    let run_folder = folder.join("run");
    if run_folder.exists() {
        fs::remove_dir_all(&run_folder)
            .with_context(|| format!("cannot remove the earlier run {}", run_folder.display()))?;
    }
    let began = Instant::now();
    run(workspace.command(&program).args(["train", CONFIG, "--output-dir", "demo/run"]))?;
    println!("trained in {:.0} s", began.elapsed().as_secs_f64());

    let best = Best::read(&workspace.root, Path::new("demo/run"))?;
    let on = |command: &str, text: &str| {
        let mut command_line = workspace.command(&program);
        command_line.arg(command).arg(&best.system);
        command_line.args(["--source", &format!("demo/{text}.en"), "--target", &format!("demo/{text}.de")]);
        command_line
    };
    run(&mut on("evaluate", "valid"))?;
    let sample = corpus.validation.sample(SAMPLE_PAIRS);
    sample.write(&folder, "sample")?;
    report::show_scores(&sample, &output(&mut on("score", "sample"))?)?;

    println!("\nperplexity of the validation text:");
    println!("{:10.2}  a unigram model", unigram);
    println!("{:10.2}  the best system, {}", best.perplexity, best.system.display());
    if best.perplexity < unigram / 2.0 {
        println!("the system's is {:.1} times lower", unigram / best.perplexity);
        Ok(())
    } else {
        bail!(
            "the system's perplexity {:.2} is not under half of the unigram model's {unigram:.2}",
            best.perplexity
        )
    }
}

/// The unigram model's perplexity on the validation text, which it prints too.
fn unigram_perplexity(workspace: &Workspace, folder: &Path, corpus: &Corpus) -> Result<f64> {
    let limits = unigram::limits_of(&workspace.root.join(CONFIG))?;
    let vocabulary = unigram::target_vocabulary(folder.join("train.en"), folder.join("train.de"), limits)?;
    let model = unigram::Model::fit(&vocabulary, corpus.training.target_words());
    let perplexity =
        model.perplexity(corpus.validation.target_words()).context("the validation text has no words")?;
    println!(
        "  a unigram model of {} words has a perplexity of {perplexity:.2} on the validation text",
        model.classes()
    );
    Ok(perplexity)
}

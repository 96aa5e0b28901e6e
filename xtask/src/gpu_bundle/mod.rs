//! `cargo xtask gpu-bundle`: a folder that checks this build on a machine with a GPU, where nothing of this workspace is.
//!
//! `target/gpu-bundle/` holds the stripped program, engine and plugins, the library by which GPUs sum, the tests of GPUs as a program, the recorded cases and a
//! made-up corpus. Its `run.sh` finds libtorch through `python3` and prints a table.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::build::{self, Profile};
use crate::libtorch;
use crate::workspace::{Workspace, run};

const RUN: &str = include_str!("run.sh");
const GOLDEN: &str = "tests/golden";
/// The tests that need a GPU.
const TESTS: [&str; 12] = [
    "golden_cases_on_a_gpu",
    "a_system_loaded_on_either_device_is_the_same",
    "training_on_a_gpu_is_training_on_the_cpu_up_to_rounding",
    "bf16_learns_on_a_gpu",
    "sixteen_bits_learn_on_a_gpu_and_the_state_of_their_scaler_is_saved",
    "a_number_that_no_gpu_has_is_refused",
    "a_run_on_a_gpu_is_resumed_with_the_state_of_its_scaler",
    "a_system_that_is_loaded_on_a_gpu_trains_there_without_a_warning",
    "a_batch_that_the_gpu_has_no_memory_for_is_named_and_skipped_if_asked_for",
    "memory_stays_flat_over_a_thousand_steps_on_a_gpu",
    "groups::a_group_of_one_on_a_gpu_comes_to_the_figures_of_a_process_alone",
    "groups::a_group_of_one_on_a_gpu_sums_sparse_gradients_by_their_rows",
];
/// The script of the peer.
const PEER: &str = "pytorch_peer.py";
/// The folder must be smaller, in bytes.
const LIMIT: u64 = 60 << 20;
/// Pairs of the made-up corpus.
const PAIRS: u32 = 4000;

/// What `cargo xtask gpu-bundle` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Folder of a script `pytorch_peer.py` to measure against there, as `cargo xtask bench --peer` has it here.
    #[arg(long, value_name = "FOLDER")]
    peer: Option<PathBuf>,
    /// Build without optimisation.
    #[arg(long)]
    debug: bool,
}

/// Builds, and fills the folder anew.
pub(crate) fn make(workspace: &Workspace, options: &Options) -> Result<()> {
    let peer = options.peer.as_deref().map(peer_scripts).transpose()?;
    libtorch::setup(workspace, libtorch::Options::default())?;
    libtorch::fetch_cuda_headers(workspace)?;
    let program = build::build(workspace, if options.debug { Profile::Dev } else { Profile::Release })?;
    let built = program.parent().context("a program lies in a folder")?;
    let tests = build_tests(workspace, options)?;

    let bundle = workspace.target_directory.join("gpu-bundle");
    if bundle.exists() {
        fs::remove_dir_all(&bundle).with_context(|| format!("cannot remove {}", bundle.display()))?;
    }
    for folder in ["bin/deps", "corpus", GOLDEN] {
        fs::create_dir_all(bundle.join(folder)).with_context(|| format!("cannot make {folder}"))?;
    }
    for name in build::files().into_iter().chain([build::nccl()]) {
        stripped(&built.join(&name), &bundle.join("bin").join(&name))?;
    }
    stripped(&tests, &bundle.join("bin/deps/gpu"))?;
    for file in fs::read_dir(workspace.root.join(GOLDEN))? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), bundle.join(GOLDEN).join(file.file_name()))?;
        }
    }
    write_corpus(&bundle.join("corpus"))?;
    for script in peer.iter().flatten() {
        let name = script.file_name().context("a script has a name")?;
        fs::create_dir_all(bundle.join("peer"))?;
        fs::copy(script, bundle.join("peer").join(name))?;
    }
    fs::write(bundle.join("tests.txt"), TESTS.join("\n") + "\n")?;
    fs::write(bundle.join("run.sh"), RUN)?;
    run(std::process::Command::new("chmod").arg("+x").arg(bundle.join("run.sh")))?;

    let size = size(&bundle)?;
    let mebibytes = size as f64 / f64::from(1 << 20);
    if size > LIMIT {
        bail!("{} has {mebibytes:.1} MiB, more than {} MiB", bundle.display(), LIMIT >> 20);
    }
    println!("{}: {mebibytes:.1} MiB; run.sh in it checks a machine with a GPU", bundle.display());
    Ok(())
}

/// Builds the tests of GPUs; their program.
fn build_tests(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let mut cargo =
        workspace.cargo(&["test", "--no-run", "--message-format=json", "-p", "kiwi-tests", "--test", "gpu"]);
    if !options.debug {
        cargo.arg("--release");
    }
    let output = cargo.stderr(std::process::Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the tests of GPUs do not build");
    }
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages
        .filter(|message| message["target"]["name"] == "gpu")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.context("cargo named no program of the tests of GPUs")
}

/// The scripts of the peer: all of its folder, since they read one another.
fn peer_scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let named = format!("give --peer the folder of a {PEER}");
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}: {named}", folder.display()))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let scripts: Vec<_> = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "py"))
        .collect();
    if !scripts.iter().any(|script| script.ends_with(PEER)) {
        bail!("{} has no {PEER}: {named}", folder.display());
    }
    Ok(scripts)
}

/// A copy without what only debuggers read.
fn stripped(from: &Path, to: &Path) -> Result<()> {
    run(std::process::Command::new("strip").arg("--strip-unneeded").arg("-o").arg(to).arg(from))
}

/// A corpus whose target says the same as its source in other words, and a config that trains on it.
fn write_corpus(folder: &Path) -> Result<()> {
    let mut state = 1_u32;
    // The linear congruential generator of Numerical Recipes: any will do.
    let mut draw = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    for (name, pairs) in [("train", PAIRS), ("valid", PAIRS / 10)] {
        let (mut source, mut target) = (String::new(), String::new());
        for _ in 0..pairs {
            for _ in 0..10 + draw(30) {
                // Few words are common and many are rare.
                let word = draw(2000).min(draw(2000));
                write!(source, "s{word} ")?;
                write!(target, "t{} ", word * 7 % 2000)?;
            }
            source.push('\n');
            target.push('\n');
        }
        fs::write(folder.join(format!("{name}.src")), source)?;
        fs::write(folder.join(format!("{name}.tgt")), target)?;
    }
    let files =
        |name: &str| json!({"input": {"source": format!("{name}.src"), "target": format!("{name}.tgt")}});
    let embeddings = json!({"source": {"dim": 200}, "target": {"dim": 200}});
    let config = json!({
        "trainer": {"gpus": 1, "epochs": 3, "log_interval": 20, "gradient_max_norm": 5.0},
        "data": {"train": files("train"), "valid": files("valid")},
        "system": {
            "class_name": "Predictor",
            "model": {"encoder": {"hidden_size": 400, "rnn_layers": 2, "dropout": 0.1, "out_embeddings_dim": 200, "embeddings": embeddings}},
            "optimizer": {"class_name": "adam", "learning_rate": 0.002},
            "batch_size": 64,
        },
    });
    Ok(fs::write(folder.join("config.json"), format!("{config:#}\n"))?)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        sum += if data.is_dir() { size(&entry.path())? } else { data.len() };
    }
    Ok(sum)
}

//! The program under what starts it on many machines: `torchrun` and `srun`.

use std::process::Command;

use kiwi_tests::interrupted::differences;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::ranks::assert_same_figures;
use kiwi_tests::workplace::{Workplace, config_with};
use kiwi_tests::{built, python};

const TRAIN: [&str; 6] = ["train", "run.json", "--threads", "1", "--output-dir", "run"];

fn workplace() -> Workplace {
    let work = Workplace::new();
    work.write("run.json", &config_with(&[]).to_string());
    work
}

#[test]
fn variables_that_say_nothing_of_use_are_refused_before_anything_is_begun() {
    let work = workplace();
    let variables = [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")];
    let refused = Outcome::of(work.command(&TRAIN).envs(variables)).ends_with(2);
    let _ = refused.says(&["torchrun sets RANK, but MASTER_ADDR is not set", "unset them"]);
    assert!(!work.at("run").exists(), "nothing was begun");
}

/// torchrun with so many processes on this machine.
fn torchrun(ranks: u32) -> Option<Command> {
    let mut torchrun = python::python()?;
    torchrun.args(["-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node"]);
    torchrun.arg(ranks.to_string()).arg(built::program());
    Some(torchrun)
}

/// Trains by `run.json` into `output`; what was said.
fn run(work: &Workplace, torchrun: &mut Command, output: &str) -> String {
    torchrun.args(["train", "run.json", "--threads", "1", "--output-dir", output]);
    let outcome = torchrun.current_dir(work.at(".")).env("LIBTORCH", built::libtorch()).output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(outcome.status.success(), "{said}");
    assert!(said.contains("epoch 1 done at step 16"), "{said}");
    said
}

#[test]
fn processes_of_torchrun_train_as_one_does() {
    let Some(mut torchrun) = torchrun(1) else { return };
    let work = workplace();
    let alone = work.train("alone", &[]);
    let said = run(&work, &mut torchrun, "by-1");
    assert!(said.contains("1 process trains, started by torchrun"), "{said}");
    assert_eq!(differences(&alone.directory, &work.at("by-1")), [""; 0]);
    let Some(mut torchrun) = self::torchrun(2) else { return };
    let said = run(&work, &mut torchrun, "by-2");
    assert!(said.contains("2 processes train together, started by torchrun"), "{said}");
    // Without dropout two processes are one but for rounding.
    assert_same_figures(&alone.directory, &work.at("by-2"));
}

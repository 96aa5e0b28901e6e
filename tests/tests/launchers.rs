//! The program under what starts it on many machines: `torchrun` and `srun`.

use std::process::Command;

use kiwi_tests::interrupted::differences;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::ranks::{Ranks, assert_same_figures, free_port, kill, ranks_with};
use kiwi_tests::workplace::{Workplace, config_with};
use kiwi_tests::{built, python};
use serde_json::json;

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

/// torchrun with so many processes on this machine, which it starts anew once if one of them fails and that is `wanted`.
fn torchrun_anew(ranks: u32, wanted: bool) -> Option<Command> {
    let mut torchrun = python::python()?;
    torchrun.args(["-m", "torch.distributed.run", "--standalone", "--no-python"]);
    torchrun.arg(format!("--max-restarts={}", u8::from(wanted))).arg(format!("--nproc-per-node={ranks}"));
    torchrun.arg(built::program());
    Some(torchrun)
}

fn torchrun(ranks: u32) -> Option<Command> {
    torchrun_anew(ranks, false)
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

#[test]
fn torchrun_starts_a_run_anew_whose_process_was_killed_and_it_goes_on() {
    let Some(mut torchrun) = torchrun_anew(2, true) else { return };
    let work = Workplace::new();
    let changes = [
        ("trainer.epochs", json!(30)),
        ("trainer.checkpoint.resume_interval", json!(1)),
        ("system.model.encoder.dropout", json!(0.3)),
    ];
    work.write("run.json", &config_with(&changes).to_string());
    let _ = work.train_ranks(2, "run", "whole", &[]);
    // Unlike any argument of a process that is none of this run.
    let output = format!("{}-anew", std::process::id());
    torchrun.args(["train", "run.json", "--threads", "1", "--output-dir", &output]);
    torchrun.current_dir(work.at(".")).env("LIBTORCH", built::libtorch());
    let mut running = Ranks::start(vec![torchrun], &work, "anew");
    running.wait_for(0, "epoch 3 step");
    let (rank, process) = *ranks_with(&output).iter().find(|(rank, _)| *rank == 1).unwrap();
    assert_eq!(rank, 1);
    kill(process);
    assert_eq!(running.end(), [0], "{}", running.all_said());
    let said = running.said(0);
    assert!(said.contains("goes on after") && said.contains("rank 1 ended without a word"), "{said}");
    assert_eq!(differences(&work.at("whole"), &work.at(&output)), [""; 0], "{said}");
}

#[test]
fn torchrun_is_told_why_a_process_failed() {
    let Some(mut torchrun) = torchrun(2) else { return };
    let work = Workplace::new();
    let changes = [("system.optimizer.learning_rate", json!(1e20)), ("trainer.epochs", json!(50))];
    work.write("run.json", &config_with(&changes).to_string());
    torchrun.args(["train", "run.json", "--threads", "1", "--output-dir", "run"]);
    let outcome = torchrun.current_dir(work.at(".")).env("LIBTORCH", built::libtorch()).output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(!outcome.status.success(), "{said}");
    let failure = said.split_once("Root Cause").map(|(_, rest)| rest).unwrap_or_default();
    assert!(failure.contains("is not finite"), "{said}");
}

#[test]
fn processes_of_srun_train_together() {
    let work = workplace();
    let alone = work.train("alone", &[]);
    let port = free_port().to_string();
    let task = |task: &str| {
        let mut command = work.command(&["train", "run.json", "--threads", "1", "--output-dir", "by-2"]);
        command.envs([
            ("SLURM_PROCID", task),
            ("SLURM_STEP_NUM_TASKS", "2"),
            ("SLURM_LOCALID", task),
            ("SLURM_NTASKS_PER_NODE", "2"),
            ("SLURM_JOB_ID", "4711"),
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NODELIST", "localhost"),
        ]);
        command.env("MASTER_PORT", &port);
        command
    };
    let mut running = Ranks::start(vec![task("0"), task("1")], &work, "by-2");
    assert_eq!(running.end(), [0, 0], "{}", running.all_said());
    let said = running.said(0);
    assert!(said.contains("2 processes train together, started by srun"), "{said}");
    assert_same_figures(&alone.directory, &work.at("by-2"));
}

//! The program under what starts it on many machines: `torchrun` and `srun`.

use kiwi_tests::interrupted::differences;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use kiwi_tests::{built, python};

const TRAIN: [&str; 6] = ["train", "run.json", "--threads", "1", "--output-dir", "run"];

fn workplace() -> Workplace {
    let work = Workplace::new();
    work.write("run.json", &config_with(&[]).to_string());
    work
}

#[test]
fn one_of_several_processes_is_refused_before_anything_is_begun() {
    let work = workplace();
    let torchrun = [
        ("RANK", "1"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "29500"),
    ];
    let srun = [
        ("SLURM_PROCID", "0"),
        ("SLURM_STEP_NUM_TASKS", "8"),
        ("SLURM_JOB_ID", "77"),
        ("SLURM_STEP_NODELIST", "gpu[1-2]"),
    ];
    let run = |variables: &[(&str, &str)]| {
        Outcome::of(work.command(&TRAIN).envs(variables.iter().copied())).ends_with(2)
    };
    let refused = "error: training in several processes is not supported yet";
    let _ = run(&torchrun).says(&[refused, "rank 1 of 2, started by torchrun", "--nproc-per-node 1"]);
    let _ = run(&srun).says(&[refused, "rank 0 of 8, started by srun", "srun --ntasks 1"]);
    let _ = run(&torchrun[..2]).says(&["torchrun sets RANK, but MASTER_ADDR is not set", "unset them"]);
    assert!(!work.at("run").exists(), "nothing was begun");
}

#[test]
fn one_process_of_torchrun_trains_as_without_it() {
    let Some(mut torchrun) = python::python() else { return };
    let work = workplace();
    let alone = work.train("alone", &[]);
    torchrun.args(["-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node", "1"]);
    torchrun.arg(built::program()).args(TRAIN).current_dir(work.at(".")).env("LIBTORCH", built::libtorch());
    let outcome = torchrun.output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
    assert!(said.contains("epoch 1 done at step 16"), "{said}");
    assert_eq!(differences(&alone.directory, &work.at("run")), [""; 0]);
}

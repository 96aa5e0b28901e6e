//! What each launcher's variables say, and what is said about wrong ones.

use std::collections::HashMap;

use super::*;

fn place(variables: &[(&str, &str)]) -> Result<Option<Place>, PlaceError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Place::of_launcher(|name| variables.get(name).map(|&value| value.to_owned()))
}

const TORCHRUN: [(&str, &str); 8] = [
    ("RANK", "3"),
    ("WORLD_SIZE", "4"),
    ("LOCAL_RANK", "1"),
    ("LOCAL_WORLD_SIZE", "2"),
    ("MASTER_ADDR", "gpu7"),
    ("MASTER_PORT", "29500"),
    ("TORCHELASTIC_RUN_ID", "night"),
    ("TORCHELASTIC_RESTART_COUNT", "2"),
];

const SLURM: [(&str, &str); 7] = [
    ("SLURM_PROCID", "5"),
    ("SLURM_STEP_NUM_TASKS", "8"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_NTASKS_PER_NODE", "4"),
    ("SLURM_JOB_ID", "9000001"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_STEP_NODELIST", "gpu[07-08]"),
];

/// The same, but for one variable.
fn but<'a>(variables: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = variables.iter().copied().filter(|(other, _)| *other != name);
    others.chain([(name, value)]).collect()
}

#[test]
fn without_a_launcher_there_is_no_place() {
    assert_eq!(place(&[]), Ok(None));
    assert_eq!(place(&[("MASTER_ADDR", "gpu7"), ("RANK", "")]), Ok(None));
    // A batch script that starts the program without `srun`.
    assert_eq!(place(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "3")]), Ok(None));
}

#[test]
fn torchruns_variables_say_where_a_process_is() {
    let found = place(&TORCHRUN).unwrap().unwrap();
    assert_eq!((found.rank, found.ranks, found.local_rank, found.local_ranks), (3, 4, 1, Some(2)));
    assert_eq!((found.host.as_str(), found.port, found.name.as_str()), ("gpu7", 29500, "kiwi-host/night/2"));
    assert!(!found.somebody_listens && !found.is_first());
    assert_eq!((found.restarts, found.listening, found.launcher), (2, None, Launcher::Torchrun));
    let agent = but(&TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE", "True");
    assert!(place(&agent).unwrap().unwrap().somebody_listens);
}

#[test]
fn sruns_variables_say_where_a_process_is() {
    let found = place(&SLURM).unwrap().unwrap();
    assert_eq!((found.rank, found.ranks, found.local_rank, found.local_ranks), (5, 8, 1, Some(4)));
    assert_eq!((found.host.as_str(), found.launcher), ("gpu07", Launcher::Slurm));
    assert!(SLURM_PORTS.contains(&u64::from(found.port)));
    // All of a step meet at one port, and two steps of a job do not.
    let other = place(&but(&SLURM, "SLURM_PROCID", "0")).unwrap().unwrap();
    assert_eq!((found.port, &found.name), (other.port, &other.name));
    let step = place(&but(&SLURM, "SLURM_STEP_ID", "1")).unwrap().unwrap();
    assert_ne!(found.port, step.port);
    let said = place(&but(&but(&SLURM, "MASTER_PORT", "4321"), "MASTER_ADDR", "login")).unwrap().unwrap();
    assert_eq!((said.port, said.host.as_str()), (4321, "login"));
}

#[test]
fn a_restart_under_srun_is_counted() {
    assert_eq!(place(&SLURM).unwrap().unwrap().restarts, 0);
    let again = place(&but(&SLURM, "SLURM_RESTART_COUNT", "3")).unwrap().unwrap();
    assert_eq!((again.restarts, again.name.as_str()), (3, "kiwi-host/9000001.0/3"));
}

#[test]
fn the_program_sets_what_torchrun_sets_and_says_that_it_did() {
    let own = but(&but(&TORCHRUN, LAUNCHED, "4711"), LISTENING, "9");
    let found = place(&own).unwrap().unwrap();
    assert_eq!((found.launcher, found.launcher.to_string().as_str()), (Launcher::Own, "kiwi-host"));
    assert_eq!(found.listening, None, "only the first listens");
    let first = but(&but(&own, "RANK", "0"), "LOCAL_RANK", "0");
    assert_eq!(place(&first).unwrap().unwrap().listening, Some(9));
    // Within a job, too, and only if the program set it.
    let in_a_job = [&first[..], &SLURM].concat();
    assert_eq!(place(&in_a_job).unwrap().unwrap().launcher, Launcher::Own);
    let torchrun = but(&first, LAUNCHED, "");
    assert_eq!(place(&torchrun).unwrap().unwrap().listening, None);
    let wrong = place(&but(&first, LISTENING, "2")).unwrap_err().to_string();
    assert_eq!(wrong, "KIWI_LISTEN_FD is `2`, expected a number from 3 to 2147483647");
    assert_eq!(
        place(&but(&first, LISTENING, "-1")).unwrap_err().to_string(),
        "KIWI_LISTEN_FD is `-1`, expected an integer"
    );
}

#[test]
fn a_single_task_of_srun_may_be_a_shell() {
    let several = |variables: &[(&str, &str)]| place(variables).unwrap().unwrap().is_of_several();
    assert!(several(&SLURM) && several(&TORCHRUN));
    let alone = but(&but(&SLURM, "SLURM_STEP_NUM_TASKS", "1"), "SLURM_PROCID", "0");
    let alone = but(&but(&alone, "SLURM_NTASKS_PER_NODE", "1"), "SLURM_LOCALID", "0");
    assert!(!several(&alone));
    let alone = but(&but(&TORCHRUN, "WORLD_SIZE", "1"), "RANK", "0");
    let alone = but(&but(&alone, "LOCAL_WORLD_SIZE", "1"), "LOCAL_RANK", "0");
    assert!(several(&alone), "torchrun says how many there are");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let message = |variables: &[(&str, &str)]| place(variables).unwrap_err().to_string();
    let missing = "torchrun sets RANK, but WORLD_SIZE is not set";
    assert_eq!(message(&[("RANK", "0")]), missing);
    assert_eq!(message(&[("WORLD_SIZE", "2")]), "torchrun sets WORLD_SIZE, but RANK is not set");
    assert_eq!(message(&TORCHRUN[..4]), "torchrun sets RANK, but MASTER_ADDR is not set");
    assert_eq!(message(&TORCHRUN[..5]), "torchrun sets RANK, but MASTER_PORT is not set");
    assert_eq!(message(&but(&TORCHRUN, "RANK", "4")), "RANK is `4`, expected a number from 0 to 3");
    assert_eq!(message(&but(&TORCHRUN, "RANK", "first")), "RANK is `first`, expected an integer");
    assert_eq!(message(&but(&TORCHRUN, "RANK", "-1")), "RANK is `-1`, expected an integer");
    let local = but(&TORCHRUN, "LOCAL_RANK", "3");
    assert_eq!(message(&local), "LOCAL_RANK is `3`, expected a number from 0 to 1");
    let port = "MASTER_PORT is `70000`, expected a number from 1 to 65535";
    assert_eq!(message(&but(&TORCHRUN, "MASTER_PORT", "70000")), port);
    assert_eq!(
        message(&but(&SLURM, "SLURM_STEP_NODELIST", "gpu[")),
        "SLURM_STEP_NODELIST is `gpu[`, expected a list of nodes such as gpu[01-03]"
    );
}

//! `kiwi-host sweep`: which trials run, what becomes of them, and that a sweep goes on from whatever ended it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_tests::interrupted::differences;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

const RATE: &str = "system.optimizer.learning_rate";
const SIZE: &str = "system.model.encoder.hidden_size";

/// Writes a base config with these changes, and a sweep file with these keys.
fn write(work: &Workplace, changes: &[(&str, Value)], sweep: &Value) {
    work.write("base.json", &config_with(changes).to_string());
    let mut file = json!({"config": "base.json", "output_dir": "out"});
    for (key, value) in sweep.as_object().unwrap() {
        file[key] = value.clone();
    }
    work.write("sweep.json", &format!("{file:#}"));
}

fn sweep(work: &Workplace, arguments: &[&str]) -> Outcome {
    work.run(&[&["sweep", "sweep.json", "--format", "json", "--threads", "1"], arguments].concat())
}

fn table(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

/// The trials of a table by number: what they are, without what takes time.
fn trials(table: &Value) -> Vec<Value> {
    let mut trials: Vec<Value> = table["trials"].as_array().unwrap().clone();
    trials.sort_by_key(|trial| trial["trial"].as_u64());
    for trial in &mut trials {
        trial.as_object_mut().unwrap().remove("seconds");
    }
    trials
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn started(work: &Workplace, trial: u64) -> usize {
    let of = |line: &&Value| line["trial"] == trial && line["event"]["kind"] == "started";
    lines(&work.at("out/trials.jsonl")).iter().filter(of).count()
}

fn grid() -> Value {
    json!({"method": "grid", "parallel": 2, "parameters": {RATE: {"values": [0.01, 0.0001]}, SIZE: {"values": [8, 16]}}})
}

#[test]
fn a_grid_runs_each_combination_and_says_which_is_best() {
    let work = Workplace::new();
    write(&work, &[("trainer.epochs", json!(1))], &grid());
    let outcome = sweep(&work, &[]).ends_with(0).says(&[
        "4 trials in out, 2 at once",
        "trial 0001 begins: hidden_size 8, learning_rate 0.01",
        "trial 0004 ended: val_target_PERP",
        "report: out/report.html",
    ]);
    let table = table(&outcome);
    assert_eq!(
        (&table["format"], &table["metric"]["name"], &table["metric"]["ordering"]),
        (&json!(1), &json!("val_target_PERP"), &json!("min"))
    );
    let values: Vec<_> = trials(&table)
        .iter()
        .map(|trial| (trial["values"][RATE].clone(), trial["values"][SIZE].clone()))
        .collect();
    let all =
        [(0.01, 8), (0.0001, 8), (0.01, 16), (0.0001, 16)].map(|(rate, size)| (json!(rate), json!(size)));
    assert_eq!(values, all);
    let ranked: Vec<f64> =
        table["trials"].as_array().unwrap().iter().map(|trial| trial["value"].as_f64().unwrap()).collect();
    assert!(ranked.is_sorted(), "{ranked:?}");
    let best = &table["best"];
    assert_eq!(best["values"][RATE], json!(0.01), "the greater rate learns more in an epoch");
    let system = best["system"].as_str().unwrap();
    assert!(work.at(system).is_file(), "{system}");
    // The trial is the run that `train` makes by the config of the best.
    let again = ["train", "out/best.json", "--output-dir", "again", "--threads", "1"];
    let _ = work.run(&again).ends_with(0);
    assert_eq!(differences(&work.at("again"), &work.at(best["directory"].as_str().unwrap())), [""; 0]);
    let page = fs::read_to_string(work.at("out/report.html")).unwrap();
    assert!(page.contains("svg class=\"parallel\"") && page.matches("<tr data-trial=").count() == 4);
    // What is there is told again, for people too, and not begun again.
    assert_eq!(self::table(&sweep(&work, &["--status"]).ends_with(0)), table);
    let shown = work.run(&["sweep", "sweep.json", "--status"]).ends_with(0);
    let first = shown.stdout.lines().next().unwrap();
    assert_eq!(
        first.split_whitespace().collect::<Vec<_>>(),
        ["trial", "val_target_PERP", "hidden_size", "learning_rate", "epochs", "steps", "time", "state"]
    );
    assert!(shown.stdout.contains(&format!("best system  {system}")), "{shown}");
    let again =
        sweep(&work, &[]).ends_with(2).says(&["the directory of the sweep is in use already", "--resume"]);
    assert_eq!(again.stdout, "");
    let resumed = sweep(&work, &["--resume"]).ends_with(0).says(&["4 of 4 done before"]);
    assert_eq!(self::table(&resumed), table);
    assert!(!resumed.stderr.contains("begins"), "{resumed}");
}

#[test]
fn draws_depend_on_the_seed_alone_and_more_may_be_asked_for() {
    let work = Workplace::new();
    let random = |trials: u64, seed: u64, parallel: u64| {
        json!({"method": "random", "trials": trials, "seed": seed, "parallel": parallel,
            "parameters": {RATE: {"log_uniform": [1e-4, 1e-1]}, "system.model.encoder.dropout": {"uniform": [0.0, 0.5]}}})
    };
    let short = [("trainer.max_steps", json!(2))];
    write(&work, &short, &random(2, 5, 2));
    let planned = table(&sweep(&work, &["--dry-run"]).ends_with(0));
    assert!(!work.at("out").exists());
    let first = table(&sweep(&work, &[]).ends_with(0));
    write(&work, &short, &random(3, 5, 1));
    let more =
        table(&sweep(&work, &["--resume"]).ends_with(0).says(&["2 of 3 done before", "trial 0003 begins"]));
    assert_eq!(trials(&more)[..2], trials(&first)[..]);
    let values =
        |table: &Value| trials(table).iter().map(|trial| trial["values"].clone()).collect::<Vec<_>>();
    assert_eq!(values(&planned), values(&first));
    assert_eq!(started(&work, 1), 1);
    write(&work, &short, &random(3, 6, 1));
    assert_ne!(values(&table(&sweep(&work, &["--dry-run"]).ends_with(0))), values(&more));
    let _ = sweep(&work, &["--resume"]).ends_with(2).says(&[
        "error[E0409]: the sweep in out is not the one of the sweep file",
        "found: sweep.seed was 5, and is 6",
        "help: put back what has changed, or begin another sweep with --output-dir",
    ]);
}

fn halving(trials: u64) -> Value {
    json!({"method": "successive_halving", "trials": trials, "seed": 3, "min_epochs": 1, "factor": 2, "parallel": 2,
        "parameters": {RATE: {"log_uniform": [1e-5, 3e-2]}}})
}

#[test]
fn the_best_go_on_in_the_same_runs() {
    let work = Workplace::new();
    write(&work, &[("trainer.epochs", json!(4))], &halving(4));
    let table = table(
        &sweep(&work, &[]).ends_with(0).says(&["on 3 rungs (4 to 1, 2 to 2, 1 to 4)", "goes on to 2 epochs"]),
    );
    assert_eq!(
        table["rungs"],
        json!([{"budget": 1, "trials": 4}, {"budget": 2, "trials": 2}, {"budget": 4, "trials": 1}])
    );
    let ended: Vec<Value> = lines(&work.at("out/trials.jsonl"))
        .into_iter()
        .filter(|line| line["event"]["kind"] == "ended")
        .collect();
    let of_rung = |rung: u64| {
        let mut found: Vec<(f64, u64)> = ended
            .iter()
            .filter(|line| line["event"]["rung"] == rung)
            .map(|line| {
                (line["event"]["measured"]["value"].as_f64().unwrap(), line["trial"].as_u64().unwrap())
            })
            .collect();
        found.sort_by(|one, other| one.0.total_cmp(&other.0));
        found.into_iter().map(|(_, trial)| trial).collect::<Vec<_>>()
    };
    let rungs = [of_rung(0), of_rung(1), of_rung(2)];
    assert_eq!(rungs.each_ref().map(Vec::len), [4, 2, 1]);
    let mut promoted = rungs[1].clone();
    promoted.sort_unstable();
    let mut best = rungs[0][..2].to_vec();
    best.sort_unstable();
    assert_eq!(promoted, best, "{rungs:?}");
    assert_eq!(rungs[2][0], rungs[1][0], "{rungs:?}");
    // The whole way, in parts, is the whole way at once.
    let winner = &table["best"];
    assert_eq!((winner["trial"].as_u64(), winner["epochs"].as_u64()), (Some(rungs[2][0]), Some(4)));
    let again = ["train", "out/best.json", "--output-dir", "again", "--threads", "1"];
    let _ = work.run(&again).ends_with(0);
    assert_eq!(differences(&work.at("again"), &work.at(winner["directory"].as_str().unwrap())), [""; 0]);
}

#[test]
fn a_schedule_that_depends_on_the_rung_is_warned_of() {
    let work = Workplace::new();
    write(&work, &[("system.optimizer.class_name", json!("adamw"))], &halving(4));
    let warning = "warning[W0111]: the schedule of the learning rate is for the length of the run";
    let _ = sweep(&work, &["--dry-run"]).ends_with(0).says(&[warning, "base.json:1:", "set training_steps"]);
    let changes =
        [("system.optimizer.class_name", json!("adamw")), ("system.optimizer.training_steps", json!(16))];
    write(&work, &changes, &halving(4));
    let outcome = sweep(&work, &["--dry-run"]).ends_with(0);
    assert_eq!(outcome.stderr, "");
}

/// A sweep under way, in a process group of its own.
struct Running(Child, std::path::PathBuf);

impl Running {
    fn begin(work: &Workplace, arguments: &[&str]) -> Self {
        let said = work.at("said");
        let mut command = work.command(&[&["sweep", "sweep.json", "--threads", "1"], arguments].concat());
        command.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap()).process_group(0);
        Self(command.spawn().unwrap(), said)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(self.0.try_wait().unwrap().is_none(), "it ended before {what}: {}", self.said());
            assert!(begun.elapsed() < Duration::from_secs(240), "not {what} in time: {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(mut self) -> i32 {
        let status = self.0.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }
}

/// Processes that train in this workplace.
fn training(work: &Workplace) -> Vec<Pid> {
    let folder = work.at(".").canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let number = |entry: fs::DirEntry| {
        let there = fs::read_link(entry.path().join("cwd")).ok()? == folder;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let trains = command.split(|byte| *byte == 0).any(|word| word == b"train");
        (there && trains).then(|| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)).flatten()
    };
    processes.filter_map(number).collect()
}

/// Until the log of a trial tells of an epoch.
fn has_begun(work: &Workplace, trial: &str, epoch: u64) -> bool {
    let log = fs::read_to_string(work.at(&format!("out/trials/{trial}/events.jsonl"))).unwrap_or_default();
    log.contains(&format!("\"kind\":\"logged\",\"epoch\":{epoch}"))
}

#[test]
fn a_sweep_whose_processes_are_all_killed_goes_on_to_the_same_table() {
    let work = Workplace::new();
    let changes = [("trainer.epochs", json!(60))];
    write(&work, &changes, &grid());
    let whole = table(&sweep(&work, &["--output-dir", "whole"]).ends_with(0));
    let mut running = Running::begin(&work, &[]);
    running.wait_until("the third trial has begun", |_| has_begun(&work, "0003", 2));
    let group = Pid::from_child(&running.0);
    let trials_of_it = training(&work);
    assert!(!trials_of_it.is_empty());
    kill_process_group(group, Signal::KILL).unwrap();
    for pid in trials_of_it {
        let _ = kill_process(pid, Signal::KILL);
    }
    assert_eq!(running.end(), -9);
    let states = table(&sweep(&work, &["--status"]).ends_with(0));
    let states: Vec<_> = trials(&states).iter().map(|trial| trial["state"].clone()).collect();
    assert!(states.contains(&json!("finished")) && states.contains(&json!("interrupted")), "{states:?}");
    let resumed = sweep(&work, &["--resume"]).ends_with(0).says(&["trial 0003 goes on"]);
    let expected = trials(&whole);
    let found = trials(&table(&resumed));
    for (found, expected) in found.iter().zip(&expected) {
        for key in ["trial", "state", "values", "value", "epochs", "steps"] {
            assert_eq!(found[key], expected[key], "{key} of {found}");
        }
    }
    let finished = states.iter().position(|state| state == "finished").unwrap() as u64 + 1;
    assert_eq!(started(&work, finished), 1, "one that has ended is not run again");
}

#[test]
fn no_trial_outlives_the_sweep_and_one_that_is_killed_alone_goes_on() {
    let work = Workplace::new();
    write(&work, &[("trainer.epochs", json!(4000))], &grid());
    let mut running = Running::begin(&work, &[]);
    running
        .wait_until("two trials have begun", |_| has_begun(&work, "0001", 1) && has_begun(&work, "0002", 1));
    assert_eq!(training(&work).len(), 2);
    running.0.kill().unwrap();
    assert_eq!(running.end(), -9);
    let begun = Instant::now();
    while !training(&work).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "they are there still");
        thread::sleep(Duration::from_millis(20));
    }
    // They saved where they were, as after any signal.
    let events = fs::read_to_string(work.at("out/trials/0001/events.jsonl")).unwrap();
    assert!(events.contains("\"kind\":\"interrupted\""), "{events}");
}

#[test]
fn a_signal_has_the_trials_save_where_they_are_and_ends_with_75() {
    let work = Workplace::new();
    write(&work, &[("trainer.epochs", json!(4000))], &grid());
    let mut running = Running::begin(&work, &[]);
    running.wait_until("a trial has begun", |_| has_begun(&work, "0001", 3));
    kill_process(Pid::from_child(&running.0), Signal::TERM).unwrap();
    let begun = Instant::now();
    let said = running.1.clone();
    assert_eq!(running.end(), 75, "{}", fs::read_to_string(&said).unwrap());
    assert!(begun.elapsed() < Duration::from_secs(60));
    let said = fs::read_to_string(said).unwrap();
    assert!(
        said.contains("interrupted by SIGTERM: ") && said.contains("trial 0001 was interrupted"),
        "{said}"
    );
    assert!(said.contains("to go on: kiwi-host sweep sweep.json --threads 1 --resume"), "{said}");
    assert!(training(&work).is_empty());
    // Nothing of it was lost, and the sweep may be made shorter in no other way than by another one.
    let states = table(&sweep(&work, &["--status"]).ends_with(0));
    assert_eq!(trials(&states)[0]["state"], "interrupted");
    assert!(trials(&states)[0]["value"].is_f64(), "{states}");
    write(&work, &[("trainer.epochs", json!(4))], &grid());
    let _ = sweep(&work, &["--resume"]).ends_with(2).says(&["config.trainer.epochs was 4000, and is 4"]);
}

#[test]
fn time_that_is_up_ends_a_sweep_that_can_go_on() {
    let work = Workplace::new();
    let mut limited = grid();
    limited["max_hours"] = json!(0.0006);
    write(&work, &[("trainer.epochs", json!(4000))], &limited);
    let outcome = sweep(&work, &[]).ends_with(0).says(&[
        "the time is up: ",
        "to go on: kiwi-host sweep sweep.json --format json --threads 1 --resume",
    ]);
    let states: Vec<_> = trials(&table(&outcome)).iter().map(|trial| trial["state"].clone()).collect();
    assert!(states.iter().all(|state| state == "interrupted" || state == "waiting"), "{states:?}");
}

#[test]
fn a_trial_that_fails_is_told_and_the_others_go_on() {
    let work = Workplace::new();
    let parameters = json!({RATE: {"values": [0.01, 1e30]}});
    let file = json!({"method": "grid", "parameters": parameters});
    // So large a rate leaves no finite loss.
    write(&work, &[], &file);
    let outcome = sweep(&work, &[]).ends_with(0).says(&["trial 0001 ended: ", "trial 0002 failed: "]);
    let table = table(&outcome);
    let failed = &trials(&table)[1];
    assert_eq!((&failed["state"], &table["best"]["trial"]), (&json!("failed"), &json!(1)));
    assert!(failed["reason"].as_str().unwrap().contains("finite"), "{failed}");
    assert!(fs::read_to_string(work.at("out/logs/0002.log")).unwrap().contains("finite"));
    // It stays as it is, unless it is asked for again.
    let again = sweep(&work, &["--resume"]).ends_with(0);
    assert!(!again.stderr.contains("trial 0002"), "{again}");
    let _ = sweep(&work, &["--resume", "--retry-failed"])
        .ends_with(0)
        .says(&["trial 0002 goes on", "trial 0002 failed: "]);
    assert_eq!((started(&work, 1), started(&work, 2)), (1, 2));
    write(&work, &[], &json!({"method": "grid", "parameters": {RATE: {"values": [1e30]}}}));
    let _ = sweep(&work, &["--output-dir", "none"])
        .ends_with(1)
        .says(&["error[E0613]: the only trial has failed", "--retry-failed"]);
}

#[test]
fn everything_that_is_wrong_is_told_before_anything_runs() {
    let work = Workplace::new();
    let options = json!({"method": "grid", "parameters": {
        RATE: {"values": [0.01, -1.0]},
        "system.model.encoder.hiden_size": {"values": [8]},
        SIZE: {"values": [8, "large"]},
        "trainer.epoch": {"values": [1]},
    }});
    write(&work, &[], &options);
    let outcome = sweep(&work, &[]).ends_with(2).says(&[
        "invalid value for learning_rate",
        "parameters[\"system.optimizer.learning_rate\"].values[1]",
        "unknown key `epoch`",
        "parameters[\"trainer.epoch\"]",
        "did you mean `epochs`?",
    ]);
    assert!(!work.at("out").exists(), "{outcome}");
    // What only the components know is told too.
    write(
        &work,
        &[],
        &json!({"method": "grid", "parameters": {
        "system.model.encoder.hiden_size": {"values": [8]}, SIZE: {"values": [8, "large"]}}}),
    );
    let _ = sweep(&work, &[]).ends_with(2).says(&[
        "parameters[\"system.model.encoder.hiden_size\"]",
        "did you mean `hidden_size`?",
        "parameters[\"system.model.encoder.hidden_size\"].values[1]",
        "in trial 0002 (system.model.encoder.hidden_size = \"large\", system.model.encoder.hiden_size = 8)",
    ]);
    let class =
        json!({"method": "grid", "parameters": {"system.optimizer.class_name": {"values": ["adam", "adm"]}}});
    write(&work, &[], &class);
    let _ = sweep(&work, &[])
        .ends_with(3)
        .says(&["parameters[\"system.optimizer.class_name\"].values[1]", "did you mean `adam`?"]);
    write(&work, &[("data.train.input.source", json!("none.src"))], &grid());
    let missing = sweep(&work, &[]).ends_with(2).says(&["none.src cannot be read", "base.json:1:"]);
    assert_eq!(
        missing.stderr.matches("none.src cannot be read").count(),
        2,
        "once, and in the last line: {missing}"
    );
    let mut long = halving(4);
    long["min_epochs"] = json!(9);
    write(&work, &[("trainer.epochs", json!(4))], &long);
    let _ = sweep(&work, &[]).ends_with(2).says(&["min_epochs is the whole way already", "sweep.json:"]);
    write(&work, &[], &json!({"method": "grid", "devices": [7], "parameters": {RATE: {"values": [0.01]}}}));
    let gpu = sweep(&work, &[]);
    assert!(gpu.code == Some(2) && gpu.stderr.contains("GPU"), "{gpu}");
    work.write("sweep.json", "{\"config\": \"base.json\",\n \"method\": \"grid\",\n \"paralel\": 2}");
    let _ = sweep(&work, &[]).ends_with(2).says(&[
        "unknown key `paralel`",
        "sweep.json:3:2",
        "did you mean `parallel`?",
        "parameters is required",
    ]);
    let _ = work
        .run(&["sweep", "swep.json"])
        .ends_with(2)
        .says(&["there is no sweep file `swep.json`", "did you mean `sweep.json`?"]);
    write(&work, &[], &grid());
    let _ = sweep(&work, &["--resume"]).ends_with(2).says(&["there is no sweep in the directory"]);
    let _ = sweep(&work, &["--status"]).ends_with(2).says(&["there is no sweep in the directory"]);
    work.write("out/mine.txt", "mine");
    let _ = sweep(&work, &[]).ends_with(2).says(&["in use already"]);
    assert_eq!(fs::read_to_string(work.at("out/mine.txt")).unwrap(), "mine");
}

#[test]
fn two_sweeps_are_not_at_work_in_one_directory() {
    let work = Workplace::new();
    write(&work, &[("trainer.epochs", json!(4000))], &grid());
    let mut running = Running::begin(&work, &[]);
    running.wait_until("a trial has begun", |_| has_begun(&work, "0001", 0));
    let _ = sweep(&work, &["--resume"])
        .ends_with(2)
        .says(&["another process is at work in the directory of the sweep"]);
    let states = table(&sweep(&work, &["--status"]).ends_with(0));
    assert_eq!(trials(&states)[0]["state"], "running");
    let page = sweep(&work, &["--report"]).ends_with(0);
    assert_eq!(page.stdout, "out/report.html\n");
    kill_process(Pid::from_child(&running.0), Signal::INT).unwrap();
    assert_eq!(running.end(), 75);
}

#[test]
fn a_study_of_optuna_drives_runs_and_prunes_them() {
    let Some(mut python) = kiwi_tests::python::optuna() else { return };
    let work = Workplace::new();
    work.write("config.json", &config_with(&[("trainer.epochs", json!(3))]).to_string());
    let script = kiwi_tests::built::root().join("examples/optuna/search.py");
    python
        .arg(script)
        .args(["config.json", "--trials", "5", "--output-dir", "study", "--program"])
        .arg(kiwi_tests::built::program())
        .env("LIBTORCH", kiwi_tests::built::libtorch())
        .current_dir(work.at("."));
    let outcome = Outcome::of(&mut python).ends_with(0);
    let best: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let run = work.at(best["run"].as_str().unwrap());
    let summary: Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["best"]["value"], best["value"], "{best}");
    let config: Value = serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["system"]["optimizer"]["learning_rate"], best["values"]["learning_rate"]);
}

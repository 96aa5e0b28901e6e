//! Runs in several processes of which one is killed at random moments, or the program that started them, again and again until they
//! end: nothing is left behind, nobody waits, and each run ends in the bytes of the run that nothing happened to. A few moments a test;
//! `KIWI_CAMPAIGN=50` takes so many, `KIWI_CAMPAIGN_SEED` others.

use std::time::{Duration, Instant};

use kiwi_tests::interrupted::differences;
use kiwi_tests::moments::{Random, number};
use kiwi_tests::ranks::{Ranks, kill, processes_with, ranks_with};
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// All processes of a run are gone within this time of the first that is killed.
const SOON: Duration = Duration::from_secs(30);

/// Dropout, random order, steps of several batches, a validation and so a save every five.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("trainer.epochs", json!(8)),
        ("trainer.batch_order", json!("bucketed")),
        ("trainer.gradient_accumulation_steps", json!(3)),
        ("trainer.checkpoint.validation_steps", json!(5)),
        ("trainer.checkpoint.resume_interval", json!(2)),
        ("system.model.encoder.hidden_size", json!(48)),
        ("system.model.encoder.dropout", json!(0.3)),
    ]
}

/// A run in so many processes, started by the program itself.
fn begin(work: &Workplace, ranks: &str, output: &str, resume: bool) -> Ranks {
    let mut arguments = vec!["train", "run.json", "--output-dir", output, "--threads", "1", "--nproc", ranks];
    arguments.extend(resume.then_some("--resume"));
    Ranks::start(vec![work.command(&arguments)], work, output)
}

#[test]
fn runs_of_which_a_process_is_killed_at_random_moments_end_in_the_same_bytes() {
    let work = Workplace::new();
    work.write("run.json", &config_with(&changes()).to_string());
    let moments = number("KIWI_CAMPAIGN").unwrap_or(3);
    let mut random = Random::new();
    let (mut done, mut runs, mut resumed, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut references: Vec<(String, Duration)> = Vec::new();
    while done < moments {
        let ranks = ["2", "3", "2", "4"][runs % 4];
        // Unlike any argument of a process that is none of this run.
        let reference = format!("{}-reference-by-{ranks}", std::process::id());
        if !references.iter().any(|(name, _)| *name == reference) {
            let started = Instant::now();
            assert_eq!(begin(&work, ranks, &reference, false).end(), [0]);
            references.push((reference.clone(), started.elapsed()));
        }
        let time = references.iter().find(|(name, _)| *name == reference).map(|(_, time)| *time).unwrap();
        let name = format!("{}-run-{runs}", std::process::id());
        loop {
            let begun = work.at(&name).join("config.json").is_file();
            resumed += u64::from(begun);
            let mut running = begin(&work, ranks, &name, begun);
            if done < moments {
                std::thread::sleep(Duration::from_millis(20) + time.mul_f64(random.draw()));
                // One of the ranks, or in one of five cases who started them.
                let others = ranks_with(&name);
                let (who, process) = match others.get((random.draw() * 1.25 * others.len() as f64) as usize) {
                    Some((rank, process)) => (format!("rank {rank}"), *process),
                    None => ("the program".to_owned(), running.process(0)),
                };
                let killed = Instant::now();
                kill(process);
                let codes = running.end_within(SOON);
                while !processes_with(&name).is_empty() {
                    let left = processes_with(&name);
                    assert!(
                        killed.elapsed() < SOON,
                        "{who} was killed, {left:?} live: {}",
                        running.all_said()
                    );
                    std::thread::sleep(Duration::from_millis(5));
                }
                slowest = slowest.max(killed.elapsed());
                done += 1;
                // It may have been over by then.
                if codes != [0] {
                    let said = running.said(0);
                    let named = codes == [-9] || said.contains("was ended by SIGKILL");
                    assert!(named, "{who} was killed, {codes:?}: {said}");
                    continue;
                }
            }
            assert_eq!(running.end(), [0], "{}", running.all_said());
            break;
        }
        assert_eq!(differences(&work.at(&reference), &work.at(&name)), [""; 0], "run {runs}");
        runs += 1;
    }
    println!(
        "{done} processes killed in {runs} runs of 2 to 4, resumed {resumed} times, all ended in the same bytes; the slowest end took {slowest:?}"
    );
}

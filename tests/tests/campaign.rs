//! Runs that are killed, signalled or short of room at random moments, again and again until they end: each ends in the bytes of the
//! run that nothing happened to. A few moments a test; `KIWI_CAMPAIGN=100` takes so many, `KIWI_CAMPAIGN_SEED` others.

use std::time::{Duration, Instant};

use kiwi_tests::interrupted::{differences, results};
use kiwi_tests::moments::{Random, number};
use kiwi_tests::small_disk::with_small_disk;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// Dropout, random order, steps of several batches, a validation and so a save every five.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("trainer.epochs", json!(8)),
        ("trainer.batch_order", json!("bucketed")),
        ("trainer.gradient_accumulation_steps", json!(3)),
        ("trainer.checkpoint.validation_steps", json!(5)),
        ("trainer.checkpoint.save_top_k", json!(2)),
        ("system.model.encoder.hidden_size", json!(48)),
        ("system.model.encoder.rnn_layers", json!(2)),
        ("system.model.encoder.dropout", json!(0.3)),
        ("system.model.encoder.embeddings.source.dropout", json!(0.2)),
        ("system.optimizer", json!({"class_name": "adamw", "learning_rate": 0.01, "warmup_steps": 0.2})),
    ]
}

/// The run that nothing happens to, and how long it takes.
fn reference(work: &Workplace) -> Duration {
    let started = Instant::now();
    let _ = work.train("reference", &changes());
    started.elapsed()
}

/// Ends runs by one of these signals until there were so many moments.
fn campaign(moments: u64, signals: &[&str], codes: &[i32]) {
    let work = Workplace::new();
    let time = reference(&work);
    let mut random = Random::new();
    let (mut done, mut runs, mut resumed) = (0, 0, 0);
    let mut slowest = Duration::ZERO;
    while done < moments {
        let name = format!("run-{runs}");
        loop {
            let begun = work.at(&name).join("config.json").is_file();
            let arguments: &[&str] = if begun { &["--resume"] } else { &[] };
            resumed += u64::from(begun);
            let mut running = work.begin(&name, &changes(), arguments);
            if done < moments && !running.ends_within(Duration::from_millis(20) + time.mul_f64(random.draw()))
            {
                let signal = signals[(random.draw() * signals.len() as f64) as usize];
                let sent = Instant::now();
                running.signal(signal);
                let code = running.end();
                slowest = slowest.max(sent.elapsed());
                done += 1;
                assert!(codes.contains(&code) || code == 0, "{code} after {signal}: {}", running.said());
                if code != 0 {
                    continue;
                }
            }
            assert_eq!(running.end(), 0, "{}", running.said());
            break;
        }
        assert_eq!(
            differences(&work.at("reference"), &work.at(&name)),
            [""; 0],
            "run {runs} of {moments} moments"
        );
        runs += 1;
    }
    println!(
        "{done} moments ({}) in {runs} runs, resumed {resumed} times, all ended in the same bytes; the slowest end took {slowest:?}",
        signals.join(", ")
    );
}

#[test]
fn runs_killed_at_random_moments_end_in_the_same_bytes() {
    campaign(number("KIWI_CAMPAIGN").unwrap_or(4), &["KILL"], &[-9]);
}

#[test]
fn runs_signalled_at_random_moments_end_in_the_same_bytes() {
    campaign(number("KIWI_CAMPAIGN").unwrap_or(4), &["TERM", "INT", "USR1"], &[75, 130]);
}

#[test]
fn runs_whose_disk_fills_up_at_random_moments_end_in_the_same_bytes() {
    let work = Workplace::new();
    let time = reference(&work);
    let mut random = Random::new();
    work.write("run.json", &config_with(&changes()).to_string());
    let moments = number("KIWI_CAMPAIGN").unwrap_or(2);
    let mut compared = 0;
    for moment in 0..moments {
        let script = format!(
            "\"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
             sleep {:.3}
             cat /dev/zero > small/filler 2>/dev/null
             sleep {:.3}
             rm small/filler
             wait $pid; code=$?
             cat said >&2
             rm -rf copy; cp -r small/run copy || echo no copy
             exit $code",
            time.mul_f64(random.draw()).as_secs_f64(),
            time.mul_f64(random.draw()).as_secs_f64()
        );
        let Some(outcome) = with_small_disk(&work, 16 << 10, &script) else { return };
        if outcome.code == Some(2) {
            // The disk was full before the directory of the run was there, or its config.
            let _ = outcome.says(&["run.output_dir"]);
            continue;
        }
        let outcome = outcome.ends_with(0);
        assert_eq!(results(&work.at("reference")), results(&work.at("copy")), "moment {moment}: {outcome}");
        compared += 1;
    }
    println!(
        "{moments} moments at which the disk fills up: {compared} ended in the same bytes, the others had not begun and said so"
    );
}

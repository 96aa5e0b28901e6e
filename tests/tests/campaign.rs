//! Runs that are killed, signalled or short of room at random moments, again and again until they end: each ends in the bytes of the
//! run that nothing happened to. A few moments a test; `KIWI_CAMPAIGN=100` takes so many, `KIWI_CAMPAIGN_SEED` others.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use kiwi_tests::built;
use kiwi_tests::interrupted::{differences, results};
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Draws numbers below 1.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(number("KIWI_CAMPAIGN_SEED").unwrap_or(1))
    }

    /// The linear congruential generator of Knuth's MMIX: any will do.
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

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
    for moment in 0..number("KIWI_CAMPAIGN").unwrap_or(2) {
        fs::create_dir_all(work.at("small")).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=16M tmpfs small || exit 99
             \"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
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
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", &script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", work.at("home"))
            .env("LIBTORCH", built::libtorch())
            .env("PROGRAM", built::program())
            .current_dir(work.at(""));
        let outcome = Outcome::of(&mut command);
        if outcome.code == Some(99) || outcome.stderr.contains("unshare failed") {
            println!("skipped: no small disk can be mounted here (unshare -rm, mount -t tmpfs)");
            return;
        }
        let outcome = match outcome.code {
            // The disk was full before the directory of the run was there, or its config.
            Some(2) => outcome.says(&["run.output_dir"]),
            _ => outcome.ends_with(0),
        };
        if outcome.code == Some(0) {
            assert_eq!(
                results(&work.at("reference")),
                results(&work.at("copy")),
                "moment {moment}: {outcome}"
            );
        }
    }
}

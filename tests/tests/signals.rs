//! Signals in every phase of a run: it reacts at once, saves where it is, and says how to go on.

use std::fs::{self, DirEntry};
use std::time::Duration;

use kiwi_tests::interrupted::differences;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn long() -> Vec<(&'static str, Value)> {
    vec![("trainer.epochs", json!(400)), ("trainer.log_interval", json!(1))]
}

#[test]
fn the_command_that_is_told_goes_on() {
    let work = Workplace::new();
    for signal in ["TERM", "INT", "USR1"] {
        let name = format!("run {signal}");
        let mut running = work.begin(&name, &long(), &["--set", "trainer.epochs=300"]);
        running.wait_for("epoch 1 step");
        running.signal(signal);
        assert_eq!(running.end(), 75, "{}", running.said());
        let said = running.said();
        assert!(said.contains(&format!("interrupted by SIG{signal} after")), "{said}");
        let command = said.lines().find_map(|line| line.strip_prefix("to go on: ")).expect("how to go on");
        assert_eq!(
            command,
            format!(
                "kiwi-host train 'run {signal}.json' --set trainer.epochs=300 --threads 1 --output-dir 'run {signal}' --resume"
            )
        );
        let arguments = [
            &format!("{name}.json"),
            "--set",
            "trainer.epochs=3",
            "--threads",
            "1",
            "--output-dir",
            &name,
            "--resume",
        ];
        let _ = work.run(&[&["train"][..], &arguments].concat()).ends_with(0).says(&["goes on after"]);
    }
    let whole = work.train("whole", &[("trainer.epochs", json!(3))]);
    assert_eq!(differences(&whole.directory, &work.at("run INT")), [""; 0]);
}

#[test]
fn a_long_validation_is_left_at_once_and_made_up_for() {
    let work = Workplace::new();
    let line = |side: &str| format!("{}\n", [side; 6].join(" ")).repeat(20_000);
    work.write("valid.src", &line("s1"));
    work.write("valid.tgt", &line("t1"));
    let few = [("trainer.epochs", json!(1)), ("system.batch_size.valid", json!(16))];
    let whole = work.train("whole", &few);
    let mut running = work.begin("stopped", &few, &[]);
    running.wait_for("epoch 0 step 8");
    let _ = running.ends_within(Duration::from_millis(300));
    running.signal("TERM");
    assert_eq!(running.end(), 75, "{}", running.said());
    assert!(!running.said().contains("validation at step"), "{}", running.said());
    let mut resumed = work.begin("stopped", &few, &["--resume"]);
    assert_eq!(resumed.end(), 0);
    assert!(resumed.said().contains("epoch 0 validation at step 8"), "{}", resumed.said());
    assert_eq!(differences(&whole.directory, &work.at("stopped")), [""; 0]);
}

#[test]
fn before_training_there_is_nothing_to_save() {
    let work = Workplace::new();
    // Long enough to be read for some time.
    let side = |letter: char| {
        let word = |n: usize| format!("{letter}{}", n * 7919 % 100_003);
        let line = |n: usize| (0..20).map(|i| word(n * 20 + i)).collect::<Vec<_>>().join(" ") + "\n";
        (0..150_000).map(line).collect::<String>()
    };
    work.write("train.src", &side('s'));
    work.write("train.tgt", &side('t'));
    let mut running = work.begin("run", &long(), &[]);
    let _ = running.ends_within(Duration::from_millis(400));
    running.signal("TERM");
    assert_eq!(running.end(), 130, "{}", running.said());
    assert!(running.said().contains("interrupted by SIGTERM before training began"), "{}", running.said());
    assert!(!work.at("run").exists());
}

#[test]
fn a_second_signal_leaves_at_once() {
    let work = Workplace::new();
    let mut running = work.begin("run", &long(), &[]);
    // The second signal may come before the first has led to a resume point. With the second of those, it is known of the first.
    let points = work.at("run/resume");
    let is_saved = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("after-");
    running.wait_until("two resume points", || {
        fs::read_dir(&points).is_ok_and(|files| files.flatten().filter(is_saved).count() > 1)
    });
    running.signal("TERM");
    running.signal("INT");
    let code = running.end();
    assert!(code == 75, "{code}: {}", running.said());
    let mut resumed = work.begin("run", &[("trainer.epochs", json!(4))], &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    let whole = work.train("whole", &[("trainer.epochs", json!(4))]);
    assert_eq!(differences(&whole.directory, &work.at("run")), [""; 0]);
}

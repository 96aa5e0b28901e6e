//! A disk that is full: the run goes on, says what it needs, writes once it can, and loses nothing that it had.

use std::fs;
use std::process::Command;

use kiwi_tests::built;
use kiwi_tests::interrupted::results;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// Runs a script in which `small` is a disk of this size and `run ARGUMENTS` the program; nothing, where that is not possible.
fn with_small_disk(work: &Workplace, kibibytes: u32, script: &str) -> Option<Outcome> {
    fs::create_dir_all(work.at("small")).unwrap();
    let possible = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1M tmpfs \"$1\"", "sh"])
        .arg(work.at("small"))
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: no small disk can be mounted here (unshare -rm, mount -t tmpfs)");
        return None;
    }
    let mut command = Command::new("unshare");
    let mount = format!("mount -t tmpfs -o size={kibibytes}k tmpfs small || exit 99\n");
    let run = "run() { \"$PROGRAM\" train run.json --threads 1 --output-dir small/run \"$@\"; }\n";
    command
        .args(["-rm", "sh", "-c", &format!("{mount}{run}{script}")])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", work.at("home"))
        .env("LIBTORCH", built::libtorch())
        .env("PROGRAM", built::program())
        .current_dir(work.at(""));
    Some(Outcome::of(&mut command))
}

fn write_config(work: &Workplace, changes: &[(&str, Value)]) {
    work.write("run.json", &config_with(changes).to_string());
}

#[test]
fn a_run_that_finds_no_room_at_all_says_what_it_needs_and_fails_at_the_end() {
    let work = Workplace::new();
    write_config(&work, &[]);
    let Some(outcome) = with_small_disk(&work, 48, "run; code=$?; ls -A small/run/checkpoints; exit $code")
    else {
        return;
    };
    let outcome = outcome.ends_with(1).says(&[
        "warning: what is to be kept cannot be written",
        "it needs ",
        " bytes and the file system has ",
        "training goes on, and writing is tried again",
        "epoch 1 validation at step 16",
        "error: training is done, but what is to be kept cannot be written",
    ]);
    assert_eq!(outcome.stdout, "", "no half of a file is left");
}

#[test]
fn what_was_never_written_is_neither_ranked_nor_promised() {
    let work = Workplace::new();
    write_config(&work, &[("trainer.epochs", json!(40)), ("trainer.checkpoint.save_top_k", json!(-1))]);
    // Little room at first, and then enough.
    let script = "\"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
        until grep -q 'is lost: it waited to be written' said; do kill -0 $pid || break; sleep 0.02; done
        mount -o remount,size=64M small
        wait $pid; code=$?
        cat said >&2
        for file in $(sed -n 's/.*\"file\": \"\\(.*\\)\",/\\1/p' small/run/checkpoints/index.json); do
            test -f small/run/$file || echo \"missing: $file\"
        done
        exit $code";
    let Some(outcome) = with_small_disk(&work, 300, script) else { return };
    let outcome = outcome.ends_with(0).says(&["is lost: it waited to be written"]);
    assert_eq!(outcome.stdout, "");

    // A signal while the disk is full does not promise what is not there, nor wait long.
    let script = "\"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
        until grep -q 'cannot be written' said; do kill -0 $pid || break; sleep 0.02; done
        kill -TERM $pid
        wait $pid; code=$?
        cat said >&2
        exit $code";
    let Some(outcome) = with_small_disk(&work, 48, script) else { return };
    let outcome =
        outcome.ends_with(130).says(&["no resume point could be written", "there is no resume point"]);
    assert!(!outcome.stderr.contains("a resume point is saved"), "{outcome}");
}

#[test]
fn what_is_there_outlives_a_full_disk_and_what_waits_is_written_once_there_is_room() {
    let work = Workplace::new();
    write_config(&work, &[("trainer.epochs", json!(30))]);
    let whole = work.train("whole", &[("trainer.epochs", json!(30))]);
    // The disk is filled up in the midst of the run, and room is made again once that was said.
    let script = "\"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
        until grep -q 'epoch 1 validation' said; do sleep 0.02; done
        cat /dev/zero > small/filler 2>/dev/null
        until grep -q 'cannot be written' said; do kill -0 $pid || break; sleep 0.02; done
        ls small/run/checkpoints/*.safetensors small/run/resume/*.safetensors >&2
        rm small/filler
        wait $pid; code=$?
        cat said >&2
        cp -r small/run copy
        exit $code";
    let Some(outcome) = with_small_disk(&work, 2048, script) else { return };
    let _ = outcome.ends_with(0).says(&[
        "small/run/checkpoints/model_epoch=",
        "small/run/resume/after-",
        "what is to be kept cannot be written",
        "what could not be written is written now",
    ]);
    assert_eq!(results(&whole.directory), results(&work.at("copy")));
}

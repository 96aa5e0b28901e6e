//! A disk that is full: the run goes on, says what it needs, writes once it can, and loses nothing that it had.

use kiwi_tests::interrupted::results;
use kiwi_tests::small_disk::with_small_disk;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

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
        "warning[W0603]: what is to be kept cannot be written",
        "it needs ",
        " bytes and the file system has ",
        "training goes on, and writing is tried again",
        "epoch 1 validation at step 16",
        "error[E0603]: training is done, but what is to be kept cannot be written",
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
    let script = ": > said
        \"$PROGRAM\" train run.json --threads 1 --output-dir small/run 2>said & pid=$!
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
        until grep -q 'what is to be kept cannot be written' said; do kill -0 $pid || break; sleep 0.02; done
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

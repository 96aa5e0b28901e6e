//! Jobs that are killed, interrupted and gone on with.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kiwi_tests::toy_corpus::ToyCorpus;
use kiwi_tests::workplace::Workplace;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{BIG, begin, big, files, read, score, system};

/// The pair that a job is saved at.
fn saved(work: &Workplace, first: &str) -> u64 {
    let text = fs::read(work.at(&format!("{first}.progress"))).unwrap_or_default();
    serde_json::from_slice::<Value>(&text).unwrap_or_default()["next_pair"].as_u64().unwrap_or(0)
}

/// Waits until something is so, or the process has ended.
#[track_caller]
fn wait_until(child: &mut Child, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && !is_so() {
        assert!(started.elapsed() < Duration::from_secs(200), "it takes too long");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Pairs of corpora, of which the larger are for machines that are done with the smaller before they can be interrupted.
const MANY: [usize; 3] = [15_000, 60_000, 240_000];

#[test]
fn a_job_that_is_killed_or_interrupted_goes_on_to_the_same_bytes() {
    assert!(MANY.into_iter().any(is_cut_and_goes_on), "it is always too quick to be interrupted");
}

/// Kills and interrupts jobs and goes on with them. Whether each signal found its job at work.
fn is_cut_and_goes_on(pairs: usize) -> bool {
    let work = Workplace::new();
    let system = system(&work);
    big(&work, pairs);
    let job = |name: &str| -> Vec<String> {
        let own = [("--keep-source", "src"), ("--keep-target", "tgt"), ("-o", "tsv")];
        let own = own.iter().flat_map(|(option, ending)| [(*option).to_owned(), format!("{name}.{ending}")]);
        let rest = ["--threshold", "7", "--format", "tsv"].map(str::to_owned);
        BIG.map(str::to_owned).into_iter().chain(rest).chain(own).collect()
    };
    let as_given = |arguments: &[String], more: &[&str]| -> Vec<String> {
        arguments.iter().cloned().chain(more.iter().map(|more| (*more).to_owned())).collect()
    };
    let run = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        score(&work, &system, &arguments)
    };
    let _ = run(&job("whole")).ends_with(0);
    let results = |name: &str| ["src", "tgt", "tsv"].map(|ending| read(&work, &format!("{name}.{ending}")));
    let whole = results("whole");
    assert!(!whole[0].is_empty() && whole[0].len() < read(&work, "big.src").len(), "some are kept");
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let name = format!("cut{}", signal.as_raw());
        let arguments = job(&name);
        let mut rounds = 0;
        loop {
            let more: &[&str] = if rounds == 0 { &[] } else { &["--resume"] };
            let all = as_given(&arguments, more);
            let mut child = begin(&work, &system, &all.iter().map(String::as_str).collect::<Vec<_>>());
            // Until something is saved that was not before, or it is done.
            let before = saved(&work, &format!("{name}.src"));
            // Later rounds are left to end.
            wait_until(&mut child, || rounds < 2 && saved(&work, &format!("{name}.src")) > before);
            let ended = child.try_wait().unwrap();
            if let Some(status) = ended {
                assert_eq!(status.code(), Some(0), "{name}, round {rounds}");
                break;
            }
            // What was saved may have been that it is done.
            let named = fs::read(work.at(&format!("{name}.src")));
            assert!(named.is_err() || named.unwrap() == whole[0], "nothing half-made under its own name");
            kill_process(Pid::from_child(&child), signal).unwrap();
            let output = child.wait_with_output().unwrap();
            if output.status.code() == Some(0) {
                break;
            }
            rounds += 1;
            if signal != Signal::KILL {
                let said = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(75), "{said}");
                assert!(said.contains("to go on: the same command with --resume"), "{said}");
            }
        }
        if rounds == 0 {
            return false;
        }
        assert_eq!(results(&name), whole, "{name} after {rounds} rounds");
        assert_eq!(files(&work, &name).len(), 3, "{:?}", files(&work, &name));
    }
    // What is done is not done again, and not overwritten.
    let _ = run(&as_given(&job("whole"), &["--resume"])).ends_with(0).says(&["nothing to do"]);
    let _ = run(&job("whole")).ends_with(2).says(&["whole.src exists already"]);
    true
}

#[test]
fn what_was_begun_is_gone_on_with_only_by_its_own_command() {
    let work = Workplace::new();
    let system = system(&work);
    let keep = ["--threshold", "7", "--keep-source", "clean.src"];
    let all = [&BIG[..], &keep].concat();
    let progress = work.at("clean.src.progress");
    let is_killed = |pairs| {
        big(&work, pairs);
        let _ = fs::remove_file(work.at("clean.src"));
        let mut child = begin(&work, &system, &all);
        wait_until(&mut child, || progress.exists() && work.at("clean.src.partial").exists());
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait().unwrap();
        progress.exists()
    };
    assert!(MANY.into_iter().any(is_killed), "it always ends before it is killed");
    let before = (read(&work, "clean.src.progress"), read(&work, "clean.src.partial"));
    let _ = score(&work, &system, &all)
        .ends_with(2)
        .says(&["a job that writes clean.src is not finished", "--resume"]);
    let other = ["--threshold", "4", "--keep-source", "clean.src", "--resume"];
    let _ = score(&work, &system, &[&BIG[..], &other].concat()).ends_with(2).says(&[
        "what was begun is not what is asked for now",
        "rule: {\"threshold\":7.0} then, {\"threshold\":4.0} now",
    ]);
    let sized = [&all[..], &["--resume", "--batch-size", "7"]].concat();
    let _ = score(&work, &system, &sized).ends_with(2).says(&["batch_size: 32 then, 7 now"]);
    let corpus = String::from_utf8(read(&work, "big.src")).unwrap();
    work.write("big.src", &corpus.replacen("the", "a", 1));
    let _ = score(&work, &system, &[&all[..], &["--resume"]].concat()).ends_with(2).says(&["corpus: "]);
    assert_eq!(
        before,
        (read(&work, "clean.src.progress"), read(&work, "clean.src.partial")),
        "nothing was touched"
    );
    work.write("clean.src.progress", "{\"job\": 1");
    let _ = score(&work, &system, &[&all[..], &["--resume"]].concat())
        .ends_with(2)
        .says(&["clean.src.progress cannot be gone on from"]);
}

#[test]
fn a_stream_is_gone_on_with_if_it_is_the_same() {
    let work = Workplace::new();
    let system = system(&work);
    let corpus = ToyCorpus::generate(3000, 6);
    let lines: String =
        corpus.source.iter().zip(&corpus.target).map(|(a, b)| format!("{a}\t{b}\n")).collect();
    let job = |name: &str| ["--input", "-", "--threshold", "7", "--keep", name].map(str::to_owned);
    let begin = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command =
            work.command(&[&["score", system.to_str().unwrap(), "--threads", "1"], &arguments[..]].concat());
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let whole = |arguments: &[String], text: &str| {
        let mut child = begin(arguments);
        // It may end before it has read all.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(whole(&job("whole.tsv"), &lines).0, Some(0));
    // One that stops to come: what was done until then is saved when a signal comes.
    let mut child = begin(&job("part.tsv"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&lines.as_bytes()[..lines.len() / 2]).unwrap();
    wait_until(&mut child, || saved(&work, "part.tsv") > 0);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    drop(stdin);
    let resumed: Vec<String> = job("part.tsv").into_iter().chain(["--resume".to_owned()]).collect();
    let (code, said) = whole(&resumed, &lines.replacen("the", "a", 1));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("standard input is not what was read before"), "{said}");
    let (code, said) = whole(&resumed, &lines);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(read(&work, "part.tsv"), read(&work, "whole.tsv"));
}

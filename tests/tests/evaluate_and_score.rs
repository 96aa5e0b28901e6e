//! `kiwi-host evaluate` and `kiwi-host score` of a trained system: the same figures as its training told of, pair by pair and in sum.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::toy_corpus::text;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{VALIDATION_PAIRS, Workplace};
use serde_json::{Value, json};

fn trained(work: &Workplace) -> Trained {
    work.train("run", &[("trainer.epochs", json!(3)), ("system.metrics", json!(["NLL"]))])
}

/// `evaluate` or `score` of a system on `NAME.src` and `NAME.tgt`.
#[track_caller]
fn run(work: &Workplace, command: &str, system: &Path, corpus: &str, more: &[&str]) -> Outcome {
    let (source, target) = (format!("{corpus}.src"), format!("{corpus}.tgt"));
    let fixed =
        [command, system.to_str().unwrap(), "--source", &source, "--target", &target, "--threads", "1"];
    work.run(&[&fixed[..], more].concat())
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found}, expected {expected}");
}

#[test]
fn evaluation_repeats_the_figures_of_the_validation() {
    let work = Workplace::new();
    let run_of_training = trained(&work);
    let best = run_of_training.validations().into_iter().rfind(|v| v.best).unwrap();
    // In the batches of the validation, since the loss is a mean over batches.
    let human =
        run(&work, "evaluate", &run_of_training.best(), "valid", &["--batch-size", "16"]).ends_with(0);
    assert_eq!(human.stderr, "");
    let mut names = Vec::new();
    for line in human.stdout.lines() {
        let (name, value) = line.split_once(char::is_whitespace).unwrap();
        names.push(name);
        match name {
            "pairs" => assert_eq!(value.trim(), VALIDATION_PAIRS.to_string()),
            name => assert_eq!(value.trim(), best.values[&format!("val_{name}")], "{name}"),
        }
    }
    // The head's own metrics; those that the config of the training added are not the system's.
    assert_eq!(names, ["pairs", "loss", "target_PERP", "target_ExpErr", "target_CORRECT"]);

    let format = ["--batch-size", "16", "--format", "json"];
    let json = run(&work, "evaluate", &run_of_training.best(), "valid", &format).ends_with(0);
    let [figures] = &lines(&json)[..] else { panic!("one line: {json}") };
    assert_eq!(figures["pairs"], 40);
    close(figures["loss"].as_f64().unwrap(), best.value("val_loss"), 1e-4);
    let metrics = figures["metrics"].as_object().unwrap();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["target_CORRECT", "target_ExpErr", "target_PERP"]);
    for (name, value) in metrics {
        close(value.as_f64().unwrap(), best.value(&format!("val_{name}")), 1e-4);
    }
    assert_eq!(
        metrics["target_PERP"],
        run_of_training.index()["best_value"],
        "not only to the digits printed"
    );
}

#[test]
fn scores_are_those_of_the_words_in_the_order_of_the_corpus() {
    let work = Workplace::new();
    let system = trained(&work).best();
    let scored = run(&work, "score", &system, "valid", &[]).ends_with(0);
    assert_eq!(scored.stderr, "");
    let scores = lines(&scored);
    assert_eq!(scores.len(), VALIDATION_PAIRS);
    let (mut total, mut words_in_all) = (0.0, 0.0);
    for (index, (score, line)) in scores.iter().zip(&work.valid.target).enumerate() {
        assert_eq!(score["pair"], index + 1);
        let words: Vec<_> =
            score["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words.join(" "), *line);
        let of_words: Vec<f64> =
            score["word_nll"].as_array().unwrap().iter().map(|nll| nll.as_f64().unwrap()).collect();
        assert_eq!(of_words.len(), words.len());
        assert!(of_words.iter().all(|nll| *nll >= 0.0), "{of_words:?}");
        let sum: f64 = of_words.iter().sum();
        close(score["nll"].as_f64().unwrap(), sum, 1e-9);
        close(score["perplexity"].as_f64().unwrap(), (sum / words.len() as f64).exp(), 1e-9);
        total += sum;
        words_in_all += words.len() as f64;
    }
    let evaluated = run(&work, "evaluate", &system, "valid", &["--format", "json"]).ends_with(0);
    let figures = &lines(&evaluated)[0];
    close(figures["metrics"]["target_PERP"].as_f64().unwrap(), f64::exp(total / words_in_all), 1e-5);
    // 40 pairs in batches of 32 are two.
    close(figures["loss"].as_f64().unwrap(), total / 2.0, 1e-5);
}

#[test]
fn the_size_of_batches_does_not_matter() {
    let work = Workplace::new();
    let system = trained(&work).best();
    let by = |size: &str| lines(&run(&work, "score", &system, "valid", &["--batch-size", size]).ends_with(0));
    let (one, seven) = (by("1"), by("7"));
    assert_eq!(one.len(), seven.len());
    for (one, seven) in one.iter().zip(&seven) {
        assert_eq!((&one["pair"], &one["words"]), (&seven["pair"], &seven["words"]));
        for (a, b) in one["word_nll"].as_array().unwrap().iter().zip(seven["word_nll"].as_array().unwrap()) {
            assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-4, "{one} {seven}");
        }
    }
    let metrics = |size: &str| {
        let more = ["--batch-size", size, "--format", "json"];
        lines(&run(&work, "evaluate", &system, "valid", &more).ends_with(0))[0]["metrics"].clone()
    };
    let (one, all) = (metrics("1"), metrics("64"));
    for (name, value) in one.as_object().unwrap() {
        close(value.as_f64().unwrap(), all[name].as_f64().unwrap(), 1e-4);
    }
}

#[test]
fn empty_lines_and_odd_words_are_pairs_too() {
    let work = Workplace::new();
    let system = trained(&work).best();
    let source = ["the cat sees a dog .", "", "the lamp follows the river .", ""].map(str::to_owned);
    let target = ["", "la katuta", "la lumita <eos> zebruta vidat .", ""].map(str::to_owned);
    work.write("odd.src", &text(&source));
    work.write("odd.tgt", &text(&target));
    for size in ["1", "4"] {
        let scores = lines(&run(&work, "score", &system, "odd", &["--batch-size", size]).ends_with(0));
        assert_eq!(scores.len(), 4);
        for index in [0, 3] {
            assert_eq!(scores[index]["words"], json!([]));
            assert_eq!((&scores[index]["nll"], &scores[index]["perplexity"]), (&json!(0.0), &Value::Null));
        }
        assert_eq!(scores[1]["words"], json!(["la", "katuta"]));
        assert!(scores[1]["nll"].as_f64().unwrap() > 0.0);
        let nll = scores[2]["word_nll"].as_array().unwrap();
        let counted: Vec<bool> = nll.iter().map(Value::is_number).collect();
        assert_eq!(
            counted,
            [true, true, false, true, true, true],
            "a word spelled like a special token is not counted"
        );
    }
    // A corpus of no words at all has no figures, which is no failure.
    work.write("none.src", "the cat\n\n");
    work.write("none.tgt", "\n\n");
    let human = run(&work, "evaluate", &system, "none", &[]).ends_with(0);
    assert!(human.stdout.contains("none"), "{human}");
    let json = run(&work, "evaluate", &system, "none", &["--format", "json"]).ends_with(0);
    assert_eq!(lines(&json)[0]["metrics"]["target_PERP"], Value::Null);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let work = Workplace::new();
    let system = trained(&work).best();
    // More than a pipe holds, so that the program is still writing when its reader leaves.
    let repeated = |lines: &[String]| text(&lines.iter().cycle().take(2000).cloned().collect::<Vec<_>>());
    work.write("long.src", &repeated(&work.valid.source));
    work.write("long.tgt", &repeated(&work.valid.target));
    let arguments =
        ["score", system.to_str().unwrap(), "--source", "long.src", "--target", "long.tgt", "--threads", "1"];
    let mut child = work.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["pair"], 1);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_saved_system_is_refused() {
    let work = Workplace::new();
    let system = trained(&work).best();
    let bytes = std::fs::read(&system).unwrap();
    for (name, content) in [
        ("text.safetensors", b"not a system".to_vec()),
        ("cut.safetensors", bytes[..bytes.len() / 2].to_vec()),
    ] {
        std::fs::write(work.at(name), content).unwrap();
        for command in ["evaluate", "score"] {
            let refused = run(&work, command, Path::new(name), "valid", &[]).ends_with(2).says(&[name]);
            assert_eq!(refused.stdout, "");
        }
    }
    let _ =
        run(&work, "score", Path::new("no.safetensors"), "valid", &[]).ends_with(2).says(&["no.safetensors"]);
    work.write("short.src", "the cat\n");
    work.write("short.tgt", "la katuta\nlor hundor\n");
    let _ = run(&work, "score", &system, "short", &[]).ends_with(2).says(&["short.src", "short.tgt"]);
}

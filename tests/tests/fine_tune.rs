//! Training on post-edits, from the config to evaluation and scores: what it needs, what it gives, and what is said where something is
//! missing or of no use.

use std::path::Path;

use kiwi_tests::toy_corpus::text;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{VALIDATION_PAIRS, Workplace};
use serde_json::{Value, json};

/// The toy corpus with post-edits: whoever corrected it has put the words of each sentence in the opposite order, which no model
/// of the target would guess.
fn workplace() -> Workplace {
    let work = Workplace::new();
    for (name, corpus) in [("train", &work.train), ("valid", &work.valid)] {
        let reversed = |line: &String| line.split(' ').rev().collect::<Vec<_>>().join(" ");
        work.write(&format!("{name}.pe"), &text(&corpus.target.iter().map(reversed).collect::<Vec<_>>()));
    }
    work
}

fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("system.model.tlm_outputs.fine_tune", json!(true)),
        ("data.train.input.pe", json!("train.pe")),
        ("data.valid.input.pe", json!("valid.pe")),
    ]
}

/// [`changes`] with others.
fn with(others: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    [changes(), others.to_vec()].concat()
}

#[track_caller]
fn evaluate(work: &Workplace, command: &str, system: &Path, more: &[&str]) -> kiwi_tests::outcome::Outcome {
    let fixed = [command, system.to_str().unwrap(), "--source", "valid.src", "--target", "valid.tgt"];
    work.run(&[&fixed[..], &["--threads", "1", "--batch-size", "16"], more].concat())
}

#[test]
fn both_outputs_are_learned_and_evaluated() {
    let work = workplace();
    let changes = with(&[("trainer.epochs", json!(6)), ("system.metrics", json!(["NLL"]))]);
    let run: Trained = work.train("run", &changes);
    assert_eq!(run.outcome.stderr.matches("warning").count(), 0, "{}", run.outcome);
    let validations = run.validations();
    let (first, last) = (&validations[0], validations.last().unwrap());
    // The same words as in the target: a model that knows nothing of sentences is as good on both.
    let unigram = work.train.unigram_perplexity(&work.valid);
    for output in ["target", "pe"] {
        let perplexity = format!("val_{output}_PERP");
        assert!(last.value(&perplexity) < first.value(&perplexity) * 0.9, "{perplexity}: {validations:?}");
        assert!(last.value(&perplexity) < unigram / 2.0, "{perplexity} against {unigram}: {last:?}");
        let nll = last.value(&format!("val_{output}_NLL"));
        assert!((nll.exp() - last.value(&perplexity)).abs() < 1e-3 * nll.exp(), "{last:?}");
        assert!(last.value(&format!("val_{output}_CORRECT")) > first.value(&format!("val_{output}_CORRECT")));
    }
    assert_eq!(run.index()["main_metric"], "val_target_PERP");
    assert!(run.log().contains("pe words"), "the log counts the words of the post-edits");

    let figures = evaluate(&work, "evaluate", &run.best(), &["--pe", "valid.pe"]).ends_with(0);
    let best = validations.iter().rfind(|validation| validation.best).unwrap();
    for line in figures.stdout.lines().skip(1) {
        let (name, value) = line.split_once(char::is_whitespace).unwrap();
        assert_eq!(value.trim(), best.values[&format!("val_{name}")], "{name}");
    }
    assert!(figures.stdout.contains("pe_PERP"), "{figures}");
    assert_eq!(figures.stderr, "");

    let scores = evaluate(&work, "score", &run.best(), &["--pe", "valid.pe"]).ends_with(0);
    let lines: Vec<Value> = scores.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), VALIDATION_PAIRS);
    for (output, path) in [("target", ""), ("pe", "/pe")] {
        let (mut sum, mut words) = (0.0, 0);
        for line in &lines {
            let part = line.pointer(path).unwrap();
            let of_words = part["word_nll"].as_array().unwrap();
            assert_eq!(of_words.len(), part["words"].as_array().unwrap().len());
            words += of_words.len();
            sum += part["nll"].as_f64().unwrap();
        }
        let perplexity = (sum / words as f64).exp();
        let expected = best.value(&format!("val_{output}_PERP"));
        assert!((perplexity - expected).abs() < 1e-3 * expected, "{output}: {perplexity}, not {expected}");
    }
    assert_eq!(
        lines[0]["words"].as_array().unwrap().first(),
        lines[0]["pe"]["words"].as_array().unwrap().last()
    );
}

#[test]
fn the_loss_is_that_of_both_outputs() {
    let work = workplace();
    let one_step = [("trainer.max_steps", json!(1)), ("system.optimizer.learning_rate", json!(1e-30))];
    let both = work.train("both", &with(&one_step));
    // Equal weights, the target alone: with the post-edits as targets, and as it is.
    let target = work.train("target", &one_step);
    let post_edit =
        work.train("pe", &[&one_step[..], &[("data.valid.input.target", json!("valid.pe"))]].concat());
    let loss = |run: &Trained| run.validations()[0].value("val_loss");
    let (sum, found) = (loss(&target) + loss(&post_edit), loss(&both));
    assert!((found - sum).abs() < 1e-4 * sum, "{found}, not {sum}");
}

#[test]
fn post_edits_that_are_missing_are_named_before_a_corpus_is_read() {
    let work = workplace();
    let fine_tune = ("system.model.tlm_outputs.fine_tune", json!(true));
    // No corpus is read: what is wrong in it is not what is complained about.
    std::fs::write(work.at("broken.src"), b"\xff\n").unwrap();
    let broken = ("data.train.input.source", json!("broken.src"));
    let refused = work.try_train("run", &[fine_tune.clone(), broken]).ends_with(2).says(&[
        "`TLMOutputs` with fine_tune needs post-edits, and data.train.input.pe is missing",
        "data.valid.input.pe is missing",
        "or set system.model.tlm_outputs.fine_tune to false",
    ]);
    assert!(!refused.stderr.contains("broken.src"), "{refused}");
    assert_eq!(refused.stderr.matches("error[E").count(), 2, "{refused}");

    let valid_only = [fine_tune.clone(), ("data.train.input.pe", json!("train.pe"))];
    let refused = work.try_train("run", &valid_only).ends_with(2).says(&["data.valid.input.pe is missing"]);
    assert!(!refused.stderr.contains("data.train.input.pe"), "{refused}");

    let split = [fine_tune, ("data.valid", Value::Null), ("data.split", json!(0.8))];
    let refused = work.try_train("run", &split).ends_with(2).says(&["data.train.input.pe is missing"]);
    assert!(!refused.stderr.contains("data.valid"), "{refused}");
    assert!(!work.at("run").exists());

    let split =
        with(&[("data.valid", Value::Null), ("data.split", json!(0.8)), ("trainer.epochs", json!(1))]);
    let split: Vec<_> = split.into_iter().filter(|(path, _)| *path != "data.valid.input.pe").collect();
    let run = work.train("split", &split);
    assert!(run.validations()[0].values.contains_key("val_pe_PERP"));
}

#[test]
fn post_edits_that_nobody_needs_are_not_read() {
    let work = workplace();
    let changes = [
        ("trainer.max_steps", json!(1)),
        ("data.train.input.pe", json!("absent.pe")),
        ("data.valid.input.post_edit", json!(["absent.pe"])),
        ("data.valid.output", json!({"hter": "absent.hter"})),
        ("data.valid.input.alignments", json!("absent.align")),
    ];
    let run = work.train("run", &changes);
    let _ = run.outcome.says(&[
        "the post-edits are not read: no part of the system needs them",
        "data.train.input.pe",
        "data.valid.input.post_edit",
        "output is ignored",
        "alignments is ignored",
    ]);
    let without = work.train("without", &changes[..1]);
    let warned = std::fs::read(work.at("run").join("checkpoints/index.json")).unwrap();
    assert_eq!(warned, std::fs::read(without.directory.join("checkpoints/index.json")).unwrap());
}

#[test]
fn post_edits_are_corpora_like_any_other() {
    let work = workplace();
    work.write("short.pe", "la katuta .\n");
    let refused = work.try_train("run", &with(&[("data.train.input.pe", json!("short.pe"))])).ends_with(2);
    let _ = refused.says(&["short.pe", "120", "pe"]);
    let both = with(&[("data.train.input.post_edit", json!("train.pe"))]);
    let _ = work
        .try_train("run", &both)
        .ends_with(2)
        .says(&["pe and post_edit are two names of one key", "remove `post_edit`"]);
    // Two files a side are one corpus.
    let halves = work.train.target.chunks(60).map(|lines| {
        text(
            &lines.iter().map(|line| line.split(' ').rev().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        )
    });
    for (i, half) in halves.enumerate() {
        work.write(&format!("{i}.pe"), &half);
    }
    for (side, lines) in [("src", &work.train.source), ("tgt", &work.train.target)] {
        for (i, half) in lines.chunks(60).enumerate() {
            work.write(&format!("{i}.{side}"), &text(half));
        }
    }
    let steps = ("trainer.max_steps", json!(3));
    let whole = work.train("whole", &with(std::slice::from_ref(&steps)));
    let parts = work.train(
        "parts",
        &with(&[
            steps,
            ("data.train.input.source", json!(["0.src", "1.src"])),
            ("data.train.input.target", json!(["0.tgt", "1.tgt"])),
            ("data.train.input.pe", json!(["0.pe", "1.pe"])),
        ]),
    );
    assert_eq!(std::fs::read(whole.best()).unwrap(), std::fs::read(parts.best()).unwrap());
}

#[test]
fn a_saved_system_needs_what_it_was_trained_on() {
    let work = workplace();
    let steps = ("trainer.max_steps", json!(2));
    let fine = work.train("fine", &with(std::slice::from_ref(&steps)));
    let plain = work.train("plain", &[steps]);
    for command in ["evaluate", "score"] {
        let refused = evaluate(&work, command, &fine.best(), &[]).ends_with(2);
        let refused =
            refused.says(&["this system needs post-edits: `TLMOutputs` with fine_tune", "add --pe"]);
        assert_eq!(refused.stdout, "");
        let warned = evaluate(&work, command, &plain.best(), &["--pe", "absent.pe"]).ends_with(0);
        let warned =
            warned.says(&["warning[W0182]: --pe is not read: no part of this system needs post-edits"]);
        assert_eq!(warned.stdout, evaluate(&work, command, &plain.best(), &[]).ends_with(0).stdout);
        let _ =
            evaluate(&work, command, &fine.best(), &["--pe", "absent.pe"]).ends_with(2).says(&["absent.pe"]);
    }
    // Going on from it needs post-edits again.
    let load = [
        ("system.load", json!(fine.best())),
        ("system.class_name", Value::Null),
        ("system.model", Value::Null),
        ("trainer.max_steps", json!(1)),
    ];
    let refused = work.try_train("on", &load).ends_with(2).says(&["data.train.input.pe is missing"]);
    assert!(!refused.stderr.contains("to false"), "nothing of a saved system can be set: {refused}");
    let mut load = load.to_vec();
    load.extend(changes().into_iter().skip(1));
    let run = work.train("more", &load);
    assert!(run.validations()[0].values.contains_key("val_pe_PERP"));
}

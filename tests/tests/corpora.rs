//! Text as people have it, through a whole run: odd white space, marks and line ends, empty lines, tiny corpora, length limits,
//! several validation sets.

use std::fs;

use kiwi_core::saved_system::SavedSystem;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

const SOURCE: &str = "the old lamp shines\na red boat\nthe boat shines\nold stones\n";
const TARGET: &str = "la vet lumita brilat\nuna rub navita\nla navita brilat\npetror vetor\n";

/// Trains on these texts, which are validated on too, with these values in place of the config's own.
#[track_caller]
fn train(work: &Workplace, output: &str, source: &[u8], target: &[u8], changes: &[(&str, Value)]) -> Trained {
    let file = |name: &str, bytes: &[u8]| {
        let path = work.at(&format!("{output}.{name}"));
        fs::write(&path, bytes).unwrap();
        json!(path)
    };
    let (source, target) = (file("a", source), file("b", target));
    let own = [
        ("data.train.input.source", source.clone()),
        ("data.train.input.target", target.clone()),
        ("data.valid.input.source", source),
        ("data.valid.input.target", target),
        ("system.batch_size", json!(2)),
    ];
    work.train(output, &[&own[..], changes].concat())
}

/// The source's words in the order of their ids, without the special tokens.
fn source_words(run: &Trained) -> Vec<String> {
    SavedSystem::open(&run.best()).unwrap().header().source_vocabulary[5..].to_vec()
}

fn figures(run: &Trained) -> Vec<String> {
    let without_time = |message: &String| {
        let figures = message.starts_with("epoch ").then(|| message.split(", learning rate").next())??;
        Some(figures.split(", saved as").next()?.to_owned())
    };
    run.messages().iter().filter_map(without_time).collect()
}

fn warnings(run: &Trained) -> Vec<String> {
    run.outcome.stderr.lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect()
}

#[test]
fn line_ends_marks_and_a_last_line_without_end_change_nothing() {
    let work = Workplace::new();
    let plain = train(&work, "plain", SOURCE.as_bytes(), TARGET.as_bytes(), &[]);
    assert!(plain.log().contains("training corpus: 4 pairs, 12 source words"), "{}", plain.log());
    assert_eq!(warnings(&plain), [""; 0]);
    let crlf = TARGET.replace('\n', "\r\n");
    let marked = format!("\u{feff}{SOURCE}");
    let odd = train(&work, "odd", marked.trim_end().as_bytes(), crlf.as_bytes(), &[]);
    assert_eq!(warnings(&odd), [""; 0]);
    assert_eq!(figures(&plain), figures(&odd));
    assert_eq!(source_words(&plain), source_words(&odd));
    assert!(source_words(&plain).contains(&"the".to_owned()));
}

#[test]
fn unicode_white_space_separates_and_what_has_no_width_does_not() {
    let work = Workplace::new();
    let source = "ten\u{a0}000 men\nwe\u{3000}drink\u{202f}tea\na\u{200b}b c\u{200c}d e\u{2060}f\nx\n";
    let run = train(&work, "run", source.as_bytes(), TARGET.as_bytes(), &[]);
    let words = source_words(&run);
    let expected = ["000", "a\u{200b}b", "c\u{200c}d", "drink", "e\u{2060}f", "men", "tea", "ten", "we", "x"];
    assert_eq!(words, expected);
}

#[test]
fn empty_lines_are_pairs_that_add_nothing() {
    let work = Workplace::new();
    let source = SOURCE.replace("a red boat", "");
    // Nothing but white space is empty too.
    let target = TARGET.replace("la navita brilat", " \t\u{a0} ");
    let run = train(&work, "run", source.as_bytes(), target.as_bytes(), &[("system.batch_size", json!(1))]);
    let warned = warnings(&run);
    assert_eq!(warned.len(), 2, "one for each corpus: {warned:?}");
    assert!(
        warned[0].contains("2 of 4 pairs have a side without words (empty lines: 1 source, 1 target)"),
        "{warned:?}"
    );
    assert!(warned[0].contains("run.a:2") && warned[0].contains("run.b:3"), "{warned:?}");
    let log = run.log();
    assert!(!log.contains("NaN") && !log.contains("inf"), "{log}");
    assert!(log.contains("loss 0, target_PERP none, target_ExpErr none, target_CORRECT none"), "{log}");
}

#[test]
fn a_corpus_may_be_tiny() {
    let work = Workplace::new();
    let run = train(&work, "run", b"word\n", b"verbo\n", &[("system.batch_size", json!(64))]);
    let last = run.validations().pop().unwrap();
    assert!(last.values.values().all(|value| value.parse::<f64>().unwrap().is_finite()), "{last:?}");
    assert!(run.log().contains("1 pair, 1 source word ("), "{}", run.log());
}

#[test]
fn pairs_over_a_length_limit_are_left_out_together_and_told_of() {
    let work = Workplace::new();
    let limit = [("data.max_length", json!({"source": 3, "target": 2}))];
    let run = train(&work, "run", SOURCE.as_bytes(), TARGET.as_bytes(), &limit);
    let said = &run.outcome.stderr;
    for part in ["3 of 4", "data.max_length", "run.a:1", "run.b:2", "run.b:3"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(run.log().contains("training corpus: 1 pair, 2 source words"), "{}", run.log());
    // Validation is on all that there is.
    assert!(run.log().contains("validation corpus: 4 pairs"), "{}", run.log());
    assert_eq!(source_words(&run), ["old", "stones"]);

    let all = [("data.max_length", json!(1))];
    work.try_train("none", &all).ends_with(2).says(&["data.max_length", "none.json:", "all 120 pairs"]);
}

#[test]
fn a_vocabulary_says_what_it_covers() {
    let work = Workplace::new();
    let sizes = json!({"vocab": {"max_size": {"source": 5, "target": 6}}});
    let run =
        train(&work, "sizes", SOURCE.as_bytes(), TARGET.as_bytes(), &[("system.data_processing", sizes)]);
    let log = run.log();
    assert!(
        log.contains("source vocabulary: 10 entries (5 special tokens, 5 of 8 types); 25.00 % of 12 running words become <unk>"),
        "{log}"
    );
    assert!(log.contains("target vocabulary: 11 entries (5 special tokens, 6 of"), "{log}");
    let frequent = json!({"vocab": {"min_frequency": 2}});
    let run = train(
        &work,
        "frequent",
        SOURCE.as_bytes(),
        TARGET.as_bytes(),
        &[("system.data_processing", frequent)],
    );
    assert_eq!(source_words(&run), ["boat", "old", "shines", "the"]);
}

#[test]
fn a_shared_vocabulary_takes_the_targets_numbers() {
    let work = Workplace::new();
    let shared = json!({
        "share_input_fields_encoders": true,
        "vocab": {"min_frequency": {"source": 1, "target": 2}, "max_size": {"source": 1, "target": 5}},
    });
    // Words of both sides, counted together: `boat` and `navita` occur twice on one side, `lamp` once on each.
    let source = "the old lamp shines\na red boat\nthe boat shines\nonce\n";
    let target = "lamp vet brilat\nuna rub navita\nla navita brilat\nnunc\n";
    let run =
        train(&work, "run", source.as_bytes(), target.as_bytes(), &[("system.data_processing", shared)]);
    let saved = SavedSystem::open(&run.best()).unwrap();
    let header = saved.header();
    assert_eq!(header.source_vocabulary, header.target_vocabulary);
    // All have the count 2, so that the first five by code points are kept.
    assert_eq!(source_words(&run), ["boat", "brilat", "lamp", "navita", "shines"]);
    assert!(run.log().contains("shared vocabulary: 10 entries (5 special tokens, 5 of "), "{}", run.log());
    let warned = warnings(&run);
    assert!(
        warned.iter().any(|warning| warning.contains("the source side's numbers are ignored")),
        "{warned:?}"
    );
    let figures = ["--source", "run.a", "--target", "run.b", "--threads", "1"];
    let system = run.best();
    let _ = work.run(&[&["evaluate", system.to_str().unwrap()], &figures[..]].concat()).ends_with(0);
}

#[test]
fn several_validation_sets_go_by_their_names() {
    let work = Workplace::new();
    work.write("talks.src", SOURCE);
    work.write("talks.tgt", TARGET);
    let input =
        |name: &str| json!({"input": {"source": format!("{name}.src"), "target": format!("{name}.tgt")}});
    // The first in the file has the main metric; a JSON object made here is in the order of its keys.
    let sets = json!({"a_news": input("valid"), "talks": input("talks")});
    let run = work.train("run", &[("data.valid", sets)]);
    let one = work.train("one", &[]);
    let (both, alone) = (run.validations(), one.validations());
    for (both, alone) in both.iter().zip(&alone) {
        for figure in ["loss", "target_PERP", "target_ExpErr", "target_CORRECT"] {
            assert_eq!(both.values[&format!("val_a_news_{figure}")], alone.values[&format!("val_{figure}")]);
            assert!(both.value(&format!("val_talks_{figure}")).is_finite());
        }
    }
    assert_eq!(run.index()["main_metric"], "val_a_news_target_PERP");
    assert_eq!(run.index()["best_value"], one.index()["best_value"]);
    assert!(run.best().to_string_lossy().contains("val_a_news_target_PERP="), "{:?}", run.best());

    let broken = json!({"news": input("valid"), "talks": input("absent")});
    work.try_train("broken", &[("data.valid", broken)]).ends_with(2).says(&[
        "data.valid.talks.input.source",
        "data.valid.talks.input.target",
        "absent.src",
    ]);
}

#[test]
fn the_best_system_is_tested_once_training_is_over() {
    let work = Workplace::new();
    work.write("talks.src", SOURCE);
    work.write("talks.tgt", TARGET);
    let input =
        |name: &str| json!({"input": {"source": format!("{name}.src"), "target": format!("{name}.tgt")}});
    // A rate so large that the first validation is the best.
    let changes = [
        ("data.test", json!({"again": input("valid"), "talks": input("talks")})),
        ("system.optimizer.learning_rate", json!(0.3)),
        ("trainer.epochs", json!(3)),
        ("trainer.checkpoint.validation_steps", json!(1)),
    ];
    let run = work.train("run", &changes);
    let best = run.validations().into_iter().rfind(|validation| validation.best).unwrap();
    assert!(best.step < 24, "not the last: {best:?}");
    let tested: Vec<_> =
        run.messages().into_iter().filter(|message| message.starts_with("test of ")).collect();
    let [tested] = &tested[..] else { panic!("{tested:?}") };
    assert!(tested.contains(run.best().file_name().unwrap().to_str().unwrap()), "{tested}");
    for figure in ["loss", "target_PERP", "target_ExpErr", "target_CORRECT"] {
        let same = format!("test_again_{figure} {}", best.values[&format!("val_{figure}")]);
        assert!(tested.contains(&same), "{same} in {tested}");
        assert!(tested.contains(&format!("test_talks_{figure} ")), "{tested}");
    }
    let unkept = [("data.test", input("valid")), ("trainer.checkpoint.save_top_k", json!(0))];
    let run = work.train("unkept", &unkept);
    assert!(run.log().contains("test of the last system: test_loss "), "{}", run.log());
    work.try_train("absent", &[("data.test", input("absent"))])
        .ends_with(2)
        .says(&["data.test.input.source", "absent.src"]);
}

//! `kiwi-host report` of a trained system: what its file holds, and what it makes of a corpus, in the figures of `evaluate` and `score`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::toy_corpus::text;
use kiwi_tests::workplace::{VALIDATION_PAIRS, Workplace};
use serde_json::{Value, json};

/// `report`, `evaluate` or `score` of a system on `NAME.src` and `NAME.tgt`.
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
fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found}, expected {expected}");
}

#[test]
fn the_page_of_a_system_says_what_inspect_says_without_libtorch() {
    let work = Workplace::new();
    let system = work.train("run", &[]).best();
    let path = system.to_str().unwrap();
    let outcome = work.run(&["report", path, "--libtorch", "nowhere"]).ends_with(0);
    let expected = path.strip_suffix(".safetensors").unwrap().to_owned() + ".html";
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (format!("{expected}\n").as_str(), ""));
    let page = fs::read_to_string(&expected).unwrap();
    let inspected = &lines(&work.run(&["inspect", path, "--format", "json"]).ends_with(0))[0];
    assert!(!page.contains("On this corpus"));
    for part in [
        &inspected["encoder"]["plugin"]["sha256"],
        &inspected["encoder"]["class_name"],
        &inspected["head"]["class_name"],
    ] {
        assert!(page.contains(part.as_str().unwrap()), "{part}");
    }
    for tensor in inspected["tensors"].as_array().unwrap() {
        assert!(page.contains(tensor["name"].as_str().unwrap()), "{tensor}");
    }
    let entries = inspected["vocabularies"]["target"].as_u64().unwrap();
    assert!(page.contains(&format!("{entries} entries: {} words", entries - 5)));
    assert!(page.contains("katuta"));

    // What `--resume` does with the run is not disturbed by the page beside the system.
    let more = [("trainer.epochs", json!(3))];
    work.write("more.json", &kiwi_tests::workplace::config_with(&more).to_string());
    let _ =
        work.run(&["train", "more.json", "--output-dir", "run", "--resume", "--threads", "1"]).ends_with(0);
    assert!(Path::new(&expected).exists());
}

#[test]
fn figures_on_the_page_are_those_of_score_and_evaluate() {
    let work = Workplace::new();
    let system = work.train("run", &[]).best();
    // A word that nobody has seen, and one spelled like a special token.
    let mut target = work.valid.target.clone();
    target[3] = "la zebruta <eos> vidat .".to_owned();
    target[5] = String::new();
    work.write("mixed.src", &text(&work.valid.source));
    work.write("mixed.tgt", &text(&target));
    let scored = run(&work, "score", &system, "mixed", &[]).ends_with(0);
    let scores = lines(&scored);
    let evaluated =
        lines(&run(&work, "evaluate", &system, "mixed", &["--format", "json"]).ends_with(0)).remove(0);
    let outcome =
        run(&work, "report", &system, "mixed", &["--format", "json", "-o", "page.html"]).ends_with(0);
    assert_eq!(outcome.stderr, scored.stderr, "what is odd about the corpus, and nothing else");
    let data = lines(&outcome).remove(0);
    let corpus = &data["corpus"];
    assert_eq!((&data["format"], &data["page"]), (&json!(1), &json!("page.html")));

    assert_eq!((&corpus["pairs"], &corpus["pairs_without_words"]), (&json!(VALIDATION_PAIRS), &json!(1)));
    assert_eq!((&corpus["loss"], &corpus["metrics"]), (&evaluated["loss"], &evaluated["metrics"]));
    let of_words = || scores.iter().flat_map(|score| score["word_nll"].as_array().unwrap());
    let counted: Vec<f64> = of_words().filter_map(Value::as_f64).collect();
    let nll: f64 = counted.iter().sum();
    assert_eq!(corpus["target"]["counted"], counted.len());
    assert_eq!(corpus["target"]["words"], of_words().count());
    assert_eq!(corpus["target"]["unknown"], 1);
    close(&corpus["target"]["nll"], nll);
    close(&corpus["target"]["perplexity"], (nll / counted.len() as f64).exp());

    // Each pair, the most surprising first.
    let sentences = corpus["sentences"].as_array().unwrap();
    assert_eq!(sentences.len(), VALIDATION_PAIRS - 1);
    let mut before = f64::INFINITY;
    for sentence in sentences {
        let score = &scores[sentence["pair"].as_u64().unwrap() as usize - 1];
        close(&sentence["nll"], score["nll"].as_f64().unwrap());
        close(&sentence["surprise"], score["perplexity"].as_f64().unwrap().ln());
        let surprise = sentence["surprise"].as_f64().unwrap();
        assert!(surprise <= before);
        before = surprise;
    }
    // Sums over groups are sums over all.
    for (groups, name) in [("by_length", "words"), ("by_frequency", "words")] {
        let words: u64 =
            corpus[groups].as_array().unwrap().iter().map(|group| group[name].as_u64().unwrap()).sum();
        assert_eq!(words as usize, counted.len(), "{groups}");
    }
    let mut by_word: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for score in &scores {
        for (word, nll) in
            score["words"].as_array().unwrap().iter().zip(score["word_nll"].as_array().unwrap())
        {
            let Some(nll) = nll.as_f64() else { continue };
            let sum = by_word.entry(word.as_str().unwrap()).or_default();
            *sum = (sum.0 + 1, sum.1 + nll);
        }
    }
    let costly = &corpus["most_costly_words"][0];
    let (count, sum) = by_word[costly["word"].as_str().unwrap()];
    assert_eq!(costly["count"], count);
    close(&costly["nll"], sum);
    assert!(by_word.values().all(|(_, other)| *other <= sum));

    // And the page shows them.
    let page = fs::read_to_string(work.at("page.html")).unwrap();
    for (word, nll) in
        scores[3]["words"].as_array().unwrap().iter().zip(scores[3]["word_nll"].as_array().unwrap())
    {
        let word = word.as_str().unwrap().replace('<', "&lt;").replace('>', "&gt;");
        match nll.as_f64() {
            Some(nll) => assert!(page.contains(&format!("title=\"{nll:.3} nats, ")), "{nll}"),
            None => assert!(page.contains("spelled like a special token: not counted\">&lt;eos&gt;")),
        }
        assert!(page.contains(&format!(">{word}</span>")), "{word}");
    }
    for (name, value) in evaluated["metrics"].as_object().unwrap() {
        let shown = format!("{:.2}", value.as_f64().unwrap());
        assert!(page.contains(name) && page.contains(&shown[..3]), "{name} {shown}");
    }
}

#[test]
fn of_a_large_corpus_a_few_sentences_are_shown_and_all_are_counted() {
    let work = Workplace::new();
    let system = work.train("run", &[]).best();
    let outcome =
        run(&work, "report", &system, "train", &["--format", "json", "--sentences", "2", "-o", "a.html"]);
    let data = lines(&outcome.ends_with(0)).remove(0);
    let sentences = data["corpus"]["sentences"].as_array().unwrap();
    for kind in ["most", "least", "sample"] {
        assert_eq!(sentences.iter().filter(|sentence| sentence[kind] == true).count(), 2, "{kind}");
    }
    assert_eq!(data["corpus"]["pairs"], work.train.source.len());
    let page = fs::read_to_string(work.at("a.html")).unwrap();
    assert_eq!(page.matches("<p class=\"target\"").count(), sentences.len());
    // The same corpus gives the same page.
    let _ = run(&work, "report", &system, "train", &["--sentences", "2", "-o", "b.html"]).ends_with(0);
    assert_eq!(page, fs::read_to_string(work.at("b.html")).unwrap());
}

#[test]
fn lines_of_a_corpus_are_shown_as_text() {
    let work = Workplace::new();
    let system = work.train("run", &[]).best();
    work.write("evil.src", "<script>alert(1)</script> </title>\nשלום עולם\n");
    work.write("evil.tgt", "\"><img/src=x/onerror=alert(1)> &amp;\nla \u{202e}katuta\n");
    let outcome = run(&work, "report", &system, "evil", &["-o", "evil.html"]).ends_with(0);
    assert_eq!(outcome.stdout, "evil.html\n");
    let page = fs::read_to_string(work.at("evil.html")).unwrap();
    for part in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;&gt;&lt;img/src=x",
        "&amp;amp;",
        "dir=\"auto\"",
        "שלום",
    ] {
        assert!(page.contains(part), "no {part:?}");
    }
    for part in ["<script>alert", "<img"] {
        assert!(!page.contains(part), "{part:?}");
    }
}

#[test]
fn nothing_is_written_when_something_is_wrong() {
    let work = Workplace::new();
    let system = work.train("run", &[]).best();
    let bytes = fs::read(&system).unwrap();
    fs::write(work.at("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    work.write("short.src", "the cat\n");
    work.write("short.tgt", "la katuta\nlor hundor\n");
    work.write("mine.html", "<p>mine</p>");
    let page = |system: &Path, corpus: &str, more: &[&str]| {
        let outcome = run(&work, "report", system, corpus, more);
        assert_eq!(outcome.stdout, "", "{outcome}");
        outcome.ends_with(2)
    };
    let output = ["-o", "page.html"];
    page(&system, "short", &output).says(&["short.src", "short.tgt"]);
    page(&system, "missing", &output).says(&["missing.src does not exist"]);
    page(Path::new("cut.safetensors"), "valid", &output).says(&["cut.safetensors", "cut off"]);
    page(Path::new("no.safetensors"), "valid", &output).says(&["no.safetensors does not exist"]);
    page(&system, "valid", &["-o", "mine.html"]).says(&["mine.html is in use"]);
    page(&system, "valid", &["-o", "none/page.html"]).says(&["cannot write none/page.html: No such file"]);
    page(&system, "valid", &["-o", "page.html", "--device", "tpu"]).says(&["tpu"]);
    page(&system, "valid", &["-o", "page.html", "--set", "system.model.encoder.dropuot=1"])
        .says(&["dropuot", "dropout"]);
    page(Path::new("run"), "valid", &output)
        .says(&["run is the directory of a run", "did you mean `run/checkpoints/"]);
    assert_eq!(fs::read_to_string(work.at("mine.html")).unwrap(), "<p>mine</p>");
    assert!(!work.at("page.html").exists());
}

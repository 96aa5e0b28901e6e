//! `kiwi-host score` on corpora of any size: order, independence of windows, threads and parts, bounded memory, which pairs are kept and
//! that their lines are the corpus', wrong input, and jobs that are cut short.
#![expect(clippy::unwrap_used, reason = "these functions are of tests, which end by panics")]

mod jobs;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::toy_corpus::{ToyCorpus, text};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// A system trained on the toy corpus.
fn system(work: &Workplace) -> PathBuf {
    work.train("run", &[("trainer.epochs", json!(3))]).best()
}

/// `score` with the system.
fn score(work: &Workplace, system: &Path, arguments: &[&str]) -> Outcome {
    work.run(&[&["score", system.to_str().unwrap(), "--threads", "1"], arguments].concat())
}

fn begin(work: &Workplace, system: &Path, arguments: &[&str]) -> Child {
    let mut command =
        work.command(&[&["score", system.to_str().unwrap(), "--threads", "1"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// `big.src` and `big.tgt`: so many different pairs.
fn big(work: &Workplace, pairs: usize) -> ToyCorpus {
    let corpus = ToyCorpus::generate(pairs, 5);
    work.write("big.src", &text(&corpus.source));
    work.write("big.tgt", &text(&corpus.target));
    corpus
}

const BIG: [&str; 4] = ["--source", "big.src", "--target", "big.tgt"];

/// Perplexities of a table of scores, by the lines of the corpus.
fn perplexities(table: &str) -> Vec<Option<f64>> {
    let of_line = |(index, line): (usize, &str)| {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 4, "{line}");
        assert_eq!(columns[0], (index + 1).to_string(), "in the order of the corpus");
        columns[1].parse().ok()
    };
    table.lines().enumerate().map(of_line).collect()
}

fn read(work: &Workplace, name: &str) -> Vec<u8> {
    fs::read(work.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names in the folder that begin so.
fn files(work: &Workplace, prefix: &str) -> Vec<String> {
    let names =
        fs::read_dir(work.at(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

#[test]
fn all_forms_have_the_same_figures_and_nothing_but_the_pair_decides_them() {
    let work = Workplace::new();
    let system = system(&work);
    let corpus = big(&work, 2500);
    let words = score(&work, &system, &BIG).ends_with(0);
    assert_eq!(words.stderr, "");
    let table = score(&work, &system, &[&BIG[..], &["--format", "tsv"]].concat()).ends_with(0);
    let pairs = score(&work, &system, &[&BIG[..], &["--per-pair"]].concat()).ends_with(0);
    assert_eq!(words.stdout.lines().count(), 2500);
    for (index, ((words, table), pair)) in
        words.stdout.lines().zip(table.stdout.lines()).zip(pairs.stdout.lines()).enumerate()
    {
        let (words, pair): (Value, Value) =
            (serde_json::from_str(words).unwrap(), serde_json::from_str(pair).unwrap());
        let columns: Vec<f64> = table.split('\t').map(|column| column.parse().unwrap()).collect();
        let said: Vec<&str> =
            words["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(said.join(" "), corpus.target[index]);
        assert_eq!((&words["pair"], &pair["pair"]), (&json!(index + 1), &json!(index + 1)));
        assert_eq!((&words["nll"], &words["perplexity"]), (&pair["nll"], &pair["perplexity"]));
        assert_eq!(pair["tokens"], said.len());
        assert_eq!(pair.as_object().unwrap().len(), 5, "{pair}");
        assert_eq!(columns[1], pair["perplexity"].as_f64().unwrap());
        assert_eq!((columns[2], columns[3] as usize), (pair["nll"].as_f64().unwrap(), said.len()));
    }
    // Threads change no bit, batches of another size no more than rounding does.
    let more = [&BIG[..], &["--format", "tsv"]].concat();
    let two =
        work.run(&[&["score", system.to_str().unwrap(), "--threads", "2"], &more[..]].concat()).ends_with(0);
    assert_eq!(two.stdout, table.stdout);
    let alone = score(&work, &system, &[&more[..], &["--batch-size", "1"]].concat()).ends_with(0);
    for (one, other) in perplexities(&table.stdout).iter().zip(perplexities(&alone.stdout)) {
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!((one / other - 1.0).abs() < 1e-5, "{one} {other}");
    }
    // Parts follow one another and are the whole.
    let parts: String = (1..=3)
        .map(|part| {
            score(&work, &system, &[&more[..], &["--shard", &format!("{part}/3")]].concat())
                .ends_with(0)
                .stdout
        })
        .collect();
    assert_eq!(parts, table.stdout);
    // The same from lines with both sides, as a file, compressed, and by a pipe.
    let lines: String =
        corpus.source.iter().zip(&corpus.target).map(|(a, b)| format!("{a}\t{b}\t0.5\n")).collect();
    work.write("big.tsv", &lines);
    let file = score(&work, &system, &["--input", "big.tsv", "--format", "tsv"]).ends_with(0);
    assert_eq!(file.stdout, table.stdout);
    assert!(
        std::process::Command::new("gzip")
            .args(["-k", "big.tsv", "big.src"])
            .current_dir(work.at("."))
            .status()
            .unwrap()
            .success()
    );
    let compressed = score(&work, &system, &["--input", "big.tsv.gz", "--format", "tsv"]).ends_with(0);
    assert_eq!(compressed.stdout, table.stdout);
    let sides = ["--source", "big.src.gz", "--target", "big.tgt", "--format", "tsv"];
    assert_eq!(score(&work, &system, &sides).ends_with(0).stdout, table.stdout);
    let mut command = work.command(&[
        "score",
        system.to_str().unwrap(),
        "--threads",
        "1",
        "--input",
        "-",
        "--format",
        "tsv",
    ]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The first lines come before the last are read.
    let (first, rest) = lines.split_at(lines.match_indices('\n').nth(99).unwrap().0 + 1);
    stdin.write_all(first.as_bytes()).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut found = String::new();
    stdout.read_line(&mut found).unwrap();
    let writing = std::thread::spawn({
        let rest = rest.to_owned();
        move || stdin.write_all(rest.as_bytes()).unwrap()
    });
    stdout.lines().for_each(|line| found.push_str(&(line.unwrap() + "\n")));
    writing.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(found, table.stdout);
}

#[test]
fn what_is_kept_are_the_lines_of_the_corpus_byte_for_byte() {
    let work = Workplace::new();
    let system = system(&work);
    let good = |index: usize| (work.valid.source[index].clone(), work.valid.target[index].clone());
    let odd: Vec<(String, String)> = vec![
        (format!("\u{feff}{}\n", good(0).0), format!("{}\n", good(0).1)),
        (format!("  {}\t \n", good(1).0), format!("{}\u{a0}\r\n", good(1).1)),
        (format!("{}\r\n", good(2).0), format!("\t{} \n", good(2).1.replace(' ', "   "))),
        ("\n".to_owned(), format!("{}\n", good(3).1)),
        (format!("{}\n", good(4).0), " \r\n".to_owned()),
        (format!("{}\n", good(5).0), "<pad> <bos>\n".to_owned()),
        (format!("{}\n", good(6).0), "xx ".repeat(30) + "\n"),
        (format!("{}\n", good(7).0), "la la la la la\n".to_owned()),
        (good(8).0, good(8).1),
    ];
    let (source, target): (String, String) =
        (odd.iter().map(|(a, _)| a.as_str()).collect(), odd.iter().map(|(_, b)| b.as_str()).collect());
    work.write("odd.src", &source);
    work.write("odd.tgt", &target);
    let sides = ["--source", "odd.src", "--target", "odd.tgt", "--max-length", "20"];
    let table = score(&work, &system, &[&sides[..], &["--format", "tsv"]].concat()).ends_with(0);
    let scores = perplexities(&table.stdout);
    assert_eq!(
        scores.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, true, true, false, false, false, true, true]
    );
    // A threshold that is a pair's own keeps it.
    let threshold =
        scores[2].unwrap().max(scores[0].unwrap()).max(scores[1].unwrap()).max(scores[8].unwrap());
    assert!(scores[7].unwrap() > threshold, "nonsense is less likely: {scores:?}");
    let by = threshold.to_string();
    let keep = ["--threshold", &by, "--keep-source", "clean.src", "--keep-target", "clean.tgt"];
    let kept = score(&work, &system, &[&sides[..], &keep].concat()).ends_with(0);
    assert_eq!(kept.stdout, "", "scores are printed only where they are asked for");
    let expect = |side: fn(&(String, String)) -> &String| -> Vec<u8> {
        [0, 1, 2, 8].iter().flat_map(|index| side(&odd[*index]).bytes()).collect()
    };
    assert_eq!(read(&work, "clean.src"), expect(|pair| &pair.0));
    assert_eq!(read(&work, "clean.tgt"), expect(|pair| &pair.1));
    let _ = kept.says(&[
        "9 pairs",
        "4 kept (44.44 %",
        "5 dropped (55.56 %)",
        "1 over the threshold",
        "3 with a side without words",
        "1 too long",
    ]);
    assert_eq!(files(&work, "clean"), ["clean.src", "clean.tgt"], "nothing else is left");
    // The best four of the five that can be scored are the same, and ties share their fate.
    let best = [
        "--keep-best",
        "0.8",
        "--keep-source",
        "best.src",
        "--keep-target",
        "best.tgt",
        "-o",
        "scores.tsv",
        "--format",
        "tsv",
    ];
    let _ = score(&work, &system, &[&sides[..], &best].concat()).ends_with(0).says(&["4 kept"]);
    assert_eq!(read(&work, "best.src"), read(&work, "clean.src"));
    assert_eq!(read(&work, "best.tgt"), read(&work, "clean.tgt"));
    assert_eq!(read(&work, "scores.tsv"), table.stdout.as_bytes());
    assert_eq!(files(&work, "best"), ["best.src", "best.tgt"]);
    // Lines with both sides are kept with all that stands in them.
    let lines = format!("{}\t{}\t0.25\thttp\r\n{}\tla la la la la\n", good(0).0, good(0).1, good(0).0);
    work.write("odd.tsv", &lines);
    let lone = ["--input", "odd.tsv", "--threshold", &by, "--keep", "clean.tsv"];
    let _ = score(&work, &system, &lone).ends_with(0);
    assert_eq!(read(&work, "clean.tsv"), lines.split_inclusive('\n').next().unwrap().as_bytes());
}

#[test]
fn memory_does_not_grow_with_the_corpus() {
    let work = Workplace::new();
    let system = system(&work);
    let corpus = ToyCorpus::generate(2000, 8);
    // Four words of each sentence, for the sake of time.
    let short = |lines: &[String]| -> String {
        lines.iter().map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ") + "\n").collect()
    };
    let (source, target) = (short(&corpus.source), short(&corpus.target));
    let peak = |times: usize| {
        work.write("big.src", &source.repeat(times));
        work.write("big.tgt", &target.repeat(times));
        let kept = format!("kept{times}.src");
        let arguments =
            [&BIG[..], &["--threshold", "7", "--keep-source", &kept, "--batch-size", "256"]].concat();
        let mut child = begin(&work, &system, &arguments);
        let mut peak = 0_u64;
        while child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
            peak = peak.max(now);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(child.wait().unwrap().success());
        peak
    };
    let (small, large) = (peak(20), peak(200));
    // The text of 400 000 pairs, their word ids and where these begin are 36 MB; the allocator's moods are a few.
    assert!(large < small + 16_000, "{small} KiB of 40 000 pairs, {large} KiB of 400 000");
}

#[test]
fn wrong_input_is_told_and_nothing_is_left() {
    let work = Workplace::new();
    let system = system(&work);
    let good = "the cat sees a dog .\tla katuta unor hundor vidat .\n";
    work.write("a.src", "the cat\nthe dog\n");
    work.write("a.tgt", "la katuta\n");
    work.write("no-tab.tsv", &(good.repeat(2) + "the cat\n" + good));
    fs::write(work.at("latin.tsv"), [good.as_bytes(), b"caf\xe9\tcaf\n"].concat()).unwrap();
    work.write("empty.tsv", "");
    let keep = ["--threshold", "60", "--keep", "out.tsv"];
    let of_sides = ["--threshold", "60", "--keep-source", "out.src", "--keep-target", "out.tgt"];
    let ok = ["--source", "valid.src", "--target", "valid.tgt"];
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (
            [&["--source", "a.src", "--target", "a.tgt"], &of_sides[..]].concat(),
            vec!["a.src has 2 lines but a.tgt has 1"],
        ),
        ([&["--input", "no-tab.tsv"], &keep[..]].concat(), vec!["no-tab.tsv:3: the line has no tab"]),
        ([&["--input", "latin.tsv"], &keep[..]].concat(), vec!["latin.tsv, line 2: byte 4", "not UTF-8"]),
        ([&["--input", "empty.tsv"], &keep[..]].concat(), vec!["empty.tsv has 0 lines"]),
        ([&["--input", "absent.tsv"], &keep[..]].concat(), vec!["absent.tsv does not exist"]),
        ([&ok[..], &["--threshold", "0", "--keep-source", "out.src"]].concat(), vec!["at least 1"]),
        ([&ok[..], &["--threshold", "NaN", "--keep-source", "out.src"]].concat(), vec!["at least 1"]),
        ([&ok[..], &["--keep-best", "80", "--keep-source", "out.src"]].concat(), vec!["up to 1"]),
        ([&ok[..], &["--threshold", "60"]].concat(), vec!["--keep-source"]),
        ([&ok[..], &["--keep-source", "out.src"]].concat(), vec!["--threshold"]),
        (
            [&ok[..], &["--threshold", "60", "--keep-source", "valid.src"]].concat(),
            vec!["valid.src is to be written"],
        ),
        (
            [&ok[..], &["--threshold", "60", "--keep-source", "out.x", "--keep-target", "out.x"]].concat(),
            vec!["out.x is to be written"],
        ),
        ([&ok[..], &["--threshold", "60", "--keep-source", "a.src"]].concat(), vec!["a.src exists already"]),
        (
            [&ok[..], &["--threshold", "60", "--keep-source", "no/out.src"]].concat(),
            vec!["there is no folder no"],
        ),
        ([&ok[..], &["--shard", "4/3"]].concat(), vec!["there is no part 4 of 3"]),
        ([&ok[..], &["--resume"]].concat(), vec!["--output"]),
        ([&ok[..], &["--threshold", "60", "--keep", "out.tsv"]].concat(), vec!["cannot be used with"]),
        (vec!["--threshold", "60", "--keep", "out.tsv"], vec!["--input"]),
    ];
    for (arguments, parts) in cases {
        let outcome = score(&work, &system, &arguments).ends_with(2).says(&parts);
        assert_eq!(outcome.stdout, "");
        assert_eq!(files(&work, "out"), [""; 0], "{arguments:?}");
    }
    // Of streams the counts are known only at the end: nothing gets its name then.
    let gzip = |name: &str| {
        let mut command = std::process::Command::new("gzip");
        assert!(command.args(["-k", name]).current_dir(work.at(".")).status().unwrap().success());
    };
    big(&work, 3000);
    work.write("short.tgt", &text(&ToyCorpus::generate(2999, 5).target));
    gzip("big.src");
    gzip("short.tgt");
    let sides = ["--source", "big.src.gz", "--target", "short.tgt.gz"];
    let outcome = score(&work, &system, &[&sides[..], &of_sides].concat())
        .says(&["big.src.gz has 3000 lines but short.tgt.gz has 2999"]);
    assert!(matches!(outcome.code, Some(1 | 2)), "{outcome}");
    assert!(!work.at("out.src").exists() && !work.at("out.tgt").exists());
    let _ = score(&work, &system, &["--input", "-", "--shard", "1/2"])
        .ends_with(2)
        .says(&["--shard needs a corpus that can be read twice"]);
}

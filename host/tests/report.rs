//! `kiwi-host report`: what it writes and says, without libtorch, plugins or an engine. What is on the page has its tests in
//! `kiwi-report`.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]
#![expect(dead_code, reason = "the support module has more than these tests need")]

mod support;

use std::fs;
use std::path::PathBuf;

use kiwi_core::saved_system::{self, Dtype, Part, PluginIdentity, SystemHeader, TensorData};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::{Environment, Event, Message, Record, Started, Training, Values};
use support::{Installation, text};

fn run(installation: &Installation, name: &str, rate: f64) {
    let started = Event::Started(Started {
        run_id: "0".repeat(32),
        experiment: "default".to_owned(),
        resumed_at: None,
        epochs: 1,
        batches: 10,
        main_metric: None,
        ordering: "min".to_owned(),
        parameters: 7,
        components: Vec::new(),
        environment: Environment {
            kiwi_host: "0.1.0".to_owned(),
            torch: "2.11.0".to_owned(),
            device: "cpu".to_owned(),
            threads: 2,
            processor: None,
            platform: "linux x86_64".to_owned(),
        },
    });
    let logged = (1..=10).map(|step| {
        Event::Logged(Training {
            epoch: 0,
            step,
            loss: Number(5.0 - step as f64 * rate),
            values: Values::new(),
            learning_rates: [("lr".to_owned(), Number(rate))].into(),
            words_per_second: Number(1000.0),
        })
    });
    let failed = Event::Failed(Message { message: "no memory".to_owned() });
    let events = std::iter::once(started).chain(logged).chain([failed]);
    let lines = events.zip(10..).map(|(event, second)| {
        let time = format!("2026-01-02T03:04:{second}Z").parse().unwrap();
        serde_json::to_string(&Record { time, event }).unwrap() + "\n"
    });
    installation.write(&format!("{name}/events.jsonl"), &lines.collect::<String>());
    installation.write(&format!("{name}/config.json"), &format!("{{\"rate\": {rate}}}"));
}

#[test]
fn the_path_of_the_page_is_printed() {
    let installation = Installation::new();
    run(&installation, "runs/first", 0.1);
    run(&installation, "runs/second", 0.2);
    let one = installation.run(&["report", "runs/first"]).ends_with(0);
    assert_eq!((one.stdout.as_str(), one.stderr.as_str()), ("runs/first/report.html\n", ""));
    let both = ["report", "runs/first", "runs/second", "-o", "both.html"];
    let two = installation.run(&both).ends_with(0);
    assert_eq!((two.stdout.as_str(), two.stderr.as_str()), ("both.html\n", ""));
    let page = fs::read_to_string(installation.at("both.html")).unwrap();
    for part in ["<title>2 runs – kiwi-host report</title>", "no memory", "differ", "first", "second"] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    // Again, over the earlier page.
    installation.run(&both).ends_with(0);
    assert_eq!(fs::read_to_string(installation.at("both.html")).unwrap(), page);
}

#[test]
fn what_is_wrong_ends_with_2_and_names_the_path() {
    let installation = Installation::new();
    run(&installation, "runs/0/first", 0.1);
    run(&installation, "other", 0.1);
    let mine = installation.write("mine.html", "<!DOCTYPE html>");
    let system = saved(&installation, "toy.safetensors");
    let bytes = fs::read(&system).unwrap();
    fs::write(installation.at("cut.safetensors"), &bytes[..bytes.len() - 3]).unwrap();
    fs::create_dir_all(installation.at("other/checkpoints")).unwrap();
    fs::write(installation.at("other/checkpoints/best.safetensors"), bytes).unwrap();
    installation.write("other/checkpoints/index.json", r#"{"best": "checkpoints/best.safetensors"}"#);
    for (arguments, parts) in [
        (&["report"][..], &["required", "<RUN|SYSTEM>"][..]),
        (&["report", "none"], &["error[E0706]: there is no directory none"]),
        (
            &["report", "runs"],
            &[
                "error[E0706]: runs is not the directory of a run: there is no events.jsonl in it",
                "found: 0",
                "did you mean `runs/0/first`?",
            ],
        ),
        (
            &["report", "mine.html"],
            &[
                "error[E0706]: mine.html is a file, neither the directory of a run nor a saved system",
                "it is a text file",
            ],
        ),
        (&["report", "other", "runs/0/first"], &["a page about 2 runs needs a file", "-o comparison.html"]),
        (
            &["report", "other", "./other", "-o", "x.html"],
            &["error[E0803]: the run ./other is given twice", "found: also as other"],
        ),
        (&["report", "other", "-o", "mine.html"], &["error[E0801]: mine.html is in use", "--output"]),
        (
            &["report", "other", "-o", "none/x.html"],
            &["error[E0802]: cannot write none/x.html: No such file"],
        ),
        (
            &["report", "none.safetensors"],
            &["saved system none.safetensors does not exist", "did you mean toy.safetensors?"],
        ),
        (&["report", "cut.safetensors"], &["cut.safetensors is not a saved system: it is cut off"]),
        (
            &["report", "other", "toy.safetensors", "-o", "x.html"],
            &["toy.safetensors is a saved system, which has a page of its own", "make a page of each"],
        ),
        (&["report", "toy.safetensors", "-o", "mine.html"], &["mine.html is in use", "--output"]),
        (&["report", "toy.safetensors", "-o", "none/x.html"], &["cannot write none/x.html: No such file"]),
        (&["report", "toy.safetensors", "--source", "a"], &["required", "--target"]),
        (&["report", "toy.safetensors", "--locked"], &["no plugin is opened, which a lock could hold to"]),
        (&["report", "toy.safetensors", "--device", "cuda"], &["required", "--source"]),
        (
            &["report", "toy.safetensors", "--source", "a", "--target", "b", "--sentences", "0"],
            &["--sentences", "0 is not in 1..=5000"],
        ),
        (
            &["report", "other", "--source", "a", "--target", "b"],
            &[
                "other is the directory of a run, and only a saved system is run on a corpus",
                "did you mean `other/checkpoints/best.safetensors`?",
            ],
        ),
        (&["report", "mine.html", "--source", "a", "--target", "b"], &["mine.html is a file, neither"]),
    ] {
        let outcome = installation.run(arguments).ends_with(2).stderr_has(parts);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(text(&mine)).unwrap(), "<!DOCTYPE html>");
    assert!(!installation.at("x.html").exists());
}

/// A saved system of a toy vocabulary and one tensor.
fn saved(installation: &Installation, name: &str) -> PathBuf {
    let part = |class: &str| Part {
        class_name: class.to_owned(),
        config: serde_json::json!({"size": 2}),
        plugin: PluginIdentity { name: "p".to_owned(), version: "0.1.0".to_owned(), sha256: "0".repeat(64) },
        extra: None,
    };
    let words = ["<unk>", "<pad>", "<bos>", "<eos>", "<unaligned>", "la"].map(str::to_owned);
    let header = SystemHeader {
        class_name: "Toy".to_owned(),
        encoder: part("ToyEncoder"),
        head: part("ToyHead"),
        data_processing: serde_json::json!({}),
        training: None,
        source_vocabulary: words.to_vec(),
        target_vocabulary: words.to_vec(),
    };
    let bytes = [0.5_f32, -0.5].map(f32::to_le_bytes).concat();
    let tensor =
        TensorData { name: "encoder.weight".to_owned(), dtype: Dtype::F32, shape: vec![2], bytes: &bytes };
    let path = installation.at(name);
    saved_system::write(&path, &header, [tensor]).unwrap();
    path
}

#[test]
fn a_saved_system_has_a_page_beside_it() {
    let installation = Installation::new();
    saved(&installation, "toy.safetensors");
    let one = installation.run(&["report", "toy.safetensors"]).ends_with(0);
    assert_eq!((one.stdout.as_str(), one.stderr.as_str()), ("toy.html\n", ""));
    let page = fs::read_to_string(installation.at("toy.html")).unwrap();
    for part in ["<title>toy.safetensors – kiwi-host report</title>", "ToyEncoder", "encoder.weight", "-0.5"]
    {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    // Again, over the earlier page, and as data; the name decides nothing.
    fs::rename(installation.at("toy.safetensors"), installation.at("toy.bin")).unwrap();
    let data = installation.run(&["report", "toy.bin", "--format", "json"]).ends_with(0);
    let data: serde_json::Value = serde_json::from_str(&data.stdout).unwrap();
    assert_eq!((&data["format"], &data["page"]), (&1.into(), &"toy.html".into()));
    assert_eq!(data["system"]["tensors"][0]["values"]["finite"]["min"], -0.5);
    run(&installation, "first", 0.1);
    let data = installation.run(&["report", "first", "--format", "json"]).ends_with(0);
    assert_eq!(data.stdout, "{\"format\":1,\"page\":\"first/report.html\"}\n");
}

#[test]
fn the_help_has_examples() {
    let help = Installation::new().run(&["report", "--help"]).ends_with(0);
    help.stdout_has(&["kiwi-host report runs/first runs/second -o comparison.html", "needs no network"]);
}

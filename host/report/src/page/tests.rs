use kiwi_tracking::number::Number;
use kiwi_tracking::record::{Event, Started, Tested, Values};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::fixtures::{Fixture, STARTED};
use crate::run::Config;

/// The page, checked for what holds of each.
fn page(runs: &[Run]) -> String {
    let page = render(runs);
    assert_eq!(page, render(runs), "the same runs gave other bytes");
    assert!(page.starts_with(BEGINNING));
    assert!(page.ends_with("</html>\n"));
    // Two scripts, ours.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    data(&page);
    crate::structure::check(&page);
    page
}

fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[track_caller]
fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
}

/// What a reader sees, in one line, elements as spaces.
fn words(page: &str) -> String {
    let body = &page[page.find("<body>").unwrap()..page.find("<script").unwrap()];
    let mut out = String::new();
    let mut within = false;
    for c in body.chars() {
        match c {
            '<' => within = true,
            '>' => (within, _) = (false, out.push(' ')),
            c if !within => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn finished() -> Fixture {
    let mut fixture = Fixture::new(&STARTED);
    fixture.logged(5, 3.0).logged(10, 2.5).epoch_ended(10, 2.7).validated(10, 40.0, true);
    fixture.logged(15, 2.2).logged(20, 2.0).validated(20, 44.0, false).rate_lowered(20);
    fixture.warning("two pairs were left out").finished(20).tested();
    fixture
}

#[test]
fn a_finished_run_is_told_from_end_to_end() {
    let page = page(&[finished().run("first")]);
    let words = words(&page);
    for part in [
        "first ✓ finished : all epochs are done · experiment default, run 0123456789abcdef0123456789abcdef",
        "first ✓ finished 40 val_target_PERP checkpoints/10.safetensors epoch 0, step 10 44 val_target_PERP",
        "20 2 of 2 11,500 1 min 40 s 1.50 GiB 3 not_finite",
        "first 5.0 s 5.0 % 30.0 s 30.0 % 40.0 s 40.0 % 10.0 s 10.0 % 8.0 s 8.0 % 2.0 s 2.0 % 5.0 s 5.0 % 1 min 40 s",
        "Loss loss val_loss",
        "target_PERP target_PERP val_target_PERP",
        "loss 3 step 5 2 step 20 2 step 20 3 step 5 4",
        "★ first: best val_target_PERP 40 at step 10",
        "first: lr lowered from 0.001 to 0.0005",
        "first checkpoints/10.safetensors test_target_PERP 41.5",
        "kiwi-host 0.1.0 libtorch 2.11.0 device cpu threads 2 processor a processor platform linux x86_64",
        "encoder PredictorEncoder kiwi-encoders 0.1.0 ab12ab12",
        "warning: two pairs were left out",
        "experiment_name",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    for part in ["differs", "Where the configs differ", "not a finite number", "resumed", "at most"] {
        assert!(!words.contains(part), "{part:?} in {words}");
    }
    // Seen without a script.
    has(&page, &["<g class=\"curve c0 d0\"><path d=\"M", "<g class=\"curve c0 d0 dotted\"><path d=\"M"]);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&[finished().run("a"), finished().run("b")]);
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for part in
        ["http:", "https:", "src=", "@import", "url(\"", "url('", "<link", "<img", "<iframe", "fetch("]
    {
        assert!(!outside.contains(part), "{part}");
    }
    has(&page, &["default-src 'none'"]);
}

#[test]
fn texts_of_runs_are_texts_and_nothing_else() {
    let evil = "</script><b onclick=x>\"'&<!--";
    let mut started = Started { experiment: evil.to_owned(), run_id: evil.to_owned(), ..STARTED.clone() };
    started.main_metric = Some(format!("val_{evil}"));
    started.components[0].class = evil.to_owned();
    started.components[1].plugin = evil.to_owned();
    started.environment.device = evil.to_owned();
    let mut fixture = Fixture::new(&started);
    fixture.logged(5, 3.0).warning(evil).validated(10, 40.0, true).failed(evil);
    for record in &mut fixture.records {
        match &mut record.event {
            Event::Logged(values) => {
                values.values.insert(evil.to_owned(), Some(Number(1.0)));
                values.learning_rates.insert(evil.to_owned(), Number(f64::NAN));
            }
            Event::Validated(validated) => {
                validated.saved = Some(evil.to_owned());
                validated.values.insert(format!("val_{evil}"), Some(Number(1.0)));
            }
            _ => {}
        }
    }
    fixture.event(Event::Tested(Tested {
        system: Some(evil.to_owned()),
        values: Values::from([(evil.to_owned(), None)]),
    }));
    let mut other = fixture.run(evil);
    let text = serde_json::json!({evil: evil}).to_string();
    other.config = Config::Known(serde_json::from_str(&text).unwrap(), text);
    let page = page(&[fixture.run("a"), other, finished().run(evil)]);
    assert!(!page.contains("<b "), "an element of a run's is in the page");
    assert_eq!(page.matches("<!--").count(), 1, "a comment of a run's is in the page");
    assert!(words(&page).contains("&lt;/script&gt;&lt;b onclick=x&gt;"));
    assert_eq!(data(&page)["runs"][1]["label"], evil);
}

#[test]
fn runs_lie_over_one_another_and_their_differences_are_told() {
    let mut fixture = Fixture::new(&{
        let mut started = STARTED.clone();
        started.environment.torch = "2.11.1".to_owned();
        started.components.truncate(3);
        started.components[2].sha256 = "cd34".repeat(16);
        started
    });
    fixture.logged(5, 3.5).validated(10, 60.0, true).failed("no memory");
    let mut failed = fixture.run("failed");
    let config = serde_json::json!({"run": {"seed": 7, "experiment_name": "default"}, "new": {"key": [1]}});
    failed.config = Config::Known(config.clone(), config.to_string());
    let mut unknown = finished().run("unknown");
    unknown.config = Config::Unknown("config.json is not there".to_owned());
    let page = page(&[finished().run("first"), failed, unknown]);
    let words = words(&page);
    for part in [
        "3 runs first ✓ finished",
        "failed ✗ failed : no memory",
        "unknown : config.json is not there",
        "new.key[0] not there 1 not there",
        "run.seed 42 7 not there",
        "libtorch differs 2.11.0 2.11.1 2.11.0",
        "optimizer adam differs kiwi-optimizers 0.1.0 ab12",
        "metric PERP differs kiwi-metrics 0.1.0",
        "not used",
        "failed val_loss",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    assert!(!words.contains("experiment_name \"default\""), "{words}");
    let data = data(&page);
    assert_eq!(data["charts"][0]["series"].as_array().unwrap().len(), 6);
    has(&page, &["curve c0", "curve c1", "curve c2", "data-run=\"2\""]);
}

#[test]
fn what_is_not_finite_is_marked_and_not_drawn_through() {
    let mut fixture = Fixture::new(&STARTED);
    fixture.logged(5, 3.0).logged(10, f64::NAN).logged(15, 2.0).logged(20, 2.5).logged(25, f64::NEG_INFINITY);
    let page = page(&[fixture.run("a")]);
    let words = words(&page);
    for part in ["× not a finite number", "× a: loss is NaN at step 10", "× a: loss is -Infinity at step 25"]
    {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    assert!(words.contains("loss 3 step 5 -Infinity step 25 2 step 15 3 step 5 5 2"), "{words}");
    let loss = &page[page.find("<g class=\"curve").unwrap()..];
    let path = &loss[..loss.find("</path>").unwrap()];
    // A dot, then a line.
    assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
    let curve = &loss[..loss.find("</g>").unwrap()];
    assert_eq!(curve.matches("<circle").count(), 1, "{curve}");
    assert_eq!(data(&page)["charts"][0]["series"][0]["values"][1], "NaN");
}

#[test]
fn a_run_that_just_began_has_a_page() {
    let page = page(&[Fixture::new(&STARTED).run("a")]);
    let words = words(&page);
    for part in
        ["… unfinished", "Nothing was logged.", "Only a run that finished tells.", "0 0 of 2 not known"]
    {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn a_resumed_run_is_one_run() {
    let mut fixture = Fixture::new(&STARTED);
    fixture.logged(5, 3.0).logged(10, 2.5).interrupted(10).resumed(5).logged(10, 2.4).finished(20);
    let words = words(&page(&[fixture.run("a")]));
    for part in [
        "a: resumed after step 5",
        "The run was resumed once.",
        "2 records of steps that were done again after a resume are left out.",
        "loss 3 step 5 2.4 step 10",
        "threads 2 processor",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn a_page_does_not_grow_with_the_log() {
    let mut fixture = Fixture::new(&STARTED);
    for step in 1..=100_000 {
        let loss = if step == 77_777 { 9.75 } else { 2.0 + 1.0 / step as f64 };
        fixture.logged(step, loss);
    }
    let run = fixture.run("long");
    let page = page(std::slice::from_ref(&run));
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(words(&page).contains("at most 1500 points each"));
    has(&page, &["9.75"]);
    let values = data(&page)["charts"][0]["series"][0]["values"].as_array().unwrap().clone();
    assert!(values.iter().any(|value| value == 9.75));
    assert!(values.len() <= 1502);
    let many = render(&vec![run; 40]);
    assert!(many.len() < 4_000_000, "{}", many.len());
}

/// An event that no run would tell of, with any numbers.
fn odd_event(fixture: &mut Fixture, kind: u8, step: u64, value: f64, back: i64) {
    fixture.wait(back);
    match kind {
        0 => fixture.logged(step, value),
        1 => fixture.epoch_ended(step, value),
        2 => fixture.validated(step, value, value < 0.0),
        3 => fixture.rate_lowered(step),
        4 => fixture.interrupted(step),
        5 => fixture.resumed(step),
        6 => fixture.failed("x"),
        7 => fixture.tested(),
        _ => fixture.finished(step),
    };
    let number = Number(value);
    match &mut fixture.records.last_mut().unwrap().event {
        Event::Logged(values) | Event::EpochEnded(values) => {
            (values.epoch, values.words_per_second) = (step, number);
            values.values.insert("loss".to_owned(), Some(number));
        }
        Event::Finished(summary) => {
            (summary.words_per_second, summary.seconds.total, summary.seconds.data) =
                (number, number, number);
            (summary.epochs, summary.peak_memory) = (step, Some(step));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_record_has_a_page(events in proptest::collection::vec(
        (0_u8..9, prop_oneof![0_u64..50, any::<u64>()], prop_oneof![0.0..9.0, any::<f64>()], -50_i64..50), 0..40,
    )) {
        let mut fixture = Fixture::new(&STARTED);
        for (kind, step, value, back) in events {
            odd_event(&mut fixture, kind, step, value, back);
        }
        let page = page(&[fixture.run("a"), fixture.run("b")]);
        let drawing = &page[page.find("<main>").unwrap()..page.find("<script").unwrap()];
        for number in ["=\"NaN", "=\"inf", "=\"-inf", " NaN\"", "LNaN", "MNaN"] {
            prop_assert!(!drawing.contains(number), "{} in {}", number, drawing);
        }
    }
}

use std::fs;

use super::*;
use crate::fixtures::{Fixture, STARTED};

fn trial(name: &str, rate: f64, kind: &str, value: Option<f64>) -> Trial {
    Trial {
        name: name.to_owned(),
        values: vec![
            Value { text: rate.to_string(), number: Some(rate) },
            Value { text: kind.to_owned(), number: None },
        ],
        value,
        state: if value.is_some() { "finished" } else { "failed" },
        note: String::new(),
        epochs: Some(2),
        steps: Some(20),
        seconds: Some(3.0),
        run: PathBuf::from("none").join(name),
    }
}

fn sweep(trials: Vec<Trial>) -> Sweep {
    Sweep {
        title: "rates <b>".to_owned(),
        about: "Each combination once.".to_owned(),
        metric: Some(Metric { name: "val_target_PERP".to_owned(), higher_is_better: false }),
        parameters: vec![
            Parameter {
                path: "system.optimizer.learning_rate".to_owned(),
                label: "learning_rate".to_owned(),
                scale: Scale::Logarithmic(1e-4, 1e-1),
            },
            Parameter {
                path: "system.optimizer.class_name".to_owned(),
                label: "class_name".to_owned(),
                scale: Scale::Named(vec!["adam".to_owned(), "sgd".to_owned()]),
            },
        ],
        trials,
        best_config: Some(PathBuf::from("out/best.json")),
    }
}

fn page(sweep: &Sweep) -> String {
    page::render(sweep, &[])
}

#[test]
fn each_trial_is_a_line_and_a_row_and_the_best_has_the_first_shade() {
    let trials = vec![
        trial("0003", 0.01, "adam", Some(10.0)),
        trial("0001", 0.001, "sgd", Some(20.0)),
        trial("0002", 0.1, "sgd", None),
    ];
    let page = page(&sweep(trials));
    assert_eq!(page.matches("<tr data-trial=").count(), 3);
    assert!(page.contains(r#"<path class="trial q0" data-trial="0""#), "{page}");
    assert!(
        page.contains(r#"<path class="trial q6" data-trial="1""#)
            && page.contains(r#"<path class="trial none" data-trial="2""#)
    );
    // Lower is better, so that 10 stands at the top of the last axis, and the one without a value ends before it.
    let path = |trial: &str| {
        let start = page.find(&format!("data-trial=\"{trial}\" d=\"")).unwrap();
        page[start..].split('"').nth(3).unwrap().to_owned()
    };
    assert!(path("0").ends_with(" 46") && path("1").ends_with(" 384"), "{} {}", path("0"), path("1"));
    assert_eq!((path("0").matches(['M', 'L']).count(), path("2").matches(['M', 'L']).count()), (3, 2));
    assert!(page.contains("rates &lt;b&gt;") && !page.contains("<b>"));
    assert!(page.contains("2 finished, 1 failed"), "{page}");
}

#[test]
fn what_is_not_finite_or_alone_has_a_page_too() {
    for trials in [
        vec![],
        vec![trial("0001", 0.01, "adam", Some(f64::NAN))],
        vec![trial("0001", 0.01, "adam", Some(1.0))],
        vec![trial("0001", 0.01, "other", Some(1.0)), trial("0002", -1.0, "adam", Some(1.0))],
    ] {
        let page = page(&sweep(trials));
        assert!(page.contains("</html>") && !page.contains("MNaN") && !page.contains("LNaN"), "{page}");
    }
}

#[test]
fn curves_are_those_of_the_best_and_another_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut trials = Vec::new();
    for number in 1..=10 {
        let name = format!("{number:04}");
        let run = folder.path().join(&name);
        fs::create_dir(&run).unwrap();
        let mut fixture = Fixture::new(&STARTED);
        fixture.logged(10, 3.0).validated(10, 40.0 + f64::from(number), true);
        fs::write(run.join(FILE), fixture.text()).unwrap();
        trials.push(Trial { run, ..trial(&name, 0.01, "adam", Some(f64::from(number))) });
    }
    let output = folder.path().join("report.html");
    report_sweep(&sweep(trials.clone()), &output).unwrap();
    let page = fs::read_to_string(&output).unwrap();
    assert_eq!(page.matches("data-run=").count(), COLOURS);
    assert!(page.contains("Below are the curves of the 8 best trials"), "{page}");
    report_sweep(&sweep(trials.clone()), &output).unwrap();
    fs::write(&output, "mine").unwrap();
    assert!(report_sweep(&sweep(trials), &output).is_err());
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
}

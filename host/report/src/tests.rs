//! From directories to a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::fixtures::{Fixture, STARTED};

/// A folder with runs of these names.
fn folder(runs: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for run in runs {
        let directory = folder.path().join(run);
        fs::create_dir_all(&directory).unwrap();
        let mut fixture = Fixture::new(&STARTED);
        fixture.logged(5, 3.0).validated(10, 40.0, true).finished(20);
        fs::write(directory.join("events.jsonl"), fixture.text()).unwrap();
        fs::write(directory.join("config.json"), "{\"run\": {\"seed\": 1}}").unwrap();
    }
    folder
}

fn told(directories: &[PathBuf], output: Option<&Path>) -> String {
    let diagnostic = report(directories, output).unwrap_err().diagnostic();
    let parts = [
        Some(diagnostic.message),
        diagnostic.found.map(|found| format!("found {found}")),
        diagnostic.nearest.map(|nearest| format!("nearest {nearest}")),
        diagnostic.help.map(|help| format!("help {help}")),
    ];
    parts.into_iter().flatten().chain(diagnostic.notes).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_of_a_run_lies_in_its_directory() {
    let folder = folder(&["a"]);
    let run = folder.path().join("a");
    let page = report(std::slice::from_ref(&run), None).unwrap();
    assert_eq!(page, run.join("report.html"));
    let first = fs::read(&page).unwrap();
    // The earlier page is replaced, by the same.
    report(std::slice::from_ref(&run), None).unwrap();
    assert_eq!(fs::read(&page).unwrap(), first);
    let mode = fs::metadata(&page).unwrap().permissions().mode();
    let usual = fs::metadata(run.join("config.json")).unwrap().permissions().mode();
    assert_eq!(mode, usual);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 3);
}

#[test]
fn nothing_but_an_earlier_page_is_lost() {
    let folder = folder(&["a"]);
    let run = folder.path().join("a");
    let told = |output: &Path| told(std::slice::from_ref(&run), Some(output));
    let config = run.join("config.json");
    assert!(told(&config).contains("config.json is in use, and a file that is no report is not overwritten"));
    assert_eq!(fs::read_to_string(&config).unwrap(), "{\"run\": {\"seed\": 1}}");
    assert!(told(&run).contains("a directory is not overwritten"));
    assert!(told(Path::new("/dev/null")).contains("no regular file"));
    let nowhere = told(&folder.path().join("none/x.html"));
    assert!(
        nowhere.contains("none/x.html: No such file") && nowhere.contains("help make the directory"),
        "{nowhere}"
    );
    assert!(!nowhere.contains("partial"), "{nowhere}");
    assert!(told(&config.join("x.html")).contains("cannot write"));
    assert_eq!(fs::read_dir(&run).unwrap().count(), 2);
}

#[test]
fn several_runs_need_a_place_for_their_page() {
    let folder = folder(&["a", "b"]);
    let runs = ["a", "b"].map(|run| folder.path().join(run));
    assert!(
        told(&runs, None).contains("a page about 2 runs needs a file to go to\nhelp say where with --output")
    );
    let page = folder.path().join("both.html");
    assert_eq!(report(&runs, Some(&page)).unwrap(), page);
    assert!(fs::read_to_string(page).unwrap().contains("<h1>2 runs</h1>"));
}

#[test]
fn a_run_is_given_once() {
    let folder = folder(&["a", "b"]);
    let at = |name: &str| folder.path().join(name);
    symlink(at("a"), at("link")).unwrap();
    let output = at("x.html");
    for again in ["a", "b/../a", "link"] {
        let told = told(&[at("a"), at("b"), at(again)], Some(&output));
        assert!(told.contains("is given twice"), "{told}");
    }
    assert!(!output.exists());
}

#[test]
fn a_path_that_is_no_run_leads_to_the_run_that_was_meant() {
    let folder = folder(&["runs/0/first", "runs/0/second", "alone/0/only"]);
    let at = |name: &str| folder.path().join(name);
    let shown = |name: &str| at(name).display().to_string();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("old")).unwrap();
    fs::write(at("old/config.json"), "{}").unwrap();
    for (path, parts) in [
        ("runs", vec!["is not the directory of a run", "found 0", "nearest", "runs below it:"]),
        ("runs/0", vec!["found first, second", "runs/0/second"]),
        ("alone", vec!["nearest"]),
        ("empty", vec!["found nothing", "kiwi-host train"]),
        ("old", vec!["found config.json", "a run keeps a record since"]),
        ("runs/0/frist", vec!["there is no directory", "nearest"]),
        (
            "runs/0/first/config.json",
            vec!["is a file, neither the directory of a run nor a saved system", "nearest"],
        ),
        ("runs/0/first/config.json/x", vec!["there is no directory"]),
    ] {
        let told = told(&[at(path)], None);
        for part in parts.into_iter().chain([shown(path).as_str()]) {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
    }
    assert!(told(&[at("runs")], None).contains(&format!("nearest {}", shown("runs/0/first"))));
    assert!(told(&[at("alone")], None).contains(&format!("nearest {}", shown("alone/0/only"))));
    assert!(told(&[at("runs/0/frist")], None).contains(&format!("nearest {}", shown("runs/0/first"))));
    let file = told(&[at("runs/0/first/config.json")], None);
    assert!(file.ends_with(&format!("nearest {}", shown("runs/0/first"))), "{file}");
}

#[test]
fn what_a_directory_lacks_beside_the_record_is_said_on_the_page() {
    let folder = folder(&["a"]);
    let run = folder.path().join("a");
    let page = || fs::read_to_string(report(std::slice::from_ref(&run), None).unwrap()).unwrap();
    fs::write(run.join("config.json"), "{").unwrap();
    assert!(page().contains("config.json is not JSON: "));
    fs::write(run.join("config.json"), " ".repeat(300 << 10)).unwrap();
    assert!(page().contains("config.json is longer than 256 KiB"));
    fs::remove_file(run.join("config.json")).unwrap();
    assert!(page().contains("config.json is not there"));
    let record = run.join("events.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, format!("{text}broken\n{}", &text[..30])).unwrap();
    let page = page();
    assert!(page.contains("Left out of events.jsonl: line 5 is no record: "), "{page}");
    assert!(page.contains("; line 6 ends in its middle."), "{page}");
    fs::write(&record, "").unwrap();
    assert!(
        told(std::slice::from_ref(&run), None).contains("events.jsonl holds no record of a run: it is empty")
    );
}

//! A server that misbehaves from any moment on: the run hears little of it and waits for nothing, and everything arrives.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(
    unreachable_pub,
    dead_code,
    reason = "the support modules are shared in the way of integration tests"
)]

mod support {
    pub mod fake;
    mod run;
    pub use run::*;
}

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use kiwi_tracking::Tracking;
use kiwi_tracking::mlflow::{Error, FILE, Settings, Synced, sync};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::{Event, Validated, Values};
use support::fake::{Fake, Mode};
use support::{LOGGED, Run, finished, logged, server, validated};

/// How long the end of a run waits in these tests.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a server hangs, a request is given up soon; elsewhere a slow machine is no fault.
fn settings(fault: Mode) -> Settings {
    let settings = Settings::default();
    if fault == Mode::Hang { settings.with_timeout(Duration::from_millis(1500)) } else { settings }
}

fn start(run: &Run, address: &str, fault: Mode) -> Tracking {
    let mut options = run.options(Some(address), None);
    options.mlflow.as_mut().unwrap().settings = settings(fault);
    let mut tracking = Tracking::start(options);
    tracking.record(support::started(None));
    tracking
}

fn sync_to(run: &Run, address: &str) -> Result<Synced, Error> {
    sync(run.path(), &server(address), &Settings::default())
}

fn log(tracking: &mut Tracking, steps: std::ops::Range<u64>) {
    for step in steps {
        tracking.record(logged(step, 1.0));
        tracking.flush();
    }
}

const FAULTS: [Mode; 7] = [
    Mode::Close,
    Mode::Hang,
    Mode::CloseMidResponse,
    Mode::Status(500, "out of order"),
    Mode::Status(429, "too much"),
    Mode::Status(401, "who are you"),
    Mode::Page,
];

#[test]
fn a_fault_in_the_middle_is_warned_of_once_and_everything_arrives() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let (run, fake) = (Run::new(), Fake::start());
                let mut tracking = start(&run, &fake.address, fault);
                log(&mut tracking, 0..10);
                fake.wait(|state| state.values.len() as u64 == 10 * LOGGED);
                fake.set(fault);
                let before = fake.with(|state| state.requests);
                log(&mut tracking, 10..1010);
                // A thousand notices came to a few requests: there is a pause after each failure.
                let asked = fake.with(|state| state.requests) - before;
                assert!(asked < 20, "{fault:?}: {asked}");
                fake.wait(|state| state.requests > before + 1);
                let said = tracking.warnings();
                assert_eq!(said.len(), 1, "{fault:?}: {said:?}");
                assert!(said[0].contains("; the run goes on"), "{fault:?}: {said:?}");
                fake.set(Mode::Answer);
                fake.wait(|state| state.values.len() as u64 == 1010 * LOGGED);
                tracking.record(finished(1010));
                let said = tracking.close();
                assert!(said.len() == 1 && said[0].contains("is reachable again"), "{fault:?}: {said:?}");
                fake.with(|state| {
                    assert_eq!(state.runs, 1, "{fault:?}");
                    assert_eq!(state.status, ["FINISHED"], "{fault:?}");
                    assert_eq!(state.parameters["trainer.epochs"], "3");
                    assert_eq!(state.files["checkpoints/best.safetensors"], 3_000_000);
                    assert_eq!(state.files.len(), 3, "{fault:?}");
                    // Only what was carried out without an answer is sent again.
                    let twice = state.values.values().any(|times| *times > 1);
                    assert!(!twice || fault == Mode::CloseMidResponse, "{fault:?}");
                });
            });
        }
    });
}

#[test]
fn what_is_not_sent_at_the_end_is_sent_by_sync() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let (run, fake) = (Run::new(), Fake::start());
                fake.set(fault);
                let mut tracking = start(&run, &fake.address, fault);
                log(&mut tracking, 0..100);
                tracking.record(finished(100));
                let said = tracking.waiting(PATIENCE).close();
                let last = said.last().unwrap();
                let command = format!("`kiwi-host mlflow sync {} {}`", run.path().display(), fake.address);
                assert!(said.len() <= 2 && last.contains(&command), "{fault:?}: {said:?}");
                fake.set(Mode::Answer);
                let synced = sync_to(&run, &fake.address).unwrap();
                assert_eq!(
                    (synced.state.as_str(), synced.warnings.len()),
                    ("FINISHED", 0),
                    "{fault:?}: {synced:?}"
                );
                fake.with(|state| {
                    assert_eq!(state.values.len() as u64, 100 * LOGGED, "{fault:?}");
                    assert_eq!((state.runs, state.files.len()), (1, 3), "{fault:?}");
                });
                let again = sync_to(&run, &fake.address).unwrap();
                assert_eq!((again.values, again.parameters, again.artifacts), (0, 0, 0), "{fault:?}");
            });
        }
    });
}

#[test]
fn a_server_that_comes_later_gets_everything() {
    let run = Run::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let mut tracking = start(&run, &format!("http://{at}"), Mode::Answer);
    log(&mut tracking, 0..10);
    let began = Instant::now();
    let mut said = Vec::new();
    while said.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
        said = tracking.warnings();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(said[0].contains("cannot be reached"), "{said:?}");
    let fake = Fake::on(TcpListener::bind(at).unwrap());
    fake.wait(|state| state.values.len() as u64 == 10 * LOGGED);
    assert!(tracking.close()[0].contains("reachable again"));
}

#[test]
fn what_the_server_will_never_take_is_passed_over_with_one_warning() {
    let (run, fake) = (Run::new(), Fake::start());
    let mut tracking = start(&run, &fake.address, Mode::Answer);
    log(&mut tracking, 0..50);
    // The tag of this one is refused.
    let values = Values::from([("bad/x".to_owned(), Some(Number(1.0)))]);
    for step in 50..53 {
        let values = values.clone();
        tracking.record(Event::Validated(Validated { epoch: 0, step, values, improved: false, saved: None }));
    }
    tracking.record(validated(53, 1.0));
    tracking.record(finished(53));
    let said = tracking.close();
    assert!(said.len() == 1 && said[0].contains("validation/bad/x at step"), "{said:?}");
    fake.with(|state| {
        assert_eq!(state.values.len() as u64, 50 * LOGGED + 1);
        assert!(state.values.values().all(|times| *times == 1));
        assert_eq!(state.status, ["FINISHED"]);
    });
    let again = sync_to(&run, &fake.address).unwrap();
    assert_eq!((again.values, again.warnings.len()), (0, 0));
}

#[test]
fn what_is_wrong_is_explained() {
    let (run, fake) = (Run::new(), Fake::start());
    let _ = run.start(None, None).close();
    for (mode, part) in [
        (Mode::Status(401, ""), "set MLFLOW_TRACKING_USERNAME"),
        (Mode::Status(403, "{\"message\": \"no\"}"), "does not allow this (status 403: no)"),
        (Mode::Status(404, "nothing here"), "is not an MLflow server"),
        (Mode::Page, "is not an MLflow server"),
        (Mode::Status(400, "{\"error_code\": \"X\", \"message\": \"no\"}"), "refused it with status 400: no"),
    ] {
        fake.set(mode);
        let error = sync_to(&run, &fake.address).unwrap_err().to_string();
        assert!(error.contains(part), "{mode:?}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = sync(empty.path(), &server(&fake.address), &Settings::default()).unwrap_err();
    assert!(matches!(error, Error::NoRecord { .. }), "{error}");
}

#[test]
fn another_server_gets_a_run_of_its_own_and_the_cursor_no_password() {
    let (run, first, second) = (Run::new(), Fake::start(), Fake::start());
    let mut tracking = run.start(None, None);
    log(&mut tracking, 0..5);
    let _ = tracking.close();
    let with_password = first.address.replace("http://", "http://name:secret@");
    for (address, values) in
        [(&with_password, 5), (&second.address, 5), (&first.address, 0), (&second.address, 0)]
    {
        assert_eq!(sync_to(&run, address).unwrap().values, values * LOGGED, "{address}");
    }
    assert_eq!((first.with(|state| state.runs), second.with(|state| state.runs)), (1, 1));
    let cursor = fs::read_to_string(run.path().join(FILE)).unwrap();
    assert!(!cursor.contains("secret") && !cursor.contains("name:"), "{cursor}");
}

#[test]
fn a_damaged_cursor_and_a_torn_record_lose_nothing() {
    let (run, fake) = (Run::new(), Fake::start());
    let mut tracking = run.start(None, None);
    log(&mut tracking, 0..5);
    let _ = tracking.close();
    sync_to(&run, &fake.address).unwrap();
    fs::write(run.path().join(FILE), "{\"servers\": 3").unwrap();
    let record = run.path().join("events.jsonl");
    let mut text = fs::read_to_string(&record).unwrap();
    text.push_str(
        "{\"time\": \"2026-01-02T03:04:05Z\", \"event\": {\"kind\": \"from_the_future\"}}\n{\"time\": \"20",
    );
    fs::write(&record, &text).unwrap();
    let synced = sync_to(&run, &fake.address).unwrap();
    assert!(synced.warnings[0].contains("is damaged"), "{synced:?}");
    assert_eq!((fake.with(|state| state.runs), synced.values), (1, 5 * LOGGED));
    let mut tracking = Tracking::start(run.options(None, Some(5)));
    tracking.record(logged(6, 1.0));
    let _ = tracking.close();
    assert_eq!(sync_to(&run, &fake.address).unwrap().values, LOGGED);
}

#[test]
fn files_go_where_the_server_keeps_them_or_stay() {
    let (run, fake, store) = (Run::new(), Fake::start(), tempfile::tempdir().unwrap());
    fake.keep_files_at(&format!("file://{}", store.path().display()));
    let mut tracking = run.start(None, None);
    tracking.record(finished(1));
    let _ = tracking.close();
    assert_eq!(sync_to(&run, &fake.address).unwrap().artifacts, 3);
    let copied = fs::read(store.path().join("checkpoints/best.safetensors")).unwrap();
    assert_eq!(copied.len(), 3_000_000);

    let fake = Fake::start();
    fake.keep_files_at("s3://bucket/1/r1/artifacts");
    let synced = sync_to(&run, &fake.address).unwrap();
    assert_eq!((synced.artifacts, synced.state.as_str()), (0, "FINISHED"));
    assert!(synced.warnings.len() == 1 && synced.warnings[0].contains("`s3://bucket"), "{synced:?}");
}

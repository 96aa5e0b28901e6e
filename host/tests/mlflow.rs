//! `kiwi-host mlflow sync`: what the built program says, where, and the code it exits with. No libtorch is needed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(
    unreachable_pub,
    dead_code,
    reason = "the support modules are shared in the way of integration tests"
)]

#[path = "../tracking/tests/support/fake.rs"]
mod fake;
#[path = "../tracking/tests/support/run.rs"]
mod run;
mod support;

use fake::{Fake, Mode};
use run::{Run, finished, logged, started};
use serde_json::{Value, json};
use support::{Installation, text};

#[test]
fn a_run_is_sent_once_and_both_formats_say_what_was_sent() {
    let (installation, fake, run) = (Installation::new(), Fake::start(), Run::new());
    let mut tracking = run.start(None, None);
    tracking.record(logged(10, 1.0));
    tracking.record(finished(10));
    assert_eq!(tracking.close(), [""; 0]);
    let first = installation.run(&["mlflow", "sync", text(run.path()), &fake.address]).ends_with(0);
    let url = format!("{}/#/experiments/1/runs/r1", fake.address);
    let expected =
        format!("sent    6 parameters, 4 values, 3 files\nrun     r1\nstate   FINISHED\nurl     {url}\n");
    assert_eq!((first.stdout, first.stderr), (expected, String::new()));
    let mut command = installation.command(&["mlflow", "sync", text(run.path()), "--format", "json"]);
    command.env("MLFLOW_TRACKING_URI", &fake.address);
    let second = support::Outcome::of(&mut command).ends_with(0);
    let said: Value = serde_json::from_str(&second.stdout).unwrap();
    let sent = json!({"parameters": 0, "values": 0, "files": 0});
    assert_eq!(
        said,
        json!({"format": 1, "server": fake.address, "experiment_id": "1", "run_id": "r1", "url": url, "state": "FINISHED", "sent": sent})
    );
}

#[test]
fn what_was_interrupted_goes_on_where_it_stopped() {
    let (installation, fake, run) = (Installation::new(), Fake::start(), Run::new());
    let mut tracking = run.start(None, None);
    for step in 0..2000 {
        tracking.record(logged(step, 1.0));
    }
    drop(tracking);
    let arguments = ["mlflow", "sync", text(run.path()), &fake.address];
    let mut first = installation.command(&arguments).spawn().unwrap();
    fake.wait(|state| state.values.len() >= 1000);
    fake.set(Mode::Hang);
    first.kill().unwrap();
    first.wait().unwrap();
    let before = fake.with(|state| state.values.len());
    fake.set(Mode::Answer);
    let second = installation.run(&arguments).ends_with(0);
    fake.with(|state| {
        assert_eq!((state.runs, state.values.len()), (1, 8000));
        // The last request may have been carried out without the cursor having moved.
        let twice = state.values.values().filter(|times| **times > 1).count();
        assert!(twice <= 1000 && twice <= before, "{twice} of {before}");
    });
    assert!(second.stdout.contains("r1"), "{second:#?}");
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_code() {
    let (installation, run) = (Installation::new(), Run::new());
    let directory = text(run.path());
    let sync = |arguments: &[&str], code, parts: &[&str]| {
        let all = [&["mlflow", "sync", directory], arguments].concat();
        installation.run(&all).ends_with(code).stderr_has(parts);
    };
    sync(
        &["http://127.0.0.1:1"],
        2,
        &["holds no record of a run", "events.jsonl", "mlflow sync failed with exit code 2"],
    );
    let mut tracking = kiwi_tracking::Tracking::start(run.options(None, None));
    tracking.record(started(None));
    drop(tracking);
    sync(&[], 2, &["no tracking server is named", "MLFLOW_TRACKING_URI"]);
    sync(&["mlruns/"], 2, &["mlruns/ is a folder", "mlflow server"]);
    sync(&["sqlite:///a.db"], 2, &["cannot reach `sqlite` itself", "expected http://HOST:PORT"]);
    sync(&[""], 2, &["the URI of the tracking server is empty"]);
    sync(&["http://127.0.0.1:1"], 1, &["cannot be reached", "repeat the command"]);
    let file = run.path().join("events.jsonl");
    let command = ["mlflow", "sync", text(&file), "http://127.0.0.1:1"];
    installation.run(&command).ends_with(2).stderr_has(&["is not the directory of a run", "found: a file"]);
    let mut command = installation.command(&["mlflow", "sync", directory, "http://127.0.0.1:1"]);
    command.env("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon");
    support::Outcome::of(&mut command).ends_with(2).stderr_has(&["MLFLOW_HTTP_REQUEST_TIMEOUT is `soon`"]);
}

#[test]
fn who_asks_is_told_as_the_environment_says() {
    let (installation, fake, run) = (Installation::new(), Fake::start(), Run::new());
    drop(run.start(None, None));
    let told = |address: &str, variables: &[(&str, &str)]| {
        let mut command = installation.command(&["mlflow", "sync", text(run.path()), address]);
        command.envs(variables.iter().copied());
        support::Outcome::of(&mut command).ends_with(0);
        fake.with(|state| state.authorization.clone())
    };
    assert_eq!(told(&fake.address, &[]), None);
    assert_eq!(told(&fake.address, &[("MLFLOW_TRACKING_TOKEN", "abc")]).as_deref(), Some("Bearer abc"));
    let user = [("MLFLOW_TRACKING_USERNAME", "name"), ("MLFLOW_TRACKING_PASSWORD", "secret")];
    let basic = Some("Basic bmFtZTpzZWNyZXQ=");
    assert_eq!(told(&fake.address, &user).as_deref(), basic);
    let within = fake.address.replace("http://", "http://name:secret@");
    assert_eq!(told(&within, &[]).as_deref(), basic);
}

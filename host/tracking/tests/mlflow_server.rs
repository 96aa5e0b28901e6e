//! A real MLflow server on this machine, with its SQLite store, and what it has of a run afterwards.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]

mod support {
    mod run;
    pub use run::*;
}

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_tracking::mlflow::{Error, FILE, Settings, Synced, sync};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::Event;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use support::{LOGGED, Run, finished, interrupted, logged, python, server, tested, validated};
use tempfile::TempDir;

struct Mlflow {
    process: Child,
    address: String,
    _store: TempDir,
}

impl Mlflow {
    /// Starts one, if Python has MLflow, and waits until it answers.
    fn start() -> Option<Self> {
        let mut command = python()?;
        let store = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(store.path().join("log")).unwrap();
        command
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--workers",
                "1",
            ])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", store.path().join("store.db").display()))
            .arg("--artifacts-destination")
            .arg(store.path().join("artifacts"))
            .current_dir(store.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .process_group(0);
        let process = command.spawn().unwrap();
        let mut started = Self { process, address: format!("http://127.0.0.1:{port}"), _store: store };
        let began = Instant::now();
        while ureq::get(format!("{}/health", started.address)).call().is_err() {
            let log = || fs::read_to_string(started._store.path().join("log")).unwrap();
            assert!(began.elapsed() < Duration::from_secs(180), "{}", log());
            assert!(started.process.try_wait().unwrap().is_none(), "{}", log());
            thread::sleep(Duration::from_millis(200));
        }
        Some(started)
    }

    fn get(&self, endpoint: &str) -> Value {
        let mut response = ureq::get(format!("{}/api/2.0/{endpoint}", self.address)).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn post(&self, endpoint: &str, body: &Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/{endpoint}", self.address);
        let request = ureq::post(url).header("Content-Type", "application/json");
        let mut response = request.send(body.to_string()).unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn run(&self, id: &str) -> Value {
        self.get(&format!("mlflow/runs/get?run_id={id}"))["run"].clone()
    }

    fn history(&self, id: &str, metric: &str) -> Vec<(u64, f64)> {
        let found =
            self.get(&format!("mlflow/metrics/get-history?run_id={id}&metric_key={metric}&max_results=5000"));
        let values = found["metrics"].as_array().cloned().unwrap_or_default();
        values.iter().map(|one| (one["step"].as_u64().unwrap(), number(&one["value"]))).collect()
    }

    fn sync(&self, run: &Run) -> Result<Synced, Error> {
        sync(run.path(), &server(&self.address), &Settings::default())
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}

/// A number, which is a string where JSON has none.
fn number(value: &Value) -> f64 {
    serde_json::from_value::<Number>(value.clone()).unwrap().0
}

fn parameter(run: &Value, key: &str) -> Option<String> {
    let all = run["data"]["params"].as_array()?;
    all.iter().find(|one| one["key"] == key).map(|one| one["value"].as_str().unwrap().to_owned())
}

fn nothing(synced: &Synced) -> bool {
    (synced.parameters, synced.values, synced.artifacts) == (0, 0, 0) && synced.warnings.is_empty()
}

#[test]
fn a_server_has_what_a_run_recorded() {
    let Some(mlflow) = Mlflow::start() else { return };
    let id = a_run_under_way(&mlflow);
    a_run_sent_later(&mlflow, &id);
    what_was_deleted_there(&mlflow);
}

/// Interrupted, resumed, finished: one run there.
fn a_run_under_way(mlflow: &Mlflow) -> String {
    let run = Run::new();
    let mut tracking = run.start(Some(&mlflow.address), None);
    for step in 1..=300 {
        tracking.record(logged(step, 1.0 / step as f64));
    }
    tracking.record(validated(300, f64::INFINITY));
    tracking.record(interrupted(300));
    assert_eq!(tracking.waiting(Duration::from_secs(60)).close(), [""; 0]);
    let cursor: Value = serde_json::from_str(&fs::read_to_string(run.path().join(FILE)).unwrap()).unwrap();
    let id = cursor["servers"][0]["run_id"].as_str().unwrap().to_owned();
    let found = mlflow.run(&id);
    assert_eq!(found["info"]["status"], "KILLED");
    assert!(found["info"]["end_time"].is_number());
    assert_eq!(parameter(&found, "trainer.epochs").as_deref(), Some("3"));
    assert_eq!(parameter(&found, "system.optimizer.betas").as_deref(), Some("[0.9,0.98]"));
    let losses = mlflow.history(&id, "train/loss");
    assert_eq!((losses.len(), losses[299]), (300, (300, 1.0 / 300.0)));

    let mut tracking = run.start(Some(&mlflow.address), Some(250));
    tracking.record(logged(310, f64::NAN));
    tracking.record(validated(310, 4.0));
    tracking.record(tested());
    tracking.record(finished(310));
    assert_eq!(tracking.waiting(Duration::from_secs(60)).close(), [""; 0]);
    let found = mlflow.run(&id);
    assert_eq!(found["info"]["status"], "FINISHED");
    assert_eq!(mlflow.history(&id, "validation/PERP")[1], (310, 4.0));
    assert_eq!(mlflow.history(&id, "test/PERP"), [(310, 4.5)]);
    assert_eq!(mlflow.history(&id, "train/PERP").len(), 301);
    let runs = mlflow.post("runs/search", &json!({"experiment_ids": [found["info"]["experiment_id"]]}));
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    let files = mlflow.get(&format!("mlflow/artifacts/list?run_id={id}"));
    let files: Vec<_> = files["files"].as_array().unwrap().iter().map(|file| file["path"].clone()).collect();
    assert_eq!(files, ["checkpoints", "config.json", "output.log"]);
    let files = mlflow.get(&format!("mlflow/artifacts/list?run_id={id}&path=checkpoints"));
    assert_eq!(
        files["files"][0],
        json!({"path": "checkpoints/best.safetensors", "is_dir": false, "file_size": 3_000_000})
    );
    let again = mlflow.sync(&run).unwrap();
    assert!(nothing(&again) && again.run_id == id && again.state == "FINISHED", "{again:#?}");
    id
}

/// A run that MLflow was not told of, one that failed.
fn a_run_sent_later(mlflow: &Mlflow, other: &str) {
    let run = Run::new();
    let mut tracking = run.start(None, None);
    for step in 1..=100 {
        tracking.record(logged(step, 2.0));
    }
    assert_eq!(tracking.close(), [""; 0]);
    // The experiment has a run of the same id, which another directory sent: it is that one.
    let unfinished = mlflow.sync(&run).unwrap();
    assert_eq!((unfinished.run_id.as_str(), unfinished.state.as_str()), (other, "RUNNING"));

    let record = fs::read_to_string(run.path().join("events.jsonl")).unwrap();
    fs::write(run.path().join("events.jsonl"), record.replace(support::RUN_ID, &"b".repeat(32))).unwrap();
    fs::remove_file(run.path().join(FILE)).unwrap();
    let first = mlflow.sync(&run).unwrap();
    assert_eq!((first.values, first.artifacts), (100 * LOGGED, 2), "{first:#?}");
    assert_ne!(first.run_id, other);
    assert!(nothing(&mlflow.sync(&run).unwrap()));

    let mut tracking = kiwi_tracking::Tracking::start(run.options(None, Some(100)));
    tracking.record(logged(110, 2.0));
    tracking.record(Event::Failed(kiwi_tracking::record::Message { message: "no memory".to_owned() }));
    let _ = tracking.close();
    // Without its cursor, a run is found by its id and nothing stands there twice.
    fs::remove_file(run.path().join(FILE)).unwrap();
    let second = mlflow.sync(&run).unwrap();
    assert_eq!(
        (&second.run_id, second.state.as_str(), second.values),
        (&first.run_id, "FAILED", 101 * LOGGED)
    );
    assert_eq!(mlflow.history(&first.run_id, "train/loss").len(), 101);

    // A parameter cannot be changed there.
    let config = run.config().to_string().replace("\"epochs\":3", "\"epochs\":4,\"more\":1");
    fs::write(run.path().join("config.json"), config).unwrap();
    let changed = mlflow.sync(&run).unwrap();
    assert_eq!((changed.parameters, changed.artifacts, changed.warnings.len()), (1, 1, 1), "{changed:#?}");
    assert!(
        changed.warnings[0].contains("refused 1 ") && changed.warnings[0].contains("trainer.epochs"),
        "{changed:#?}"
    );
    assert!(nothing(&mlflow.sync(&run).unwrap()));
}

fn what_was_deleted_there(mlflow: &Mlflow) {
    let run = Run::new();
    let _ = run.start(None, None).close();
    let synced = mlflow.sync(&run).unwrap();
    mlflow.post("runs/delete", &json!({"run_id": synced.run_id}));
    let mut tracking = kiwi_tracking::Tracking::start(run.options(None, None));
    tracking.record(logged(1, 1.0));
    let _ = tracking.close();
    let error = mlflow.sync(&run).unwrap_err();
    assert!(matches!(error, Error::DeletedRun { .. }), "{error}");
    mlflow.post("runs/restore", &json!({"run_id": synced.run_id}));
    assert_eq!(mlflow.sync(&run).unwrap().values, LOGGED);
    mlflow.post("experiments/delete", &json!({"experiment_id": synced.experiment_id}));
    fs::remove_file(run.path().join(FILE)).unwrap();
    let error = mlflow.sync(&run).unwrap_err();
    assert!(matches!(error, Error::DeletedExperiment { .. }), "{error}");
}

//! Runs as those see them who watch: the record, event files, the page of a report, and a real MLflow server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kiwi_tests::python;
use kiwi_tests::workplace::Workplace;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

/// The kinds of the events in a run's record, with the record itself.
fn record(work: &Workplace, run: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(work.at(run).join("events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
    events.map(|event| (event["kind"].as_str().unwrap().to_owned(), event)).collect()
}

fn kinds(work: &Workplace, run: &str) -> Vec<String> {
    record(work, run).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn a_run_is_watched_from_its_beginning_to_its_end() {
    let work = Workplace::new();
    let test = ("data.test", json!({"input": {"source": "valid.src", "target": "valid.tgt"}}));
    let run = work.train("run", &[("trainer.log_interval", json!(4)), test]);
    let once = ["logged", "logged", "validated", "epoch_ended"];
    assert_eq!(kinds(&work, "run"), [&["started"][..], &once, &once, &["finished", "tested"]].concat());
    let all = record(&work, "run");
    let of = |kind: &str| all.iter().rev().find(|(found, _)| found == kind).unwrap().1.clone();
    assert_eq!(of("started")["environment"]["device"], "cpu");
    assert_eq!(of("started")["components"][0]["class"], "PredictorEncoder");
    let validated = run.validations().pop().unwrap();
    let recorded = of("validated")["values"]["val_target_PERP"].as_f64().unwrap();
    assert!((recorded / validated.value("val_target_PERP") - 1.0).abs() < 1e-4);
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(run.directory.join("summary.json")).unwrap()).unwrap();
    let mut finished = of("finished");
    finished.as_object_mut().unwrap().remove("kind");
    assert_eq!(finished, summary);
    assert_eq!(summary["best"]["step"], 16);
    let parts = ["data", "forward", "backward", "optimizer", "validation", "saving"];
    let sum: f64 = parts.iter().map(|part| summary["seconds"][part].as_f64().unwrap()).sum();
    assert!(sum > 0.0 && sum <= summary["seconds"]["total"].as_f64().unwrap() * 1.01, "{summary}");

    let outcome = work.run(&["report", "run"]).ends_with(0);
    assert_eq!(outcome.stdout, "run/report.html\n");
    assert!(fs::read_to_string(work.at("run/report.html")).unwrap().contains("target_PERP"));

    let Some(mut python) = python::tracking() else { return };
    let code = "import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
print([event.step for event in events.Scalars('train/loss')])
print(round(events.Scalars('validation/target_PERP')[-1].value, 3))";
    let output = python.args(["-c", code]).arg(run.directory.join("tensorboard")).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.first(), Some(&"[4, 8, 12, 16]"), "{}", String::from_utf8_lossy(&output.stderr));
    assert!((lines[1].parse::<f64>().unwrap() - recorded).abs() < 0.01, "{printed}");
}

#[test]
fn a_run_that_fails_or_is_resumed_has_it_in_its_record() {
    let work = Workplace::new();
    let steep = [("system.optimizer.learning_rate", json!(1e30))];
    let _ = work.try_train("failed", &steep).ends_with(1);
    let (kind, last) = record(&work, "failed").pop().unwrap();
    assert_eq!(kind, "failed");
    assert!(last["message"].as_str().unwrap().contains("is not finite"), "{last}");

    let long = [("trainer.epochs", json!(200))];
    let mut running = work.begin("run", &long, &[]);
    running.wait_for("epoch 1 step");
    running.signal("TERM");
    assert_eq!(running.end(), 75);
    assert_eq!(kinds(&work, "run").pop().as_deref(), Some("interrupted"));
    let mut resumed = work.begin("run", &[("trainer.epochs", json!(4))], &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    let all = record(&work, "run");
    let started: Vec<_> = all.iter().filter(|(kind, _)| kind == "started").map(|(_, event)| event).collect();
    assert_eq!(started.len(), 2);
    assert_eq!(started[0]["run_id"], started[1]["run_id"]);
    assert!(started[1]["resumed_at"].as_u64().unwrap() >= 9, "{}", started[1]);
}

#[test]
fn a_server_that_is_not_there_stops_nothing() {
    let work = Workplace::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("http://127.0.0.1:{port}");
    let run = work.train("run", &[("run.use_mlflow", json!(true)), ("run.mlflow_tracking_uri", json!(uri))]);
    let said = &run.outcome.stderr;
    assert!(said.contains(&format!("kiwi-host mlflow sync run {uri}")), "{said}");
    assert!(said.find("best system: ").unwrap() < said.find("mlflow sync").unwrap(), "results first: {said}");
    let folder = work.train("folder", &[("run.use_mlflow", json!(true))]);
    assert!(folder.outcome.stderr.contains("current MLflow refuses as a store"), "{}", folder.outcome);
    let wrong = [("run.use_mlflow", json!(true)), ("run.mlflow_tracking_uri", json!("sqlite:///store.db"))];
    let _ = work.try_train("wrong", &wrong).ends_with(2).says(&["run.mlflow_tracking_uri", "sqlite"]);
    assert!(!work.at("wrong").exists());
}

/// A real server with its SQLite store.
struct Mlflow {
    process: Child,
    address: String,
}

impl Mlflow {
    fn start(work: &Workplace) -> Option<Self> {
        let mut command = python::tracking()?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(work.at("server.log")).unwrap();
        command
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
                "--port",
                &port.to_string(),
            ])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", work.at("store.db").display()))
            .arg("--artifacts-destination")
            .arg(work.at("artifacts"))
            .current_dir(work.at(""))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let mut started =
            Self { process: command.spawn().unwrap(), address: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while started.ask("/health").is_none() {
            let log = || fs::read_to_string(work.at("server.log")).unwrap();
            assert!(began.elapsed() < Duration::from_secs(180), "{}", log());
            assert!(started.process.try_wait().unwrap().is_none(), "{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(started)
    }

    /// The answer to a GET, if there is one.
    fn ask(&self, path: &str) -> Option<String> {
        let code = "import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())";
        let output =
            Command::new("python3").args(["-c", code, &format!("{}{path}", self.address)]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The run that a directory was sent as.
    fn run(&self, work: &Workplace, name: &str) -> Value {
        let cursor = fs::read_to_string(work.at(name).join("mlflow.json")).unwrap();
        let id = run_id(&serde_json::from_str(&cursor).unwrap()).expect("the id of a run");
        let answer = self.ask(&format!("/api/2.0/mlflow/runs/get?run_id={id}")).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["run"].clone()
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}

/// The value of the first key `run_id`, wherever it stands.
fn run_id(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map
            .get("run_id")
            .and_then(|id| id.as_str().map(str::to_owned))
            .or_else(|| map.values().find_map(run_id)),
        Value::Array(list) => list.iter().find_map(run_id),
        _ => None,
    }
}

#[test]
fn mlflow_has_the_state_of_every_run() {
    let work = Workplace::new();
    let Some(mlflow) = Mlflow::start(&work) else { return };
    let tracked = |more: &[(&'static str, Value)]| {
        let own = [
            ("run.use_mlflow", json!(true)),
            ("run.mlflow_tracking_uri", json!(mlflow.address)),
            ("run.experiment_name", json!("tried")),
        ];
        [&own[..], more].concat()
    };
    let _ = work.train("finished", &tracked(&[]));
    let _ =
        work.try_train("failed", &tracked(&[("system.optimizer.learning_rate", json!(1e30))])).ends_with(1);
    let mut running = work.begin("killed", &tracked(&[("trainer.epochs", json!(200))]), &[]);
    running.wait_for("epoch 1 step");
    running.signal("TERM");
    assert_eq!(running.end(), 75, "{}", running.said());
    for (name, state) in [("finished", "FINISHED"), ("failed", "FAILED"), ("killed", "KILLED")] {
        assert_eq!(mlflow.run(&work, name)["info"]["status"], state, "{name}");
    }
    let finished = mlflow.run(&work, "finished");
    let metrics = finished["data"]["metrics"].as_array().unwrap();
    let perplexity = metrics.iter().find(|one| one["key"] == "validation/target_PERP").expect("a metric");
    assert_eq!(perplexity["step"].as_u64().or_else(|| perplexity["step"].as_str()?.parse().ok()), Some(16));

    let before = mlflow.run(&work, "killed")["info"]["run_id"].clone();
    let mut resumed = work.begin("killed", &tracked(&[("trainer.epochs", json!(4))]), &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    let after = mlflow.run(&work, "killed");
    assert_eq!((&after["info"]["run_id"], &after["info"]["status"]), (&before, &json!("FINISHED")));
}

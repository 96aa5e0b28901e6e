//! A run's directory and what happens in it, and Python with the packages that read what is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_core::tracking_uri::{ServerUri, TrackingUri};
use kiwi_tracking::mlflow::{MlflowOptions, Settings};
use kiwi_tracking::number::Number;
use kiwi_tracking::record::{
    Environment, Event, Interrupted, Kept, Seconds, Started, Summary, Tested, Training, Validated, Values,
};
use kiwi_tracking::{Options, Tracking};
use serde_json::json;
use tempfile::TempDir;

pub const RUN_ID: &str = "0123456789abcdef0123456789abcdef";

/// A run's directory as the engine leaves it.
pub struct Run {
    folder: TempDir,
}

impl Run {
    pub fn new() -> Self {
        let run = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(run.path().join("config.json"), run.config().to_string()).unwrap();
        fs::write(run.path().join("output.log"), "the log\n").unwrap();
        fs::create_dir(run.path().join("checkpoints")).unwrap();
        fs::write(run.path().join("checkpoints/best.safetensors"), vec![7_u8; 3_000_000]).unwrap();
        run
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> serde_json::Value {
        json!({
            "run": {"experiment_name": "toy", "mlflow_always_log_artifacts": true},
            "trainer": {"epochs": 3, "log_interval": 10},
            "system": {"optimizer": {"class_name": "adam", "betas": [0.9, 0.98]}},
        })
    }

    pub fn options(&self, uri: Option<&str>, resumed_at: Option<u64>) -> Options {
        let mlflow = uri.map(|uri| MlflowOptions {
            uri: TrackingUri::parse(uri).unwrap(),
            always_log_artifacts: true,
            settings: Settings::default(),
        });
        Options { directory: self.path().to_path_buf(), config: self.config(), mlflow, resumed_at }
    }

    pub fn start(&self, uri: Option<&str>, resumed_at: Option<u64>) -> Tracking {
        let mut tracking = Tracking::start(self.options(uri, resumed_at));
        tracking.record(started(resumed_at));
        tracking
    }
}

pub fn server(uri: &str) -> ServerUri {
    match TrackingUri::parse(uri) {
        Ok(TrackingUri::Server(server)) => server,
        other => panic!("{uri}: {other:?}"),
    }
}

pub fn started(resumed_at: Option<u64>) -> Event {
    Event::Started(Started {
        run_id: RUN_ID.to_owned(),
        experiment: "toy".to_owned(),
        resumed_at,
        epochs: 3,
        batches: 10,
        main_metric: Some("val_PERP".to_owned()),
        ordering: "min".to_owned(),
        parameters: 100,
        components: Vec::new(),
        environment: Environment {
            kiwi_host: "0.1.0".to_owned(),
            torch: "2.11.0".to_owned(),
            device: "CPU".to_owned(),
            threads: 1,
            processor: None,
            platform: "linux x86_64".to_owned(),
        },
    })
}

pub fn logged(step: u64, loss: f64) -> Event {
    Event::Logged(Training {
        epoch: 0,
        step,
        loss: Number(loss),
        values: Values::from([("PERP".to_owned(), Some(Number(loss.exp())))]),
        learning_rates: BTreeMap::from([("learning rate".to_owned(), Number(0.01))]),
        words_per_second: Number(1000.0),
    })
}

/// Values that a logged event has.
pub const LOGGED: u64 = 4;

pub fn validated(step: u64, perplexity: f64) -> Event {
    Event::Validated(Validated {
        epoch: 0,
        step,
        values: Values::from([
            ("val_PERP".to_owned(), Some(Number(perplexity))),
            ("val_CORRECT".to_owned(), None),
        ]),
        improved: true,
        saved: Some("checkpoints/best.safetensors".to_owned()),
    })
}

pub fn tested() -> Event {
    Event::Tested(Tested {
        system: None,
        values: Values::from([("test_PERP".to_owned(), Some(Number(4.5)))]),
    })
}

pub fn interrupted(step: u64) -> Event {
    Event::Interrupted(Interrupted { signal: "SIGTERM".to_owned(), step, resumable: true })
}

pub fn finished(steps: u64) -> Event {
    let zero = Number(0.0);
    Event::Finished(Summary {
        reason: "epochs".to_owned(),
        epochs: 3,
        steps,
        best: Some(Kept {
            file: "checkpoints/best.safetensors".to_owned(),
            metric: "val_PERP".to_owned(),
            value: Number(4.0),
            epoch: 0,
            step: steps,
        }),
        last: None,
        seconds: Seconds {
            total: zero,
            data: zero,
            forward: zero,
            backward: zero,
            optimizer: zero,
            validation: zero,
            saving: zero,
        },
        words_per_second: Number(1000.0),
        peak_memory: None,
        skipped: BTreeMap::new(),
    })
}

/// Python with tensorboard and mlflow, if they are there; else a line says why the test is left out.
#[expect(clippy::print_stdout, reason = "the run of the tests counts what is left out by this line")]
pub fn python() -> Option<Command> {
    let packages: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.python-tracking");
    if !packages.join("installed").is_file() {
        println!("skipped: no mlflow in .python-tracking: `cargo xtask setup --python` fetches it");
        return None;
    }
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

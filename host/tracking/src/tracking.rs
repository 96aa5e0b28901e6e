//! A run under way, as those who watch it are told of it.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use kiwi_core::tracking_uri::TrackingUri;
use serde_json::Value;

use crate::journal::write::Journal;
use crate::mlflow::MlflowOptions;
use crate::mlflow::background::{AT_THE_END, Background};
use crate::record::Event;
use crate::tensorboard::EventFile;

/// What a run is to be watched by.
#[derive(Debug)]
pub struct Options {
    /// The run's directory, which exists.
    pub directory: PathBuf,
    /// The config that is used, all defaults filled in.
    pub config: Value,
    /// Whether and how MLflow is told.
    pub mlflow: Option<MlflowOptions>,
    /// The optimizer steps after which a resumed run goes on.
    pub resumed_at: Option<u64>,
}

/// A run under way. Nothing that goes wrong here is an error: see [`Self::warnings`].
#[derive(Debug)]
pub struct Tracking {
    journal: Journal,
    events: EventFile,
    background: Option<Background>,
    warnings: Vec<String>,
    patience: Duration,
}

impl Tracking {
    /// Begins, or goes on where the run's directory holds the record of its earlier part.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let Options { directory, config, mlflow, resumed_at } = options;
        let now = Timestamp::now().as_nanosecond() as f64 / 1e9;
        let mut warnings = Vec::new();
        let background = mlflow.and_then(|mlflow| match &mlflow.uri {
            TrackingUri::Server(server) => {
                let started =
                    Background::start(&directory, server, &mlflow.settings, mlflow.always_log_artifacts);
                started
                    .map_err(|error| {
                        warnings.push(format!(
                            "MLflow is told nothing while the run goes on: no thread can be had for it: {error}; \
                             `kiwi-host mlflow sync {} {}` sends the run later",
                            directory.display(),
                            server.address
                        ));
                    })
                    .ok()
            }
            TrackingUri::Folder(folder) => {
                warnings.push(format!(
                    "MLflow is told nothing: the tracking URI is the folder {}, which current MLflow refuses as a store, so \
                     values stay in the run; start `mlflow server`, and `kiwi-host mlflow sync {} http://127.0.0.1:5000` sends \
                     them",
                    folder.display(),
                    directory.display()
                ));
                None
            }
        });
        let events = EventFile::new(&directory, &config, resumed_at, now);
        Self { journal: Journal::new(&directory), events, background, warnings, patience: AT_THE_END }
    }

    /// Has [`Self::close`] wait so long at most in place of ten seconds.
    #[must_use]
    pub fn waiting(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Records what happens now. The beginning, a validation and what comes once are written at once, all else with the next flush.
    pub fn record(&mut self, event: Event) {
        let often = matches!(event, Event::Logged(_) | Event::Warning(_));
        let record = self.journal.record(event);
        self.events.record(&record);
        if !often {
            self.flush();
        }
    }

    /// Writes what was recorded, and has it sent.
    pub fn flush(&mut self) {
        self.journal.flush();
        self.events.flush();
        if let Some(background) = &self.background {
            background.notify();
        }
    }

    /// What went wrong since the last call, in the words of the log. The same trouble is spoken of at most once in ten minutes.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.journal.warnings());
        warnings.extend(self.events.warnings());
        warnings.extend(self.background.iter().flat_map(Background::warnings));
        warnings
    }

    /// Writes what was recorded and waits until it is sent, but not longer than ten seconds. What went wrong, and how what is not
    /// sent can be sent later.
    #[must_use]
    pub fn close(mut self) -> Vec<String> {
        self.flush();
        self.journal.sync();
        let mut warnings = self.warnings();
        if let Some(background) = self.background.take() {
            warnings.extend(background.close(self.patience));
        }
        warnings
    }
}

//! Sending a run that is there, whatever became of it: `kiwi-host mlflow sync`.

use std::path::Path;
use std::thread;
use std::time::Duration;

use kiwi_core::environment::MLFLOW_TRACKING_URI;
use kiwi_core::tracking_uri::{ServerUri, TrackingUri};

use super::recorded::{beginning, read_config};
use super::sender::{Files, Sender};
use super::{Error, Settings, parse, settings};

/// The pauses before it is tried again.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// Address of the server.
    pub server: String,
    /// MLflow's id of the experiment.
    pub experiment_id: String,
    /// MLflow's id of the run.
    pub run_id: String,
    /// Where the run is shown.
    pub url: String,
    /// Parameters that were sent now.
    pub parameters: u64,
    /// Values of metrics that were sent now.
    pub values: u64,
    /// Files that were sent now.
    pub artifacts: u64,
    /// The state that the server was told: `RUNNING`, `FINISHED`, `FAILED` or `KILLED`.
    pub state: String,
    /// What could not be sent and never will be.
    pub warnings: Vec<String>,
}

/// The server that a run is sent to: the one that is named, else that of the run's config, else that of the environment.
///
/// # Errors
/// When none is named, or what is named is no server.
pub fn server_of(directory: &Path, named: Option<&str>) -> Result<ServerUri, Error> {
    let of_config = || {
        let config = read_config(directory).ok()??;
        let uri = config.get("run")?.get("mlflow_tracking_uri")?.as_str()?;
        // A folder says that the values stay in the run.
        matches!(TrackingUri::parse(uri), Ok(TrackingUri::Server(_))).then(|| uri.to_owned())
    };
    let (text, from) = match named {
        Some(text) => (text.to_owned(), "URI"),
        None => match (of_config(), settings::variable(MLFLOW_TRACKING_URI)) {
            (Some(text), _) => (text, "run.mlflow_tracking_uri"),
            (None, Some(text)) => (text, MLFLOW_TRACKING_URI.name),
            (None, None) => return Err(Error::NoServer { directory: directory.to_path_buf() }),
        },
    };
    match parse(&text, from)? {
        TrackingUri::Server(server) => Ok(server),
        TrackingUri::Folder(folder) => Err(Error::Folder { folder }),
    }
}

/// Sends what a run's directory holds and the server has not.
///
/// # Errors
/// When the directory holds no run, or the server takes nothing. What was sent until then is not sent again.
pub fn sync(directory: &Path, server: &ServerUri, settings: &Settings) -> Result<Synced, Error> {
    let missing = || Error::NoRecord { directory: directory.to_path_buf() };
    beginning(directory)?.ok_or_else(missing)?;
    let config = read_config(directory)?;
    let best =
        config.as_ref().and_then(|config| config.get("run")?.get("mlflow_always_log_artifacts")?.as_bool());
    let mut sender = Sender::new(directory, server, settings, Files::Now, best.unwrap_or(false));
    let mut pauses = PAUSES.into_iter();
    let cursor = loop {
        match (sender.pass(), pauses.as_slice()) {
            (Ok(cursor), _) => break cursor.ok_or_else(missing)?,
            (Err(error), [_, ..]) if error.may_pass() => {
                if let Some(pause) = pauses.next() {
                    thread::sleep(pause);
                }
            }
            (Err(error), _) => return Err(error),
        }
    };
    let sent = sender.take_sent();
    Ok(Synced {
        url: format!("{}/#/experiments/{}/runs/{}", cursor.server, cursor.experiment_id, cursor.run_id),
        server: cursor.server,
        experiment_id: cursor.experiment_id,
        run_id: cursor.run_id,
        parameters: sent.parameters,
        values: sent.values,
        artifacts: sent.artifacts,
        state: cursor.told.map_or("RUNNING", |state| state.name()).to_owned(),
        warnings: sender.take_warnings(),
    })
}

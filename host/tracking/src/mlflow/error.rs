//! What can go wrong with a tracking server.

use std::io;
use std::path::PathBuf;

use kiwi_core::tracking_uri::{self, TrackingUriError};

/// Why something is not at the tracking server. Each message says what to do, where anything can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer, or only a part of one.
    #[error("the MLflow server {server} cannot be reached: {cause}")]
    Unreachable {
        /// Address of the server.
        server: String,
        /// What happened.
        cause: String,
    },
    /// An answer that says that it is the server's fault, or that it is asked too much.
    #[error("the MLflow server {server} answered with status {status}{message}")]
    Failing {
        /// Address of the server.
        server: String,
        /// Status of the answer.
        status: u16,
        /// What it says, after a colon; may be empty.
        message: String,
    },
    /// Status 401.
    #[error(
        "the MLflow server {server} does not know who asks (status 401): set MLFLOW_TRACKING_USERNAME and \
         MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    )]
    Unauthorized {
        /// Address of the server.
        server: String,
    },
    /// Status 403.
    #[error(
        "the MLflow server {server} does not allow this (status 403{message}): ask for the right to edit the experiment, or use \
         another user or token"
    )]
    Forbidden {
        /// Address of the server.
        server: String,
        /// What it says, after a colon; may be empty.
        message: String,
    },
    /// Something answers that is not MLflow.
    #[error(
        "what answers at {server} is not an MLflow server: {found}; correct the tracking URI, as http://127.0.0.1:5000"
    )]
    NotMlflow {
        /// Address of the server.
        server: String,
        /// What it said to which request.
        found: String,
    },
    /// A request that will never succeed.
    #[error("the MLflow server refused it with status {status}: {message}")]
    Refused {
        /// Status of the answer.
        status: u16,
        /// MLflow's name of the error.
        code: String,
        /// What it says.
        message: String,
    },
    /// The experiment is in the server's bin.
    #[error(
        "the experiment \"{name}\" of the MLflow server {server} was deleted there: restore it with \
         `mlflow experiments restore --experiment-id {id}`, or choose another run.experiment_name"
    )]
    DeletedExperiment {
        /// Address of the server.
        server: String,
        /// Name of the experiment.
        name: String,
        /// Its id.
        id: String,
    },
    /// The run is in the server's bin.
    #[error(
        "the run {id} of the MLflow server {server} was deleted there: restore it with `mlflow runs restore --run-id {id}`, or \
         remove {} to have it sent as a new one", cursor.display()
    )]
    DeletedRun {
        /// Address of the server.
        server: String,
        /// MLflow's id of the run.
        id: String,
        /// The file that says where the run is.
        cursor: PathBuf,
    },
    /// A file of the run's directory.
    #[error("{} cannot be {action}: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// `read`, `written` or the like.
        action: &'static str,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A directory without the record of a run.
    #[error(
        "{} holds no record of a run: expected `events.jsonl` with the line that training began; name the directory of a run",
        directory.display()
    )]
    NoRecord {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process is sending.
    #[error("another process is sending {}; wait until it is done", directory.display())]
    Busy {
        /// The run's directory.
        directory: PathBuf,
    },
    /// A tracking URI that cannot be used.
    #[error("{from}: {cause}; expected {}", tracking_uri::EXPECTED)]
    Uri {
        /// Where it stands.
        from: &'static str,
        /// What is wrong with it.
        cause: TrackingUriError,
    },
    /// No server is named.
    #[error(
        "no tracking server is named: found neither one in the config of {} nor in MLFLOW_TRACKING_URI; name it, as \
         `kiwi-host mlflow sync {} http://127.0.0.1:5000`", directory.display(), directory.display()
    )]
    NoServer {
        /// The run's directory.
        directory: PathBuf,
    },
    /// A folder where a server is needed.
    #[error(
        "{} is a folder, which current MLflow refuses as a store: start `mlflow server`, and name its address", folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// A variable of the environment that is not what it should be.
    #[error("the environment variable {name} {problem}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What was found, what was expected.
        problem: String,
    },
}

impl Error {
    /// Whether the same request may succeed another time.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failing { .. } | Self::Busy { .. })
    }

    /// Whether the server says that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_DOES_NOT_EXIST")
    }
}

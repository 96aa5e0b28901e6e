//! Telling a tracking server of MLflow what a run records, over its REST API.
//!
//! What is sent is what the record holds, never what a run has in memory: [`sender`] reads on in `events.jsonl` where the last
//! [`cursor`] says that it stopped, so that neither a server that is down nor a crash loses anything, and what was sent is not
//! sent again. [`background`] does so while a run is under way, [`sync`] for a run that is there. Below them: [`settings`] is
//! what the environment says, [`client`] a request and its answer, [`api`] the requests there are, [`recorded`] what a run's
//! directory holds, [`entries`] what becomes of it at the server, [`artifacts`] where files go.

mod api;
mod artifacts;
pub(crate) mod background;
mod client;
mod cursor;
mod entries;
mod error;
mod recorded;
mod sender;
mod settings;
mod sync;

use kiwi_core::config::RunSection;
use kiwi_core::environment::MLFLOW_TRACKING_URI;
use kiwi_core::tracking_uri::TrackingUri;

pub use cursor::{Cursors, FILE};
pub use error::Error;
pub use settings::Settings;
pub use sync::{Synced, server_of, sync};

/// Where the values of runs go unless a config or the environment says otherwise: MLflow's own default, a folder.
pub const DEFAULT_URI: &str = "mlruns/";

/// How a run is tracked.
#[derive(Debug, Clone)]
pub struct MlflowOptions {
    /// Where to.
    pub uri: TrackingUri,
    /// Whether the best system is sent when the run has ended.
    pub always_log_artifacts: bool,
    /// What the environment says of the connection.
    pub settings: Settings,
}

impl MlflowOptions {
    /// What a config asks for, and where it is silent the environment; `None` where the run is not tracked.
    ///
    /// # Errors
    /// When a variable of the environment is no tracking URI, or not what it should be.
    pub fn of(run: &RunSection) -> Result<Option<Self>, Error> {
        if !run.use_mlflow {
            return Ok(None);
        }
        let environment = || settings::variable(MLFLOW_TRACKING_URI);
        let uri = match &run.mlflow_tracking_uri {
            Some(uri) => parse(uri, "run.mlflow_tracking_uri")?,
            None => {
                parse(&environment().unwrap_or_else(|| DEFAULT_URI.to_owned()), MLFLOW_TRACKING_URI.name)?
            }
        };
        let settings = Settings::from_environment()?;
        Ok(Some(Self { uri, always_log_artifacts: run.mlflow_always_log_artifacts, settings }))
    }
}

fn parse(text: &str, from: &'static str) -> Result<TrackingUri, Error> {
    TrackingUri::parse(text).map_err(|cause| Error::Uri { from, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_says_whether_and_where_a_run_is_tracked() {
        let mut run = RunSection {
            seed: 42,
            experiment_name: "default".to_owned(),
            output_dir: None,
            run_id: None,
            use_mlflow: false,
            mlflow_tracking_uri: Some("http://127.0.0.1:5000".to_owned()),
            mlflow_always_log_artifacts: true,
        };
        assert!(MlflowOptions::of(&run).unwrap().is_none());
        run.use_mlflow = true;
        let options = MlflowOptions::of(&run).unwrap().unwrap();
        assert!(matches!(options.uri, TrackingUri::Server(_)) && options.always_log_artifacts);
        run.mlflow_tracking_uri = Some("sqlite:///a.db".to_owned());
        let error = MlflowOptions::of(&run).unwrap_err().to_string();
        assert!(error.starts_with("run.mlflow_tracking_uri: ") && error.contains("expected http"), "{error}");
    }
}

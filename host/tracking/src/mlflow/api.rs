//! The requests of MLflow's REST API that there are here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use super::client::Client;
use crate::number::Number;

/// The most parameters that one request takes.
pub(super) const PARAMETERS: usize = 100;
/// The most values of metrics that one request takes.
pub(super) const METRICS: usize = 1000;
/// The tag by which a run is found again.
const RUN_ID: &str = "kiwi.run_id";

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Parameter {
    pub(super) key: String,
    pub(super) value: String,
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Metric {
    pub(super) key: String,
    pub(super) value: Number,
    /// Milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) step: u64,
}

/// What state a run is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum State {
    Running,
    Finished,
    Failed,
    Killed,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

/// A run as the server has it.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) info: RunInfo,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunInfo {
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) artifact_uri: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
}

/// A new run.
#[derive(Debug)]
pub(super) struct NewRun<'a> {
    pub(super) experiment: &'a str,
    pub(super) run_id: &'a str,
    pub(super) name: &'a str,
    /// Milliseconds since 1970.
    pub(super) started: i64,
}

#[derive(Debug, Deserialize)]
struct WithRun {
    run: Run,
}

#[derive(Debug, Deserialize)]
struct WithRuns {
    #[serde(default)]
    runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct WithExperiment {
    experiment: Experiment,
}

#[derive(Debug, Deserialize)]
struct Experiment {
    experiment_id: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Debug, Deserialize)]
struct Created {
    experiment_id: String,
}

const DELETED: &str = "deleted";

impl RunInfo {
    pub(super) fn is_deleted(&self) -> bool {
        self.lifecycle_stage == DELETED
    }
}

impl Client {
    /// The id of the experiment of this name, which is made if there is none.
    pub(super) fn experiment(&self, name: &str) -> Result<String, Error> {
        let find = || self.get::<WithExperiment>("experiments/get-by-name", &[("experiment_name", name)]);
        let found = match find() {
            Err(error) if error.is_missing() => {
                match self.post::<Created>("experiments/create", &json!({"name": name})) {
                    Ok(created) => return Ok(created.experiment_id),
                    // Another run made it meanwhile.
                    Err(Error::Refused { code, .. }) if code == "RESOURCE_ALREADY_EXISTS" => find()?,
                    Err(error) => return Err(error),
                }
            }
            found => found?,
        };
        let Experiment { experiment_id, lifecycle_stage } = found.experiment;
        if lifecycle_stage == DELETED {
            let server = self.uri.address.clone();
            return Err(Error::DeletedExperiment { server, name: name.to_owned(), id: experiment_id });
        }
        Ok(experiment_id)
    }

    /// The run that this one is at the server, if it is there.
    pub(super) fn find_run(&self, experiment: &str, run_id: &str) -> Result<Option<RunInfo>, Error> {
        // Hexadecimal digits only, whatever the record says: they stand within a filter.
        let digits: String = run_id.chars().filter(char::is_ascii_hexdigit).collect();
        let body = json!({
            "experiment_ids": [experiment],
            "filter": format!("tags.`{RUN_ID}` = '{digits}'"),
            "run_view_type": "ACTIVE_ONLY",
            "max_results": 1,
        });
        let found: WithRuns = self.post("runs/search", &body)?;
        Ok(found.runs.into_iter().next().map(|run| run.info))
    }

    pub(super) fn create_run(&self, new: &NewRun<'_>) -> Result<RunInfo, Error> {
        let tag = |key: &str, value: &str| json!({"key": key, "value": value});
        let body = json!({
            "experiment_id": new.experiment,
            "run_name": new.name,
            "start_time": new.started,
            "tags": [
                tag("mlflow.runName", new.name),
                tag("mlflow.source.name", "kiwi-host"),
                tag("mlflow.source.type", "LOCAL"),
                tag(RUN_ID, new.run_id),
            ],
        });
        self.post::<WithRun>("runs/create", &body).map(|created| created.run.info)
    }

    pub(super) fn run(&self, id: &str) -> Result<RunInfo, Error> {
        self.get::<WithRun>("runs/get", &[("run_id", id)]).map(|found| found.run.info)
    }

    pub(super) fn log_parameters(&self, run: &str, parameters: &[Parameter]) -> Result<(), Error> {
        let _: Value = self.post("runs/log-batch", &json!({"run_id": run, "params": parameters}))?;
        Ok(())
    }

    pub(super) fn log_metrics(&self, run: &str, metrics: &[Metric]) -> Result<(), Error> {
        let _: Value = self.post("runs/log-batch", &json!({"run_id": run, "metrics": metrics}))?;
        Ok(())
    }

    /// Says what state a run is in, and since when in milliseconds since 1970 if it has ended.
    pub(super) fn update_run(&self, run: &str, state: State, ended: Option<i64>) -> Result<(), Error> {
        let mut body = json!({"run_id": run, "status": state.name()});
        if let (Some(ended), Some(body)) = (ended, body.as_object_mut()) {
            body.insert("end_time".to_owned(), ended.into());
        }
        let _: Value = self.post("runs/update", &body)?;
        Ok(())
    }
}

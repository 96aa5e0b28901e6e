//! 07xx: exchange with other programs, and the records of runs.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const IMPORT_UNREADABLE: Page = Page {
    title: "a file to be imported cannot be read",
    kind: Error,
    meaning: "The file is not one of `torch.save`, is damaged, or asks for code to be run, which an import never does.",
    mend: "Give the file that OpenKiwi wrote, as `best_model.torch`, whole.",
    example: Example::Console {
        wrong: "kiwi-host import openkiwi config.yaml -o SYSTEM.safetensors",
        right: "kiwi-host import openkiwi best_model.torch -o SYSTEM.safetensors",
    },
};

pub(in crate::error_code) const NOT_CONVERTIBLE: Page = Page {
    title: "a system has no counterpart on the other side",
    kind: Error,
    meaning: "The system has a part, an option or tensors that the other program does not have. Leaving them out would give \
              a system with other numbers.",
    mend: "Only TLMs can be imported and exported: the Predictor, with the options that docs/configuration.md lists.",
    example: Example::Words,
};

pub(in crate::error_code) const YAML: Page = Page {
    title: "a config of OpenKiwi cannot be read",
    kind: Error,
    meaning: "The file is no YAML, or uses what kiwi-host does not read of it, as custom tags, or a reference leads nowhere.",
    mend: "Correct the place that is named; it is the file that OpenKiwi reads that should be given.",
    example: Example::Words,
};

pub(in crate::error_code) const TRACKING_URI: Page = Page {
    title: "a run cannot be sent to this tracking URI",
    kind: Error,
    meaning: "kiwi-host sends to MLflow's tracking server over HTTP, or leaves values in the run where the URI is a folder. \
              The config is kept and sent with the run, so that a password must not stand in it.",
    mend: "Name a server as `http://127.0.0.1:5000`; give user and password by MLFLOW_TRACKING_USERNAME and \
           MLFLOW_TRACKING_PASSWORD.",
    example: Example::Config {
        wrong: r#"{"run": {"mlflow_tracking_uri": "sqlite:///mlflow.db"}}"#,
        right: r#"{"run": {"mlflow_tracking_uri": "http://127.0.0.1:5000"}}"#,
    },
};

pub(in crate::error_code) const TRACKING_SERVER: Page = Page {
    title: "the tracking server could not be told",
    kind: Error,
    meaning: "The server does not answer or refuses. A run goes on all the same and keeps everything; only \
              `kiwi-host mlflow sync`, whose whole work it is, fails by it.",
    mend: "See that the server runs; then `kiwi-host mlflow sync RUN` sends what is missing.",
    example: Example::Words,
};

pub(in crate::error_code) const NOT_A_RUN: Page = Page {
    title: "this is not the directory of a run",
    kind: Error,
    meaning: "The command reads what a run leaves in its directory (`events.jsonl`), and it is not there, is empty or is \
              damaged in its middle.",
    mend: "Name a directory that `kiwi-host train` wrote; runs below the one you named are listed.",
    example: Example::Console { wrong: "kiwi-host report runs", right: "kiwi-host report runs/first" },
};

pub(in crate::error_code) const CONVERTED_WITH_CHANGES: Page = Page {
    title: "something becomes another in the conversion",
    kind: Warning,
    meaning: "A value is left out or means something else on the other side; the message says what becomes of it.",
    mend: "Read the message and see that it is what you want.",
    example: Example::Words,
};

pub(in crate::error_code) const TRACKING_WARNS: Page = Page {
    title: "tracking does not get everything",
    kind: Warning,
    meaning: "What watches a run (MLflow, a launcher's error file) could not be told something. Nothing of the run is lost.",
    mend: "`kiwi-host mlflow sync RUN` sends later what is missing.",
    example: Example::Words,
};

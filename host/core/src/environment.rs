//! Every environment variable that kiwi-host reads, with what it means. Nothing here reads them.

/// An environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it says, for help texts and documentation: a sentence.
    pub meaning: &'static str,
}

/// Where libtorch lies.
pub const LIBTORCH: Variable = Variable {
    name: "LIBTORCH",
    meaning: "Directory of libtorch, the one that holds lib/libtorch_cpu.so; --libtorch goes before it.",
};

/// Where plugins lie.
pub const KIWI_PLUGIN_PATH: Variable = Variable {
    name: "KIWI_PLUGIN_PATH",
    meaning: "Directories of plugins, separated by colons; searched after those of --plugin-dir.",
};

/// Where what is made of large corpora is kept.
pub const KIWI_CACHE_DIR: Variable = Variable {
    name: "KIWI_CACHE_DIR",
    meaning: "Directory where the encoded form of large corpora and what plugins say of their options are kept, in place of kiwi-host in the user's cache directory.",
};

/// No colours.
pub const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    meaning: "If not empty, nothing is coloured unless --color says otherwise.",
};

/// Colours even without a terminal.
pub const CLICOLOR_FORCE: Variable = Variable {
    name: "CLICOLOR_FORCE",
    meaning: "If neither empty nor 0, colours are used without a terminal too.",
};

/// Colours or none.
pub const CLICOLOR: Variable =
    Variable { name: "CLICOLOR", meaning: "If 0, nothing is coloured unless --color says otherwise." };

/// What the terminal can do.
pub const TERM: Variable =
    Variable { name: "TERM", meaning: "If dumb, there is neither colour nor a moving progress bar." };

/// Threads of libtorch.
pub const OMP_NUM_THREADS: Variable = Variable {
    name: "OMP_NUM_THREADS",
    meaning: "Threads for libtorch's operators, read by libtorch itself; --threads goes before it.",
};

/// Which GPUs there are.
pub const CUDA_VISIBLE_DEVICES: Variable = Variable {
    name: "CUDA_VISIBLE_DEVICES",
    meaning: "Numbers of the GPUs that are there for kiwi-host, separated by commas, which numbers them anew from 0; all unless set.",
};

/// Where a launcher looks for an error.
pub const TORCHELASTIC_ERROR_FILE: Variable = Variable {
    name: "TORCHELASTIC_ERROR_FILE",
    meaning: "A file that is written if the command fails, with its errors, as torchrun reads it; torchrun sets it.",
};

/// Where other machines reach this one.
pub const GLOO_SOCKET_IFNAME: Variable = Variable {
    name: "GLOO_SOCKET_IFNAME",
    meaning: "The network interface at which the processes of a run on several machines reach this one, such as eth1; unless set, that of the way to where they meet.",
};

/// Fused operations or plain ones.
pub const KIWI_OPERATIONS: Variable = Variable {
    name: "KIWI_OPERATIONS",
    meaning: "If plain, components use libtorch's own operations in place of fused ones: the same numbers, slower, to compare.",
};

/// The active Python environment.
pub const VIRTUAL_ENV: Variable = Variable {
    name: "VIRTUAL_ENV",
    meaning: "An active Python virtual environment, whose torch package serves as libtorch.",
};

/// Where programs lie.
pub const PATH: Variable = Variable {
    name: "PATH",
    meaning: "Where python3 is looked for, whose torch package serves as libtorch.",
};

/// The user's data.
pub const XDG_DATA_HOME: Variable = Variable {
    name: "XDG_DATA_HOME",
    meaning: "The user's data directory, in which kiwi-host/plugins is searched; ~/.local/share unless set.",
};

/// The user's cache.
pub const XDG_CACHE_HOME: Variable = Variable {
    name: "XDG_CACHE_HOME",
    meaning: "The user's cache directory, in which kiwi-host keeps what it would else compute again; ~/.cache unless set.",
};

/// The user's home.
pub const HOME: Variable = Variable {
    name: "HOME",
    meaning: "The user's home directory, the root of the data and cache directories.",
};

/// Where temporary files go.
pub const TMPDIR: Variable = Variable {
    name: "TMPDIR",
    meaning: "Where links to the libraries that a plugin carries beside it lie while it is opened; /tmp unless set.",
};

/// Where runs are tracked.
pub const MLFLOW_TRACKING_URI: Variable = Variable {
    name: "MLFLOW_TRACKING_URI",
    meaning: "Where values are sent if run.use_mlflow is true and run.mlflow_tracking_uri is not set: http(s)://HOST:PORT.",
};

/// Name of a user of the tracking server.
pub const MLFLOW_TRACKING_USERNAME: Variable = Variable {
    name: "MLFLOW_TRACKING_USERNAME",
    meaning: "Name of a user of the tracking server, together with MLFLOW_TRACKING_PASSWORD.",
};

/// That user's password.
pub const MLFLOW_TRACKING_PASSWORD: Variable =
    Variable { name: "MLFLOW_TRACKING_PASSWORD", meaning: "The password of MLFLOW_TRACKING_USERNAME." };

/// A token for the tracking server.
pub const MLFLOW_TRACKING_TOKEN: Variable = Variable {
    name: "MLFLOW_TRACKING_TOKEN",
    meaning: "A token (bearer) for the tracking server, where there is no user name.",
};

/// Whether certificates are checked.
pub const MLFLOW_TRACKING_INSECURE_TLS: Variable = Variable {
    name: "MLFLOW_TRACKING_INSECURE_TLS",
    meaning: "If true, the certificate of the tracking server is not checked.",
};

/// Who vouches for the tracking server.
pub const MLFLOW_TRACKING_SERVER_CERT_PATH: Variable = Variable {
    name: "MLFLOW_TRACKING_SERVER_CERT_PATH",
    meaning: "A PEM file of the certificates that vouch for the tracking server, in place of those that browsers trust.",
};

/// How long an answer may take.
pub const MLFLOW_HTTP_REQUEST_TIMEOUT: Variable = Variable {
    name: "MLFLOW_HTTP_REQUEST_TIMEOUT",
    meaning: "Seconds that the tracking server has to answer a request; 30 unless set.",
};

/// The experiment.
pub const MLFLOW_EXPERIMENT_NAME: Variable = Variable {
    name: "MLFLOW_EXPERIMENT_NAME",
    meaning: "The experiment of MLflow that runs belong to, where run.experiment_name is \"default\".",
};

/// All of them.
pub const ALL: [Variable; 26] = [
    LIBTORCH,
    KIWI_PLUGIN_PATH,
    KIWI_CACHE_DIR,
    OMP_NUM_THREADS,
    KIWI_OPERATIONS,
    CUDA_VISIBLE_DEVICES,
    GLOO_SOCKET_IFNAME,
    NO_COLOR,
    CLICOLOR,
    CLICOLOR_FORCE,
    TERM,
    VIRTUAL_ENV,
    PATH,
    XDG_DATA_HOME,
    XDG_CACHE_HOME,
    HOME,
    TMPDIR,
    TORCHELASTIC_ERROR_FILE,
    MLFLOW_TRACKING_URI,
    MLFLOW_TRACKING_USERNAME,
    MLFLOW_TRACKING_PASSWORD,
    MLFLOW_TRACKING_TOKEN,
    MLFLOW_TRACKING_INSECURE_TLS,
    MLFLOW_TRACKING_SERVER_CERT_PATH,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_EXPERIMENT_NAME,
];

//! 06xx: what can happen while training runs.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const NOT_FINITE: Page = Page {
    title: "the loss or a gradient is not finite",
    kind: Error,
    meaning: "A number became infinite or NaN. Every parameter would be NaN after the next step, so that the run ends before \
              it; what was saved is good. The batch is named. Most often the learning rate is too high or gradients are not \
              clipped; before the first step it is what encoder or head compute, or a system that was loaded. As a warning: \
              no validation of a run gave a number for its main metric, so that no system was kept.",
    mend: "Lower `system.optimizer.learning_rate`, warm it up, or clip: `trainer.gradient_max_norm` 1.0. If a single batch is \
           to blame, `trainer.on_nonfinite` \"skip\" leaves it out and counts it. Where batch after batch is left out, the parameters \
           are spoilt already: begin anew, or from an earlier system.",
    example: Example::Words,
};

pub(in crate::error_code) const OUT_OF_MEMORY: Page = Page {
    title: "a batch does not fit into memory",
    kind: Error,
    meaning: "Memory grows with the pairs of a batch times its longest sentence. The longest pair of the batch is named: a \
              few very long sentences are often all there is to it.",
    mend: "Limit `trainer.max_tokens_per_batch` or `data.max_length`, or lower `system.batch_size` and raise \
           `trainer.gradient_accumulation_steps` by the same factor. `kiwi-host check` tries the largest batches beforehand.",
    example: Example::Words,
};

pub(in crate::error_code) const CANNOT_SAVE: Page = Page {
    title: "what a run is to keep cannot be written",
    kind: Error,
    meaning: "The disk is full, or rights are missing. As long as training goes on this is a warning and is tried again \
              every few seconds; at the end it is an error. Files that were complete stay as they are.",
    mend: "Make room or rights in the directory that is named; then `--resume`.",
    example: Example::Words,
};

pub(in crate::error_code) const DIRECTORY_TAKEN: Page = Page {
    title: "the directory of the run is taken",
    kind: Error,
    meaning: "A run writes into a directory of its own, which must not hold anything yet, so that no earlier run is ever \
              written over; and one process alone may be at work there.",
    mend: "Name another by --output-dir or `run.output_dir`, or go on with the run that is there by --resume.",
    example: Example::Console {
        wrong: "kiwi-host train config.json --output-dir runs/first    # a second time",
        right: "kiwi-host train config.json --output-dir runs/second",
    },
};

pub(in crate::error_code) const DIRECTORY_UNWRITABLE: Page = Page {
    title: "the directory of the run cannot be written",
    kind: Error,
    meaning: "The directory or a file in it cannot be made. This is found before training begins.",
    mend: "Choose a directory where you may write by --output-dir or `run.output_dir`.",
    example: Example::Words,
};

pub(in crate::error_code) const TORCH_FAILED: Page = Page {
    title: "libtorch failed while it computed",
    kind: Error,
    meaning: "An operation of libtorch gave an error, outside of what a component answers for. The message is libtorch's.",
    mend: "If it speaks of memory, see E0602. If it speaks of CUDA, look at the GPU by `nvidia-smi`. Else report it with the \
           config.",
    example: Example::Words,
};

pub(in crate::error_code) const RANK_LOST: Page = Page {
    title: "a process of the run was lost",
    kind: Error,
    meaning: "The run has several processes, and one failed, was killed, was stopped, or cannot be reached any more. The \
              others end, since they cannot go on without its share.",
    mend: "Look at what that process said last. The run can be resumed from its last resume point.",
    example: Example::Words,
};

pub(in crate::error_code) const RANKS_NOT_MET: Page = Page {
    title: "the processes of the run did not meet",
    kind: Error,
    meaning: "Rank 0 listens at MASTER_ADDR and MASTER_PORT, and the others connect to it. Not all did in time, the port is \
              taken, or another program answers there.",
    mend: "See that all ranks are started and that each reaches that host and port; docs/runs.md has the variables.",
    example: Example::Words,
};

pub(in crate::error_code) const RANKS_DIFFER: Page = Page {
    title: "something is not the same on all processes",
    kind: Error,
    meaning: "Config, corpora, plugins or the program differ between the machines of a run. They would train different \
              systems and average them.",
    mend: "Install one version on all machines, and give all the same files.",
    example: Example::Words,
};

pub(in crate::error_code) const LAUNCHER: Page = Page {
    title: "the variables of a launcher cannot be used",
    kind: Error,
    meaning: "torchrun and srun tell each process by environment variables which of how many it is. One is missing, or is no \
              number of its range.",
    mend: "Start the processes by torchrun or srun, or unset the variable that is named.",
    example: Example::Console {
        wrong: "RANK=0 kiwi-host train config.json",
        right: "torchrun --no-python --nproc-per-node 2 kiwi-host train config.json",
    },
};

pub(in crate::error_code) const INTERNAL: Page = Page {
    title: "the program failed in a way that it should not",
    kind: Error,
    meaning: "This is a fault of kiwi-host, not of your config or data.",
    mend: "Report it with the command, the config and the message. A run can be resumed from its last resume point.",
    example: Example::Words,
};

pub(in crate::error_code) const CRASHED: Page = Page {
    title: "the program crashed or a library ended it",
    kind: Error,
    meaning: "Code outside of Rust's checks used memory that is not its own, or ended the process by `exit` or `abort`. The \
              call that was under way is named where there was one; the fault is most often that plugin's.",
    mend: "Report it to the authors of what is named. Resume the run without that plugin, or with another version of it.",
    example: Example::Words,
};

pub(in crate::error_code) const TRIALS_FAILED: Page = Page {
    title: "every trial of a sweep has failed",
    kind: Error,
    meaning: "A trial that fails is told and the others go on, since some values of hyper-parameters cannot be trained with. Where \
              all fail the cause is most likely one that they share.",
    mend: "Read the `output.log` that the message names. Once the cause is gone, `--resume --retry-failed` tries them again.",
    example: Example::Console {
        wrong: "kiwi-host sweep sweep.json --resume",
        right: "kiwi-host sweep sweep.json --resume --retry-failed",
    },
};

pub(in crate::error_code) const BATCH_SKIPPED: Page = Page {
    title: "a batch is skipped",
    kind: Warning,
    meaning: "The config says to leave out batches whose loss is not finite or that do not fit into memory \
              (`trainer.on_nonfinite`, `trainer.on_oom`). Too many of them end the run.",
    mend: "One in a while is harmless. If there are many, lower the learning rate or the size of batches.",
    example: Example::Words,
};

pub(in crate::error_code) const STARTED_ANEW: Page = Page {
    title: "a launcher started the run anew",
    kind: Warning,
    meaning: "The launcher restarts processes that fail. Without --resume the run then begins at its start.",
    mend: "Give --resume and --output-dir on such a launcher, so that the run goes on where it was.",
    example: Example::Words,
};

pub(in crate::error_code) const CUT_SHORT: Page = Page {
    title: "something is left undone because a signal came",
    kind: Warning,
    meaning: "The run was asked to end. It saves where it is and leaves out the rest, as the test at the end.",
    mend: "Go on by --resume, or test the best system by `kiwi-host evaluate`.",
    example: Example::Words,
};

pub(in crate::error_code) const NO_LOG: Page = Page {
    title: "something that tells of the run cannot be written",
    kind: Warning,
    meaning: "The log, the record or the files for TensorBoard cannot be written. Training does not stop for that.",
    mend: "Make room or rights in the directory of the run.",
    example: Example::Words,
};

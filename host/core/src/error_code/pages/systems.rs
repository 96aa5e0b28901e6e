//! 04xx: saved systems and runs that are resumed.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const SYSTEM_UNREADABLE: Page = Page {
    title: "a saved system cannot be read",
    kind: Error,
    meaning: "There is no such file, it is a folder, or it may not be read. Training leaves systems in the folder \
              `checkpoints` of the run's directory; `index.json` there says which is best.",
    mend: "Name one of the files `checkpoints/*.safetensors`.",
    example: Example::Console {
        wrong: "kiwi-host evaluate runs/first --source test.src --target test.tgt",
        right: "kiwi-host evaluate runs/first/checkpoints/*.safetensors --source test.src --target test.tgt",
    },
};

pub(in crate::error_code) const NOT_A_SYSTEM: Page = Page {
    title: "a file is not a saved system, or is damaged",
    kind: Error,
    meaning: "The file is not in the safetensors format, lacks what kiwi-host writes into it, or was edited. A system whose \
              numbers may be wrong is not used.",
    mend: "Use another copy. A model of OpenKiwi is imported first: `kiwi-host import openkiwi MODEL -o SYSTEM.safetensors`.",
    example: Example::Words,
};

pub(in crate::error_code) const SYSTEM_NEWER: Page = Page {
    title: "a saved system is of a newer format",
    kind: Error,
    meaning: "The file was saved by a later version of kiwi-host, and may mean what this one does not know.",
    mend: "Use the version that saved it, or a later one.",
    example: Example::Words,
};

pub(in crate::error_code) const TENSORS_DO_NOT_FIT: Page = Page {
    title: "the values of a file do not fit the system",
    kind: Error,
    meaning: "Parameters are loaded by name, type and shape. One is missing, too many, or of another shape, so that the \
              file is of another system or was made with other options.",
    mend: "Load it with the options it was saved with (`kiwi-host inspect SYSTEM` shows them), or name another file.",
    example: Example::Words,
};

pub(in crate::error_code) const OTHER_PLUGINS: Page = Page {
    title: "a system was saved with another version of a plugin",
    kind: Error,
    meaning: "The system records the plugins it was trained with. Another version that is compatible by its number is used \
              with a warning; one that is not may compute something else and is refused.",
    mend: "Install the version that is named, or give --allow-changed to use the installed one all the same.",
    example: Example::Words,
};

pub(in crate::error_code) const SYSTEM_CLASS: Page = Page {
    title: "the config names another class than the system it loads",
    kind: Error,
    meaning: "A saved system brings its classes with it: its parameters mean something to them alone.",
    mend: "Leave the class out of the config, or load another system.",
    example: Example::Words,
};

pub(in crate::error_code) const CANNOT_BE_ASKED: Page = Page {
    title: "the system cannot do what is asked of it",
    kind: Error,
    meaning: "The parts of this system do not give what the command prints, as scores of words or features, or they read \
              what was not given, as post-edits.",
    mend: "Give what the message names, or use a system whose parts can do it.",
    example: Example::Words,
};

pub(in crate::error_code) const NOTHING_TO_RESUME: Page = Page {
    title: "there is no run to resume",
    kind: Error,
    meaning: "--resume goes on with the run in `run.output_dir` (or --output-dir) from its last resume point. The directory \
              is not named, holds no run, or holds no resume point that can be used.",
    mend: "Name the directory that `kiwi-host train` wrote, or leave --resume out to begin a new run.",
    example: Example::Console {
        wrong: "kiwi-host train config.json --resume",
        right: "kiwi-host train config.json --resume --output-dir runs/first",
    },
};

pub(in crate::error_code) const CHANGED_SINCE: Page = Page {
    title: "something has changed since the run began",
    kind: Error,
    meaning: "A resumed run gives the numbers of one that never stopped. Config, corpora, plugins or the number of processes \
              are others than those it began with, so that it would not.",
    mend: "Put back what was there, or give --allow-changed to go on all the same.",
    example: Example::Words,
};

pub(in crate::error_code) const OPTIMIZER_STATE: Page = Page {
    title: "a saved state of training cannot be used",
    kind: Error,
    meaning: "The state of an optimizer or of a run is damaged, is of another optimizer, or of other parameters.",
    mend: "Name the `optimizer.safetensors` of a run with the same optimizer and system, or remove the key.",
    example: Example::Words,
};

pub(in crate::error_code) const SCORING_JOB: Page = Page {
    title: "a job of scoring that writes files cannot go on",
    kind: Error,
    meaning: "A job that was ended leaves files that end in `.partial` and one that ends in `.progress`, with which the same \
              command goes on by --resume. It goes on only where it is certain that the bytes become the same: with the same \
              system, plugins, text and options, with files that nobody has changed, and in one process at a time.",
    mend: "Give --resume to the command that was ended. To do something else, write to other files, or remove the old ones.",
    example: Example::Console {
        wrong: "kiwi-host score SYSTEM.safetensors --source a --target b --threshold 50 --keep-source c --keep-target d",
        right: "kiwi-host score SYSTEM.safetensors --source a --target b --threshold 50 --keep-source c --keep-target d --resume",
    },
};

pub(in crate::error_code) const RESUME_POINT_SKIPPED: Page = Page {
    title: "a resume point is passed over",
    kind: Warning,
    meaning: "The last resume point was damaged or its writing interrupted, as by a power cut. The one before it is taken, \
              and the steps in between are done again.",
    mend: "Nothing needs to be done; look at the disk if it happens again.",
    example: Example::Words,
};

pub(in crate::error_code) const OTHER_MACHINE: Page = Page {
    title: "the run goes on under other conditions",
    kind: Warning,
    meaning: "The number of threads, the device or the version of the program is another than before. The run goes on, and \
              its numbers may differ by rounding from those of a run that never ended.",
    mend: "Nothing, unless you need the very same numbers: then resume under the conditions of before.",
    example: Example::Words,
};

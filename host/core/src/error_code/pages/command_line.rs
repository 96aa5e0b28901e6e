//! 08xx: the command line and the files that it names.

use super::{Example, Page};
use crate::diagnostic::Severity::Error;

pub(in crate::error_code) const FILE_EXISTS: Page = Page {
    title: "a file or directory is there already",
    kind: Error,
    meaning: "What exists is not written over, unless the command has an option that says so.",
    mend: "Choose another name, move the old file away, or give --force where the command has it.",
    example: Example::Console {
        wrong: "kiwi-host features SYSTEM --source a.src --target a.tgt -o existing.safetensors",
        right: "kiwi-host features SYSTEM --source a.src --target a.tgt -o new.safetensors",
    },
};

pub(in crate::error_code) const FILE_UNWRITABLE: Page = Page {
    title: "a file cannot be written",
    kind: Error,
    meaning: "The folder does not exist, may not be written to, or its disk is full. Files are written beside their place and \
              renamed, so that none is half there.",
    mend: "Make the folder, rights or room, or write elsewhere.",
    example: Example::Words,
};

pub(in crate::error_code) const ARGUMENTS: Page = Page {
    title: "the arguments of the command do not go together",
    kind: Error,
    meaning: "An argument is missing that another one needs, or one was given that means nothing here.",
    mend: "Read `kiwi-host COMMAND --help`, which ends with examples.",
    example: Example::Console {
        wrong: "kiwi-host train config.json --allow-changed",
        right: "kiwi-host train config.json --resume --allow-changed",
    },
};

pub(in crate::error_code) const OUTPUT: Page = Page {
    title: "standard output cannot be written",
    kind: Error,
    meaning: "The data go to standard output, and the file or device behind it takes no more, as on a full disk.",
    mend: "Make room, and run the command again.",
    example: Example::Words,
};

pub(in crate::error_code) const NOT_UNICODE: Page = Page {
    title: "a path is not valid Unicode",
    kind: Error,
    meaning: "The path would have to stand in a text file or message of JSON, which holds Unicode only.",
    mend: "Rename the file or directory.",
    example: Example::Words,
};

pub(in crate::error_code) const UNKNOWN_CODE: Page = Page {
    title: "there is no error code of that name",
    kind: Error,
    meaning: "`kiwi-host explain` takes the codes that stand in brackets behind `error` and `warning`.",
    mend: "`kiwi-host explain` without a code lists them all.",
    example: Example::Console { wrong: "kiwi-host explain E9999", right: "kiwi-host explain E0101" },
};

pub(in crate::error_code) const NO_QUESTIONS: Page = Page {
    title: "a file is not named, and nobody can be asked",
    kind: Error,
    meaning: "`kiwi-host init` asks for what was not given only when standard input is a terminal. In a script it would wait \
              for ever.",
    mend: "Give --train-source and --train-target.",
    example: Example::Console {
        wrong: "kiwi-host init < /dev/null",
        right: "kiwi-host init --train-source train.en --train-target train.de",
    },
};

pub(in crate::error_code) const FILE_UNREADABLE: Page = Page {
    title: "a file cannot be read, or is damaged",
    kind: Error,
    meaning: "A file that the command was given, or that an earlier command wrote, is not there, may not be read, or is not what \
              it was when it was written.",
    mend: "Correct the path or the permissions. What is damaged must be restored from a copy; nothing of it was changed.",
    example: Example::Words,
};

//! 03xx: plugins and the class names that they register.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const NOT_REGISTERED: Page = Page {
    title: "no plugin registers a class of that name",
    kind: Error,
    meaning: "Every `class_name` is resolved to a component that a plugin registers. None has this one: the name is spelt \
              wrongly, its plugin is not installed, or its plugin cannot be used on this machine, which a note then says.",
    mend: "Correct the name by what the message offers, or name the plugin's directory by --plugin-dir or KIWI_PLUGIN_PATH. \
           `kiwi-host plugins list` shows what is there.",
    example: Example::Config {
        wrong: r#"{"system": {"optimizer": {"class_name": "adm"}}}"#,
        right: r#"{"system": {"optimizer": {"class_name": "adam"}}}"#,
    },
};

pub(in crate::error_code) const AMBIGUOUS: Page = Page {
    title: "several plugins register a class of that name",
    kind: Error,
    meaning: "Two installed plugins have a component of this kind and name. Neither is better than the other, and the order \
              of directories should not decide what is trained.",
    mend: "Write the plugin's name before the class, as `kiwi-encoders::PredictorEncoder`, or uninstall one of them.",
    example: Example::Words,
};

pub(in crate::error_code) const PLUGIN_REFUSED: Page = Page {
    title: "a plugin cannot be opened",
    kind: Error,
    meaning: "The plugin was built for another plugin API, another torch, another machine or with another panic strategy, \
              its file is damaged, or it needs a library that is not there. Opening it all the same could crash or, worse, \
              compute something else.",
    mend: "Rebuild the plugin with the versions that the message names, or install a build for this host. \
           `kiwi-host plugins inspect FILE` shows what it was built for, `kiwi-host plugins check FILE` tries it.",
    example: Example::Words,
};

pub(in crate::error_code) const PLUGIN_CHANGED: Page = Page {
    title: "a plugin file was changed while the program ran",
    kind: Error,
    meaning: "The file was hashed when it was found, and what is opened must be what was hashed: whatever else it holds has \
              not been looked at.",
    mend: "Run the command again once the plugin's installation or build is over.",
    example: Example::Words,
};

pub(in crate::error_code) const LOCK_DIFFERS: Page = Page {
    title: "a plugin is not the one that was locked",
    kind: Error,
    meaning: "`plugins.lock` beside the config has the version and SHA-256 of each plugin that was agreed on, and the \
              installed one is another. With --locked that is an error, else a warning.",
    mend: "Install the locked build; or, if the new one is meant, make the lock anew by `kiwi-host plugins lock CONFIG \
           --force`.",
    example: Example::Words,
};

pub(in crate::error_code) const LOCK_UNUSABLE: Page = Page {
    title: "the lock of plugins cannot be used",
    kind: Error,
    meaning: "The lock is missing where one is asked for, cannot be read, was edited into something else, is of a newer \
              version, or cannot be made.",
    mend: "Put it back as it was, or make it anew by `kiwi-host plugins lock CONFIG --force`.",
    example: Example::Console {
        wrong: "kiwi-host train config.json --locked    # without a lock",
        right: "kiwi-host plugins lock config.json && kiwi-host train config.json --locked",
    },
};

pub(in crate::error_code) const PLUGIN_DIRECTORY: Page = Page {
    title: "a plugin directory cannot be searched",
    kind: Error,
    meaning: "The directory does not exist or cannot be read. One that --plugin-dir names is an error; one of \
              KIWI_PLUGIN_PATH, which is set for many commands, is a warning.",
    mend: "Correct the option or the variable.",
    example: Example::Console {
        wrong: "kiwi-host plugins list --plugin-dir absent",
        right: "kiwi-host plugins list --plugin-dir target/release",
    },
};

pub(in crate::error_code) const COMPONENT_FAILED: Page = Page {
    title: "a component of a plugin failed",
    kind: Error,
    meaning: "The plugin's code gave an error, panicked, threw an exception, crashed, or gave what its interface does not \
              allow, in the call that is named (create, forward, step and so on). The message is the plugin's. The host \
              itself goes on, and a run ends with what it had saved.",
    mend: "Follow the message if it speaks of your options or data. Else it is a fault of the plugin: report it to its \
           authors with the message and the config. `kiwi-host plugins check FILE` may reproduce it.",
    example: Example::Words,
};

pub(in crate::error_code) const PARTS_DO_NOT_FIT: Page = Page {
    title: "the parts of the system do not fit together",
    kind: Error,
    meaning: "A head reads a feature that the encoder does not give, a part reads a field that the host does not know, or an \
              optimizer cannot use the gradients that a part gives, as sparse ones.",
    mend: "Choose parts that go together; the message says what the one needs and what the other has.",
    example: Example::Config {
        wrong: r#"{"system": {"optimizer": {"class_name": "sparse_adam", "learning_rate": 0.002}}}"#,
        right: r#"{"system": {"optimizer": {"class_name": "adam", "learning_rate": 0.002}}}"#,
    },
};

pub(in crate::error_code) const NEW_PLUGIN: Page = Page {
    title: "a new plugin cannot be made so",
    kind: Error,
    meaning: "`kiwi-host plugins new` writes a crate. Its name must be one that cargo takes, its class one that Rust takes, \
              neither may be taken by an installed plugin, and the source of the plugin API must be found.",
    mend: "Choose another name as the message says, or name the directory `plugin-api` by --api.",
    example: Example::Console {
        wrong: "kiwi-host plugins new 'my encoder' --kind encoder",
        right: "kiwi-host plugins new my-encoder --kind encoder",
    },
};

pub(in crate::error_code) const NO_SUCH_PLUGIN: Page = Page {
    title: "there is no plugin or component of that name",
    kind: Error,
    meaning: "The command takes the file or name of a plugin, or the class of one of its components, and there is none such.",
    mend: "`kiwi-host plugins list` shows which are installed; a file can be given by its path.",
    example: Example::Console {
        wrong: "kiwi-host plugins inspect kiwi-encoder",
        right: "kiwi-host plugins inspect kiwi-encoders",
    },
};

pub(in crate::error_code) const PROBE_FAILED: Page = Page {
    title: "a plugin could not be asked about itself",
    kind: Error,
    meaning: "Plugins are tried in a process of their own, and this process could not be started or be understood.",
    mend: "Look at the note for the cause: limits of the machine, or files of the program that are of another version.",
    example: Example::Words,
};

pub(in crate::error_code) const PACKAGE_PLUGIN: Page = Page {
    title: "no wheel can be made of a plugin",
    kind: Error,
    meaning: "A wheel holds one plugin that this host can use, for systems with the C++ library of GCC 11 or later. A plugin that \
              carries libraries beside it, needs newer ones, or has a version that Python has no word for cannot be packed so.",
    mend: "Build the plugin on a system such as Debian 12, link what it carries statically, and give its crate a version such as \
           1.2.3 or 1.2.3-beta.1.",
    example: Example::Console {
        wrong: "kiwi-host plugins package README.md",
        right: "kiwi-host plugins package target/release/libacme_encoder.so --output dist",
    },
};

pub(in crate::error_code) const PLUGIN_WRITABLE: Page = Page {
    title: "others can change a plugin",
    kind: Warning,
    meaning: "A plugin is code that runs with your rights. Its file or a directory above it can be changed by others than \
              you and the machine's administrator.",
    mend: "Take the right away as the message says, or install the plugin where only you write. docs/trust.md has more.",
    example: Example::Words,
};

pub(in crate::error_code) const SCHEMA_INCOMPLETE: Page = Page {
    title: "the JSON Schema does not describe a plugin",
    kind: Warning,
    meaning: "A plugin cannot be opened, or describes its options in a way that is no schema. It is left out, and an editor \
              does not know its options. `kiwi-host train` checks them all the same.",
    mend: "Look at the cause; report it to the plugin's author where it is the plugin's.",
    example: Example::Words,
};

pub(in crate::error_code) const PLUGIN_WARNS: Page = Page {
    title: "a plugin warns",
    kind: Warning,
    meaning: "A component has something to say about its options or its work. The words are the plugin's.",
    mend: "Read the message; the plugin's documentation says more.",
    example: Example::Words,
};

//! 01xx: what can be wrong with a config by itself, before any file that it names is opened.

use super::{Example, Page};
use crate::diagnostic::Severity::{Error, Warning};

pub(in crate::error_code) const UNKNOWN_KEY: Page = Page {
    title: "a key of the config is not known",
    kind: Error,
    meaning: "The config has a key that nothing reads. It is no warning because a key that is spelt wrongly would leave its \
              value at the default, and a night's training would be of something else than was meant.",
    mend: "Take the nearest name that the message offers, or remove the key. docs/configuration.md has all keys, and an \
           editor completes them by the JSON Schema that `kiwi-host schema` writes.",
    example: Example::Config {
        wrong: r#"{"trainer": {"epoch": 3}}"#,
        right: r#"{"trainer": {"epochs": 3}}"#,
    },
};

pub(in crate::error_code) const INVALID_VALUE: Page = Page {
    title: "a key of the config has a value that it does not take",
    kind: Error,
    meaning: "The value is of another type than the key's, out of its range, or none of its choices. Nothing is converted: \
              `2.0` is no integer, `\"10\"` no number and `1` not `true`, so that what stands in the file is what is trained.",
    mend: "Write a value as the line `expected` says; the line `help` has the very text where it can be told.",
    example: Example::Config {
        wrong: r#"{"system": {"batch_size": "32"}}"#,
        right: r#"{"system": {"batch_size": 32}}"#,
    },
};

pub(in crate::error_code) const MISSING_KEY: Page = Page {
    title: "a required key is not in the config",
    kind: Error,
    meaning: "Some keys have no default, since no value is right for most: the corpora, the system, the optimizer and its \
              learning rate.",
    mend: "Add the key. `kiwi-host init` writes a config that fits your corpus, `kiwi-host train --example` a small one.",
    example: Example::Config {
        wrong: r#"{"data": {"train": {"input": {"source": "train.src"}}}}"#,
        right: r#"{"data": {"train": {"input": {"source": "train.src", "target": "train.tgt"}}}}"#,
    },
};

pub(in crate::error_code) const CONFIG_SYNTAX: Page = Page {
    title: "the config is not valid JSON",
    kind: Error,
    meaning: "A config is strict JSON in UTF-8: keys and strings in double quotes, no comma after the last member, no \
              comments, at most 100 arrays and objects inside one another. The place is where reading had to stop, which \
              may be just behind what is wrong.",
    mend: "Correct the text at the place. Notes about a config belong into a file beside it.",
    example: Example::Config {
        wrong: r#"{"trainer": {"epochs": 3,}}"#,
        right: r#"{"trainer": {"epochs": 3}}"#,
    },
};

pub(in crate::error_code) const REPEATED_KEY: Page = Page {
    title: "an object of the config has a key twice",
    kind: Error,
    meaning: "JSON readers differ in which of two equal keys they take. So that no value is silently lost, both places are \
              named and neither is taken.",
    mend: "Remove one of the two.",
    example: Example::Config {
        wrong: r#"{"trainer": {"epochs": 3, "epochs": 5}}"#,
        right: r#"{"trainer": {"epochs": 5}}"#,
    },
};

pub(in crate::error_code) const CONFIG_UNREADABLE: Page = Page {
    title: "the config file cannot be read",
    kind: Error,
    meaning: "There is no such file, it is a directory, it is empty, it is no text in UTF-8, it is far larger than a config, \
              or it may not be read.",
    mend: "Correct the path; the nearest file of the directory is named where there is one. `kiwi-host init` writes a config.",
    example: Example::Console { wrong: "kiwi-host train confg.json", right: "kiwi-host train config.json" },
};

pub(in crate::error_code) const CONFLICTING_KEYS: Page = Page {
    title: "two keys of the config exclude one another",
    kind: Error,
    meaning: "Each of the keys has a valid value, but they cannot both hold, as validation files and a share of the training \
              pairs to validate on. Neither goes before the other, since either may be the one that was forgotten.",
    mend: "Remove one of the two.",
    example: Example::Config { wrong: r#"{"data": {"split": 0.9}}"#, right: r#"{"data": {"split": null}}"# },
};

pub(in crate::error_code) const NOT_SUPPORTED: Page = Page {
    title: "the config asks for what this version cannot do",
    kind: Error,
    meaning: "The key is known from configs of OpenKiwi, and kiwi-host does not have its feature yet. Ignoring it would train \
              another system than the config describes.",
    mend: "Remove the key or give it the default that the message names.",
    example: Example::Config {
        wrong: r#"{"trainer": {"deterministic": false}}"#,
        right: r#"{"trainer": {"deterministic": true}}"#,
    },
};

pub(in crate::error_code) const OVERRIDE: Page = Page {
    title: "`--set` cannot put its value into the config",
    kind: Error,
    meaning: "`--set PATH=VALUE` puts VALUE at PATH before the config is checked. PATH leads through objects by their keys, \
              joined by dots, and through arrays by `[N]`; it cannot lead through a number or a string.",
    mend: "Correct the path, or set the value further up as a whole.",
    example: Example::Console {
        wrong: "kiwi-host train config.json --set trainer..epochs=3",
        right: "kiwi-host train config.json --set trainer.epochs=3",
    },
};

pub(in crate::error_code) const ASSIGNMENT: Page = Page {
    title: "optimizers and parameters do not go together one to one",
    kind: Error,
    meaning: "With several optimizers each names the parameters that it trains by patterns. Every parameter must belong to \
              exactly one, and every pattern to some parameter: one that nobody trains, or that two train, is a mistake that \
              no loss curve shows.",
    mend: "Correct the patterns; `kiwi-host inspect SYSTEM` shows the names of parameters. A single optimizer trains all and \
           takes no patterns.",
    example: Example::Config {
        wrong: r#"{"system": {"optimizer": {"class_name": "adam", "learning_rate": 0.002, "parameters": ["encoder.*"]}}}"#,
        right: r#"{"system": {"optimizer": {"class_name": "adam", "learning_rate": 0.002}}}"#,
    },
};

pub(in crate::error_code) const SCHEDULE: Page = Page {
    title: "the learning rate has two schedules, or none where one is asked for",
    kind: Error,
    meaning: "Classes such as `noam` and `adamw` have a schedule of their own, with a warm-up; for the others \
              `learning_rate_decay` lowers the rate when the main metric no longer improves. The two are not combined, and \
              `warmup_steps` and `training_steps` mean nothing without a schedule.",
    mend: "Leave out the keys of the schedule that is not wanted, or choose a class that has the other.",
    example: Example::Config {
        wrong: r#"{"system": {"optimizer": {"class_name": "adam", "learning_rate": 0.002, "warmup_steps": 100}}}"#,
        right: r#"{"system": {"optimizer": {"class_name": "adam", "learning_rate": 0.002}}}"#,
    },
};

pub(in crate::error_code) const COMPONENT_OPTION: Page = Page {
    title: "a component refuses its options",
    kind: Error,
    meaning: "Encoders, heads, optimizers and metrics check their options themselves, since only the plugin knows them. The \
              message is the plugin's.",
    mend: "Correct the option. `kiwi-host schema` writes which options the installed components take.",
    example: Example::Config {
        wrong: r#"{"system": {"model": {"encoder": {"dropout": 2.0}}}}"#,
        right: r#"{"system": {"model": {"encoder": {"dropout": 0.2}}}}"#,
    },
};

pub(in crate::error_code) const METRIC: Page = Page {
    title: "the metrics do not go together",
    kind: Error,
    meaning: "The main metric decides which system is best. It must be one that is computed, several can be summed only if \
              all get better in one direction, and each is computed once. A set of pairs lends its name to its metrics, so \
              that the name must be fit for that.",
    mend: "Take a name from the list in the message, or add the metric's class to `system.metrics`.",
    example: Example::Config {
        wrong: r#"{"trainer": {"main_metric": "target_BLEU"}}"#,
        right: r#"{"trainer": {"main_metric": "target_PERP"}}"#,
    },
};

pub(in crate::error_code) const NO_VALIDATION: Page = Page {
    title: "no validation would ever take place",
    kind: Error,
    meaning: "`trainer.checkpoint.validation_steps` counts batches within an epoch, and an epoch has fewer. Without a \
              validation nothing is kept of a run.",
    mend: "Give a smaller number, or a share of the epoch with a fraction: `1.0` is once an epoch, `0.25` four times.",
    example: Example::Config {
        wrong: r#"{"trainer": {"checkpoint": {"validation_steps": 1000}}}"#,
        right: r#"{"trainer": {"checkpoint": {"validation_steps": 1.0}}}"#,
    },
};

pub(in crate::error_code) const NAMED_TWICE: Page = Page {
    title: "something is named twice in a list",
    kind: Error,
    meaning: "A list that names things to be used holds one of them more than once. Using it twice is impossible, and using \
              it once is perhaps not what was meant: another name may have been intended.",
    mend: "Remove one of the two, or correct it.",
    example: Example::Config {
        wrong: r#"{"trainer": {"gpus": [0, 0]}}"#,
        right: r#"{"trainer": {"gpus": 0}}"#,
    },
};

pub(in crate::error_code) const CARRIED_STATE: Page = Page {
    title: "state cannot be carried from batch to batch so",
    kind: Error,
    meaning: "`trainer.truncated_bptt_steps` has an encoder go on from the state of the batch before. That needs an encoder \
              that has such a state, batches in the order of the corpus, and no optimizer step in between the batches that \
              are learned through.",
    mend: "Remove the key, or meet the condition that the message names.",
    example: Example::Config {
        wrong: r#"{"trainer": {"truncated_bptt_steps": 2, "gradient_accumulation_steps": 2, "batch_order": "random"}}"#,
        right: r#"{"trainer": {"truncated_bptt_steps": null, "batch_order": "random"}}"#,
    },
};

pub(in crate::error_code) const PRECISION: Page = Page {
    title: "the precision does not go with the rest",
    kind: Error,
    meaning: "`trainer.precision` 16 (float16) is for GPUs: on the CPU it is slow and gains nothing. `trainer.amp_level` is \
              an older way to say the same as `precision` and must not contradict it.",
    mend: "Take 32, or \"bf16\", which the CPU computes in as well; leave `amp_level` out.",
    example: Example::Config {
        wrong: r#"{"trainer": {"precision": 32, "amp_level": "O1"}}"#,
        right: r#"{"trainer": {"precision": 32}}"#,
    },
};

pub(in crate::error_code) const SWEEP: Page = Page {
    title: "a sweep cannot be run as its file says",
    kind: Error,
    meaning: "The sweep file asks for what cannot be searched: a space without an end in a grid, bounds in the wrong order, a \
              logarithmic space that reaches 0, two parameters for one value, more trials than there are combinations, or an \
              option that the method does not have. All of it is told before the first trial begins.",
    mend: "Write what the lines `expected` and `help` say; docs/sweeps.md has all keys, `kiwi-host sweep --example` a file to \
           begin with, and `--dry-run` shows the trials without running them.",
    example: Example::Words,
};

pub(in crate::error_code) const IGNORED_KEY: Page = Page {
    title: "a key of the config is ignored",
    kind: Warning,
    meaning: "The key is known and has no meaning here: it is carried by configs for other systems, or another key takes its \
              place.",
    mend: "Remove the key, if only for those who read the config after you.",
    example: Example::Config {
        wrong: r#"{"data": {"train": {"input": {"source_pos": "train.pos"}}}}"#,
        right: r#"{"data": {"train": {"input": {"source": "train.src"}}}}"#,
    },
};

pub(in crate::error_code) const NO_EFFECT: Page = Page {
    title: "a setting has no effect",
    kind: Warning,
    meaning: "What was set is valid and changes nothing, because of something else in the config or in the system. Perhaps \
              the other setting is the mistake.",
    mend: "Remove the setting, or change what keeps it from having an effect.",
    example: Example::Words,
};

pub(in crate::error_code) const NOTHING_KEPT: Page = Page {
    title: "the trained system will not be kept",
    kind: Warning,
    meaning: "`trainer.checkpoint.save_top_k` is 0, so that no system is saved: what was trained is lost when the run ends. \
              That is useful for trying things out and for nothing else.",
    mend: "Set it to 1, the default, to keep the best system.",
    example: Example::Config {
        wrong: r#"{"trainer": {"checkpoint": {"save_top_k": 0}}}"#,
        right: r#"{"trainer": {"checkpoint": {"save_top_k": 1}}}"#,
    },
};

//! What the program checks and the schema of a config does not say, since JSON Schema cannot or no component says so: a config that
//! breaks one of these rules alone is accepted by a validator and refused by the program. There are no others; a test holds the two
//! against one another.

/// A rule that the schema does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What it says, for documentation.
    pub meaning: &'static str,
}

const fn rule(name: &'static str, meaning: &'static str) -> Rule {
    Rule { name, meaning }
}

/// Every such rule, in the order of the page about the config.
pub const RULES: &[Rule] = &[
    rule(
        "text",
        "The file is strict JSON in UTF-8, with each key of an object once and at most 100 arrays and objects inside one another.",
    ),
    rule(
        "numbers",
        "An integer is written without fraction and exponent, a share with one; numbers fit into 64 bits.",
    ),
    rule("tracking", "`run.mlflow_tracking_uri` is the URI of a server or of a folder, without a password."),
    rule("accumulation", "`trainer.truncated_bptt_steps` divides `trainer.gradient_accumulation_steps`."),
    rule(
        "sets",
        "Names of sets of pairs in `data.valid` and `data.test` hold no white space or signs of other scripts.",
    ),
    rule("files", "Source, target and post-edits are lists of equally many files."),
    rule("patterns", "`system.optimizer[].parameters` are patterns that can be read."),
    rule(
        "metrics",
        "`system.metrics` names no metric by two of its names, and none that the head wants by itself.",
    ),
    rule(
        "schedules",
        "A schedule has the warm-up that it needs, and one that is not longer than `training_steps`.",
    ),
    rule(
        "components",
        "What a component checks beyond the types and ranges of its schema, as `nesterov` of `sgd`.",
    ),
    rule(
        "needs",
        "What a component needs of the rest: post-edits for `fine_tune`, an encoder that carries state for `truncated_bptt_steps`, an optimizer for sparse gradients.",
    ),
    rule("content", "Whether files, saved systems and a GPU are there, and what is in the files."),
];

//! The sections that no plugin has a part in: `run`, `trainer` and `data`, with the rules between keys of one section.

use serde_json::{Map, Value, json};

use super::values::{
    file, given, implies, integer, not_negative, object, one_or_more, or_null, part, sides, string,
};

/// ASCII but for letters, digits, `_`, `-` and `.`: what no name of a set of pairs holds.
const SET_NAME: &str = "^[^\\u0000-\\u002c\\u002f\\u003a-\\u0040\\u005b-\\u005e\\u0060\\u007b-\\u007f]+$";

pub(super) fn not_both_verbose_and_quiet() -> Value {
    let both = json!({"verbose": {"const": true}, "quiet": {"const": true}});
    json!({"not": {"properties": both, "required": ["verbose", "quiet"]}})
}

pub(super) fn run() -> Value {
    object(
        json!({
            "seed": integer(0),
            "experiment_name": string(),
            "output_dir": or_null(file()),
            "run_id": or_null(json!({"type": "string", "pattern": "^[0-9a-fA-F]{32}$"})),
            "use_mlflow": {"type": "boolean"},
            "mlflow_tracking_uri": or_null(string()),
            "mlflow_always_log_artifacts": {"type": "boolean"},
        }),
        &[],
    )
}

pub(super) fn trainer() -> Value {
    let names = json!({"anyOf": [string(), {"type": "array", "items": string(), "minItems": 1, "uniqueItems": true}]});
    let number = json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
    let listed = json!({"type": "array", "items": number, "minItems": 1, "uniqueItems": true});
    let on_trouble = json!({"enum": ["stop", "skip"]});
    let mut trainer = object(
        json!({
            "resume": {"type": "boolean"},
            "epochs": integer(1),
            "max_steps": or_null(integer(1)),
            "gradient_accumulation_steps": integer(1),
            "gradient_max_norm": not_negative(),
            "main_metric": or_null(names),
            "log_interval": integer(1),
            "log_save_interval": integer(1),
            "gpus": {"anyOf": [{"type": "integer", "minimum": -1, "maximum": u64::MAX}, listed]},
            "precision": {"enum": [32, "bf16", 16]},
            "amp_level": {"enum": ["O0", "O1", null]},
            "batch_order": {"enum": ["corpus", "random", "bucketed"]},
            "max_tokens_per_batch": or_null(integer(1)),
            "truncated_bptt_steps": or_null(integer(1)),
            "on_nonfinite": on_trouble,
            "on_oom": on_trouble,
            "checkpoint": checkpoint(),
        }),
        &[],
    );
    let has = |key: &str, value: Value| json!({"required": [key], "properties": {key: value}});
    let level = |level: &str| json!({"properties": {"amp_level": {"enum": [level, null]}}});
    trainer["allOf"] = json!([
        {
            "if": has("precision", json!({"enum": ["bf16", 16]})),
            "then": level("O1"),
            "else": level("O0"),
        },
        implies(has("precision", json!({"const": 16})), has("gpus", json!({"not": {"const": 0}}))),
        implies(given("truncated_bptt_steps"), json!({"properties": {"batch_order": {"const": "corpus"}}})),
    ]);
    trainer
}

fn checkpoint() -> Value {
    object(
        json!({
            "validation_steps": {"anyOf": [
                {"type": "integer", "minimum": 1, "maximum": u64::MAX, "description": "Batches."},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "description": "Share of the epoch."},
            ]},
            "save_top_k": integer(-1),
            "early_stop_patience": integer(0),
            "resume_interval": or_null(integer(1)),
        }),
        &[],
    )
}

pub(super) fn data() -> Value {
    let mut valid = or_null(json!({"$ref": "#/$defs/corpora"}));
    valid["description"] = json!("What is validated on: one corpus, or several by their names.");
    let mut data = object(
        json!({
            "train": {"$ref": "#/$defs/corpus"},
            "valid": valid,
            "test": or_null(json!({"$ref": "#/$defs/corpora"})),
            "split": or_null(part()),
            "max_length": sides(&or_null(integer(1))),
            "buffer_size": or_null(integer(1)),
        }),
        &["train"],
    );
    // Exactly one of the two.
    data["oneOf"] = json!([given("valid"), given("split")]);
    data
}

/// What several keys of `data` refer to.
pub(super) fn definitions() -> Map<String, Value> {
    let files = one_or_more(&file());
    let mut input = object(
        json!({
            "source": files,
            "target": files,
            "pe": or_null(files.clone()),
            "post_edit": or_null(files.clone()),
            "alignments": true,
            "source_pos": true,
            "target_pos": true,
        }),
        &["source", "target"],
    );
    input["not"] = json!({"allOf": [given("pe"), given("post_edit")]});
    let describe = |schema: &mut Value, key: &str, text: &str| {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{key}")) {
            if !property.is_object() {
                *property = json!({});
            }
            property["description"] = text.into();
        }
    };
    describe(&mut input, "source", "The source side: a path, or a list of paths.");
    describe(&mut input, "target", "The target side: as many paths as for the source, in the same order.");
    describe(
        &mut input,
        "pe",
        "The target as a person corrected it, for `fine_tune`: as many paths as for the source.",
    );
    describe(&mut input, "post_edit", "An older name of `pe`.");
    for unused in ["alignments", "source_pos", "target_pos"] {
        describe(&mut input, unused, "Ignored: training does not use it.");
    }
    let mut corpus = object(json!({"input": input, "output": {"type": ["object", "null"]}}), &["input"]);
    describe(&mut corpus, "input", "The files of the corpus.");
    describe(&mut corpus, "output", "Ignored: training does not use it.");
    let named = json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": SET_NAME, "not": {"const": "input"}},
        "additionalProperties": {"$ref": "#/$defs/corpus"},
    });
    let corpora = json!({
        "description": "One corpus, or several by their names.",
        "if": {"required": ["input"]},
        "then": {"$ref": "#/$defs/corpus"},
        "else": named,
    });
    let definitions = [("corpus".to_owned(), corpus), ("corpora".to_owned(), corpora)];
    definitions.into_iter().collect()
}

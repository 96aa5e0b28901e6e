//! The section `system`, most of whose rules depend on which classes it names.

use serde_json::{Value, json};

use super::components::{Component, Components};
use super::values::{file, given, implies, integer, object, or_null, positive, share, sides, string};
use crate::plugins::Kind;

pub(super) fn system(components: &Components<'_>) -> Value {
    let metrics = components.metric_names();
    let mut system = object(
        json!({
            // Beside a loaded system it is that one's, whoever registers it.
            "class_name": or_null(json!({"anyOf": [components.system_names(), string()]})),
            "load": or_null(file()),
            "load_vocabs": true,
            "model": {"description": "The parts of a new system: encoder and head."},
            "data_processing": {"description": "The vocabularies of a new system."},
            "optimizer": optimizers(components),
            "metrics": {"type": "array", "items": metrics, "uniqueItems": true},
            "batch_size": batch_size(),
            "num_data_workers": integer(0),
        }),
        &["optimizer"],
    );
    // A loaded system brings its own parts, and what stands here about them is ignored.
    system["if"] = given("load");
    system["else"] = json!({
        "required": ["class_name", "model"],
        "properties": {
            "class_name": components.system_names(),
            "load_vocabs": or_null(file()),
            "model": object(json!({
                "encoder": {"$ref": "#/$defs/encoder"},
                "tlm_outputs": {"$ref": "#/$defs/head"},
            }), &[]),
            "data_processing": or_null(data_processing()),
        },
    });
    let by_class = components.systems();
    if !by_class.is_empty() {
        system["else"]["allOf"] = by_class.into();
    }
    system
}

fn data_processing() -> Value {
    let vocab =
        object(json!({"min_frequency": sides(&integer(1)), "max_size": sides(&or_null(integer(1)))}), &[]);
    object(json!({"share_input_fields_encoders": {"type": "boolean"}, "vocab": vocab}), &[])
}

fn batch_size() -> Value {
    let size = or_null(integer(1));
    json!({"anyOf": [size, object(json!({"train": size, "valid": size}), &["train"])]})
}

/// Where tokens do not limit the batches, pairs do.
pub(super) fn pairs_or_tokens() -> Value {
    let tokens = json!({"required": ["trainer"], "properties": {"trainer": given("max_tokens_per_batch")}});
    let not_null = json!({"not": {"type": "null"}});
    let size = json!({"not": {"type": "null"}, "properties": {"train": not_null, "valid": not_null}});
    json!({"if": tokens, "else": {"properties": {"system": {"properties": {"batch_size": size}}}}})
}

/// One optimizer for all parameters, or a list of them.
fn optimizers(components: &Components<'_>) -> Value {
    json!({
        "description": "How parameters are updated: by one optimizer, or by a list of them with their parameters.",
        "if": {"type": "array"},
        "then": {
            "type": "array",
            "minItems": 1,
            "items": optimizer(components, true),
        },
        "else": optimizer(components, false),
    })
}

fn optimizer(components: &Components<'_>, of_list: bool) -> Value {
    let patterns = json!({"type": "array", "items": string(), "minItems": 1});
    let mut required = vec!["class_name", "learning_rate"];
    if of_list {
        required.push("parameters");
    }
    let mut optimizer = object(
        json!({
            "class_name": components.names(Kind::Optimizer),
            "learning_rate": positive(),
            "encoder_learning_rate": or_null(positive()),
            "warmup_steps": {"anyOf": [
                {"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Optimizer steps."},
                {"type": "number", "minimum": 0, "maximum": 1, "description": "Share of the training steps."},
                {"type": "null"},
            ]},
            "training_steps": or_null(integer(1)),
            "learning_rate_decay": share(),
            "learning_rate_decay_start": integer(0),
            "load": or_null(file()),
            "options": {"type": "object"},
            "parameters": if of_list { patterns } else { json!({"type": "null"}) },
        }),
        &required,
    );
    optimizer["allOf"] = json!([{"$ref": "#/$defs/optimizer_classes"}]);
    optimizer
}

/// What holds for an optimizer of this class.
pub(super) fn of_optimizer(component: &Component<'_>) -> Value {
    let mut rules = json!({"properties": {"options": component.options}});
    if !component.accepts_no_options {
        rules["required"] = json!(["options"]);
    }
    match component.has_schedule {
        Some(true) => rules["properties"]["learning_rate_decay"] = json!({"const": 1}),
        Some(false) => {
            for key in ["warmup_steps", "training_steps"] {
                rules["properties"][key] = json!({"type": "null"});
            }
        }
        None => {}
    }
    rules
}

/// What holds for the model of a system that stands for this component, at `key`, unless another class is named there; `None` for a
/// component that nothing registers.
pub(super) fn of_part(key: &str, component: Option<&Component<'_>>) -> Value {
    let named = json!({"required": ["class_name"], "properties": {"class_name": {"not": {"type": "null"}}}});
    let mut rules = match component {
        Some(component) => {
            json!({"properties": {key: {"if": named, "else": component.options}}})
        }
        None => json!({"properties": {key: named}}),
    };
    if component.is_none_or(|component| !component.accepts_no_options) {
        rules["required"] = json!([key]);
    }
    rules
}

/// The condition that `class_name` is one of these.
pub(super) fn of_class(names: &Value, then: Value) -> Value {
    implies(json!({"required": ["class_name"], "properties": {"class_name": names}}), then)
}

//! A config as JSON text, with the keys in the order of the YAML file.

use serde_json::Value;

use super::node::{Content, Node};

/// As `serde_json` has it.
pub(super) fn value(node: &Node) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Bool(value) => Value::from(*value),
        Content::Int(number) => Value::from(*number),
        Content::Float(number) => Value::from(*number),
        Content::Text(text) => Value::from(text.as_str()),
        Content::List(items) => items.iter().map(value).collect(),
        Content::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), value(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// For people, with a line end.
pub(super) fn pretty(root: &Node) -> String {
    let mut out = String::new();
    write(root, 0, &mut out);
    out.push('\n');
    out
}

fn write(node: &Node, depth: usize, out: &mut String) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match &node.content {
        Content::Map(entries) if !entries.is_empty() => {
            out.push('{');
            for (i, entry) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                out.push_str(&Value::from(entry.key.as_str()).to_string());
                out.push_str(": ");
                write(&entry.value, depth + 1, out);
            }
            indent(out, depth);
            out.push('}');
        }
        // Lists of a config are short: on one line.
        Content::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(item, depth + 1, out);
            }
            out.push(']');
        }
        _ => out.push_str(&value(node).to_string()),
    }
}

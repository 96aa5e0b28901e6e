//! The names that a class goes by: `Class` where one plugin only registers it, and `plugin::Class`.

use serde_json::{Value, json};

use crate::plugins::registry::same_name;
use crate::plugins::{Kind, Plugin, Registry};

/// What stands for this class of this plugin.
pub(super) fn names_of(registry: &Registry, plugin: &Plugin, kind: Kind, class: &str) -> Value {
    let name = &plugin.metadata.name;
    let bare = registry.find(kind, class).is_ok();
    let names = bare.then(|| class.to_owned()).into_iter().chain([format!("{name}::{class}")]);
    let description = summary(plugin, kind, class);
    let mut alternatives: Vec<Value> = names
        .map(|name| match description {
            "" => json!({"const": name}),
            description => json!({"const": name, "description": description}),
        })
        .collect();
    alternatives.extend(other_spellings(registry, name, class));
    json!({"anyOf": alternatives})
}

/// `-` and `_` are the same in the names of plugins, so that others than the two names above are read too, unless they are those
/// of other plugins.
fn other_spellings(registry: &Registry, plugin: &str, class: &str) -> Option<Value> {
    let alike = registry.plugins.iter().filter(|other| same_name(&other.metadata.name, plugin)).count();
    if alike != 1 || !plugin.contains(['-', '_']) {
        return None;
    }
    let pattern = format!("^{}::{}$", escaped(plugin).replace(['-', '_'], "[-_]"), escaped(class));
    Some(json!({"type": "string", "pattern": pattern}))
}

/// The text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\^$.|?*+()[]{}/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn summary<'a>(plugin: &'a Plugin, kind: Kind, class: &str) -> &'a str {
    let systems = plugin.metadata.systems.iter().map(|one| (Kind::System.name(), &one.class, &one.summary));
    let components =
        plugin.metadata.components.iter().map(|one| (one.kind.as_str(), &one.class, &one.summary));
    let mut all = systems.chain(components);
    all.find(|(of, name, _)| *of == kind.name() && *name == class).map_or("", |(_, _, summary)| summary)
}

//! What the page about the config says of each key, put into a schema as descriptions, with the defaults.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::path;

/// The page, whose tables have a row a key: its path, its default, its meaning.
const PAGE: &str = include_str!("../../../../../docs/configuration.md");

/// Adds descriptions and defaults to the properties of a schema, and to those of the sections in it.
pub(super) fn describe(schema: &mut Value, defaults: &Value) {
    below(schema, "", defaults, &meanings());
}

fn below(schema: &mut Value, at: &str, defaults: &Value, meanings: &BTreeMap<&str, String>) {
    for keyword in ["then", "else", "items"] {
        if let Some(part) = schema.get_mut(keyword) {
            below(part, at, defaults, meanings);
        }
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, property) in properties {
        let path = path::join(at, key);
        let default = defaults.get(key);
        below(property, &path, default.unwrap_or(&Value::Null), meanings);
        if property.as_bool() == Some(true) {
            *property = json!({});
        }
        let Some(property) = property.as_object_mut() else { continue };
        if let Some(meaning) = meanings.get(path.as_str()) {
            property.entry("description").or_insert_with(|| meaning.as_str().into());
        }
        // The default of a section is that of its keys.
        if let Some(default) = default.filter(|_| !property.contains_key("properties")) {
            property.entry("default").or_insert_with(|| default.clone());
        }
    }
}

/// The meaning of each key, by its path.
fn meanings() -> BTreeMap<&'static str, String> {
    let mut meanings = BTreeMap::new();
    for heading in PAGE.lines().filter_map(|line| line.strip_prefix("## `")) {
        if let Some((name, meaning)) = heading.split_once("`: ") {
            let mut rest = meaning.chars();
            let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
            meanings.insert(name, format!("{first}{}.", rest.as_str()));
        }
    }
    for row in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let (Some(names), Some(meaning), true) = (cells.first(), cells.last(), cells.len() >= 2) else {
            continue;
        };
        for name in names.split('`').skip(1).step_by(2) {
            meanings.entry(name).or_insert_with(|| text(meaning));
        }
    }
    meanings
}

/// The text of a cell, for those who do not see the page.
fn text(cell: &str) -> String {
    // The cell before it may be empty.
    without_links(cell.trim_start_matches(['|', ' '])).replace("; see below", "")
}

/// The text with `[words](target)` as the words alone.
fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        out.push_str(before);
        let parts = link.split_once("](").and_then(|(words, after)| {
            let (_, after) = after.split_once(')')?;
            (!words.contains(']')).then_some((words, after))
        });
        match parts {
            Some((words, after)) => {
                out.push_str(words);
                rest = after;
            }
            None => {
                out.push('[');
                rest = link;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_left_out_and_other_brackets_stay() {
        assert_eq!(without_links("see [GPUs](#gpus), `[N]` in [0, 1)."), "see GPUs, `[N]` in [0, 1).");
    }

    #[test]
    fn each_row_of_the_page_is_found_by_each_key_that_it_names() {
        let meanings = meanings();
        assert!(meanings["run.seed"].starts_with("Integer of at least 0."), "{}", meanings["run.seed"]);
        assert_eq!(meanings["data.train.input.source"], meanings["data.train.input.target"]);
        assert_eq!(meanings["trainer"], "How to train.");
        assert_eq!(meanings["system.class_name"].split(',').next(), Some("The system"));
        assert_eq!(meanings["quiet"], meanings["verbose"]);
    }
}

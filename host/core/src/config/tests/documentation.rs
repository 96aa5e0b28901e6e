//! The page about the config names every key there is.

use std::path::Path;

use super::*;
use crate::config::later::KEYS;

/// The paths of all values below `value`, but for those of options, which are the components'.
fn paths(value: &serde_json::Value, at: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(entries) if !entries.is_empty() && !at.starts_with("system.model.") => {
            for (key, value) in entries {
                paths(value, &path::join(at, key), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn every_key_is_documented() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(file).unwrap();
    let mut all = Vec::new();
    paths(&serde_json::from_str(FULL).unwrap(), "", &mut all);
    let config = config_of(FULL, &[]).to_json().unwrap();
    paths(&serde_json::from_str(&config).unwrap(), "", &mut all);
    all.extend(KEYS.iter().map(|later| later.path.to_owned()));
    for path in all {
        // A value for each side or each use, and the files of a validation set, are documented at what they are of.
        let documented = path
            .replace("system.model.encoder.class_name", "system.model.encoder")
            .replace("data.valid.input.target", "data.valid.input.source");
        let stem = documented.trim_end_matches(".source").trim_end_matches(".target");
        let stem = stem.trim_end_matches(".train").trim_end_matches(".valid");
        let named = [documented.as_str(), stem].iter().any(|path| page.contains(&format!("`{path}`")));
        assert!(named, "{path} is not in docs/configuration.md");
    }
}

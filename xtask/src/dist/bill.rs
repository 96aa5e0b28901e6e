//! The software bill of materials: what is compiled in, from where, under which licence, as CycloneDX 1.5 has it.

use anyhow::Result;
use serde_json::{Value, json};

use super::VERSION;
use super::components::Component;

/// The name of the file.
pub(super) const FILE: &str = "kiwi-host.cdx.json";

/// The document. It has neither time nor serial number, so that the same packages make the same bytes.
pub(super) fn json(components: &[Component]) -> Result<String> {
    let torch = json!({
        "type": "library", "bom-ref": "pkg:pypi/torch", "name": "torch", "purl": "pkg:pypi/torch",
        "version": kiwi_plugin_metadata::TORCH_VERSION, "scope": "required",
        "description": "Opened at run time and not part of the package",
    });
    let listed: Vec<Value> = components.iter().map(component).chain([torch]).collect();
    let dependencies: Vec<Value> = components
        .iter()
        .map(|component| {
            let needs: Vec<String> = component
                .needs
                .iter()
                .filter_map(|id| components.iter().find(|other| other.id == *id))
                .map(reference)
                .collect();
            json!({"ref": reference(component), "dependsOn": needs})
        })
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "package", "name": "kiwi-host", "version": VERSION},
            "tools": {"components": [{"type": "application", "name": "cargo xtask dist", "version": VERSION}]},
        },
        "components": listed,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

fn component(component: &Component) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": reference(component),
        "name": component.name,
        "version": component.version,
        "scope": "required",
    });
    let mut set = |key: &str, part: Option<Value>| {
        if let (Some(part), Some(object)) = (part, value.as_object_mut()) {
            object.insert(key.to_owned(), part);
        }
    };
    // Cargo once had a slash for `OR`.
    let license = component.license.as_ref().map(|license| license.replace('/', " OR "));
    let line = |text: &String| json!(text.split_whitespace().collect::<Vec<_>>().join(" "));
    set("description", component.description.as_ref().map(line));
    set("licenses", license.map(|license| json!([{"expression": license}])));
    set("hashes", component.checksum.as_ref().map(|sum| json!([{"alg": "SHA-256", "content": sum}])));
    set("purl", component.source.as_ref().map(|_| json!(reference(component))));
    set("externalReferences", component.repository.as_ref().map(|url| json!([{"type": "vcs", "url": url}])));
    value
}

fn reference(component: &Component) -> String {
    match component.source {
        Some(_) => format!("pkg:cargo/{}@{}", component.name, component.version),
        None => format!("kiwi:{}@{}", component.name, component.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::components;
    use crate::workspace::Workspace;

    #[test]
    fn the_bill_is_valid_and_whole() {
        let components = components::find(&Workspace::find().unwrap()).unwrap();
        let text = json(&components).unwrap();
        let bill = cyclonedx_bom::prelude::Bom::parse_from_json(text.as_bytes()).unwrap();
        let validity = cyclonedx_bom::prelude::Validate::validate_version(
            &bill,
            cyclonedx_bom::models::bom::SpecVersion::V1_5,
        );
        assert!(validity.passed(), "{validity:?}");
        let listed = bill.components.unwrap().0;
        assert_eq!(listed.len(), components.len() + 1);
        assert!(listed.iter().any(|one| one.name.to_string() == "abi_stable" && one.hashes.is_some()));
    }
}

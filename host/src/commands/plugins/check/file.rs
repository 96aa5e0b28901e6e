//! What a plugin's file says of itself, and whether what it registers once it is open is the same.

use std::path::Path;

use kiwi_core::plugin_check::{CheckedComponent, Finding, Outcome};
use kiwi_core::plugins::{Kind, Registry, inspect};
use kiwi_plugin_metadata::reader::PluginMetadata;

const METADATA: &str = "metadata";
const CLASSES: &str = "classes";
const SYSTEMS: &str = "systems";
const REGISTRY: &str = "registry";

/// What came of reading a file.
pub(super) struct Read {
    pub(super) findings: Vec<Finding>,
    /// What it says, where that can be read.
    pub(super) metadata: Option<PluginMetadata>,
    /// Metadata and SHA-256 of a file that can be opened.
    pub(super) usable: Option<(PluginMetadata, String)>,
}

/// Reads the file, once.
pub(super) fn read(file: &Path) -> Read {
    let bytes = match inspect::read_file(file) {
        Ok(bytes) => bytes,
        Err(rejection) => {
            let finding = Finding::new(METADATA, Outcome::Fail, format!("the file {rejection}"));
            return Read { findings: vec![finding], metadata: None, usable: None };
        }
    };
    let inspection = inspect::inspect_bytes(&bytes);
    if !inspection.rejections.is_empty() {
        let reasons: Vec<String> = inspection.rejections.iter().map(ToString::to_string).collect();
        let message = format!("the file {}", reasons.join("; and it "));
        let finding = Finding::new(METADATA, Outcome::Fail, message);
        return Read { findings: vec![finding], metadata: inspection.metadata, usable: None };
    }
    let Some(metadata) = inspection.metadata else {
        let finding = Finding::new(METADATA, Outcome::Fail, "the file says nothing about itself");
        return Read { findings: vec![finding], metadata: None, usable: None };
    };
    let findings = vec![sound(&metadata), classes(&metadata)];
    let usable = Some((metadata.clone(), inspect::sha256(&bytes)));
    Read { findings, metadata: Some(metadata), usable }
}

fn sound(metadata: &PluginMetadata) -> Finding {
    let mut finding = Finding::new(
        METADATA,
        Outcome::Pass,
        format!(
            "the metadata are sound and fit this host: plugin API {}, torch {}",
            metadata.api_version, metadata.torch
        ),
    );
    let silent: Vec<&str> = [
        ("description", metadata.description.is_empty()),
        ("license", metadata.license.is_empty()),
        ("authors", metadata.authors.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, empty)| empty.then_some(name))
    .collect();
    if !silent.is_empty() {
        finding.notes.push(format!("not said: {}; Cargo.toml has keys for them", silent.join(", ")));
    }
    finding
}

/// No class stands twice, and each has a name and a sentence.
fn classes(metadata: &PluginMetadata) -> Finding {
    let mut all: Vec<(&str, &str)> =
        metadata.components.iter().map(|one| (one.kind.as_str(), one.class.as_str())).collect();
    all.extend(metadata.systems.iter().map(|one| (Kind::System.name(), one.class.as_str())));
    if all.is_empty() {
        let mut finding = Finding::new(CLASSES, Outcome::Fail, "it registers nothing");
        finding.help = Some("register each component with `register!`".to_owned());
        return finding;
    }
    let mut sorted = all.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let (kind, class) = twice[0];
        let mut finding =
            Finding::new(CLASSES, Outcome::Fail, format!("it registers the {kind} `{class}` twice"));
        finding.help = Some("give each component of a kind a `CLASS_NAME` of its own".to_owned());
        return finding;
    }
    if let Some((kind, _)) = all.iter().find(|(_, class)| class.trim().is_empty()) {
        return Finding::new(
            CLASSES,
            Outcome::Fail,
            format!("it registers the {kind} ``, whose class is empty"),
        );
    }
    let mut finding = Finding::new(
        CLASSES,
        Outcome::Pass,
        format!("it says that it registers {}, none of them twice", counted(all.len())),
    );
    let silent: Vec<&str> = metadata
        .components
        .iter()
        .filter(|one| one.summary.trim().is_empty())
        .map(|one| one.class.as_str())
        .collect();
    if !silent.is_empty() {
        finding.notes.push(format!("without a summary for listings: {}", silent.join(", ")));
    }
    finding
}

fn counted(count: usize) -> String {
    if count == 1 { "1 class".to_owned() } else { format!("{count} classes") }
}

/// The parts of each system are there, in this plugin or in another that is installed.
pub(super) fn systems(metadata: &PluginMetadata, registry: &Registry) -> Vec<Finding> {
    if metadata.systems.is_empty() {
        return Vec::new();
    }
    let own = |kind: Kind, class: &str| {
        metadata.components.iter().any(|one| one.kind == kind.name() && one.class == class)
    };
    let installed = |kind: Kind, class: &str| {
        registry.plugins.iter().any(|plugin| plugin.classes(kind).any(|known| known == class))
    };
    for system in &metadata.systems {
        for (kind, class) in [(Kind::Encoder, &system.encoder), (Kind::Head, &system.head)] {
            let bare = class.rsplit("::").next().unwrap_or(class);
            if !own(kind, bare) && !installed(kind, bare) {
                let message = format!(
                    "the system `{}` stands for the {kind} `{class}`, which neither this plugin nor an installed one registers",
                    system.class
                );
                let mut finding = Finding::new(SYSTEMS, Outcome::Fail, message);
                finding.help = Some(
                    "correct the class in `register!(system ..)`, or name the directory of the plugin that has it with --plugin-dir"
                        .to_owned(),
                );
                return vec![finding];
            }
        }
    }
    let names: Vec<&str> = metadata.systems.iter().map(|system| system.class.as_str()).collect();
    vec![Finding::new(SYSTEMS, Outcome::Pass, format!("the parts of {} are there", names.join(", ")))]
}

/// What the opened plugin registers is what the file says.
pub(super) fn registry(metadata: &PluginMetadata, registered: &[CheckedComponent]) -> Finding {
    let said = metadata.components.iter().map(|one| format!("{} {}", one.kind, one.class));
    let live = registered.iter().map(|one| format!("{} {}", one.kind, one.class));
    let (mut said, mut live): (Vec<String>, Vec<String>) = (said.collect(), live.collect());
    said.sort_unstable();
    live.sort_unstable();
    if said == live {
        return Finding::new(
            REGISTRY,
            Outcome::Pass,
            format!("the opened plugin registers what the file says: {}", counted(live.len())),
        );
    }
    let mut finding = Finding::new(
        REGISTRY,
        Outcome::Fail,
        "the opened plugin registers something else than the file says",
    );
    let only = |these: &[String], those: &[String]| -> String {
        let only: Vec<&str> = these.iter().filter(|one| !those.contains(one)).map(String::as_str).collect();
        if only.is_empty() { "nothing".to_owned() } else { only.join(", ") }
    };
    finding.found = Some(format!("once open, and not in the file: {}", only(&live, &said)));
    finding.expected = Some(format!("in the file, and not once open: {}", only(&said, &live)));
    finding.help = Some("register each component once, by `register!`, which writes both".to_owned());
    finding
}

#[cfg(test)]
mod tests {
    use kiwi_core::plugins::testing::{metadata, with_component};

    use super::*;

    fn component(kind: &str, class: &str) -> CheckedComponent {
        CheckedComponent { kind: kind.to_owned(), class: class.to_owned() }
    }

    #[test]
    fn what_is_registered_is_compared_with_what_is_said() {
        let said = with_component("a", "encoder", "Bag");
        assert_eq!(registry(&said, &[component("encoder", "Bag")]).outcome, Outcome::Pass);
        let other = registry(&said, &[component("head", "Bag")]);
        assert_eq!(other.outcome, Outcome::Fail);
        assert_eq!(other.found.as_deref(), Some("once open, and not in the file: head Bag"));
        assert_eq!(other.expected.as_deref(), Some("in the file, and not once open: encoder Bag"));
    }

    #[test]
    fn a_class_that_stands_twice_is_found() {
        let mut said = with_component("a", "encoder", "Bag");
        assert_eq!(classes(&said).outcome, Outcome::Pass);
        said.components.push(said.components[0].clone());
        assert_eq!(classes(&said).message, "it registers the encoder `Bag` twice");
        assert_eq!(classes(&metadata("a")).message, "it registers nothing");
    }
}

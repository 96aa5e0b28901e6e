use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::plugins::search::{SearchPath, Sources};
use crate::plugins::testing::{component, library, metadata, system, with_component};

fn registry(plugins: &[PluginMetadata]) -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    for plugin in plugins {
        library(folder.path(), &format!("lib{}.so", plugin.name), plugin);
    }
    let registry = discover(folder.path());
    (folder, registry)
}

fn discover(folder: &Path) -> Registry {
    let options = [folder.to_owned()];
    Registry::discover(&SearchPath::new(Sources { options: &options, ..Sources::default() }))
}

#[test]
fn a_class_is_found_with_and_without_its_plugin() {
    let mut plugin = with_component("kiwi-encoders", "encoder", "Bag");
    plugin.components.push(component("head", "Bag"));
    let (folder, registry) = registry(&[plugin, metadata("other")]);
    for asked in ["Bag", "kiwi-encoders::Bag", "kiwi_encoders::Bag"] {
        let resolved = registry.resolve(Kind::Encoder, asked).unwrap();
        assert_eq!(resolved.qualified(), "kiwi-encoders::Bag");
        assert_eq!(resolved.kind, Kind::Encoder);
        assert_eq!(resolved.version, "1.2.3");
        assert_eq!(resolved.file, folder.path().join("libkiwi-encoders.so"));
        assert_eq!(resolved.sha256.len(), 64);
    }
    assert!(registry.resolve(Kind::Head, "Bag").is_ok());
    assert!(registry.resolve(Kind::Metric, "Bag").is_err());
    assert!(registry.resolve(Kind::Encoder, "other::Bag").is_err());
}

#[test]
fn a_class_of_two_plugins_must_be_qualified() {
    let both = [with_component("one", "encoder", "Bag"), with_component("two", "encoder", "Bag")];
    let (folder, registry) = registry(&both);
    let error = registry.resolve(Kind::Encoder, "Bag").unwrap_err().diagnostic();
    assert_eq!(error.message, "more than one plugin registers the encoder `Bag`");
    assert_eq!(error.expected.unwrap(), "one of `one::Bag` and `two::Bag`");
    for (note, file) in error.notes.iter().zip(["libone.so", "libtwo.so"]) {
        assert!(note.contains(&folder.path().join(file).display().to_string()), "{note}");
    }
    assert_eq!(registry.resolve(Kind::Encoder, "two::Bag").unwrap().plugin, "two");
}

#[test]
fn a_name_that_is_not_registered_gets_what_is() {
    let plugins =
        [with_component("one", "encoder", "PredictorEncoder"), with_component("two", "head", "Head")];
    let (folder, mut registry) = registry(&plugins);
    fs::write(folder.path().join("libtext.so"), "text").unwrap();
    registry.rejected = discover(folder.path()).rejected;

    let error = registry.resolve(Kind::Encoder, "PredictorEncodr").unwrap_err();
    let full = error.diagnostic();
    assert_eq!(full.message, "no encoder named `PredictorEncodr` is registered");
    assert_eq!(full.found.as_deref(), Some("\"PredictorEncodr\""));
    assert_eq!(
        full.expected.as_deref(),
        Some("one of the registered encoders: PredictorEncoder (one 1.2.3)")
    );
    assert_eq!(full.nearest.as_deref(), Some("PredictorEncoder"));
    assert_eq!(full.notes[0], "plugins found: one 1.2.3, two 1.2.3");
    assert_eq!(full.notes[1], format!("searched {} (--plugin-dir)", folder.path().display()));
    assert!(full.notes[2].contains("libtext.so: it is a text file"), "{}", full.notes[2]);
    assert!(full.help.unwrap().contains("KIWI_PLUGIN_PATH"));
    assert!(error.brief_diagnostic().notes.is_empty());

    let qualified = registry.resolve(Kind::Encoder, "one::PredictorEncodr").unwrap_err().diagnostic();
    assert_eq!(qualified.nearest.as_deref(), Some("one::PredictorEncoder"));
    let none = registry.resolve(Kind::Metric, "Perplexity").unwrap_err().diagnostic();
    assert_eq!(none.expected.unwrap(), "the class of a registered metric, and there are none");
    assert_eq!(none.nearest, None);
}

#[test]
fn the_best_explanation_comes_first() {
    let old = PluginMetadata { torch: "2.9.1".into(), ..with_component("old", "encoder", "Bag") };
    let (folder, registry) = registry(&[old, with_component("heads", "head", "Bag")]);
    let error = registry.resolve(Kind::Encoder, "Bag").unwrap_err().diagnostic();
    let path = folder.path().join("libold.so");
    let expected = format!(
        "`Bag` is registered by {}, which cannot be used: it is built against torch 2.9.1",
        path.display()
    );
    assert!(error.notes[0].starts_with(&expected), "{}", error.notes[0]);
    assert_eq!(error.notes[1], "`Bag` of the plugin `heads` is registered as a head");

    let error = registry.resolve(Kind::Encoder, "absent::Bag").unwrap_err().diagnostic();
    assert!(error.notes.contains(&"no usable plugin is named `absent`".to_owned()));
}

#[test]
fn a_system_is_found_with_its_parts() {
    let plugin =
        PluginMetadata { systems: vec![system("Predictor", "Enc", "Outputs")], ..metadata("systems") };
    let (_folder, registry) = registry(&[plugin]);
    let (found, system) = registry.find_system("systems::Predictor").unwrap();
    assert_eq!((found.class, system.encoder.as_str(), system.head.as_str()), ("Predictor", "Enc", "Outputs"));
    let error = registry.find_system("Predictr").unwrap_err().diagnostic();
    assert_eq!(error.nearest.as_deref(), Some("Predictor"));
}

#[test]
fn a_file_that_vanished_is_an_error_of_its_own() {
    let (folder, registry) = registry(&[with_component("one", "encoder", "Bag")]);
    fs::remove_file(folder.path().join("libone.so")).unwrap();
    let error = registry.resolve(Kind::Encoder, "Bag").unwrap_err();
    assert!(matches!(error, LookupError::Changed { change: Changed::Rejected(_), .. }), "{error}");
}

#[test]
fn a_plugin_whose_name_is_spelt_exactly_so_goes_before_its_like() {
    let both = [with_component("my-parts", "encoder", "Bag"), with_component("my_parts", "encoder", "Bag")];
    let (_folder, registry) = registry(&both);
    assert!(matches!(registry.find(Kind::Encoder, "Bag"), Err(LookupError::Ambiguous { .. })));
    for name in ["my-parts", "my_parts"] {
        let found = registry.find(Kind::Encoder, &format!("{name}::Bag")).unwrap();
        assert_eq!(found.plugin.metadata.name, name);
    }
}

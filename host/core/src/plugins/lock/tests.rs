use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{library, system, with_component};
use crate::plugins::{Registry, SearchPath};

fn entry(name: &str, version: &str, digit: char) -> LockedPlugin {
    LockedPlugin {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: digit.to_string().repeat(64),
        plugin_api: "1.0.0".to_owned(),
        torch: "2.11.0".to_owned(),
        target: "x86_64-unknown-linux-gnu".to_owned(),
        registers: vec!["metric M".to_owned()],
    }
}

fn plugins() -> Vec<LockedPlugin> {
    vec![entry("b", "0.2.0", '2'), entry("a", "1.0.0", '1')]
}

#[test]
fn a_lock_is_written_in_order_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(NAME);
    assert_eq!(write(&file, plugins(), false).unwrap(), Written::New);
    let text = fs::read_to_string(&file).unwrap();
    let start = format!(
        "{{\n  \"version\": 1,\n  \"plugins\": [\n    {{\n      \"name\": \"a\",\n      \"version\": \"1.0.0\",\n      \
         \"sha256\": \"{}\",\n",
        "1".repeat(64)
    );
    assert!(text.starts_with(&start), "{text}");
    let sorted = vec![plugins()[1].clone(), plugins()[0].clone()];
    assert_eq!(read(&file).unwrap(), sorted);

    let before = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(write(&file, sorted, false).unwrap(), Written::Unchanged);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before, "it is left alone");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_lock_that_differs_is_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(NAME);
    write(&file, plugins(), false).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let other = vec![entry("b", "0.3.0", '3'), entry("c", "1.0.0", '4')];
    let error = write(&file, other.clone(), false).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let notes = error.diagnostic().notes;
    let hash = |digit: &str| digit.repeat(64);
    assert_eq!(
        notes,
        [
            format!("it has a 1.0.0 with SHA-256 {}, which would go", hash("1")),
            format!(
                "it has b 0.2.0 with SHA-256 {}, and b 0.3.0 with SHA-256 {} is installed",
                hash("2"),
                hash("3")
            ),
            format!("it lacks c 1.0.0 with SHA-256 {}", hash("4")),
        ]
    );
    assert_eq!(write(&file, other.clone(), true).unwrap(), Written::Replaced);
    assert_eq!(read(&file).unwrap(), other);

    // Neither is something that is no lock.
    fs::write(&file, "notes of mine").unwrap();
    assert!(matches!(write(&file, plugins(), false), Err(Error::Damaged { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "notes of mine");
    assert_eq!(write(&file, plugins(), true).unwrap(), Written::Replaced);
    assert!(matches!(write(folder.path(), plugins(), true), Err(Error::Unwritable { .. })));

    // A link stays a link.
    let link = folder.path().join("link.lock");
    symlink(&file, &link).unwrap();
    assert_eq!(write(&link, Vec::new(), true).unwrap(), Written::Replaced);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&file).unwrap(), []);
}

#[test]
fn damage_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(NAME);
    let damaged = |text: &str| {
        fs::write(&file, text).unwrap();
        let error = read(&file).unwrap_err().diagnostic();
        (error.location.map(|location| location.line), error.message)
    };
    write(&file, plugins(), false).unwrap();
    let good = fs::read_to_string(&file).unwrap();
    for (old, new, line, reason) in [
        (good.as_str(), "", 1, "EOF"),
        (&good[40..], "", 5, "EOF"),
        ("\"1.0.0\",\n      \"sha", "\"one\",\n      \"sha", 6, "`one` is no version"),
        (&"1".repeat(64)[..], "abc", 7, "`abc` is no SHA-256"),
        (&"1".repeat(64)[..], &"A".repeat(64), 7, "is no SHA-256"),
        ("\"name\": \"a\"", "\"name\": \"\"", 5, "the name of a plugin is empty"),
        ("\"torch\"", "\"touch\"", 9, "unknown field `touch`"),
        ("\"version\": 1,", "\"version\": 1, \"extra\": 2,", 2, "unknown field `extra`"),
    ] {
        let (found, message) = damaged(&good.replacen(old, new, 1));
        assert!(message.contains(reason) && message.contains("is damaged"), "{message}");
        assert_eq!(found, Some(line), "{message}");
    }
    let twice = serde_json::to_string(&json!({"version": 1, "plugins": [plugins()[0], plugins()[0]]}));
    assert!(damaged(&twice.unwrap()).1.contains("the plugin `b` stands there twice"));

    let mut later: Value = serde_json::from_str(&good).unwrap();
    later["version"] = json!(2);
    later["more"] = json!("things");
    assert!(damaged(&later.to_string()).1.contains("format version 2, this host reads up to 1"));
    fs::remove_file(&file).unwrap();
    assert!(matches!(read(&file), Err(Error::Missing(_))));
    assert!(matches!(read(folder.path()), Err(Error::Unreadable { .. })));
}

#[test]
fn every_disagreement_names_both_sides() {
    let lock = Lock { file: "/locks/plugins.lock".into(), required: true, plugins: plugins() };
    let (one, two, nine) = ("1".repeat(64), "2".repeat(64), "9".repeat(64));
    assert_eq!(lock.verify("a", "1.0.0", &one), Ok(()));
    let told = |name: &str, version: &str, sha256: &str| {
        let disagreement = lock.verify(name, version, sha256).unwrap_err();
        let error = disagreement.error(Path::new("/plugins/libx.so"));
        (error.message, error.found.unwrap(), error.expected.unwrap())
    };
    assert_eq!(
        told("a", "1.0.0", &nine),
        (
            "the plugin `a` 1.0.0 is not the build that /locks/plugins.lock has".to_owned(),
            format!("1.0.0 with SHA-256 {nine}, /plugins/libx.so"),
            format!("1.0.0 with SHA-256 {one}"),
        )
    );
    assert_eq!(
        told("b", "0.3.0", &nine),
        (
            "the plugin `b` is of version 0.3.0, and /locks/plugins.lock has 0.2.0".to_owned(),
            format!("0.3.0 with SHA-256 {nine}, /plugins/libx.so"),
            format!("0.2.0 with SHA-256 {two}"),
        )
    );
    assert_eq!(
        told("c", "1.0.0", &nine),
        (
            "the plugin `c` is not in /locks/plugins.lock".to_owned(),
            format!("1.0.0 with SHA-256 {nine}, /plugins/libx.so"),
            "one of the locked plugins: b, a".to_owned(),
        )
    );
}

#[test]
fn an_installed_plugin_is_locked_with_what_it_registers() {
    let folder = tempfile::tempdir().unwrap();
    let mut plugin = with_component("models", "encoder", "Lstm");
    plugin.systems.push(system("Predictor", "Lstm", "Outputs"));
    let path = library(folder.path(), "libmodels.so", &plugin);
    let options = [folder.path().to_owned()];
    let sources = crate::plugins::search::Sources { options: &options, ..Default::default() };
    let registry = Registry::discover(&SearchPath::new(sources));
    let locked = LockedPlugin::of(&registry.plugins[0]).unwrap();
    assert_eq!((locked.name.as_str(), locked.version.as_str()), ("models", "1.2.3"));
    assert_eq!(locked.sha256, crate::plugins::inspect::sha256(&fs::read(path).unwrap()));
    assert_eq!(locked.registers, ["encoder Lstm", "system Predictor"]);
}

#[test]
fn a_lock_lies_beside_what_it_is_for_unless_it_is_named() {
    let of = |of: &str, given: Option<&str>, required| {
        let choice = LockChoice::of(Path::new(of), given.map(PathBuf::from), required);
        (choice.file, choice.required)
    };
    assert_eq!(of("configs/a.json", None, false), (PathBuf::from("configs/plugins.lock"), false));
    assert_eq!(of("a.json", None, true), (PathBuf::from("plugins.lock"), true));
    // Whoever names one wants to be held to it.
    assert_eq!(of("a.json", Some("/locks/x"), false), (PathBuf::from("/locks/x"), true));
}

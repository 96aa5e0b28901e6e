//! Files that are missing, or are not what they should be.

use std::fs;

use super::*;

/// What is said about a file of a directory that holds `files`; the directory's name is taken out.
fn said(files: &[(&str, &[u8])], name: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let errors = load(&directory.path().join(name), &[]).unwrap_err();
    render_all(&errors.complaints).join("\n").replace(directory.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_missing_file() {
    assert_eq!(
        said(&[("config.json", b"{}"), ("confg.txt", b"")], "confg.json"),
        "-@- | there is no config file `DIR/confg.json` | found no such file | expected - | \
            nearest DIR/config.json | help give `DIR/config.json`, if that is the one"
    );
    assert_eq!(
        said(&[("other.txt", b"")], "config.json"),
        "-@- | there is no config file `DIR/config.json` | found no such file | expected - | \
            help `kiwi-host train --example` prints a config that runs"
    );
    assert_eq!(
        said(&[], "runs/config.json"),
        "-@- | there is no config file `DIR/runs/config.json` | found no such file | \
            expected - | note there is no directory `DIR/runs` either | \
            help `kiwi-host train --example` prints a config that runs"
    );
}

#[test]
fn a_directory() {
    assert_eq!(
        said(&[], ""),
        "-@- | `DIR/` is a directory | found a directory | expected a config file in JSON | \
            help name a file in it"
    );
}

#[test]
fn an_empty_file() {
    assert_eq!(
        said(&[("a.json", b"")], "a.json"),
        "-@- | the config file `DIR/a.json` is empty | found no text | \
            expected a JSON object with data and system | \
            help `kiwi-host train --example` prints a config that runs"
    );
    assert_eq!(
        said(&[("a.json", b"\xEF\xBB\xBF \n\n")], "a.json"),
        "-@- | the config file `DIR/a.json` is empty | found no text | \
            expected a JSON object with data and system | \
            help `kiwi-host train --example` prints a config that runs"
    );
}

#[test]
fn text_that_is_not_utf_8() {
    assert_eq!(
        said(&[("a.json", b"{\n  \"\xC3\xA9\": \"M\xFCnchen\"}")], "a.json"),
        "-@2:10 | the config file `DIR/a.json` is not UTF-8 | found the byte 0xFC | \
            expected text in UTF-8 | help save the file as UTF-8"
    );
    assert_eq!(
        said(&[("a.json", b"\xFF\xFE{\0}\0")], "a.json"),
        "-@1:1 | the config file `DIR/a.json` is not UTF-8 | found UTF-16 | \
            expected text in UTF-8 | help save the file as UTF-8"
    );
}

#[test]
fn a_file_that_is_too_large() {
    let text = vec![b' '; (16 << 20) + 1];
    assert_eq!(
        said(&[("a.json", &text)], "a.json"),
        "-@- | `DIR/a.json` is too large for a config | found more than 16 MiB | \
            expected a config file in JSON | \
            help give the config, not a corpus or a saved system"
    );
}

#[test]
fn a_yaml_file() {
    assert_eq!(
        said(&[("a.yaml", b"run:\n  seed: 1\n")], "a.yaml"),
        "-@1:1 | the config is not valid JSON | found `run` | \
            expected a value: an object, an array, a string in double quotes, a number, true, false or null | \
            help convert the YAML file to JSON: keys and values stay the same"
    );
}

#[test]
fn a_byte_order_mark_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    fs::write(&path, format!("\u{feff}{LEAST}")).unwrap();
    let loaded = load(&path, &[]).unwrap();
    assert_eq!(loaded.config, config_of(LEAST, &[]));
    assert_eq!(loaded.document.locate("").unwrap().column, Some(1));
}

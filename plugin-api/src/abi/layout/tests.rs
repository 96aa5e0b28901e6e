//! What every version keeps of what earlier ones promised. `KIWI_UPDATE_SNAPSHOTS=1` writes the description of this version.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::*;
use crate::API_VERSION;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("abi")
}

fn minor_of(version: &str) -> (u64, u64) {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// What `new` breaks of what `old` promises: a type that is gone or another, a field of a table that is not where it was.
fn broken(old: &str, new: &str) -> Vec<String> {
    let new = blocks(new);
    let mut broken = Vec::new();
    for (name, old) in blocks(old) {
        let kept = match new.get(name) {
            None => false,
            Some(new) if name.starts_with("table ") => new.starts_with(&old),
            Some(new) => *new == old,
        };
        if !kept {
            let found = new.get(name).map_or_else(|| "nothing".to_owned(), |lines| lines.join("\n"));
            broken.push(format!("promised:\n{}\nfound:\n{found}", old.join("\n")));
        }
    }
    broken
}

#[test]
fn the_layout_is_what_was_promised_with_this_version() {
    let (major, minor) = minor_of(API_VERSION);
    let file = folder().join(format!("{major}.{minor}.txt"));
    let now = this_version();
    if env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, now).unwrap();
    }
    let promised = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(
        now == promised,
        "the layout is not that of {}:\n{}\nappend fields to tables only, raise the minor version, and write its description with \
         KIWI_UPDATE_SNAPSHOTS=1",
        file.display(),
        broken(&promised, now).join("\n\n")
    );
}

#[test]
fn every_earlier_minor_version_is_kept() {
    let (major, minor) = minor_of(API_VERSION);
    let now = this_version();
    for earlier in 0..minor {
        let file = folder().join(format!("{major}.{earlier}.txt"));
        let promised =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let broken = broken(&promised, now);
        assert!(broken.is_empty(), "{} is not kept:\n{}", file.display(), broken.join("\n\n"));
    }
}

#[test]
fn only_what_is_appended_to_a_table_is_no_break() {
    let old = "table T, 2 fields always there\n  a: u8\n  b: fn(u8) -> u8\nstruct S, 8 bytes aligned to 8\n  x: u64\n";
    let with = |from: &str, to: &str| {
        assert!(old.contains(from), "{from}");
        broken(old, &old.replace(from, to)).len()
    };
    assert_eq!(with("  b: fn(u8) -> u8\n", "  b: fn(u8) -> u8\n  c: u8\n"), 0);
    assert_eq!(with("struct S", "struct Other, 1 bytes aligned to 1\nstruct S"), 0);
    assert_eq!(with("  a: u8\n", "  c: u8\n  a: u8\n"), 1, "inserted");
    assert_eq!(with("  b: fn(u8) -> u8\n", ""), 1, "removed");
    assert_eq!(with("fn(u8)", "fn(u16)"), 1, "another parameter");
    assert_eq!(with("2 fields always", "3 fields always"), 1, "more is needed");
    assert_eq!(with("  x: u64\n", "  x: u64\n  y: u64\n"), 1, "a struct never grows");
    assert_eq!(with("8 bytes", "16 bytes"), 1, "another size");
    assert_eq!(with("struct S, 8 bytes aligned to 8\n  x: u64\n", ""), 1, "a type is gone");
}

#[test]
fn layouts_fit_in_both_directions_if_tables_differ_at_their_ends_only() {
    let old = "table T, 1 fields always there\n  a: u8\nstruct S, 8 bytes aligned to 8\n  x: u64\n";
    let new = old.replace("  a: u8\n", "  a: u8\n  b: fn() -> R\n") + "struct R, 1 bytes aligned to 1\n";
    assert_eq!(misfits_of(old, &new), [""; 0]);
    assert_eq!(misfits_of(&new, old), [""; 0]);
    let other = old.replace("x: u64", "x: i64");
    assert_eq!(misfits_of(old, &other), ["of the struct S it has `x: i64`, this host `x: u64`"]);
    let other = new.replace("b: fn() -> R", "c: fn() -> R");
    assert_eq!(misfits_of(&new, &other), ["of the table T it has `c: fn() -> R`, this host `b: fn() -> R`"]);
    assert_eq!(misfits(PluginRootRef::LAYOUT), [""; 0]);
}
